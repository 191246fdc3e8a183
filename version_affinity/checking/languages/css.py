"""The references of a style sheet: ``url()``, ``@import`` and the strings of ``image-set()``. Parsed by tinycss2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import tinycss2

from version_affinity.checking.references import Base, Document, Fault, Need, Reference, is_fragment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycss2.ast import Node

_IMAGE_SETS: Final = ("image-set", "-webkit-image-set")
_BLOCKS: Final = ("() block", "[] block", "{} block")
_REASONS: Final = {
    "bad-url": "a url() that is not closed or has invalid characters",
    "bad-string": "a string that is not closed",
}
#: Reported faults of one file: one open quote can make hundreds.
_FAULTS: Final = 10


def css_references(text: str, first_line: int = 1) -> Document:
    """Return the references of a style sheet, or of a ``style`` attribute, whose text begins at a line."""
    references: list[Reference] = []
    faults: list[Fault] = []
    rule = ""  # the rule that the next URL belongs to
    for token in _tokens(tinycss2.parse_component_value_list(text, skip_comments=True)):
        kind, line = token.type, first_line + token.source_line - 1
        if kind == "whitespace" or (kind == "ident" and rule == "namespace"):
            continue
        if kind == "at-keyword":
            rule = token.lower_value
            continue
        if rule == "supports" and kind != "{} block":
            continue  # a condition loads nothing
        if kind == "error" and token.kind in _REASONS and len(faults) < _FAULTS:
            faults.append(Fault(line, _REASONS[token.kind]))
        # The name of a namespace looks like a URL and is not loaded.
        if rule != "namespace":
            need = Need.FILE if rule == "import" else Need.CONTENT
            found_as, names = _named(token, is_import=rule == "import")
            references += (Reference(found_as, name, line, need, Base.FILE) for name in names)
        rule = ""
    return Document(tuple(found for found in references if not is_fragment(found.text)), tuple(faults))


def decoded(data: bytes) -> str:
    r"""Return text as browsers decode ``charset=utf-8``: a byte order mark outranks it.

    >>> decoded(b"\xff\xfea\x00"), decoded(b"\xef\xbb\xbfa\xff")
    ('a', 'a\ufffd')
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _tokens(tokens: Iterable[Node]) -> Iterator[Node]:
    """Yield all tokens in their order, those of blocks and functions included."""
    pending = [iter(tokens)]
    while pending:
        token = next(pending[-1], None)
        if token is None:
            pending.pop()
            continue
        yield token
        if token.type in _BLOCKS:
            pending.append(iter(token.content))
        elif token.type == "function":
            pending.append(iter(token.arguments))


def _named(token: Node, *, is_import: bool) -> tuple[str, list[str]]:
    """Return the kind of a token's URLs, and the URLs."""
    kind = "@import" if is_import else "url()"
    if token.type == "url" or (is_import and token.type == "string"):
        return kind, [token.value]
    if token.type == "function" and token.lower_name in ("url", *_IMAGE_SETS):
        strings = [part.value for part in token.arguments if part.type == "string"]
        return kind if token.lower_name == "url" else "image-set()", strings
    return "", []
