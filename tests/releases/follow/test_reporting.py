"""What the workers of a site report, and what they wait for because of it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import ENTRY
from tests.harness import NAVIGATION, client
from tests.releases.followed import PATIENCE, Site, until
from version_affinity import Cookie, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.follow import readiness
from version_affinity.releases.log.entries import Details
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.hours import Traffic, last_day
from version_affinity.releases.reports.report import Report, await_revision
from version_affinity.releases.store.retention import Retention
from version_affinity.releases.times import parse_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

V1, SPLIT = {"v1": 100.0}, {"v1": 50.0, "v2": 50.0}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed."""
    made = Site(tmp_path)
    made.upload("v1")
    made.deploy(V1)
    return made


def await_calls(method: str, number: int) -> None:
    """Wait until the workers have called a method of their reports some more times."""
    calls: list[str] = []
    function = getattr(FileReports, method)

    def call(*arguments: Any, **options: Any) -> Any:
        calls.append(method)
        return function(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileReports, method, call)
        until(lambda: len(calls) >= number)


def test_two_hosts_with_one_disk(site: Site) -> None:
    """The workers of both report in the directory, before the first request; who deploys can wait for all of them."""
    with site.followed(host="one") as (affinity, _), site.followed(host="two"):
        assert site.loaded() == {"one": [({"v1"}, 1)], "two": [({"v1"}, 1)]}
        client(affinity).get("/", headers=NAVIGATION)
        site.upload("v2")
        entry = site.deploy(SPLIT)
        workers = await_revision(site.reports, entry, 30)
        assert workers.lagging(entry) == []
        assert site.loaded() == {"one": [({"v1", "v2"}, 2)], "two": [({"v1", "v2"}, 2)]}
        until(lambda: site.workers.counts.get("requests|v1|page|2xx|only") == 1)
        assert {report.pid for report in site.workers.live} == {os.getpid()}
    workers = site.workers
    assert workers.live == ()
    assert workers.counts["requests|v1|page|2xx|only"] == 1
    assert last_day(workers.counts, workers.since, utc_now())[0] == Traffic(pages=1, alone=1)


def test_a_version_that_a_worker_cannot_load(site: Site) -> None:
    """Who deploys learns at once which worker cannot load it, and why."""
    site.upload("v2")
    (site.directory.build_path("v2") / "index.html").unlink()
    with site.followed(host="one"):
        entry = site.deploy(SPLIT)
        ((report, reason),) = await_revision(site.reports, entry, 30).lagging(entry)
        assert report.host == "one"
        assert reason.startswith("it cannot load v2: ")
        assert "'index.html' is missing" in reason


def test_a_version_that_is_not_known_any_more(site: Site) -> None:
    """What is uploaded and out of use is not loaded, and reported as there: it can be deployed."""
    site.upload("v2", "v0")
    site.directory.change_retention(Retention(keep=0))
    with site.followed(host="one"):
        (report,) = site.workers.live
        assert (report.versions, report.unloaded) == (("v1",), ("v2", "v0"))
        assert site.workers.lacking(["v0", "v9"]) == {"one": {"v9": "it is not there"}}


@contextlib.contextmanager
def slow_worker(site: Site) -> Iterator[tuple[VersionAffinity, threading.Event, threading.Event]]:
    """Run a worker that loads v2 until an event is set; the first event is set when it has begun to."""
    reached, gate = threading.Event(), threading.Event()

    def slowly(path: str) -> None:
        if path.endswith(ENTRY["v2"]):
            reached.set()
            gate.wait(PATIENCE)

    releases = Releases(site.directory.path, interval=0.02, host="slow")
    try:
        yield VersionAffinity(None, releases, keys=[Cookie("user")], fingerprinted=slowly), reached, gate
    finally:
        gate.set()
        releases.close()


def test_a_first_share_waits_for_all_workers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one worker loads a version, no other sends pages of it, however long; once it has reported it, all do."""
    monkeypatch.setattr(readiness, "LONGEST", 0.0)
    with slow_worker(site) as (behind, reached, gate), site.followed(host="quick") as (affinity, releases):
        site.upload("v2")
        assert reached.wait(PATIENCE)
        until(lambda: "v2" in affinity.known and any(report.loading for report in site.workers.live))
        entry = site.deploy(SPLIT)
        until(lambda: (status := releases.status()) and status.revision == 2)
        await_calls("read", 10)
        assert affinity.deployment.revision == 1
        (slow,) = [report for report in site.workers.live if report.host == "slow"]
        assert list(slow.loading) == ["v2"]
        assert abs((utc_now() - parse_time(slow.loading["v2"])).total_seconds()) < 3600
        assert slow.lags(entry) == "it is still loading v2"
        gate.set()
        until(lambda: affinity.deployment.revision == 2)
        until(lambda: behind.deployment.revision == 2)
        until(lambda: [report.loading for report in site.workers.live] == [{}, {}])


def test_a_first_share_waits_for_masters(site: Site) -> None:
    """The next worker that a server's master forks has no more than the master has loaded."""
    master = Report("0" * 16, 1, "preloaded", pid=1, versions=("v1",))
    site.reports.write(master, is_first=True)
    site.reports.write(Report("1" * 16, 1, "preloaded", pid=2, parent=1, versions=("v1", "v2")), is_first=True)
    with site.followed(host="quick") as (affinity, _):
        site.upload("v2")
        until(lambda: "v2" in affinity.known)
        site.deploy(SPLIT)
        await_calls("read", 20)
        assert affinity.deployment.revision == 1
        site.reports.write(replace(master, number=2, versions=("v1", "v2")), is_first=False)
        until(lambda: affinity.deployment.revision == 2)


def test_a_worker_that_cannot_report(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """It serves and follows all the same; its status and one warning say why nobody knows of it."""
    workers = site.directory.path / "workers"
    workers.rmdir()
    workers.write_text("no directory")
    with site.followed() as (affinity, releases):
        site.upload("v2")
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.revision == 2)
        status = releases.status()
        assert status is not None
        assert status.error == ""
        assert status.report_error.endswith(
            "workers cannot be written to: Not a directory: check the directory and the disk"
        )
        await_calls("write", 3)
    warnings = [
        it.getMessage() for it in caplog.records if it.levelno == logging.WARNING and "report" in it.getMessage()
    ]
    assert len(warnings) == 1
    assert warnings[0].startswith("this host cannot report, so commands do not show what its workers serve and count: ")


def test_who_does_not_report(site: Site) -> None:
    """A worker that serves no users leaves no report."""
    with site.followed(reports=False) as (_, releases):
        site.deploy(V1)
        until(lambda: (status := releases.status()) and status.serving == 2)
        assert [*(site.directory.path / "workers").iterdir()] == []
        status = releases.status()
        assert status is not None
        assert status.report_error == ""


def test_what_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """One line says what a worker has at its start, one each revision that it follows."""
    caplog.set_level(logging.INFO, "version_affinity")
    with site.followed() as (affinity, _):
        site.log.append(V1, expected=1, details=Details(author="ada\n"))
        until(lambda: affinity.deployment.revision == 2)
    (release,) = site.directory.versions().values()
    lines = [it.getMessage() for it in caplog.records if it.levelno == logging.INFO and "worker " in it.getMessage()]
    loaded = f"loaded versions: 1, files: {release.files}, bytes: {release.size:,}"
    assert lines == [
        f"worker {os.getpid()} serves revision 1: v1 100 %; {loaded}",
        f"worker {os.getpid()} follows revision 2 by ada\\n: v1 100 %",
    ]
