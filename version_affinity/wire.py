"""Text and bytes of WSGI, and the grammars of HTTP fields and URLs.

A WSGI server decodes the bytes of a path and of header fields as latin-1 (PEP 3333), so "é" in UTF-8 arrives as "Ã©".
Such text is called WSGI text here. No function of this module raises on text that no server makes.
"""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# --- text and bytes ---------------------------------------------------------------------------------------------------


def wire_bytes(text: str) -> bytes:
    """Return the bytes that WSGI text stands for."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:  # an environ made by hand
        return text.encode("utf-8", "surrogatepass")


def path_of(environ: WSGIEnvironment) -> str:
    """Return a request's path below the mount; "" for the mount without its slash."""
    return environ.get("PATH_INFO") or ("" if environ.get("SCRIPT_NAME") else "/")


def utf8(text: str) -> bytes:
    """Return text as UTF-8. Surrogates that stand for undecodable bytes become these bytes (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def wsgi_text(text: str) -> str:
    r"""Return ordinary text as WSGI text.

    >>> wsgi_text("/caf\xe9")
    '/cafÃ©'
    """
    return text if text.isascii() else utf8(text).decode("latin-1")


def wsgi_path(name: str) -> str:
    """Return the name of a file on disk as WSGI text."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


def file_name(path: str) -> str:
    """Return the name on disk that a path in WSGI text stands for."""
    return path if path.isascii() else os.fsdecode(wire_bytes(path))


def plain_text(text: str) -> str:
    """Return WSGI text as ordinary text. Bytes that are not UTF-8 become surrogates (PEP 383)."""
    return text if text.isascii() else wire_bytes(text).decode("utf-8", "surrogateescape")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return text that is safe to print: characters that could command a terminal or reorder a line are escaped.

    Line breaks stay with ``lines``.

    >>> printable("red \x1b[31m alert\nnext")
    'red \\x1b[31m alert\\nnext'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if (lines and character == "\n") or character == _JOINER or unicodedata.category(character) not in _UNPRINTABLE
        else character.encode("unicode_escape").decode()
        for character in text
    )


_UNPRINTABLE: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_JOINER: Final = "\u200d"  # joins emoji


def shown(path: str) -> str:
    """Return a path in WSGI text as people read it. Bytes that are not UTF-8 are escaped."""
    return printable(path if path.isascii() else wire_bytes(path).decode("utf-8", "backslashreplace"))


# --- grammars of HTTP fields (RFC 9110) -------------------------------------------------------------------------------

#: The characters of a token (section 5.6.2), for a class of a regular expression.
TCHAR: Final = "!#$%&'*+.^_`|~0-9A-Za-z-"
TOKEN: Final = f"[{TCHAR}]+"
_TOKEN: Final = re.compile(TOKEN)


def is_token(text: object) -> bool:
    """Return whether something can be the name of a header field or a cookie."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


# --- URLs (RFC 3986) --------------------------------------------------------------------------------------------------

# What may stand unencoded in a path (section 3.3) and in a query (section 3.4), besides letters, digits and "_.-~".
_PATH: Final = "/!$&'()*+,:;=@"
_QUERY: Final = f"{_PATH}?"
# What encodeURIComponent leaves alone (ECMA-262), and the slash.
_COMPONENT: Final = "/!~*'()"
# What browsers leave alone in a path (WHATWG URL section 1.3).
_BROWSER: Final = f"{_PATH}[]|"
_STRAY_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_SLASHES: Final = re.compile("/{2,}")
_DOTS: Final = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def unquoted(text: str) -> str:
    """Return WSGI text, such as the path of a URL, percent-decoded."""
    return unquote_to_bytes(wire_bytes(text)).decode("latin-1") if "%" in text else text


def quoted_path(path: str) -> str:
    """Return a path, as in ``PATH_INFO``, percent-encoded as RFC 3986 requires."""
    return quote_from_bytes(wire_bytes(path), _PATH)


def quoted_components(path: str) -> str:
    r"""Return a path, as in ``PATH_INFO``, with each segment encoded as ``encodeURIComponent`` encodes it.

    >>> quoted_components("/a b/[slug]"), quoted_components("/b\xc3\xb2")
    ('/a%20b/%5Bslug%5D', '/b%C3%B2')
    """
    return quote_from_bytes(wire_bytes(path), _COMPONENT)


def quoted_as_browsers(path: str) -> str:
    """Return a path, as in ``PATH_INFO``, percent-encoded as browsers encode it."""
    return quote_from_bytes(wire_bytes(path), _BROWSER)


def requoted_path(path: str) -> str:
    """Return the path of a URL with only those bytes encoded that it must not hold; see ``requoted_query``."""
    return _requoted(path, _PATH)


def requoted_query(query: str) -> str:
    """Return the query of a URL with only those bytes encoded that it must not hold. Percent-encodings stay."""
    return _requoted(query, _QUERY)


def requoted_fragment(fragment: str) -> str:
    """Return the fragment of a URL likewise. A "#" is left alone, as browsers leave it."""
    return _requoted(fragment, f"{_QUERY}#")


def _requoted(text: str, safe: str) -> str:
    return _STRAY_PERCENT.sub("%25", quote_from_bytes(wire_bytes(text), f"{safe}%"))


def merge_slashes(path: str) -> str:
    """Return a path without empty segments.

    >>> merge_slashes("//docs///page")
    '/docs/page'
    """
    return _SLASHES.sub("/", path)


def without_dots(path: str) -> str:
    """Return a path without ``.`` and ``..`` segments (section 5.2.4), also where the dots are percent-encoded."""
    if not _DOTS.search(path):
        return path
    kept: list[str] = []
    plain = ""
    for segment in path.split("/")[1:]:
        plain = segment.lower().replace("%2e", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    return "/" + "/".join((*kept, "") if plain in (".", "..") else kept)
