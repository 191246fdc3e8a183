"""Which hosts are alive, and which versions each of them holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable


class HostReport(NamedTuple):
    """What a live host last said of itself."""

    #: The ids of the versions that are on its disk, whole.
    versions: frozenset[str]
    #: The newest deployment that it follows.
    revision: int
    #: When it said so, by the clock of the server that the hosts share: RFC 3339, UTC, "2026-11-24T05:00:00Z".
    seen: str


@runtime_checkable
class Presence(Protocol):
    """Where hosts report. A log that several hosts share is one; a file log is not.

    >>> isinstance(object(), Presence)
    False
    """

    def report(self, host: str, versions: Iterable[str], revision: int) -> None:
        """Say that a host is alive and what it has; to be repeated every few seconds."""

    def hosts(self) -> dict[str, HostReport]:
        """Return the hosts that are alive, in the order of their names."""
