"""The references of an HTML file, its inline styles and scripts included. Parsed by JustHTML.

The standard library's ``html.parser`` does not follow the HTML standard: it takes minutes for some files, and does not
know foreign content and templates. The content of a ``<template>`` is not loaded, except in a declarative shadow root.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from justhtml import Element, JustHTML

from version_affinity.checking.references import Document, Fault, Need, Reference, is_fragment

from . import css, javascript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from justhtml import Node

_ATTRIBUTES: Final = {
    (element, attribute): need
    for need, names in {
        Need.FILE: "script src, script href, script xlink:href",
        Need.CONTENT: "img src, input src, audio src, video src, video poster, source src, track src, embed src, "
        "object data, body background, image href, image xlink:href, use href, use xlink:href, feImage href, "
        "img srcset, source srcset, link imagesrcset",
        Need.PAGE: "iframe src, frame src, a href, area href, form action, button formaction, input formaction",
    }.items()
    for element, attribute in (name.split() for name in names.split(", "))
}
_SETS: Final = ("srcset", "imagesrcset")
_ICONS: Final = ("icon", "mask-icon", "apple-touch-icon", "apple-touch-icon-precomposed", "apple-touch-startup-image")
#: The first of a link's relations that is a key here counts; others (``canonical``) load nothing.
_RELATIONS: Final = {
    **dict.fromkeys(("stylesheet", "modulepreload"), Need.FILE),
    **dict.fromkeys(("preload", "manifest", "search", *_ICONS), Need.CONTENT),
    **dict.fromkeys(("prefetch", "prerender", "alternate"), Need.PAGE),
}
#: The kind of the link that loads a web app manifest.
MANIFEST_LINK: Final = "<link manifest>"
#: The kinds of references that no page needs.
MINOR: Final = frozenset((MANIFEST_LINK, "<link search>", *(f"<link {icon}>" for icon in _ICONS)))
#: A candidate of a set: its URL, and the descriptors after it, in which a comma may be in parentheses.
_URL: Final = re.compile(r"[ \t\n\f\r,]*([^ \t\n\f\r]+)")
_DESCRIPTORS: Final = re.compile(r"(?:[^,(]|\([^)]*\)?)*")
_CODE: Final = ("script", "style")
#: The script of Vite's plugin for old browsers whose attribute has the URL that SystemJS loads there.
_LEGACY_ENTRY: Final = "vite-legacy-entry"

#: The types of scripts with JavaScript (HTML standard, MIME Sniffing section 4.6); others hold data.
_SCRIPTS: Final = {
    *("", "module"),
    *(f"text/{name}" for name in ("javascript", "ecmascript", "jscript", "livescript", "x-javascript")),
    *(f"application/{name}" for name in ("javascript", "ecmascript", "x-javascript", "x-ecmascript")),
}


class _Tag(NamedTuple):
    name: str
    attributes: dict[str, str]
    line: int
    text: str
    text_line: int


def html_references(data: bytes) -> Document:
    """Return the references of an HTML file, which is UTF-8 unless it has another byte order mark."""
    parsed = JustHTML(data, sanitize=False, track_node_locations=True, scripting_enabled=False, encoding="utf-8")
    references: list[Reference] = []
    faults: list[Fault] = []
    import_maps: list[tuple[int, str]] = []
    base: str | None = None
    for element in _elements(parsed.root):
        references += (found for found in _own(element) if not is_fragment(found.text))
        if element.name == "base" and base is None:
            base = element.attributes.get("href")
        elif element.name == "script" and _kind(element) == "importmap":
            import_maps.append((element.text_line, element.text))
        for inner in _inner(element):
            references += inner.references
            faults += inner.faults
    is_partial = not any(node.name == "!doctype" for node in parsed.root.children or ())
    return Document(tuple(references), tuple(faults), base, tuple(import_maps), is_partial)


def _elements(root: Node) -> Iterator[_Tag]:
    pending = [root]
    while pending:
        node = pending.pop()
        attributes = {name: value or "" for name, value in (getattr(node, "attrs", None) or {}).items()}
        children = [child for child in getattr(node, "children", None) or () if child is not None]
        if isinstance(node, Element) and node.template_content is not None and "shadowrootmode" in attributes:
            children.append(node.template_content)
        pending += reversed([child for child in children if child.name != "#text"])
        if node.name.startswith(("#", "!")):
            continue
        texts = [child for child in children if child.name == "#text"] if node.name in _CODE else []
        text = "".join(child.data or "" for child in texts)
        line = node.origin_line or 1
        yield _Tag(node.name, attributes, line, text, (texts[0].origin_line or line) if texts else line)


def _own(element: _Tag) -> Iterator[Reference]:
    """Yield the references of an element's own attributes."""
    name, attributes, line = element.name, element.attributes, element.line
    if name == "link":
        yield from _link(element)
    elif name == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
        yield Reference("<meta refresh>", _refreshed(attributes.get("content", "")), line, Need.PAGE)
    elif name == "script" and _kind(element) not in _SCRIPTS:
        return
    elif name == "script" and attributes.get("id") == _LEGACY_ENTRY and "data-src" in attributes:
        yield Reference("<script data-src>", attributes["data-src"], line, Need.FILE)
    for attribute, value in attributes.items():
        need = _ATTRIBUTES.get((name, attribute))
        if need is not None:
            for url in _candidates(value) if attribute in _SETS else (value,):
                yield Reference(f"<{name} {attribute}>", url, line, need)


def _link(element: _Tag) -> Iterator[Reference]:
    attributes = element.attributes
    relation = next((word for word in attributes.get("rel", "").lower().split() if word in _RELATIONS), None)
    if relation is None or "href" not in attributes:
        return
    # "alternate stylesheet" is a style sheet.
    if "stylesheet" in attributes["rel"].lower().split():
        relation = "stylesheet"
    need = _RELATIONS[relation]
    if relation == "preload" and attributes.get("as", "").lower() in _CODE:
        need = Need.FILE
    yield Reference(f"<link {relation}>", attributes["href"], element.line, need)


def _inner(element: _Tag) -> Iterator[Document]:
    """Yield the references of an element's style sheet or script, and of its ``style`` attribute."""
    if element.name == "style":
        yield css.css_references(element.text, element.text_line)
    elif element.name == "script" and element.text.strip() and _kind(element) in _SCRIPTS:
        yield javascript.script_references(element.text.encode("utf-8", "replace"), element.text_line)
    if "style" in element.attributes:
        yield css.css_references(element.attributes["style"], element.line)


def _kind(script: _Tag) -> str:
    return script.attributes.get("type", "").partition(";")[0].strip().lower()


def _refreshed(content: str) -> str:
    """Return the URL of ``<meta http-equiv=refresh>``: ``5; url=/next``."""
    _, _, rest = content.replace(",", ";", 1).partition(";")
    rest = rest.strip()
    if rest[:3].lower() == "url" and rest[3:].lstrip().startswith("="):
        rest = rest[3:].lstrip()[1:].lstrip()
    return rest.partition(rest[0])[2].partition(rest[0])[0] if rest[:1] in ("'", '"') else rest


def _candidates(srcset: str) -> Iterator[str]:
    """Yield the URLs of a ``srcset`` (HTML standard, parsing a srcset attribute)."""
    at = 0
    while found := _URL.match(srcset, at):
        url = found[1].rstrip(",")
        if url:
            yield url
        at = found.end()
        descriptors = _DESCRIPTORS.match(srcset, at) if url == found[1] else None  # a comma ends the candidate
        at = at if descriptors is None else descriptors.end()
