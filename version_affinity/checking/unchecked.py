"""The origins that seem to be the build's own, where nobody has said so: what refers to them is not checked.

Such an origin has a fingerprinted file of the build, by its whole path or by the path's end, since a CDN may have it in
a directory of its own; or it is where a page's ``<base>`` points. Of these, every reference counts: the file that is
missing matches none.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from version_affinity.wire import shown

from .origins import split
from .references import Base, cleaned, has_scheme, request_path, resolve
from .report import Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from version_affinity.assets.loading.asset import Asset

    from .origins import Origins
    from .references import Document, Reference

_HERE: Final = (Base.FILE, Base.PAGE)
_BEGINNINGS: Final = ("/", ".")


def unchecked(
    documents: Iterable[Document], files: Mapping[str, Asset], own: Origins, mount: str
) -> tuple[Unchecked, ...]:
    """Return the origins that seem to be the build's own, and are not said to be.

    Args:
        documents: What was found in its files.
        files: Its files.
        own: The origins that are said to be its own.
        mount: The path under which it is served, with "/" at both ends.
    """
    named: dict[str, list[str]] = {}
    for file, asset in files.items():
        if asset.fingerprinted:
            named.setdefault(_name(file), []).append(file)
    counts = Counter[str]()
    mounts: dict[str, set[str]] = {}
    for document in documents:
        base = _elsewhere(document.base or "", own)
        if base is not None:
            mounts.setdefault(base[0], set())
        for origin, path in _referred(document, base, own):
            counts[origin] += 1
            whole = request_path(resolve(path, "/"))
            found = {whole[: -len(file)] + "/" for file in named.get(_name(whole), ()) if whole.endswith(file)}
            if found:
                mounts.setdefault(origin, set()).update(found)
    return tuple(
        Unchecked(origin, counts[origin], "" if not found or mount in found else shown(min(found, key=len)))
        for origin, found in sorted(mounts.items())
        if counts[origin]
    )


def _referred(document: Document, base: tuple[str, str] | None, own: Origins) -> Iterator[tuple[str, str]]:
    """Yield the other origins that a file refers to, and the paths there."""
    for reference in document.references:
        there = _elsewhere(reference.text, own)
        if there is not None:
            yield there
        elif base is not None and _counts_from_base(reference):
            yield base[0], resolve(reference.text, resolve(base[1], "/"))


def _counts_from_base(reference: Reference) -> bool:
    """Tell whether a reference in a page is relative to its base: it names no host, and is no bare specifier."""
    text = cleaned(reference.text).replace("\\", "/")
    is_relative = not (text.startswith("//") or has_scheme(text))
    return is_relative and (reference.base in _HERE or text.startswith(_BEGINNINGS))


def _elsewhere(text: str, own: Origins) -> tuple[str, str] | None:
    """Return the origin of a URL and its path, where it has one that is none of a build's own."""
    parts = split(text)
    if parts is None or parts[0] in own:
        return None
    origin, path = parts
    return (f"https:{origin}" if origin.startswith("//") else origin), path


def _name(path: str) -> str:
    return path[path.rfind("/") + 1 :]
