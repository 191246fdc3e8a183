"""The URLs of rules.

A URL is written as a browser's URL parser writes it (WHATWG URL), so that a rule reads as the platforms report it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from version_affinity.wire import utf8, without_dots

# All but the path, query and fragment percent-encode sets (WHATWG URL section 1.3), and the percent sign.
_URL_PATH: Final = "/%!$&'()*+,-.:;=@[\\]^_|~"
_URL_QUERY: Final = _URL_PATH + "?`{}"
_URL_FRAGMENT: Final = _URL_PATH + "?#{}"
_ABSOLUTE: Final = re.compile(r"https:/{2,}([^/?#]+)(.*)", re.DOTALL)
# A name or an address, perhaps with a port; "*" and ":name" stand for any. No user: Location would show its password.
_HOST: Final = re.compile(r"(?:(?:[\w.*-]|:(?=[A-Za-z]))+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
# The platforms ignore the port. A client may send anything; what is not a name or an address matches no rule.
_HOSTNAME: Final = re.compile(r"([a-z0-9._-]+?)\.?(?::[0-9]*)?|(\[[0-9a-f:.]+\])(?::[0-9]*)?")


class RuleURL(NamedTuple):
    """The URL of a rule.

    Attributes:
        host: With the port; "" for a path of the same host.
        path: Begins with a slash.
        query: With its question mark, or "".
        fragment: With its number sign, or "".
    """

    host: str
    path: str
    query: str
    fragment: str

    @property
    def source(self) -> str:
        """The part that requests are compared with, without query and fragment."""
        return f"https://{self.host}{self.path}" if self.host else self.path

    def __str__(self) -> str:
        return f"{self.source}{self.query}{self.fragment}"


def read_url(text: str) -> RuleURL | None:
    r"""Read a path, or a URL that begins with ``https://``; None for anything else.

    >>> str(read_url("/caf\xe9/../men\xfc?a=b c#d"))
    '/men%C3%BC?a=b%20c#d'
    >>> str(read_url("https://Example.com")), read_url("http://example.com"), read_url("https://me:secret@example.com")
    ('https://Example.com/', None, None)
    """
    absolute = _ABSOLUTE.match(text)
    host, rest = absolute.groups() if absolute else ("", text)
    if absolute:
        if not host.isascii():
            try:
                host = host.encode("idna").decode("ascii")
            except UnicodeError:
                return None
        if not _HOST.fullmatch(host):
            return None
        rest = rest if rest.startswith("/") else f"/{rest}"
    elif not text.startswith("/"):
        return None
    rest, _, fragment = rest.partition("#")
    path, _, query = rest.partition("?")
    return RuleURL(
        host,
        without_dots(quote_from_bytes(utf8(path), _URL_PATH)),
        f"?{quote_from_bytes(utf8(query), _URL_QUERY)}" if query else "",
        f"#{quote_from_bytes(utf8(fragment), _URL_FRAGMENT)}" if fragment else "",
    )


def hostname(host: str) -> str:
    """Return the name or address of a Host field (RFC 9110 section 7.2) without the port; "" for what is neither.

    >>> hostname("Example.com:8000"), hostname("[::1]:8000"), hostname("a b")
    ('example.com', '[::1]', '')
    """
    match = _HOSTNAME.fullmatch(host.lower())
    return (match[1] or match[2]) if match else ""
