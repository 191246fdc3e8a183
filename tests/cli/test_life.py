"""The whole life of a release by commands alone, in processes of their own, while an application follows it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there the import below fails instead
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")

from tests.cli.commanding import build_of, ran
from tests.harness import write_build
from tests.releases.redis_server import redis_server
from version_affinity import Releases, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers


@pytest.fixture(params=["file", "redis"])
def log(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What tells the commands of each kind of log."""
    if request.param == "file":
        yield {}
        return
    with redis_server() as server:
        yield {"VERSION_AFFINITY_LOG": server.url}


def test_life(tmp_path: Path, log: dict[str, str]) -> None:
    """Init, upload, deploy, ramp, roll back, prune: each command does it, and an application serves it."""

    def command(text: str, code: int = 0) -> str:
        return ran(tmp_path, *text.split(), code=code, **log).stdout

    for version in ("v1", "v2"):
        write_build(tmp_path / "dist" / version, build_of(version))
    command("init --name storefront")
    command("versions upload dist/v1 --id v1 --tag first")
    command("versions deploy v1 -y")
    url = log.get("VERSION_AFFINITY_LOG")
    releases = Releases(tmp_path / "releases", log=url, interval=0.02, host="web-1")
    affinity = VersionAffinity(None, releases)
    try:
        command("versions upload dist/v2 --id v2 -m New")
        command("versions deploy v2@10 v1 -y")
        shown = command("explain / --key value:alice --json")
        assert json.loads(shown)["decision"]["version"] == affinity.deployment.assign("alice")
        command("versions deploy v2 -y -m Done")
        status = json.loads(command("deployments status --json"))
        assert (status["revision"], status["percentages"], status["message"]) == (3, {"v2": 100.0}, "Done")
        assert [(worker["host"], worker["pid"]) for worker in status["workers"]] == [("web-1", os.getpid())]
        command("rollback -y")
        assert [entry["percentages"] for entry in json.loads(command("deployments list --json"))][:2] == [
            {"v1": 100.0},
            {"v2": 100.0},
        ]
        assert "There is nothing to remove" in command("prune --keep 0 -y")
        command("versions deploy v9 -y", code=1)
        assert affinity.deployment.revision == 4
    finally:
        releases.close()
