"""Which versions are uploaded on this host, and which are known: by the log, the directory and the retention."""

from __future__ import annotations

import logging
import math
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import known_versions
from version_affinity.releases.times import before, time_of
from version_affinity.rollout.background import run

if TYPE_CHECKING:
    from version_affinity.releases.store.directory import Release

    from .in_force import RetentionInForce
    from .reading import Deployments

logger = logging.getLogger("version_affinity")

# Seconds until the retention is applied again, which may go by age.
_AGEING: Final = 60.0
# A version that was uploaded so long before the log was read last may be in a deployment that could not be read yet.
_UNREAD: Final = timedelta(hours=1)


class KnownVersions:
    """The versions in a releases directory, as of the last look at it.

    Args:
        directory: The directory.
        deployments: The log.
        retention: How long versions stay known.

    Attributes:
        uploaded: All versions, by id.
        releases: The known versions, in the order of their uploads: it stays the same when percentages change, and so
            does what is made of the files.
        error: Why the directory cannot be looked at; "" when it can.
    """

    __slots__ = ("_aged", "_deployments", "_directory", "_retention", "_seen", "error", "releases", "uploaded")

    def __init__(self, directory: ReleasesDirectory, deployments: Deployments, retention: RetentionInForce) -> None:
        self._directory = directory
        self._deployments = deployments
        self._retention = retention
        self._aged = -math.inf
        # What of the log the answer goes by.
        self._seen: tuple[object, ...] = ()
        self.uploaded: dict[str, Release] = {}
        self.releases: list[Release] = []
        self.error = ""

    def refresh(self) -> bool:
        """Look at the directory; return False when all is as before, or it cannot be looked at."""
        return run(self._refresh)

    def _refresh(self) -> bool:
        if self._retention.refresh():
            self._aged = -math.inf
        seen = self._deployments.revision, self._deployments.is_away
        try:
            uploaded = self._directory.versions()
            if uploaded == self.uploaded and seen == self._seen and time.monotonic() - self._aged < _AGEING:
                known = None
            else:
                if len(uploaded) < len(self.uploaded):
                    ReleasesDirectory(self._directory.path)  # is it there, or just not mounted?
                known = {*known_versions(self._directory, self._deployments.entries, self._retention.value)}
        except (OSError, ConfigurationError) as error:
            if not self.error:
                logger.error("the releases cannot be looked at, and all stays as it is: %s", error)  # noqa: TRY400
            self.error = str(error)
            return False
        if self.error:
            logger.warning("the releases can be looked at again")
            self.error = ""
        if known is None:
            return False
        if self._deployments.is_away:
            # A deployment that cannot be read now may have the newest of them, and other processes send its pages.
            since = before(self._deployments.confirmed, _UNREAD)
            known.update(version for version, release in uploaded.items() if time_of(release.created) > since)
        self.releases = [release for version, release in uploaded.items() if version in known]
        self.uploaded = uploaded
        self._seen = seen
        self._aged = time.monotonic()
        return True
