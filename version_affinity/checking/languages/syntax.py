"""A script as a tree, parsed by tree-sitter: its nodes, and the values of names, strings and arguments.

The tree is walked with a cursor: queries take quadratic time on a deep tree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import tree_sitter_javascript
from tree_sitter import Language, Parser

from version_affinity.checking.references import Base, Need, Reference

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from tree_sitter import Node, Tree

_LANGUAGE: Final = Language(tree_sitter_javascript.language())
#: Bytes of the longest name of interest: ``navigator.serviceWorker``, ``document.currentScript.src``.
_LONGEST_NAME: Final = 64
#: After one of these tokens, the rest of the statement or expression runs only under a condition.
_CONDITIONS: Final = frozenset(("if", "try", "case", "?", "&&", "||", "??", "&&=", "||=", "??="))
#: Modules may import and export reserved words (ECMA-262, ModuleExportName); the grammar refuses them.
_MODULE_NAMES: Final = re.compile(rb"\b(?:import|export)[\s\w$,*]{0,100}\{[\s\w$,'\"./-]*\}|\*\s*as\s+\w+\s+from\b")
_RESERVED: Final = re.compile(
    rb"\b(?:break|case|catch|class|const|continue|debugger|delete|do|else|export|extends|finally|for|function|if|import|in"
    rb"|instanceof|new|null|return|super|switch|this|throw|true|try|typeof|var|void|while|with)\b"
)
#: The grammar does not know import phases, and the former keyword of import attributes.
_PHASE: Final = re.compile(rb"\bimport\s+(source|defer)(?=\s+(?!from\b)[\w$*{])")
_ASSERT: Final = re.compile(rb"([\"'])(\s*)assert(?=\s*\{\s*type\s*:)")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}


def parsed(data: bytes) -> Tree:
    """Return the tree of a script. Text that is not JavaScript becomes nodes of its own type.

    >>> parsed(b"import {in as a} from './a.js'; export {a as do}; export default {b: new C}").root_node.has_error
    False
    """
    # Replacements have the same length: nodes are looked up in the script by their position.
    plain = _MODULE_NAMES.sub(_without_reserved, data)
    plain = _PHASE.sub(lambda phase: b"import".ljust(len(phase[0])), plain)
    return Parser(_LANGUAGE).parse(_ASSERT.sub(rb"\1\2with  ", plain))


def nodes(tree: Tree | Node, kinds: Container[str]) -> Iterator[Node]:
    """Yield the nodes of some kinds in a tree or below a node, each before those in it."""
    return (node for node, _, _ in placed_nodes(tree, kinds))


def placed_nodes(tree: Tree | Node, kinds: Container[str]) -> Iterator[tuple[Node, str, bool]]:
    """Yield such nodes, each with its field in its parent, such as "key", and whether it may be kept from running."""
    cursor = tree.walk()
    # For each level, whether its nodes depend on a condition.
    levels = [False]
    while True:
        node = cursor.node
        if node is not None:
            kind = node.type
            if kind in kinds:
                yield node, cursor.field_name or "", levels[-1]
            elif kind in _CONDITIONS:
                levels[-1] = True
        if cursor.goto_first_child():
            levels.append(levels[-1])
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            levels.pop()


def first_error(tree: Tree) -> int | None:
    """Return the row, from 0, of the first syntax error; None without one."""
    cursor = tree.walk()
    while True:
        node = cursor.node
        if node is None or not node.has_error or _is_raw_escape(node):
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return None
        elif node.is_error or node.is_missing or not cursor.goto_first_child():
            return node.start_point.row


def _is_raw_escape(node: Node) -> bool:
    r"""Return whether an error is an escape that only a tagged template may have: ``String.raw`\ufoo` ``."""
    return node.is_error and (node.text or b"")[:2] in (rb"\u", rb"\x")


def _without_reserved(names: re.Match[bytes]) -> bytes:
    """Return the names that a module imports or exports, with reserved words replaced by names of the same length."""
    head, brace, rest = names[0].partition(b"{" if b"{" in names[0] else b"as")
    return head + brace + _RESERVED.sub(lambda word: b"_" * len(word[0]), rest)


def arguments_of(node: Node) -> list[Node]:
    """Return the arguments of a call or of ``new``."""
    arguments = node.child_by_field_name("arguments")
    if arguments is None or arguments.type != "arguments":  # a tagged template is a call, too
        return []
    return [argument for argument in arguments.named_children if argument.type != "comment"]


def elements_of(node: Node | None) -> list[Node]:
    """Return the elements of an array; none of anything else."""
    if node is None or node.type != "array":
        return []
    return [element for element in node.named_children if element.type != "comment"]


def member(node: Node | None) -> tuple[str, str]:
    """Return the texts before and after the last dot of a member expression; "" for a long one or another node."""
    if node is None or node.type != "member_expression":
        return "", ""
    return name(node.child_by_field_name("object")), name(node.child_by_field_name("property"))


def name(node: Node | None) -> str:
    """Return a name as it is written; "" for one that is too long to be of interest."""
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


def literal(kind: str, node: Node | None, need: Need, base: Base = Base.FILE) -> Iterator[Reference]:
    """Yield the reference whose URL is the value of a string; none for another node. Its line counts from 0."""
    text = string(node)
    if node is not None and text is not None:
        yield Reference(kind, text, node.start_point.row, need, base)


def _unescaped(escape: str) -> str:
    """Return the character of an escape sequence, given without its backslash (ECMA-262 section 12.9.4)."""
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    try:
        return chr(int(escape[1:].strip("{}"), 16)) if escape[:1] in ("x", "u") else escape
    except (ValueError, OverflowError):
        return escape
