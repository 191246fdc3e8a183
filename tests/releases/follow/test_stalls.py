"""What hangs: a disk, Redis, the line to it. Requests are answered as if nothing were, and it is made up for later."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.builds import DIFFERING, ENTRY
from tests.builds import pinned as pinned_to
from tests.harness import NAVIGATION, SCRIPT, client
from tests.releases.followed import Site, follower_of, hanging_log, until
from tests.releases.redis_server import RedisServer, Wire, redis_server
from tests.releases.site_servers import gunicorn, load, workers
from version_affinity.releases.follow import threads
from version_affinity.releases.store.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.servers import Server

pytestmark = pytest.mark.servers

POSIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

WORKERS = 2
V1, V2, SPLIT = {"v1": 100.0}, {"v2": 100.0}, {"v1": 50.0, "v2": 50.0}
HANGS = "the log of deployments does not answer, and the last good one stays"


@contextmanager
def stuck(file: Path) -> Iterator[None]:
    """Let everybody who opens a file wait until the block ends, as on a network's file system whose server is away."""
    aside, pipe = file.with_name(".aside"), file.with_name(".pipe")
    os.mkfifo(pipe)
    os.link(file, aside)
    os.link(pipe, file.with_name(".file"))
    file.with_name(".file").replace(file)
    try:
        yield
    finally:
        aside.replace(file)
        for _ in range(100):
            os.close(os.open(pipe, os.O_RDWR))  # a process that waits for a writer finds an empty file
        pipe.unlink()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed and v2 uploaded."""
    made = Site(tmp_path)
    made.upload("v1", "v2")
    made.deploy(V1)
    return made


def test_pages_of_a_version_whose_deployment_cannot_be_read(site: Site) -> None:
    """Other workers have read it and send its pages: this one has its files, whatever the retention says."""
    site.directory.change_retention(Retention(keep=0))
    pinned = {**SCRIPT, **pinned_to("v0")}
    with site.followed() as (affinity, releases):
        with hanging_log(releases):
            site.upload("v0")
            site.deploy({"v1": 50.0, "v0": 50.0})
            until(lambda: "v0" in affinity.known)
            assert client(affinity).get(ENTRY["v0"], headers=pinned).status_code == 200
            assert "v0" in client(affinity).get(DIFFERING, headers=pinned).text
            assert affinity.deployment.percentages == V1
        until(lambda: affinity.deployment.revision == 2)
        site.deploy(V1)
        until(lambda: affinity.deployment.revision == 3)


def test_pages_of_a_version_while_redis_is_cut_off(far_site: Site, wire: Wire, redis: RedisServer) -> None:
    """The same for a process that cannot reach Redis, from its start on."""
    with far_site.followed(interval=0.05):
        pass  # a copy of the log is here from now on
    far_site.directory.change_retention(Retention(keep=0))
    far_site.upload("v0")
    near = Site(far_site.root / "near", redis.url)
    near.deploy({"v1": 50.0, "v0": 50.0})
    near.log.close()
    pinned = {**SCRIPT, **pinned_to("v0")}
    with wire.cut(), far_site.followed(interval=0.05) as (affinity, _):
        assert "v0" in affinity.known
        assert "v0" in client(affinity).get(DIFFERING, headers=pinned).text


@POSIX
def test_a_disk_that_hangs(site: Site, tmp_path: Path) -> None:
    """While nobody can read the log, pages and files are served as quickly as ever; then it is followed again."""
    with gunicorn(site, tmp_path, workers=WORKERS) as server:
        workers(server, WORKERS)
        with load(server) as outcome:
            with stuck(site.directory.path / "deployments.jsonl"):
                site.upload("v0")  # known without the log
                until(lambda: all("v0" in it["versions"] for it in workers(server, WORKERS).values()))
                until(lambda: {it["error"] for it in workers(server, WORKERS).values()} == {HANGS})
                check_answers(server)
            entry = site.deploy(SPLIT)
            until(lambda: {it["serving"] for it in workers(server, WORKERS).values()} == {entry.revision})
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pages"] > 100


def test_redis_hangs_under_load(tmp_path: Path) -> None:
    """While Redis answers nobody, pages and files are served as quickly as ever; then its log is followed again."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        site = Site(tmp_path, f"{redis.url}?socket_timeout=1")
        stack.enter_context(closing(site.log))
        site.upload("v1", "v2")
        site.deploy(V1)
        server = stack.enter_context(gunicorn(site, tmp_path, workers=WORKERS))
        workers(server, WORKERS)
        with load(server) as outcome:
            with redis.hanging():
                until(lambda: all(it["error"] for it in workers(server, WORKERS).values()))
                check_answers(server)
                site.upload("v0")  # known without the log
                until(lambda: all("v0" in it["versions"] for it in workers(server, WORKERS).values()))
            entry = site.deploy(SPLIT)
            until(lambda: {it["serving"] for it in workers(server, WORKERS).values()} == {entry.revision})
    assert outcome["failures"] == 0, outcome["failed"]
    assert outcome["pages"] > 100


def check_answers(server: Server) -> None:
    """Ask for pages, files and missing files. A request that waited for the hang would not be answered: it lasts."""
    for number in range(20):
        assert server.ask("/", NAVIGATION).status == 200
        assert server.ask(ENTRY["v1"], SCRIPT).status == 200
        assert server.ask(f"/assets/index-AAAA{number:04}.js", SCRIPT).status == 404


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with redis_server(password="s3cret") as server:  # noqa: S106 - which the test starts
        yield server


@pytest.fixture
def wire(redis: RedisServer) -> Iterator[Wire]:
    """A line to it."""
    with closing(Wire(redis)) as line:
        yield line


@pytest.fixture
def far_site(wire: Wire, tmp_path: Path) -> Iterator[Site]:
    """A site whose log is at the other end of the line, with v1 deployed and v2 uploaded."""
    made = Site(tmp_path, f"{wire.url}?socket_timeout=0.5&socket_connect_timeout=0.5")
    made.upload("v1", "v2")
    made.deploy(V1)
    yield made
    made.log.close()


def test_a_line_that_is_cut(far_site: Site, wire: Wire, redis: RedisServer) -> None:
    """Where every byte vanishes and nobody is told, it is noticed, and new connections are made once they can be."""
    with far_site.followed(interval=0.05) as (affinity, releases):
        with wire.cut():
            until(lambda: (status := releases.status()) and status.error)
            status = releases.status()
            assert status is not None
            assert "does not answer within 0.5 s" in status.error
            assert "s3cret" not in status.error
            for _ in range(20):
                assert client(affinity).get("/", headers=NAVIGATION).text.endswith("v1")
        far_site.deploy(V2)
        until(lambda: affinity.deployment.percentages == V2)
        until(lambda: (status := releases.status()) and not status.error)
        until(lambda: [report.revision for report in far_site.workers.live] == [2])


def test_a_line_that_is_slow(far_site: Site, wire: Wire) -> None:
    """Where every answer takes long, deployments arrive later and requests as quickly as ever."""
    wire.delay = 0.2
    with far_site.followed(interval=0.05) as (affinity, releases):
        far_site.deploy(V2)
        answers = 0
        while affinity.deployment.percentages != V2:
            assert client(affinity).get("/", headers=NAVIGATION).status_code == 200
            answers += 1
        status = releases.status()
        assert status is not None
        assert not status.error
    assert answers > 10, "requests waited for the log"


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_the_disk_hangs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork waits for the thread for a while only; parent and child serve, and both follow when the disk is back."""
    monkeypatch.setattr(threads, "STOP_TIMEOUT", 0.2)
    with site.followed() as (affinity, releases):
        with stuck(site.directory.path / "deployments.jsonl"):
            until(lambda: follower_of(releases).reader.is_away)
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    assert client(affinity).get("/", headers=NAVIGATION).status_code == 200
                    until(lambda: affinity.deployment.percentages == V2)
                    code = 0
                finally:
                    os._exit(code)
            assert client(affinity).get(ENTRY["v2"], headers=SCRIPT).status_code == 200
        site.deploy(V2)
        until(lambda: affinity.deployment.percentages == V2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@POSIX
def test_a_pipe_among_the_manifests(site: Site) -> None:
    """What is no file is no manifest, and is not waited for."""
    os.mkfifo(site.directory.uploads / "v9.json")
    (site.directory.uploads / "v9").mkdir()
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(list(site.directory.versions())), daemon=True)
    thread.start()
    thread.join(30)
    assert seen == [["v1", "v2"]]
    with site.followed() as (affinity, _):
        assert affinity.known == ("v1", "v2")
