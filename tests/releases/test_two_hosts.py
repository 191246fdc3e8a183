"""Two hosts behind a real nginx that sends each request to the next of them, under one log in Redis, under load.

Each has a server with two workers and a releases directory of its own, where uploads arrive when they do.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.builds import ENTRY
from tests.harness import NAVIGATION, SCRIPT
from tests.releases.followed import Site, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import gunicorn, load, workers
from tests.servers.nginx import nginx
from tests.servers.servers import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.releases.redis_server import RedisServer
    from tests.servers.servers import Server

pytestmark = pytest.mark.servers

WORKERS = 2
#: Seconds after a deployment by which every worker of every host follows it.
SOON = 2.0
#: Seconds of load in which the hosts differ.
MEANWHILE = 1.5

# A request that one host fails is not sent to the other, which would hide it.
BALANCED = "proxy_next_upstream off; location / { proxy_pass http://hosts; proxy_set_header Host $host; }"


class Host(NamedTuple):
    """One host: its releases and its server."""

    site: Site
    server: Server

    def told(self) -> list[dict[str, object]]:
        """Return what each of its workers says."""
        return list(workers(self.server, WORKERS).values())

    def has(self, *versions: str) -> bool:
        """Tell whether every one of its workers has loaded these versions, and no others."""
        return all(set(worker["versions"]) == set(versions) for worker in self.told())


class Fleet(NamedTuple):
    """Two hosts, what is in front of them, and what they share."""

    hosts: tuple[Host, Host]
    front: Server
    redis: RedisServer

    def lacking(self, percentages: Mapping[str, float]) -> set[str]:
        """Return the hosts of which a worker lacks a version, as their workers report."""
        return set(self.hosts[0].site.workers.lacking(percentages))

    def deploy(self, percentages: dict[str, float]) -> None:
        """Deploy; soon afterwards, every worker of both hosts serves by it."""
        entry = self.hosts[1].site.deploy(percentages)
        time.sleep(SOON)
        for host in self.hosts:
            told = [(worker["revision"], worker["serving"], worker["percentages"]) for worker in host.told()]
            assert told == [(entry.revision, entry.revision, percentages)] * WORKERS


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Two hosts with v1 deployed."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        hosts = []
        for name in ("one", "two"):
            site = Site(tmp_path / name, redis.url, name)
            stack.enter_context(closing(site.log))
            site.upload("v1")
            if not hosts:
                site.deploy({"v1": 100.0})
            hosts.append(Host(site, stack.enter_context(gunicorn(site, tmp_path / name, workers=WORKERS))))
        listed = " ".join(f"server {HOST}:{host.server.port};" for host in hosts)
        front = stack.enter_context(nginx(tmp_path / "nginx", BALANCED, f"upstream hosts {{ {listed} }}"))
        yield Fleet((hosts[0], hosts[1]), front, redis)
    for host in hosts:
        assert "Traceback" not in host.server.log.read_text(errors="replace")


def test_a_release_on_two_hosts(fleet: Fleet) -> None:
    """Uploads arrive at different times, then it is deployed, ramped and rolled back: no request fails, at no time.

    Until every live host has a version, the log says who lacks it, and nobody deploys it.
    """
    one, two = fleet.hosts
    with load(fleet.front) as outcome:
        one.site.upload("v2")
        until(lambda: one.has("v1", "v2"))
        time.sleep(MEANWHILE)  # one host has it, and the other has not
        assert fleet.lacking({"v1": 50.0, "v2": 50.0}) == {"two"}
        assert two.has("v1")
        two.site.upload("v2")
        until(lambda: not fleet.lacking({"v1": 50.0, "v2": 50.0}))
        fleet.deploy({"v1": 50.0, "v2": 50.0})
        time.sleep(MEANWHILE)
        fleet.deploy({"v2": 100.0})

        two.site.upload("v0")  # in the other order, and at once
        one.site.upload("v0")
        until(lambda: not fleet.lacking({"v0": 100.0}))
        fleet.deploy({"v0": 10.0, "v2": 90.0})
        fleet.deploy({"v1": 100.0})
        time.sleep(MEANWHILE)
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pages"] > 100


def test_redis_goes_away_in_the_middle_of_a_deployment(fleet: Fleet) -> None:
    """Where some have read a deployment when Redis goes away, and others not, nobody gives out what these do not know.

    A page of the new version would ask them for files by the version that it names. When Redis is back, all follow.
    """
    for host in fleet.hosts:
        host.site.upload("v2", "v0")
    until(lambda: not fleet.lacking({"v0": 50.0, "v2": 50.0}))
    with load(fleet.front) as outcome:
        for version, reading in (("v2", 0.05), ("v0", 0.15)):
            entry = fleet.hosts[0].site.deploy({"v1": 50.0, version: 50.0})
            time.sleep(reading)
            fleet.redis.kill()
            time.sleep(MEANWHILE)
            fleet.redis.start()
            until(lambda: {it["serving"] for host in fleet.hosts for it in host.told()} == {entry.revision})  # noqa: B023
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pinned"] > 100


def test_a_version_that_is_forced_on_a_host_that_lacks_it(fleet: Fleet) -> None:
    """Where it is deployed all the same, that host sends nobody there; what it cannot have fails until it arrives.

    Which is why deploying it is refused: a page of the one host asks the other for its files.
    """
    one, two = fleet.hosts
    one.site.upload("v2")
    until(lambda: one.has("v1", "v2"))
    with load(fleet.front) as outcome:
        one.site.deploy({"v1": 50.0, "v2": 50.0})
        until(lambda: all(worker["lacking"] == ["v2"] for worker in two.told()))
        assert {str(worker["percentages"]) for worker in two.told()} == {"{'v1': 100.0}"}
        until(lambda: all(worker["percentages"] == {"v1": 50.0, "v2": 50.0} for worker in one.told()))
        assert {two.server.ask("/", {**NAVIGATION, "Cookie": f"user={n}"}).body[-2:] for n in range(20)} == {b"v1"}
        time.sleep(MEANWHILE)
    expected = f"{ENTRY['v2']} 404 ", "/logo.svg of another version"
    assert outcome["failures"] > 0
    assert [failed for failed in outcome["failed"] if not failed.startswith(expected)] == []

    two.site.upload("v2")
    until(lambda: two.has("v1", "v2"))
    with load(fleet.front) as outcome:
        time.sleep(MEANWHILE)
    assert outcome["failures"] == 0, outcome["failed"]
    assert {worker["lacking"] == [] for host in fleet.hosts for worker in host.told()} == {True}
    assert fleet.front.ask(ENTRY["v2"], SCRIPT).status == 200
