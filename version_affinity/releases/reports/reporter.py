"""How a process reports itself: at most once a second, under a new id after a fork, with nothing counted twice."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.releases.log.entries import LogError
from version_affinity.releases.times import format_time, utc_now

from .report import HEARTBEAT, Report, birth_of, machine_id
from .totals import difference, still_counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .report import Reports

logger = logging.getLogger("version_affinity")

#: Seconds between two reports at least.
SHORTEST: Final = 1.0
# Seconds that a report at the end waits for another one.
_PATIENCE: Final = 2.0
# Characters of a text in a report.
_LONGEST: Final = 300


class WorkerState(NamedTuple):
    """What a process reports besides its counters; see ``Report``."""

    revision: int = 0
    log_revision: int = 0
    versions: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    failures: Mapping[str, str] = {}
    loading: Mapping[str, str] = {}
    error: str = ""
    left: tuple[str, ...] = ()
    failing: str = ""


class _Sent(NamedTuple):
    """The counters of this process as of a report."""

    number: int
    counts: Mapping[str, int]


class Reporter:
    """Writes the reports of this process.

    ``draft`` makes a report if one is due. ``send`` writes it, perhaps in another thread. A report whose writing failed
    may have been written all the same, so the next one has the same number and the same counters.

    Attributes:
        reports: Where they are written.
        process: The id of this process in its reports.
        error: Why this process cannot report; "" if it can.
    """

    def __init__(self, reports: Reports, *, host: str, interval: float) -> None:
        self.reports: Final = reports
        self.error = ""
        self._host: Final = host
        # Seconds after which this process counts as gone; it reports once per look at most.
        self._lifetime: Final = 3 * max(HEARTBEAT, interval)
        self._counts: Callable[[], Mapping[str, int]] = dict
        self._writing = threading.Lock()
        # Not at the start: thousands of processes may have left reports, and no server should wait for that.
        self._folding = time.monotonic() + HEARTBEAT
        self._unfolded = ""
        self._begin({})

    def _begin(self, base: Mapping[str, int]) -> None:
        """Begin a series of reports under a new id. Counters up to ``base`` are in another report, or in the total."""
        self.process = secrets.token_hex(8)
        self._pid, self._parent = os.getpid(), os.getppid()
        self._birth = birth_of(self._pid) or ""
        self._started = format_time(utc_now())
        self._base = base
        self._written = _Sent(0, base)
        self._sending: _Sent | None = None
        self._state: WorkerState | None = None
        self._ended = False
        self._due = self._heartbeat = 0.0

    def count(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Report these counters from now on."""
        self._counts = counts

    def begin_if_forked(self) -> None:
        """Begin anew in a forked process. The parent reports what was counted before."""
        if self._pid != os.getpid():
            self._writing = threading.Lock()  # that of the parent may be held
            self._begin(self._counts())

    def draft(self, state: WorkerState, *, ends: bool = False) -> Report | None:
        """Return a report if one is due, else None. The last one, with which the process ``ends``, is due at once."""
        self.begin_if_forked()
        now = time.monotonic()
        if self._ended or (now < self._due and not ends):
            return None
        counts = self._counts()
        is_same = state == self._state and counts == self._written.counts
        if is_same and self._sending is None and now < self._heartbeat and not ends:
            return None
        if self._sending is None:
            self._base = still_counted(self._base, counts)
            self._sending = _Sent(self._written.number + 1, counts)
        self._state = state
        failures = {version: reason[:_LONGEST] for version, reason in state.failures.items()}
        return Report(
            self.process,
            self._sending.number,
            host=self._host,
            pid=self._pid,
            machine=machine_id(),
            birth=self._birth,
            parent=self._parent,
            started=self._started,
            written=format_time(utc_now()),
            lifetime=self._lifetime,
            ended=ends,
            counts=difference(self._sending.counts, self._base),
            **state._replace(failures=failures, error=state.error[:_LONGEST])._asdict(),
        )

    def send(self, report: Report, known: Collection[str] = ()) -> None:
        """Write a report, and add what other processes have counted to the total. ``known``: see ``Reports.fold``."""
        if not self._writing.acquire(timeout=_PATIENCE):
            return
        try:
            self._write(report)
            self._fold(known, ends=report.ended)
        except LogError as error:
            self._fail(str(error))
        else:
            if self.error:
                logger.info("this host can report again")
            self.error = ""
        finally:
            self._writing.release()

    def _write(self, report: Report) -> None:
        sent = self._sending
        if sent is None or (report.process, report.number) != (self.process, sent.number):
            return  # written by another thread, at the end
        self._due = time.monotonic() + SHORTEST
        folded = self.reports.write(report, is_first=not self._written.number)
        if folded is None:
            self._written, self._sending, self._ended = sent, None, report.ended
            self._heartbeat = time.monotonic() + HEARTBEAT
            return
        # This process counted as gone, perhaps because its host was suspended. The total has one of its reports.
        base = sent.counts if folded == sent.number else self._written.counts if folded else self._base
        started = self._started
        self._begin(base)
        self._started = started

    def _fold(self, known: Collection[str], *, ends: bool) -> None:
        now = time.monotonic()
        if now < self._folding and not ends:  # a process that lives for a moment only does its part, too
            return
        self._folding = now + HEARTBEAT
        try:
            self.reports.fold(known)
        except LogError as error:
            if not self._unfolded:
                logger.warning("the counters of processes that have ended cannot be added up: %s", error)
            self._unfolded = str(error)
        else:
            self._unfolded = ""

    def _fail(self, error: str) -> None:
        if not self.error:
            logger.warning(
                "this host cannot report, so commands do not show what its workers serve and count: %s", error
            )
        self.error = error

    def finish(self, state: WorkerState, known: Collection[str]) -> None:
        """Write the last report of this process, at its end. ``known``: see ``Reports.fold``."""
        for _ in range(2):  # the first one may find that this process counted as gone
            report = self.draft(state, ends=True)
            if report is not None:
                self.send(report, known)
