"""When a version with its first share may have traffic: once all workers of all hosts are ready for it.

Workers look at the log, and load what is new, each for itself, so one of them is always the first. What it gives out
would come back to others that know nothing of it yet: a page's pin, or a file of a version that is still being loaded.
So each worker waits for a moment. Meanwhile it is ready for what others give out, and gives out nothing of it yet.
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


class Readiness:
    """The versions that wait.

    Args:
        interval: Seconds between two looks of a worker.

    >>> readiness = Readiness(3600)
    >>> readiness.begin(spread={"v1"}, ready={"v1"})
    >>> readiness.ready({"v1", "v2"}, {})
    frozenset({'v1'})
    """

    __slots__ = ("_begun", "_next", "_pause", "_ready", "_spread", "_waiting")

    def __init__(self, interval: float) -> None:
        # One look that all others have had, and one for a busy machine.
        self._pause: Final = min(2 * interval, _LONGEST)
        self._begun = -math.inf
        # The versions that the other workers had loaded when this process began.
        self._spread: frozenset[str] = frozenset()
        self._ready: frozenset[str] = frozenset()
        # Version id to when it was first seen here with a share, of those that wait.
        self._waiting: dict[str, float] = {}
        self._next = math.inf

    def begin(self, *, spread: AbstractSet[str], ready: AbstractSet[str]) -> None:
        """Note at the start, once all is loaded, how far the other workers are.

        Args:
            spread: The versions that they have had the time to load.
            ready: The versions that may have traffic at once.
        """
        self._begun, self._spread, self._ready = time.monotonic(), frozenset(spread), frozenset(ready)

    def ready(
        self, published: AbstractSet[str], loadings: Mapping[str, Loading], *, not_before: float = 0.0
    ) -> frozenset[str]:
        """Return the versions that may have traffic. Once a version may, it may for as long as it is known.

        Args:
            published: The versions that are here and have had a share.
            loadings: How the versions that are here were loaded.
            not_before: When those that wait may be ready at the earliest (``time.monotonic``).
        """
        now = time.monotonic()
        waiting = {version: self._waiting.get(version, now) for version in published - self._ready}
        due = {
            version: max(since + self._pause, self._loaded_everywhere(version, loadings))
            for version, since in waiting.items()
        }
        done = {version for version, then in due.items() if max(then, not_before) <= now}
        self._ready = (self._ready & published) | done
        self._waiting = {version: since for version, since in waiting.items() if version not in done}
        self._next = min((due[version] for version in self._waiting), default=math.inf)
        return self._ready

    @property
    def remaining(self) -> float:
        """Seconds until the next version that waits may be ready, infinite where none waits."""
        return max(0.0, self._next - time.monotonic())

    def is_due(self, not_before: float = 0.0) -> bool:
        """Return whether a version that waited at the last answer need not wait any longer."""
        return max(self._next, not_before) <= time.monotonic()

    def has_spread(self, version: str, loadings: Mapping[str, Loading]) -> bool:
        """Return whether the other workers of this host have loaded by now what this one has."""
        return self._loaded_everywhere(version, loadings) <= time.monotonic()

    def _loaded_everywhere(self, version: str, loadings: Mapping[str, Loading]) -> float:
        """Return when all have: they began a look later at most, and a busy machine may take longer for it."""
        loading = loadings.get(version)
        if loading is None or (version in self._spread and loading.done <= self._begun):
            return 0.0
        return loading.done + min(self._pause + 2 * loading.seconds, _LONGEST)
