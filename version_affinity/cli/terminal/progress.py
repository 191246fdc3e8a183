"""What a terminal shows of a long work while it lasts: a bar, or what is waited for, on one line of stderr."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import click

from .output import is_watched, note, prints_json
from .text import cut, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Of a terminal that does not say how wide it is.
_COLUMNS: Final = 80
#: Columns below which the time that is left is not told: the bar needs them.
_NARROW: Final = 60
#: Columns of a bar that a name may not take.
_LEAST: Final = 24
_AROUND: Final = len("  []  ")
_TIME: Final = len("  1d 00:00:00")


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show the progress of long work on a terminal; yield a function that takes the number of things done and of all.

    Until that is called, the line says what is going on and for how long. Without a terminal, it yields None.
    """
    if not is_watched():
        yield None
        return
    shown: list[Any] = []
    clock = ExitStack()

    def tell(done: int, total: int) -> None:
        if not shown:
            clock.close()
            _erase()
            shown.append(_bar(label, total).__enter__())  # its length is known from the first call on
        shown[0].update(done - shown[0].pos)

    _begin(label)
    clock.enter_context(_clock(label))
    try:
        yield tell
    finally:
        clock.close()
        if shown:
            shown[0].__exit__(None, None, None)
        else:
            _erase()


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Say on a terminal what is going on while the block lasts, where nobody can say how far it is."""
    if not is_watched():
        yield
        return
    _begin(label)
    try:
        yield
    finally:
        _erase()


def started(label: str) -> None:
    """Say in the log of a job what begins, and will be silent for a while: a line, where ``waiting`` shows nothing."""
    if not (is_watched() or prints_json()):
        note(f"{label} ...")


def _bar(label: str, total: int) -> Any:
    """Return a bar that fills the line: one that wraps is not erased, and fills the screen."""
    columns = _columns()
    has_time = columns >= _NARROW
    room = columns - 1 - _AROUND - len(f"{total}/{total}") - (_TIME if has_time else 0)
    shortened = cut(label, max(room // 2, room - _LEAST))
    return click.progressbar(
        length=total,
        label=shortened,
        file=sys.stderr,
        show_eta=has_time,
        show_pos=True,
        update_min_steps=1,
        width=max(room - width(shortened), 1),  # 0 would be click's own measure
    )


def _begin(label: str) -> None:
    click.echo(cut(f"{label} ...", _columns() - 1), err=True, nl=False)  # one line can be erased


@contextmanager
def _clock(label: str) -> Iterator[None]:
    """Show how long the block has taken, each second: one huge file can take minutes to read."""
    stopped = Event()
    began = monotonic()

    def show() -> None:
        while not stopped.wait(1):
            taken = timedelta(seconds=round(monotonic() - began))
            click.echo(f"\r{cut(f'{label} ... {taken}', _columns() - 1)}", err=True, nl=False)

    thread = Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _erase() -> None:
    click.echo("\r\x1b[K", err=True, nl=False, color=True)


def _columns() -> int:
    """Return how wide stderr's terminal is: stdout may be a pipe."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
