"""Waiting until the live hosts hold what is to be deployed: they report it a moment after an upload or a copy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from version_affinity.releases.reports.presence import Presence

from .terminal.progress import begun, waiting
from .terminal.text import counted, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from version_affinity.releases.log.entries import DeploymentLog

# Seconds between two looks.
_INTERVAL: Final = 0.2
_NAMED: Final = 3


def lacking(log: DeploymentLog, versions: Iterable[str]) -> dict[str, list[str]]:
    """Return the live hosts that lack versions, and which; none where the log is not one in which hosts report.

    Args:
        log: The log.
        versions: The ids of the versions.
    """
    if not isinstance(log, Presence):
        return {}
    wanted = list(versions)
    missing = {host: [it for it in wanted if it not in report.versions] for host, report in log.hosts().items()}
    return {host: lacked for host, lacked in missing.items() if lacked}


def await_hosts(log: DeploymentLog, versions: Iterable[str], seconds: float) -> dict[str, list[str]]:
    """Wait until every live host holds versions, for some seconds at most; return who still lacks which.

    Args:
        log: The log.
        versions: The ids of the versions.
        seconds: How long.
    """
    wanted, until = list(versions), time.monotonic() + seconds
    missing = lacking(log, wanted)
    if missing and seconds:
        begun(_told(missing, seconds))
    while missing and (left := until - time.monotonic()) > 0:
        with waiting(_told(missing, left)):
            before = missing
            while missing == before and (left := until - time.monotonic()) > 0:
                time.sleep(min(_INTERVAL, left))
                missing = lacking(log, wanted)
    return missing


def _told(missing: Mapping[str, Sequence[str]], seconds: float) -> str:
    return f"Waiting for {_expected(missing)}, up to {counted(round(seconds), 'second')}"


def _expected(missing: Mapping[str, Sequence[str]]) -> str:
    """Return what is missing, and where: "v2 on web-1 and web-2"."""
    hosts = [printable(host) for host in missing]
    if len(hosts) > _NAMED:
        hosts[_NAMED:] = [f"{len(hosts) - _NAMED} more"]
    return f"{listed(dict.fromkeys(it for lacked in missing.values() for it in lacked))} on {listed(hosts)}"
