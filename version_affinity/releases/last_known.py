"""This host's own copy of the deployments that it last read: what it starts from while the log cannot be read."""

from __future__ import annotations

import json
import logging
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .durable import sync_directory, write_new
from .log import Entry, LogError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

logger = logging.getLogger("version_affinity")


class LastKnown:
    """A copy of a log in a file: JSON lines, as the file log writes them. The log is the truth, and this a help.

    Each line says which log it is of, which the file log reads over: the copy may take its place.

    Args:
        path: The file. It need not be there; its directory must.
        level: How a copy that cannot be written is logged. The log may be all that a host needs to start.
        writes: Whether it is written. False where it is only to be started from.
        log: Which log it is to be of: the copy of another one is not used. "" for any.

    >>> LastKnown("no/such/releases/last-known.jsonl").load()
    []
    """

    __slots__ = ("_level", "_log", "_told", "_writes", "path")

    def __init__(
        self, path: str | os.PathLike[str], *, level: int = logging.WARNING, writes: bool = True, log: str = ""
    ) -> None:
        self.path: Final = Path(path)
        self._level: Final = level
        self._writes: Final = writes
        self._log: Final = log
        self._told = ""

    def load(self) -> list[Entry]:
        """Return the deployments of the copy, oldest first: none without one, or, which is logged, an unusable one."""
        try:
            documents = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
            entries = [Entry.from_document(document) for document in documents]
            if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)):
                raise ValueError("its revisions are not 1, 2, 3 and so on")  # noqa: TRY301
            others = {str(document["log"]) for document in documents if "log" in document} - {self._log}
            if self._log and others:
                raise ValueError(f"it is of another log, {min(others):.200}")  # noqa: TRY301
        except FileNotFoundError:
            return []
        except (LogError, OSError, ValueError, RecursionError) as error:
            logger.warning("The copy of the last known deployments %r is not used: %s", str(self.path), error)
            return []
        return entries

    def save(self, entries: Iterable[Entry]) -> None:
        """Replace the copy at once, or, which is logged once, leave it as it is: nobody ever finds a part of it.

        Args:
            entries: All deployments, from revision 1 on.
        """
        if not self._writes:
            return
        log = {"log": self._log} if self._log else {}
        documents = ({**entry.as_document(), **log} for entry in entries)
        text = "".join(json.dumps(document, separators=(",", ":")) + "\n" for document in documents)
        unfinished = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            if self._holds(text):
                return  # another worker of this host was first
            write_new(unfinished, [text])
            unfinished.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            reason = error.strerror or str(error)
            if reason != self._told:
                self._told = reason
                text = "The copy of the last known deployments %r is not written: %s"
                logger.log(self._level, text, str(self.path), reason)

    def _holds(self, text: str) -> bool:
        try:
            return self.path.read_bytes() == text.encode()
        except FileNotFoundError:
            return False
