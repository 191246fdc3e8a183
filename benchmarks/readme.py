"""The README's table: three of the rows, written between its markers; the words around it are the author's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .contestants import SHARED_DATA, WHITENOISE, ours
from .report import machine, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .report import Results, RowResult

# The rows that say most; the documentation has them all.
_SHOWN: Final = (
    "fingerprinted file: split, bytes shared by all",
    "index.html: split, cookie key and pin cookie",
    "passed to the app: HTML, app_first, cookie key and pin cookie",
)
_NOTHING: Final = "\N{EN DASH}"
_TABLE: Final = re.compile(r"(<!-- benchmark -->.*?^)Measured on: [^\n]*\n\n(?:\|[^\n]*\n)+", re.DOTALL | re.MULTILINE)


def write(results: Results, readme: Path) -> None:
    """Replace the table between the README's markers.

    Raises:
        ValueError: there is none.
    """
    written = "\n".join(_lines(results)) + "\n"
    text, replaced = _TABLE.subn(lambda found: found[1] + written, readme.read_text("utf-8"), count=1)
    if not replaced:
        raise ValueError(f"{readme} has no table after <!-- benchmark -->")
    readme.write_text(text, "utf-8")


def _lines(results: Results) -> Iterator[str]:
    main = ours(min(results.numbers, key=lambda number: abs(number - 2)))
    rows = next(iter(results.requests.values()))
    yield f"Measured on: {machine()}."
    yield ""
    yield from table(
        ("request", "version_affinity", WHITENOISE, SHARED_DATA),
        (_line(row, main) for row in rows if main in row.timings and row.title in _SHOWN),
    )


def _line(row: RowResult, main: str) -> tuple[str, ...]:
    shared = row.timings.get(SHARED_DATA)
    return (
        row.title,
        f"{row.timings[main].net:.2f}",
        f"{row.timings[WHITENOISE].net:.2f}",
        _NOTHING if shared is None else f"{shared.net:.2f}",
    )
