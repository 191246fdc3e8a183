"""The file log alone: torn and damaged lines, full and read-only disks, writers that hang or were killed.

``test_log_contract.py`` has what both logs do.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.releases.disks import on_a_disk
from tests.releases.uploading import at_step
from version_affinity.releases.log import file as file_log
from version_affinity.releases.log.entries import Details, LogConflictError, LogError, LogLostError, LogUnavailableError
from version_affinity.releases.log.file import FILE_NAME, FileLog
from version_affinity.releases.log.local_copy import LocalCopy
from version_affinity.releases.store.durable import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Other tests may have left a thread, and so may what runs them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

POSIX = pytest.mark.skipif(os.name != "posix", reason="this system has no such processes or disks")
SPLIT = {"v1": 90.0, "v2": 10.0}
CREATED = "2026-11-24T05:00:00Z"
LOCK = f".{FILE_NAME}.lock"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A log with two deployments."""
    file = tmp_path / FILE_NAME
    log = FileLog(file)
    for revision in range(2):
        log.append(
            {"v1": 100.0 - revision, "v2": float(revision)},
            expected=revision,
            details=Details(author="ada", created=CREATED),
        )
    return file


# --- what the file holds ----------------------------------------------------------------------------------------------


def test_a_deployment_is_a_line_of_json(file: Path) -> None:
    """Each line is one JSON object with the documented keys; beside the file there is its lock, and nothing else."""
    FileLog(file).append(
        {"v1": None}, expected=2, details=Details(author="ada ✓", message='two\nlines "quoted"', created=CREATED)
    )
    lines = file.read_text("utf-8").split("\n")
    assert lines[3:] == [""]
    assert [json.loads(line)["revision"] for line in lines[:3]] == [1, 2, 3]
    documents = [json.loads(line) for line in lines[:3]]
    assert {len(document.pop("log_id")) for document in documents} == {16}
    assert documents[2] == {
        "revision": 3,
        "percentages": {"v1": 100},
        "created": CREATED,
        "author": "ada ✓",
        "message": 'two\nlines "quoted"',
    }
    assert {entry.name for entry in file.parent.iterdir()} == {FILE_NAME, LOCK}


def test_a_file_that_was_edited_is_read(file: Path) -> None:
    """What a person wrote is as good as what a program did: spaces, another order of the keys, whole numbers."""
    with file.open("a") as writer:
        writer.write('{ "created": "", "percentages": {"v2": 100}, "revision": 3 }\n')
    log = FileLog(file)
    assert log.read(2)[0].percentages == {"v2": 100}
    assert log.append(SPLIT, expected=3).revision == 4


def test_only_what_is_new_is_read(file: Path) -> None:
    """A log that was read before is read on from its last line: what was damaged before that is not even looked at."""
    log = FileLog(file)
    log.read()
    first, rest = file.read_bytes().split(b"\n", 1)
    file.write_bytes(b"x" * len(first) + b"\n" + rest)
    assert log.append(SPLIT, expected=2).revision == 3
    assert [entry.revision for entry in log.read(1)] == [2, 3]


# --- torn lines -------------------------------------------------------------------------------------------------------


def test_a_line_that_was_torn_anywhere(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever a crash has cut the last line, readers see those before it, and the next writer takes its place."""
    log = FileLog(file)
    log.append(SPLIT, expected=2, details=Details(message="naïve ✓", created=CREATED))
    whole = file.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    following = log  # which has read the third deployment before it was torn
    for end in range(start, len(whole)):
        file.write_bytes(whole[:end])
        assert [entry.revision for entry in FileLog(file).read()] == [1, 2]
        assert file.read_bytes() == whole[:end]  # reading mends nothing
        with pytest.raises(LogLostError):
            following.read()
        caplog.clear()
        assert (
            FileLog(file).append(SPLIT, expected=2, details=Details(message="naïve ✓", created=CREATED)).revision == 3
        )
        assert file.read_bytes() == whole
        told = [record.getMessage() for record in caplog.records]
        assert told == [] if end == start else [f"{file}: {end - start} bytes of a deployment" in told[0]] == [True]
        assert [entry.revision for entry in following.read()] == [1, 2, 3]


@pytest.mark.parametrize(
    "tail",
    [
        b"{",
        b'{"revision":3,"percentages":{"v1":100},"created":""}',  # all but the newline, which is the commit
        b"\0" * 4096,
        b"\xff\xfe",
        b"x" * 100_000,
        # The system has kept the end of the last line, and not its beginning.
        b'100},"created":""}\n',
        b"\0" * 40 + b'"created":""}\n',
        b"\n",
    ],
    ids=["begun", "whole", "zeros", "binary", "long", "no beginning", "zeros before", "empty"],
)
def test_what_a_crash_can_leave(file: Path, tail: bytes) -> None:
    """A last line that is none is passed over, and removed by the next writer, who touches nothing before it."""
    before = file.read_bytes()
    file.write_bytes(before + tail)
    log = FileLog(file)
    assert [entry.revision for entry in log.read()] == [1, 2]
    with pytest.raises(LogConflictError):
        log.append(SPLIT, expected=3)
    assert file.read_bytes() == before + tail
    log.append(SPLIT, expected=2, details=Details(created=CREATED))
    assert file.read_bytes().startswith(before + b'{"revision":3')
    assert [entry.revision for entry in FileLog(file).read()] == [1, 2, 3]


def test_a_first_line_that_is_torn(tmp_path: Path) -> None:
    """A log whose only line was never completed is an empty one."""
    file = tmp_path / FILE_NAME
    file.write_bytes(b'{"revision":1,"perc')
    assert FileLog(file).read() == []
    assert FileLog(file).append(SPLIT, expected=0).revision == 1
    assert len(FileLog(file).read()) == 1


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("text", [b"", b"{", b"\0\0", b'{"revision":7,"percentages":{"v1":100},"created":""}'])
def test_the_damaged_line_is_named(file: Path, number: int, text: bytes) -> None:
    """A damaged line before the last is told with the file, its number and what to do; it stays as it is."""
    FileLog(file).append(SPLIT, expected=2)
    lines = file.read_bytes().split(b"\n")
    lines[number - 1] = text
    file.write_bytes(b"\n".join(lines))
    for use in (FileLog(file).read, lambda: FileLog(file).append(SPLIT, expected=3)):
        with pytest.raises(LogError, match=re.escape(f"{file}, line {number} ")) as error:
            use()
        assert "restore the file from its backup, or repair that line" in str(error.value)
    assert file.read_bytes() == b"\n".join(lines)


def test_a_reader_of_a_log_that_was_damaged(file: Path) -> None:
    """Who has read a log before it was damaged is told, and reads on when it was mended, without a restart."""
    log = FileLog(file)
    whole = file.read_bytes()
    assert len(log.read()) == 2
    file.write_bytes(b"{nonsense\n" + whole)
    for _ in range(2):
        with pytest.raises(LogError, match="line 1 is not JSON"):
            log.read()
    file.write_bytes(whole)
    assert len(log.read()) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda file, whole: file.write_bytes(b""),
        lambda file, whole: file.write_bytes(whole[: whole.index(b"\n") + 1]),
        lambda file, whole: file.unlink(),
        lambda file, whole: file.write_bytes(whole.replace(b'"v2":1.0', b'"v9":1.0')),
        lambda file, whole: file.write_bytes(whole.replace(b'"v2":1.0', b'"v999":1.0')),
        lambda file, whole: (file.unlink(), FileLog(file).append({"v9": 100}, expected=0)),
    ],
    ids=["emptied", "truncated", "removed", "edited", "edited and longer", "begun anew"],
)
def test_a_file_that_lost_what_was_read(file: Path, change: Callable[[Path, bytes], object]) -> None:
    """A reader tells that the file has less than it has read, or something else, and reads on when that is back."""
    log, whole = FileLog(file), file.read_bytes()
    history = log.read()
    change(file, whole)
    before = file.read_bytes() if file.exists() else None
    for use in (log.read, lambda: log.read(2), lambda: log.append(SPLIT, expected=2)):
        with pytest.raises(LogLostError, match=r"revision 2 was there, or a different one\. Restore the file"):
            use()
    assert (file.read_bytes() if file.exists() else None) == before
    file.write_bytes(whole)
    assert log.read() == history


def test_a_file_that_was_moved_there(file: Path) -> None:
    """Another file that goes on with the same deployments is the same log: a backup, or a host's own copy."""
    log, history = FileLog(file), FileLog(file).read()
    log.read()
    copy = LocalCopy(file.with_name("copy"))
    copy.save(history)
    copy.path.replace(file)
    assert log.read() == history
    assert log.append(SPLIT, expected=2).revision == 3
    assert [entry.revision for entry in FileLog(file).read()] == [1, 2, 3]


# --- writers that hang or were killed ---------------------------------------------------------------------------------


@contextmanager
def holder(file: Path) -> Iterator[int]:
    """Have another process hold the log's lock; the process is killed at the end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with FileLock.acquire(file.with_name(LOCK)):
            os.write(writer, b"!")
            time.sleep(3600)
        os._exit(0)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"!"
        yield child
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@POSIX
def test_the_lock_of_a_killed_process(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock ends with its process: the next writer does not wait for one that was killed."""
    with holder(file):
        pass
    monkeypatch.setattr(file_log, "WRITE_PATIENCE", 0)
    assert FileLog(file).append(SPLIT, expected=2).revision == 3


@POSIX
def test_a_writer_that_hangs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another writer for too long gives up and says so; readers do not wait at all."""
    monkeypatch.setattr(file_log, "WRITE_PATIENCE", 0.2)
    before = file.read_bytes()
    with holder(file):
        assert len(FileLog(file).read()) == 2
        with pytest.raises(
            LogUnavailableError,
            match=r"written to by another process; nothing is deployed: .*process \d+ on .* holds the lock",
        ):
            FileLog(file).append(SPLIT, expected=2)
    assert file.read_bytes() == before


@POSIX
def test_a_lock_of_another_user(file: Path) -> None:
    """A lock file that this user may only read is as good a lock: whoever made it, all writers share it."""
    file.with_name(LOCK).chmod(0o444)
    file.chmod(0o666)
    file.parent.chmod(0o755)
    assert as_nobody(file, lambda file: str(FileLog(file).append(SPLIT, expected=2).revision)) == "3"


# --- disks ------------------------------------------------------------------------------------------------------------


def as_nobody(file: Path, work: Callable[[Path], str]) -> str:
    """Return what some work with a copy of a log comes to, or its error, where the permissions count."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own are for their user only
        directory = Path(name, "releases")
        directory.mkdir()
        for entry in (file, file.with_name(LOCK)):
            copy = directory / entry.name
            copy.write_bytes(entry.read_bytes())
            copy.chmod(entry.stat().st_mode)
        directory.chmod(file.parent.stat().st_mode)
        Path(name).chmod(0o755)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setuid(65534)
                try:
                    told = work(directory / file.name)
                except LogError as error:
                    told = str(error)
                os.write(writer, told.encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answer:  # noqa: PTH123 - a descriptor
            told = answer.read().decode()
        os.waitpid(child, 0)
        directory.chmod(0o755)
        return told


@POSIX
@pytest.mark.parametrize(
    ("directory", "mode", "lock"),
    [(0o755, 0o644, 0o644), (0o555, 0o444, 0o444), (0o755, 0o644, 0o600), (0o755, 0o600, 0o644)],
)
def test_a_user_without_the_right(file: Path, directory: int, mode: int, lock: int) -> None:
    """Who may not write the file, or its directory, is told so and that nothing is deployed."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else, and its own files are anybody's to write")
    file.chmod(mode)
    file.with_name(LOCK).chmod(lock)
    file.parent.chmod(directory)
    told = as_nobody(file, lambda file: str(FileLog(file).append(SPLIT, expected=2)))
    file.parent.chmod(0o755)
    assert "cannot be written: Permission denied; nothing is deployed: deploy as a user who may write there" in told


@POSIX
def test_a_reader_needs_no_right_to_write(file: Path) -> None:
    """A log is read by who may read it, in a directory where nobody may write anything; without that, it says so."""
    file.chmod(0o444)
    file.parent.chmod(0o555)
    assert as_nobody(file, lambda file: str(len(FileLog(file).read()))) == "2"
    if os.geteuid() == 0:
        file.chmod(0o600)
        assert "cannot be read: Permission denied" in as_nobody(file, lambda file: str(FileLog(file).read()))
    file.parent.chmod(0o755)


FILLING = """
import pathlib, subprocess, sys
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.log.entries import Details, LogUnavailableError
mount = pathlib.Path(sys.argv[1])
log = FileLog(mount / "deployments.jsonl")
for revision in range(2):
    log.append({"v1": 100}, expected=revision, details=Details(created=""))
before = (mount / "deployments.jsonl").read_bytes()
FAULT
for message in ("short", "long" * 5000):
    try:
        log.append({"v1": 100}, expected=2, details=Details(message=message))
    except LogUnavailableError as error:
        print(error)
assert (mount / "deployments.jsonl").read_bytes() == before
print(len(log.read()), len(FileLog(mount / "deployments.jsonl").read()))
MENDED
print(log.append({"v1": 100}, expected=2).revision)
"""
FULL = """
with (mount / "filler").open("wb", buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(512))
    except OSError:
        pass
with (mount / "deployments.jsonl").open("ab") as file:  # to the last byte of its last block
    try:
        file.write(bytes(4096 - len(before)))
    except OSError:
        pass
    file.truncate(len(before))
"""


@POSIX
@pytest.mark.parametrize(
    ("fault", "mended", "message", "count"),
    [
        # A short line still fits where the file's own last block has room.
        (FULL, "(mount / 'filler').unlink()", "No space left on device; nothing is deployed: make room on the disk", 1),
        (
            "subprocess.run(['mount', '-o', 'remount,ro', mount], check=True)",
            "subprocess.run(['mount', '-o', 'remount,rw', mount], check=True)",
            "Read-only file system; nothing is deployed: make the file system writable",
            2,
        ),
    ],
    ids=["full", "read-only"],
)
def test_a_real_disk(tmp_path: Path, fault: str, mended: str, message: str, count: int) -> None:
    """A disk that is full, or cannot be written to, is told; nothing has changed and all is read; then it goes on."""
    code = FILLING.replace("FAULT", fault).replace("MENDED", mended)
    if count == 1:
        code = code.replace('("short", "long" * 5000)', '("long" * 5000,)')
    *told, read, written = on_a_disk(tmp_path / "mount", code, size="64k").splitlines()
    assert [message in line for line in told] == [True] * count, told
    assert (read, written) == ("2 2", "3")


@POSIX
def test_a_limit_of_the_file_size(file: Path) -> None:
    """A line that only fits in part is not left there: the file is as it was, and the next one is written."""
    import resource  # noqa: PLC0415 - not on Windows

    before = file.read_bytes()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, resource.RLIM_INFINITY))
            with pytest.raises(LogUnavailableError, match="File too large; nothing is deployed: make room"):
                FileLog(file).append(SPLIT, expected=2)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert file.read_bytes() == before
    assert FileLog(file).append(SPLIT, expected=2).revision == 3


@POSIX
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_an_error_of_any_call(file: Path, number: int) -> None:
    """Whichever call of the file system fails, the writer says so and nothing is written, or it is written and told."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    def work() -> None:
        try:
            FileLog(file).append(SPLIT, expected=2)
        except LogUnavailableError:
            os._exit(1)

    outcomes, before = set(), file.read_bytes()
    for step in range(1, 30):
        reached, status = at_step(step, fail, work)
        count = len(FileLog(file).read())
        outcomes.add((reached, os.waitstatus_to_exitcode(status), count))
        assert file.read_bytes().startswith(before)
        file.write_bytes(before)
        if not reached:
            break
    # What it can do without, such as a lock on a file system that has none, is no error.
    assert outcomes == {(True, 1, 2), (True, 0, 3), (False, 0, 3)}


def test_a_disk_that_fails_at_the_last_moment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newline that may not be on the disk stays, since readers may have seen it; the message says what may happen."""
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(LogUnavailableError, match=r"revision 3 may be lost in a power cut: check the disk"):
        FileLog(file).append(SPLIT, expected=2)
    assert [entry.revision for entry in FileLog(file).read()] == [1, 2, 3]


def test_the_line_is_on_the_disk_before_its_newline(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut cannot keep the commit and lose what it commits: both are waited for, one after the other."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(file.read_bytes()[-1:]))
    FileLog(file).append(SPLIT, expected=2)
    assert seen == [b"}", b"\n"]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """A log in no directory cannot be read or written, which is said; an empty directory is an empty log."""
    log = FileLog(tmp_path / "missing" / FILE_NAME)
    with pytest.raises(LogUnavailableError, match="cannot be read: No such file or directory"):
        log.read()
    with pytest.raises(LogUnavailableError, match="cannot be written: No such file or directory; nothing is deployed"):
        log.append(SPLIT, expected=0)
    (tmp_path / "missing").mkdir()
    assert log.read() == []
