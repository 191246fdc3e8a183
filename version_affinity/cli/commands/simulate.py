"""``simulate``: show how many users planned deployments would move."""

from __future__ import annotations

from itertools import pairwise

import click

from version_affinity.cli.context import command, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.output import emit, percent, say, say_heading, shares
from version_affinity.cli.plan import show_movement
from version_affinity.cli.specs import SpecError, deployment_of, parse_spec
from version_affinity.deployment import movement

from .completion import complete_version


@command()
@click.argument(
    "specs", metavar="ID@PERCENTAGE... [then ID@PERCENTAGE...]...", nargs=-1, shell_complete=complete_version
)
@click.option(
    "--from",
    "start",
    metavar="'ID@PERCENTAGE...'",
    multiple=True,
    help="Start with these percentages instead of the current deployment.",
)
def simulate(specs: tuple[str, ...], start: tuple[str, ...], as_json: bool) -> None:
    """Show how many users a series of deployments would move, from which version to which. Nothing is deployed.

      version-affinity simulate v1@50% v2@50% then v2
      version-affinity simulate --from 'v1@90% v2@10%' v1@50% v2@50%
      version-affinity simulate --from v1 v2@10 v1 then v2@50 v1 then v2

    The series starts with the current deployment. The numbers are exact: they depend on the percentages only, not on
    the users. Each step also shows the smallest number that is possible. With two versions, both numbers are equal.
    With three or more versions, some users can move between versions whose percentages have not changed.
    """
    steps = _series(specs)
    first = _start(start)
    steps = [current_target().version_ids(step, first) for step in steps]
    moves = [movement(before, after) for before, after in pairwise([first, *steps])]
    overall = movement(first, steps[-1])
    moved = sum(step.moved for step in moves)
    if as_json:
        documents = [{"percentages": after, **step.as_dict()} for after, step in zip(steps, moves, strict=True)]
        totals = {"moved": round(moved, 9), "minimum": round(sum(step.minimum for step in moves), 9)}
        emit({"from": first, "steps": documents, **totals, "overall": overall.as_dict()})
        return
    say(f"from    {shares(first)}")
    for number, (after, step) in enumerate(zip(steps, moves, strict=True), 1):
        say_heading(f"step {number}  {shares(after)}")
        show_movement(step, say)
    if len(moves) > 1:
        say(f"\nIn total, {percent(moved)} of the users move. A user who moves twice counts twice.")
        say(f"At the end, {percent(overall.moved)} of the users have another version than at the start.")


def _series(specs: tuple[str, ...]) -> list[dict[str, float]]:
    """Return the deployments between the words "then"."""
    parts: list[list[str]] = [[]]
    for word in specs:
        if word.lower() == "then":
            parts.append([])
        else:
            parts[-1].append(word)
    if not all(parts):
        raise SpecError("a deployment is missing. Write one before and after each 'then': v1@50% v2@50% then v2")
    return [deployment_of(map(parse_spec, part)) for part in parts]


def _start(start: tuple[str, ...]) -> dict[str, float]:
    """Return the deployment before the series."""
    words = " ".join(start).split()
    if words:
        return current_target().version_ids(deployment_of(map(parse_spec, words)))
    entries = current_target().open_log().read()
    if not entries:
        raise RefusedError("nothing is deployed yet: name the percentages to start with, as in --from v1")
    return dict(entries[-1].percentages)
