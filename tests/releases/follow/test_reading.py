"""What a worker knows of the deployments: what it starts from, what it keeps, and how often it asks."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import NAVIGATION, client
from tests.releases.disks import on_a_disk
from tests.releases.followed import Site, until
from tests.servers.servers import HOST
from version_affinity import ConfigurationError, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.follow.reading import LogReader
from version_affinity.releases.log.file import FILE_NAME, FileLog
from version_affinity.releases.log.local_copy import LocalCopy
from version_affinity.releases.releases import COPY, open_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

V1, V2, SPLIT = {"v1": 100.0}, {"v2": 100.0}, {"v1": 50.0, "v2": 50.0}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site where v1, and then both versions, were deployed, which a worker has seen."""
    made = Site(tmp_path)
    made.upload("v1", "v2")
    made.deploy(V1)
    made.deploy(SPLIT)
    with made.followed():
        pass
    return made


def broken(log: Path) -> None:
    """Write into the middle."""
    log.write_bytes(b"{nonsense\n" + log.read_bytes())


def truncated(log: Path) -> None:
    """Keep the first line only."""
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])


def emptied(log: Path) -> None:
    """Leave an empty file."""
    log.write_bytes(b"")


def removed(log: Path) -> None:
    """Leave no file."""
    log.unlink()


def a_directory(log: Path) -> None:
    """Put a directory there."""
    log.unlink()
    log.mkdir()


def begun_anew(log: Path) -> None:
    """Put a longer history there, of other deployments."""
    log.unlink()
    for revision in range(3):
        FileLog(log).append(V2, expected=revision)


FAULTS = [broken, truncated, emptied, removed, a_directory, begun_anew]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_that_is_restarted_meanwhile(
    site: Site, fault: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever has become of the log, a worker that starts serves what those serve that ran all along, and says so.

    Were it not so, one worker that a server recycles would take the whole server down. When the log is mended, both
    follow it.
    """
    log, users = site.directory.path / FILE_NAME, [{"Cookie": f"user={number}", **NAVIGATION} for number in range(10)]
    whole = log.read_bytes()
    with site.followed() as (running, watched):
        fault(log)
        until(lambda: (status := watched.status()) and status.error)
        with site.followed() as (started, releases):
            status = releases.status()
            assert status is not None
            assert (status.revision, status.serving, dict(status.percentages)) == (2, 2, SPLIT)
            assert status.error
            assert "starting from revision 2, the last one that this host knows" in caplog.text
            pages = [[client(it).get("/", headers=user).text for user in users] for it in (running, started)]
            assert pages[0] == pages[1]
            if log.is_dir():
                log.rmdir()
            log.write_bytes(whole)
            site.deploy(V2)
            until(lambda: started.deployment.percentages == running.deployment.percentages == V2)
            for each in (releases, watched):
                until(lambda: (status := each.status()) and not status.error)  # noqa: B023


@pytest.mark.parametrize("fault", [truncated, emptied, removed, begun_anew])
def test_beginning_anew(site: Site, fault: Callable[[Path], None]) -> None:
    """The error of a log with other deployments says what to restore it from, and what to remove to go on without."""
    fault(site.directory.path / FILE_NAME)
    log, copy = site.directory.path / FILE_NAME, site.directory.path / COPY
    count = len(FileLog(log).read())
    with site.followed() as (affinity, releases):
        status = releases.status()
        assert status is not None
        assert status.error == (
            f"{log} has {count} deployment{'' if count == 1 else 's'}, and this host has seen 2, not all of which are "
            f"among them: restore its data, which the copy {str(copy)!r} has too; to start anew or follow another log "
            "instead, remove that copy, on every host"
        )
        assert affinity.deployment.percentages == SPLIT
    copy.unlink()
    if count:
        with site.followed() as (affinity, _):
            assert affinity.deployment.revision == count
    else:
        with pytest.raises(ConfigurationError, match="nothing is deployed yet"):
            VersionAffinity(None, Releases(site.directory.path))


def test_the_copy_is_a_backup(site: Site) -> None:
    """A host's copy may be put in the place of the log, and everything goes on."""
    log = site.directory.path / FILE_NAME
    with site.followed() as (running, watched):
        log.unlink()
        until(lambda: (status := watched.status()) and status.error)
        log.write_bytes((site.directory.path / COPY).read_bytes())
        site.deploy(V2)
        until(lambda: running.deployment.percentages == V2)
    assert [entry.revision for entry in open_log(site.directory.path).read()] == [1, 2, 3]


def test_a_directory_that_cannot_be_written_to(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Beside a log in a file, a copy that cannot be written is no trouble worth a warning: all is followed."""
    (site.directory.path / COPY).unlink()
    (site.directory.path / COPY).mkdir()
    caplog.set_level(logging.INFO)
    with site.followed() as (affinity, _):
        site.deploy(V1)
        until(lambda: affinity.deployment.revision == 3)
        site.deploy(V2)
        until(lambda: affinity.deployment.revision == 4)
    told = [record for record in caplog.records if "copy" in record.message]
    assert [(record.levelno, "is not written" in record.message) for record in told[1:]] == [(logging.INFO, True)]


READ_ONLY = """
import pathlib, subprocess, sys
from tests.releases.followed import Site, until
mount = pathlib.Path(sys.argv[1])
site = Site(mount)
site.upload("v1", "v2")
site.deploy({"v1": 100.0})
subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
with site.followed() as (affinity, releases):
    print(affinity.known, affinity.deployment.revision, repr(releases.status().error))
    subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
    site.deploy({"v2": 100.0})
    until(lambda: affinity.deployment.percentages == {"v2": 100.0})
    print(affinity.deployment.revision, repr(releases.status().error))
"""


@pytest.mark.skipif(os.name != "posix", reason="no disk of one's own can be mounted")
def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    """Who only serves needs no right to write: a worker starts and follows on a disk that is mounted for reading."""
    told = on_a_disk(tmp_path / "mount", READ_ONLY, size="4m")
    assert told.splitlines() == ["('v1', 'v2') 1 ''", "2 ''"]


def test_a_log_that_cannot_be_reached_is_asked_less_and_less(tmp_path: Path) -> None:
    """Every failure doubles the pause until the next question, so that nobody hammers on a server that is down."""
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    from version_affinity.releases.log.redis import RedisLog  # noqa: PLC0415 - an extra

    asked = 0
    with socket.create_server((HOST, 0)) as listener:

        def hang_up() -> None:
            nonlocal asked
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                asked += 1
                peer.close()

        threading.Thread(target=hang_up, daemon=True).start()
        log = RedisLog(f"redis://{HOST}:{listener.getsockname()[1]}", name="storefront")
        deployments = LogReader(log, interval=0.01, copy=LocalCopy(tmp_path / COPY))
        began = time.monotonic()
        while time.monotonic() - began < 1.5 or asked < 3:
            deployments.refresh()
            time.sleep(0.005)
        elapsed = time.monotonic() - began
        listener.shutdown(socket.SHUT_RDWR)
    deployments.disconnect()
    assert deployments.error
    # The pauses are 0.01 s, 0.02 s, 0.04 s and so on; each may be half as long.
    assert asked <= 2 + math.log2(1 + elapsed / 0.005)
