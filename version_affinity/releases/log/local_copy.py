"""This host's own copy of the log: a worker starts from it while the log cannot be read."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.releases.store.durable import written_beside
from version_affinity.releases.store.settings import SETTINGS
from version_affinity.releases.times import utc_now

from .entries import Entry, LogError, is_continued
from .file import FILE_NAME, line_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from version_affinity.releases.store.directory import ReleasesDirectory

logger = logging.getLogger("version_affinity")

#: The copy's name in a releases directory.
COPY: Final = ".last-known.jsonl"


class LocalCopy:
    """A copy of a log in a file: JSON lines, as in the file log. Each line has the log's id and name.

    ``level`` is that at which a copy that cannot be written is logged. ``name`` is for entries of release 0.1.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, level: int = logging.WARNING, writes: bool = True, name: str = ""
    ) -> None:
        self.path: Final = Path(path)
        self._level: Final = level
        self._writes: Final = writes
        self._name: Final = name
        self._logged = ""

    @property
    def written(self) -> datetime:
        """When the copy was written, by this host's clock; the present if that is unknown."""
        try:
            return datetime.fromtimestamp(self.path.stat().st_mtime, timezone.utc)
        except (OSError, OverflowError, ValueError):
            return utc_now()

    def load(self) -> list[Entry]:
        """Return the copied deployments, oldest first. A copy that cannot be used is logged and counts as empty."""
        try:
            return self._read()
        except FileNotFoundError:
            return []
        except (LogError, OSError, ValueError, RecursionError) as error:
            logger.warning("The copy of the last known deployments %r is not used: %s", str(self.path), error)
            return []

    def _read(self) -> list[Entry]:
        entries = [Entry.from_document(json.loads(line)) for line in self.path.read_bytes().splitlines()]
        if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)):
            raise ValueError("its revisions are not 1, 2, 3 and so on")
        return entries

    def save(self, entries: Sequence[Entry]) -> None:
        """Replace the copy atomically, unless it may be the only copy of what the log has lost. A failure is logged."""
        if not self._writes:
            return
        entries = [replace(entry, name=entry.name or self._name) for entry in entries]
        try:
            copied = self._read()
        except (FileNotFoundError, LogError, ValueError, RecursionError):
            copied = []
        except OSError as error:  # its content is unknown
            self._report("is not written", error.strerror or str(error))
            return
        if not is_continued(copied, entries):
            if not is_continued(entries, copied):  # otherwise another worker of this host has read more
                self._report("stays as it is", "it has deployments that the log does not have")
            return
        if copied == entries:
            return
        try:
            with written_beside(self.path, [line_of(entry).decode() for entry in entries]) as unfinished:
                unfinished.replace(self.path)
        except OSError as error:
            self._report("is not written", error.strerror or str(error))

    def _report(self, what: str, reason: str) -> None:
        if reason != self._logged:
            self._logged = reason
            logger.log(self._level, "The copy of the last known deployments %r %s: %s", str(self.path), what, reason)


def check_same_name(releases: ReleasesDirectory) -> None:
    """Raise ``ConfigurationError`` if the deployments on this host were made under another name than the settings have.

    The name is part of the hash: another name would give many users another version.
    """
    for file in (FILE_NAME, COPY):
        name = _newest_name(releases.path / file)
        if name and name != releases.name:
            raise ConfigurationError(
                f"{str(releases.path / SETTINGS)!r} has the name {releases.name!r}, and the deployments in "
                f"{str(releases.path / file)!r} were made under {name!r}. The name decides which user gets which "
                f"version, so it cannot be changed: write {name!r} again, or make another releases directory",
            )


def _newest_name(file: Path) -> str:
    """Return the name in the newest entry of a file that has one, "" if none has or the file cannot be read."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            name = Entry.from_document(json.loads(line)).name
        except (LogError, ValueError, RecursionError):
            continue
        if name:
            return name
    return ""
