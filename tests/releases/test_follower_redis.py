"""A worker that follows a log in Redis: what it does while Redis is away, and what its host says there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from builds import ENTRY
from followed import Site, until
from harness import SCRIPT, client
from redis_server import RedisServer, redis_server

from version_affinity import ConfigurationError, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "s3cret"  # noqa: S105 - of a server that the test starts
V1, V2, SPLIT = {"v1": 100.0}, {"v2": 100.0}, {"v1": 50.0, "v2": 50.0}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, which keeps its data when it is killed."""
    with redis_server(password=PASSWORD) as server:
        yield server


@pytest.fixture
def site(redis: RedisServer, tmp_path: Path) -> Iterator[Site]:
    """A site with v1 deployed and v2 uploaded."""
    made = Site(tmp_path / "host-1", redis.url)
    made.upload("v1", "v2")
    made.deploy(V1)
    yield made
    made.log.close()


def test_a_log_in_redis_is_followed(site: Site) -> None:
    """The log is all that changes, and the worker serves what it says."""
    with site.followed() as (affinity, _):
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.percentages == SPLIT)


def test_redis_is_away_for_a_while(site: Site, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Without Redis all goes on, uploads are known even then; when it is back, its log is followed again."""
    with site.followed() as (affinity, releases):
        redis.kill()
        until(lambda: (status := releases.status()) and status.error)
        site.upload("v0")
        until(lambda: "v0" in affinity.known)
        assert client(affinity).get(ENTRY["v0"], headers=SCRIPT).status_code == 200
        assert affinity.deployment.percentages == V1
        redis.start()
        until(lambda: (status := releases.status()) and not status.error)
        site.deploy(V2)
        until(lambda: affinity.deployment.percentages == V2)
    assert caplog.text.count("can be read again") == 1
    assert PASSWORD not in caplog.text


def test_redis_hangs(site: Site, redis: RedisServer) -> None:
    """A Redis that answers nobody keeps no request waiting, nor uploads from becoming known."""
    with site.followed() as (affinity, releases):
        with redis.hanging():
            until(lambda: (status := releases.status()) and status.error)
            assert client(affinity).get("/").status_code == 200
            site.upload("v0")
            until(lambda: "v0" in affinity.known)
        site.deploy(V2)
        until(lambda: affinity.deployment.percentages == V2)


def test_redis_comes_back_without_its_data(site: Site, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A log that has lost what was read from it changes nothing, for a running worker and for one that starts."""
    site.deploy(SPLIT)
    with site.followed() as (affinity, releases):
        redis.kill()
        redis.forget()
        redis.start()
        until(lambda: (status := releases.status()) and "lost" in status.error)
        assert affinity.deployment.percentages == SPLIT
        with site.followed() as (started, _):
            assert started.deployment.percentages == SPLIT
            assert started.deployment.revision == 2
    assert "has 0 deployments, and this host has seen 2, not all of which are among them" in caplog.text
    assert "starting from revision 2, which this host knew last" in caplog.text


def test_starting_without_redis(site: Site, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A worker starts from what its host knew last, and says so; when Redis is back, it follows it."""
    with site.followed():
        pass
    redis.kill()
    with site.followed() as (affinity, releases):
        assert affinity.deployment.percentages == V1
        assert "starting from revision 1, which this host knew last" in caplog.text
        status = releases.status()
        assert status is not None
        assert status.error
        redis.start()
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.percentages == SPLIT)


def test_a_host_that_knows_nothing_cannot_start_without_redis(site: Site, redis: RedisServer) -> None:
    """Without Redis and without a copy there is nothing to serve; the error says what to do, and not the password."""
    redis.kill()
    with pytest.raises(ConfigurationError) as raised:
        VersionAffinity(None, Releases(site.directory.path, log=site.url))
    assert "make the log available" in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_a_copy_that_cannot_be_written(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The copy is a help only: without it, the log is followed all the same."""
    (site.directory.path / ".last-known.jsonl").mkdir()
    with site.followed() as (affinity, _):
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.percentages == SPLIT)
    assert max(record.levelno for record in caplog.records) == logging.WARNING


def test_hosts_say_what_they_hold(site: Site, tmp_path: Path) -> None:
    """Each host reports its versions, at once when there is a new one, and the revision that it follows."""
    other = Site(tmp_path / "host-2", site.url)
    other.upload("v1")
    assert isinstance(site.log, Presence)
    with site.followed(host="one"), other.followed(host="two"):
        expected = {"one": ({"v1", "v2"}, 1), "two": ({"v1"}, 1)}
        until(lambda: {name: it[:2] for name, it in site.log.hosts().items()} == expected)
        site.deploy(SPLIT)
        expected = {"one": ({"v1", "v2"}, 2), "two": ({"v1"}, 2)}
        until(lambda: {name: it[:2] for name, it in site.log.hosts().items()} == expected)
        other.upload("v2")
        expected = {"one": ({"v1", "v2"}, 2), "two": ({"v1", "v2"}, 2)}
        until(lambda: {name: it[:2] for name, it in site.log.hosts().items()} == expected)
    other.log.close()


def test_a_host_that_lacks_a_version_sends_nobody_there(site: Site, tmp_path: Path) -> None:
    """Of two hosts under one log, each serves what it has, and both the same once both have all."""
    other = Site(tmp_path / "host-2", site.url)
    other.upload("v1")
    with site.followed() as (whole, _), other.followed() as (partial, _):
        site.deploy(SPLIT)
        until(lambda: whole.deployment.revision == 2 and partial.deployment.revision == 2)
        assert whole.deployment.percentages == SPLIT
        assert partial.deployment.percentages == V1
        other.upload("v2")
        until(lambda: partial.deployment.percentages == SPLIT)
        assert [partial.deployment.assign(str(n)) for n in range(50)] == [
            whole.deployment.assign(str(n)) for n in range(50)
        ]
    other.log.close()
