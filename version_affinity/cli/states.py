"""The state of each uploaded version: deployed, staged, known for open pages, or no longer needed."""

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
    """The state of an uploaded version.

    Attributes:
        release: The version.
        state: One of the five above.
        percentage: Its percentage in the current deployment; None if it is not in it.
        reason: Why it stays known; "" if it does not.
    """

    release: Release
    state: str
    percentage: float | None
    reason: str

    def in_words(self) -> str:
        """Return the state for a terminal."""
        if self.percentage is not None:
            return styled(percent(self.percentage), "good") if self.percentage else "0 %, staged"
        return self.state if self.state in (KNOWN, UNKNOWN) else styled("can be pruned", "faint")

    def as_dict(self) -> dict[str, Any]:
        """Return the version and its state for JSON."""
        return {
            **release_dict(self.release),
            "state": self.state,
            "percentage": self.percentage,
            "reason": self.reason,
        }


def release_dict(release: Release) -> dict[str, Any]:
    """Return an uploaded version for JSON."""
    names = ("id", "created", "author", "tag", "message", "files", "size", "content")
    return {name: getattr(release, name) for name in names}


def version_states(directory: ReleasesDirectory, entries: Sequence[Entry] | None) -> dict[str, VersionState]:
    """Return the states of the uploaded versions by id, oldest first. ``entries`` is None if the log is unreachable."""
    releases = directory.versions()
    if entries is None:
        return {version: VersionState(release, UNKNOWN, None, "") for version, release in releases.items()}
    kept = prune_plan(directory, entries, directory.retention).kept
    current = entries[-1].percentages if entries else {}
    states = {}
    for version, release in releases.items():
        percentage = current.get(version)
        if percentage is not None:
            state = DEPLOYED if percentage > 0 else STAGED
        else:
            state = KNOWN if version in kept else PRUNABLE
        states[version] = VersionState(release, state, percentage, kept.get(version, ""))
    return states
