"""``Releases``, which ``VersionAffinity`` follows in place of a list of versions, and ``open_log``."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, cast

from version_affinity.errors import ConfigurationError
from version_affinity.ramp.notify import Sender
from version_affinity.rollout.version import NothingDeployedError

from .follow.follower import Follower
from .follow.loaded import LoadedVersions
from .follow.reading import LogReader
from .log.entries import LogError
from .log.file import FILE_NAME, FileLog
from .log.local_copy import COPY, LocalCopy, check_same_name
from .reports.files import FileReports
from .reports.positions import FilePosition
from .reports.report import Observation
from .reports.reporter import Reporter
from .store.directory import ReleasesDirectory
from .store.settings import SETTINGS, Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from version_affinity.assets.routing import NotFoundHandling
    from version_affinity.counters import Counts
    from version_affinity.ramp.failing import FailureNotes
    from version_affinity.rollout.version import Load, Snapshot

    from .follow.follower import WorkerStatus
    from .log.entries import DeploymentLog
    from .log.redis import RedisLog
    from .reports.report import Reports

logger = logging.getLogger("version_affinity")

#: The environment variables for the releases directory and the log.
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
    """Let ``Releases`` that are loaded in this block write nothing: no worker report, no copy of the log.

    For a command that loads the application to inspect it, and serves no user.
    """
    token = _observing.set(True)
    try:
        yield
    finally:
        _observing.reset(token)


def open_log(directory: ReleasesDirectory | str | os.PathLike[str], url: str | None = None) -> DeploymentLog:
    """Return the log of a releases directory: at a URL, or the file in the directory. It is not connected to yet."""
    releases = directory if isinstance(directory, ReleasesDirectory) else ReleasesDirectory(directory)
    check_same_name(releases)
    if url is None:
        return FileLog(releases.path / FILE_NAME, name=releases.name)
    from .log.redis import RedisLog  # noqa: PLC0415 - an extra

    return RedisLog(url, name=releases.name)


def open_reports(directory: ReleasesDirectory, log: DeploymentLog) -> Reports:
    """Return the reports of the workers that follow a log: beside it in Redis, or in the directory."""
    return FileReports(directory.path) if isinstance(log, FileLog) else cast("RedisLog", log).reports


def open_sender(directory: ReleasesDirectory, log: DeploymentLog) -> Sender:
    """Return what sends the notices of a log."""
    if isinstance(log, FileLog):
        return Sender(FilePosition(directory.path), may_execute=True)
    return Sender(cast("RedisLog", log).position, may_execute=False)


def observe(directory: ReleasesDirectory, log: DeploymentLog) -> Observation:
    """Return the deployments, from this host's copy if the log cannot be read, and the reports of all workers."""
    workers = None
    with suppress(LogError):
        workers = open_reports(directory, log).read()
    try:
        return Observation(log.read(), workers)
    except LogError as error:
        return Observation(LocalCopy(directory.path / COPY).load(), workers, str(error))


class Releases:
    """Uploaded versions and their deployments, followed while the application runs.

        app.wsgi_app = affinity = VersionAffinity(app.wsgi_app, Releases("releases/"))

    A thread of each worker checks the log and the directory a few times per second, and changes are served at once. If
    something cannot be read or loaded, the last good state keeps serving. A version that is not on this host yet gets
    no traffic here; its users get the other versions of the deployment.

    Args:
        path: The releases directory. A relative path starts at the ``root`` of ``VersionAffinity``. None reads the
            environment variable ``VERSION_AFFINITY_RELEASES``.
        log: ``"redis://…"`` for a log that several hosts share. None reads ``VERSION_AFFINITY_LOG``; without that, the
            log is the file in the directory.
        interval: Seconds between two checks, 0.01 to 3600. The first share of a version waits for two of them.
        host: The name of this host in the reports of its workers; by default its network name.
        reports: Whether this process reports what it serves and counts, to commands and to the other workers. False for
            a process that serves no users, so that no deployment waits for it.

    Raises:
        ConfigurationError: An argument cannot be used. ``VersionAffinity`` opens the directory and the log.

    Each ``VersionAffinity`` needs its own ``Releases``.

    >>> Releases("releases/").status() is None
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        log: str | None = None,
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
        # A path in the environment starts at the working directory.
        self._path: Final = os.path.abspath(given) if given else path  # noqa: PTH100
        self._log: Final = _checked_url(os.environ.get(LOG) or None if log is None else log)
        self._interval: Final = _checked_interval(interval)
        self._host: Final = _checked_host(host)
        self._reports: Final = reports
        self._directory: ReleasesDirectory | None = None
        self.follower: Follower | None = None

    def open(self, root: str) -> str:
        """Return the name of the deployments; see ``version_affinity.rollout.version.Source``."""
        if self.follower is not None:
            raise ConfigurationError(
                f"Releases({os.fspath(self._path or '')!r}) is given to a second VersionAffinity: make one for each",
            )
        path = os.path.join(root, self._path or "")  # noqa: PTH118 - ReleasesDirectory checks it
        try:
            directory = ReleasesDirectory(path)
        except ConfigurationError as error:
            if os.path.lexists(os.path.join(path, SETTINGS)):  # noqa: PTH118
                raise
            missing = NothingDeployedError(str(error))
            missing.location = (os.path.abspath(path), self._log)  # noqa: PTH100 - it may have any bytes
            raise missing from None
        self._directory = directory
        return directory.name

    def compare(self, *, prefix: str, app_first: tuple[str, ...] | None, not_found_handling: NotFoundHandling) -> None:
        """Warn if ``affinity.json`` differs; see ``version_affinity.rollout.version.Source``."""
        directory = self._directory
        assert directory is not None  # noqa: S101 - it was opened
        if not self._reports or _observing.get():
            return  # it serves no users: a command has its own options, or goes by those of the application
        if directory.serving_error:
            logger.warning("%s", directory.serving_error)
        patterns = directory.serving.app_first if app_first is None else app_first
        options = Serving(prefix, patterns, not_found_handling)
        differing = directory.serving.differences(options)
        if differing != Serving():
            logger.warning(
                "%r has %s, and this application has %s. The application's options decide how it serves builds; the "
                "commands check, deploy and serve use the file. To correct the file: version-affinity --releases %s "
                "settings %s",
                str(directory.path / SETTINGS),
                options.differences(directory.serving).as_text(),
                differing.as_text(),
                directory.path,
                differing.as_options(),
            )

    def load(self, load: Load) -> Snapshot:
        """Return the first snapshot; see ``version_affinity.rollout.version.Source``."""
        directory = self._directory
        assert directory is not None  # noqa: S101 - it was opened
        observed = _observing.get()
        # A copy of a file log only helps if that file is damaged, so failing to write the copy is no cause for alarm.
        level = logging.INFO if self._log is None else logging.WARNING
        log = open_log(directory, self._log)
        copy = LocalCopy(directory.path / COPY, level=level, writes=not observed, name=directory.name)
        reports = open_reports(directory, log)
        reporter = Reporter(reports, host=self._host, interval=self._interval)
        follower = Follower(
            directory,
            LogReader(log, interval=self._interval, copy=copy),
            LoadedVersions(directory, load),
            interval=self._interval,
            reports=reports,
            sender=open_sender(directory, log),
            reporter=reporter if self._reports and not observed else None,
        )
        try:
            snapshot = follower.load()
        except BaseException as error:
            follower.close()
            if isinstance(error, NothingDeployedError):
                error.location = (str(directory.path), self._log)
            raise
        self.follower = follower
        return snapshot

    def follow(self, take: Callable[[Snapshot], None], counts: Callable[[], Counts], failures: FailureNotes) -> None:
        """Start to follow; see ``version_affinity.rollout.version.Source``."""
        assert self.follower is not None  # noqa: S101 - it was loaded
        self.follower.follow(take, counts, failures)

    def refusal(self, method: str) -> ConfigurationError:
        """Return the error for a method of ``VersionAffinity`` that cannot be used with ``Releases``."""
        path = self._directory.path if self._directory is not None else self._path
        return ConfigurationError(
            f"{method}() would change this process alone, and the next check of the releases would undo it: run "
            f"`version-affinity --releases {path} {_COMMANDS[method]}`, which all workers follow",
        )

    @property
    def path(self) -> str | None:
        """The releases directory. It is absolute once a ``VersionAffinity`` has opened it."""
        return str(self._directory.path) if self._directory is not None else os.fspath(self._path or "") or None

    @property
    def log(self) -> str | None:
        """The URL of the log, None for the file in the directory."""
        return self._log

    def status(self) -> WorkerStatus | None:
        """Return the state of this worker; None before a ``VersionAffinity`` has loaded it."""
        return None if self.follower is None else self.follower.status()

    def observe(self) -> Observation:
        """Return the deployments and the reports of all workers, for ``version_affinity.metrics``."""
        if self.follower is not None:
            return self.follower.observe()
        directory = ReleasesDirectory(self._path or "")
        with closing(open_log(directory, self._log)) as log:
            return observe(directory, log)

    def close(self) -> None:
        """Stop following, for example at the end of a test. The served versions stay."""
        if self.follower is not None:
            self.follower.close()


def _checked_url(log: object) -> str | None:
    if log is not None and not (isinstance(log, str) and log):
        raise ConfigurationError(f"log={log!r} is not a URL: write log='redis://host', or leave it out for the file")
    return log


def _checked_interval(interval: object) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0.01 <= interval <= 3600:  # noqa: PLR2004
        raise ConfigurationError(f"interval={interval!r} cannot be used: write seconds, such as interval=0.25")
    return float(interval)


def _checked_host(host: object) -> str:
    if host is None:
        return socket.gethostname()
    if not isinstance(host, str) or not host:
        raise ConfigurationError(f"host={host!r} is not a name: write host='web-1', or leave it out")
    return host
