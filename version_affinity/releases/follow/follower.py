"""How a worker learns of a deployment: a thread checks the log and the directory, and hands over snapshots.

Each look, a few times per second (``threads.py``), goes through these steps:

1. ``KnownVersions.refresh`` (``loaded.py``): which versions are uploaded and known.
2. ``LogReader.poll`` (``reading.py``): read new deployments, in a thread of its own, so that a hung log stops nothing.
3. ``LoadedVersions.load`` (``loaded.py``): load new versions, in a thread of its own, so that a rollback can overtake.
4. ``Readiness.ready`` (``readiness.py``): which versions may get traffic, since all workers have loaded them.
5. ``effective_deployment`` (``reading.py``): the newest deployment that can be served here.
6. If anything has changed, hand a ``Snapshot`` to the middleware, which swaps its state.

A request sees either the state before or the state after, and waits for neither.

Before each reading of the log, the state and the counters of this process are reported (``reporting.py``), and the next
entry of a ramp is written if it is due (``guard.py``).
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from weakref import WeakMethod

from version_affinity.errors import ConfigurationError
from version_affinity.releases.reports.report import Observation
from version_affinity.rollout.background import run
from version_affinity.rollout.version import NothingDeployedError, Snapshot
from version_affinity.wire import printable

from .guard import Guard
from .loaded import KnownVersions
from .readiness import Readiness
from .reading import effective_deployment, missing_versions, published
from .reporting import Reporting
from .threads import STOP_TIMEOUT, BackgroundCall, LookingThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from version_affinity.counters import Counts
    from version_affinity.ramp.failing import FailureNotes
    from version_affinity.ramp.notify import Sender
    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.reports.report import Reports
    from version_affinity.releases.reports.reporter import Reporter
    from version_affinity.releases.store.directory import ReleasesDirectory

    from .loaded import LoadedVersions
    from .reading import LogReader

logger = logging.getLogger("version_affinity")

#: Seconds that a process waits at its start, at most, until a version with its first share may get traffic.
START_PATIENCE: Final = 2.0
#: Seconds that a look waits for the log at most: a log that hangs delays neither uploads nor the end of the process.
LOG_PATIENCE: Final = 0.25


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The state of a worker that follows releases."""

    # The newest deployment that it has read, 0 if there is none.
    revision: int
    # The deployment that it serves: an earlier one while this host has no version of the newest, or all get ready.
    serving: int
    # The percentages that it serves, without the versions that it lacks.
    percentages: Mapping[str, float]
    versions: tuple[str, ...]
    # The versions of the newest deployment that this host does not have, and why versions cannot be loaded.
    lacking: tuple[str, ...]
    failures: Mapping[str, str]
    # Why the log or the directory cannot be read; "" if they can.
    error: str
    # Why this process cannot report, so that commands do not know of it; "" if it can, or should not.
    report_error: str


class Follower(LookingThread):
    """Follows a log and a directory. ``reports`` are those of all workers; ``reporter`` writes this one's, if any.

    ``sender`` sends the notices of ramps.
    """

    def __init__(
        self,
        directory: ReleasesDirectory,
        reader: LogReader,
        loaded: LoadedVersions,
        *,
        interval: float,
        reports: Reports,
        reporter: Reporter | None,
        sender: Sender,
    ) -> None:
        super().__init__(interval)
        self._directory = directory
        self.reader = reader
        self._loaded = loaded
        self._known = KnownVersions(directory, reader)
        self.readiness = Readiness(interval)
        self._reporting = Reporting(reports, reporter, reader, self._known, loaded)
        self._guard = Guard(reports, reader, sender, writes=reporter is not None)
        # The deployments, as of the last look at them.
        self._seen: tuple[Entry, ...] = ()
        self._missing: tuple[str, ...] = ()
        self._served: Snapshot | None = None
        self._take: WeakMethod[Callable[[Snapshot], None]] | None = None

    # The start.

    def load(self) -> Snapshot:
        """Return the first snapshot, or raise ``ConfigurationError`` if no deployment can be served."""
        self.reader.load()
        if not self._known.refresh():
            raise ConfigurationError(
                f"the releases cannot be looked at: {self._known.error}: let this user read "
                f"{str(self._directory.uploads)!r}",
            )
        if not self.reader.entries:
            uploaded = ", ".join(self._known.uploaded) or "none yet"
            raise NothingDeployedError(
                f"nothing is deployed yet in {str(self._directory.path)!r} (uploaded: {uploaded}): deploy a version, "
                "for example `version-affinity versions deploy v1@100%`",
            )
        self._load_known()
        self.readiness.begin_with(self._known.uploaded, self.reader, serves_users=self._reporting.is_on)
        snapshot = self._snapshot()
        if snapshot is None:
            wanted = ", ".join(missing_versions(self.reader.entries, self._loaded.versions))
            failures = "".join(f"; {version}: {it.reason}" for version, it in self._loaded.failures.items())
            raise NothingDeployedError(
                f"no version of the deployment is in {str(self._directory.uploads)!r}: upload or copy there the "
                f"versions that it lacks ({wanted}){failures}",
            )
        self._served = snapshot
        self._log_missing()
        self.reader.save_copy()
        return snapshot

    def follow(self, take: Callable[[Snapshot], None], counts: Callable[[], Counts], failures: FailureNotes) -> None:
        """Hand over a snapshot whenever something has changed, and report the counts and the failures."""
        self._take = WeakMethod(take)
        self._reporting.count(counts, failures)
        self._guard.begin(failures)
        self.catch_up()
        self.start()
        if self.is_running():  # before the first request
            self.safely(lambda: self._reporting.send(self._reporting.draft(self._revision)))

    def catch_up(self) -> None:
        """Look in the caller's thread until nothing is new, before this process serves."""
        self.safely(self._catch_up)
        self._log_missing()

    def _catch_up(self) -> None:
        until = time.monotonic() + START_PATIENCE
        while True:
            while self._load_news():
                self._hand_over()
            if self.readiness.is_waiting and not self.reader.is_away:
                self._reporting.read()
                self._hand_over()
            # Rather wait for the newest deployment than serve one that the other workers have left. They report within
            # a second that they have loaded a version.
            wait, left = self.readiness.remaining, until - time.monotonic()
            is_told = self.readiness.is_waiting and self._reporting.loaded_by_all is not None
            if left <= 0 or self.reader.is_away or (wait > left and not is_told):
                return
            time.sleep(min(wait, left, self.interval))
            self._hand_over()

    def _load_news(self) -> bool:
        """Load until nothing is new: other versions may arrive during a load. Return whether anything was new.

        A log that cannot be read is not tried again here, since each attempt may take seconds.
        """
        is_new = False
        while True:
            if not self.reader.error:
                self.reader.refresh(now=True)
            if not (self._known.refresh() | self._is_log_new()):  # both
                return is_new
            is_new = True
            self._load_known()

    # A look.

    def look(self) -> None:
        """Look once at everything, and hand over what has changed."""
        if self._known.refresh() or self._loaded.is_due() or self.is_unfinished:
            self.is_unfinished = False
            self._update()
        if self._look_at_log():
            self._known.refresh()
            self._update()

    def _look_at_log(self) -> bool:
        """Read the log, and hand over what can be served of it at once. Return whether there was anything new."""
        report = self._reporting.draft(self._revision)

        def save_and_report() -> None:
            self.reader.save_copy()
            self._reporting.send(report)
            if self.readiness.is_waiting:
                self._reporting.read()
            self._guard.look()

        if not self.readiness.is_waiting:
            self._reporting.forget()
        self.reader.poll(min(self.interval, LOG_PATIENCE), before=save_and_report)
        is_new = self._is_log_new()
        if (is_new or self.readiness.is_waiting) and not self._is_loading():
            self._hand_over()
        return is_new

    def _is_log_new(self) -> bool:
        """Return whether the log has changed since the last call."""
        before, self._seen = self._seen, self.reader.entries
        return self._seen != before

    def _is_loading(self) -> bool:
        """Return whether a version with a share in the newest deployment is here and about to be loaded."""
        missing = self.reader.live_versions - self._loaded.versions.keys() - self._loaded.failures.keys()
        try:
            return bool(missing) and not missing.isdisjoint(self._directory.versions())
        except (OSError, ConfigurationError):
            return False  # nothing is loaded while the directory cannot be read

    def _update(self) -> None:
        """Load the known versions in a thread of their own; meanwhile deployments are followed, such as a rollback."""
        loading = BackgroundCall(self._load_known)
        while not loading.has_ended(self.interval):
            self._look_at_log()
            served = self._served
            if served and served.deployment.revision != self.reader.revision and not self._is_loading():
                self._hand_over()  # the versions that are still being loaded have no share
        self._hand_over()
        self._log_missing()

    def _load_known(self) -> None:
        self._loaded.load(self._known.releases, first=self.reader.live_versions)

    def _snapshot(self) -> Snapshot | None:
        versions, entries = self._loaded.versions, self.reader.entries
        shown = published(entries, versions)
        ready = self.readiness.ready(
            shown,
            self._loaded.loadings,
            loaded_by_all=self._reporting.loaded_by_all,
            loading=self._reporting.loading,
            not_before=self.reader.known_to_all,
        )
        found = effective_deployment(self._directory.name, entries, versions, ready)
        return None if found is None else Snapshot(MappingProxyType(versions), *found, shown)

    def _hand_over(self) -> None:
        self._guard.watch()
        snapshot, served = self._snapshot(), self._served
        if snapshot is None or (
            served is not None and snapshot == served and snapshot.deployment.revision == served.deployment.revision
        ):
            return
        take = self._take() if self._take is not None else None
        if take is not None:
            run(take, snapshot)
            self._served = snapshot
            if served is not None and snapshot.deployment.revision != served.deployment.revision:
                self._log_deployment(snapshot)

    def _log_start(self) -> None:
        """Log what this worker starts with."""
        served, versions = self._served, self._loaded.versions
        releases = [release for version, release in self._known.uploaded.items() if version in versions]
        logger.info(
            "worker %d serves revision %d: %s; loaded versions: %d, files: %s, bytes: %s",
            os.getpid(),
            self._revision,
            _in_words(served.deployment.percentages) if served else "nothing",
            len(versions),
            f"{sum(release.files for release in releases):,}",
            f"{sum(release.size for release in releases):,}",
        )

    def _log_deployment(self, snapshot: Snapshot) -> None:
        revision = snapshot.deployment.revision
        entry = next((entry for entry in reversed(self.reader.entries) if entry.revision == revision), None)
        logger.info(
            "worker %d follows revision %d%s: %s",
            os.getpid(),
            revision,
            f" by {printable(entry.author)}" if entry is not None and entry.author else "",
            _in_words(snapshot.deployment.percentages),
        )

    def _log_missing(self) -> None:
        missing = missing_versions(self.reader.entries, self._loaded.versions)
        if missing == self._missing:
            return
        self._missing = missing
        if missing:
            logger.warning(
                "deployment %d has versions that are not on this host, and get no traffic here until they are: %s",
                self.reader.revision,
                ", ".join(missing),
            )
        else:
            logger.warning("all versions of deployment %d are on this host", self.reader.revision)

    def observe(self) -> Observation:
        """Return the deployments and the reports of all workers. That may take seconds."""
        reader = self.reader
        return Observation(
            reader.entries, self._reporting.workers(), reader.error or reader.hang, self._reporting.error
        )

    def status(self) -> WorkerStatus:
        """Return the state of this worker."""
        served, reader = self._served, self.reader
        versions = self._loaded.versions
        return WorkerStatus(
            reader.revision,
            self._revision,
            dict(served.deployment.percentages) if served else {},
            tuple(versions),
            missing_versions(reader.entries, versions),
            self._loaded.reasons,
            reader.error or reader.hang or self._known.error,
            self._reporting.error,
        )

    @property
    def _revision(self) -> int:
        """The revision that is served, 0 for none."""
        return self._served.deployment.revision if self._served else 0

    # The thread.

    def is_needed(self) -> bool:
        """Return whether the middleware still exists, and has not been closed."""
        return self._take is not None and self._take() is not None

    def disconnect(self) -> None:
        """Wait for the log, and close it."""
        self.reader.disconnect(STOP_TIMEOUT)

    def begin(self) -> None:
        """Report this process anew, and log what it serves."""
        self._reporting.begin()
        self._log_start()

    def finish(self) -> None:
        """Report for the last time, unless that could take long."""
        if self._served is not None:
            self._reporting.finish(self._revision)

    def close(self) -> None:
        """Stop following. The last snapshot stays."""
        self._take = None
        self.stop()
        self.safely(self.finish)
        self.reader.disconnect()


def _in_words(percentages: Mapping[str, float]) -> str:
    """Return percentages such as "v1 90 %, v2 10 %"."""
    return ", ".join(f"{version} {share:g} %" for version, share in percentages.items())
