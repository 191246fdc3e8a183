"""Where the thread that looks and the requests that ask for a look meet."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

#: Seconds that a request waits at most.
PATIENCE: Final = 0.25


class Turns:
    """The looks of one thread: one in each interval, and one more when a request asks for it.

    Args:
        interval: Seconds between two looks.
    """

    __slots__ = ("_asked", "_ended", "_ending", "_interval", "_is_looking", "_meeting", "_wanted")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._meeting = threading.Condition()
        self._ending = False
        self._is_looking = False
        self._ended = 0  # looks
        self._wanted = 0  # the look whose end requests wait for
        self._asked = -math.inf

    def next(self) -> bool:
        """Wait until it is time to look; False when there is nothing to look for any more."""
        with self._meeting:
            self._meeting.wait_for(lambda: self._ending or self._ended < self._wanted, self._interval)
            self._is_looking = not self._ending
            return self._is_looking

    def done(self) -> None:
        """Say that a look has ended; again, it does nothing."""
        with self._meeting:
            if self._is_looking:
                self._is_looking = False
                self._ended += 1
                self._meeting.notify_all()

    def end(self) -> None:
        """Have no more looks."""
        with self._meeting:
            self._ending = True
            self._meeting.notify_all()

    def ask(self) -> None:
        """Ask for a look and wait for its end, for a moment at most.

        There is one look in an interval for all who ask, and nobody joins those who have waited in vain.
        """
        now = time.monotonic()
        with self._meeting:
            since = now - self._asked
            if self._ended >= self._wanted:  # nobody waits
                if since < self._interval:
                    return
                self._asked = now
                # One that has begun already may have seen what was before.
                self._wanted = self._ended + (2 if self._is_looking else 1)
                self._meeting.notify_all()
            elif since > PATIENCE:
                return
            wanted = self._wanted
            self._meeting.wait_for(lambda: self._ended >= wanted, PATIENCE)
