"""Files that survive a crash, and locks that end with their process."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
import stat
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from version_affinity.releases.times import format_time, utc_now

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO

_POSIX: Final = os.name == "posix"
# Windows' FlushFileBuffers wants a file that is open for writing.
_SYNC_FLAGS: Final = (os.O_RDONLY if _POSIX else os.O_RDWR) | getattr(os, "O_CLOEXEC", 0)
#: Default seconds to wait for a lock. Its holders need some seconds at most.
LOCK_PATIENCE: Final = 30.0
# Seconds between two attempts to get a lock.
_INTERVAL: Final = 0.02
# Characters of a command in a message.
_LONGEST: Final = 200
#: Where Linux lists the locks (proc(5)); then the columns of the process and of the file.
LOCKS: Final = "/proc/locks"
_PID: Final = 4
_INODE: Final = 5
# On Windows, locked bytes cannot be read, so the lock is beyond the end of the file.
_FAR: Final = 1 << 30
#: The errors for a full disk, a quota (which Windows has not), and a file that would be too large.
DISK_FULL: Final = frozenset((errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)))
#: The errors for a missing permission.
DENIED: Final = frozenset((errno.EACCES, errno.EPERM))
#: The size in bytes from which a file counts as none of this package's.
TOO_LARGE: Final = 16 * 1024 * 1024
_READ_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
)
# The errors of ``open`` for a link, and for a socket.
_OTHER_KINDS: Final = frozenset((errno.ELOOP, errno.ENXIO))
_TAKEN: Final = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK))
_SIGNED: Final = ("pid", "host", "command", "since")


def remedy(error: OSError, denied: str, other: str = "check the disk and this process's limits") -> str:
    """Return what a person can do about an error of the file system: ``denied`` for a permission, or ``other``."""
    if error.errno in DISK_FULL:
        return "make room on the disk"
    if error.errno == errno.EROFS:
        return "make the file system writable"
    return denied if error.errno in DENIED else other


def sync(file: str | os.PathLike[str]) -> None:
    """Wait until the content of a file is on the disk."""
    descriptor = os.open(file, _SYNC_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Wait until the names in a directory are on the disk, if the system supports that."""
    if not _POSIX:
        return
    try:
        sync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that does not support it
            raise


def write_all(file: FileIO, data: bytes) -> None:
    """Write all bytes to an unbuffered file, which may take fewer at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def write_new(file: Path, text: Iterable[str]) -> None:
    """Write a new file, and wait until it is on the disk."""
    with file.open("x", encoding="utf-8", newline="") as writer:
        writer.writelines(text)
        writer.flush()
        os.fsync(writer.fileno())


class OtherKindError(OSError):
    """A name leads to a link, a directory, a pipe or a very large file, where a file of this package is expected."""


@contextmanager
def opened(file: str | os.PathLike[str]) -> Iterator[tuple[FileIO, os.stat_result]]:
    """Open a file to read, where other users may have put anything under its name; give its status too. Never waits.

    Raises:
        OtherKindError: It is not a file, or it is too large.
        OSError: It does not exist, or cannot be read.
    """
    try:
        descriptor = os.open(file, _READ_FLAGS)
    except OSError as error:
        if error.errno in _OTHER_KINDS:
            raise OtherKindError(error.errno, "it is not a file", str(file)) from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size >= TOO_LARGE:
            raise OtherKindError(errno.EINVAL, "it is not a file of a usual size", str(file))
        with open(descriptor, "rb", buffering=0, closefd=False) as reader:
            yield reader, status
    finally:
        os.close(descriptor)


def read_file(file: str | os.PathLike[str]) -> bytes:
    """Return the content of a file; see ``opened``."""
    with opened(file) as (reader, _):
        return reader.readall()


#: The names of the files that ``written_beside`` leaves behind if the process is killed.
UNFINISHED: Final = re.compile(r"\..+\.[0-9a-f]{16}")


@contextmanager
def written_beside(final: Path, text: Iterable[str]) -> Iterator[Path]:
    """Write a file atomically: the block gets a new file beside ``final``, and renames it to that."""
    unfinished = final.with_name(f".{final.name}.{secrets.token_hex(8)}")
    try:
        write_new(unfinished, text)
        yield unfinished
        sync_directory(final.parent)
    finally:
        with suppress(OSError):
            unfinished.unlink()


class LockedError(Exception):
    """A lock was not free in time. The message names its holder, if known."""


class FileLock:
    """An exclusive lock among processes and threads, on a file of its own. The end of the process ends it.

    The file names the holder. Only those who may write what the lock guards may open the file: otherwise anyone who may
    read it could hold the lock for ever. A file system without locks grants every lock.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(
        cls, file: str | os.PathLike[str], *, patience: float = LOCK_PATIENCE, guards: str | os.PathLike[str] = ""
    ) -> FileLock:
        """Wait for the lock, at most ``patience`` seconds, then raise ``LockedError``.

        ``guards`` is the file or directory whose writers share the lock; by default the lock's directory.
        """
        until = time.monotonic() + patience
        while (lock := cls.try_acquire(file, guards=guards)) is None:
            if time.monotonic() > until:
                raise LockedError(f"for more than {patience:g} s {holder_of(file)}: end it if it hangs")
            time.sleep(_INTERVAL)
        return lock

    @classmethod
    def try_acquire(cls, file: str | os.PathLike[str], *, guards: str | os.PathLike[str] = "") -> FileLock | None:
        """Return the lock, None if it is held."""
        descriptor = _open(file, guards or Path(file).parent)
        try:
            _try_lock(descriptor)
        except OSError as error:
            if error.errno in _TAKEN:
                os.close(descriptor)
                return None
        _sign(descriptor, _signature())
        return cls(descriptor)

    def release(self) -> None:
        """End the lock. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _sign(descriptor, b"")
            with suppress(OSError):
                _unlock(descriptor)  # closing is not enough while a forked process has the file open, too
            os.close(descriptor)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.release()


def holder_of(file: str | os.PathLike[str]) -> str:
    """Return a phrase that says who holds a lock: as its file says, or, on Linux, as the system says."""
    try:
        said = json.loads(read_file(file) or b"{}")
        signed = {key: str(said.get(key, "")) for key in _SIGNED}
    except (OSError, ValueError, AttributeError, RecursionError):
        signed = dict.fromkeys(_SIGNED, "")
    pid = _locker(file)
    if pid and (str(pid), socket.gethostname()) != (signed["pid"], signed["host"]):
        # A program that has not signed: any program can lock a file.
        command = _redacted(_command_of(pid))
        return f"process {pid} of this host{f' ({command})' if command else ''} holds the lock {str(file)!r}"
    if not signed["pid"]:
        return f"an unknown process holds the lock {str(file)!r}"
    pid_, host, command, since = (signed[key][:_LONGEST] for key in _SIGNED)
    return f"process {pid_} on {host} ({command}) holds the lock {str(file)!r}, since {since}"


def _signature() -> bytes:
    command = _redacted(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "")
    values = (os.getpid(), socket.gethostname(), command, format_time(utc_now()))
    return json.dumps(dict(zip(_SIGNED, values, strict=True))).encode()


def _sign(descriptor: int, text: bytes) -> None:
    """Write into a lock's file who holds it, if the file can be written."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)


def _redacted(command: str) -> str:
    """Return a command without the user and the password of a URL in it."""
    if "://" in command:
        command = re.sub(r"(password=|://)[^@&\s]*(?=[@&\s]|$)", r"\1***", command)
    return command[:_LONGEST]


def _locker(file: str | os.PathLike[str]) -> int:
    """Return the id of the process that has a file locked, as Linux knows it; 0 if unknown, as always on btrfs."""
    try:
        status = os.stat(file)  # noqa: PTH116
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with open(LOCKS, encoding="ascii") as locks:  # noqa: PTH123
            for line in locks:
                fields = line.split()
                if len(fields) > _INODE and fields[1] == "FLOCK" and fields[_INODE] == place:
                    return max(int(fields[_PID]), 0)
    except (OSError, ValueError):
        pass
    return 0


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _open(file: str | os.PathLike[str], guards: str | os.PathLike[str]) -> int:
    # A link to another file would have that file signed.
    flags = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except PermissionError:
        if not Path(file).exists():
            raise
        return os.open(file, os.O_RDONLY | flags)  # another user made it; flock(2) takes this too
    if _POSIX:
        with suppress(OSError):  # another user's file: its owner does it
            _share(descriptor, guards)
    return descriptor


def _share(descriptor: int, guards: str | os.PathLike[str]) -> None:
    """Give the lock's file to those who may write what the lock guards, and to no one else."""
    status = os.fstat(descriptor)
    try:
        guarded = os.stat(guards)  # noqa: PTH116
    except FileNotFoundError:
        guarded = os.stat(Path(guards).parent)  # noqa: PTH116 - it does not exist yet
    writable = guarded.st_mode & 0o222
    mode = 0o600 | writable | writable << 1
    if status.st_uid != os.geteuid():
        return
    if not status.st_uid and guarded.st_uid:  # root made it, for the owner of what the lock guards
        os.fchown(descriptor, guarded.st_uid, -1)
    if (status.st_mode & 0o777, status.st_gid) == (mode, guarded.st_gid):
        return
    if status.st_gid != guarded.st_gid:
        try:
            os.fchown(descriptor, -1, guarded.st_gid)
        except OSError:
            mode &= 0o606  # the group of the lock is another one
    os.fchmod(descriptor, mode)


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
