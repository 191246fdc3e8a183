"""``simulate``: tell who would move in a series of deployments."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.cli.context import current_target, target_options
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import command
from version_affinity.cli.plan import show_movement
from version_affinity.cli.specs import SpecError, deployment_of, parse_spec
from version_affinity.cli.terminal.output import emit, json_option, say, styled
from version_affinity.cli.terminal.text import percent, shares
from version_affinity.movement import movement

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from version_affinity.movement import Movement

_THEN: Final = "then"


@dataclass(frozen=True, slots=True)
class _Step:
    percentages: Mapping[str, float]
    moves: Movement


@command()
@click.argument(
    "specs", metavar="ID@PERCENTAGE... [then ID@PERCENTAGE...]...", nargs=-1, shell_complete=complete_version
)
@click.option(
    "--from", "start", metavar="'ID@PERCENTAGE...'", multiple=True, help="Where it begins, instead of what is deployed."
)
@target_options()
@json_option
def simulate(specs: tuple[str, ...], start: tuple[str, ...], as_json: bool) -> None:
    """Tell how many users would move from which version to which in a planned series of deployments.

      version-affinity simulate v1@50% v2@50% then v2
      version-affinity simulate --from 'v1@90% v2@10%' v1@50% v2@50%
      version-affinity simulate --from v1 v2@10 v1 then v2@50 v1 then v2

    It begins with the current deployment. The numbers are exact: they follow from the percentages, for any name and any
    users. The least that any scheme moves stands beside them. With two versions it is what moves; with three or more,
    percentages of which only one pays can also swap users between the others.
    """
    steps = _series(specs)
    begin = _start(start)
    taken = [_Step(after, movement(before, after)) for before, after in pairwise([begin, *steps])]
    overall = movement(begin, steps[-1])
    moved = sum(step.moves.moved for step in taken)
    if as_json:
        emit(_document(begin, taken, moved, overall))
        return
    say(f"from    {shares(begin)}")
    for number, step in enumerate(taken, 1):
        say()
        say(styled(f"step {number}  {shares(step.percentages)}", "strong"))
        show_movement(step.moves, say)
    if len(taken) > 1:
        say()
        say(f"In sum, {percent(moved)} of the users move, those who move twice counted twice.")
        say(f"At the end, {percent(overall.moved)} have another version than at the beginning.")


def _series(specs: Iterable[str]) -> list[dict[str, float]]:
    """Return the deployments of a series."""
    parts: list[list[str]] = [[]]
    for word in specs:
        if word.lower() == _THEN:
            parts.append([])
        else:
            parts[-1].append(word)
    if not all(parts):
        raise SpecError("a deployment is missing: write what everybody gets, as in: simulate v1@50% v2@50% then v2")
    return [deployment_of(map(parse_spec, part)) for part in parts]


def _start(start: Sequence[str]) -> dict[str, float]:
    """Return the deployment that a series begins with."""
    words = " ".join(start).split()
    if words:
        return deployment_of(map(parse_spec, words))
    entries = current_target().open_log().read()
    if not entries:
        raise RefusedError("nothing is deployed yet: say where it begins, as in --from v1")
    return dict(entries[-1].percentages)


def _document(begin: Mapping[str, float], taken: Sequence[_Step], moved: float, overall: Movement) -> dict[str, Any]:
    return {
        "from": dict(begin),
        "steps": [{"percentages": dict(step.percentages), **step.moves.as_dict()} for step in taken],
        "moved": round(moved, 9),
        "minimum": round(sum(step.moves.minimum for step in taken), 9),
        "overall": overall.as_dict(),
    }
