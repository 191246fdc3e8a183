"""Live hosts that do not hold a version yet: who deploys it waits for them, so long as that may help."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there the import below fails instead
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")

from tests.cli.commanding import Site, ran
from tests.releases.followed import until
from tests.releases.redis_server import RedisServer, redis_server
from version_affinity import Releases, VersionAffinity
from version_affinity.releases.log.redis import RedisLog
from version_affinity.releases.releases import open_log
from version_affinity.releases.reports.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

V1, V2 = {"v1": 100.0}, {"v2": 100.0}
#: Seconds until what was copied to a host is there, and that nobody waits in vain.
#: LONG is never waited out: a test that did would fail, however slow the machine is.
LATER, LONG = 1.0, 1200
DEPLOY, ROLLBACK = ("versions", "deploy", "v2", "-y"), ("rollback", "v2", "-y")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis for all tests of this module."""
    with redis_server() as server:
        yield server


@pytest.fixture
def log(site: Site) -> Iterator[RedisLog]:
    """The log in which hosts report."""
    log = open_log(site.directory, site.url)
    assert isinstance(log, RedisLog)
    yield log
    log.close()


@pytest.fixture
def site(redis: RedisServer, tmp_path: Path) -> Site:
    """The site of a host with v1, which is deployed, and v2."""
    with redis.client() as client:
        client.flushall()
    site = Site(tmp_path / "one", redis.url)
    site.upload("v1", "v2")
    site.deploy(V1)
    return site


@pytest.fixture
def other(site: Site, log: RedisLog, tmp_path: Path) -> Iterator[Site]:
    """The site of another host, which has v1 alone, while an application follows it there."""
    other = Site(tmp_path / "two", site.url)
    other.upload("v1")
    releases = Releases(other.path, log=site.url, interval=0.05, host="web-2")
    VersionAffinity(None, releases)
    until(lambda: log.reports.read().live)
    yield other
    releases.close()


@contextlib.contextmanager
def delivered(other: Site) -> Iterator[None]:
    """Let v2 reach a host a while after the block has begun."""
    timer = threading.Timer(LATER, other.upload, ["v2"])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("command", [DEPLOY, ROLLBACK, (*DEPLOY, "--dry-run")])
def test_a_host_gets_it_later(site: Site, other: Site, command: tuple[str, ...]) -> None:
    """What reaches a host a while after the command has begun is deployed as soon as the host says that it is there."""
    start = time.monotonic()
    with delivered(other):
        told = site.json(*command, "--wait", str(LONG))
    assert time.monotonic() - start < LONG
    assert told["refusals"] == []
    assert site.percentages == ([V1] if told["dry_run"] else [V1, V2])


def test_at_once(site: Site, log: RedisLog) -> None:
    """A script that uploads and deploys needs no pause between, though the host reports the upload a moment later."""
    releases = Releases(site.path, log=site.url, host="web-1")
    VersionAffinity(None, releases)
    until(lambda: log.reports.read().live)
    try:
        site.run("versions", "upload", str(site.build("v3")), "--id", "v3")
        assert "Deployed" in site.run("versions", "deploy", "v3", "-y").stdout
    finally:
        releases.close()


@pytest.mark.parametrize("command", [DEPLOY, ROLLBACK])
def test_a_host_never_gets_it(site: Site, other: Site, command: tuple[str, ...]) -> None:
    """Where a host lacks it for too long, it is refused as it would be without waiting."""
    del other
    start = time.monotonic()
    told = site.json(*command, "--wait", "1", code=1)
    assert time.monotonic() - start >= 1
    assert [(refusal["kind"], refusal["reason"].split(":")[0]) for refusal in told["refusals"]] == [
        ("host-lacks-version", "the host web-2 lacks v2")
    ]
    assert site.percentages == [V1]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ((*DEPLOY, "--wait", "0"), 1, "the host web-2 lacks v2"),
        ((*DEPLOY, "--force"), 0, "overruled: the host web-2 lacks v2"),
        ((*ROLLBACK, "--force"), 0, "overruled: the host web-2 lacks v2"),
        (("versions", "deploy", "v2@50", "v9@50", "-y"), 1, "v9 is not uploaded"),
        (("rollback", "v1", "-y"), 0, ""),
    ],
)
def test_nobody_waits(site: Site, other: Site, log: RedisLog, command: tuple[str, ...], code: int, words: str) -> None:
    """Nobody waits where that is unwanted, or would not help: something else speaks against it, or nothing is done."""
    del other
    if "v1" in command:
        log.reports.write(Report("0123456789abcdef", 1, "web-3", versions=("v2",), log_revision=1), is_first=True)
    wait = () if "--wait" in command else ("--wait", str(LONG))
    start = time.monotonic()
    assert words in site.run(*command, *wait, code=code).stderr
    assert time.monotonic() - start < LONG / 2


@pytest.mark.parametrize("seconds", ["-1", "3601", "1.5", "soon"])
def test_how_long(site: Site, seconds: str) -> None:
    """A time that is none, or too long, is refused before anything is done."""
    assert "Invalid value for '--wait'" in site.run(*DEPLOY, "--wait", seconds, code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_on_a_terminal(site: Site, other: Site) -> None:
    """A terminal shows what is waited for, on one line that goes away; a pipe gets it as a line, and no JSON does."""
    from tests.cli.screen import terminal  # noqa: PLC0415 - not on Windows

    assert site.url is not None
    arguments = ("--log", site.url, *DEPLOY)
    words = "Waiting for v2 on web-2, up to 1 second ..."
    piped = ran(site.root, *arguments, "--wait", "1", code=1)
    assert piped.stderr.startswith(f"{words}\n")
    assert "Waiting" not in piped.stdout
    for silent in (("--wait", "1", "--json"), ("--wait", "0")):
        assert "Waiting" not in ran(site.root, *arguments, *silent, code=1).stderr
    with terminal(site.root, *arguments, "--wait", "1") as screen:
        screen.expect(words)
        assert screen.end() == 1
    assert f"{words}\r\x1b[K" in screen.raw
    with terminal(site.root, *arguments, "--wait", str(LONG), columns=30) as screen:
        screen.expect("Waiting for v2 on web-2, u...")
        other.upload("v2")
        assert screen.end() == 0
    assert "Deployed revision 2" in screen.text
