"""The reports in a look: this worker writes its own, and reads those of the others while a version waits for them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from version_affinity.releases.log.entries import LogError
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.reports.hours import Hours
from version_affinity.releases.reports.report import LOG_ERRORS
from version_affinity.releases.reports.reporter import WorkerState
from version_affinity.releases.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from version_affinity.counters import Counts
    from version_affinity.ramp.failing import FailureNotes
    from version_affinity.releases.reports.report import Report, Reports, Workers
    from version_affinity.releases.reports.reporter import Reporter

    from .loaded import KnownVersions, LoadedVersions
    from .reading import LogReader

# A worker that waits for others spends at most this part of its time on reading reports: one in 20.
_SHARE: Final = 20
# Versions in a report that are uploaded and not known any more: the newest ones.
_UNLOADED: Final = 500
# Versions in a report that are not known any more: those that left last.
_LEFT: Final = 50


class Reporting:
    """Writes and reads the reports of the workers. ``reporter`` is None for a process that does not report.

    Attributes:
        loaded_by_all: The versions that all workers have loaded, as of the last reading; None if they cannot be read.
        loading: The versions that another worker is loading, as of the last reading.
    """

    def __init__(
        self,
        reports: Reports,
        reporter: Reporter | None,
        reader: LogReader,
        known: KnownVersions,
        loaded: LoadedVersions,
    ) -> None:
        self._reports = reports
        self._reporter = reporter
        self._reader = reader
        self._known = known
        self._loaded = loaded
        self.loaded_by_all: frozenset[str] | None = frozenset()
        self.loading: frozenset[str] = frozenset()
        self._reading_due = 0.0
        # The versions that were known at the last report, and those that were known before.
        self._were_known: set[str] = set()
        self._left: tuple[str, ...] = ()
        self._failures: FailureNotes | None = None
        self._hours = Hours()

    @property
    def is_on(self) -> bool:
        """Whether this process reports."""
        return self._reporter is not None

    @property
    def error(self) -> str:
        """Why this process cannot report; "" if it can, or should not."""
        return self._reporter.error if self._reporter is not None else ""

    def count(self, counts: Callable[[], Counts], failures: FailureNotes) -> None:
        """Report these counters and failures from now on."""
        self._failures = failures
        if self._reporter is not None:
            self._reporter.count(lambda: self._flat(counts()))

    def _flat(self, counts: Counts) -> dict[str, int]:
        log_errors = {LOG_ERRORS: self._reader.failures} if self._reader.failures else {}
        return {**counts.flat(), **self._hours.count(counts, utc_now()), **log_errors}

    def begin(self) -> None:
        """Begin anew in a forked process."""
        if self._reporter is not None:
            self._reporter.begin_if_forked()

    def draft(self, revision: int) -> Report | None:
        """Return the report of this process, which serves a revision, if one is due."""
        return None if self._reporter is None else self._reporter.draft(self._state(revision))

    def send(self, report: Report | None) -> None:
        """Write a report. This can take seconds, so call it in a thread of its own."""
        if self._reporter is not None and report is not None and self._may_be_tried:
            self._reporter.send(report, self._in_use)

    def finish(self, revision: int) -> None:
        """Write the last report of this process."""
        if self._reporter is not None and self._may_be_tried:
            self._reporter.finish(self._state(revision), self._in_use)

    def workers(self) -> Workers | None:
        """Return the reports of all workers, None if they cannot be read now. That may take seconds."""
        if self._may_be_tried and not self._reader.is_late:
            with suppress(LogError):
                return self._reports.read()
        return None

    def read(self) -> None:
        """Read which versions all workers have loaded, and which they are loading."""
        started = time.monotonic()
        if started < self._reading_due:
            return
        found, loading = None, set[str]()
        if not self.error and self._may_be_tried:  # otherwise the others may be unable to report either
            own = self._reporter.process if self._reporter is not None else ""
            with suppress(LogError):
                workers = self._reports.read()
                others = [it for it in (*workers.live, *workers.masters) if it.process != own]
                found = frozenset(self._loaded.versions).intersection(*(it.versions for it in others))
                loading = {version for it in others for version in it.loading if it.is_loading(version)}
        self.loaded_by_all, self.loading = found, frozenset(loading)
        ended = time.monotonic()
        self._reading_due = ended + _SHARE * (ended - started)

    def forget(self) -> None:
        """Forget what was read: a version that waits from now on waits for a new reading."""
        self.loaded_by_all = self.loading = frozenset()

    @property
    def _in_use(self) -> set[str]:
        """The versions that are deployed or known."""
        newest = self._reader.entries[-1].percentages if self._reader.entries else {}
        return {*newest, *(release.id for release in self._known.releases)}

    @property
    def _may_be_tried(self) -> bool:
        """Whether reports can be expected to be read and written now."""
        return self._reader.is_reachable or isinstance(self._reader.log, FileLog)

    def _state(self, revision: int) -> WorkerState:
        known = {release.id for release in self._known.releases}
        left = dict.fromkeys((*self._left, *sorted(self._were_known - known)))
        self._left = tuple(version for version in left if version not in known)[-_LEFT:]
        self._were_known = known
        return WorkerState(
            revision,
            self._reader.revision,
            tuple(self._loaded.versions),
            tuple(version for version in self._known.uploaded if version not in known)[-_UNLOADED:],
            self._loaded.reasons,
            self._loaded.loading,
            self._reader.error or self._reader.hang or self._known.error,
            self._left,
            failing=self._failures.encoded() if self._failures is not None else "",
        )
