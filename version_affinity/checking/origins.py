"""The origins of URLs: those that serve a build, and others that a build refers to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.wire import shown

from .references import Base, cleaned, has_scheme, request_path, resolve
from .report import Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .references import Document
    from .site import Site

# With the default port (URL standard, special schemes). A URL may omit the scheme of its page.
_SCHEMES: Final = {"https:": ":443", "http:": ":80", "": ""}
_PATH_STARTS: Final = ("/", "?", "#", "\\")
_HOST_MARKS: Final = frozenset(".-_:[]")


class Origins:
    """The origins that serve a build, such as ``"https://shop.example"``. A URL without a scheme may be of any.

    >>> own = Origins(["https://cdn.example"])
    >>> own.local("https://CDN.example:443/a.js"), own.local("//cdn.example/a.js?v=1"), own.local("b.js")
    ('/a.js', '/a.js?v=1', 'b.js')
    >>> own.local("http://cdn.example/a.js")
    'http://cdn.example/a.js'
    """

    def __init__(self, origins: Iterable[str]) -> None:
        own = set()
        for origin in origins:
            parts = split_origin(origin) if isinstance(origin, str) else None
            if parts is None or parts[0].startswith("//") or parts[1] != "/":
                raise ConfigurationError(
                    f"{origin!r} is not an origin: write one such as 'https://shop.example', without a path"
                )
            own.add(parts[0])
        self._own: Final = own | {origin[origin.index("//") :] for origin in own}

    def local(self, text: str) -> str:
        """Return the path of a URL of one of these origins, and any other text unchanged."""
        parts = split_origin(text) if self._own else None
        return text if parts is None or parts[0] not in self._own else parts[1]

    def other(self, text: str) -> tuple[str, str] | None:
        """Return the origin and the path of a URL of another origin; None for any other text."""
        parts = split_origin(text)
        if parts is None or parts[0] in self._own:
            return None
        origin, path = parts
        return (f"https:{origin}" if origin.startswith("//") else origin), path


def split_origin(text: str) -> tuple[str, str] | None:
    """Return the origin of an absolute URL, and the rest from its path on; None for any other text.

    >>> split_origin("HTTPS://cdn.example:443/a.js?v=1"), split_origin("//cdn.example")
    (('https://cdn.example', '/a.js?v=1'), ('//cdn.example', '/'))
    >>> split_origin("a.js"), split_origin("https://{{cdn}}/a.js")
    (None, None)
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
        return None  # with a user name or a placeholder, among others
    return f"{scheme.lower()}{slashes}{host}", path if path.startswith("/") else f"/{path}"


def unlisted_origins(site: Site, documents: Iterable[Document]) -> tuple[Unchecked, ...]:
    """Return the other origins that seem to serve a build: references to them are not checked.

    Such an origin is the ``<base>`` of a page, or a reference to it ends like the path of a fingerprinted file of the
    build. All references to the origin are counted: one to a missing file ends like no path.
    """
    named: dict[str, list[str]] = {}
    for file, asset in site.files.items():
        if asset.fingerprinted:
            named.setdefault(file.rpartition("/")[2], []).append(file)
    counts = Counter[str]()
    mounts: dict[str, set[str]] = {}
    for document in documents:
        base = site.origins.other(document.base or "")
        if base is not None:
            mounts.setdefault(base[0], set())
        for origin, path in _references_elsewhere(document, base, site.origins):
            counts[origin] += 1
            whole = request_path(resolve(path, "/"))
            for file in named.get(whole.rpartition("/")[2], ()):
                if whole.endswith(file):
                    mounts.setdefault(origin, set()).add(whole[: -len(file)] + "/")
    return tuple(
        Unchecked(origin, counts[origin], "" if not found or site.prefix in found else shown(min(found, key=len)))
        for origin, found in sorted(mounts.items())
        if counts[origin]
    )


def _references_elsewhere(document: Document, base: tuple[str, str] | None, own: Origins) -> Iterator[tuple[str, str]]:
    """Yield the other origins that a file refers to, and the paths on them."""
    for reference in document.references:
        there = own.other(reference.text)
        text = cleaned(reference.text).replace("\\", "/")
        if there is not None:
            yield there
        elif base is None or text.startswith("//") or has_scheme(text):
            continue
        elif reference.base in (Base.FILE, Base.PAGE) or text.startswith(("/", ".")):
            yield base[0], resolve(text, resolve(base[1], "/"))
