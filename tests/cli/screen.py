"""A real terminal: a command that runs in one, what it shows, and somebody who types."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

from tests.cli.commanding import environment, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds that anything may take on a busy machine.
PATIENCE = 60.0
CTRL_C, CTRL_D = "\x03", "\x04"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._seen = 0
        #: All that was shown until now, with the codes of colours.
        self.raw = ""

    @property
    def text(self) -> str:
        """All that was shown until now, without colours."""
        return _ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    def expect(self, text: str) -> str:
        """Wait until a text is shown, after the one that was expected last; return what stands up to it."""
        until = time.monotonic() + PATIENCE
        while True:
            found = self.text.find(text, self._seen)
            if found >= 0:
                before, self._seen = self.text[self._seen : found], found + len(text)
                return before
            assert time.monotonic() < until, f"{text!r} is not shown: {self.text}"
            if not self._read():
                raise AssertionError(f"it has ended, and {text!r} was not shown: {self.text}")

    def type(self, text: str) -> None:
        """Type."""
        if text == CTRL_C:
            time.sleep(0.2)  # input() misses a signal that comes between its prompt and its wait
        os.write(self._descriptor, text.encode())

    def send(self, number: int) -> None:
        """Send a signal to the command."""
        self._process.send_signal(number)

    def expect_code(self, code: str) -> None:
        """Wait until codes that control the terminal are sent."""
        until = time.monotonic() + PATIENCE
        while code not in self.raw:
            assert time.monotonic() < until, f"{code!r} is not sent"
            self._read()

    def end(self) -> int:
        """Wait until the command ends, and return its exit code."""
        until = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < until, f"it does not end: {self.text[-2000:]}"
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ready, f"nothing more is shown: {self.text}"
        try:
            block = os.read(self._descriptor, 1 << 16)
        except OSError:  # Linux, when the other side was closed
            return False
        self.raw += block.decode()
        return bool(block)


@contextlib.contextmanager
def terminal(
    cwd: Path, *arguments: str, columns: int = 120, stdout: int | None = None, **more: str
) -> Iterator[Terminal]:
    """Run a command in a terminal until the block ends.

    Args:
        cwd: Where.
        *arguments: The command's.
        columns: How wide the terminal is.
        stdout: Where stdout goes, None to the terminal.
        **more: More of the environment.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    def control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl+C is a signal

    process = subprocess.Popen(
        program(*arguments),
        cwd=cwd,
        env=environment(TERM="xterm-256color", **more),
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=control,  # noqa: PLW1509 - the tests start no thread that holds a lock there
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(ours)
