"""A site that follows releases: a directory and a log to change, and an application that says which worker answers."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from tests.builds import build_of
from tests.harness import write_build
from tests.servers.servers import ROOT
from version_affinity import Cookie, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.follow.threads import pause_all
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.releases import open_log, open_reports
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import prune_plan
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity.releases.follow.follower import Follower
    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.reports.report import Reports, Workers
    from version_affinity.releases.store.retention import Retention

NAME = "storefront"
#: Where a server's process finds this module, and what this process found.
PATH = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
#: Seconds that anything may take on a busy machine. Nothing is expected to.
PATIENCE = 30.0


class Site:
    """A releases directory, builds to upload to it, and its log.

    Args:
        root: Where they are made.
        log: The URL of the log, None for the file in the directory.
        host: What its host is called, None for the network's name for it.
    """

    def __init__(self, root: Path, log: str | None = None, host: str | None = None) -> None:
        self.root = root
        self.url = log
        self.host = host
        self.directory = ReleasesDirectory.init(root / "releases", name=NAME)
        self.log = open_log(self.directory.path, log)

    def upload(self, *versions: str, more: Mapping[str, str] | None = None) -> None:
        """Upload builds."""
        for version in versions:
            source = write_build(self.root / f"dist-{version}", {**build_of(version), **(more or {})})
            upload(self.directory, source, id=version)

    def deploy(self, percentages: Mapping[str, float]) -> Entry:
        """Append a deployment to the log."""
        entries = self.log.read()
        return self.log.append(percentages, expected=entries[-1].revision if entries else 0)

    @property
    def reports(self) -> Reports:
        """Where its workers report."""
        return open_reports(self.directory, self.log)

    @property
    def workers(self) -> Workers:
        """What its workers report now."""
        return self.reports.read()

    def loaded(self) -> dict[str, list[tuple[set[str], int]]]:
        """Return what each worker of each host has loaded, and the revision that it serves."""
        found: dict[str, list[tuple[set[str], int]]] = {}
        for report in self.workers.live:
            found.setdefault(report.host, []).append((set(report.versions), report.revision))
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What tells a server process of this site."""
        log = {} if self.url is None else {"VERSION_AFFINITY_LOG": self.url}
        host = {} if self.host is None else {"FOLLOWED_HOST": self.host}
        return {"VERSION_AFFINITY_RELEASES": str(self.directory.path), **log, **host}

    @contextlib.contextmanager
    def followed(
        self, app: WSGIApplication | None = None, **options: Any
    ) -> Iterator[tuple[VersionAffinity, Releases]]:
        """Follow the site in this process until the block ends."""
        releases = Releases(self.directory.path, log=self.url, **{"interval": 0.02, **options})
        affinity = VersionAffinity(app, releases, keys=[Cookie("user")])
        try:
            yield affinity, releases
        finally:
            releases.close()


@contextlib.contextmanager
def hanging_log(releases: Releases, *, also_in_children: bool = True) -> Iterator[None]:
    """Let a worker's readings of its file log hang within the block, as on a file system whose server is away."""
    log = follower_of(releases).reader.log
    process = None if also_in_children else os.getpid()
    reached, end = threading.Event(), threading.Event()
    read = FileLog.read

    def read_later(self: FileLog, after: int = 0) -> list[Entry]:
        if self is log and process in (None, os.getpid()):
            reached.set()
            end.wait(PATIENCE)
        return read(self, after)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileLog, "read", read_later)
        try:
            assert reached.wait(PATIENCE)
            yield
        finally:
            end.set()


def follower_of(releases: Releases) -> Follower:
    """Return what follows the releases."""
    assert releases.follower is not None
    return releases.follower


def known_versions(
    releases: ReleasesDirectory, entries: Sequence[Entry], retention: Retention, now: datetime | None = None
) -> list[str]:
    """Return the ids of the versions that a retention keeps, in their order."""
    return list(prune_plan(releases, entries, retention, now=now).kept)


def pause(releases: Releases) -> None:
    """End the thread that follows, as before a fork, in a moment in which it is idle."""

    def is_paused() -> bool:
        pause_all()
        return not follower_of(releases).is_running()

    until(is_paused)


def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what or condition} was not so for {PATIENCE:g} s"
        time.sleep(0.005)


def site() -> WSGIApplication:
    """Return the application that the environment's releases are for, for a server process; "/worker" tells of it."""
    releases = Releases(host=os.environ.get("FOLLOWED_HOST"))

    def worker(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # A moment, so that requests at the same time come to different workers.
        time.sleep(float(parse_qs(environ["QUERY_STRING"]).get("seconds", ["0"])[0]))
        status = releases.status()
        body = json.dumps({"process": os.getpid(), **(asdict(status) if status else {})}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return VersionAffinity(worker, releases, keys=[Cookie("user")])
