"""A script as a tree, read by tree-sitter: its nodes, and what names, strings and arguments among them say.

The tree is walked with a cursor: queries take quadratic time on a deep one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import tree_sitter_javascript
from tree_sitter import Language, Parser

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from tree_sitter import Node, Tree

_LANGUAGE: Final = Language(tree_sitter_javascript.language())
#: Bytes of the longest name that is looked for: ``navigator.serviceWorker``, ``document.currentScript.src``.
_LONGEST_NAME: Final = 64
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}


def parsed(data: bytes) -> Tree:
    """Return the tree of a script; what is no JavaScript makes nodes of its own in it."""
    return Parser(_LANGUAGE).parse(data)


def nodes(tree: Tree | Node, kinds: Container[str]) -> Iterator[Node]:
    """Yield the nodes of some kinds in a tree or below a node, each before those in it."""
    cursor = tree.walk()
    while True:
        node = cursor.node
        if node is not None and node.type in kinds:
            yield node
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


def first_error(tree: Tree) -> int | None:
    """Return the row, from 0, in which the parser found something else than it expected; None where it did not."""
    cursor = tree.walk()
    while True:
        node = cursor.node
        if node is None or not node.has_error:
            if not cursor.goto_next_sibling():
                return None
        elif node.is_error or node.is_missing or not cursor.goto_first_child():
            return node.start_point.row


def arguments_of(node: Node) -> list[Node]:
    """Return the arguments of a call or of ``new``."""
    arguments = node.child_by_field_name("arguments")
    if arguments is None or arguments.type != "arguments":  # a tagged template is a call, too
        return []
    return [argument for argument in arguments.named_children if argument.type != "comment"]


def elements_of(array: Node) -> list[Node]:
    """Return what stands in an array."""
    return [element for element in array.named_children if element.type != "comment"]


def member(node: Node) -> tuple[str, str]:
    """Return what stands before and after the last dot of a member expression; "" for what is long."""
    if node.type != "member_expression":
        return "", ""
    return name(node.child_by_field_name("object")), name(node.child_by_field_name("property"))


def name(node: Node | None) -> str:
    """Return a name as it is written, "" for what is too long to be one that is looked for."""
    if node is None or node.end_byte - node.start_byte > _LONGEST_NAME:
        return ""
    return (node.text or b"").decode("utf-8", "replace")


def string(node: Node | None) -> str | None:
    """Return the value of a string, or of a template without substitutions; None for anything else."""
    if node is None or node.type not in ("string", "template_string"):
        return None
    parts = []
    for child in node.named_children:
        text = (child.text or b"").decode("utf-8", "replace")
        if child.type == "escape_sequence":
            parts.append(_unescaped(text[1:]))
        elif child.type == "string_fragment":
            parts.append(text)
        else:
            return None
    return "".join(parts)


def _unescaped(escape: str) -> str:
    """Return what an escape sequence stands for, given without its backslash (ECMA-262 section 12.9.4)."""
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    if escape[:1] in ("x", "u"):
        digits = escape[1:].strip("{}")
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            return escape
    return escape
