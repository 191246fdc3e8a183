"""``versions deploy``: say who gets which version."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import click

from version_affinity.cli.context import command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import command
from version_affinity.cli.plan import Order, carry_out, check_expected, check_unchanged, order_options, plan
from version_affinity.cli.specs import (
    Spec,
    SpecError,
    deployment_of,
    distribute,
    is_whole,
    parse_percentage,
    parse_spec,
    parse_tag_spec,
)
from version_affinity.cli.states import VersionState, version_states
from version_affinity.cli.terminal.output import aligned, note, styled
from version_affinity.cli.terminal.prompts import ask, can_ask
from version_affinity.cli.terminal.text import ago, listed, number, percent
from version_affinity.wire import printable

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory


@command()
@click.argument("specs", metavar="[ID@PERCENTAGE]...", nargs=-1, shell_complete=complete_version)
@click.option("--version-id", "version_ids", metavar="ID", multiple=True, help="A version, instead of ID@PERCENTAGE.")
@click.option("--percentage", "percentages", metavar="NUMBER", multiple=True, help="The share of that --version-id.")
@click.option("--version-tag", "tags", metavar="TAG[@PERCENTAGE]", multiple=True, help="A version by its tag.")
@order_options
def deploy(
    specs: tuple[str, ...],
    version_ids: tuple[str, ...],
    percentages: tuple[str, ...],
    tags: tuple[str, ...],
    order: Order,
) -> None:
    """Say who gets which version from now on: all workers follow, and nothing restarts.

      version-affinity versions deploy v2@10% v1@90%
      version-affinity versions deploy v2@10 v1           v1 gets the remainder
      version-affinity versions deploy v1 v2@0%           v2 is staged: for overrides only
      version-affinity versions deploy v2 -y -m "All of them"
      version-affinity versions deploy                    asks which, on a terminal

    It shows how many users move from which version to which, computed and not guessed, and asks.

    It refuses, unless there is --force:
      a version that is not uploaded, or that a live host still lacks after --wait (with a log in Redis)
      another log than the one that the application on this host follows
      a version that gets its first share, and has broken references (with the extra "check"), or fingerprinted names
      that stand for other bytes in a known version

    Where somebody else has deployed meanwhile, or the log has lost deployments that a host still follows, it is refused
    in any case. A script says with --expect which revision it has seen, as "deployments status --json" tells it.
    """
    target = current_target()
    wanted = given_specs(specs, version_ids, percentages)
    if not wanted and not tags and not can_ask():
        raise SpecError("there is nothing to deploy: write what everybody gets, such as v1@90% v2@10%")
    directory = target.directory()
    wanted += [_tagged(directory, spec) for spec in map(parse_tag_spec, tags)]
    shares = deployment_of(wanted) if wanted else None
    log = target.open_log()
    entries = log.read()
    check_expected(entries, order.expect)
    if shares is None:
        shares = select(directory, entries)
        check_unchanged(log, entries)
    carry_out(plan(target, log, entries, shares, order), log, order, "Deploy?")


def given_specs(specs: Iterable[str], version_ids: Sequence[str], percentages: Sequence[str]) -> list[Spec]:
    """Return what the arguments and the options ``--version-id`` and ``--percentage`` mean."""
    if len(percentages) > len(version_ids):
        raise SpecError("there are more --percentage than --version-id: write one of each for a version")
    shares = [parse_percentage(share, f"--percentage {share}") for share in percentages]
    named = [
        Spec(parse_spec(version).version, share)
        for version, share in zip_longest(version_ids, shares, fillvalue=None)
        if version
    ]
    return [*map(parse_spec, specs), *named]


def _tagged(directory: ReleasesDirectory, spec: Spec) -> Spec:
    """Return the spec of the version that has a tag."""
    found = [release.id for release in directory.versions().values() if release.tag == spec.version]
    if not found:
        raise RefusedError(f"no version has the tag {spec.version!r}: see version-affinity versions list")
    if len(found) > 1:
        raise RefusedError(f"{listed(found)} have the tag {spec.version!r}: name one of them by its id")
    return Spec(found[0], spec.percentage)


_SHOWN: Final = 10


def select(directory: ReleasesDirectory, entries: Sequence[Entry]) -> dict[str, float]:
    """Ask which versions are deployed, and with which percentages.

    Args:
        directory: The uploaded versions.
        entries: The whole log of deployments.

    Raises:
        RefusedError: nothing is uploaded.
    """
    stands = version_states(directory, entries)
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


def _row(place: int, state: VersionState) -> list[str]:
    release = state.release
    return [
        str(place),
        styled(release.id, "version"),
        state.in_words() if state.percentage is not None else "",
        ago(release.created),
        printable(release.tag),
        printable(release.message),
    ]


def _chosen(answer: str, shown: Sequence[str], stands: dict[str, VersionState]) -> list[str]:
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
