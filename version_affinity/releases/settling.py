"""When a version that is new may have traffic: once every worker, of every host, has had the time to be ready for it.

Workers look at the log, and load what is new, each for itself, so one of them is always the first. What it gives out
would come back to others that know nothing of it yet: a page's pin, or a file of a version that is still being loaded.
So each waits for a moment, in which it is ready for what others give out, and gives out nothing of it yet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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

    __slots__ = ("_pause", "_published", "_started", "_waiting_until")

    def __init__(self, interval: float) -> None:
        # One look that all others have had, and one for a busy machine.
        self._pause: Final = 2 * interval
        self._started: float | None = None
        # Version id to when it was first seen here with a share.
        self._published: dict[str, float] = {}
        self._waiting_until = 0.0

    def ready(self, published: Collection[str], loadings: Mapping[str, Loading]) -> frozenset[str]:
        """Return the versions that may have traffic.

        Args:
            published: Those that are here and have had a share.
            loadings: How those were loaded that are here.
        """
        now = time.monotonic()
        if self._started is None:
            self._started = now
        since = {version: self._published.get(version, now) for version in published}
        if self._started == now:
            since = dict.fromkeys(published, now - _LONGEST)
        self._published = since
        due = {
            version: max(time_of_share + min(self._pause, _LONGEST), self._loaded_everywhere(loadings.get(version)))
            for version, time_of_share in since.items()
        }
        self._waiting_until = min((time_due for time_due in due.values() if time_due > now), default=0.0)
        return frozenset(version for version, time_due in due.items() if time_due <= now)

    def is_due(self) -> bool:
        """Tell whether a version that waited for the last answer need not wait any longer."""
        return 0 < self._waiting_until <= time.monotonic()

    def has_spread(self, loading: Loading | None) -> bool:
        """Tell whether the other workers of this host have loaded by now what this one has."""
        return self._loaded_everywhere(loading) <= time.monotonic()

    def _loaded_everywhere(self, loading: Loading | None) -> float:
        """Return when all have: they began a look later at most, and a busy machine may take longer for it."""
        if loading is None or (self._started is not None and loading.done <= self._started):
            return 0.0
        return loading.done + min(self._pause + 2 * loading.seconds, _LONGEST)
