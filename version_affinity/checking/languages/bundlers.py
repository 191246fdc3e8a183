"""References in the formats of bundlers: Vite, VitePress, SystemJS, Workbox, webpack, Rspack, Turbopack.

A finder gets a node and the script. It is used only if the script contains its marker: nearly every script is of one
bundler. The lines of the references count from 0.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.media import is_media
from version_affinity.checking.references import Base, Need, Reference

from .syntax import arguments_of, elements_of, literal, member, name, nodes, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tree_sitter import Node

#: The kind of the files that a service worker loads when it is installed; if one is missing, it is not installed.
PRECACHE: Final = "precache list"
#: The same in Workbox's list. Workbox copies a response that was redirected before it caches it.
WORKBOX_PRECACHE: Final = "precache list of Workbox"
PRECACHES: Final = frozenset({PRECACHE, WORKBOX_PRECACHE})

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
# The functions that make the names of webpack's chunks.
_FUNCTIONS: Final = ("arrow_function", "function_expression")
_EQUAL: Final = ("===", "==")
#: Nodes with the value of their only child.
_WRAPPERS: Final = ("parenthesized_expression", "return_statement", "statement_block", "template_substitution")
#: The greatest depth of an expression: a name is a sum of a dozen parts, a chain of conditions may have more.
_DEPTH: Final = 200
_MOST_CHUNKS: Final = 10_000
#: JavaScript writes smaller numbers without an exponent (ECMA-262, Number::toString).
_EXACT: Final = 1e21


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
        yield from literal(WORKBOX_PRECACHE, fields.get("url"), Need.CONTENT)


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


class _Call(NamedTuple):
    """A call of the function: the name of its parameter, and the id that is its argument."""

    parameter: str
    id: str


def chunk_names(function: Node, ids: Iterable[str] = ()) -> Iterator[str]:
    """Yield the names that webpack's function makes of its ids, or of ``ids`` if it has none."""
    body = function.child_by_field_name("body")
    parameter = _parameter(function)
    if function.type not in _FUNCTIONS or body is None or not parameter:
        return
    if body.type == "string":
        yield string(body) or ""
        return
    for chunk in list(_ids(body, parameter) or ids)[:_MOST_CHUNKS]:
        made = _value(body, _Call(parameter, chunk), _DEPTH)
        if made is not None:
            yield made


def _parameter(function: Node) -> str:
    """Return the name of a function's only parameter, else ""."""
    parameters = function.child_by_field_name("parameters")
    if parameters is None:
        return name(function.child_by_field_name("parameter"))
    return name(parameters.named_children[0]) if parameters.named_child_count == 1 else ""


def _ids(body: Node, parameter: str) -> dict[str, None]:
    """Return the ids in a function, each once: the keys of its maps, and values that it compares its parameter with."""
    found = (
        _key(node) if node.type == "pair" else _compared(node, parameter)
        for node in nodes(body, ("pair", "binary_expression"))
    )
    return dict.fromkeys(chunk for chunk in found if chunk is not None)


def _value(node: Node | None, call: _Call, depth: int) -> str | None:  # noqa: C901, PLR0911 - one for each kind of node
    """Return the text that an expression makes; None if it is undefined or not understood."""
    if node is None or depth == 0:
        return None
    kind = node.type
    if kind in ("string", "number"):
        return _constant(node)
    if kind == "identifier":
        return call.id if name(node) == call.parameter else None
    if kind == "string_fragment":
        return (node.text or b"").decode("utf-8", "replace")
    if kind in _WRAPPERS:
        return _value(node.named_children[0], call, depth - 1) if node.named_child_count == 1 else None
    if kind == "ternary_expression":
        compared = _compared(node.child_by_field_name("condition"), call.parameter)
        branch = "consequence" if compared == call.id else "alternative"
        return None if compared is None else _value(node.child_by_field_name(branch), call, depth - 1)
    if kind == "subscript_expression":
        return _looked_up(node, call, depth - 1)
    if kind == "template_string":
        return _joined([_value(child, call, depth - 1) for child in node.named_children])
    if kind == "binary_expression":
        first = _value(node.child_by_field_name("left"), call, depth - 1)
        if _operator(node) == "||" and first:
            return first
        second = _value(node.child_by_field_name("right"), call, depth - 1)
        return _joined([first, second]) if _operator(node) == "+" else second if _operator(node) == "||" else None
    return None


def _looked_up(node: Node, call: _Call, depth: int) -> str | None:
    """Return the value of a literal map, ``{7: "1a2b"}[id]``, for the id."""
    mapped, index = node.child_by_field_name("object"), _value(node.child_by_field_name("index"), call, depth)
    while mapped is not None and mapped.type == "parenthesized_expression" and mapped.named_child_count == 1:
        mapped = mapped.named_children[0]
    if mapped is None or mapped.type != "object" or index is None:
        return None
    pairs = (pair for pair in mapped.named_children if pair.type == "pair" and _key(pair) == index)
    return next((_constant(pair.child_by_field_name("value")) for pair in pairs), None)


def _compared(node: Node | None, parameter: str) -> str | None:
    """Return the value that a condition compares the parameter with; None for another expression."""
    if node is None or node.type != "binary_expression" or _operator(node) not in _EQUAL:
        return None
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if name(left) == parameter:
        return _constant(right)
    return _constant(left) if name(right) == parameter else None


def _key(pair: Node) -> str | None:
    key = pair.child_by_field_name("key")
    return name(key) if key is not None and key.type == "property_identifier" else _constant(key)


def _constant(node: Node | None) -> str | None:
    """Return a string, or a number as JavaScript writes it: minifiers write 6000 as 6e3."""
    if node is None or node.type != "number":
        return string(node)
    written = name(node)
    try:
        value = float(written)
    except ValueError:
        return written
    return f"{value:.0f}" if value.is_integer() and value < _EXACT else written


def _operator(node: Node) -> str:
    return name(node.child_by_field_name("operator"))


def _joined(parts: list[str | None]) -> str | None:
    return None if None in parts else "".join(part or "" for part in parts)


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
