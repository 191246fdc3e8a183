"""When a version may get traffic for the first time: once all workers of all hosts have had time to load it.

Each worker checks the log and loads new versions for itself, so one worker is always the first. Without a delay, the
pins and file names of its pages would reach workers that do not know the version yet. So each worker waits for a
moment before it sends pages of the version, and serves its files meanwhile.
"""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.releases.times import parse_time, time_before, utc_now

from .reading import first_shares

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from version_affinity.releases.store.directory import Release

    from .reading import LogReader

#: Seconds that a version waits at most because it took long to load.
_LONGEST: Final = 10.0
# After this time, other workers have noticed and loaded a version. Their clocks may differ a little.
_NOTICED: Final = timedelta(minutes=1)


class Loading(NamedTuple):
    """How a version was loaded: when that ended (``time.monotonic``), and how many seconds it took."""

    done: float
    seconds: float


class Readiness:
    """The versions that wait for other workers, for ``pause`` seconds at least."""

    def __init__(self, interval: float) -> None:
        # One look of each other worker, and one more for a busy machine.
        self.pause = 2 * interval
        self._started = -math.inf
        # The versions that the other workers had loaded when this process started.
        self._spread: frozenset[str] = frozenset()
        self._ready: frozenset[str] = frozenset()
        # Each version that waits, and when it was first seen here with a share.
        self._waiting: dict[str, float] = {}
        self._next = math.inf

    def begin_with(self, uploaded: Mapping[str, Release], reader: LogReader, *, serves_users: bool) -> None:
        """Start, once all versions are loaded: versions that the other workers have had time to load do not wait."""
        if not serves_users or reader.is_away:
            # While the log is away, this process knows only what this host's other workers know.
            self.begin(spread=uploaded.keys(), ready=uploaded.keys())
            return
        noticed = time_before(utc_now(), _NOTICED)
        entries = reader.entries
        copied = reader.copied_until(noticed)
        ready = {
            version
            for version, entry in first_shares(entries).items()
            # Nothing was served before the first deployment. The clock of the host that deployed may be fast.
            if entry is entries[0] or parse_time(entry.created) <= noticed or entry.revision <= copied
        }
        spread = {version for version, release in uploaded.items() if parse_time(release.created) <= noticed}
        self.begin(spread=spread | ready, ready=ready)

    def begin(self, *, spread: AbstractSet[str], ready: AbstractSet[str]) -> None:
        """Start, once all versions are loaded."""
        self._started, self._spread, self._ready = time.monotonic(), frozenset(spread), frozenset(ready)

    def ready(
        self, published: AbstractSet[str], loadings: Mapping[str, Loading], *, not_before: float = 0.0
    ) -> frozenset[str]:
        """Return which of the ``published`` versions may get traffic. A version stays ready for as long as it is known.

        No version becomes ready before ``not_before`` (``time.monotonic``).
        """
        now = time.monotonic()
        waiting = {version: self._waiting.get(version, now) for version in published - self._ready}
        due = {
            version: max(since + self.pause, self._loaded_everywhere(version, loadings))
            for version, since in waiting.items()
        }
        done = {version for version, then in due.items() if max(then, not_before) <= now}
        self._ready = (self._ready & published) | done
        self._waiting = {version: since for version, since in waiting.items() if version not in done}
        self._next = min((due[version] for version in self._waiting), default=math.inf)
        return self._ready

    @property
    def remaining(self) -> float:
        """Seconds until the next version that waits may be ready, infinite if none waits."""
        return max(0.0, self._next - time.monotonic())

    def is_due(self, not_before: float = 0.0) -> bool:
        """Return whether a version that waited at the last call of ``ready`` may be ready now."""
        return max(self._next, not_before) <= time.monotonic()

    def has_spread(self, version: str, loadings: Mapping[str, Loading]) -> bool:
        """Return whether the other workers of this host have had time to load a version that this one has."""
        return self._loaded_everywhere(version, loadings) <= time.monotonic()

    def _loaded_everywhere(self, version: str, loadings: Mapping[str, Loading]) -> float:
        """Return when all workers have loaded a version: they start a look later at most, and may take longer."""
        loading = loadings.get(version)
        if loading is None or (version in self._spread and loading.done <= self._started):
            return 0.0
        return loading.done + self.pause + min(2 * loading.seconds, _LONGEST)
