"""How each uploaded version stands: deployed, staged, known for the pages that it has given out, or needed no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.releases.store.retention import prune_plan

from .terminal.output import styled
from .terminal.text import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import Release, ReleasesDirectory

DEPLOYED: Final = "deployed"
STAGED: Final = "staged"
KNOWN: Final = "known"
PRUNABLE: Final = "prunable"
UNKNOWN: Final = "unknown"


class VersionState(NamedTuple):
    """How a version stands.

    Attributes:
        release: The version.
        state: One of the five above.
        percentage: Its share in the current deployment, None when it is not in it.
        reason: Why it stays known; "" when it does not.
    """

    release: Release
    state: str
    percentage: float | None
    reason: str

    def in_words(self) -> str:
        """Return it for a terminal."""
        if self.percentage is not None:
            return styled(percent(self.percentage), "good") if self.percentage else "0 %, staged"
        return self.state if self.state in (KNOWN, UNKNOWN) else styled("can be pruned", "faint")

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            **release_dict(self.release),
            "state": self.state,
            "percentage": self.percentage,
            "reason": self.reason,
        }


def release_dict(release: Release) -> dict[str, Any]:
    """Return an uploaded version for JSON."""
    return {
        "id": release.id,
        "created": release.created,
        "author": release.author,
        "tag": release.tag,
        "message": release.message,
        "files": release.files,
        "size": release.size,
        "content": release.content,
    }


def version_states(directory: ReleasesDirectory, entries: Sequence[Entry] | None) -> dict[str, VersionState]:
    """Return how the uploaded versions stand, by id, the oldest first.

    Args:
        directory: The uploaded versions, and how long they stay known.
        entries: The whole log of deployments; None where it cannot be read.
    """
    if entries is None:
        return {version: VersionState(release, UNKNOWN, None, "") for version, release in directory.versions().items()}
    kept = prune_plan(directory, entries, directory.retention).kept
    current = entries[-1].percentages if entries else {}
    found = {}
    for version, release in directory.versions().items():
        percentage = current.get(version)
        if percentage is not None:
            state = DEPLOYED if percentage > 0 else STAGED
        else:
            state = KNOWN if version in kept else PRUNABLE
        found[version] = VersionState(release, state, percentage, kept.get(version, ""))
    return found
