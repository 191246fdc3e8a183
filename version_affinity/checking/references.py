"""What a file of a build refers to, as it is written there, and the path that this means (WHATWG URL)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from version_affinity.wire import merge_slashes, printable, unquoted, without_dots, wsgi_text

#: What ``resolve`` returns for a URL that leads elsewhere: another origin, ``data:``, ``blob:``, ``mailto:``.
EXTERNAL: Final = ""

_SCHEME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+.-")
# Stripped from both ends, and removed everywhere (URL standard, basic URL parser, steps 1 and 3).
_CONTROLS: Final = "".join(map(chr, range(0x21)))
_REMOVED: Final = {ord(character): None for character in "\t\n\r"}
#: Characters of a file's text that are shown.
_SHOWN: Final = 200
#: What a script or a server puts a path in the place of, when it serves the build: of template languages, and the
#: conventions "__BASE__", "%%BASE%%", "%BASE%" and "BASE_REPLACE_ME".
_PLACEHOLDER: Final = re.compile(
    r"\{\{[^{}]*\}\}|%7B%7B[^%/]*(?:%20[^%/]*)*%7D%7D|\$\{[^{}]*\}|<%[^<>]*%>|\{%[^{}]*%\}|\[\[[^\[\]/]*\]\]"
    r"|%%[^%/]+%%|%[A-Z][A-Z0-9_]*%|__[A-Za-z0-9](?:[A-Za-z0-9.-]|_(?!_))*__"
    r"|(?<![A-Za-z0-9_.-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![A-Za-z0-9_.-])",
)
_OPEN_PLACEHOLDERS: Final = ("{{", "${", "<%", "{%")


class Need(Enum):
    """What has to be there for a reference to hold."""

    FILE = "a file of the version: code and style"
    CONTENT = "a file, unless its name has no known extension: the application may well answer"
    NAMED = "a file, if its name and its directory are those of a build's fingerprinted files"
    CHUNK = "a file, if its directory is one of the build's: a bundler's own list says so"
    PAGE = "a page: the application answers what no file does"


class Base(Enum):
    """What a relative reference is relative to."""

    FILE = "the file that it stands in; a document's base URL for what stands in HTML"
    PAGE = "the page that runs the script, or the worker"
    SPECIFIER = "a module specifier: the file, when it begins with '/', './' or '../'; else the import map decides"
    PUBLIC = (
        "what bundlers call the public path: any directory of the build; the file or a page, when it begins with a dot"
    )


class Reference(NamedTuple):
    """A reference as it is written.

    Attributes:
        kind: What it is, as people write it: ``<script src>``, ``@import``, ``import()``.
        text: The URL or specifier.
        line: The line in the file, from 1.
        need: What has to be there.
        base: What it is relative to.
        is_conditional: Whether a condition or an exception may keep the browser from following it.
    """

    kind: str
    text: str
    line: int
    need: Need
    base: Base = Base.FILE
    is_conditional: bool = False


class Fault(NamedTuple):
    """A place in a file that cannot be parsed, and why.

    Attributes:
        line: The line, from 1.
        reason: What is wrong.
    """

    line: int
    reason: str


class Document(NamedTuple):
    """What was found in one file.

    Attributes:
        references: Its references, in the order in which they were found.
        faults: What could not be parsed.
        base: The URL of HTML's ``<base href>``; None without one.
        import_maps: The text of each import map, with its line.
        is_partial: Whether it is HTML without a doctype, which is often put into another page.
    """

    references: tuple[Reference, ...] = ()
    faults: tuple[Fault, ...] = ()
    base: str | None = None
    import_maps: tuple[tuple[int, str], ...] = ()
    is_partial: bool = False


def resolve(text: str, base: str) -> str:
    """Return the path that a URL means, percent-encoded as it is written, without query and fragment.

    Args:
        text: The URL, absolute or relative.
        base: The path that it is relative to, percent-encoded; ``EXTERNAL`` for one of another origin.

    >>> resolve("../logo.svg?v=2#icon", "/assets/css/site.css"), resolve("?page=2", "/docs/")
    ('/assets/logo.svg', '/docs/')
    >>> resolve("//cdn.example/a.js", "/"), resolve("data:,x", "/"), resolve("a.js", EXTERNAL)
    ('', '', '')
    """
    path = cleaned(text).partition("#")[0].partition("?")[0].replace("\\", "/")
    if base == EXTERNAL or path.startswith("//") or has_scheme(path):
        return EXTERNAL
    if not path:
        return base
    if not path.startswith("/"):
        path = base[: base.rfind("/") + 1] + path
    return without_dots(path)


def cleaned(text: str) -> str:
    """Return a URL without what every URL parser takes away: spaces around it, line breaks and tabs within."""
    return text.strip(_CONTROLS).translate(_REMOVED)


def has_scheme(text: str) -> bool:
    """Tell whether a URL is absolute: it begins with a scheme (RFC 3986 section 3.1).

    >>> has_scheme("https://example.com"), has_scheme("mailto:a@b"), has_scheme("a/b:c"), has_scheme("1a:b")
    (True, True, False, False)
    """
    scheme, colon, _ = text.partition(":")
    scheme = scheme.lower()
    return bool(colon) and scheme[:1].isalpha() and scheme.isascii() and _SCHEME_CHARACTERS.issuperset(scheme)


def is_fragment(text: str) -> bool:
    """Tell whether a reference stays in its own document: it is empty, or a fragment alone."""
    text = text.strip(_CONTROLS)
    return not text or text.startswith("#")


def without_placeholders(text: str) -> str | None:
    """Return a URL without the placeholders in it, relative to where the build is served; None where it has none.

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
    r"""Return a URL's path as ``PATH_INFO`` shows it: decoded, its bytes as latin-1 (PEP 3333).

    >>> request_path("/caf%C3%A9/a b")
    '/cafÃ©/a b'
    """
    return unquoted(wsgi_text(path))


def clipped(text: str) -> str:
    """Return a text of a file as it can be shown on a terminal, not all of a long one.

    >>> len(clipped("a" * 1000))
    200
    """
    return printable(f"{text[: _SHOWN - 3]}..." if len(text) > _SHOWN else text)
