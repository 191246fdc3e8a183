"""Which hosts are alive, and which versions each of them holds."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable
from uuid import getnode

if TYPE_CHECKING:
    from collections.abc import Iterable

# Another one after each start of the machine.
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class HostReport(NamedTuple):
    """What a host last said of itself: all servers under its name together, such as containers of one name."""

    #: The ids of the versions that are on the disk of each of its servers, whole.
    versions: frozenset[str]
    #: The newest deployment that all of them follow.
    revision: int
    #: When it said so, by the clock of the server that the hosts share: RFC 3339, UTC, "2026-11-24T05:00:00Z".
    seen: str
    #: How many servers report under its name.
    servers: int = 1
    #: Whether it has said nothing for longer than a live host would: it has ended, or cannot reach the log.
    silent: bool = False


@runtime_checkable
class Presence(Protocol):
    """Where hosts report. A log that several hosts share is one; a file log is not.

    >>> isinstance(object(), Presence)
    False
    """

    def report(self, host: str, versions: Iterable[str], revision: int, *, server: str = "") -> None:
        """Say that a host's server is alive and what it has; to be repeated every few seconds."""

    def hosts(self) -> dict[str, HostReport]:
        """Return the hosts that are alive, in the order of their names."""

    def silent_hosts(self) -> dict[str, HostReport]:
        """Return the hosts that were alive some minutes ago and have gone silent, in the order of their names."""


def server_of(directory: Path) -> str:
    """Return what tells the server of this directory from others under its host's name, on this machine or another.

    Workers of one server have it in common. Containers may have a name in common, or the path of their releases.
    """
    status = directory.stat()
    parts = (_machine(), str(directory), str(status.st_dev), str(status.st_ino))
    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _machine() -> str:
    try:
        return _BOOT.read_text("ascii")
    except (OSError, ValueError):  # not on Linux
        return f"{getnode():x}"
