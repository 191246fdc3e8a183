"""The deployment log as a file of JSON lines: the default, for one host or a shared file system.

The newline at the end of a line is its commit. A writer puts the line on the disk first and the newline after that, so
a reader sees a whole line or nothing. A crash can leave a last line without newline: readers skip it, and the next
writer removes it. Earlier lines never change. Writers take a lock; readers do not.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.releases.store.durable import FileLock, LockedError, remedy, sync_directory, write_all

from .entries import (
    NO_DETAILS,
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
    from collections.abc import Iterator
    from io import FileIO

    from .entries import Details, Shares

logger = logging.getLogger("version_affinity")

#: The log's name in a releases directory.
FILE_NAME: Final = "deployments.jsonl"

#: Seconds that a writer waits for another one, which needs some milliseconds, or was stopped in the middle.
WRITE_PATIENCE: Final = 10.0

_MEND: Final = "restore the file from its backup, or repair that line"


class History(NamedTuple):
    """The whole lines of a file. It is immutable, so threads that read at the same time need no lock."""

    entries: tuple[Entry, ...] = ()
    # The length of these lines in bytes.
    end: int = 0
    # The last line, with its newline. A file that has this line at this place is still the same file.
    last: bytes = b""

    def extended(self, data: bytes, name: str) -> History:
        """Return the history with the whole lines of ``data``, which follow in the file called ``name``.

        A last line that is not JSON is skipped: a crash of the system can lose the beginning of a line.
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
                raise LogError(f"{place} is not JSON: {error}; {_MEND}") from None
            try:
                entry = Entry.from_document(document)
            except LogError as error:
                raise LogError(f"{place} is not a deployment: {error}; {_MEND}") from None
            if entry.revision != len(entries) + 1:
                raise LogError(f"{place} has revision {entry.revision}; {_MEND}")
            entries.append(entry)
            last = line + b"\n"
            end += len(last)
        return History(tuple(entries), end, last)


def line_of(entry: Entry) -> bytes:
    """Return an entry as a line, with its newline."""
    text = json.dumps(entry.as_document(), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, as in a command line argument that is not UTF-8, becomes an escape that JSON knows.
    return text.encode("utf-8", "backslashreplace") + b"\n"


class FileLog:
    """A ``DeploymentLog`` in a file, which need not exist yet. It holds no file open."""

    def __init__(self, file: str | os.PathLike[str], *, name: str = "") -> None:
        self._name: Final = name
        self._file: Final = Path(file)
        self._history = History()
        self.description: Final = str(self._file)

    def read(self, after: int = 0) -> list[Entry]:
        """See ``DeploymentLog.read``. Only the end of the file that is not known yet is read."""
        history = History()  # not the attribute: another thread may put an older history there meanwhile
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
        if after > len(history.entries):
            raise self._lost(after)
        return list(history.entries[max(after, 0) :])

    def append(self, percentages: Shares, *, expected: int, details: Details = NO_DETAILS) -> Entry:
        """See ``DeploymentLog.append``. It returns when the deployment is on the disk."""
        entry = next_entry(percentages, expected, details)
        try:
            with self._locked():
                if self._history.entries and not self._file.exists():
                    raise self._lost(len(self._history.entries))  # do not start a new history over it
                with self._file.open("ab+", buffering=0) as file:
                    history = self._read(file)
                    if expected != len(history.entries):
                        raise LogConflictError(len(history.entries))
                    entry = identified(entry, history.entries[-1] if history.entries else None, self._name)
                    self._history = self._write(file, history, entry)
        except OSError as error:
            raise self._failed("written", error, "; nothing is deployed") from error
        return entry

    def forget(self) -> None:
        """See ``DeploymentLog.forget``."""
        self._history = History()

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _read(self, file: FileIO) -> History:
        """Return the known history with what follows it in the file."""
        known = self._history
        data = _committed(file, known.end - len(known.last))
        if data.startswith(known.last):
            return known.extended(data[len(known.last) :], self.description)
        # Another file, or a person has edited it.
        history, revision = History().extended(_committed(file, 0), self.description), len(known.entries)
        if not is_continued(known.entries[-1:], history.entries[revision - 1 :] if revision else ()):
            raise self._lost(revision)
        return history

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude all other writers. The lock is a file of its own: on Windows, locked bytes cannot be read."""
        file = self._file.with_name(f".{self._file.name}.lock")
        try:
            lock = FileLock.acquire(file, patience=WRITE_PATIENCE, guards=self._file)
        except LockedError as error:
            raise LogUnavailableError(
                f"{self.description} is being written to by another process; nothing is deployed: {error}"
            ) from None
        with lock:
            yield

    def _write(self, file: FileIO, history: History, entry: Entry) -> History:
        """Append an entry, or leave the file as it was."""
        line = line_of(entry)
        written = history.extended(line, self.description)
        self._remove_torn_line(file, history.end)
        try:
            write_all(file, line[:-1])
            os.fsync(file.fileno())
            if not history.end:
                sync_directory(self._file.parent)
            write_all(file, b"\n")
        except OSError:
            with suppress(OSError):  # the next writer does it
                file.truncate(history.end)
            raise
        try:
            os.fsync(file.fileno())
        except OSError as error:
            # Readers may have seen the line, so it stays.
            raise self._failed("written", error, f"; revision {entry.revision} may be lost in a power cut") from error
        return written

    def _remove_torn_line(self, file: FileIO, end: int) -> None:
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

    def _failed(self, what: str, error: OSError, outcome: str = "") -> LogUnavailableError:
        if outcome:
            outcome += f": {remedy(error, 'deploy as a user who may write there')}"
        return LogUnavailableError(f"{self.description} cannot be {what}: {error.strerror or error}{outcome}")

    def _lost(self, revision: int) -> LogLostError:
        return LogLostError(
            f"{self.description} has lost deployments: revision {revision} was there, or a different one. Restore the "
            "file from its backup, or from a host's own copy beside it. To continue with the file as it is, remove "
            "that copy and restart the applications that follow the log",
        )


def _committed(file: FileIO, start: int) -> bytes:
    """Return the whole lines from a position on."""
    file.seek(start)
    length = file.readall().rfind(b"\n") + 1
    # Up to a newline that was read, nothing changes any more. The bytes before it are read again: a writer may have
    # replaced them during the first reading.
    file.seek(start)
    return file.readall()[:length]
