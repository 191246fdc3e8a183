"""When a new version may have traffic: once all workers know it, and at once where there is nothing to wait for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.builds import ENTRY
from tests.harness import NAVIGATION, SCRIPT, client, state_of
from tests.releases.followed import Site, follower_of, until
from version_affinity.releases.follow import readiness as module
from version_affinity.releases.follow.readiness import Loading, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

V1, V2, SPLIT = {"v1": 100.0}, {"v2": 100.0}, {"v1": 50.0, "v2": 50.0}
INTERVAL = 0.25


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that is moved on by hand, from 1000 s on."""
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    return move


def test_what_others_have_at_the_start(clock: Callable[[float], None]) -> None:
    """A process that starts does not wait for what the others have, however long it took to load; it waits for more."""
    readiness = Readiness(INTERVAL)
    loadings = {"v1": Loading(999.0, 60.0), "v2": Loading(1000.0, 60.0), "v3": Loading(1000.0, 1.0)}
    readiness.begin(spread={"v1", "v2"}, ready={"v1"})
    assert readiness.ready({"v1", "v2", "v3"}, loadings) == {"v1"}
    assert readiness.remaining == 0.5
    clock(0.6)
    assert readiness.ready({"v1", "v2", "v3"}, loadings) == {"v1", "v2"}
    clock(2)
    assert readiness.ready({"v1", "v2", "v3"}, loadings) == {"v1", "v2", "v3"}
    assert readiness.remaining == math.inf


def test_a_version_with_its_first_share(clock: Callable[[float], None]) -> None:
    """It waits for two looks of the others; then it is due, once, and what was ready before stays so."""
    readiness = Readiness(INTERVAL)
    readiness.begin(spread={"v1"}, ready={"v1"})
    clock(10)
    for _ in range(4):
        assert readiness.ready({"v1", "v2"}, {}) == {"v1"}
        assert readiness.is_waiting
        clock(2 * INTERVAL / 4)
    assert readiness.ready({"v1", "v2"}, {}) == {"v1", "v2"}
    assert not readiness.is_waiting


def test_a_version_that_all_report(clock: Callable[[float], None]) -> None:
    """Once all report a version, nobody waits for what they might need; while one lacks it, all wait, within limits."""
    readiness = Readiness(INTERVAL)
    readiness.begin(spread={"v1"}, ready={"v1"})
    clock(10)
    loadings = {"v2": Loading(1010.0, 3.0), "v3": Loading(1010.0, 0.0)}
    all_of_them = {"v1", "v2", "v3"}
    assert readiness.ready(all_of_them, loadings, loaded_by_all={"v1"}) == {"v1"}
    clock(0.6)
    assert readiness.ready(all_of_them, loadings, loaded_by_all={"v1", "v2"}) == {"v1", "v2"}
    clock(9)
    assert readiness.ready(all_of_them, loadings, loaded_by_all={"v1", "v2"}) == {"v1", "v2"}
    clock(1)
    assert readiness.ready(all_of_them, loadings, loaded_by_all={"v1", "v2"}) == all_of_them


def test_a_version_that_a_worker_is_loading(clock: Callable[[float], None]) -> None:
    """All wait for as long as a worker reports to be loading it, for minutes; a worker that hangs stops no rollout."""
    readiness = Readiness(INTERVAL)
    readiness.begin(spread={"v1"}, ready={"v1"})
    clock(10)
    versions, loadings = {"v1", "v2", "v3"}, {"v2": Loading(1010.0, 0.0), "v3": Loading(1010.0, 0.0)}

    def ready(loading: set[str]) -> frozenset[str]:
        return readiness.ready(versions, loadings, loaded_by_all={"v1"}, loading=loading)

    assert ready({"v2", "v3"}) == {"v1"}
    clock(60)
    assert ready({"v2", "v3"}) == {"v1"}
    assert ready({"v2"}) == {"v1", "v3"}
    clock(240)
    assert ready({"v2"}) == {"v1", "v3"}
    clock(1)
    assert ready({"v2"}) == {"v1", "v2", "v3"}


def test_workers_that_look_seldom(clock: Callable[[float], None]) -> None:
    """A version waits for two looks of the others, however long that takes: until then they lack its files."""
    readiness = Readiness(60.0)
    readiness.begin(spread={"v1"}, ready={"v1"})
    loadings = {"v2": Loading(1000.5, 0.5)}
    clock(0.5)
    assert readiness.ready({"v1", "v2"}, loadings) == {"v1"}
    clock(120.5)
    assert readiness.ready({"v1", "v2"}, loadings) == {"v1"}
    clock(0.6)
    assert readiness.ready({"v1", "v2"}, loadings) == {"v1", "v2"}


@pytest.mark.parametrize(("seconds", "wait"), [(0.0, 0.5), (0.1, 0.7), (2.0, 4.5), (60.0, 10.5)])
def test_a_version_that_takes_long_to_load(clock: Callable[[float], None], seconds: float, wait: float) -> None:
    """The others may take longer than this process did: it waits twice as long again, but not for ever."""
    readiness = Readiness(INTERVAL)
    readiness.begin(spread={"v1"}, ready={"v1"})
    clock(100 + seconds)
    loadings = {"v2": Loading(1100.0 + seconds, seconds)}
    assert readiness.ready({"v1", "v2"}, loadings) == {"v1"}
    clock(wait - 0.01)
    assert readiness.ready({"v1", "v2"}, loadings) == {"v1"}
    clock(0.02)
    assert readiness.ready({"v1", "v2"}, loadings) == {"v1", "v2"}


def test_a_version_that_comes_again(clock: Callable[[float], None]) -> None:
    """What was forgotten meanwhile is new again."""
    readiness = Readiness(INTERVAL)
    readiness.begin(spread={"v1", "v2"}, ready={"v1", "v2"})
    clock(10)
    assert readiness.ready({"v1"}, {}) == {"v1"}
    assert readiness.ready({"v1", "v2"}, {}) == {"v1"}


def test_a_log_that_goes_away_meanwhile(clock: Callable[[float], None]) -> None:
    """While it cannot be told whether others have read what this process has, what is new waits on."""
    readiness = Readiness(INTERVAL)
    readiness.begin(spread={"v1"}, ready={"v1"})
    clock(10)
    assert readiness.ready({"v1", "v2"}, {}, not_before=math.inf) == {"v1"}
    clock(60)
    assert readiness.ready({"v1", "v2"}, {}, not_before=math.inf) == {"v1"}
    assert readiness.ready({"v1", "v2"}, {}, not_before=1080.0) == {"v1"}
    clock(10)
    assert readiness.ready({"v1", "v2"}, {}, not_before=1080.0) == {"v1", "v2"}
    assert readiness.ready({"v1", "v2"}, {}, not_before=math.inf) == {"v1", "v2"}


def test_ramps_and_rollbacks_wait_for_nobody(tmp_path: Path) -> None:
    """Only the first share of a version waits: all later ones are served at the next look."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy(SPLIT)
    with site.followed() as (affinity, releases):
        follower_of(releases).readiness.pause = 3600.0  # a wait would not end
        for shares in (V2, V1, {"v1": 10.0, "v2": 90.0}):
            entry = site.deploy(shares)
            until(lambda: affinity.deployment.revision == entry.revision)  # noqa: B023


def test_a_worker_is_ready_before_it_begins(tmp_path: Path) -> None:
    """Before it gives out pages of a version with its first share, it honours the pins that others have given out."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy(V1)
    pinned = {**SCRIPT, "Cookie": "version-affinity-storefront=4711.v2"}
    with site.followed(interval=0.2) as (affinity, releases):
        site.deploy(SPLIT)
        until(lambda: "v2" in state_of(affinity).published)
        status = releases.status()
        assert status is not None
        assert (status.revision, status.serving, status.lacking) == (2, 1, ())
        users = [{**NAVIGATION, "Cookie": f"user={number}"} for number in range(20)]
        assert {client(affinity).get("/", headers=user).text[-2:] for user in users} == {"v1"}
        assert b"v2" in client(affinity).get("/logo.svg", headers=pinned).data
        assert client(affinity).get(ENTRY["v2"], headers=SCRIPT).status_code == 200
        until(lambda: affinity.deployment.revision == 2)
        assert {client(affinity).get("/", headers=user).text[-2:] for user in users} == {"v1", "v2"}
