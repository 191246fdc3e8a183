"""References in the formats of bundlers: Vite, VitePress, SystemJS, Workbox, webpack, Rspack, Turbopack.

A finder gets a node and the script. It is used only if the script contains its marker: nearly every script is of one
bundler. The lines of the references count from 0.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.media import is_media
from version_affinity.checking.references import Base, Need, Reference

from .chunk_names import chunk_names
from .syntax import arguments_of, elements_of, literal, member, name, nodes, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

#: The kind of the files that a service worker loads when it is installed; if one is missing, it is not installed.
PRECACHE: Final = "precache list"

_MAP: Final = "__vite__mapDeps"
# The fields with the files of the map: Vite 5.2 and later, 5.0.
_MAP_FIELDS: Final = ("f", "viteFileDeps")
#: Bytes of the function that loads a chunk, before Vite 5.
_LONGEST_LOAD: Final = 2000
_PRELOADED: Final = (".js", ".mjs", ".css")
_RELATIVE: Final = ("./", "../")
_ABSOLUTE: Final = ("/", *_RELATIVE)
_WORKBOX: Final = "./workbox-"
_TURBOPACK: Final = "static/chunks/"
#: A map of the chunks with a style sheet, and an id in it.
_STYLES: Final = re.compile(rb"\{((?:[\w\"'-]+:1,?)+)\}\)?\[")
_ID: Final = re.compile(rb"([\w-]+)[\"']?:1")
#: The same of webpack's own loader of style sheets, if only one chunk has one: ``r.f.css=(e,t)=>{...if(391==e)``.
_LOADER: Final = b".f.css="
_ONLY_STYLE: Final = re.compile(rb"\.f\.css=[^\0]{0,400}?\([\"']?([\w-]+)[\"']?\s*==")


def _dependencies(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the files of Vite's map, ``m.f=["assets/a.js", ...]``."""
    if name(node.child_by_field_name("name")) != _MAP:
        return
    for inner in nodes(node, ["assignment_expression"]):
        if member(inner.child_by_field_name("left"))[1] in _MAP_FIELDS:
            for file in elements_of(inner.child_by_field_name("right")):
                yield from literal(_MAP, file, Need.FILE, Base.PUBLIC)


def _preload(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the files that Vite before 5 loads with a chunk: ``p(() => import("./a.js"), ["assets/a.js"])``."""
    arguments = arguments_of(node)
    if len(arguments) < 2 or arguments[0].type != "arrow_function":  # noqa: PLR2004
        return
    load, files = arguments[0], elements_of(arguments[1])
    if load.end_byte - load.start_byte > _LONGEST_LOAD or b"import(" not in (load.text or b""):
        return
    if all((string(file) or "").endswith(_PRELOADED) for file in files):
        for file in files:
            yield from literal("preload list", file, Need.FILE, Base.PUBLIC)


def _system(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the files of ``System.register(["./a.js"], ...)`` and ``module.import("./b.js")``."""
    owner, called = member(node.child_by_field_name("function"))
    if called == "register" and owner == "System":
        for module in next((list_ for argument in arguments_of(node) if (list_ := elements_of(argument))), []):
            if (string(module) or "").startswith(_RELATIVE):
                yield from literal("System.register()", module, Need.FILE)
    elif called == "import":
        for module in arguments_of(node)[:1]:
            text = string(module) or ""
            if text.startswith(_RELATIVE) and is_media(text):
                base = Base.PAGE if owner == "System" else Base.FILE
                yield from literal(f"{owner or '...'}.import()", module, Need.FILE, base)


def _workbox(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the library of Workbox's service workers: ``define(["./workbox-1a2b3c4d"], ...)``."""
    if name(node.child_by_field_name("function")) != "define":
        return
    for argument in arguments_of(node)[:1]:
        for module in elements_of(argument):
            text = string(module) or ""
            if text.startswith(_WORKBOX):
                yield Reference("define()", f"{text.removesuffix('.js')}.js", module.start_point.row, Need.FILE)


def _precached(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the file of an entry of Workbox's list: ``{url: "index.html", revision: "1a2b"}``."""
    fields = {
        (string(key) or name(key)): pair.child_by_field_name("value")
        for pair in node.named_children
        if pair.type == "pair" and (key := pair.child_by_field_name("key")) is not None
    }
    if "revision" in fields:
        yield from literal(PRECACHE, fields.get("url"), Need.CONTENT)


def _added(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the files that other service workers cache: ``cache.addAll(["/", "/app.js"])``, ``cache.add("/")``."""
    owner, called = member(node.child_by_field_name("function"))
    # Sets have add(), too: the object has to be named like a cache, or be minified.
    is_cache = called == "addAll" or (called == "add" and ("cache" in owner.lower() or len(owner) == 1))
    for argument in arguments_of(node)[:1] if is_cache else ():
        for url in elements_of(argument) or [argument]:
            text = string(url) or ""
            if text.startswith(_ABSOLUTE) or is_media(text):
                yield from literal(PRECACHE, url, Need.CONTENT)


def _chunks(node: Node, data: bytes) -> Iterator[Reference]:
    """Yield the files that webpack's functions name: ``r.u = id => "js/" + id + "." + {7: "1a2b3c4d"}[id] + ".js"``."""
    called, right = member(node.child_by_field_name("left"))[1], node.child_by_field_name("right")
    if right is not None and (called in ("u", "miniCssF") or (called == "k" and _LOADER in data)):
        ids = () if called == "u" else _style_ids(data)
        for text in chunk_names(right, ids):
            if called != "k" or text.endswith(".css"):
                yield Reference("webpack chunk", text, node.start_point.row, Need.CHUNK, Base.PUBLIC)


@lru_cache(maxsize=1)
def _style_ids(data: bytes) -> tuple[str, ...]:
    """Return the ids of the chunks with a style sheet: ``{7: 1, 9: 1}[id]``, or ``7 == id``."""
    ids = [name for found in _STYLES.findall(data) for name in _ID.findall(found)]
    return tuple(name.decode("utf-8", "replace") for name in ids + _ONLY_STYLE.findall(data))


def _turbopack(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the chunks in a list of Turbopack: ``["static/chunks/0cz1d0mv5g_q7.js"].map(t => e.l(t))``."""
    for element in elements_of(node):
        text = string(element) or ""
        if text.startswith(_TURBOPACK) and is_media(text):
            yield from literal("Turbopack chunk", element, Need.CHUNK, Base.PUBLIC)


def _vitepress(node: Node, _: bytes) -> Iterator[Reference]:
    """Yield the chunks of VitePress's pages: ``__VP_HASH_MAP__ = JSON.parse('{"guide_a.md": "BX4CeNGm"}')``."""
    right = node.child_by_field_name("right")
    if right is None or member(node.child_by_field_name("left"))[1] != "__VP_HASH_MAP__":
        return
    for argument in arguments_of(right)[:1]:
        try:
            hashes = json.loads(string(argument) or "")
        except (ValueError, RecursionError):
            return
        for page, digest in hashes.items() if isinstance(hashes, dict) else ():
            for ending in (".js", ".lean.js"):
                text = f"assets/{page}.{digest}{ending}"
                yield Reference("VitePress page", text, node.start_point.row, Need.FILE, Base.PUBLIC)


#: A marker in the script, the type of node, and what finds references in such a node.
FINDERS: Final[tuple[tuple[bytes, str, Callable[[Node, bytes], Iterator[Reference]]], ...]] = (
    (_MAP.encode(), "variable_declarator", _dependencies),
    (_MAP.encode(), "function_declaration", _dependencies),
    (b"import(", "call_expression", _preload),
    (b"System.register", "call_expression", _system),
    (b"workbox-", "call_expression", _workbox),
    (b"revision", "object", _precached),
    (b"caches.open", "call_expression", _added),
    (b"webpackChunk", "assignment_expression", _chunks),
    (b"rspackChunk", "assignment_expression", _chunks),
    (b"TURBOPACK", "array", _turbopack),
    (b"__VP_HASH_MAP__", "assignment_expression", _vitepress),
)
