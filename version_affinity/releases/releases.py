"""``Releases``: what ``VersionAffinity`` follows in place of a list of versions."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError

from .follow.follower import Follower
from .follow.in_force import RetentionInForce
from .follow.loaded import LoadedVersions
from .follow.reading import LogReader
from .log.entries import open_log
from .log.local_copy import COPY, LocalCopy
from .store.directory import ReleasesDirectory
from .store.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from version_affinity.rollout.source import Load, Snapshot

    from .follow.status import Status

#: The environment's variables that say where the releases and their log are.
RELEASES: Final = "VERSION_AFFINITY_RELEASES"
LOG: Final = "VERSION_AFFINITY_LOG"

_COMMANDS: Final = {
    "deploy": "versions deploy v1@50% v2@50%",
    "add": "versions upload dist/",
    "retire": "prune",
}

_observing: Final = ContextVar("version_affinity_observing", default=False)


@contextmanager
def observing() -> Iterator[None]:
    """Have the releases that are loaded meanwhile leave no trace: neither a report of this host nor a copy of the log.

    For an application that is loaded for an operator's question, and serves nobody.

    >>> with observing():
    ...     releases = Releases("releases/")
    """
    token = _observing.set(True)
    try:
        yield
    finally:
        _observing.reset(token)


class Releases:
    """Uploaded versions and their deployments, followed while the application runs.

        app.wsgi_app = affinity = VersionAffinity(app.wsgi_app, Releases("releases/"))

    Every worker looks at the directory and the log a few times in a second, in a thread of its own, and serves what
    has changed at once. What cannot be read or loaded changes nothing: the last good state keeps serving. A version
    that this host does not have yet gets no traffic here; its users get the deployment's other versions.

    Args:
        path: The releases directory; it counts from the ``root`` of ``VersionAffinity`` where it is relative. None: as
            the environment's ``VERSION_AFFINITY_RELEASES`` says.
        log: ``"redis://…"`` for a log that several hosts share. None: as ``VERSION_AFFINITY_LOG`` says, else the file
            in the directory.
        retention: How long versions stay known after their deployment. None: as the directory says, which the command
            line goes by (``version-affinity retention``); where this differs from it, a warning is logged.
        interval: Seconds between two looks.
        host: What this host is called where hosts report; its network name unless given.
        reports: Whether this host reports. False where nobody is served, as by an operator's look at the releases: no
            deployment waits for what such a host lacks.

    Raises:
        ConfigurationError: a setting cannot be used. The directory and the log are opened by ``VersionAffinity``.

    One of it is for one ``VersionAffinity``.

    >>> Releases("releases/").status() is None
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        log: str | None = None,
        retention: Retention | None = None,
        interval: float = 0.25,
        host: str | None = None,
        reports: bool = True,
    ) -> None:
        given = os.environ.get(RELEASES) if path is None else None
        if path is None and not given:
            raise ConfigurationError(
                f"Releases() does not know its directory: write Releases('releases/'), or set {RELEASES}",
            )
        if path is not None and not isinstance(path, str | os.PathLike):
            raise ConfigurationError(f"Releases({path!r}) names no directory: write Releases('releases/')")
        # Of the environment's, the working directory is meant.
        self._path: Final = os.path.abspath(given) if given else path  # noqa: PTH100
        self._log: Final = _url(os.environ.get(LOG) or None if log is None else log)
        self._retention: Final = _checked(retention)
        self._interval: Final = _seconds(interval)
        self._host: Final = _host(host)
        self._reports: Final = reports
        self._directory: ReleasesDirectory | None = None
        self._follower: Follower | None = None

    def open(self, root: str) -> str:
        """Return the deployments' name; see ``version_affinity.rollout.source.Source``."""
        if self._follower is not None:
            raise ConfigurationError(
                f"Releases({os.fspath(self._path or '')!r}) is given to a second VersionAffinity: make one for each",
            )
        directory = ReleasesDirectory(os.path.join(root, self._path or ""))  # noqa: PTH118 - it checks what it is
        self._directory = directory
        return directory.name

    def load(self, load: Load) -> Snapshot:
        """Return the first snapshot; see ``version_affinity.rollout.source.Source``."""
        directory = self._directory
        assert directory is not None  # noqa: S101 - it was opened
        # Beside a file log, it is for the day on which that is damaged: where nothing can be written, one does without.
        observed = _observing.get()
        level = logging.INFO if self._log is None else logging.WARNING
        log = open_log(directory, self._log)
        copy = LocalCopy(directory.path / COPY, level=level, writes=not observed, name=directory.name)
        follower = Follower(
            directory,
            LogReader(log, interval=self._interval, copy=copy),
            LoadedVersions(directory, load),
            retention=RetentionInForce(directory, self._retention),
            interval=self._interval,
            host=self._host if self._reports and not observed else "",
        )
        try:
            snapshot = follower.load()
        except BaseException:
            follower.close()
            raise
        self._follower = follower
        return snapshot

    def follow(self, take: Callable[[Snapshot], None]) -> None:
        """Begin to follow; see ``version_affinity.rollout.source.Source``."""
        assert self._follower is not None  # noqa: S101 - it was loaded
        self._follower.follow(take)

    def look(self) -> None:
        """Look for an upload now; see ``version_affinity.rollout.source.Source``."""
        if self._follower is not None:
            self._follower.look()

    def refusal(self, method: str) -> ConfigurationError:
        """Return why a method of ``VersionAffinity`` does nothing here."""
        path = self._directory.path if self._directory is not None else self._path
        return ConfigurationError(
            f"{method}() would change this process alone, and the next look at the releases would undo it: run "
            f"`version-affinity --releases {path} {_COMMANDS[method]}`, which all workers follow",
        )

    @property
    def path(self) -> str | None:
        """The releases directory: its absolute name once a ``VersionAffinity`` has it."""
        return str(self._directory.path) if self._directory is not None else os.fspath(self._path or "") or None

    @property
    def log(self) -> str | None:
        """The URL of the log, None for the file in the directory."""
        return self._log

    def status(self) -> Status | None:
        """Return how this worker stands; None before a ``VersionAffinity`` has it."""
        return None if self._follower is None else self._follower.status()

    def close(self) -> None:
        """Follow nothing any more, for example at the end of a test. What is served stays."""
        if self._follower is not None:
            self._follower.close()


def _url(log: object) -> str | None:
    if log is not None and not (isinstance(log, str) and log):
        raise ConfigurationError(f"log={log!r} is no URL: write log='redis://host', or leave it out for the file")
    return log


def _checked(retention: object) -> Retention | None:
    if retention is not None and not isinstance(retention, Retention):
        raise ConfigurationError(f"retention={retention!r} is none: write retention=Retention(keep=10), or none")
    return retention


def _seconds(interval: object) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0.01 <= interval <= 3600:  # noqa: PLR2004
        raise ConfigurationError(f"interval={interval!r} is no time in seconds: write one such as interval=0.25")
    return float(interval)


def _host(host: object) -> str:
    if host is None:
        return socket.gethostname()
    if not isinstance(host, str) or not host:
        raise ConfigurationError(f"host={host!r} is no name: write host='web-1', or leave it out")
    return host
