"""Clocks that jump, and differ from host to host: what depends on them is what is documented, and nothing is lost.

Processes are given a clock of their own, and everything else is real.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.releases.followed import Site, known_versions, until
from tests.releases.redis_server import redis_server
from tests.releases.uploading import age, at_step, hidden, kill, releases_in, write
from version_affinity.releases import times
from version_affinity.releases.follow import loaded as known_module
from version_affinity.releases.releases import open_log
from version_affinity.releases.store import retention as retention_module
from version_affinity.releases.store.retention import Retention, prune_plan
from version_affinity.releases.store.upload import upload
from version_affinity.releases.store.workspace import prune_versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from version_affinity.releases.store.directory import ReleasesDirectory

# Other tests may have left a thread, and so may what runs them.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")]

V1, V2 = {"v1": 100.0}, {"v2": 100.0}
DAY = timedelta(days=1)
YEARS = [timedelta(days=-20 * 365), timedelta(days=-400), timedelta(), timedelta(days=400), timedelta(days=70 * 365)]


def wrong(now: Callable[[], float]) -> type[datetime]:
    """Return what tells the time by another clock."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(now(), tz)

    return Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Set this host's clock off by some time, as its programs see it."""
    true, seconds = time.time, 0.0

    def now() -> float:
        return true() + seconds

    def set_off(by: timedelta) -> None:
        nonlocal seconds
        seconds = by.total_seconds()

    monkeypatch.setattr(times, "datetime", wrong(now))
    monkeypatch.setattr(time, "time", now)
    return set_off


@pytest.fixture
def releases(tmp_path: Path) -> ReleasesDirectory:
    """An empty releases directory."""
    return releases_in(tmp_path)


def test_uploads_stay_in_their_order(
    tmp_path: Path, releases: ReleasesDirectory, clock: Callable[[timedelta], None]
) -> None:
    """Whatever the clock says, a later upload is a later one, and one of the last: it is known, and not pruned."""
    versions = [f"v{number}" for number in range(len(YEARS))]
    for version, off in zip(versions, reversed(YEARS), strict=True):
        clock(off)
        upload(releases, write(tmp_path, version), id=version)
        assert list(releases.versions())[-1] == version
        assert known_versions(releases, [], Retention(keep=1)) == [version]
    assert list(releases.versions()) == versions
    assert [release.id for release in prune_plan(releases, [], Retention(keep=2)).removed] == versions[:-2]


@pytest.mark.parametrize("first", YEARS)
@pytest.mark.parametrize("second", YEARS)
def test_what_is_needed_stays(
    tmp_path: Path,
    releases: ReleasesDirectory,
    clock: Callable[[timedelta], None],
    first: timedelta,
    second: timedelta,
) -> None:
    """Wherever the clock jumps between two deployments, and after them, the deployed one and the one before it stay."""
    for version in ("v1", "v2"):
        upload(releases, write(tmp_path, version), id=version)
    with closing(open_log(releases)) as log:
        clock(first)
        log.append(V1, expected=0)
        clock(second)
        log.append(V2, expected=1)
        for now in YEARS:
            clock(now)
            for retention in (Retention(keep=0), Retention(keep=0, younger_than=DAY)):
                assert known_versions(releases, log.read(), retention) == ["v2", "v1"]
                assert prune_versions(prune_plan(releases, log.read(), retention), log) == []
        assert [entry.percentages for entry in log.read()] == [V1, V2]


def test_a_clock_that_went_ahead_forgets_nothing_that_is_among_the_last(
    tmp_path: Path, releases: ReleasesDirectory, clock: Callable[[timedelta], None]
) -> None:
    """An age is by this host's clock; the number of the last versions is by none, and keeps what the age would not."""
    for version in ("v1", "v2", "v3"):
        upload(releases, write(tmp_path, version), id=version)
    clock(400 * DAY)
    assert known_versions(releases, [], Retention(keep=0, younger_than=DAY)) == []
    assert known_versions(releases, [], Retention(keep=2, younger_than=DAY)) == ["v3", "v2"]
    clock(-400 * DAY)
    assert known_versions(releases, [], Retention(keep=0, younger_than=DAY)) == ["v3", "v2", "v1"]


@pytest.mark.parametrize("off", YEARS)
def test_leftovers_are_swept_by_any_clock(
    tmp_path: Path, releases: ReleasesDirectory, clock: Callable[[timedelta], None], off: timedelta
) -> None:
    """What a killed upload left goes with the next upload an hour later; where the clock was set, it may go sooner."""
    source = write(tmp_path, "v1")
    reached, _ = at_step(40, kill, lambda: upload(releases, source, id="v1"))
    assert reached
    assert len(hidden(releases)) == 1
    clock(off)
    upload(releases, write(tmp_path, "v2"), id="v2")
    assert len(hidden(releases)) == (0 if off else 1)
    age(releases)
    upload(releases, write(tmp_path, "v3"), id="v3")
    assert hidden(releases) == []


@pytest.mark.parametrize("off", YEARS)
def test_a_follower_does_not_care(tmp_path: Path, clock: Callable[[timedelta], None], off: timedelta) -> None:
    """A worker follows by the order of the log, at the pace of a clock that does not jump."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy(V1)
    with site.followed() as (affinity, _):
        clock(off)
        site.deploy(V2)
        until(lambda: affinity.deployment.percentages == V2)
        clock(-off)
        site.upload("v0")
        until(lambda: "v0" in affinity.known)
        site.deploy(V1)
        until(lambda: affinity.deployment.percentages == V1)
    assert [entry.revision for entry in site.log.read()] == [1, 2, 3]


def test_the_age_is_looked_at_without_an_upload(
    tmp_path: Path, clock: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that gets too old is forgotten by a worker in which nothing else happens; the deployed one never."""
    monkeypatch.setattr(known_module, "AGEING", 0.05)
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy(V1)
    site.directory.change_retention(Retention(keep=0, younger_than=DAY))
    with site.followed() as (affinity, _):
        assert affinity.known == ("v1", "v2")
        clock(2 * DAY)
        until(lambda: affinity.known == ("v1",))


@pytest.mark.parametrize("off", [off for off in YEARS if off])
def test_hosts_are_alive_by_the_clock_of_redis(
    tmp_path: Path, clock: Callable[[timedelta], None], off: timedelta
) -> None:
    """Whatever the clocks of the hosts say, all see the same ones alive, with the time of the server they share."""
    with redis_server() as redis:
        site = Site(tmp_path, redis.url)
        site.upload("v1")
        site.deploy(V1)
        true = datetime.now(timezone.utc)
        clock(off)
        with site.followed(host="ahead"):
            until(lambda: site.workers.live)
            clock(-off)
            (report,) = site.workers.live
            assert abs(report.age) < 60
            assert abs(times.parse_time(report.written) - true) > timedelta(minutes=2)
        site.log.close()


def test_processes_with_clocks_of_their_own(tmp_path: Path, releases: ReleasesDirectory) -> None:
    """Operators whose clocks are decades apart upload and deploy in turn, and the order is that of what they did."""
    children = []
    for number, off in enumerate([*YEARS, *reversed(YEARS)]):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                times.datetime = wrong(lambda off=off: time.time() + off.total_seconds())
                upload(releases, write(tmp_path, f"v{number}"), id=f"v{number}")
                with closing(open_log(releases)) as log:
                    log.append({f"v{number}": 100}, expected=number)
                code = 0
            finally:
                os._exit(code)
        children.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert children == [0] * 10
    with closing(open_log(releases)) as log:
        entries = log.read()
    assert [next(iter(entry.percentages)) for entry in entries] == [f"v{number}" for number in range(10)]
    assert len({entry.created[:4] for entry in entries}) > 2  # the clocks were different ones
    assert list(releases.versions()) == [f"v{number}" for number in range(10)]


@pytest.mark.parametrize("off", [timedelta(hours=2), timedelta(days=70 * 365)])
@pytest.mark.parametrize("wrong_ones", [{0}, {1, 2}, {0, 1, 2, 3}])
def test_a_deployment_of_the_future(
    tmp_path: Path,
    releases: ReleasesDirectory,
    clock: Callable[[timedelta], None],
    caplog: pytest.LogCaptureFixture,
    off: timedelta,
    wrong_ones: set[int],
) -> None:
    """A deployment that is dated in the future keeps versions no longer than others do; one warning names each."""
    retention_module.warn_of_future.cache_clear()
    now = times.utc_now()
    uploaded = [f"v{number}" for number in range(6)]
    for number, version in enumerate(uploaded):
        upload(releases, write(tmp_path, "v1", {"number.txt": f"{number}"}), id=version)
    with closing(open_log(releases)) as log:
        for number, version in enumerate(uploaded):
            clock(off if number in wrong_ones else timedelta())
            log.append({version: 100.0}, expected=number)
        entries = log.read()
    for _ in range(2):
        assert prune_plan(releases, entries, Retention(keep=1), now=now + timedelta(minutes=1)).removed == ()
        later = prune_plan(releases, entries, Retention(keep=1), now=now + timedelta(days=1, hours=3))
        assert [release.id for release in later.removed] == ["v0", "v1", "v2", "v3"]
    told = [record.getMessage() for record in caplog.records if "in the future" in record.getMessage()]
    assert len(told) == len(wrong_ones)
