"""Processes that fork: parent and child follow on, and a fork waits neither for the network nor for a load."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.builds import ENTRY
from tests.harness import SCRIPT, client
from tests.releases.followed import Site, follower_of, hanging_log, pause, until
from version_affinity import Cookie, VersionAffinity
from version_affinity.assets.loading.memory import Memory
from version_affinity.releases import Releases
from version_affinity.releases.follow import threads
from version_affinity.releases.follow.threads import resume_all
from version_affinity.releases.log.entries import Details

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
V1, V2 = {"v1": 100.0}, {"v2": 100.0}
#: Seconds that something may take on a busy machine.
LONG = 60.0


def forked(work: Callable[[], object]) -> int:
    """Return the process id of a child that does some work, and ends with 0 if that raised nothing."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            signal.alarm(60)
            work()
            code = 0
        os._exit(code)
    return child


def check(child: int) -> None:
    """Check that a child has ended with 0."""
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def is_reading() -> bool:
    """Return whether a worker of this process reads its log."""
    return any(thread.name == "version-affinity-call" for thread in threading.enumerate())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed, and v2 known for long."""
    made = Site(tmp_path)
    made.upload("v1", "v2")
    made.log.append(V2, expected=0, details=Details(created="2026-01-02T03:04:05Z"))
    made.deploy(V1)
    return made


@pytest.mark.parametrize("pause", [0.1, 0.0])
def test_an_application_that_forks_all_the_time(site: Site, pause: float) -> None:
    """Looks come in their interval, whatever happens between them."""
    with site.followed(interval=0.3) as (affinity, _):
        site.deploy(V2)
        end = time.monotonic() + LONG
        while affinity.deployment.percentages != V2 and time.monotonic() < end:
            check(forked(lambda: None))
            time.sleep(pause)
        assert affinity.deployment.percentages == V2


def test_a_child_s_first_look_is_that_of_its_parent(site: Site) -> None:
    """Where children fork children, each before its first look is due, the last one notices too."""

    def generation(left: int) -> None:
        time.sleep(0.15)
        if left:
            check(forked(lambda: generation(left - 1)))
        else:
            assert affinity.deployment.percentages == V2

    with site.followed(interval=0.4) as (affinity, _):
        site.deploy(V2)
        check(forked(lambda: generation(8)))


def test_a_process_whose_last_look_is_old(site: Site) -> None:
    """It looks at once, not at the end of another interval."""
    with site.followed(interval=3600) as (affinity, releases):
        following = follower_of(releases)
        pause(releases)
        site.deploy(V2)
        following.looked -= 7200
        following.reader.refresh(now=True)
        resume_all()
        until(lambda: affinity.deployment.percentages == V2)


def test_a_fork_does_not_wait_for_the_log(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that hangs goes on in the parent; the child follows the log by itself."""
    monkeypatch.setattr(threads, "STOP_TIMEOUT", 3600)  # a fork that waited would see the end of the reading
    with site.followed() as (affinity, releases):
        with hanging_log(releases, also_in_children=False):
            child = forked(lambda: until(lambda: affinity.deployment.percentages == V2))
            assert is_reading()
            site.deploy(V2)
            check(child)
            assert affinity.deployment.percentages == V1
        until(lambda: affinity.deployment.percentages == V2)


def test_a_reading_of_the_parent(site: Site) -> None:
    """One that hangs while the thread is idle is not waited for in the child, where it may never end (gevent)."""
    with site.followed(interval=0.3) as (affinity, releases), hanging_log(releases, also_in_children=False):
        pause(releases)
        assert is_reading()
        site.deploy(V2)
        check(forked(lambda: until(lambda: affinity.deployment.percentages == V2)))
        assert affinity.deployment.percentages == V1


def test_a_fork_does_not_wait_for_a_load(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is being loaded in the parent is loaded in the child too, each by itself."""
    monkeypatch.setattr(threads, "STOP_TIMEOUT", 3600)  # a fork that waited would see the end of the load
    reached, end = threading.Event(), threading.Event()
    process = os.getpid()

    def fingerprinted(path: str) -> None:
        if path.endswith(ENTRY["v0"]) and os.getpid() == process:
            reached.set()
            end.wait(LONG)

    def work() -> None:
        until(lambda: "v0" in affinity.known)
        assert client(affinity).get(ENTRY["v0"], headers=SCRIPT).status_code == 200
        until(lambda: affinity.deployment.percentages == V2)

    releases = Releases(site.directory.path, interval=0.02)
    affinity = VersionAffinity(None, releases, keys=[Cookie("user")], fingerprinted=fingerprinted)
    with contextlib.closing(releases):
        site.upload("v0")
        assert reached.wait(LONG)
        child = forked(work)
        assert not end.is_set()
        assert "v0" not in affinity.known
        site.deploy(V2)
        check(child)
        until(lambda: affinity.deployment.percentages == V2)
        end.set()
        until(lambda: "v0" in affinity.known)


def test_a_lock_that_a_thread_holds_at_the_fork(tmp_path: Path) -> None:
    """The child's requests do not wait for a thread that it does not have."""
    memory, held, end = Memory(100), threading.Event(), threading.Event()

    class Slow:
        """A file whose memory is read with the lock held."""

        @property
        def memory(self) -> None:
            held.set()
            end.wait(LONG)

    thread = threading.Thread(target=memory.forget, args=([Slow()],))
    thread.start()
    assert held.wait(LONG)
    check(forked(lambda: memory.keep(b"digest", b"data")))
    end.set()
    thread.join()
    assert memory.used == 0
