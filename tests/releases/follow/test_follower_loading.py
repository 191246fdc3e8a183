"""While a worker loads a version: deployments are followed all the same, and its reports go on."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.builds import ENTRY
from tests.releases.followed import Site, follower_of, until
from tests.releases.redis_server import redis_server
from version_affinity import Cookie, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.log.local_copy import COPY
from version_affinity.releases.releases import observing
from version_affinity.releases.reports import reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

V1, V2, SPLIT = {"v1": 100.0}, {"v2": 100.0}, {"v1": 50.0, "v2": 50.0}


class Gate:
    """A rule of an application that takes its time over the files of v0."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, path: str) -> None:
        """Decide nothing."""
        if path.endswith(ENTRY["v0"]):
            self.reached.set()
            self.open.wait(30)


@contextlib.contextmanager
def slow(site: Site, **options: object) -> Iterator[tuple[VersionAffinity, Releases, Gate]]:
    """Follow a site in this process, with a version v0 that takes long to load."""
    gate = Gate()
    releases = Releases(site.directory.path, log=site.url, interval=0.02, **options)  # type: ignore[arg-type]
    affinity = VersionAffinity(None, releases, keys=[Cookie("user")], fingerprinted=gate)
    try:
        yield affinity, releases, gate
    finally:
        gate.open.set()
        releases.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site where v2 was deployed over v1."""
    made = Site(tmp_path)
    made.upload("v1", "v2")
    made.deploy(V1)
    made.deploy(V2)
    return made


@pytest.fixture
def far_site(tmp_path: Path) -> Iterator[Site]:
    """Such a site with its log in Redis."""
    with redis_server() as redis:
        made = Site(tmp_path, redis.url)
        made.upload("v1", "v2")
        made.deploy(V1)
        yield made
        made.log.close()


def test_a_rollback_waits_for_no_version(site: Site) -> None:
    """A deployment whose versions are loaded is served at once, while another version is still being loaded."""
    with slow(site) as (affinity, _, gate):
        site.upload("v0")
        assert gate.reached.wait(30)
        site.deploy(V1)
        until(lambda: affinity.deployment.percentages == V1)
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.percentages == SPLIT)
        assert affinity.known == ("v1", "v2")
        gate.open.set()
        until(lambda: affinity.known == ("v1", "v2", "v0"))


def test_a_version_that_is_being_loaded_is_waited_for(site: Site) -> None:
    """Nobody is moved to and fro by a version that is here and only takes its time; a rollback of it is served."""
    with slow(site) as (affinity, releases, gate):
        site.upload("v0")
        assert gate.reached.wait(30)
        site.deploy({"v1": 50.0, "v0": 50.0})
        until(lambda: (status := releases.status()) and status.revision == 3)
        assert affinity.deployment.percentages == V2
        site.deploy(V1)
        until(lambda: affinity.deployment.percentages == V1)
        site.deploy({"v1": 50.0, "v0": 50.0})
        gate.open.set()
        until(lambda: affinity.deployment.percentages == {"v1": 50.0, "v0": 50.0})


def test_a_deployment_waits_for_no_staged_version(site: Site) -> None:
    """A version at 0 % may take as long as it likes to load, and so may one that is not deployed."""
    with slow(site) as (affinity, _, gate):
        site.upload("v0")
        assert gate.reached.wait(30)
        site.deploy({"v1": 100.0, "v0": 0.0})
        until(lambda: affinity.deployment.percentages == V1)
        assert affinity.known == ("v1", "v2")
        site.deploy({"v1": 50.0, "v2": 50.0, "v0": 0.0})
        until(lambda: affinity.deployment.percentages == SPLIT)
        gate.open.set()
        until(lambda: affinity.deployment.percentages == {**SPLIT, "v0": 0.0})


def test_a_deployment_s_versions_are_loaded_first(tmp_path: Path) -> None:
    """A version with a share does not wait for older uploads that arrive together with it."""
    site = Site(tmp_path)
    site.upload("v1")
    site.deploy(V1)
    with slow(site) as (affinity, releases, gate):
        following = follower_of(releases)
        following.stop()
        site.upload("v0", "v2")
        site.deploy(V2)
        following.reader.refresh(now=True)
        following.resume()
        until(lambda: affinity.deployment.percentages == V2)
        assert gate.reached.is_set()
        assert affinity.known == ("v1", "v2")
        gate.open.set()
        until(lambda: affinity.known == ("v1", "v0", "v2"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_deployment_does_not_wait_for_its_copy(site: Site) -> None:
    """What is new is served before it is kept: the disk may take its time."""
    with site.followed() as (affinity, _):
        copy = site.directory.path / COPY
        until(copy.exists)
        copy.unlink()
        os.mkfifo(copy)  # to be read only when somebody writes
        try:
            site.deploy(V1)
            until(lambda: affinity.deployment.percentages == V1)
        finally:
            with copy.open("wb"):
                copy.unlink()


def test_a_worker_that_loads_is_alive(far_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports go on while a version loads, which this worker does not claim to have until it is loaded."""
    monkeypatch.setattr(reporter, "HEARTBEAT", 0.5)
    with slow(far_site, host="web1") as (_, _, gate):
        far_site.upload("v0")
        assert gate.reached.wait(30)
        until(lambda: far_site.workers.live)
        before = far_site.workers.live[0]
        # A busy machine may let a report get old: then the worker is not listed for a moment.
        until(lambda: any(report.number > before.number for report in far_site.workers.live))
        assert set(before.versions) == {"v1", "v2"}
        gate.open.set()
        until(lambda: any(set(report.versions) == {"v1", "v2", "v0"} for report in far_site.workers.live))


def test_who_only_observes_leaves_no_trace(far_site: Site) -> None:
    """An application that is loaded for a question follows like any other, and neither reports nor keeps a copy."""
    with observing():
        context = far_site.followed(host="laptop")
        affinity, _ = context.__enter__()
    try:
        far_site.deploy(V2)
        until(lambda: affinity.deployment.percentages == V2)
        assert far_site.workers.live == ()
        assert not (far_site.directory.path / COPY).exists()
    finally:
        context.__exit__(None, None, None)
    with far_site.followed(host="web1"):
        until(lambda: far_site.workers.live)
        assert (far_site.directory.path / COPY).exists()


def test_a_version_that_arrives_slowly_holds_up_nobody(site: Site) -> None:
    """A version of which this host has no manifest yet is one that it lacks: the deployment's others are served."""
    site.upload("v0")
    manifest = site.directory.manifest_path("v0")
    with site.followed() as (affinity, releases):
        manifest.rename(site.root / "aside.json")
        site.deploy({"v1": 50.0, "v0": 50.0})
        until(lambda: affinity.deployment.revision == 3)
        assert affinity.deployment.percentages == V1
        status = releases.status()
        assert status is not None
        assert status.lacking == ("v0",)
        (site.root / "aside.json").rename(manifest)
        until(lambda: affinity.deployment.percentages == {"v1": 50.0, "v0": 50.0})
