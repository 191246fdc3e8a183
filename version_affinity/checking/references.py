"""References as files contain them, and the path that each one means (URL standard)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from version_affinity.wire import merge_slashes, printable, unquoted, without_dots, wsgi_text

#: The result of ``resolve`` for a URL that leads elsewhere: another origin, ``data:``, ``blob:``, ``mailto:``.
EXTERNAL: Final = ""

_SCHEME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+.-")
# Stripped from both ends, and removed everywhere (URL standard, basic URL parser, steps 1 and 3).
_CONTROLS: Final = "".join(map(chr, range(0x21)))
_REMOVED: Final = {ord(character): None for character in "\t\n\r"}
#: Characters of a long text that a report shows.
_SHOWN: Final = 200
#: Placeholders that a script or a server replaces with a path when it serves the build: those of template languages,
#: and the conventions "__BASE__", "%%BASE%%", "%BASE%" and "BASE_REPLACE_ME".
_PLACEHOLDER: Final = re.compile(
    r"\{\{[^{}]*\}\}|%7B%7B[^%/]*(?:%20[^%/]*)*%7D%7D|\$\{[^{}]*\}|<%[^<>]*%>|\{%[^{}]*%\}|\[\[[^\[\]/]*\]\]"
    r"|%%[^%/]+%%|%[A-Z][A-Z0-9_]*%|__[A-Za-z0-9](?:[A-Za-z0-9.-]|_(?!_))*__"
    r"|(?<![A-Za-z0-9_.-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![A-Za-z0-9_.-])",
)
_OPEN_PLACEHOLDERS: Final = ("{{", "${", "<%", "{%")


class Need(Enum):
    """What must exist for a reference to hold."""

    FILE = "a file of the version: code and style"
    CONTENT = "a file, unless its name has no known extension: the application may answer"
    NAMED = "a file, if its name and its directory are those of the build's fingerprinted files"
    CHUNK = "a file, if its directory is one of the build's: it is in a bundler's own list"
    PAGE = "a page: the application answers where there is no file"


class Base(Enum):
    """The base URL of a relative reference."""

    FILE = "the file that contains it; in HTML, the document's base URL"
    PAGE = "the page that runs the script, or the worker"
    SPECIFIER = "a module specifier: the file if it begins with '/', './' or '../'; else the import map decides"
    PUBLIC = "the bundler's public path: any directory of the build; if it begins with a dot, the file or a page"


class Reference(NamedTuple):
    """A reference as a file contains it: its syntax, such as ``@import``, its URL or specifier, its line from 1."""

    kind: str
    text: str
    line: int
    need: Need
    base: Base = Base.FILE
    #: Whether a condition or an exception may keep the browser from following it.
    is_conditional: bool = False


class Fault(NamedTuple):
    """A line of a file, from 1, that cannot be parsed, and the reason."""

    line: int
    reason: str


class Document(NamedTuple):
    """The result of parsing one file; of HTML, with its ``<base href>``, and the line and text of each import map."""

    references: tuple[Reference, ...] = ()
    faults: tuple[Fault, ...] = ()
    base: str | None = None
    import_maps: tuple[tuple[int, str], ...] = ()
    #: Whether it is HTML without a doctype, which is often put into another page.
    is_partial: bool = False


def resolve(text: str, base: str) -> str:
    """Return the path that a URL means, percent-encoded as is ``base``, without query and fragment."""
    path = cleaned(text).partition("#")[0].partition("?")[0].replace("\\", "/")
    if base == EXTERNAL or path.startswith("//") or has_scheme(path):
        return EXTERNAL
    if not path:
        return base
    return without_dots(path if path.startswith("/") else base[: base.rfind("/") + 1] + path)


def cleaned(text: str) -> str:
    """Return a URL without what every URL parser removes: spaces around it, line breaks and tabs within."""
    return text.strip(_CONTROLS).translate(_REMOVED)


def has_scheme(text: str) -> bool:
    """Return whether a URL is absolute: it begins with a scheme (RFC 3986 section 3.1).

    >>> has_scheme("https://example.com"), has_scheme("mailto:a@b"), has_scheme("a/b:c"), has_scheme("1a:b")
    (True, True, False, False)
    """
    scheme, colon, _ = text.partition(":")
    scheme = scheme.lower()
    return bool(colon) and scheme[:1].isalpha() and scheme.isascii() and _SCHEME_CHARACTERS.issuperset(scheme)


def is_relative(text: str) -> bool:
    """Return whether a URL is relative to a directory: it has no scheme and does not begin with a slash."""
    return not (text.startswith(("/", "\\")) or has_scheme(text))


def is_fragment(text: str) -> bool:
    """Return whether a reference stays in its own document: it is empty or only a fragment."""
    text = text.strip(_CONTROLS)
    return not text or text.startswith("#")


def without_placeholders(text: str) -> str | None:
    """Return a URL without its placeholders, relative to where the build is served; None if it has none.

    >>> without_placeholders("/{{ base }}/a.js"), without_placeholders("%7B%7Bbase%7D%7D/a.js")
    ('a.js', 'a.js')
    >>> without_placeholders("/__BASE__/a.js"), without_placeholders("%%B%%a.js"), without_placeholders("MY_URL/a.js")
    ('a.js', 'a.js', 'a.js')
    >>> without_placeholders("/assets/a__b.js") is None, without_placeholders("/A_B.js") is None
    (True, True)
    """
    plain = _PLACEHOLDER.sub("", text)
    if plain == text and not any(mark in text for mark in _OPEN_PLACEHOLDERS):
        return None
    return merge_slashes(plain).lstrip("/")


def request_path(path: str) -> str:
    """Return a URL's path as ``PATH_INFO`` has it: decoded, its bytes as latin-1 (PEP 3333)."""
    return unquoted(wsgi_text(path))


def clipped(text: str) -> str:
    """Return text that is safe on a terminal, shortened to 200 characters of the file."""
    return printable(f"{text[: _SHOWN - 3]}..." if len(text) > _SHOWN else text)
