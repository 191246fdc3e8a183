"""The references of a web app manifest (W3C Web Application Manifest): its icons, screenshots and pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from version_affinity.checking.references import Document, Fault, Need, Reference, is_fragment

from .css import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Fields with lists of objects, and the member of an object that is a URL.
_LISTS: Final = (
    ("icons", "src", Need.CONTENT),
    ("screenshots", "src", Need.CONTENT),
    ("shortcuts", "url", Need.PAGE),
    ("file_handlers", "action", Need.PAGE),
)


def manifest_references(data: bytes) -> Document:
    """Return the references of a web app manifest."""
    text = decoded(data)
    try:
        manifest = json.loads(text)
    except json.JSONDecodeError as error:
        return Document(faults=(Fault(error.lineno, f"it is not valid JSON: {error.msg}"),))
    except (ValueError, RecursionError):
        return Document(faults=(Fault(1, "it is not JSON that can be parsed"),))
    if not isinstance(manifest, dict):
        return Document(faults=(Fault(1, "it is not a JSON object"),))
    found = (
        Reference(kind, value, _line(text, value), need)
        for kind, value, need in _values(manifest)
        if isinstance(value, str) and not is_fragment(value)
    )
    return Document(tuple(found))


def _values(manifest: dict[str, object]) -> Iterator[tuple[str, object, Need]]:
    """Yield the URLs of a manifest, with their field and need."""
    for field, member, need in _LISTS:
        for entry in _objects(manifest.get(field)):
            yield field, entry.get(member), need
            if field == "shortcuts":
                yield from ((field, icon.get("src"), Need.CONTENT) for icon in _objects(entry.get("icons")))
    yield "start_url", manifest.get("start_url"), Need.PAGE
    for target in _objects([manifest.get("share_target")]):
        yield "share_target", target.get("action"), Need.PAGE


def _objects(values: object) -> Iterator[dict[str, object]]:
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else iter(())


def _line(text: str, value: str) -> int:
    """Return the line of the first occurrence of a string: the JSON parser does not give it."""
    return text.count("\n", 0, max(text.find(json.dumps(value, ensure_ascii=False)), 0)) + 1
