"""The whole life of a release under load: nobody notices anything, whichever log it is, and every worker follows."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builds import ENTRY
from followed import PATH, Site, until
from harness import SCRIPT
from redis_server import redis_server
from servers import HOST, Server, free_port, running

from version_affinity.releases import Retention
from version_affinity.releases.retention import prune, prune_plan, rollback_target

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 4
#: Seconds after a deployment by which every worker follows it.
SOON = 2.0
#: Seconds of load between two steps.
MEANWHILE = 1.0
BROWSERS = 4


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


@contextlib.contextmanager
def gunicorn(site: Site, directory: Path) -> Iterator[Server]:
    """Serve the site by several workers."""
    port = free_port()
    command = ["-m", "gunicorn", f"--workers={WORKERS}", "--worker-class=gthread", "--threads=4"]
    environment = {**site.environment, "PYTHONPATH": PATH}
    command = [sys.executable, *command, f"--bind={HOST}:{port}", "followed:site()"]
    with running(command, port, directory / "gunicorn.log", environment) as server:
        yield server


@contextlib.contextmanager
def load(server: Server) -> Iterator[dict[str, Any]]:
    """Load the site from another process until the block ends; what came of it is in the dict afterwards."""
    script = Path(__file__).with_name("load.py")
    command = [sys.executable, str(script), str(server.port), str(BROWSERS)]
    outcome: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield outcome
            written, _ = process.communicate(timeout=60)
            outcome.update(json.loads(written))
        finally:
            process.kill()


def workers(server: Server) -> dict[int, Any]:
    """Return what each worker says of itself, by process; all of them."""
    found: dict[int, Any] = {}

    def ask(_: int) -> None:
        told = json.loads(server.ask("/worker?seconds=0.02").body)
        found[told["process"]] = told

    def all_of_them() -> bool:
        with ThreadPoolExecutor(2 * WORKERS) as pool:
            list(pool.map(ask, range(4 * WORKERS)))
        return len(found) >= WORKERS

    until(all_of_them, f"{WORKERS} workers have answered")
    return found


def deploy(site: Site, server: Server, percentages: dict[str, float]) -> None:
    """Deploy; soon afterwards, every worker is on the new revision, and serves by these percentages."""
    entry = site.deploy(percentages)
    time.sleep(SOON)
    told = workers(server)
    assert {worker["revision"] for worker in told.values()} == {entry.revision}
    assert {worker["serving"] for worker in told.values()} == {entry.revision}
    assert [worker["percentages"] for worker in told.values()] == [percentages] * WORKERS


def test_the_life_of_a_release(site: Site, tmp_path: Path) -> None:
    """Upload, ramp, roll back and prune under load: no request fails, and every worker is soon on the same revision."""
    site.upload("v1")
    site.deploy({"v1": 100.0})
    with gunicorn(site, tmp_path) as server, load(server) as outcome:
        processes = workers(server).keys()
        site.upload("v2")
        until(lambda: all(worker["versions"] == ["v1", "v2"] for worker in workers(server).values()))
        deploy(site, server, {"v1": 90.0, "v2": 10.0})
        deploy(site, server, {"v1": 50.0, "v2": 50.0})
        deploy(site, server, {"v2": 100.0})
        time.sleep(MEANWHILE)

        back = rollback_target(site.log.read())
        assert back is not None
        deploy(site, server, dict(back.percentages))
        assert back.percentages == {"v1": 100.0}

        site.upload("v0")
        until(lambda: all("v0" in worker["versions"] for worker in workers(server).values()))
        assert prune(prune_plan(site.directory, site.log.read(), Retention(keep=0)), site.log) == ["v0"]
        until(lambda: all(worker["versions"] == ["v1", "v2"] for worker in workers(server).values()))
        assert server.ask(ENTRY["v0"], SCRIPT).status == 404

        assert workers(server).keys() == processes
        assert {worker["error"] for worker in workers(server).values()} == {""}
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pages"] > 100
    assert outcome["files"] > outcome["pages"]
    assert "Traceback" not in server.log.read_text(errors="replace")
