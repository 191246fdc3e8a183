"""This host's own copy of the deployments that it last read: what it starts from while the log cannot be read."""

from __future__ import annotations

import json
import logging
import secrets
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.releases.store.durable import sync_directory, write_new
from version_affinity.releases.store.settings import SETTINGS
from version_affinity.releases.times import utc_now

from .entries import Entry, LogError, is_continued

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from version_affinity.releases.store.directory import ReleasesDirectory

logger = logging.getLogger("version_affinity")


#: This host's copy of a log. Hidden, so that the releases directory holds nothing else.
COPY: Final = ".last-known.jsonl"
_LOG: Final = "deployments.jsonl"
_LONGEST_LINE: Final = 64 * 1024


class LocalCopy:
    """A copy of a log in a file: JSON lines, as the file log writes them. The log is the truth, and this a help.

    Each line says which log it is of, and under which name the deployments are made.

    Args:
        path: The file. It need not be there; its directory must.
        level: How a copy that cannot be written is logged. The log may be all that a host needs to start.
        writes: Whether it is written. False where it is only to be started from.
        name: The name that the deployments are made under, for those of a log that does not say so.

    >>> LocalCopy("no/such/releases/last-known.jsonl").load()
    []
    """

    __slots__ = ("_level", "_name", "_told", "_writes", "path")

    def __init__(
        self, path: str | os.PathLike[str], *, level: int = logging.WARNING, writes: bool = True, name: str = ""
    ) -> None:
        self.path: Final = Path(path)
        self._level: Final = level
        self._writes: Final = writes
        self._name: Final = name
        self._told = ""

    @property
    def written(self) -> datetime:
        """When the copy was written, by this host's clock; the present where that is not known."""
        try:
            return datetime.fromtimestamp(self.path.stat().st_mtime, timezone.utc)
        except (OSError, OverflowError, ValueError):
            return utc_now()

    def load(self) -> list[Entry]:
        """Return the deployments of the copy, oldest first: none without one, or, which is logged, an unusable one."""
        try:
            return self._read()
        except FileNotFoundError:
            return []
        except (LogError, OSError, ValueError, RecursionError) as error:
            logger.warning("The copy of the last known deployments %r is not used: %s", str(self.path), error)
            return []

    def _read(self) -> list[Entry]:
        documents = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
        entries = [Entry.from_document(document) for document in documents]
        if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)):
            raise ValueError("its revisions are not 1, 2, 3 and so on")
        return entries

    def save(self, entries: Sequence[Entry]) -> None:
        """Replace the copy at once, or, which is logged once, leave it as it is: no reader ever finds a part of it.

        A copy that has more than the log, or is of another log, stays: it may be the only one of what the log lost.

        Args:
            entries: All deployments, from revision 1 on.
        """
        if not self._writes:
            return
        documents = ({**entry.as_document(), "name": entry.name or self._name} for entry in entries)
        text = "".join(json.dumps(document, separators=(",", ":")) + "\n" for document in documents)
        unfinished = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            if self._holds(text) or not self._is_older(entries):
                return
            write_new(unfinished, [text])
            unfinished.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            self._tell("is not written", error.strerror or str(error))

    def _is_older(self, entries: Sequence[Entry]) -> bool:
        """Return whether the copy, if there is one that can be used, has no more than these, and the same."""
        try:
            there = self._read()
        except (LogError, OSError, ValueError, RecursionError):
            return True
        if is_continued(there, entries):
            return True
        if not is_continued(entries, there):  # else another worker of this host has read more
            self._tell("stays as it is", "it has deployments that the log does not have")
        return False

    def _tell(self, what: str, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            logger.log(self._level, "The copy of the last known deployments %r %s: %s", str(self.path), what, reason)

    def _holds(self, text: str) -> bool:
        try:
            return self.path.read_bytes() == text.encode()
        except FileNotFoundError:
            return False


def check_same_name(releases: ReleasesDirectory) -> None:
    """Check that the deployments that are known here were made under the name in the settings.

    The name is part of the hash: under another one, many users would get another version.

    Raises:
        ConfigurationError: they were made under another name.
    """
    for file in (_LOG, COPY):
        name = _name_in(releases.path / file)
        if name and name != releases.name:
            raise ConfigurationError(
                f"{str(releases.path / SETTINGS)!r} has the name {releases.name!r}, and the deployments in "
                f"{str(releases.path / file)!r} were made under {name!r}. The name decides which user gets which "
                f"version, so it cannot be changed: write {name!r} again, or make another releases directory",
            )


def _name_in(file: Path) -> str:
    """Return the name in the newest deployment of a file that says one; "" where none does, or it cannot be read."""
    try:
        with file.open("rb") as reader:
            reader.seek(max(0, file.stat().st_size - _LONGEST_LINE))
            lines = reader.read().splitlines()
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
