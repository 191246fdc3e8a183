"""What survives a crash: files that are on the disk once they have a name, and locks that end with their process."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_POSIX: Final = os.name == "posix"
# Windows' FlushFileBuffers wants a file that is open for writing.
_SYNC_FLAGS: Final = (os.O_RDONLY if _POSIX else os.O_RDWR) | getattr(os, "O_CLOEXEC", 0)
_TAKEN: Final = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK))


def sync(file: str | os.PathLike[str]) -> None:
    """Wait until what a file holds is on the disk.

    Raises:
        OSError: the disk does not take it.
    """
    descriptor = os.open(file, _SYNC_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Wait until the names in a directory are on the disk, where the system can do that.

    Raises:
        OSError: the disk does not take it.
    """
    if not _POSIX:
        return
    try:
        sync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems answer that cannot do it for directories
            raise


def write_new(file: Path, text: Iterable[str]) -> None:
    """Write a file that is not there yet, and wait until it is on the disk.

    Raises:
        OSError: it cannot be written, or is there already.
    """
    with file.open("x", encoding="utf-8") as writer:
        writer.writelines(text)
        writer.flush()
        os.fsync(writer.fileno())


class FileLock:
    """An exclusive lock among processes and threads, on a file made for it. The end of the process ends it.

    On a file system without locks, each of them is granted: what they guard is also safe by the order of its steps,
    only less so.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, file: str | os.PathLike[str]) -> FileLock:
        """Wait for the lock.

        Raises:
            OSError: the file cannot be made or opened.
        """
        descriptor = _open(file)
        try:
            _lock(descriptor)
        except OSError:
            pass  # no locks here
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def try_acquire(cls, file: str | os.PathLike[str]) -> FileLock | None:
        """Return the lock, None when another holds it.

        Raises:
            OSError: the file cannot be made or opened.
        """
        descriptor = _open(file)
        try:
            _try_lock(descriptor)
        except OSError as error:
            if error.errno in _TAKEN:
                os.close(descriptor)
                return None
        return cls(descriptor)

    def release(self) -> None:
        """End the lock; again, it does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                _unlock(descriptor)  # closing does not, while a process that was forked meanwhile has it open, too
            os.close(descriptor)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.release()


def _open(file: str | os.PathLike[str]) -> int:
    cloexec = getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | cloexec, 0o666)
    except PermissionError:
        return os.open(file, os.O_RDONLY | cloexec)  # another user made it; flock(2) takes this too


if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # tries for ten seconds; what it guards takes some milliseconds

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
