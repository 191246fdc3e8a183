"""When the thread that follows releases looks, and how a request asks it for a look."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

#: Seconds that a request waits at most.
PATIENCE: Final = 0.25


class Turns:
    """The looks of one thread: one per interval, and one more when a request asks for it.

    Args:
        interval: Seconds between two looks.
        first: Seconds until the first look; None is the interval.
    """

    __slots__ = ("_asked", "_due", "_ended", "_ending", "_interval", "_is_idle", "_is_looking", "_meeting", "_wanted")

    def __init__(self, interval: float, first: float | None = None) -> None:
        self._interval = interval
        self._meeting = threading.Condition()
        self._due = time.monotonic() + (interval if first is None else first)
        self._ending = False
        self._is_idle = True
        self._is_looking = False
        self._ended = 0  # looks
        self._wanted = 0  # the look whose end requests wait for
        self._asked = -math.inf

    def next(self) -> bool:
        """Wait until it is time to look; return False when the thread should end."""
        with self._meeting:
            self._is_idle = True
            now = time.monotonic()
            if self._due == math.inf:
                self._due = now + self._interval
            self._meeting.wait_for(lambda: self._ending or self._ended < self._wanted, max(0.0, self._due - now))
            self._due = math.inf
            self._is_idle = False
            self._is_looking = not self._ending
            return self._is_looking

    def done(self) -> None:
        """Report the end of a look to the requests that wait for it. A second call does nothing."""
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

    def end_if_idle(self) -> bool:
        """Have no more looks, unless one is under way or overdue; return whether the looks have ended."""
        with self._meeting:
            if self._is_idle and time.monotonic() < self._due:
                self._ending = True
                self._meeting.notify_all()
            return self._ending

    def ask(self) -> None:
        """Ask for a look and wait for its end, at most ``PATIENCE`` seconds.

        All requests of one interval share one look. A request that comes when others have waited in vain does not wait.
        """
        now = time.monotonic()
        with self._meeting:
            since = now - self._asked
            if self._ended >= self._wanted:  # no request waits
                if since < self._interval:
                    return
                self._asked = now
                # A look that has begun already may have seen an older state.
                self._wanted = self._ended + (2 if self._is_looking else 1)
                self._meeting.notify_all()
            elif since > PATIENCE:
                return
            wanted = self._wanted
            self._meeting.wait_for(lambda: self._ended >= wanted, PATIENCE)
