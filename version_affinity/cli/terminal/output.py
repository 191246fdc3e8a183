"""What commands print: tables and colours on a terminal, plain lines elsewhere, JSON with ``--json``.

Results go to stdout. Progress, questions, warnings and errors go to stderr.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.wire import printable

from .text import cut, width

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_GAP: Final = 2
#: The smallest width of a column that is cut: a letter and three dots.
_NARROWEST: Final = 4
# Keys of click's context: whether JSON was asked for, and whether it was printed.
_AS_JSON: Final = "version_affinity.as_json"
_HAS_JSON: Final = "version_affinity.has_json"
#: Each colour means the same in all commands.
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warning": {"fg": "yellow"},
    "version": {"fg": "cyan"},
    "strong": {"bold": True},
    "faint": {"dim": True},
}


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def has_observer() -> bool:
    """Return whether a person is watching: stderr is a terminal, and no script has asked for JSON."""
    return sys.stderr.isatty() and not prints_json()


def prints_json() -> bool:
    """Return whether the running command has the option ``--json``."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(_AS_JSON, False)


def awaits_json(context: click.Context) -> bool:
    """Return whether a command still has to print its JSON document."""
    return context.meta.get(_AS_JSON, False) and not context.meta.get(_HAS_JSON, False)


def styled(text: str, style: str) -> str:
    """Return a text in a colour, which click removes where there is no terminal."""
    return click.style(text, **_STYLES[style])


def say(text: str = "") -> None:
    """Print a result to stdout."""
    click.echo(text)


def note(text: str) -> None:
    """Print a hint to stderr."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    note(f"{styled('Warning:', 'warning')} {printable(text, lines=True)}")


def emit(document: object, *, indent: int | None = 2) -> None:
    """Print a JSON document, in ASCII, so that it is the same in every locale."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_HAS_JSON] = True
    click.echo(json.dumps(document, indent=indent))


def emit_line(document: object) -> None:
    """Print a JSON document on one line."""
    emit(document, indent=None)


def say_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), flexible: Sequence[int] = ()
) -> None:
    """Print a table with a header on a terminal; elsewhere, one line per row with tabs between the cells.

    ``right``: the indexes of right-aligned columns. ``flexible``: of those that may be cut, besides the last one.
    """
    if not is_terminal():
        for row in rows:
            say("\t".join(click.unstyle(cell) for cell in row))
        return
    say_rows([[styled(title, "strong") for title in header], *rows], right=right, flexible=flexible, indent="")


def say_rows(
    rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), flexible: Sequence[int] = (), indent: str = "  "
) -> None:
    """Print rows with aligned cells."""
    for line in aligned(rows, right=right, flexible=flexible, indent=indent):
        say(line)


def aligned(
    rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), flexible: Sequence[int] = (), indent: str = "  "
) -> list[str]:
    """Return rows as lines with aligned cells. On a terminal, the lines fit its width."""
    columns = max(map(len, rows), default=0)
    widths = [max(width(click.unstyle(row[column])) for row in rows if column < len(row)) for column in range(columns)]
    if is_terminal() and columns:
        room = shutil.get_terminal_size().columns - len(indent) - _GAP * (columns - 1)
        _narrow(widths, {*flexible, columns - 1}, room)
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            needed = width(click.unstyle(cell))
            fitting = cell if needed <= widths[column] else cut(click.unstyle(cell), widths[column])
            padding = " " * (widths[column] - needed)
            cells.append(padding + fitting if column in right else fitting + padding)
        lines.append((indent + (" " * _GAP).join(cells)).rstrip())
    return lines


def _narrow(widths: list[int], flexible: Collection[int], room: int) -> None:
    """Narrow the widest flexible column, one step at a time, until all columns fit."""
    while sum(widths) > room:
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


class _WarningHandler(logging.Handler):
    """Prints the library's log records as warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print the library's log records as warnings on stderr while the block runs."""
    logger = logging.getLogger("version_affinity")
    handler = _WarningHandler(logging.WARNING)
    propagated = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _set_as_json(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    context.meta[_AS_JSON] = value
    return value


def json_parameter() -> click.Parameter:
    """Return the option ``--json``, which all commands have: their argument ``as_json``."""
    return click.Option(["--json", "as_json"], is_flag=True, callback=_set_as_json, help="Print JSON.")
