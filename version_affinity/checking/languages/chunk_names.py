"""The names of webpack's chunks: the results of the function that makes them, for each id that it contains.

>>> from version_affinity.checking.languages.syntax import nodes, parsed
>>> made = parsed(b'id => "js/" + (7 === id ? "about" : id) + "." + {7: "1a2b", 9: "3c4d"}[id] + ".js"')
>>> [list(chunk_names(function)) for function in nodes(made, ["arrow_function"])]
[['js/about.1a2b.js', 'js/9.3c4d.js']]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .syntax import name, nodes, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node

_FUNCTIONS: Final = ("arrow_function", "function_expression")
_EQUAL: Final = ("===", "==")
#: Nodes with the value of their only child.
_WRAPPERS: Final = ("parenthesized_expression", "return_statement", "statement_block", "template_substitution")
#: The greatest depth of an expression: a name is a sum of a dozen parts, a chain of conditions may have more.
_DEPTH: Final = 200
_CHUNKS: Final = 10_000
#: JavaScript writes smaller numbers without an exponent (ECMA-262, Number::toString).
_EXACT: Final = 1e21


class _Call(NamedTuple):
    """A call of the function: the name of its parameter, and the id that is its argument."""

    parameter: str
    id: str


def chunk_names(function: Node, ids: Iterable[str] = ()) -> Iterator[str]:
    """Yield the names that a function makes of its ids, or of ``ids`` if it has none; none if it is not understood."""
    body = function.child_by_field_name("body")
    parameter = _parameter(function)
    if function.type not in _FUNCTIONS or body is None or not parameter:
        return
    if body.type == "string":
        yield string(body) or ""
        return
    for chunk in list(_ids(body, parameter) or ids)[:_CHUNKS]:
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
