"""A worker that follows a log in Redis: what it does while Redis is away, and what its host says there."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.builds import ENTRY
from tests.harness import SCRIPT, client
from tests.releases.followed import Site, until
from tests.releases.redis_server import RedisServer, redis_server
from version_affinity import ConfigurationError, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.log import redis as redis_log
from version_affinity.releases.log.entries import LogLostError
from version_affinity.releases.log.local_copy import LocalCopy
from version_affinity.releases.releases import COPY, open_log
from version_affinity.releases.reports import reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

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
        with site.followed() as (started, others):
            assert started.deployment.percentages == SPLIT
            assert started.deployment.revision == 2
            # A host's copy has all of it.
            site.log.restore(LocalCopy(site.directory.path / COPY).load())  # type: ignore[attr-defined]
            site.deploy(V2)
            until(lambda: started.deployment.percentages == affinity.deployment.percentages == V2)
            until(lambda: not any(it.status().error for it in (releases, others)))  # type: ignore[union-attr]
    assert "has 0 deployments, and this host has seen 2, not all of which are among them" in caplog.text
    assert "starting from revision 2, the last one that this host knows" in caplog.text


def test_nobody_begins_anew_while_a_host_remembers(site: Site, redis: RedisServer) -> None:
    """Hosts go on telling what they have seen to a Redis that has lost it, so an operator who knows nothing is told."""
    site.deploy(SPLIT)
    with site.followed():
        redis.kill()
        redis.forget()
        redis.start()
        with closing(open_log(site.directory.path, site.url)) as log:
            until(lambda: site.workers.live)
            assert log.read() == []
            with pytest.raises(LogLostError, match=r"revision 2 was there\. Restore"):
                log.append(V1, expected=0)
            assert log.read() == []


def test_nobody_begins_anew_before_a_host_has_come_back(
    site: Site, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who is quicker than the hosts, which were told to ask a dead server less and less, waits for them."""
    monkeypatch.setattr(redis_log, "GRACE", 20.0)
    with site.followed():
        redis.kill()
        redis.forget()
        redis.start()
        with closing(open_log(site.directory.path, site.url)) as log:
            with pytest.raises(LogLostError, match=r"revision 1 was there"):
                log.append(V1, expected=0)
            assert log.read() == []


def test_a_redis_that_a_host_may_only_read(site: Site, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Its log is followed all the same; that this host cannot report is said once, and in the status."""
    with redis.client() as administrator:
        rights = {"keys": ["*"], "commands": ["+@read", "+@connection"]}
        administrator.acl_setuser("viewer", enabled=True, passwords=["+s3cret"], **rights)
    host = Site(site.root, redis.url.replace("redis://:", "redis://viewer:"))
    with host.followed(host="viewer") as (affinity, releases):
        until(lambda: (status := releases.status()) and "no permissions" in status.report_error)
        for shares in (SPLIT, V2):
            site.deploy(shares)
            until(lambda: affinity.deployment.percentages == shares)  # noqa: B023
        status = releases.status()
        assert status is not None
        assert "no permissions" in status.report_error
        assert status.error == ""
        assert site.reports.obstacle(site.workers) == ""
        obstacle = host.reports.obstacle(site.workers)
        assert "no permissions" in obstacle
        assert "Let its user write the keys version-affinity:storefront:workers*" in obstacle
    told = [record.message for record in caplog.records if "this host cannot report" in record.message]
    assert len(told) == 1
    assert "can be read again" not in caplog.text
    assert PASSWORD not in caplog.text
    host.log.close()


def test_a_redis_without_memory(site: Site, redis: RedisServer) -> None:
    """It can be read, and takes no reports: a command says so of its own host."""
    with redis.client() as administrator:
        administrator.config_set("maxmemory", "1")
        try:
            assert site.workers.live == ()
            assert "let it have free memory" in site.reports.obstacle(site.workers)
        finally:
            administrator.config_set("maxmemory", "0")
    assert site.reports.obstacle(site.workers) == ""


def test_reports_that_are_lost(site: Site, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker repeats its report every few seconds, also to a Redis that has lost it."""
    with site.followed(host="one"), redis.client() as client_of_redis:
        monkeypatch.setattr(reporter, "HEARTBEAT", 0.2)
        for _ in range(3):
            until(lambda: site.workers.live)
            client_of_redis.delete("version-affinity:storefront:workers")


def test_a_log_behind_tls(tmp_path: Path) -> None:
    """A log whose URL has a password and a certificate's authority is followed, and none of it is told."""
    with redis_server(password=PASSWORD, tls=True) as server:
        site = Site(tmp_path, server.url)
        site.upload("v1", "v2")
        site.deploy(V1)
        with site.followed() as (affinity, releases):
            site.deploy(V2)
            until(lambda: affinity.deployment.percentages == V2)
            server.kill()
            until(lambda: (status := releases.status()) and status.error)
            assert PASSWORD not in str(releases.status())
        site.log.close()


def test_starting_without_redis(site: Site, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A worker starts from what its host knew last, and says so; when Redis is back, it follows it."""
    with site.followed():
        pass
    redis.kill()
    with site.followed() as (affinity, releases):
        assert affinity.deployment.percentages == V1
        assert "starting from revision 1, the last one that this host knows" in caplog.text
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
    assert ".." not in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_a_copy_that_cannot_be_written(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The copy is a help only: without it, the log is followed all the same."""
    (site.directory.path / ".last-known.jsonl").mkdir()
    with site.followed() as (affinity, _):
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.percentages == SPLIT)
    assert max(record.levelno for record in caplog.records) == logging.WARNING


def test_workers_say_what_they_have(site: Site, tmp_path: Path) -> None:
    """Each worker reports its versions and the revision that it serves, within a second or so of a change."""
    other = Site(tmp_path / "host-2", site.url)
    other.upload("v1")
    with site.followed(host="one"), other.followed(host="two"):
        until(lambda: site.loaded() == {"one": [({"v1", "v2"}, 1)], "two": [({"v1"}, 1)]})
        site.deploy(SPLIT)
        until(lambda: site.loaded() == {"one": [({"v1", "v2"}, 2)], "two": [({"v1"}, 2)]})
        other.upload("v2")
        until(lambda: site.loaded() == {"one": [({"v1", "v2"}, 2)], "two": [({"v1", "v2"}, 2)]})
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
