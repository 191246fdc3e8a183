"""How a worker stands that follows releases, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Status:
    """How a worker stands.

    Attributes:
        revision: The newest deployment that it has read, 0 before there is one.
        serving: The deployment that it serves: an earlier one while this host has no version of the newest, or for a
            moment, in which all workers get ready for a new version.
        percentages: The percentages that it serves by: without the versions that it lacks.
        versions: The known versions that are loaded.
        lacking: The versions of the newest deployment that this host does not have.
        failures: Version id to why it cannot be loaded.
        error: Why the log or the directory cannot be read, or other hosts cannot be told of this one; "" when all can.
    """

    revision: int
    serving: int
    percentages: Mapping[str, float]
    versions: tuple[str, ...]
    lacking: tuple[str, ...]
    failures: Mapping[str, str]
    error: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as lists and objects that JSON can carry."""
        return {
            "revision": self.revision,
            "serving": self.serving,
            "percentages": dict(self.percentages),
            "versions": list(self.versions),
            "lacking": list(self.lacking),
            "failures": dict(self.failures),
            "error": self.error,
        }
