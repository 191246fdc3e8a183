"""The origins of URLs: under which ones a build is served itself, and to which others it refers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from version_affinity.errors import ConfigurationError

from .references import cleaned

# With the port that goes without saying (URL standard, special schemes). A URL may leave its page's scheme out.
_SCHEMES: Final = {"https:": ":443", "http:": ":80", "": ""}
_PATH_STARTS: Final = ("/", "?", "#", "\\")
_HOST_MARKS: Final = frozenset(".-_:[]")


class Origins:
    """The origins under which a build is served.

    Args:
        origins: Such as ``"https://shop.example"``. A URL without a scheme may be of any of them.

    Raises:
        ConfigurationError: one is no origin.

    >>> own = Origins(["https://cdn.example"])
    >>> own.local("https://CDN.example:443/a.js"), own.local("//cdn.example/a.js?v=1"), own.local("b.js")
    ('/a.js', '/a.js?v=1', 'b.js')
    >>> own.local("http://cdn.example/a.js")
    'http://cdn.example/a.js'
    """

    def __init__(self, origins: Iterable[str]) -> None:
        if isinstance(origins, str) or not isinstance(origins, Iterable):
            raise ConfigurationError(f"origins={origins!r} is not a list: write origins=['https://shop.example']")
        own = {_checked(origin) for origin in origins}
        self._own: Final = own | {origin[origin.index("//") :] for origin in own}

    def __contains__(self, origin: str) -> bool:
        """Tell whether an origin is one of them."""
        return origin in self._own

    def local(self, text: str) -> str:
        """Return the path of a URL that is of one of these origins; any other text as it is."""
        parts = split(text) if self._own else None
        return text if parts is None or parts[0] not in self._own else parts[1]


def split(text: str) -> tuple[str, str] | None:
    """Return the origin of an absolute URL and the rest from its path on; None for what is no such URL.

    >>> split("HTTPS://cdn.example:443/a.js?v=1"), split("//cdn.example"), split("a.js"), split("https://{{cdn}}/a.js")
    (('https://cdn.example', '/a.js?v=1'), ('//cdn.example', '/'), None, None)
    """
    if "//" not in text:
        return None
    scheme, slashes, rest = cleaned(text).partition("//")
    port = _SCHEMES.get(scheme.lower())
    if port is None:
        return None
    end = min((at for mark in _PATH_STARTS if (at := rest.find(mark)) >= 0), default=len(rest))
    host, path = rest[:end].lower().removesuffix(port), rest[end:]
    if not host or not all(character.isalnum() or character in _HOST_MARKS for character in host):
        return None  # a user's name in it, or a placeholder, among others
    return f"{scheme.lower()}{slashes}{host}", path if path.startswith("/") else f"/{path}"


def _checked(origin: object) -> str:
    parts = split(origin) if isinstance(origin, str) else None
    if parts is None or parts[0].startswith("//") or parts[1] != "/":
        raise ConfigurationError(f"{origin!r} is no origin: write one such as 'https://shop.example', without a path")
    return parts[0]
