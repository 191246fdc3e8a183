"""Processes that are led through their work line by line, so that any of them can be stopped or killed anywhere.

A line of the modules that write a log makes one call of the system at most. So between two lines is wherever a process
can be when it is killed, and in whichever order the lines of several processes come, that is how they can interleave.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import signal
import struct
import sys
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from version_affinity.releases.log import file as file_log
from version_affinity.releases.log.entries import Entry
from version_affinity.releases.store import durable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

#: The modules whose lines count: those that call the system.
LED: tuple[ModuleType, ...] = (file_log, durable)
#: How many bytes are read and written in one step.
PIECE = 16

# A process sends its outcome; the percentages of an entry are a view of a mapping, which cannot be pickled.
copyreg.pickle(Entry, lambda entry: (Entry.from_document, (entry.as_document(),)))  # type: ignore[arg-type]


class Led:
    """A forked process that does some work, and waits before each line until it is led on.

    Args:
        work: What it does.
        modules: The modules whose lines count, beside those that a file log is made of.

    Attributes:
        outcome: What the work returned, or the error that it raised; None until it has ended, and when it was killed.
    """

    def __init__(self, work: Callable[[], Any], *modules: ModuleType) -> None:
        self.outcome: Any = None
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                os.close(self._commands)
                os.close(self._answers)
                _be_led(work, {module.__file__ for module in (*LED, *modules)} | {__file__}, commands, answers)
            finally:
                os._exit(0)
        os.close(commands)
        os.close(answers)
        self.is_alive = True

    def lead(self, lines: int) -> bool:
        """Let it go on for so many lines; tell whether there is more."""
        if self.is_alive:
            os.write(self._commands, struct.pack("<I", lines))
            if os.read(self._answers, 1) == b"!":
                with open(self._answers, "rb", closefd=False) as answers:
                    self.outcome = pickle.load(answers)  # noqa: S301 - of a child
                self._end()
        return self.is_alive

    def kill(self) -> None:
        """End it where it is."""
        if self.is_alive:
            os.kill(self._child, signal.SIGKILL)
            self._end()

    def _end(self) -> None:
        self.is_alive = False
        os.close(self._commands)
        os.close(self._answers)
        os.waitpid(self._child, 0)


def _be_led(work: Callable[[], Any], files: set[str | None], commands: int, answers: int) -> None:
    """Do some work line by line, as the commands say."""
    Path.open = _open_in_pieces
    file_log.WRITE_PATIENCE = 3600

    def command() -> int:
        told = os.read(commands, 4)
        if not told:
            os._exit(0)  # the parent has ended
        return struct.unpack("<I", told)[0]

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            if not left:
                os.write(answers, b".")
                left = command()
            left -= 1
        return trace

    left = command()
    sys.settrace(trace)
    try:
        outcome = work()
    except BaseException as error:  # noqa: BLE001 - the parent tells
        outcome = error
    sys.settrace(None)
    os.write(answers, b"!" + pickle.dumps(outcome))


class _InPieces(FileIO):
    """A file that is read and written as a system may do it: not all at once."""

    def write(self, data: Any) -> int:
        """Write the first bytes."""
        return super().write(memoryview(data)[:PIECE])

    def readall(self) -> bytes:
        """Read to the end, which may be another one when it is reached."""
        data = b""
        while piece := self.read(PIECE):
            data += piece
        return data


def _open_in_pieces(path: Path, mode: str = "r", **options: Any) -> IO[Any]:
    if options != {"buffering": 0}:
        return open(path, mode, **options)  # noqa: PTH123 - what Path.open does
    return _InPieces(path, mode.replace("b", ""))


def lines_of(work: Callable[[], Any], *modules: ModuleType) -> int:
    """Return how many lines some work takes."""
    process, count = Led(work, *modules), 1
    while process.lead(1):
        count += 1
    assert not isinstance(process.outcome, BaseException), process.outcome
    return count
