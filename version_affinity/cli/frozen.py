"""Releases as they are now, for a question about them: nothing is followed, and no host is said to be alive."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from version_affinity.errors import ConfigurationError
from version_affinity.releases.follow.effective import lacking, standing
from version_affinity.releases.follow.loaded import Holdings
from version_affinity.releases.store.retention import known_versions
from version_affinity.rollout.source import Load, Snapshot

from .context import command_line
from .terminal.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory


class Frozen:
    """A ``version_affinity.rollout.source.Source`` that never changes.

    Args:
        directory: The uploaded versions.
        entries: The whole log of deployments.
    """

    def __init__(self, directory: ReleasesDirectory, entries: Sequence[Entry]) -> None:
        self._directory = directory
        self._entries = entries

    def open(self, _root: str) -> str:
        """Return the name of the deployments."""
        return self._directory.name

    def load(self, load: Load) -> Snapshot:
        """Return the versions and the deployment.

        Raises:
            ConfigurationError: nothing is deployed, or nothing of what is deployed is here.
        """
        if not self._entries:
            raise ConfigurationError(f"nothing is deployed yet: {command_line('versions deploy v1@100%')}")
        holdings = Holdings(self._directory, load)
        uploaded = self._directory.versions()
        known = known_versions(self._directory, self._entries, self._directory.retention)
        holdings.load([release for version, release in uploaded.items() if version in known])
        found = standing(self._directory.name, self._entries, holdings.versions)
        if found is None:
            missing = listed(lacking(self._entries, holdings.versions))
            raise ConfigurationError(
                f"no version of the deployment is in {str(self._directory.uploads)!r}: upload or copy there what it "
                f"lacks ({missing})",
            )
        return Snapshot(MappingProxyType(dict(holdings.versions)), *found)

    def follow(self, _take: Callable[[Snapshot], None]) -> None:
        """Do nothing."""

    def look(self) -> None:
        """Do nothing."""

    def refusal(self, method: str) -> ConfigurationError:
        """Return why a method of ``VersionAffinity`` does nothing here."""
        return ConfigurationError(f"{method}() has no effect on releases that are only looked at")
