"""When a version that is new may have traffic: once every worker, of every host, has had the time to be ready for it.

Workers look at the log, and load what is new, each for itself, so one of them is always the first. What it gives out
would come back to others that know nothing of it yet: a page's pin, or a file of a version that is still being loaded.
So each waits for a moment, in which it is ready for what others give out, and gives out nothing of it yet.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

#: Seconds that a version waits for other workers at most.
_LONGEST: Final = 10.0


class Loading(NamedTuple):
    """How a version was loaded: when that was done (``time.monotonic``), and how many seconds it took."""

    done: float
    seconds: float


class Settling:
    """The versions that wait.

    Args:
        interval: Seconds between two looks of a worker.

    What is there when a process starts waits for nobody: the others have it.

    >>> settling = Settling(3600)
    >>> settling.ready({"v1"}, {}), settling.ready({"v1", "v2"}, {})
    (frozenset({'v1'}), frozenset({'v1'}))
    """

    __slots__ = ("_next", "_pause", "_ready", "_started", "_waiting")

    def __init__(self, interval: float) -> None:
        # One look that all others have had, and one for a busy machine.
        self._pause: Final = min(2 * interval, _LONGEST)
        self._started: float | None = None
        self._ready: frozenset[str] = frozenset()
        # Version id to when it was first seen here with a share, of those that wait.
        self._waiting: dict[str, float] = {}
        self._next = math.inf

    def ready(
        self, published: AbstractSet[str], loadings: Mapping[str, Loading], *, not_before: float = 0.0
    ) -> frozenset[str]:
        """Return the versions that may have traffic: once one may, it stays so for as long as it is known.

        Args:
            published: Those that are here and have had a share.
            loadings: How those were loaded that are here.
            not_before: When those that wait may be ready at the earliest (``time.monotonic``).
        """
        now = time.monotonic()
        if self._started is None:
            self._started, self._ready = now, frozenset(published)
        waiting = {version: self._waiting.get(version, now) for version in published - self._ready}
        due = {
            version: max(since + self._pause, self._loaded_everywhere(loadings.get(version)))
            for version, since in waiting.items()
        }
        done = {version for version, then in due.items() if max(then, not_before) <= now}
        self._ready = (self._ready & published) | done
        self._waiting = {version: since for version, since in waiting.items() if version not in done}
        self._next = min((due[version] for version in self._waiting), default=math.inf)
        return self._ready

    def is_due(self, not_before: float = 0.0) -> bool:
        """Tell whether a version that waited for the last answer need not wait any longer."""
        return max(self._next, not_before) <= time.monotonic()

    def has_spread(self, loading: Loading | None) -> bool:
        """Tell whether the other workers of this host have loaded by now what this one has."""
        return self._loaded_everywhere(loading) <= time.monotonic()

    def _loaded_everywhere(self, loading: Loading | None) -> float:
        """Return when all have: they began a look later at most, and a busy machine may take longer for it."""
        if loading is None or (self._started is not None and loading.done <= self._started):
            return 0.0
        return loading.done + min(self._pause + 2 * loading.seconds, _LONGEST)
