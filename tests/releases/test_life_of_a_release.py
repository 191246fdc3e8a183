"""The whole life of a release under load: nobody notices anything, whichever log it is, and every worker follows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from builds import ENTRY
from followed import Site, until
from harness import SCRIPT
from redis_server import redis_server
from site_servers import gunicorn, load, workers

from version_affinity.releases import Retention
from version_affinity.releases.retention import prune, prune_plan, rollback_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

WORKERS = 4
#: Seconds after a deployment by which every worker follows it.
SOON = 2.0
#: Seconds of load between two steps.
MEANWHILE = 1.0


@pytest.fixture(params=["file", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site with each kind of log."""
    if request.param == "file":
        yield Site(tmp_path)
        return
    with redis_server() as redis:
        made = Site(tmp_path, redis.url)
        yield made
        made.log.close()


def deploy(site: Site, server: Server, percentages: dict[str, float]) -> None:
    """Deploy; soon afterwards, every worker is on the new revision, and serves by these percentages."""
    entry = site.deploy(percentages)
    time.sleep(SOON)
    told = workers(server, WORKERS)
    assert {worker["revision"] for worker in told.values()} == {entry.revision}
    assert {worker["serving"] for worker in told.values()} == {entry.revision}
    assert [worker["percentages"] for worker in told.values()] == [percentages] * WORKERS


def test_the_life_of_a_release(site: Site, tmp_path: Path) -> None:
    """Upload, ramp, roll back and prune under load: no request fails, and every worker is soon on the same revision."""
    site.upload("v1")
    site.deploy({"v1": 100.0})
    with gunicorn(site, tmp_path, workers=WORKERS) as server, load(server) as outcome:
        processes = workers(server, WORKERS).keys()
        site.upload("v2")
        until(lambda: all(worker["versions"] == ["v1", "v2"] for worker in workers(server, WORKERS).values()))
        deploy(site, server, {"v1": 90.0, "v2": 10.0})
        deploy(site, server, {"v1": 50.0, "v2": 50.0})
        deploy(site, server, {"v2": 100.0})
        time.sleep(MEANWHILE)

        back = rollback_target(site.log.read())
        assert back is not None
        deploy(site, server, dict(back.percentages))
        assert back.percentages == {"v1": 100.0}

        site.upload("v0")
        until(lambda: all("v0" in worker["versions"] for worker in workers(server, WORKERS).values()))
        assert prune(prune_plan(site.directory, site.log.read(), Retention(keep=0)), site.log) == ["v0"]
        until(lambda: all(worker["versions"] == ["v1", "v2"] for worker in workers(server, WORKERS).values()))
        assert server.ask(ENTRY["v0"], SCRIPT).status == 404

        assert workers(server, WORKERS).keys() == processes
        assert {worker["error"] for worker in workers(server, WORKERS).values()} == {""}
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pages"] > 100
    assert outcome["files"] > outcome["pages"]
    assert "Traceback" not in server.log.read_text(errors="replace")
