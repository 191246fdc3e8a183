"""Files compressed beforehand: ``app.js.br``, ``app.js.zst`` and ``app.js.gz`` beside ``app.js``.

A sibling is trusted by its name if it is not older than its original, as nginx, Caddy and WhiteNoise trust it. Nothing
is decompressed. ``version-affinity compress`` writes siblings that are as old as their originals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .media import GZIPPED, extension

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .tree import Described, File

#: Content coding (RFC 9110 section 8.4.1) to the ending of the names of its files.
SUFFIXES: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}

#: What the names of compressed files end in.
ENDINGS: Final = tuple(SUFFIXES.values())

_CODINGS: Final = {suffix: coding for coding, suffix in SUFFIXES.items()}


def uncompressed(name: str) -> str:
    """Return a file's name without the endings of compressed files.

    >>> uncompressed("app.js.map.gz"), uncompressed("app.js")
    ('app.js.map', 'app.js')
    """
    while name.endswith(ENDINGS):
        name = name[: name.rindex(".")]
    return name


def siblings_of(files: Iterable[File]) -> dict[str, list[tuple[str, File]]]:
    """Return the compressed files of a directory with their codings, by the name of their original."""
    siblings: dict[str, list[tuple[str, File]]] = {}
    for file in files:
        if file.name.endswith(ENDINGS):
            dot = file.name.rindex(".")
            original = file.name[:dot]
            if original and extension(original) != GZIPPED:
                siblings.setdefault(original, []).append((_CODINGS[file.name[dot:]], file))
    return siblings


def why_unused(sibling: Described, original: Described) -> str:
    """Return why a sibling is not sent for its original, "" if it is."""
    if not sibling.size:
        return "it is empty"
    if sibling.mtime_ns < original.mtime_ns:
        return "it is older, so it may be the compressed form of other content"
    return ""
