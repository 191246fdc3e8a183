"""``versions deploy``: choose who gets which version."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.cli.context import VersionState, command, command_line, current_target, version_states
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import ask, can_ask
from version_affinity.cli.output import note, number, percent, say_rows, styled
from version_affinity.cli.plan import DeployOptions, carry_out, check_expected, deploy_options, make_plan
from version_affinity.cli.preflight import newest_revision
from version_affinity.cli.specs import (
    SpecError,
    deployment_of,
    distribute,
    is_whole,
    parse_percentage,
    parse_spec,
    with_rest,
)
from version_affinity.cli.times import short_when
from version_affinity.wire import printable

from .completion import complete_version

if TYPE_CHECKING:
    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory

_SHOWN: Final = 10


@command()
@click.argument("specs", metavar="[ID@PERCENTAGE]...", nargs=-1, shell_complete=complete_version)
@click.option(
    "--rest", is_flag=True, help="The other deployed versions share what is left, in their current proportion."
)
@deploy_options
def deploy(specs: tuple[str, ...], rest: bool, **given: Any) -> None:
    """Choose who gets which version. All workers follow within seconds; nothing restarts.

      version-affinity versions deploy v2@10% v1@90%
      version-affinity versions deploy v2@10 v1           v1 gets the remainder
      version-affinity versions deploy v2@10% --rest      the deployed versions share the remainder
      version-affinity versions deploy v1 v2@0%           v2 is staged: only overrides reach it
      version-affinity versions deploy v2 -y -m "All users"
      version-affinity versions deploy                    asks for the versions

    The command shows how many users move from which version to which, and asks for confirmation. The numbers are exact.

    Then it waits until all workers serve the deployment, and prints how many do. If a worker does not serve it within
    --wait, the command prints why, and its exit status is 1 (0 with --force); the deployment stays. If no worker
    reports, it says so, and the exit status is 0: the first deployment comes before the application starts.

    Unless you add --force, the command refuses if:
      - a version is not uploaded, or a worker lacks it or cannot load it after --wait
      - the application on this host follows another log
      - a version without users until now has broken references (needs the extra "check")
      - a version without users until now has fingerprinted names that stand for other bytes in a known version

    The command always refuses if another person has deployed in the meantime, or if the log has lost deployments.
    In a script, --expect names the revision that "deployments status --json" has printed.
    """
    options = DeployOptions(**given)
    parsed = [parse_spec(text) for text in specs]
    shares = deployment_of(parsed) if not rest and (specs or not can_ask()) else None
    target = current_target()
    log = target.open_log()
    entries = log.read()
    check_expected(entries, options.expect)
    current = entries[-1].percentages if entries else {}
    if rest:
        meant = [spec._replace(version=target.version_id(spec.version, current)) for spec in parsed]
        shares = with_rest(meant, current)
    elif shares is not None:
        shares = target.version_ids(shares, current)
    else:
        shares = _ask_shares(target.directory, entries)
        check_expected(log.read(), newest_revision(entries))  # another person may have deployed in the meantime
    carry_out(make_plan(log, entries, shares, options), log, options, "Deploy?")


def _ask_shares(directory: ReleasesDirectory, entries: list[Entry]) -> dict[str, float]:
    """Ask for the versions to deploy and their percentages."""
    states = version_states(directory, entries)
    if not states:
        raise RefusedError(f"nothing is uploaded yet: {command_line('versions upload dist/')}")
    newest = list(reversed(states))
    # The deployed versions may be older than the newest ten.
    shown = [version for rank, version in enumerate(newest) if rank < _SHOWN or states[version].percentage is not None]
    note(styled("Which versions?", "strong"))
    rows = [["", *(styled(title, "strong") for title in ("VERSION", "STATE", "UPLOADED (UTC)", "TAG", "MESSAGE"))]]
    for place, version in enumerate(shown, 1):
        release, share = states[version].release, states[version].percentage
        words = "" if share is None else states[version].in_words()
        texts = [short_when(release.created), printable(release.tag), printable(release.message)]
        rows.append([str(place), styled(version, "version"), words, *texts])
    say_rows(rows, right=(0,), flexible=(4,), write=note)
    current = [version for version in shown if states[version].percentage]
    proposed = dict.fromkeys((newest[0], *current))
    default = " ".join(str(shown.index(version) + 1) for version in proposed)
    return _ask_percentages(ask("Numbers or ids", default, lambda answer: _chosen(answer, shown, states)))


def _chosen(answer: str, shown: list[str], states: dict[str, VersionState]) -> list[str]:
    chosen = []
    for word in map(current_target().version_id, answer.replace(",", " ").split()):
        if word in states:
            chosen.append(word)
        elif word.isdecimal() and 1 <= int(word) <= len(shown):
            chosen.append(shown[int(word) - 1])
        else:
            raise SpecError(f"{word!r} is not in the list. Write numbers from 1 to {len(shown)}, or ids")
    if not chosen:
        raise SpecError("write at least one version")
    return list(dict.fromkeys(chosen))


def _ask_percentages(chosen: list[str]) -> dict[str, float]:
    """Ask for percentages until they sum to at most 100; the last version gets the remainder."""
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
        note("  The sum is more than 100 %. Enter the percentages again")
