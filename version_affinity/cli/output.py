"""What commands print: tables and colours on a terminal, plain lines elsewhere, JSON with ``--json``; values as text.

Results go to stdout. Progress, questions, warnings and errors go to stderr.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.wire import plain_text, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_GAP: Final = 2
#: The smallest width of a column that is cut: a letter and three dots.
_NARROWEST: Final = 4
#: Keys of click's context: how the command line is called, whether JSON was asked for, and whether it was printed.
COMMAND: Final = "version_affinity.command"
AS_JSON: Final = "version_affinity.as_json"
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
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
_IDS: Final = "version_affinity.ids"  # a key of click's context
#: The shortest beginning of an id that a command takes for the id.
MIN_PREFIX: Final = 7
_UNCOMPARED: Final = 12  # the length of an id that cannot be compared with others
# A Git commit or another long hash, which is shortened for readers.
_HASH: Final = re.compile(r"[0-9a-f]{8}[0-9a-f-]{5,}")
_HASH_IN_TEXT: Final = re.compile(rf"(?<![\w./-]){_HASH.pattern}(?![\w./-]*[\w/-])")
# A number and its percent sign stay on one line.
_BETWEEN_WORDS: Final = re.compile(r" +(?!%)")
# The least that a table shows of a cell that it cuts.
_READABLE: Final = 7
# The smallest width of a terminal that shows a table.
_TABLE_WIDTH: Final = 60
#: A number below this one is shown with one decimal, since it rounds to less than 10.
TWO_DIGITS: Final = 9.95


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def has_observer() -> bool:
    """Return whether a person is watching: stderr is a terminal, and no script has asked for JSON."""
    return sys.stderr.isatty() and not prints_json()


def prints_json() -> bool:
    """Return whether the running command has the option ``--json``."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(AS_JSON, False)


def awaits_json(context: click.Context) -> bool:
    """Return whether a command still has to print its JSON document."""
    return context.meta.get(AS_JSON, False) and not context.meta.get(_HAS_JSON, False)


def as_typed(text: str) -> str:
    """Return a text in which commands begin as they are typed here, such as "flask affinity"."""
    context = click.get_current_context(silent=True)
    return text.replace("version-affinity ", f"{context.meta.get(COMMAND, 'version-affinity')} ") if context else text


def styled(text: str, style: str) -> str:
    """Return a text in a colour, which click removes where there is no terminal. A "version" is an id, shortened."""
    return click.style(short_id(text) if style == "version" else text, **_STYLES[style])


def set_ids(ids: Callable[[], Iterable[str]]) -> None:
    """Set the function that returns the ids among which ``short_id`` looks for a shorter one that is unique."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_IDS] = ids


def short_id(version: str) -> str:
    """Return an id for people: on a terminal, as much of a long hash as no other version begins with."""
    if not is_terminal() or prints_json() or not _HASH.fullmatch(version):
        return version
    context = click.get_current_context(silent=True)
    others = context.meta.get(_IDS, tuple)() if context is not None else ()
    length = MIN_PREFIX if others else _UNCOMPARED
    while any(other.startswith(version[:length]) for other in others if other != version):
        length += 1
    return version[:length]


def short_ids(text: str) -> str:
    """Return a text for people in which long hashes are shortened as ``short_id`` does; paths stay."""
    return _HASH_IN_TEXT.sub(lambda found: short_id(found[0]), text)


def say(text: str = "") -> None:
    """Print a result to stdout; on a terminal, lines that are too long are broken between words."""
    click.echo(_broken(text) if is_terminal() else text)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout; on a terminal, those that are too long are broken between words, commands too."""
    for line in lines:
        click.echo("\n".join(folded(line, shutil.get_terminal_size().columns)) if is_terminal() else line)


def say_heading(title: str) -> None:
    """Print a title after an empty line."""
    say(f"\n{styled(title, 'strong')}")


def note(text: str) -> None:
    """Print a hint to stderr, as ``say`` does."""
    click.echo(_broken(text) if sys.stderr.isatty() else text, err=True)


def _broken(text: str) -> str:
    """Return a text whose lines fit on a terminal. Lines with a command stay whole, so that people can copy it."""
    columns, command = shutil.get_terminal_size().columns, as_typed("version-affinity ")
    lines = text.split("\n")
    return "\n".join(part for line in lines for part in ([line] if command in line else folded(line, columns)))


def warn(text: str) -> None:
    """Print a warning to stderr."""
    note(as_warning(text))


def as_warning(text: str) -> str:
    """Return a warning as it is shown."""
    return f"{styled('Warning:', 'warning')} {printable(short_ids(as_typed(text)), lines=True)}"


def emit(document: object, *, indent: int | None = 2) -> None:
    """Print a JSON document, in ASCII, so that it is the same in every locale."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_HAS_JSON] = True
    click.echo(json.dumps(document, indent=indent))


def with_reasons(files: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return paths and what is wrong with each for JSON."""
    return [{"path": plain_text(path), "reason": reason} for path, reason in files]


def say_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    flexible: Sequence[int] = (),
    optional: Sequence[int] = (),
    text: int = 12,
    write: Callable[[str], None] = say,
) -> None:
    """Print rows with a header on a terminal; elsewhere, one line per row with tabs between the cells.

    A terminal that is too narrow gets a block per row. ``optional``: the indexes of columns that a table leaves out if
    its lines do not fit. ``text``: how many characters of the last column a table shows at least. The other arguments
    are those of ``say_rows``.
    """
    if not is_terminal():
        for row in rows:
            say("\t".join(map(click.unstyle, row)))
        return
    shown = [[styled(title, "strong") for title in header], *rows]
    widths, room = _widths(shown), shutil.get_terminal_size().columns - _GAP * (len(header) - 1)
    if sum(widths) > room:
        widths = _least(shown, flexible, text)
        if sum(widths) > room:
            shown = [["" if column in optional else cell for column, cell in enumerate(row)] for row in shown]
            room += _GAP * len(optional)
            widths = _least(shown, flexible, text)
    if sum(widths) > room or shutil.get_terminal_size().columns < _TABLE_WIDTH:
        for number, row in enumerate(rows):
            if number:
                write("")
            _say_block(header, row, write)
    else:
        say_rows(shown, right=right, flexible=flexible, indent="", write=write)


def _least(rows: Sequence[Sequence[str]], flexible: Sequence[int], text: int) -> list[int]:
    """Return the smallest widths of the columns of a table; see ``say_table``."""
    *most, last = _widths(rows)
    return [*(min(it, _READABLE) if column in flexible else it for column, it in enumerate(most)), min(last, text)]


def _say_block(header: Sequence[str], row: Sequence[str], write: Callable[[str], None]) -> None:
    """Print a row as one line per cell that is not empty, with its title. Long cells take several lines."""
    margin = max(map(len, header)) + _GAP
    room = max(shutil.get_terminal_size().columns - margin, _NARROWEST)
    for title, cell in zip(header, row, strict=True):
        plain = click.unstyle(cell)
        lines = [cell] if width(plain) <= room else textwrap.wrap(plain, room)
        if plain:
            label = f"{title.capitalize().replace('utc', 'UTC'):<{margin}}"
            write(f"{styled(label, 'faint')}{lines[0]}")
            for line in lines[1:]:
                write(" " * margin + line)


def say_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print titles and texts, those that are not empty; on a terminal, long texts take several lines."""
    shown = [fact for fact in facts if fact[1]]
    if is_terminal():
        titles, texts = zip(*shown, strict=True)
        _say_block(titles, texts, say)
    else:
        say_rows(shown, indent="")


def say_rows(
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    flexible: Sequence[int] = (),
    indent: str = "  ",
    write: Callable[[str], None] = say,
) -> None:
    """Print rows with aligned cells. On a terminal, the lines fit its width.

    ``right``: the indexes of right-aligned columns. ``flexible``: of those that may be cut, besides the last one.
    """
    widths = _widths(rows)
    columns = len(widths)
    if is_terminal() and columns:
        room = shutil.get_terminal_size().columns - len(indent) - _GAP * (columns - widths.count(0) - 1)
        while sum(widths) > room:  # narrow the widest flexible column by one step
            widest = max({*flexible, columns - 1}, key=widths.__getitem__)
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            needed = width(click.unstyle(cell))
            fitting = cell if needed <= widths[column] else cut(click.unstyle(cell), widths[column])
            padding = " " * (widths[column] - needed)
            cells.append(padding + fitting if column in right else fitting + padding)
        filled = (cell for cell, columns in zip(cells, widths, strict=False) if columns)
        write((indent + (" " * _GAP).join(filled)).rstrip())


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the widths of the columns."""
    columns = range(max(map(len, rows), default=0))
    return [max(width(click.unstyle(row[column])) for row in rows if column < len(row)) for column in columns]


def percent(value: float) -> str:
    """Return a percentage with at most three decimals.

    >>> percent(100 / 3), percent(50.0), percent(0.0004), percent(0)
    ('33.333 %', '50 %', '0.0004 %', '0 %')
    """
    return f"{number(value)} %"


def number(value: float) -> str:
    """Return a percentage without its sign, as a command accepts it.

    >>> number(66.66666666666667), number(99.9)
    ('66.667', '99.9')
    """
    shown = f"{value:.3f}".rstrip("0").rstrip(".")
    return shown if shown != "0" else f"{value:.1g}"


def shares(percentages: Mapping[str, float]) -> str:
    """Return the percentages of a deployment as text.

    >>> shares({"v1": 90.0, "v2": 10.0})
    'v1 90 %, v2 10 %'
    """
    return ", ".join(f"{short_id(version)} {percent(share)}" for version, share in percentages.items())


def size(count: int) -> str:
    """Return a number of bytes as text.

    >>> size(1), size(999), size(1234), size(12_345_678)
    ('1 byte', '999 bytes', '1.2 kB', '12 MB')
    """
    if count < _STEP:
        return counted(count, "byte")
    value = float(count)
    for unit in _UNITS:
        if round(value) < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.1f} {unit}" if value < TWO_DIGITS else f"{value:.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """Return a number and its noun, singular or plural.

    >>> counted(1, "file"), counted(1200, "file")
    ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def sentence(text: str) -> str:
    """Return a text with a capital letter at its beginning.

    >>> sentence("no user moves")
    'No user moves'
    """
    return f"{text[:1].upper()}{text[1:]}"


def amount(count: int) -> str:
    """Return a number with at most six characters or so.

    >>> amount(12345), amount(123_456), amount(12_345_678)
    ('12,345', '123k', '12.3M')
    """
    if count < 100 * _STEP:
        return f"{count:,}"
    return f"{count / _STEP:.0f}k" if count < _STEP**2 else f"{count / _STEP**2:.1f}M"


def listed(words: Iterable[str]) -> str:
    """Return words joined by commas and "and".

    >>> listed(["v1"]), listed(["v1", "v2"]), listed(["v1", "v2", "v3"])
    ('v1', 'v1 and v2', 'v1, v2 and v3')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def width(text: str) -> int:
    """Return the number of terminal columns of a text.

    >>> width("abc"), width("日本"), width("é")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def cut(text: str, columns: int) -> str:
    """Return a text, cut to a number of terminal columns.

    >>> cut("first 10 %", 8), cut("first", 8)
    ('first...', 'first')
    """
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 3:
        text = text[:-1]
    return f"{text}..." if columns > 3 else "." * columns  # noqa: PLR2004 - the dots themselves


def folded(line: str, columns: int) -> list[str]:
    """Return a line, or the lines that it fills on a terminal, broken between words. They begin like the first one.

    >>> folded("  10 % of the users move", 16)
    ['  10 % of the', '  users move']
    """
    if width(click.unstyle(line)) <= columns:
        return [line]
    indent = " " * (len(line) - len(line.lstrip(" ")))
    lines: list[str] = []
    for word in _BETWEEN_WORDS.split(line.strip(" ")):
        longer = f"{lines[-1]} {word}" if lines else ""
        if lines and width(click.unstyle(longer)) <= columns:
            lines[-1] = longer
        else:
            lines.append(f"{indent}{word}")
    return lines
