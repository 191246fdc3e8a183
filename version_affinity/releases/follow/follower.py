"""The thread in which a worker follows the log and the directory of releases, and hands over what it has found.

It looks at both a few times in a second. What it finds is read and put together here, so that a request sees either
what was before or what is now, and waits for neither.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from weakref import WeakMethod

from version_affinity.counters import LimitedLog
from version_affinity.errors import ConfigurationError
from version_affinity.releases.reports.presence import server_of
from version_affinity.releases.times import parse_time, time_before, utc_now
from version_affinity.rollout.background import run
from version_affinity.rollout.source import Snapshot

from .loaded import KnownVersions
from .readiness import Readiness
from .reading import effective_deployment, first_shares, missing_versions, published
from .status import Status
from .threads import PATIENCE, Aside, Looks, expect_greenlets, run_in_every_process, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory

    from .in_force import RetentionInForce
    from .loaded import LoadedVersions
    from .reading import LogReader

logger = logging.getLogger("version_affinity")

# Seconds that ``close`` waits for the thread to end, which may be loading a large version.
_END: Final = 10.0
# Seconds that a process that starts waits at most until a version with its first share may have traffic.
_START: Final = 2.0
# Seconds without an answer after which there may be deployments that this process cannot read, and after which an
# operator should know.
_LATE: Final = 1.0
_HANGS: Final = 5.0
# Other workers have had this time to notice and load a version, whose clocks may differ a little.
_NOTICED: Final = timedelta(minutes=1)


class Follower:
    """Follows a log and a directory.

    Args:
        directory: The uploaded versions.
        reader: The log.
        loaded: The versions that are loaded.
        retention: Which versions stay known.
        interval: Seconds between two looks.
        host: What this host is called where hosts report; "" for one that does not.
    """

    def __init__(
        self,
        directory: ReleasesDirectory,
        reader: LogReader,
        loaded: LoadedVersions,
        *,
        retention: RetentionInForce,
        interval: float,
        host: str,
    ) -> None:
        self._directory = directory
        self._reader = reader
        self._loaded = loaded
        self._retention = retention
        self._known = KnownVersions(directory, reader, retention)
        # The deployments that were handed over, as far as they could be.
        self._seen: tuple[Entry, ...] = ()
        self._readiness = Readiness(interval)
        self._interval = interval
        self._host = host
        self._server = server_of(directory.path) if host else ""
        self._lacking: tuple[str, ...] = ()
        self._asking: Aside | None = None
        self._asked = 0.0
        self._hang, self._looked = "", 0.0
        self._is_unfinished = False
        self._served: Snapshot | None = None
        self._error_log = LimitedLog(logging.ERROR)
        self._take: WeakMethod[Callable[[Snapshot], None]] | None = None
        self._turns = Looks(interval)
        self._thread: threading.Thread | None = None
        self._process = 0

    # Looking.

    def load(self) -> Snapshot:
        """Return what is there to begin with.

        Raises:
            ConfigurationError: no deployment can be served.
        """
        self._reader.load()
        if not self._known.refresh():
            raise ConfigurationError(
                f"the releases cannot be looked at: {self._known.error}: let this user read "
                f"{str(self._directory.uploads)!r}",
            )
        if not self._reader.entries:
            uploaded = ", ".join(self._known.uploaded) or "none yet"
            raise ConfigurationError(
                f"nothing is deployed yet in {str(self._directory.path)!r} (uploaded: {uploaded}): deploy a version, "
                "for example `version-affinity versions deploy v1@100%`",
            )
        self._load_known()
        self._begin_readiness()
        snapshot = self._snapshot()
        if snapshot is None:
            wanted = ", ".join(missing_versions(self._reader.entries, self._loaded.versions))
            failures = "".join(f"; {version}: {it.reason}" for version, it in self._loaded.failures.items())
            raise ConfigurationError(
                f"no version of the deployment is in {str(self._directory.uploads)!r}: upload or copy there what it "
                f"lacks ({wanted}){failures}",
            )
        self._served = snapshot
        self._report_lacking()
        self._reader.keep()
        return snapshot

    def _safely(self, look: Callable[[], object]) -> None:
        try:
            look()
        except Exception:  # noqa: BLE001 - whatever it is, the last good state keeps serving
            self._error_log("following the releases failed, and is tried again: %s", traceback.format_exc())
        self._looked = time.monotonic()

    def _look(self) -> None:
        """Look once at everything, and hand over what has changed."""
        if self._known.refresh() or self._loaded.is_due() or self._is_unfinished:
            self._is_unfinished = False
            self._update()
        self._turns.done()  # requests ask for files, which have nothing to do with the log
        if self._look_at_log():
            self._known.refresh()
            self._update()

    def _look_at_log(self) -> bool:
        """Hand over what can be served at once of the log; return whether there was something new in it.

        The log is read in a thread of its own. While a reading hangs, versions are still found and loaded: pages that
        other processes have sent refer to them.
        """
        if self._asking is None:
            self._asking = Aside(self._ask_log, uses_network=self._reader.uses_network)
            self._asked = time.monotonic()
        # Not for the whole of a long interval: a request may ask for a look meanwhile.
        if self._asking.has_ended(min(self._interval, PATIENCE)):
            self._asking = None
        self._note_hang()
        is_new = self._is_log_new()
        if (is_new or self._readiness.is_due(self._reader.known_to_all)) and not self._is_loading():
            self._hand_over()
        return is_new

    def _is_log_new(self) -> bool:
        """Return whether the log has changed since this was asked last."""
        before, self._seen = self._seen, self._reader.entries
        return self._seen != before

    def _ask_log(self) -> None:
        """Report how this host stands, as of the last look, and read what is new in the log."""
        self._tell()
        self._reader.refresh()

    def _note_hang(self) -> None:
        since = 0.0 if self._asking is None else time.monotonic() - self._asked
        is_long = since >= _HANGS
        if is_long != bool(self._hang):
            self._hang = "the log of deployments does not answer, and the last good one stays" if is_long else ""
            logger.error("%s", self._hang) if is_long else logger.warning("the log of deployments answers again")
        self._reader.note_hang(hangs=since >= _LATE)

    def _is_loading(self) -> bool:
        """Return whether a version with a share in the newest deployment is here and about to be loaded."""
        missing = self._wanted() - self._loaded.versions.keys() - self._loaded.failures.keys()
        try:
            return bool(missing) and not missing.isdisjoint(self._directory.versions())
        except (OSError, ConfigurationError):
            return False  # nothing is loaded while it cannot be looked at

    def _wanted(self) -> set[str]:
        """Return the versions that have a share in the newest deployment."""
        entries = self._reader.entries
        return {version for version, share in entries[-1].percentages.items() if share > 0} if entries else set()

    def _tell(self) -> None:
        """Keep what is new in the log, and tell the other hosts how this one stands."""
        self._reader.keep()
        if self._host:
            versions, loadings = self._loaded.versions, self._loaded.loadings
            missing = {release.id for release in self._known.releases} - versions.keys()
            whole = [
                it for it in self._known.uploaded if it not in missing and self._readiness.has_spread(it, loadings)
            ]
            self._reader.report(self._host, whole, server=self._server)

    def _update(self) -> None:
        self._load()
        self._hand_over()
        self._report_lacking()

    def _load(self) -> None:
        """Load what is known, in a thread of its own: meanwhile deployments are followed, such as a rollback."""
        loading = Aside(self._load_known)
        while not loading.has_ended(self._interval):
            self._look_at_log()
            served = self._served
            if served and served.deployment.revision != self._reader.revision and not self._is_loading():
                self._hand_over()  # what is still being loaded has no share

    def _load_known(self) -> None:
        self._loaded.load(self._known.releases, first=self._wanted())

    def _load_news(self) -> bool:
        """Load until nothing is new: a load takes seconds, in which others come. Return whether something was.

        A log that cannot be read is not asked again here: each answer that does not come would be waited for.
        """
        is_new = False
        while True:
            if not self._reader.error:
                self._reader.expire()
                self._reader.refresh()
            if not (self._known.refresh() | self._is_log_new()):  # both
                return is_new
            is_new = True
            self._load_known()

    def _begin_readiness(self) -> None:
        """Let those versions have traffic at once for which every running worker has had the time to be ready."""
        uploaded = self._known.uploaded
        if not self._host or self._reader.is_away:
            # It serves no users; or it knows from this host's other workers all that it knows.
            self._readiness.begin(spread=uploaded.keys(), ready=uploaded.keys())
            return
        noticed = time_before(utc_now(), _NOTICED)
        entries = self._reader.entries
        kept = self._reader.kept_at(noticed)
        ready = {
            version
            for version, entry in first_shares(entries).items()
            # Before the first deployment nothing was served. The clock of who deployed may be fast.
            if entry is entries[0] or parse_time(entry.created) <= noticed or entry.revision <= kept
        }
        spread = {version for version, release in uploaded.items() if parse_time(release.created) <= noticed}
        self._readiness.begin(spread=spread | ready, ready=ready)

    def _snapshot(self) -> Snapshot | None:
        versions, entries = self._loaded.versions, self._reader.entries
        ready = self._readiness.ready(
            published(entries, versions), self._loaded.loadings, not_before=self._reader.known_to_all
        )
        found = effective_deployment(self._directory.name, entries, versions, ready)
        return None if found is None else Snapshot(MappingProxyType(dict(versions)), *found)

    def _hand_over(self) -> None:
        snapshot, served = self._snapshot(), self._served
        if snapshot is None or (
            served is not None and snapshot == served and snapshot.deployment.revision == served.deployment.revision
        ):
            return
        take = self._take() if self._take is not None else None
        if take is not None:
            run(take, snapshot)
            self._served = snapshot

    def _report_lacking(self) -> None:
        missing = missing_versions(self._reader.entries, self._loaded.versions)
        if missing == self._lacking:
            return
        self._lacking = missing
        if missing:
            logger.warning(
                "deployment %d has versions that are not on this host, and get no traffic here until they are: %s",
                self._reader.revision,
                ", ".join(missing),
            )
        else:
            logger.warning("all versions of deployment %d are on this host", self._reader.revision)

    def status(self) -> Status:
        """Return how this worker stands."""
        served, deployments = self._served, self._reader
        versions = dict(self._loaded.versions)
        return Status(
            deployments.revision,
            served.deployment.revision if served else 0,
            served.deployment.percentages if served else {},
            tuple(versions),
            missing_versions(deployments.entries, versions),
            {version: failure.reason for version, failure in self._loaded.failures.copy().items()},
            deployments.error or self._hang or self._known.error or self._retention.error or deployments.report_error,
        )

    # The thread.

    def follow(self, take: Callable[[Snapshot], None]) -> None:
        """Hand over a snapshot whenever something has changed.

        Args:
            take: A method. It is held weakly: when its object is gone, the thread ends.
        """
        self._take = WeakMethod(take)
        self.catch_up()
        run_in_every_process(self)

    def catch_up(self) -> None:
        """Look in the caller's thread until nothing is new, and hand it over, for a process that does not serve yet."""
        self._safely(self._catch_up)
        self._report_lacking()

    def _catch_up(self) -> None:
        until = time.monotonic() + _START
        while True:
            while self._load_news():
                self._hand_over()
            # The newest deployment is waited for, rather than one served that others have left.
            wait = self._readiness.remaining
            if wait > until - time.monotonic() or self._reader.is_away:
                return
            time.sleep(min(wait, self._interval))
            self._hand_over()

    def resume(self) -> None:
        """Begin the thread, anew in a process that was forked."""
        if self._take is None or self._is_running():
            return
        expect_greenlets()
        first = max(0.0, self._looked + self._interval - time.monotonic())
        if self._process != os.getpid():
            self._asking = None  # a reading that hangs is the parent's
        if self._thread is not None:  # it was busy at the fork, and is not there any more
            first, self._is_unfinished = 0.0, True
        # Those of another process may be locked.
        self._turns = Looks(self._interval, first)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(self._turns,), name="version-affinity", daemon=True)
        start(self._thread)

    def pause(self) -> None:
        """End the thread if it is idle. A look that is under way goes on, and nobody waits for it."""
        if self._is_running() and self._turns.end_if_idle():
            self._join()

    def close(self) -> None:
        """Follow nothing any more. What was handed over stays."""
        self._take = None
        self.stop()
        self._reader.close()

    def make_way(self) -> None:
        """End all threads of this process and close their connections."""
        self.stop()
        if self._asking is not None:
            with suppress(Exception):  # which is reported where it is asked for
                self._asking.has_ended(_END)
            self._asking = None
        self._reader.close()

    def stop(self) -> None:
        """End the thread, and wait for its end, at most some seconds."""
        if self._is_running():
            self._turns.end()
            self._join()

    def _join(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_END)
            self._thread = None

    def look(self) -> None:
        """Have the thread look now, and wait for it, for a moment at most."""
        if self._is_running():
            self._turns.ask()

    def _is_running(self) -> bool:
        thread = self._thread
        # In a process that was forked without a word to Python, the parent's thread seems to be alive.
        return thread is not None and self._process == os.getpid() and thread.is_alive()

    def _run(self, turns: Looks) -> None:
        while turns.next() and self._take is not None and self._take() is not None:
            self._safely(self._look)
            turns.done()
