"""The manifest of an earlier load as a file: read before a load, written after one that found something else."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from version_affinity.errors import ConfigurationError

from .inventory import NOTHING_KNOWN, BrokenError, Inventory, InventoryError, inventory_lines, parse_inventory
from .tree import UnservableError, read

logger = logging.getLogger("version_affinity")

#: Bytes of the largest manifest that is read: a million files' fit.
_LIMIT: Final = 256 * 1024 * 1024


class InventoryFile:
    """The manifest of a build as a file that loads read and keep up to date.

    Args:
        name: The file. It need not exist yet; its directory must.

    Raises:
        ConfigurationError: the name can be no file's.

    Attributes:
        file: The absolute name, all links resolved.
    """

    __slots__ = ("_writable", "file")

    def __init__(self, name: str | os.PathLike[str]) -> None:
        try:
            text = os.fspath(name)
            file = os.path.realpath(text) if isinstance(text, str) and text else ""
        except (OSError, ValueError, TypeError):
            file = ""
        if not file or Path(file).is_dir():
            raise ConfigurationError(
                f"manifest={name!r} is no file: write the name of one beside the build, such as 'build.manifest.json'"
            )
        self.file: Final = file
        self._writable = True

    def read(self) -> Inventory:
        """Return what the manifest says: nothing when it is not there, or, which is logged, cannot be used."""
        try:
            return _parsed(read(self.file, _LIMIT).data)
        except FileNotFoundError:
            return NOTHING_KNOWN
        except (OSError, UnservableError, InventoryError) as error:
            # Another file may be named by mistake, or a later release's: that is not written over.
            self._writable = isinstance(error, BrokenError) and self.file.endswith(".json")
            reason = f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            logger.warning("manifest=%r is not used, and all files are read: %s", self.file, reason)
            return NOTHING_KNOWN

    def write(self, inventory: Inventory) -> None:
        """Write the manifest, at once or, which is logged, not at all: nobody ever finds a part of it."""
        if not self._writable:
            return
        parent, base = os.path.split(self.file)
        # Hidden: a build directory does not serve what a crash leaves behind.
        unfinished = os.path.join(parent, f".{base}.{secrets.token_hex(8)}")  # noqa: PTH118
        try:
            with open(unfinished, "x", encoding="utf-8") as file:  # noqa: PTH123
                file.writelines(inventory_lines(inventory))
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, self.file)  # noqa: PTH105
        except OSError as error:
            with suppress(OSError):
                os.unlink(unfinished)  # noqa: PTH108
            logger.warning(
                "manifest=%r is not written, and the next load reads the files again: %s", self.file, error.strerror
            )


def _parsed(text: bytes | None) -> Inventory:
    if text is None:
        raise InventoryError("it is too large")
    return parse_inventory(text) if text else NOTHING_KNOWN
