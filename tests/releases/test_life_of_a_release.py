"""The whole life of a release by commands, under load: nobody notices anything, whichever log it is, and all follow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import COLLISION, ENTRY, build_of
from tests.harness import SCRIPT, write_build
from tests.releases.followed import NAME, Site, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import gunicorn, load, workers

pytestmark = pytest.mark.servers

if os.environ.get("CI") != "true":  # there the test fails instead
    for package, extra in (("click", "cli"), ("justhtml", "check"), ("tinycss2", "check"), ("tree_sitter", "check")):
        pytest.importorskip(package, reason=f"it comes with the extra {extra!r}")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.servers import Server

WORKERS = 4
#: Seconds of load between two steps.
MEANWHILE = 1.0


class Operator:
    """Somebody who works by commands, each in a process of its own.

    Args:
        directory: Where: ``releases/`` is in it.
        log: The URL of the log, None for the file.
    """

    def __init__(self, directory: Path, log: str | None) -> None:
        self._directory = directory
        self.log = log
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VERSION_AFFINITY_")}
        given = {} if log is None else {"VERSION_AFFINITY_LOG": log}
        self._environment = {**kept, **given, "VERSION_AFFINITY_AUTHOR": "ada", "PYTHONWARNINGS": "error"}

    def run(self, text: str) -> str:
        """Run a command, and return what it prints."""
        command = [sys.executable, "-m", "version_affinity", *text.split()]
        done = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        assert not done.stderr, f"{text}: {done.stderr}"
        return done.stdout

    def json(self, text: str) -> Any:
        """Run a command, and return the JSON that it prints."""
        return json.loads(self.run(f"{text} --json"))

    def upload(self, version: str) -> None:
        """Build a version, and upload it."""
        files = {path: content for path, content in build_of(version).items() if path != COLLISION[1:]}
        write_build(self._directory / f"dist-{version}", files)
        assert f"Uploaded {version}: " in self.run(f"versions upload dist-{version} --id {version}")


@pytest.fixture(params=["file", "redis"])
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Operator]:
    """An operator, with each kind of log."""
    if request.param == "file":
        yield Operator(tmp_path, None)
        return
    with redis_server() as redis:
        yield Operator(tmp_path, redis.url)


def deploy(operator: Operator, server: Server, command: str, percentages: dict[str, float]) -> None:
    """Deploy, and wait until every worker serves by it; then they are on the new revision, with these percentages."""
    seen = operator.json("deployments status")["revision"]
    entry = operator.json(f"{command} -y --expect {seen}")["entry"]
    until(lambda: {worker["serving"] for worker in workers(server, WORKERS).values()} == {entry["revision"]})
    told = workers(server, WORKERS)
    assert entry["revision"] == seen + 1
    assert {worker["revision"] for worker in told.values()} == {entry["revision"]}
    assert [worker["percentages"] for worker in told.values()] == [percentages] * WORKERS


def test_the_life_of_a_release(operator: Operator, tmp_path: Path) -> None:
    """Upload, check, ramp, roll back, prune under load: no request fails; every worker gets to the same revision."""
    operator.run(f"init --name {NAME}")
    operator.upload("v1")
    assert "Deployed revision 1" in operator.run("versions deploy v1 -y")
    site = Site(tmp_path, operator.log)  # which is there, and is what the server is told of
    site.log.close()
    with gunicorn(site, tmp_path, workers=WORKERS) as server, load(server) as outcome:
        processes = workers(server, WORKERS).keys()
        operator.upload("v2")
        found = operator.json("check v2")
        assert (found["ok"], found["live"], found["known"]) == (True, "v1", ["v1"])
        deploy(operator, server, "versions deploy v1@90% v2@10%", {"v1": 90.0, "v2": 10.0})
        deploy(operator, server, "versions deploy v1@50% v2@50%", {"v1": 50.0, "v2": 50.0})
        deploy(operator, server, "versions deploy v2@100%", {"v2": 100.0})
        time.sleep(MEANWHILE)
        deploy(operator, server, "rollback", {"v1": 100.0})

        operator.upload("v0")
        until(lambda: all("v0" in worker["versions"] for worker in workers(server, WORKERS).values()))
        assert operator.json("retention --keep 0 -y")["prunable"] == ["v0"]
        until(lambda: all(worker["versions"] == ["v1", "v2"] for worker in workers(server, WORKERS).values()))
        assert server.ask(ENTRY["v0"], SCRIPT).status == 404
        assert operator.json("prune -y")["removed"] == ["v0"]

        # A worker reports once a second, later on a busy machine.
        until(
            lambda: {tuple(it["versions"]) for it in operator.json("deployments status")["workers"]} == {("v1", "v2")}
        )
        status = operator.json("deployments status")
        assert (status["revision"], status["missing"]) == (5, [])
        assert {it["revision"] for it in status["workers"]} == {5}
        assert workers(server, WORKERS).keys() == processes
        assert {worker["error"] for worker in workers(server, WORKERS).values()} == {""}
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pages"] > 100
    assert outcome["files"] > outcome["pages"]
    assert "Traceback" not in server.log.read_text(errors="replace")
