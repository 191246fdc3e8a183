"""The references of a script or module that are literals.

These are static and dynamic imports, ``export ... from``, ``import.meta.resolve()``, ``new URL(..., import.meta.url)``,
workers and worklets, ``importScripts()``, the formats of bundlers (``bundlers.py``), and strings that look like the URL
of a file. Source maps do not count: no page loads them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.media import is_media
from version_affinity.checking.origins import split_origin
from version_affinity.checking.references import Base, Document, Fault, Need, Reference, has_scheme, is_fragment

from .bundlers import FINDERS as BUNDLERS
from .syntax import arguments_of, first_error, literal, member, name, parsed, placed_nodes, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

    Finder = Callable[[Node, bytes], Iterator[Reference]]

#: The kind of a service worker that is registered. A library may do that in a part that the application does not use.
SERVICE_WORKER: Final = "serviceWorker.register()"
#: The kind of a string that only its own text makes a URL.
_STRING: Final = "string"
_STRINGS: Final = ("string", "template_string")
#: The fields of strings that name a property, not a file: a key of an object, the name of a method, an index.
_NAMES: Final = ("key", "name", "index")
_CATCH: Final = b".catch("
#: Kinds that libraries also use for files that exist only in some environments.
_FALLIBLE: Final = ("import()", "import.meta.resolve()", "new URL()", "new Worker()", "importScripts()", "addModule()")
#: What a whole URL may be added to: webpack's public path, or an empty string.
_PUBLIC_PATH: Final = (b".p+", b".p +")
_STARTS: Final = (b".p", b'""', b"''", b"``")
_DIRECTORIES: Final = ("/", "/.", "/..")
_WORKERS: Final = ("Worker", "SharedWorker")
_IMPORT_SCRIPTS: Final = "importScripts"
_GLOBALS: Final = ("self", "globalThis")
#: Bytes of the longest string that may be the URL of a file, and of the second argument of ``new URL()``.
_LONGEST_URL: Final = 300
#: A name that may contain a hash. Its directory decides (``site.py``).
_HASHED: Final = re.compile(r"(?:\A|\.)(?=[\w-]*[0-9A-Z])[\w-]{8,}\.")
#: Characters of a text that only ends like a URL.
_NOT_IN_URLS: Final = frozenset(" \t\n\r\"'`<>{}()*|,;")


def script_references(data: bytes, first_line: int = 1) -> Document:
    """Return the references of a script or module in UTF-8 that begins at a line."""
    finders = {kind: [finder] for kind, finder in _FINDERS.items()}
    for marker, kind, finder in BUNDLERS:
        if marker in data:
            finders.setdefault(kind, []).append(finder)
    tree = parsed(data)
    references: list[Reference] = []
    bases: set[int] = set()
    for node, field, is_conditional in placed_nodes(tree, finders):
        if node.start_byte in bases or (field in _NAMES and node.type in _STRINGS):
            continue
        if node.type == "new_expression":
            bases.update(argument.start_byte for argument in arguments_of(node)[1:2] if argument.type == node.type)
        # The script expects that the file may be missing: it is in a condition or try, or has a catch().
        is_fallible = is_conditional or data.startswith(_CATCH, node.end_byte)
        references += (
            found._replace(line=found.line + first_line, is_conditional=is_fallible and found.kind in _FALLIBLE)
            for finder in finders[node.type]
            for found in finder(node, data)
            if not is_fragment(found.text)
        )
    certain = {found.text for found in references if found.kind != _STRING}
    kept = (found for found in references if found.kind != _STRING or found.text not in certain)
    row = first_error(tree)
    faults = () if row is None else (Fault(first_line + row, "it cannot be parsed as JavaScript"),)
    return Document(tuple(dict.fromkeys(kept)), faults)


def _static(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the module of an ``import`` or an ``export ... from``."""
    source = node.child_by_field_name("source")
    kind = "import" if node.type == "import_statement" else "export from"
    yield from literal(kind, source, Need.FILE, Base.SPECIFIER)


def _call(node: Node, _: bytes) -> Iterator[Reference]:
    function = node.child_by_field_name("function")
    arguments = arguments_of(node)
    if function is None or not arguments:
        return
    first = arguments[0]
    owner, called = member(function)
    if function.type == "import":
        yield from literal("import()", first, Need.FILE, Base.SPECIFIER)
    elif _IMPORT_SCRIPTS in (name(function), called if owner in _GLOBALS else ""):
        for argument in arguments:
            yield from literal("importScripts()", argument, Need.FILE)
    elif called == "resolve" and owner == "import.meta":
        yield from literal("import.meta.resolve()", first, Need.CONTENT, Base.SPECIFIER)
    elif called == "register" and owner.endswith("serviceWorker"):
        yield from literal(SERVICE_WORKER, first, Need.FILE, Base.PAGE)
    elif called == "addModule" and owner.endswith("Worklet"):
        yield from literal("addModule()", first, Need.FILE, Base.PAGE)


def _new(node: Node, _: bytes) -> Iterator[Reference]:
    constructor, arguments = node.child_by_field_name("constructor"), arguments_of(node)
    if constructor is None or not arguments:
        return
    called = member(constructor)[1] or name(constructor)
    if called in _WORKERS:
        yield from literal(f"new {called}()", arguments[0], Need.FILE, Base.PAGE)
    elif called == "URL" and len(arguments) > 1 and _is_own_url(arguments[1]) and not _is_directory(arguments[0]):
        yield from literal("new URL()", arguments[0], Need.CONTENT)


def _is_directory(node: Node) -> bool:
    """Return whether a string is the URL of a directory, from which a script makes other URLs: ``"../"``, ``"."``."""
    text = string(node) or ""
    return text in (".", "..") or text.endswith(_DIRECTORIES)


def _is_own_url(node: Node) -> bool:
    """Return whether an expression is the URL of its own file. ``location`` does not count: APIs' URLs have it, too."""
    if node.end_byte - node.start_byte > _LONGEST_URL:
        return False
    text = node.text or b""
    # import.meta.url, "" + import.meta.url (Vite), module.meta.url (SystemJS), document.currentScript.src
    return text.endswith(b"meta.url") or b"currentScript" in text


def _named(node: Node, data: bytes) -> Iterator[Reference]:
    """Yield a string that may be the URL of a file: bundlers write one where a script imports an image."""
    if node.end_byte - node.start_byte > _LONGEST_URL or b"." not in (node.text or b""):
        return
    text = string(node)
    if text is None or (has_scheme(text) and split_origin(text) is None) or not _NOT_IN_URLS.isdisjoint(text):
        return
    path = text.partition("#")[0].partition("?")[0]
    last = path[path.rfind("/") + 1 :]
    is_url = path.startswith("/") or _HASHED.search(last)
    before = data[max(0, node.start_byte - _LONGEST_URL) : node.start_byte].rstrip()
    if is_url and is_media(path) and last[0] not in ".-" and not _is_ending(before):
        need = Need.CHUNK if before.endswith(_PUBLIC_PATH) else Need.NAMED
        yield Reference(_STRING, text, node.start_point.row, need, Base.PUBLIC)


def _is_ending(before: bytes) -> bool:
    """Return whether a string is the end of a concatenated name, by the bytes before it: a deep tree takes long."""
    return before.endswith(b"+") and not before[:-1].rstrip().endswith(_STARTS)


#: The finders by type of node. The lines of their references count from 0.
_FINDERS: Final[dict[str, Finder]] = {
    "import_statement": _static,
    "export_statement": _static,
    "call_expression": _call,
    "new_expression": _new,
    **dict.fromkeys(_STRINGS, _named),
}
