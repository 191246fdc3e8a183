"""The deployments of a log as far as a worker could read them, and what it says of itself there."""

from __future__ import annotations

import logging
import math
import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.counters import LimitedLog
from version_affinity.deployment import Deployment
from version_affinity.errors import ConfigurationError
from version_affinity.releases.log.entries import LogError, LogLostError, LogUnavailableError, is_continued
from version_affinity.releases.reports.presence import Presence
from version_affinity.releases.times import NEVER, parse_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.log.local_copy import LocalCopy


logger = logging.getLogger("version_affinity")

#: Seconds between two reports of a host that is alive: three are lost before others take it for gone.
HEARTBEAT: Final = 5.0
# Seconds until a log that cannot be read is asked again, at most. Who asks late also follows late.
_LONGEST_PAUSE: Final = 1.0


class LogReader:
    """Reads a log, keeps what was read while it cannot be, and asks again after a pause that grows.

    A log that holds less than was read from it, or something else, is one that cannot be read.

    Args:
        log: The log.
        interval: Seconds between two readings.
        copy: Where this host keeps what it has read, to start from: a worker that is restarted while the log cannot be
            read serves what all others do.

    Attributes:
        entries: All deployments, oldest first.
        error: Why the log cannot be read now; "" when it can.
        confirmed: When the log was read last (or, where only the copy was, when its newest deployment was made).
        report_error: Why other hosts cannot be told what this one has; "" when they can.
    """

    __slots__ = (
        "_copy",
        "_due",
        "_error_log",
        "_hangs",
        "_interval",
        "_is_there",
        "_kept",
        "_log",
        "_pause",
        "_recovered",
        "_report_due",
        "_reported",
        "_unconfirmed",
        "_unkept",
        "confirmed",
        "entries",
        "error",
        "report_error",
    )

    def __init__(self, log: DeploymentLog, *, interval: float, copy: LocalCopy) -> None:
        self._log = log
        self._interval = interval
        self._copy = copy
        self._due = 0.0
        self._pause = 0.0
        self._reported: tuple[object, ...] = ()
        self._report_due = 0.0
        self._recovered = -math.inf
        # Whether there is somebody to report to, also where the deployments are lost: then it matters most.
        self._is_there = True
        # What comes from the copy is not known to be what the log has.
        self._unconfirmed = False
        self._unkept = False
        # The newest revision of the copy that this process began with, and when that copy was written.
        self._kept = 0, NEVER
        self._error_log = LimitedLog(logging.ERROR)
        self._hangs = False
        self.entries: tuple[Entry, ...] = ()
        self.confirmed = NEVER
        self.error = ""
        self.report_error = ""

    @property
    def revision(self) -> int:
        """The revision of the newest deployment, 0 when there is none."""
        return self.entries[-1].revision if self.entries else 0

    @property
    def known_to_all(self) -> float:
        """From when on others know what this process has read (``time.monotonic``), so far as that can be told.

        A log that has gone away since may never have told them. When it is back, they may still pause.
        """
        return math.inf if self.is_away else self._recovered + _LONGEST_PAUSE + self._interval

    @property
    def is_away(self) -> bool:
        """Whether there may be deployments that this process cannot read now."""
        return bool(self.error) or self._hangs

    def note_hang(self, *, hangs: bool) -> None:
        """Note whether a reading in another thread takes far too long."""
        if self._hangs and not hangs:
            self._recovered = time.monotonic()
        self._hangs = hangs

    @property
    def uses_network(self) -> bool:
        """Whether reading waits for the network, not for the disk."""
        return isinstance(self._log, Presence)

    def load(self) -> None:
        """Read the log for the first time, or, where that fails and there is one, this host's copy of it.

        Raises:
            ConfigurationError: neither can be read.
        """
        self.entries = tuple(self._copy.load())
        self._kept = self.revision, self._copy.written
        self._unconfirmed = bool(self.entries)
        self.confirmed = parse_time(self.entries[-1].created) if self.entries else NEVER
        if not self.refresh() and self.error:
            if not self.entries:
                raise ConfigurationError(
                    f"the log of deployments cannot be read: {self.error.rstrip('.')}. There is no copy of it here to "
                    "start from: make the log available, and start again",
                )
            logger.warning("starting from revision %d, which this host knew last", self.revision)

    def kept_at(self, time: datetime) -> int:
        """Return the revision that this host's copy had at a time, 0 where that is not known."""
        revision, written = self._kept
        return revision if written <= time else 0

    def expire(self) -> None:
        """Have the next ``refresh`` read the log."""
        self._due = 0.0

    def refresh(self) -> bool:
        """Read what is new, if it is time for that; return whether there was something."""
        if time.monotonic() < self._due:
            return False
        before = () if self._unconfirmed else self.entries
        began = utc_now()
        try:
            new = self._log.read(before[-1].revision if before else 0)
            if self._unconfirmed and not is_continued(self.entries, new):
                self._log.forget()
                raise self._lost(len(new))
        except LogError as error:
            self._fail(error)
            return False
        if self.error:
            logger.warning("%s can be read again", self._log.description)
            self._recovered = time.monotonic()
            self._report_due = 0.0
        self._is_there = True
        self.confirmed = began
        self.error, self._pause, self._due = "", 0.0, time.monotonic() + self._interval
        entries = (*before, *new)
        if entries == self.entries:
            self._unconfirmed = False
            return False
        self.entries, self._unconfirmed, self._unkept = entries, False, True
        return True

    def keep(self) -> None:
        """Write the copy where there is something new. It waits for the disk, so what is new is to be served first."""
        if self._unkept:
            self._unkept = False
            self._copy.save(self.entries)

    def report(self, host: str, versions: Collection[str], *, server: str = "") -> None:
        """Say that a server of a host is alive, if it is time for that and the log is where hosts say so."""
        if not self._is_there or not isinstance(self._log, Presence):
            return
        now, report = time.monotonic(), (host, *versions, self.revision)
        if report == self._reported and now < self._report_due:
            return
        self._reported, self._report_due = report, now + HEARTBEAT
        try:
            self._log.report(host, versions, self.revision, server=server)
        except LogError as error:
            # It may be one that this host may only read.
            if str(error) != self.report_error:
                self._error_log("the other hosts cannot be told which versions this one has: %s", error)
            self.report_error = str(error)
        else:
            self.report_error = ""

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _lost(self, count: int) -> LogLostError:
        return LogLostError(
            f"{self._log.description} has {count} deployments, and this host has seen {len(self.entries)}, not all of "
            f"which are among them: restore its data, which the copy {str(self._copy.path)!r} has too; to begin anew "
            "or follow another log instead, remove that copy, on every host",
        )

    def _fail(self, error: LogError) -> None:
        self._is_there = not isinstance(error, LogUnavailableError)
        self._pause = min(_LONGEST_PAUSE, max(self._interval, self._pause * 2))
        # Not all workers at once: they all have lost it in the same moment.
        self._due = time.monotonic() + self._pause * random.uniform(0.5, 1)
        if str(error) != self.error:
            if isinstance(error, LogLostError):
                self._report_due = 0.0  # an operator who knows nothing may be about to begin anew
            self._error_log("the log of deployments cannot be read, and the last good one stays: %s", error)
        self.error = str(error)


logger = logging.getLogger("version_affinity")


class EffectiveDeployment(NamedTuple):
    """What deployments come to.

    Attributes:
        deployment: The newest one of which this host has a version with a share, and has had each that it has for long
            enough. What it lacks has no share here: the users of those versions fall on the others, by the same hash.
        complete: The version that last had 100 %, None when none had or this host lacks it.
        published: The ids of the versions here that have had a share.
    """

    deployment: Deployment
    complete: str | None
    published: frozenset[str]


def effective_deployment(
    name: str, entries: Sequence[Entry], held: Collection[str], ready: Collection[str] | None = None
) -> EffectiveDeployment | None:
    """Return what the deployments come to; None while this host has no version of any.

    Args:
        name: The name of the deployments.
        entries: All of them, oldest first.
        held: The ids of the versions that this host has.
        ready: Those of them that may have traffic; None is all. A deployment with another one is passed over for the
            one before, if there is one to be served.
    """
    unready = () if ready is None else [version for version in held if version not in ready]
    for passed_over in (unready, ()):
        for position in range(len(entries) - 1, -1, -1):
            entry = entries[position]
            if any(entry.percentages.get(version, 0) > 0 for version in passed_over):
                continue
            deployment = _deployment(name, entry, held)
            if deployment is not None:
                complete = _complete(entries[: position + 1])
                return EffectiveDeployment(deployment, complete if complete in held else None, published(entries, held))
    return None


def published(entries: Sequence[Entry], held: Collection[str]) -> frozenset[str]:
    """Return the versions that this host has and that have had a share in any deployment."""
    return frozenset().union(*(_live(entry.percentages) for entry in entries)).intersection(held)


def first_shares(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the deployment in which each version got its first share."""
    first: dict[str, Entry] = {}
    for entry in entries:
        for version in _live(entry.percentages):
            first.setdefault(version, entry)
    return first


def missing_versions(entries: Sequence[Entry], held: Collection[str]) -> tuple[str, ...]:
    """Return the versions of the newest deployment that this host does not have."""
    return tuple(version for version in (entries[-1].percentages if entries else ()) if version not in held)


def _deployment(name: str, entry: Entry, held: Collection[str]) -> Deployment | None:
    """Return a deployment as far as its versions are here; None when none of them has a share."""
    percentages = {version: share for version, share in entry.percentages.items() if version in held}
    whole = math.fsum(percentages.values())
    if not whole > 0:
        return None
    if len(percentages) < len(entry.percentages):
        percentages = {version: 100 * share / whole for version, share in percentages.items()}
    try:
        return Deployment(name, percentages, revision=entry.revision)
    except ConfigurationError as error:  # the log's writers do not write such a one
        logger.error(  # noqa: TRY400
            "deployment %d is left out: %s", entry.revision, error
        )
        return None


def _complete(entries: Sequence[Entry]) -> str | None:
    for entry in reversed(entries):
        live = _live(entry.percentages)
        if len(live) == 1:
            return live.pop()
    return None


def _live(percentages: Mapping[str, float]) -> set[str]:
    return {version for version, share in percentages.items() if share > 0}
