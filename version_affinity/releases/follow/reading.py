"""The deployments that a worker could read from the log, and the deployment that takes effect on this host."""

from __future__ import annotations

import logging
import math
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from version_affinity.counters import LimitedLog
from version_affinity.deployment import Deployment
from version_affinity.errors import ConfigurationError
from version_affinity.releases.log.entries import LogError, LogLostError, LogUnavailableError, is_continued
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.times import NEVER, parse_time, utc_now

from .threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.log.local_copy import LocalCopy

logger = logging.getLogger("version_affinity")

# Longest pause in seconds before a log that cannot be read is tried again.
_LONGEST_PAUSE: Final = 1.0
# Seconds without an answer after which there may be deployments that this process cannot read.
_LATE: Final = 1.0
# Seconds without an answer after which an operator should know.
_HANGS: Final = 5.0


class LogReader:
    """Reads a log. While that fails, or the log lacks what was read before, it keeps that and tries again."""

    def __init__(self, log: DeploymentLog, *, interval: float, copy: LocalCopy) -> None:
        self.log = log
        self._interval = interval
        self._copy = copy
        self._due = 0.0
        self._pause = 0.0
        self._recovered = -math.inf
        # Whether the entries come from the copy, and the log may have others.
        self._unconfirmed = False
        self._unsaved = False
        # The newest revision of the copy at the start of this process, and when the copy was written.
        self._copied = 0, NEVER
        self._error_log = LimitedLog(logging.ERROR)
        # The reading that is going on in a thread of its own, and when it started.
        self._call: BackgroundCall | None = None
        self._called = 0.0
        # All deployments, oldest first.
        self.entries: tuple[Entry, ...] = ()
        # When the log was last read. If only the copy was, when its newest deployment was made.
        self.confirmed = NEVER
        # Why the log cannot be read now, and why a reading hangs; "" if all is well.
        self.error = ""
        self.hang = ""
        # Whether the server of the log can be reached. It may have lost its deployments.
        self.is_reachable = True
        # Whether a reading takes so long that there may be deployments that this process cannot read.
        self.is_late = False
        # How often the log could not be read.
        self.failures = 0

    @property
    def revision(self) -> int:
        """The revision of the newest deployment, 0 if there is none."""
        return self.entries[-1].revision if self.entries else 0

    @property
    def live_versions(self) -> set[str]:
        """The versions with a share in the newest deployment."""
        return set(self.entries[-1].live) if self.entries else set()

    @property
    def is_away(self) -> bool:
        """Whether there may be deployments that this process cannot read now."""
        return bool(self.error) or self.is_late

    @property
    def known_to_all(self) -> float:
        """When other workers know what this process has read (``time.monotonic``); infinite while the log is away.

        A log that goes away may not have told the others. When it is back, they may still be pausing.
        """
        return math.inf if self.is_away else self._recovered + _LONGEST_PAUSE + self._interval

    def load(self) -> None:
        """Read the log for the first time, or this host's copy of it; ``ConfigurationError`` if neither can be read."""
        self.entries = tuple(self._copy.load())
        self._copied = self.revision, self._copy.written
        self._unconfirmed = bool(self.entries)
        self.confirmed = parse_time(self.entries[-1].created) if self.entries else NEVER
        if not self.refresh() and self.error:
            if not self.entries:
                raise ConfigurationError(
                    f"the log of deployments cannot be read: {self.error.rstrip('.')}. There is no copy of it here to "
                    "start from: make the log available, and start again",
                )
            logger.warning("starting from revision %d, the last one that this host knows", self.revision)

    def copied_until(self, time: datetime) -> int:
        """Return the revision that this host's copy had at a time, 0 if that is unknown."""
        revision, written = self._copied
        return revision if written <= time else 0

    def poll(self, seconds: float, before: Callable[[], None]) -> None:
        """Read the log in a thread of its own, and wait for that at most some seconds. A hung log stops nothing."""

        def read() -> None:
            before()
            self.refresh()

        if self._call is None:
            self._call = BackgroundCall(read, uses_network=not isinstance(self.log, FileLog))
            self._called = time.monotonic()
        ended = True
        try:
            ended = self._call.has_ended(seconds)
        finally:
            if ended:
                self._call = None
        self._note_hang(0.0 if self._call is None else time.monotonic() - self._called)

    def _note_hang(self, since: float) -> None:
        if (since >= _HANGS) != bool(self.hang):
            self.hang = "" if self.hang else "the log of deployments does not answer, and the last good one stays"
            logger.error("%s", self.hang) if self.hang else logger.warning("the log of deployments answers again")
        if self.is_late and since < _LATE:
            self._recovered = time.monotonic()
        self.is_late = since >= _LATE

    def disconnect(self, seconds: float = 0.0) -> None:
        """Wait some seconds for the end of a reading, and close the log."""
        if self._call is not None:
            with suppress(Exception):  # the next reading reports it
                self._call.has_ended(seconds)
            self._call = None
        self.log.close()

    def refresh(self, *, now: bool = False) -> bool:
        """Read new deployments, if it is time to, or ``now``. Return whether there were any."""
        if time.monotonic() < self._due and not now:
            return False
        before = () if self._unconfirmed else self.entries
        started = utc_now()
        try:
            new = self.log.read(before[-1].revision if before else 0)
            if self._unconfirmed and not is_continued(self.entries, new):
                self.log.forget()
                raise self._lost(len(new))
        except LogError as error:
            self._fail(error)
            return False
        if self.error:
            logger.warning("%s can be read again", self.log.description)
            self._recovered = time.monotonic()
        self.is_reachable = True
        self.confirmed = started
        self.error, self._pause, self._due = "", 0.0, time.monotonic() + self._interval
        entries = (*before, *new)
        if entries == self.entries:
            self._unconfirmed = False
            return False
        self.entries, self._unconfirmed, self._unsaved = entries, False, True
        return True

    def save_copy(self) -> None:
        """Write the copy if there are new deployments. It waits for the disk, so they should be served first."""
        if self._unsaved:
            self._unsaved = False
            self._copy.save(self.entries)

    def _lost(self, count: int) -> LogLostError:
        deployments = "1 deployment" if count == 1 else f"{count} deployments"
        return LogLostError(
            f"{self.log.description} has {deployments}, and this host has seen {len(self.entries)}, not all of which "
            f"are among them: restore its data, which the copy {str(self._copy.path)!r} has too; to start anew or "
            "follow another log instead, remove that copy, on every host",
        )

    def _fail(self, error: LogError) -> None:
        self.failures += 1
        self.is_reachable = not isinstance(error, LogUnavailableError)
        self._pause = min(_LONGEST_PAUSE, max(self._interval, self._pause * 2))
        # At random, so that the workers, which all lose the log at once, do not try again at once.
        self._due = time.monotonic() + self._pause * random.uniform(0.5, 1)
        if str(error) != self.error:
            self._error_log("the log of deployments cannot be read, and the last good one stays: %s", error)
        self.error = str(error)


def effective_deployment(
    name: str, entries: Sequence[Entry], held: Collection[str], ready: Collection[str]
) -> tuple[Deployment, str | None] | None:
    """Return the newest deployment that can be served with the versions ``held`` here, and who last had 100 % then.

    It depends on nothing but the log and the versions that are here, so all workers come to the same result. The users
    of versions that are not here get the other versions of the deployment, by the same hash. A deployment that gives
    traffic to a version that is not ``ready`` is passed over, if an earlier one can be served.
    """
    for passed_over in ({*held}.difference(ready), ()):
        for position in range(len(entries) - 1, -1, -1):
            entry = entries[position]
            if not passed_over or passed_over.isdisjoint(entry.live):
                deployment = _deployment(name, entry, held)
                if deployment is not None:
                    complete = next((it.live[0] for it in entries[position::-1] if len(it.live) == 1), None)
                    return deployment, complete if complete in held else None
    return None


def published(entries: Sequence[Entry], held: Collection[str]) -> frozenset[str]:
    """Return the versions that this host has and that have had a share in any deployment."""
    return frozenset().union(*(entry.live for entry in entries)).intersection(held)


def first_shares(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the deployment in which each version got its first share."""
    first: dict[str, Entry] = {}
    for entry in entries:
        for version in entry.live:
            first.setdefault(version, entry)
    return first


def missing_versions(entries: Sequence[Entry], held: Collection[str]) -> tuple[str, ...]:
    """Return the versions of the newest deployment that this host does not have."""
    return tuple(version for version in (entries[-1].percentages if entries else ()) if version not in held)


def _deployment(name: str, entry: Entry, held: Collection[str]) -> Deployment | None:
    """Return a deployment of the versions that are here; None if none of them has a share."""
    percentages = {version: share for version, share in entry.percentages.items() if version in held}
    whole = math.fsum(percentages.values())
    if not whole > 0:
        return None
    if len(percentages) < len(entry.percentages):
        percentages = {version: 100 * share / whole for version, share in percentages.items()}
    try:
        return Deployment(name, percentages, revision=entry.revision)
    except ConfigurationError as error:  # the log's writers do not write such a deployment
        logger.error("deployment %d is left out: %s", entry.revision, error)  # noqa: TRY400
        return None
