"""The retention that a worker goes by: the releases directory's, which is followed, or its application's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.releases.store.settings import SETTINGS, read_settings

if TYPE_CHECKING:
    from version_affinity.releases.store.directory import ReleasesDirectory
    from version_affinity.releases.store.retention import Retention

logger = logging.getLogger("version_affinity")


class RetentionInForce:
    """How long versions stay known, in a worker.

    Where the application has a retention of its own that differs from the directory's, which the command line goes by,
    this is logged as a warning, once, and once more for each other one that the directory gets.

    Args:
        directory: The releases directory.
        own: The application's own retention, None for none.

    Attributes:
        value: What holds now.
        error: Why the directory's settings cannot be used, so that what they said last holds, and from the start on
            all versions stay known; "" when they can.
    """

    __slots__ = ("_directory", "_own", "_settled", "_stamp", "error", "value")

    def __init__(self, directory: ReleasesDirectory, own: Retention | None) -> None:
        self._directory: Final = directory
        self._own: Final = own
        # The file's inode, size and time, and what was read there.
        self._stamp: tuple[int, int, int] | None = None
        self._settled: Retention | None = None
        self.value = directory.retention if own is None else own
        self.error = ""

    def refresh(self) -> bool:
        """Look at the directory's settings; tell whether another retention is in force now."""
        try:
            status = (self._directory.path / SETTINGS).stat()
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if stamp == self._stamp:
                return False
            settings = read_settings(self._directory.path)
        except (OSError, ConfigurationError) as error:
            self._fail(str(error))
            return False
        fault = self._renamed(settings.name) or settings.error
        if fault:
            self._fail(fault)
            return False
        self._stamp = stamp
        if self.error:
            logger.warning("the settings of the releases can be used again")
            self.error = ""
        if settings.warning:
            logger.warning("%s", settings.warning)
        settled = settings.retention
        if settled == self._settled:
            return False
        self._settled = settled
        if self._own is not None:
            self._compare(self._own, settled)
            return False
        before, self.value = self.value, settled
        if settled != before:
            logger.info("the retention is changed from %s to %s", before.in_words(), settled.in_words())
        return settled != before

    def _renamed(self, name: str) -> str:
        """Return what is wrong with another name than the one that this process has read; "" for the same."""
        own = self._directory.name
        if name == own:
            return ""
        return (
            f"the name in {str(self._directory.path / SETTINGS)!r} was changed from {own!r} to {name!r}, which would "
            f"give many users another version. This process keeps {own!r}: write {own!r} again"
        )

    def _fail(self, reason: str) -> None:
        self._stamp = None  # what is made readable keeps its time
        if reason != self.error:
            self.error = reason
            logger.error(
                "the settings of the releases cannot be used, and the retention stays as it is (%s): %s",
                self.value.in_words(),
                reason,
            )

    def _compare(self, own: Retention, settled: Retention) -> None:
        if own == settled:
            return
        path = self._directory.path
        logger.warning(
            "Releases(retention=...) is %s, and that of %r is %s, which the command line goes by: prune may remove "
            "versions that this application still serves. Leave retention= out, after `version-affinity --releases %s "
            "retention %s` if that is what you mean",
            own.in_words(),
            str(path),
            settled.in_words(),
            path,
            own.as_options(),
        )
