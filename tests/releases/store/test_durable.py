"""Locks that end with their process, and files that are new or not written at all."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from version_affinity.releases.store import durable
from version_affinity.releases.store.durable import FileLock, LockedError, holder_of, sync, sync_directory, write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Other tests may have left a thread, and so may what runs them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A name for a lock."""
    return tmp_path / "lock"


@contextmanager
def child(work: Callable[[], object] = int) -> Iterator[int]:
    """Have a forked process do some work and then wait until the block ends, which kills it; give its id."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        kept = work()  # also what it returns is still there when the process ends
        os.write(writer, b"!")
        time.sleep(3600)
        os._exit(kept is None)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"!"
        yield process
    finally:
        os.close(reader)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def is_free(file: Path) -> bool:
    """Tell whether a lock can be had, and leave it."""
    lock = FileLock.try_acquire(file)
    if lock is not None:
        lock.release()
    return lock is not None


def test_one_at_a_time(file: Path) -> None:
    """Whoever has the lock is the only one, in one process too, until it is released; once more does no harm."""
    lock = FileLock.acquire(file)
    assert not is_free(file)
    lock.release()
    assert is_free(file)
    other = FileLock.acquire(file)
    lock.release()
    assert not is_free(file)
    other.release()


def test_a_block_ends_it(file: Path) -> None:
    """A block that raises releases its lock."""
    with pytest.raises(ZeroDivisionError), FileLock.acquire(file):
        1 / 0  # noqa: B018
    assert is_free(file)


def test_who_waits_gets_it(file: Path) -> None:
    """Threads that wait for a lock get it one after the other, and never two at once."""
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            with FileLock.acquire(file):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 80


@FORKS
def test_it_ends_with_its_process(file: Path) -> None:
    """A process that is killed leaves no lock."""
    with child(lambda: FileLock.acquire(file)):
        assert not is_free(file)
    assert is_free(file)


@FORKS
def test_a_child_keeps_nobody_out(file: Path) -> None:
    """A process that was forked while somebody had the lock, such as a server's worker, does not hold it on."""
    lock = FileLock.acquire(file)
    with child():
        assert not is_free(file)
        lock.release()
        assert is_free(file)


@FORKS
def test_a_child_ends_it_for_nobody(file: Path) -> None:
    """The end of such a process ends the lock of nobody else."""
    lock = FileLock.acquire(file)
    with child():
        pass
    assert not is_free(file)
    lock.release()


def test_a_file_that_may_only_be_read(file: Path) -> None:
    """A lock file of another user is a lock as well."""
    file.touch()
    file.chmod(0o444)
    with FileLock.acquire(file):
        assert not is_free(file)


@pytest.mark.parametrize("take", [FileLock.acquire, FileLock.try_acquire])
def test_a_lock_that_cannot_be(tmp_path: Path, take: Callable[[Path], object]) -> None:
    """A lock in a directory that is not there, or where a directory is, is an error, and not granted."""
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "missing" / "lock")
    with pytest.raises(OSError, match=str(tmp_path)):
        take(tmp_path)


def test_a_lock_that_is_not_free(file: Path) -> None:
    """A lock is waited for as long as was said. The message names its holder: process, host, command, since when."""
    holder = f"from version_affinity.releases.store.durable import FileLock as L; l = L.acquire({str(file)!r}); input()"
    arguments = [sys.executable, "-c", f"{holder}", "upload", "--log=redis://ada:s3cret@redis.example/0"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
        while not file.exists() or is_free(file):
            time.sleep(0.01)
        began = time.monotonic()
        with pytest.raises(LockedError) as caught:
            FileLock.acquire(file, patience=0.2)
        assert time.monotonic() - began >= 0.2
        assert process.stdin is not None
        process.stdin.close()
    told = str(caught.value)
    assert told.startswith("for more than 0.2 s ")
    assert f"process {process.pid} on {socket.gethostname()} (-c upload --log=redis://***@redis.example/0)" in told
    assert re.search(r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: end it if it hangs", told)
    assert is_free(file)
    assert file.read_bytes() == b""  # nobody holds it


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="this system does not say who has locked a file")  # noqa: PTH110
def test_a_lock_that_another_program_holds(file: Path) -> None:
    """A program that is not ours signs nothing; the system knows it. What another holder has left there is not said."""
    file.write_text('{"pid": 1, "host": "gone", "command": "stale", "since": "2026-11-24T05:00:00Z"}')
    with file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        told = holder_of(file)
    assert f"process {os.getpid()} of this host" in told
    assert "pytest" in told
    assert "stale" not in told


def test_a_lock_of_another_file_system(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another device with the same number is another file: its holder is not named, and not ended."""
    file.touch()
    status = file.stat()
    device = f"{os.major(status.st_dev) ^ 1:02x}:{os.minor(status.st_dev):02x}"
    locks = file.with_name("locks")
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 4711 {device}:{status.st_ino} 0 EOF\n")
    monkeypatch.setattr(durable, "LOCKS", str(locks))
    assert holder_of(file).startswith("an unknown process")
    locks.write_text(locks.read_text().replace(device, f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"))
    assert holder_of(file).startswith("process 4711 of this host")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": 7}', "[" * 100_000])
def test_a_holder_that_is_not_known(file: Path, text: str) -> None:
    """Whatever stands in a lock's file, the holder is described in a short message."""
    file.write_text(text)
    assert len(holder_of(file)) < 1000


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(
    ("guarded", "mode"), [(0o644, 0o600), (0o664, 0o660), (0o666, 0o666), (0o600, 0o600), (0o646, 0o606)]
)
@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_who_may_lock(tmp_path: Path, guarded: int, mode: int, before: int | None) -> None:
    """Who may only read what a lock guards cannot open its file, and so cannot hold the lock; writers can."""
    log, lock = tmp_path / "log", tmp_path / ".lock"
    log.touch()
    log.chmod(guarded)
    if before is not None:
        lock.touch()
        lock.chmod(before)
    with FileLock.acquire(lock, guards=log):
        assert stat.S_IMODE(lock.stat().st_mode) == mode


def test_a_new_file_is_new(tmp_path: Path) -> None:
    """What is there already is not written over; the text is there as it is, with its line ends."""
    file = tmp_path / "new"
    write_new(file, ["über\n", "alles"])
    assert file.read_bytes() == "über\nalles".encode()
    with pytest.raises(FileExistsError):
        write_new(file, ["other"])
    assert file.read_bytes() == "über\nalles".encode()


def test_what_cannot_be_synced(tmp_path: Path) -> None:
    """A file or directory that is not there is an error."""
    sync_directory(tmp_path)
    for call in (sync, sync_directory):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "missing")
