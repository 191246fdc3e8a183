"""References that bundlers write in their own ways: Vite, SystemJS (Vite's legacy builds), Workbox, webpack.

Each finder is asked only where its marker stands in the script: nearly every script is of one bundler. The lines of
what they yield count from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.assets.media import is_media

from .chunk_names import chunk_names
from .references import Base, Need, Reference
from .syntax import arguments_of, elements_of, member, name, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

#: The kind of what a service worker loads when it is installed; without one of them, it is not.
PRECACHE: Final = "precache list"

_MAP: Final = "__vite__mapDeps"
# Where the map keeps its files: Vite 5.2 and later, 5.0.
_MAP_FIELDS: Final = ("f", "viteFileDeps")
#: Bytes of the function that loads a chunk, before Vite 5.
_LONGEST_LOAD: Final = 2000
_PRELOADED: Final = (".js", ".mjs", ".css")
_RELATIVE: Final = ("./", "../")
_WORKBOX: Final = "./workbox-"


def _dependencies(node: Node) -> Iterator[Reference]:
    """Yield the files of Vite's map (``m.f=["assets/a.js", ...]``) from the function that holds it."""
    if name(node.child_by_field_name("name")) != _MAP:
        return
    pending = [node]
    while pending:
        inner = pending.pop()
        left, right = inner.child_by_field_name("left"), inner.child_by_field_name("right")
        if (
            inner.type == "assignment_expression"
            and left is not None
            and member(left)[1] in _MAP_FIELDS
            and right is not None
            and right.type == "array"
        ):
            for element in elements_of(right):
                yield from _file(_MAP, element, Base.PUBLIC)
        else:
            pending += inner.named_children


def _preload(node: Node) -> Iterator[Reference]:
    """Yield what Vite, before version 5, loads with a chunk: ``p(() => import("./a.js"), ["assets/a.js"])``."""
    arguments = arguments_of(node)
    if len(arguments) < 2 or arguments[0].type != "arrow_function" or arguments[1].type != "array":  # noqa: PLR2004
        return
    load, listed = arguments[:2]
    if load.end_byte - load.start_byte > _LONGEST_LOAD or b"import(" not in (load.text or b""):
        return
    files = elements_of(listed)
    if all((string(file) or "").endswith(_PRELOADED) for file in files):
        for file in files:
            yield from _file("preload list", file, Base.PUBLIC)


def _system(node: Node) -> Iterator[Reference]:
    """Yield what ``System.register(["./a.js"], ...)`` and ``module.import("./b.js")`` name."""
    function = node.child_by_field_name("function")
    owner, called = ("", "") if function is None else member(function)
    if called == "register" and owner == "System":
        modules = next((argument for argument in arguments_of(node) if argument.type == "array"), None)
        for module in [] if modules is None else elements_of(modules):
            if (string(module) or "").startswith(_RELATIVE):
                yield from _file("System.register()", module, Base.FILE)
    elif called == "import":
        for module in arguments_of(node)[:1]:
            text = string(module) or ""
            if text.startswith(_RELATIVE) and is_media(text):
                yield from _file(f"{owner or '...'}.import()", module, Base.PAGE if owner == "System" else Base.FILE)


def _workbox(node: Node) -> Iterator[Reference]:
    """Yield the library that a service worker made by Workbox loads: ``define(["./workbox-1a2b3c4d"], ...)``."""
    if name(node.child_by_field_name("function")) != "define":
        return
    for argument in arguments_of(node)[:1]:
        for module in elements_of(argument) if argument.type == "array" else ():
            text = string(module) or ""
            if text.startswith(_WORKBOX):
                yield Reference("define()", f"{text.removesuffix('.js')}.js", module.start_point.row, Need.FILE)


def _precached(node: Node) -> Iterator[Reference]:
    """Yield what an entry of Workbox's list names: ``{url: "index.html", revision: "1a2b"}``."""
    fields = {
        (string(key) or name(key)): pair.child_by_field_name("value")
        for pair in node.named_children
        if pair.type == "pair" and (key := pair.child_by_field_name("key")) is not None
    }
    url = fields.get("url")
    text = string(url)
    if url is not None and text is not None and "revision" in fields:
        yield Reference(PRECACHE, text, url.start_point.row, Need.CONTENT)


def _chunks(node: Node) -> Iterator[Reference]:
    """Yield the files that webpack's functions name: ``r.u = id => "js/" + id + "." + {7: "1a2b3c4d"}[id] + ".js"``."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None:
        return
    called = member(left)[1]
    if called in ("u", "miniCssF"):
        for text in chunk_names(right):
            yield Reference("webpack chunk", text, node.start_point.row, Need.NAMED, Base.PUBLIC)


def _file(kind: str, node: Node, base: Base) -> Iterator[Reference]:
    text = string(node)
    if text is not None:
        yield Reference(kind, text, node.start_point.row, Need.FILE, base)


#: A text that the script holds, the type of node, and what finds references in such a node.
FINDERS: Final[tuple[tuple[bytes, str, Callable[[Node], Iterator[Reference]]], ...]] = (
    (_MAP.encode(), "variable_declarator", _dependencies),
    (_MAP.encode(), "function_declaration", _dependencies),
    (b"import(", "call_expression", _preload),
    (b"System.register", "call_expression", _system),
    (b"workbox-", "call_expression", _workbox),
    (b"revision", "object", _precached),
    (b"webpackChunk", "assignment_expression", _chunks),
)
