"""kill -9 at random moments under load: of operators who deploy and upload, and of workers that serve.

Nothing that anybody was told is lost, nobody is sent anything wrong, and what is started anew is as all others are.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builds import build_of
from tests.harness import NAVIGATION, write_build
from tests.releases.followed import PATH, Site, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import BROWSERS, gunicorn, load, workers
from tests.releases.uploading import age, held, hidden
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.servers.servers import Server

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs a system that forks"),
]

WORKERS = 2
ROUNDS = 3
#: One, or others on demand (``budget.py``).
SEEDS = range(1, 1 + max(1, int(os.environ.get("VERSION_AFFINITY_EXAMPLES", "0"))))
SPLIT = {"v1": 50.0, "v2": 50.0}


@pytest.fixture(params=["file", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site with each kind of log, two versions and one deployment."""
    if request.param == "file":
        yield set_up(Site(tmp_path))
        return
    with redis_server() as redis:
        made = set_up(Site(tmp_path, redis.url))
        yield made
        made.log.close()


def set_up(site: Site) -> Site:
    """Upload and deploy."""
    site.upload("v1", "v2")
    site.deploy(SPLIT)
    return site


@contextmanager
def operator(*arguments: str) -> Iterator[list[str]]:
    """Run an operator and kill it at the end of the block; what it has told is in the list then."""
    command = [sys.executable, str(Path(__file__).with_name("operators.py")), *arguments]
    told: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": PATH}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield told
        finally:
            process.kill()
            told += process.stdout.read().split("\n")[:-1]


def redis_of(site: Site) -> Redis:
    """Return a client of the Redis of a site."""
    from redis import Redis  # noqa: PLC0415 - an extra

    return Redis.from_url(str(site.url))


def all_follow(site: Site, server: Server) -> bool:
    """Tell whether every worker serves by the newest deployment."""
    newest = site.log.read()[-1]
    told = workers(server, WORKERS).values()
    return all(it["serving"] == newest.revision and it["percentages"] == newest.percentages for it in told)


@pytest.mark.parametrize("seed", SEEDS)
def test_kills_at_random_moments(site: Site, seed: int, tmp_path: Path) -> None:
    """Whoever is killed whenever: the log, the versions and the workers end up as those who were told expect them."""
    draw = random.Random(seed)
    build = write_build(tmp_path / "dist", {**build_of("v0"), **{f"{n}.txt": f"{n}" for n in range(20)}})
    deployed, uploaded = [1], []
    log = [] if site.url is None else [site.url]
    with gunicorn(site, tmp_path, workers=WORKERS) as server, load(server) as outcome:
        for number in range(ROUNDS):
            with operator("deploy", str(site.directory.path), *log) as told:
                time.sleep(draw.uniform(0.01, 0.1))
            deployed += map(int, told)
            with operator("upload", str(site.directory.path), str(build), f"k{number}") as told:
                time.sleep(draw.uniform(0.01, 0.4))
            uploaded += told
            victim = draw.choice(list(workers(server, WORKERS)))
            os.kill(victim, signal.SIGKILL)
            time.sleep(draw.uniform(0.0, 0.3))
        until(lambda: all_follow(site, server), "all follow")
        site.deploy(SPLIT)
        until(lambda: all_follow(site, server), "all follow")
        assert {it["error"] for it in workers(server, WORKERS).values()} == {""}

    entries = site.log.read()
    assert [entry.revision for entry in entries] == list(range(1, len(entries) + 1))
    assert set(deployed) <= {entry.revision for entry in entries}
    assert len(entries) <= len(deployed) + ROUNDS + 1  # of each that was killed, one may be there that it did not tell
    versions = site.directory.versions()
    assert set(uploaded) <= set(versions)
    for version in versions.keys() - {"v1", "v2"}:
        assert len(held(site.directory, version)) == len(build_of("v0")) + 20
    age(site.directory)
    upload(site.directory, build, id="last")
    assert hidden(site.directory) == []
    left = {path.name.removesuffix(".json") for path in site.directory.uploads.iterdir()}
    assert left == {*versions, "last", ".lock"}

    # A request that a worker was answering when it was killed has no answer, and no other has failed.
    assert [failed for failed in outcome["failed"] if " 0 b" not in failed] == []
    assert outcome["failures"] <= ROUNDS * BROWSERS
    assert outcome["pages"] > 100


def test_a_worker_that_is_killed_while_the_log_is_away(site: Site, tmp_path: Path) -> None:
    """Its successor serves what all others do, and follows with them when the log is back; the server lives on."""
    site.upload("v0")
    log = site.directory.path / "deployments.jsonl"
    with gunicorn(site, tmp_path, workers=WORKERS) as server:
        entries = site.log.read()
        if site.url is None:
            whole = log.read_bytes()
            log.write_bytes(b"{nonsense\n" + whole)
        else:
            with redis_of(site) as client:
                client.flushall()
        before = workers(server, WORKERS)
        os.kill(next(iter(before)), signal.SIGKILL)
        until(lambda: workers(server, WORKERS).keys() != before.keys())
        told = workers(server, WORKERS)
        assert len(told.keys() & before.keys()) == WORKERS - 1
        assert {(it["serving"], str(it["percentages"])) for it in told.values()} == {(1, str(SPLIT))}
        until(lambda: all(it["error"] for it in workers(server, WORKERS).values()))
        users = [{**NAVIGATION, "Cookie": f"user={number}"} for number in range(20)]
        assert {server.ask("/", user).body[-2:] for user in users for _ in range(WORKERS)} == {b"v1", b"v2"}
        if site.url is None:
            log.write_bytes(whole)
        else:
            site.log.restore(entries)  # type: ignore[attr-defined] # which a RedisLog has
        site.deploy({"v0": 100.0})
        until(lambda: all_follow(site, server), "all follow")
    written = server.log.read_text(errors="replace")
    assert "starting from revision 1, the last one that this host knows" in written
    assert "Traceback" not in written
