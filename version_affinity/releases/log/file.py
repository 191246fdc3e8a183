"""The log of deployments as a file of JSON lines: the embedded default, for one host or a shared file system.

A line's newline is its commit. A writer puts the line on the disk first and its newline after that, so a reader sees
a whole line or none; what a crash leaves is a last line without newline, which readers pass over and the next writer
cuts off. No earlier line is ever touched. Writers take a lock, readers none.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.releases.store.durable import FileLock, LockedError, sync_directory

from .entries import (
    Entry,
    LogConflictError,
    LogError,
    LogLostError,
    LogUnavailableError,
    identified,
    is_continued,
    next_entry,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import FileIO


logger = logging.getLogger("version_affinity")

#: The log's name in a releases directory.
FILE_NAME: Final = "deployments.jsonl"

#: Seconds that a writer waits for another one, which needs some milliseconds, or was stopped in the middle.
PATIENCE: Final = 10.0
# Seconds between two looks at a file's size and time.
_LOOK_INTERVAL: Final = 0.2

_ROOM: Final = "make room on the disk"
_RIGHTS: Final = "deploy as a user who may write there"
_REMEDIES: Final = {
    errno.ENOSPC: _ROOM,
    errno.EFBIG: _ROOM,
    getattr(errno, "EDQUOT", errno.ENOSPC): _ROOM,  # not on Windows
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
}


class FileLog:
    """A ``DeploymentLog`` in a file. Threads and forked processes may share it; it holds no file open.

    Args:
        file: Its name. It need not be there yet; its directory must, once something is read or written.
        name: The name that the deployments are made under, for new entries.

    Attributes:
        description: The file's name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     log = FileLog(Path(directory, "deployments.jsonl"))
    ...     entry = log.append({"v1": 90, "v2": None}, expected=0, author="ada", message="first 10 %")
    ...     log.read() == [entry], log.read(after=1)
    (True, [])
    """

    __slots__ = ("_file", "_history", "_looked_at", "_name", "description")

    def __init__(self, file: str | os.PathLike[str], *, name: str = "") -> None:
        self._name: Final = name
        self._file: Final = Path(file)
        self._history = History()
        self._looked_at: tuple[int, ...] | None = ()  # never
        self.description: Final = str(self._file)

    def read(self, after: int = 0) -> list[Entry]:
        """Return the deployments after a revision, oldest first. Only what is new is read from the file.

        Raises:
            LogUnavailableError: the file cannot be read now.
            LogLostError: it ends before ``after``, or does not hold what was read from it before.
            LogError: a line is damaged; the message names it.
        """
        entries = self._look().entries
        if after > len(entries):
            raise self._lost(after)
        return list(entries[max(after, 0) :])

    def append(
        self,
        percentages: Mapping[str, float | None],
        *,
        expected: int,
        author: str = "",
        message: str = "",
        created: str | None = None,
    ) -> Entry:
        """Write the next deployment if nobody has written one since, and wait until it is on the disk.

        Args:
            percentages: Version id to percentage; None shares the remainder.
            expected: The revision of the newest deployment that the writer has seen, 0 for none.
            author: Who deploys.
            message: Why.
            created: RFC 3339, UTC; None is now.

        Raises:
            ConfigurationError: the percentages cannot be used.
            LogConflictError: the log has moved on. Nothing is written.
            LogLostError: the file does not hold what was read from it before. Nothing is written.
            LogUnavailableError: the file cannot be written now. Nothing is, where the message does not say so.
            LogError: a line of it is damaged, or an argument is of another type. Nothing is written.
        """
        entry = next_entry(percentages, expected=expected, author=author, message=message, created=created)
        try:
            with self._locked():
                if self._history.entries and not self._file.exists():
                    raise self._lost(len(self._history.entries))  # it is not begun anew
                with self._file.open("ab+", buffering=0) as file:
                    history = self._read(file)
                    if expected != len(history.entries):
                        raise LogConflictError(len(history.entries))
                    entry = identified(entry, history.entries[-1] if history.entries else None, self._name)
                    self._history = self._write(file, history, entry)
        except OSError as error:
            raise self._failed("written", error, "; nothing is deployed") from error
        return entry

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there is something to read: a newer deployment, or an error.

        It looks at the file's size and time. A file system over a network may show them some seconds late.

        Args:
            after: The newest revision that the caller knows.
            timeout: Seconds to wait at most.
        """
        until = time.monotonic() + timeout
        while True:
            if self._state() != self._looked_at:
                try:
                    self._look()
                except LogError:
                    return True  # reading tells it
            if len(self._history.entries) != after:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK_INTERVAL))

    def forget(self) -> None:
        """Read everything anew the next time."""
        self._history, self._looked_at = History(), ()

    def close(self) -> None:
        """Do nothing: it holds nothing open."""

    # Reading.

    def _look(self) -> History:
        """Read what is new, and return all: another thread may put an older history in its place meanwhile."""
        # Before it is opened: what changes from then on is looked at again.
        state, history = self._state(), History()
        try:
            with self._file.open("rb", buffering=0) as file:
                self._history = history = self._read(file)
        except FileNotFoundError as error:
            if not self._file.parent.is_dir():
                raise self._failed("read", error) from error
            if self._history.entries:
                raise self._lost(len(self._history.entries)) from None
        except OSError as error:
            raise self._failed("read", error) from error
        self._looked_at = state
        return history

    def _state(self) -> tuple[int, ...] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self, file: FileIO) -> History:
        """Return what the file holds: what is known, and what follows it."""
        known = self._history
        data = _committed(file, known.end - len(known.last))
        if data.startswith(known.last):
            return known.extended(data[len(known.last) :], self.description)
        # Another file, or one that was written to by hand.
        history, revision = History().extended(_committed(file, 0), self.description), len(known.entries)
        if not is_continued(known.entries[-1:], history.entries[revision - 1 :] if revision else ()):
            raise self._lost(revision)
        return history

    # Writing.

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep all other writers out, in a file of its own: Windows lets nobody read what is locked."""
        file = self._file.with_name(f".{self._file.name}.lock")
        try:
            lock = FileLock.acquire(file, patience=PATIENCE, guards=self._file)
        except LockedError as error:
            raise LogUnavailableError(
                f"{self.description} is being written to by another process; nothing is deployed: {error}"
            ) from None
        except FileNotFoundError as error:
            # It could not be made, and so it could not be opened either.
            denied = error.__context__
            raise (denied if isinstance(denied, PermissionError) else error) from None
        with lock:
            yield

    def _write(self, file: FileIO, history: History, entry: Entry) -> History:
        """Append an entry, or leave the file as it was."""
        line = line_of(entry)
        written = history.extended(line, self.description)
        self._repair(file, history.end)
        try:
            _write_all(file, line[:-1])
            os.fsync(file.fileno())
            if not history.end:
                sync_directory(self._file.parent)
            _write_all(file, b"\n")
        except OSError:
            with suppress(OSError):  # the next writer does it
                file.truncate(history.end)
            raise
        try:
            os.fsync(file.fileno())
        except OSError as error:
            # Readers may have seen it, so it stays.
            raise self._failed("written", error, f"; revision {entry.revision} may be lost in a power cut") from error
        return written

    def _repair(self, file: FileIO, end: int) -> None:
        """Cut off what a writer left behind that did not come to its end."""
        file.seek(end)
        torn = file.readall()
        if torn:
            logger.warning(
                "%s: %d bytes of a deployment that was never completed are removed: %r",
                self.description,
                len(torn),
                torn[:200],
            )
            file.truncate(end)

    # What goes wrong.

    def _failed(self, what: str, error: OSError, outcome: str = "") -> LogUnavailableError:
        remedy = _REMEDIES.get(error.errno or 0)
        reason = error.strerror or str(error)
        return LogUnavailableError(
            f"{self.description} cannot be {what}: {reason}{outcome}{f': {remedy}' if remedy and outcome else ''}"
        )

    def _lost(self, revision: int) -> LogLostError:
        return LogLostError(
            f"{self.description} has lost deployments: revision {revision} was there, or another one. Restore the file "
            "from its backup, or from a host's own copy beside it; to go on with it as it is, remove that copy and "
            "restart what follows it",
        )


def _committed(file: FileIO, start: int) -> bytes:
    """Return the whole lines from a place on."""
    file.seek(start)
    length = file.readall().rfind(b"\n") + 1
    # Up to a newline that was read, nothing changes any more. What was read before it may be what a writer was just
    # replacing, so it is read again.
    file.seek(start)
    return file.readall()[:length]


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


_MEND: Final = "restore the file from its backup, or mend that line"


class History(NamedTuple):
    """The whole lines of a file: immutable, so that threads which read at once need no lock among them.

    Attributes:
        entries: What they say.
        end: How many bytes they are.
        last: The last of them, with its newline. Where it is found again at its place, this is still the same file.
    """

    entries: tuple[Entry, ...] = ()
    end: int = 0
    last: bytes = b""

    def extended(self, data: bytes, name: str) -> History:
        r"""Return the history with the whole lines that follow it. The last one is passed over where it is no JSON.

        A writer that crashes leaves a line without newline. The system's crash can also keep the end of a line and
        lose its beginning.

        Args:
            data: The lines. What follows the last newline is no line yet.
            name: The file's name, for errors.

        Raises:
            LogError: a line is damaged.

        >>> History().extended(b'{"revision":1,"percentages":{"v1":100},"created":""}\n{"revision":2,"perc', "a").end
        53
        """
        entries, end, last = list(self.entries), self.end, self.last
        *lines, _ = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            place = f"{name}, line {len(entries) + 1}"
            try:
                document = json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                if number == len(lines):
                    break
                raise LogError(f"{place} is no JSON: {error}; {_MEND}") from None
            try:
                entry = Entry.from_document(document)
            except LogError as error:
                raise LogError(f"{place} is no deployment: {error}; {_MEND}") from None
            if entry.revision != len(entries) + 1:
                raise LogError(f"{place} has revision {entry.revision}; {_MEND}")
            entries.append(entry)
            last = line + b"\n"
            end += len(last)
        return History(tuple(entries), end, last)


def line_of(entry: Entry) -> bytes:
    """Return an entry as a line, with its newline.

    >>> line_of(Entry(1, {"v1": 100.0}, "2026-11-24T05:00:00Z"))[:44]
    b'{"revision":1,"percentages":{"v1":100.0},"cr'
    """
    text = json.dumps(entry.as_document(), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, as in an argument that is no UTF-8, becomes an escape that JSON knows.
    return text.encode("utf-8", "backslashreplace") + b"\n"
