"""What a history of deployments comes to on a host, of the versions that are there and of nothing else."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, NamedTuple

from version_affinity.deployment import Deployment
from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from version_affinity.releases.log.entries import Entry

logger = logging.getLogger("version_affinity")


class Standing(NamedTuple):
    """What deployments come to.

    Attributes:
        deployment: The newest one of which this host has a version with a share, and has had each that it has for long
            enough. What it lacks has no share here: the users of those versions fall on the others, by the same hash.
        complete: The version that last had 100 %, None when none had or this host lacks it.
        published: The ids of the versions here that have had a share.
    """

    deployment: Deployment
    complete: str | None
    published: frozenset[str]


def standing(
    name: str, entries: Sequence[Entry], held: Collection[str], ready: Collection[str] | None = None
) -> Standing | None:
    """Return what the deployments come to; None while this host has no version of any.

    Args:
        name: The name of the deployments.
        entries: All of them, oldest first.
        held: The ids of the versions that this host has.
        ready: Those of them that may have traffic; None is all. A deployment with another one is passed over for the
            one before, if there is one to be served.
    """
    unready = () if ready is None else [version for version in held if version not in ready]
    for passed_over in (unready, ()):
        for position in range(len(entries) - 1, -1, -1):
            entry = entries[position]
            if any(entry.percentages.get(version, 0) > 0 for version in passed_over):
                continue
            deployment = _deployment(name, entry, held)
            if deployment is not None:
                complete = _complete(entries[: position + 1])
                return Standing(deployment, complete if complete in held else None, published(entries, held))
    return None


def published(entries: Sequence[Entry], held: Collection[str]) -> frozenset[str]:
    """Return the versions that this host has and that have had a share in any deployment."""
    return frozenset().union(*(_live(entry.percentages) for entry in entries)).intersection(held)


def first_shares(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the deployment in which each version got its first share."""
    first: dict[str, Entry] = {}
    for entry in entries:
        for version in _live(entry.percentages):
            first.setdefault(version, entry)
    return first


def lacking(entries: Sequence[Entry], held: Collection[str]) -> tuple[str, ...]:
    """Return the versions of the newest deployment that this host does not have."""
    return tuple(version for version in (entries[-1].percentages if entries else ()) if version not in held)


def _deployment(name: str, entry: Entry, held: Collection[str]) -> Deployment | None:
    """Return a deployment as far as its versions are here; None when none of them has a share."""
    percentages = {version: share for version, share in entry.percentages.items() if version in held}
    whole = math.fsum(percentages.values())
    if not whole > 0:
        return None
    if len(percentages) < len(entry.percentages):
        percentages = {version: 100 * share / whole for version, share in percentages.items()}
    try:
        return Deployment(name, percentages, revision=entry.revision)
    except ConfigurationError as error:  # the log's writers do not write such a one
        logger.error(  # noqa: TRY400
            "deployment %d is left out: %s", entry.revision, error
        )
        return None


def _complete(entries: Sequence[Entry]) -> str | None:
    for entry in reversed(entries):
        live = _live(entry.percentages)
        if len(live) == 1:
            return live.pop()
    return None


def _live(percentages: Mapping[str, float]) -> set[str]:
    return {version for version, share in percentages.items() if share > 0}
