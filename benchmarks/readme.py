"""The README's table: a selection of the rows, written between its markers; the words around it are the author's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .contestants import SHARED_DATA, WHITENOISE, ours
from .report import machine, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .report import Results, RowResult

# What the README leaves to the other report.
_LEFT_OUT: Final = re.compile(r"split among all|any file of the build|^304 .*from the disk|rescues counted: key header")
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
        ("request", "version_affinity", "bar", WHITENOISE, f"{WHITENOISE} ÷ ours", "bar", SHARED_DATA),
        (_line(row, main) for row in rows if main in row.timings and not _LEFT_OUT.search(row.title)),
    )


def _line(row: RowResult, main: str) -> tuple[str, ...]:
    mine, theirs = row.timings[main].net, row.timings[WHITENOISE].net
    ratio = theirs / mine
    missed = " (over)" if row.bar is not None and mine > row.bar else ""
    short = " (under)" if row.times is not None and ratio < row.times else ""
    shared = row.timings.get(SHARED_DATA)
    return (
        row.title,
        f"{mine:.2f}{missed}",
        _NOTHING if row.bar is None else f"{row.bar:g}",
        f"{theirs:.2f}",
        f"{ratio:.1f}{short}",
        _NOTHING if row.times is None else f"{row.times:g}",
        _NOTHING if shared is None else f"{shared.net:.2f}",
    )
