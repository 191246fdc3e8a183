"""Choosing what is deployed, on a terminal: first the versions, then their percentages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from version_affinity.cli.context import command_line
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.specs import SpecError, distribute, is_whole, parse_percentage
from version_affinity.cli.states import Standing, standings
from version_affinity.cli.terminal.output import aligned, note, styled
from version_affinity.cli.terminal.prompts import ask
from version_affinity.cli.terminal.text import ago, number, percent, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory

_SHOWN: Final = 10


def select(directory: ReleasesDirectory, entries: Sequence[Entry]) -> dict[str, float]:
    """Ask which versions are deployed, and with which percentages.

    Args:
        directory: The uploaded versions.
        entries: The whole log of deployments.

    Raises:
        RefusedError: nothing is uploaded.
    """
    stands = standings(directory, entries)
    if not stands:
        raise RefusedError(f"nothing is uploaded yet: {command_line('versions upload dist/')}")
    newest = list(reversed(stands))
    # Those that are deployed may be older than the last ten.
    shown = [version for rank, version in enumerate(newest) if rank < _SHOWN or stands[version].percentage is not None]
    note(styled("Which versions?", "strong"))
    rows = [_row(place, stands[version]) for place, version in enumerate(shown, 1)]
    for line in aligned(rows, right=(0,), flexible=(4,), indent="  "):
        note(line)
    current = [version for version in shown if stands[version].percentage]
    proposed = list(dict.fromkeys((newest[0], *current)))
    default = " ".join(str(shown.index(version) + 1) for version in proposed)
    chosen = ask("Numbers or ids", default, lambda answer: _chosen(answer, shown, stands))
    return _percentages(chosen)


def _row(place: int, standing: Standing) -> list[str]:
    release = standing.release
    return [
        str(place),
        styled(release.id, "version"),
        standing.in_words() if standing.percentage is not None else "",
        ago(release.created),
        printable(release.tag),
        printable(release.message),
    ]


def _chosen(answer: str, shown: Sequence[str], stands: dict[str, Standing]) -> list[str]:
    chosen = []
    for word in answer.replace(",", " ").split():
        if word in stands:
            chosen.append(word)
        elif word.isdecimal() and 1 <= int(word) <= len(shown):
            chosen.append(shown[int(word) - 1])
        else:
            raise SpecError(f"{word!r} is none of them: write numbers from 1 to {len(shown)}, or ids")
    if not chosen:
        raise SpecError("write one version at least")
    return list(dict.fromkeys(chosen))


def _percentages(chosen: Sequence[str]) -> dict[str, float]:
    """Ask for the percentages until they sum to 100; the last one is what the others leave."""
    while True:
        given: dict[str, float | None] = dict.fromkeys(chosen)
        for version in chosen[:-1]:
            proposed = number(distribute(given)[version])
            given[version] = ask(f"Percentage of {version}", proposed, lambda answer: parse_percentage(answer, answer))
        shares = distribute(given)
        if is_whole(math.fsum(shares.values())):
            note(f"{chosen[-1]} gets {percent(shares[chosen[-1]])}")
            note("")
            return shares
        note("  That is more than 100 %: once more")
