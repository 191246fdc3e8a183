"""When a version may get traffic for the first time: once all workers of all hosts have loaded it.

Each worker checks the log and loads new versions for itself, so one worker is always the first. Without a delay, the
pins and file names of its pages would reach workers that do not know the version yet. So each worker waits until all
workers report that they have loaded the version, before it sends pages of it. It serves its files meanwhile. A worker
that does not report that it loads the version, or that is loading it for minutes, is not waited for any longer.

Where the reports cannot be read, it waits for as long as the others need to load the version, by its own measure.
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

#: Seconds that a version waits at most for workers that do not say that they load it.
LONGEST: Final = 10.0
# Seconds that a version waits at most for workers that are loading it. A disk that hangs must not stop a rollout.
_LOADING: Final = 300.0
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
        self,
        published: AbstractSet[str],
        loadings: Mapping[str, Loading],
        *,
        loaded_by_all: AbstractSet[str] | None = None,
        loading: AbstractSet[str] = frozenset(),
        not_before: float = 0.0,
    ) -> frozenset[str]:
        """Return which of the ``published`` versions may get traffic. A version stays ready for as long as it is known.

        No version becomes ready before ``not_before`` (``time.monotonic``). ``loaded_by_all`` are the versions that all
        workers report as loaded, None if that is unknown; ``loading`` those that a worker reports to be loading.
        """
        now = time.monotonic()
        waiting = {version: self._waiting.get(version, now) for version in published - self._ready}
        due = {
            version: max(since + self.pause, self._loaded_everywhere(version, since, loadings, loaded_by_all, loading))
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

    @property
    def is_waiting(self) -> bool:
        """Whether a version waited at the last call of ``ready``."""
        return bool(self._waiting)

    def _loaded_everywhere(
        self,
        version: str,
        since: float,
        loadings: Mapping[str, Loading],
        loaded_by_all: AbstractSet[str] | None,
        loading_by_some: AbstractSet[str],
    ) -> float:
        """Return when all workers have loaded a version: they start a look later at most, and may take longer."""
        loading = loadings.get(version)
        if loading is None or (version in self._spread and loading.done <= self._started):
            return 0.0
        if loaded_by_all is None:
            return loading.done + self.pause + min(2 * loading.seconds, LONGEST)
        if version in loaded_by_all:
            return 0.0
        longest = _LOADING if version in loading_by_some else LONGEST
        return max(since, loading.done) + self.pause + longest
