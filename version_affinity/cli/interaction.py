"""Progress and questions, on a terminal's stderr, so that stdout can be redirected.

Progress of long work is one line: a bar, or the name of the work and its duration.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import click

from .errors import DeclinedError, RefusedError
from .output import cut, folded, has_observer, note, prints_json, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: The codes that show the terminal's other screen without a cursor, and those that show what was there before.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
#: The width of a terminal that does not report its width.
_COLUMNS: Final = 80
#: Below this width, the bar shows no remaining time.
_NARROW: Final = 60
#: The columns that a label leaves for the bar.
_LEAST: Final = 24

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show progress while the block runs; yield a function that takes the numbers of finished and of all steps.

    Until the first call, the line shows the label and the duration. Without a terminal, yield None.
    """
    if not has_observer():
        yield None
        return
    bar: Any = None

    def report(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            shown.close()
            bar = shown.enter_context(_bar(label, total))  # the first call brings the number of steps
        bar.update(done - bar.pos)

    with ExitStack() as shown:
        shown.enter_context(waiting(label))
        shown.enter_context(_clock(label))
        yield report


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Show a label on a terminal while the block runs."""
    if not has_observer():
        yield
        return
    _write(f"{label} ...")
    try:
        yield
    finally:
        click.echo("\r\x1b[K", err=True, nl=False, color=True)


def started(label: str) -> None:
    """Print a label to a log, where ``waiting`` shows nothing."""
    if not (has_observer() or prints_json()):
        note(f"{label} ...")


@contextmanager
def screen() -> Iterator[Callable[[Sequence[str]], None]]:
    """Show a page of lines on the terminal while the block runs; yield a function that replaces the whole page.

    The page is on the terminal's other screen, so that what was there before is there again at the end; also if a
    signal ends the process (SIGTERM, SIGHUP), and while it is stopped (Ctrl+Z).
    """
    has_colours = click.get_current_context().color is not False

    def draw(lines: Sequence[str]) -> None:
        columns, rows = shutil.get_terminal_size()
        page = [part for line in lines for part in folded(line, columns)]
        if len(page) > rows:
            page[rows - 1 :] = [cut(f"and {len(page) - rows + 1} more lines", columns)]
        text = "\x1b[K\n".join(page if has_colours else map(click.unstyle, page))
        # One write, which overwrites in place: erasing first would flicker.
        click.echo(f"\x1b[H{text}\x1b[K\x1b[J", nl=False, color=True)

    ending: list[int] = []

    def end(number: int, _frame: object) -> None:
        ending.append(number)
        raise KeyboardInterrupt

    def stop(number: int, _frame: object) -> None:
        _leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns when the process goes on
        signal.signal(number, stop)
        click.echo(_ENTER, nl=False, color=True)

    handlers = dict.fromkeys(("SIGTERM", "SIGHUP"), end) | {"SIGTSTP": stop}
    numbers = {getattr(signal, name): handler for name, handler in handlers.items() if hasattr(signal, name)}
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in numbers.items():
            if before[number] is not signal.SIG_IGN:  # as with nohup
                signal.signal(number, handler)
        click.echo(_ENTER, nl=False, color=True)
        yield draw
    finally:
        _leave()
        for number, earlier in before.items():
            signal.signal(number, earlier)
        for number in ending:
            os.kill(os.getpid(), number)  # end as if the signal had not been caught


def _leave() -> None:
    with suppress(OSError):  # the terminal may be gone
        click.echo(_LEAVE, nl=False, color=True)


def _bar(label: str, total: int) -> Any:
    """Return a progress bar that fits on one line: a longer one cannot be erased."""
    columns = _columns()
    has_time = columns >= _NARROW
    around = f"  []  {total}/{total}  1d 00:00:00" if has_time else f"  []  {total}/{total}"
    room = columns - 1 - len(around)
    shortened = cut(label, max(room // 2, room - _LEAST))
    return click.progressbar(
        length=total,
        label=shortened,
        file=sys.stderr,
        show_eta=has_time,
        show_pos=True,
        update_min_steps=1,
        width=max(room - width(shortened), 1),  # click replaces 0 by its own width
    )


def _write(text: str) -> None:
    click.echo(f"\r{cut(text, _columns() - 1)}", err=True, nl=False)


@contextmanager
def _clock(label: str) -> Iterator[None]:
    """Show the duration of the block every second: hashing one huge file can take minutes."""
    stopped = Event()
    began = monotonic()

    def show() -> None:
        while not stopped.wait(1):
            _write(f"{label} ... {timedelta(seconds=round(monotonic() - began))}")

    thread = Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _columns() -> int:
    """Return the width of stderr's terminal; stdout may be a pipe."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def can_ask() -> bool:
    """Return whether a person can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, outcome: str, *, yes: bool) -> None:
    """Ask for confirmation, unless ``yes``. A refusal names the outcome, such as "nothing is deployed"."""
    if yes:
        return
    if not can_ask():
        raise RefusedError(f"{outcome}: the command needs a confirmation, and there is no terminal. Pass -y to confirm")
    if not click.confirm(question, err=True):
        raise DeclinedError(outcome)


def ask(question: str, default: str, convert: Callable[[str], Any]) -> Any:
    """Ask until ``convert`` accepts the answer, which it rejects with ``click.UsageError``."""
    while True:
        answer = click.prompt(question, default=default, err=True, show_default=True)
        try:
            return convert(str(answer))
        except click.UsageError as error:
            click.echo(f"  {error.format_message()}", err=True)
