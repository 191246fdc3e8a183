"""What commands print: tables and colours on a terminal, plain lines elsewhere, JSON where it is asked for.

Stdout is for what was asked for, stderr for everything else: progress, questions, warnings, reasons of a refusal.
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
#: Of a column that is cut: a letter, and the dots that say so.
_LEAST: Final = 4
#: In the context of a command: whether it is to print JSON, and whether it has.
_AS_JSON: Final = "version_affinity.as_json"
_HAS_JSON: Final = "version_affinity.has_json"
#: The colours have one meaning each, in all commands.
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warning": {"fg": "yellow"},
    "version": {"fg": "cyan"},
    "strong": {"bold": True},
    "faint": {"dim": True},
}


def is_terminal() -> bool:
    """Tell whether stdout is a terminal."""
    return sys.stdout.isatty()


def styled(text: str, style: str) -> str:
    """Return a text in a colour, which is taken out again where there is no terminal."""
    return click.style(text, **_STYLES[style])


def say(text: str = "") -> None:
    """Print a line, or several, of what was asked for."""
    click.echo(text)


def note(text: str) -> None:
    """Print a line to stderr: what helps, and was not asked for."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    note(f"{styled('Warning:', 'warning')} {printable(text, lines=True)}")


def emit(document: object) -> None:
    """Print a document as JSON. Letters beyond ASCII are escaped, so that it is the same in every locale."""
    _printed()
    click.echo(json.dumps(document, indent=2))


def emit_line(document: object) -> None:
    """Print a document as a line of JSON."""
    _printed()
    click.echo(json.dumps(document))


def _printed() -> None:
    context = click.get_current_context(silent=True)  # another thread has none
    if context is not None:
        context.meta[_HAS_JSON] = True


def awaits_json(context: click.Context) -> bool:
    """Tell whether a command was to print JSON, and has not."""
    return context.meta.get(_AS_JSON, False) and not context.meta.get(_HAS_JSON, False)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), flexible: Sequence[int] = ()
) -> None:
    """Print a table: aligned and with a header on a terminal; elsewhere, a line for each row, its cells behind tabs.

    Args:
        header: The names of the columns.
        rows: The cells, which may be styled.
        right: The columns that are aligned to the right, from 0 on.
        flexible: Those whose cells are cut, besides the last one, where the terminal is too narrow.
    """
    if not is_terminal():
        for row in rows:
            say("\t".join(click.unstyle(cell) for cell in row))
        return
    titles = [styled(title, "strong") for title in header]
    for line in aligned([titles, *rows], right=right, flexible=flexible):
        say(line)


def aligned(
    rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), flexible: Sequence[int] = (), indent: str = ""
) -> list[str]:
    """Return rows as lines whose cells stand below each other, and which fit the terminal where there is one."""
    columns = max(map(len, rows), default=0)
    widths = [max(width(click.unstyle(row[column])) for row in rows if column < len(row)) for column in range(columns)]
    if is_terminal() and columns:
        room = shutil.get_terminal_size().columns - len(indent) - _GAP * (columns - 1)
        _narrow(widths, {*flexible, columns - 1}, room)
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            takes = width(click.unstyle(cell))
            fitting = cell if takes <= widths[column] else cut(click.unstyle(cell), widths[column])
            padding = " " * (widths[column] - takes)
            cells.append(padding + fitting if column in right else fitting + padding)
        lines.append((indent + (" " * _GAP).join(cells)).rstrip())
    return lines


def _narrow(widths: list[int], flexible: Collection[int], room: int) -> None:
    """Make columns narrower until all fit, always the widest one of those that are flexible."""
    while sum(widths) > room:
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= _LEAST:
            return
        widths[widest] -= 1


def is_watched() -> bool:
    """Tell whether somebody looks on: stderr is a terminal, and it is no script that has asked for JSON."""
    return sys.stderr.isatty() and not prints_json()


def prints_json() -> bool:
    """Tell whether the running command has been asked for JSON."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(_AS_JSON, False)


class _WarningHandler(logging.Handler):
    """Shows what the library logs as this command's warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Show what the library logs, while the block lasts, as warnings on stderr."""
    logger = logging.getLogger("version_affinity")
    handler = _WarningHandler(logging.WARNING)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _set_as_json(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    context.meta[_AS_JSON] = value
    return value


json_option = click.option("--json", "as_json", is_flag=True, callback=_set_as_json, help="Print JSON.")
