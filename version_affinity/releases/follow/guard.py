"""The guard of a ramp in a worker: reads the reports of all workers, and writes the next entry that is due.

``ramp.next_entry`` decides which entry that is. Every worker looks, and the log takes one entry for each revision, so
exactly one of them writes it. Requests learn here which ramp they note failures for (``ramp.failing``).

If the log or the reports cannot be read, or the entry cannot be written, nothing changes: the next look computes all
anew.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.ramp.failing import Watched, failures_of
from version_affinity.ramp.judgement import Observed
from version_affinity.ramp.next_entry import look, ramp_history
from version_affinity.ramp.notify import notices_of
from version_affinity.ramp.plan import ACTIVE, Ramp
from version_affinity.releases.log.entries import LogConflictError, LogError
from version_affinity.releases.reports.figures import counted_until, figures_of
from version_affinity.releases.times import format_time, utc_now

from .threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from version_affinity.ramp.failing import FailureNotes
    from version_affinity.ramp.notify import RampNotice, Sender
    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.reports.report import Reports, Workers

    from .reading import LogReader

logger = logging.getLogger("version_affinity")

#: Seconds between two looks at least.
SHORTEST_PAUSE: Final = 1.0
# The events that are as planned.
_STEPS: Final = ("step due", "approval due", "bake over")
#: Seconds after a step until the process that wrote it logs which workers do not serve it.
FOLLOWED: Final = 10.0
#: Seconds after which another process sends the notice of an entry than the one that wrote it.
OTHERS: Final = 5.0
# How many reasons of workers that do not follow are named.
_NAMED: Final = 3
# Longest pause in seconds before a notice is sent again.
_LONGEST_PAUSE: Final = 60.0
# Seconds by which a look may be late.
_HANGS: Final = 5.0


class Guard:
    """Guards the newest ramp for one process.

    Args:
        reports: Those of all workers.
        reader: Reads the log.
        sender: Sends the notices of ramps.
        writes: Whether this process writes entries: False for one that only observes.
    """

    def __init__(self, reports: Reports, reader: LogReader, sender: Sender, *, writes: bool) -> None:
        self._reports = reports
        self._sender = sender
        self._reader = reader
        self._writes = writes
        self._failures: FailureNotes | None = None
        # The entries as of the last ``watch``, the ramp that they end with, its step and state, and when they arrived.
        self._entries: Sequence[Entry] = ()
        self._watched: Watched | None = None
        self._begun: Sequence[object] = ()
        self._arrived: datetime | None = None
        # When to look again, since when the reports are fresh, and when the newest one was written.
        self._due = 0.0
        self._fresh: float | None = None
        self._workers: Workers | None = None  # as of the last reading
        self._behind: dict[str, float] = {}  # since when each process does not serve the newest deployment
        # The new keys of each version when all workers first served the newest deployment; None before.
        self._followed: Mapping[str, int] | None = None
        self._written = -math.inf
        self._looked = 0.0
        # The newest entry that this process has written, and until when to wait for the workers to serve it.
        self._wrote: Entry | None = None
        self._waiting = -math.inf
        self._asked = -math.inf
        self._error = ""
        # The notices that may be unsent, when to send them next, the pause after a failure, and the sending itself.
        self._notices: Sequence[RampNotice] = ()
        self._sending_due = 0.0
        self._pause = SHORTEST_PAUSE
        self._sending: BackgroundCall | None = None

    def begin(self, failures: FailureNotes) -> None:
        """Let requests note their failures here from now on."""
        self._failures = failures
        self.watch()

    def watch(self) -> None:
        """Note failures for the newest ramp. Call it before the newest deployment is served."""
        entries = self._reader.entries
        if entries is self._entries or self._failures is None:
            return
        begun = _begun(entries)
        if begun != self._begun:
            # At the first look, nothing is known of when the entry arrived.
            self._arrived = utc_now() if self._entries else None
            self._begun, self._behind, self._followed = begun, {}, None
        try:
            watched = watched_ramp(entries)
        except ConfigurationError as error:
            self._say(f"the ramp in revision {entries[-1].revision} is left alone: {error}")
            watched = None
        self._failures.watch(watched)
        self._entries, self._watched, self._due = entries, watched, 0.0
        # The process that wrote the entry is the first one to send it. Earlier notices do not wait any longer for it.
        is_own = self._wrote is not None and entries and entries[-1].revision == self._wrote.revision
        if is_own or self._all_sent:
            self._sending_due = time.monotonic() + (0.0 if is_own else OTHERS)
        self._notices = notices_of(entries) if self._writes else ()

    def look(self) -> None:
        """Write the next entry of a ramp if it is due. It waits for the log, so run it in the thread that reads."""
        self._send()
        self._log_followed()
        watched, entries = self._watched, self._entries
        if watched is None or not watched.is_active:
            self._fresh, self._written = None, -math.inf
            return
        now = time.monotonic()
        if self._reader.error or now - self._looked > 2 * watched.look.total_seconds() + _HANGS:
            self._fresh = None  # the log, or this process, was away
        if now < self._due or not self._writes or self._reader.error:
            return
        self._looked = now
        found = look(entries, self._observe(watched, now), utc_now())
        pause = math.inf if found.again is None else (found.again - utc_now()).total_seconds()
        self._due = time.monotonic() + max(SHORTEST_PAUSE, min(pause, watched.look.total_seconds()))
        # A process that has read more: this one is about to, or the log has lost deployments and takes no other ones.
        is_newest = self._workers is None or not self._workers.ahead(entries[-1].revision)
        if found.entry is not None and is_newest:
            self._append(found.entry)

    def _observe(self, watched: Watched, now: float) -> Observed:
        """Return what the worker reports say."""
        try:
            workers = self._reports.read()
        except LogError as error:
            self._say(f"the guard of the ramp cannot read the worker reports: {error}")
            workers = None
        if workers is None or not workers.live:
            self._fresh = None
        else:
            self._fresh = now if self._fresh is None else self._fresh
            self._workers = workers
            self._written = now - min(abs(report.age) for report in workers.live)
        if self._written == -math.inf:
            self._written = now  # a process that has just started knows nothing of the time before
        newest = self._entries[-1]
        lagging = workers.lagging(newest) if workers is not None else []
        # A time without reports, or in which this process was away, does not count.
        since = now if self._fresh is None else self._fresh
        self._behind = {report.process: max(since, self._behind.get(report.process, now)) for report, _ in lagging}
        found = observed(
            workers,
            watched.key,
            newest,
            fresh_for=timedelta(seconds=0 if self._fresh is None else now - self._fresh),
            silent_for=timedelta(seconds=now - self._written),
            behind_for=timedelta(seconds=now - min(self._behind.values(), default=now)),
            arrived=self._arrived,
        )
        if workers is not None and workers.live and not lagging and self._followed is None:
            self._followed = found.new_keys
        return replace(found, followed=self._followed)

    def _append(self, entry: Entry) -> None:
        details = entry.details
        if self._workers is not None:
            details = replace(details, counted=counted_until(self._workers, entry.percentages))
        try:
            written = self._reader.log.append(entry.percentages, expected=entry.revision - 1, details=details)
        except LogConflictError:
            return  # another worker, or a person, was first
        except LogError as error:
            self._say(f"revision {entry.revision}, {entry.message!r}, cannot be written, and is tried again: {error}")
            return
        self._error = ""
        self._wrote = written
        if written.percentages != self._entries[-1].percentages:
            self._waiting = time.monotonic() + FOLLOWED
        is_step = entry.ramp is None or entry.ramp["evidence"]["event"] in _STEPS
        logger.log(
            logging.INFO if is_step else logging.WARNING, "wrote revision %d: %s", written.revision, entry.message
        )

    def _log_followed(self) -> None:
        """Log who serves a step that this process has written, once all workers do or the time for that is over."""
        now, entry = time.monotonic(), self._wrote
        if entry is None or self._waiting == -math.inf or now < self._asked + SHORTEST_PAUSE:
            return
        self._asked = now
        try:
            workers = self._reports.read()
        except LogError:
            return  # the next look says it
        behind = in_words(workers, entry)
        if workers.live and not behind:
            logger.info("%s", workers.serving(entry))
        elif now < self._waiting:
            return
        else:
            logger.warning("%s", behind or f"no worker reports that it serves revision {entry.revision}")
        self._waiting = -math.inf

    @property
    def _all_sent(self) -> bool:
        """Whether all notices were sent, by whichever process."""
        return not self._notices or self._notices[-1].entry.revision <= self._sender.sent

    def _send(self) -> None:
        """Send notices that were not sent yet, in a thread of its own."""
        if self._sending is not None:
            try:
                if not self._sending.has_ended(0.0):
                    return
            except (LogError, OSError) as error:
                self._say(f"the notices of the ramp cannot be sent, and are tried again: {error}")
            self._sending = None
            self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
            self._sending_due = time.monotonic() + self._pause
        if self._all_sent:
            self._pause = SHORTEST_PAUSE
        elif time.monotonic() >= self._sending_due and not self._reader.error:
            notices = self._notices
            self._sending = BackgroundCall(lambda: self._sender.send(notices), uses_network=True)

    def _say(self, error: str) -> None:
        """Log an error, once until something else is said or an entry is written."""
        if error != self._error:
            logger.error("%s", error)
        self._error = error


def _begun(entries: Sequence[Entry]) -> Sequence[object]:
    """Return what changes when a step or a state of a ramp begins. A warning changes nothing of it."""
    ramp = entries[-1].ramp if entries else None
    return () if ramp is None else [entries[-1].log_id, *map(ramp.get, ("id", "step", "state", "since"))]


def ramp_key(entries: Sequence[Entry]) -> str:
    """Return ``Watched.key`` of the ramp that consists of these entries."""
    first = Ramp.from_json(entries[0].ramp)
    # The id of the log too: a log that starts anew has the same revisions again.
    return f"{format_time(first.since, 'milliseconds')} {first.id} {entries[0].log_id}"


def watched_ramp(entries: Sequence[Entry]) -> Watched | None:
    """Return the newest ramp in a log, if the newest deployment belongs to it. Raises ``ConfigurationError``."""
    history = ramp_history(entries)
    if not history:
        return None
    first, newest = history[0], history[-1]
    return Watched(
        ramp_key(entries[-len(history) :]),
        newest.plan.version,
        first.first,
        first.since,
        newest.plan.look,
        {entry.revision: entry.percentages for entry in entries[-len(history) :]},
        newest.plan.guard,
        newest.state in ACTIVE,
    )


def in_words(workers: Workers, entry: Entry) -> str:
    """Return which workers do not serve a deployment, and why; "" if all do."""
    reasons = workers.lag_reasons(entry)
    more = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
    return f"{workers.serving(entry)}: {'; '.join([*reasons[:_NAMED], *more])}" if reasons else ""


def observed(
    workers: Workers | None,
    key: str,
    newest: Entry | None = None,
    *,
    fresh_for: timedelta,
    silent_for: timedelta,
    behind_for: timedelta = timedelta(0),
    arrived: datetime | None = None,
) -> Observed:
    """Return what the worker reports say of a ramp (``Watched.key``) whose newest entry is ``newest``.

    ``workers`` is None if they cannot be read. The new users since the newest entry count if all workers serve it now.
    """
    if workers is None:
        return Observed(fresh_for, silent_for, arrived=arrived)
    figures = figures_of(workers.counts)
    failures = failures_of(key, workers.failing)
    behind = in_words(workers, newest) if newest is not None else ""
    followed: Mapping[str, int] | None = None
    if newest is not None and newest.ramp is not None and workers.live and not behind:
        followed = Ramp.from_json(newest.ramp).evidence.get("keys", {})
    return Observed(
        fresh_for,
        silent_for,
        failing=failures.units,
        new_keys={version: it.new_keys for version, it in figures.items()},
        pages={version: it.pages for version, it in figures.items()},
        loaded=workers.loaded_by_all() or frozenset(),
        behind=behind,
        behind_for=behind_for,
        examples={signal: list(paths) for signal, paths in failures.examples.items()},
        followed=followed,
        arrived=arrived,
    )
