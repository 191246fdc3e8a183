"""Which hosts are alive, and which versions each of them has."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable
from uuid import getnode

if TYPE_CHECKING:
    from collections.abc import Iterable

# Changes with each start of the machine.
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class HostReport(NamedTuple):
    """The last report of a host: of all servers under its name together, such as containers with the same name."""

    #: The ids of the versions that are complete on the disk of each of its servers.
    versions: frozenset[str]
    #: The newest deployment that all of its servers follow.
    revision: int
    #: When the host reported, by the clock of the shared server: RFC 3339, UTC, "2026-11-24T05:00:00Z".
    seen: str
    #: How many servers report under its name.
    servers: int = 1
    #: Whether it has not reported for longer than a live host would: it has ended, or cannot reach the log.
    silent: bool = False


@runtime_checkable
class Presence(Protocol):
    """Where hosts report. A log that several hosts share is one; a file log is not."""

    def report(self, host: str, versions: Iterable[str], revision: int, *, server: str = "") -> None:
        """Report, every few seconds, the versions on a host's disk and the deployment that it follows.

        ``server`` distinguishes servers of the same host name.
        """

    def hosts(self) -> dict[str, HostReport]:
        """Return the hosts that have reported in the last 15 seconds, sorted by name."""

    def silent_hosts(self) -> dict[str, HostReport]:
        """Return the other hosts that have reported in the last 10 minutes, sorted by name."""


def server_id(directory: Path) -> str:
    """Return an id that all workers of one server share, and no other server of the same host name has.

    Containers may have the same name or the same path of the releases directory.
    """
    status = directory.stat()
    parts = (_machine(), str(directory), str(status.st_dev), str(status.st_ino))
    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _machine() -> str:
    try:
        return _BOOT.read_text("ascii")
    except (OSError, ValueError):  # not on Linux
        return f"{getnode():x}"
