"""This host's own copy of the deployments that it last read: what it starts from while the log cannot be reached."""

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

    Args:
        path: The file. It need not be there; its directory must.

    >>> LastKnown("no/such/releases/last-known.jsonl").load()
    []
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = Path(path)

    def load(self) -> list[Entry]:
        """Return the deployments of the copy, oldest first: none without one, or, which is logged, an unusable one."""
        try:
            lines = self.path.read_text("utf-8").splitlines()
            entries = [Entry.from_document(json.loads(line)) for line in lines]
            if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)):
                raise ValueError("its revisions are not 1, 2, 3 and so on")  # noqa: TRY301
        except FileNotFoundError:
            return []
        except (LogError, OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("The copy of the last known deployments %r is not used: %s", str(self.path), error)
            return []
        return entries

    def save(self, entries: Iterable[Entry]) -> None:
        """Replace the copy at once, or, which is logged, leave it as it is: nobody ever finds a part of it.

        Args:
            entries: All deployments, from revision 1 on.
        """
        text = "".join(json.dumps(entry.as_document(), separators=(",", ":")) + "\n" for entry in entries)
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
            logger.warning("The copy of the last known deployments %r is not written: %s", str(self.path), error)

    def _holds(self, text: str) -> bool:
        try:
            return self.path.read_bytes() == text.encode()
        except FileNotFoundError:
            return False
