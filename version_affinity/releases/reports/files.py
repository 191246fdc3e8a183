"""Worker reports as files in ``<releases>/workers/``, beside a file log.

    workers/<id>.json      the last report of a process
    workers/<id>.gone      the last report of a process that is gone: it is about to be added to the total
    workers/total.json     the counters of processes that are gone, and the ids of these processes

A process that is gone is added in three steps, and another process may continue after each of them: its report is
renamed, so that a process that was only suspended cannot change it any more; the total is replaced; the renamed report
is removed. Readers take the reports first and the total last, and leave out the reports that the total has.

Ages are by the clock of the disk, which gives the files their times: those of the hosts may differ.

All who may write to the directory may put anything there. What is not a file of a usual size is left alone, so that no
reader waits for a pipe, and no folding fails because of it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from version_affinity.releases.log.entries import LogUnavailableError
from version_affinity.releases.store.directory import WORKERS
from version_affinity.releases.store.durable import (
    DENIED,
    FileLock,
    OtherKindError,
    opened,
    read_file,
    remedy,
    write_all,
    written_beside,
)

from .report import FOLDING, REPORT_LOST, Report, Workers
from .totals import Total

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_TOTAL: Final = "total.json"
_LOCK: Final = ".lock"
_NAME: Final = re.compile(r"([0-9a-f]{16})(\.json|\.gone)")
_REPORT: Final = ".json"
_GONE: Final = ".gone"
_NEW: Final = ".new"
_CLOCK: Final = ".clock-"
# Seconds after which a file that cannot be read, or was never completed, is removed.
_ABANDONED: Final = 3600.0
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


class FileReports:
    """``Reports`` in a releases directory."""

    def __init__(self, releases: Path) -> None:
        self.path: Final = releases / WORKERS
        self.description: Final = str(self.path)
        # The total as it was last read, and its file's inode, size and time.
        self._known: tuple[tuple[int, int, int], Total] = (0, 0, 0), Total()
        # When this process last wrote, by the clock of the disk.
        self._written = 0.0

    def read(self) -> Workers:
        """See ``Reports.read``."""
        with self._explained("read"):
            try:
                now = self._now()
                reports = self._reports(now)
            except FileNotFoundError:
                return Workers((), {})
            total = self._total()
            return total.workers([report for process, report in reports.items() if process not in total.folded])

    def _reports(self, now: float) -> dict[str, Report]:
        """Return all reports. A listing may miss a file that is being renamed, so there are two."""
        found: dict[str, Report] = {}
        for _ in range(2):
            listed = self._listed()
            for process in listed[_REPORT]:
                if process not in found and (report := self._parsed(process, _REPORT, now)):
                    found[process] = report
        for process in listed[_GONE]:
            if report := self._parsed(process, _GONE, now):
                found[process] = report
        return found

    def write(self, report: Report, *, is_first: bool) -> int | None:
        """See ``Reports.write``."""
        file = self.path / f"{report.process}{_REPORT}"
        with self._explained("written to"):
            if is_first:
                self._make_directory()
            elif not file.exists():
                folded = self._folded(report.process)
                return REPORT_LOST if folded is None else folded
            self._put(file, report.as_text())
            folded = self._folded(report.process)
            if folded is not None:
                file.unlink(missing_ok=True)
            return folded

    def fold(self, known: Collection[str]) -> None:
        """See ``Reports.fold``."""
        with self._explained("written to"):
            with suppress(FileNotFoundError):
                if abs(self._written - (self.path / _LOCK).stat().st_mtime) < FOLDING:
                    return
            lock = FileLock.try_acquire(self.path / _LOCK, guards=self.path)
            if lock is not None:
                with lock:
                    self._fold(known)

    def _fold(self, known: Collection[str]) -> None:
        listed, now = self._listed(), self._now()
        before = self._total()
        kept = {*known}
        for process in listed[_REPORT]:
            report = self._parsed(process, _REPORT, now)
            if process in before.folded:
                self._remove(process, _REPORT)  # of a process that has died before it learned that
            elif report is not None and not report.is_gone():
                kept.update(report.known)
            elif report is not None and process not in listed[_GONE]:
                with suppress(OSError):  # it has gone, or something else has the name
                    self._file(process, _REPORT).rename(self._file(process, _GONE))
        gone = [report for process in self._listed()[_GONE] if (report := self._last(process))]
        after = before.with_reports(gone, kept)
        if after != before:
            with written_beside(self.path / _TOTAL, [json.dumps(after._asdict())]) as unfinished:
                unfinished.chmod(self._mode())
                unfinished.replace(self.path / _TOTAL)
        for report in gone:
            self._remove(report.process, _NEW)
            self._remove(report.process, _GONE)
        self._sweep(now)

    def _sweep(self, now: float) -> None:
        """Remove what a crash has left: unfinished files, and those that cannot be read."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                is_ours = entry.name.endswith(_NEW) or entry.name.startswith((f".{_TOTAL}.", _CLOCK))
                named = _NAME.fullmatch(entry.name)
                with suppress(OSError):  # a directory stays, for example
                    if abs(now - entry.stat(follow_symlinks=False).st_mtime) <= _ABANDONED:
                        continue
                    if is_ours or (named is not None and self._parsed(named[1], named[2], now) is None):
                        os.unlink(entry.path)  # noqa: PTH108

    def _folded(self, process: str) -> int | None:
        """Return the number of the report of a process that is added to the total, or about to be; None if none is."""
        last = self._last(process)
        return self._total().folded.get(process) if last is None else last.number

    def _last(self, process: str) -> Report | None:
        """Return the last report of a process that is gone, None if there is none, or it cannot be read now.

        A damaged one counts as a report without counters.
        """
        try:
            report = Report.parse(read_file(self._file(process, _GONE)))
        except OSError:
            return None
        return report if report is not None and report.process == process else Report(process, 0)

    def _total(self) -> Total:
        """Return the total. A file that has not changed is not read again."""
        try:
            with opened(self.path / _TOTAL) as (reader, status):
                stamp = status.st_ino, status.st_size, status.st_mtime_ns
                known = self._known
                if stamp != known[0]:
                    document = json.loads(reader.readall())
                    self._known = known = stamp, Total.of(*map(document.get, Total._fields))
                return known[1]
        except (FileNotFoundError, OtherKindError, ValueError, AttributeError, RecursionError):
            return Total()

    def _listed(self) -> dict[str, set[str]]:
        """Return the ids of the processes with a report, and of those that are gone."""
        found: dict[str, set[str]] = {_REPORT: set(), _GONE: set()}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if (named := _NAME.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                    found[named[2]].add(named[1])
        return found

    def _parsed(self, process: str, kind: str, now: float) -> Report | None:
        """Return a report, None if it is damaged or has gone."""
        try:
            with opened(self._file(process, kind)) as (reader, status):
                report = Report.parse(reader.readall(), now - status.st_mtime)
        except OSError:
            return None
        return report if report is not None and report.process == process else None

    def _file(self, process: str, kind: str) -> Path:
        return self.path / f"{process}{kind}"

    def _remove(self, process: str, kind: str) -> None:
        with suppress(OSError):
            self._file(process, kind).unlink()

    def _put(self, file: Path, text: str) -> None:
        """Replace a file atomically. A crash of the system may lose it, as it ends the process too."""
        unfinished = file.with_suffix(_NEW)
        unfinished.unlink(missing_ok=True)
        try:
            with open(os.open(unfinished, _NEW_FILE, 0o666), "wb", buffering=0) as writer:  # noqa: PTH123 - a descriptor
                write_all(writer, text.encode("utf-8", "backslashreplace"))
                if hasattr(os, "fchmod"):
                    os.fchmod(writer.fileno(), self._mode())
                self._written = os.fstat(writer.fileno()).st_mtime
            unfinished.replace(file)
        except OSError:
            with suppress(OSError):
                unfinished.unlink()
            raise

    def _make_directory(self) -> None:
        """Make the directory of the reports, for the users and the group of the releases directory."""
        with suppress(FileExistsError):
            self.path.mkdir()
            with suppress(OSError, AttributeError):
                above = self.path.parent.stat()
                # A command of root may load the application before its own user does.
                os.chown(self.path, -1 if os.geteuid() else above.st_uid, above.st_gid)
                self.path.chmod(above.st_mode & 0o7777)

    def _mode(self) -> int:
        """Return the mode of new files: users who may list the directory may read them."""
        return self.path.stat().st_mode & 0o666 | 0o600

    def _now(self) -> float:
        """Return the time by the clock of the disk; this host's time if this user may not write there.

        A new file also lets an NFS client look at the directory anew.
        """
        try:
            return self._tried(self.path)
        except FileNotFoundError:
            raise
        except OSError:
            return time.time()

    def _tried(self, directory: Path) -> float:
        """Write a byte to a new file, and remove that; return the time of the file."""
        file = directory / f"{_CLOCK}{secrets.token_hex(8)}"
        descriptor = os.open(file, _NEW_FILE, 0o600)
        try:
            os.write(descriptor, b"\n")  # on a full disk a file can be made, and nothing written to it
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
            file.unlink(missing_ok=True)

    def obstacle(self, workers: Workers) -> str:
        """See ``Reports.obstacle``."""
        place = self.path if self.path.exists() else self.path.parent
        try:
            self._tried(place)
        except OSError as error:
            if error.errno not in DENIED:
                return f"{str(place)!r} cannot be written to ({error.strerror or error}): {_remedy(error)}"
            if not any(report.is_of_this_host() for report in workers.live):
                return f"this user may not write to {str(place)!r}: let the user of the application write there"
        return ""

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Raise an error of the file system as a ``LogError``."""
        try:
            yield
        except OSError as error:
            raise LogUnavailableError(
                f"{self.description} cannot be {what}: {error.strerror or error}: {_remedy(error)}"
            ) from error


def _remedy(error: OSError) -> str:
    return remedy(error, "let this user read and write there", "check the directory and the disk")
