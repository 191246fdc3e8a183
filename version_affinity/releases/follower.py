"""The thread in which a worker follows the log and the directory of releases, and hands over what it has found.

It looks at both a few times in a second. What it finds is read and put together here, so that a request sees either
what was before or what is now, and waits for neither.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import traceback
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from weakref import WeakMethod

from version_affinity.counters import LimitedLog
from version_affinity.errors import ConfigurationError
from version_affinity.source import Snapshot

from .directory import ReleasesDirectory
from .forks import Aside, run_in_every_process, start
from .history import lacking, published, standing
from .presence import server_of
from .retention import known_versions
from .settling import Settling
from .status import Status
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from .deployments import Deployments
    from .directory import Release
    from .holdings import Holdings
    from .in_force import RetentionInForce

logger = logging.getLogger("version_affinity")

# Seconds until the retention is applied again, which may go by age.
_AGEING: Final = 60.0
# Seconds that a fork waits for the thread to end, which may be loading a large version.
_END: Final = 10.0


class Follower:
    """Follows a log and a directory.

    Args:
        directory: The uploaded versions.
        deployments: The log.
        holdings: The versions that are loaded.
        retention: Which versions stay known.
        interval: Seconds between two looks.
        host: What this host is called where hosts report; "" for one that does not.
    """

    def __init__(
        self,
        directory: ReleasesDirectory,
        deployments: Deployments,
        holdings: Holdings,
        *,
        retention: RetentionInForce,
        interval: float,
        host: str,
    ) -> None:
        self._directory = directory
        self._deployments = deployments
        self._holdings = holdings
        self._retention = retention
        self._settling = Settling(interval)
        self._interval = interval
        self._host = host
        self._server = server_of(directory.path) if host else ""
        self._uploaded: dict[str, Release] = {}
        self._known: list[Release] = []
        self._aged = -math.inf
        self._directory_error = ""
        self._lacking: tuple[str, ...] = ()
        self._served: Snapshot | None = None
        self._error_log = LimitedLog(logging.ERROR)
        self._take: WeakMethod[Callable[[Snapshot], None]] | None = None
        self._turns = Turns(interval)
        self._thread: threading.Thread | None = None
        self._process = 0

    # Looking.

    def load(self) -> Snapshot:
        """Return what is there to begin with.

        Raises:
            ConfigurationError: no deployment can be served.
        """
        self._deployments.load()
        if not self._look_at_directory():
            raise ConfigurationError(
                f"the releases cannot be looked at: {self._directory_error}: let this user read "
                f"{str(self._directory.uploads)!r}",
            )
        if not self._deployments.entries:
            uploaded = ", ".join(self._uploaded) or "none yet"
            raise ConfigurationError(
                f"nothing is deployed yet in {str(self._directory.path)!r} (uploaded: {uploaded}): deploy a version, "
                "for example `version-affinity versions deploy v1@100%`",
            )
        self._holdings.load(self._known)
        snapshot = self._snapshot()
        if snapshot is None:
            wanted = ", ".join(lacking(self._deployments.entries, self._holdings.versions))
            failures = "".join(f"; {version}: {it.reason}" for version, it in self._holdings.failures.items())
            raise ConfigurationError(
                f"no version of the deployment is in {str(self._directory.uploads)!r}: upload or copy there what it "
                f"lacks ({wanted}){failures}",
            )
        self._served = snapshot
        self._report_lacking()
        self._deployments.keep()
        return snapshot

    def _look_safely(self) -> None:
        try:
            self._look()
        except Exception:  # noqa: BLE001 - whatever it is, the last good state keeps serving
            self._error_log("following the releases failed, and is tried again: %s", traceback.format_exc())

    def _look(self) -> None:
        """Look once at everything, and hand over what has changed."""
        if self._look_at_directory() or self._holdings.is_due():
            self._update()
        self._turns.done()  # requests ask for files, which have nothing to do with the log
        if self._look_at_log():
            self._look_at_directory()
            self._update()
        self._tell()

    def _look_at_log(self) -> bool:
        """Read the log, and hand over what can be served at once; tell whether there was something new in it."""
        is_new = self._deployments.refresh()
        if is_new:
            self._aged = -math.inf  # other versions may be known by it
        if (is_new or self._settling.is_due(self._deployments.known_to_all)) and not self._is_loading():
            self._hand_over()
        return is_new

    def _is_loading(self) -> bool:
        """Tell whether the newest deployment has a version that is here, and about to be loaded: it is waited for."""
        missing = set(lacking(self._deployments.entries, self._holdings.versions)) - self._holdings.failures.keys()
        try:
            return bool(missing) and not missing.isdisjoint(self._directory.versions())
        except (OSError, ConfigurationError):
            return False  # nothing is loaded while it cannot be looked at

    def _tell(self) -> None:
        """Keep what is new in the log, and tell the other hosts how this one stands."""
        self._deployments.keep()
        if self._host:
            versions, loadings = self._holdings.versions, self._holdings.loadings
            missing = {release.id for release in self._known} - versions.keys()
            whole = [it for it in self._uploaded if it not in missing and self._settling.has_spread(loadings.get(it))]
            self._deployments.report(self._host, whole, server=self._server)

    def _look_at_directory(self) -> bool:
        """Note which versions are uploaded and known; False when they are as before, or that cannot be told."""
        if self._retention.refresh():
            self._aged = -math.inf
        try:
            uploaded = self._directory.versions()
            if uploaded == self._uploaded and time.monotonic() - self._aged < _AGEING:
                known = None
            else:
                if len(uploaded) < len(self._uploaded):
                    ReleasesDirectory(self._directory.path)  # is it there, or just not mounted?
                known = known_versions(self._directory, self._deployments.entries, self._retention.value)
        except (OSError, ConfigurationError) as error:
            if not self._directory_error:
                logger.error("the releases cannot be looked at, and all stays as it is: %s", error)  # noqa: TRY400
            self._directory_error = str(error)
            return False
        if self._directory_error:
            logger.warning("the releases can be looked at again")
            self._directory_error = ""
        if known is None:
            return False
        # In the order of uploads: it stays the same when percentages change, and so does what is made of the files.
        self._known = [release for version, release in uploaded.items() if version in known]
        self._uploaded = uploaded
        self._aged = time.monotonic()
        return True

    def _update(self) -> None:
        self._load()
        self._hand_over()
        self._report_lacking()

    def _load(self) -> None:
        """Load what is known, in a thread of its own.

        A large version takes seconds, for which neither a deployment has to wait, such as a rollback, nor the other
        hosts, to which this one would seem to be gone.
        """
        loading = Aside(self._holdings.load, self._known)
        while not loading.has_ended(self._interval):
            self._look_at_log()
            self._tell()

    def _snapshot(self) -> Snapshot | None:
        versions, entries = self._holdings.versions, self._deployments.entries
        ready = self._settling.ready(
            published(entries, versions), self._holdings.loadings, not_before=self._deployments.known_to_all
        )
        found = standing(self._directory.name, entries, versions, ready)
        return None if found is None else Snapshot(MappingProxyType(dict(versions)), *found)

    def _hand_over(self) -> None:
        snapshot, served = self._snapshot(), self._served
        if snapshot is None or (
            served is not None and snapshot == served and snapshot.deployment.revision == served.deployment.revision
        ):
            return
        take = self._take() if self._take is not None else None
        if take is not None:
            take(snapshot)
            self._served = snapshot

    def _report_lacking(self) -> None:
        missing = lacking(self._deployments.entries, self._holdings.versions)
        if missing == self._lacking:
            return
        self._lacking = missing
        if missing:
            logger.warning(
                "deployment %d has versions that are not on this host, and get no traffic here until they are: %s",
                self._deployments.revision,
                ", ".join(missing),
            )
        else:
            logger.warning("all versions of deployment %d are on this host", self._deployments.revision)

    def status(self) -> Status:
        """Return how this worker stands."""
        served, deployments = self._served, self._deployments
        versions = dict(self._holdings.versions)
        return Status(
            deployments.revision,
            served.deployment.revision if served else 0,
            served.deployment.percentages if served else {},
            tuple(versions),
            lacking(deployments.entries, versions),
            {version: failure.reason for version, failure in self._holdings.failures.copy().items()},
            deployments.error or self._directory_error or self._retention.error or deployments.report_error,
        )

    # The thread.

    def follow(self, take: Callable[[Snapshot], None]) -> None:
        """Hand over a snapshot whenever something has changed.

        Args:
            take: A method. It is held weakly: when its object is gone, the thread ends.
        """
        self._take = WeakMethod(take)
        run_in_every_process(self)

    def resume(self) -> None:
        """Begin the thread, anew in a process that was forked."""
        if self._take is None or self._is_running():
            return
        # Those of another process may be locked.
        self._turns = Turns(self._interval)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(self._turns,), name="version-affinity", daemon=True)
        start(self._thread)

    def pause(self) -> None:
        """End the thread, and wait for that."""
        thread = self._thread
        if thread is not None and self._is_running() and thread is not threading.current_thread():
            self._turns.end()
            thread.join(_END)
            self._thread = None

    def close(self) -> None:
        """Follow nothing any more. What was handed over stays."""
        self._take = None
        self.pause()
        self._deployments.close()

    def look(self) -> None:
        """Have the thread look now, and wait for it, for a moment at most."""
        if self._is_running():
            self._turns.ask()

    def _is_running(self) -> bool:
        thread = self._thread
        # In a process that was forked without a word to Python, the parent's thread seems to be alive.
        return thread is not None and self._process == os.getpid() and thread.is_alive()

    def _run(self, turns: Turns) -> None:
        while turns.next() and self._take is not None and self._take() is not None:
            self._look_safely()
            turns.done()
