"""``retention``: how long versions stay known, for the application and for all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from version_affinity.releases.directory import RetentionConflictError
from version_affinity.releases.durations import in_words
from version_affinity.releases.retention import Retention, prune_plan

from .commands import command
from .durations import AGE, NO_AGE
from .errors import RefusedError
from .output import emit, json_option, say, styled
from .place import command_line, current_place, place_options
from .text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from version_affinity.releases.directory import ReleasesDirectory
    from version_affinity.releases.retention import PrunePlan

    from .durations import Age

    _Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def retention_options(command: _Decorated) -> _Decorated:
    """Give a command the options ``--keep`` and ``--younger-than``, each None where it is not given."""
    keep = click.option(
        "--keep", type=click.IntRange(0), metavar="N", help="The last so many versions stay known that had users."
    )
    younger_than = click.option(
        "--younger-than",
        type=AGE,
        metavar="DURATION",
        help="So do all that were in use, or uploaded, within this time: 30d. 'none': no others.",
    )
    return keep(younger_than(command))


def changed(retention: Retention, keep: int | None, age: Age | None) -> Retention:
    """Return a retention with what options say of it.

    Args:
        retention: What holds where they say nothing.
        keep: How many versions stay; None where that is not given.
        age: For how long the others stay, "none" for no time; None where that is not given.
    """
    younger_than = retention.younger_than if age is None else None if age == NO_AGE else age
    return Retention(retention.keep if keep is None else keep, younger_than)


def check_usable(directory: ReleasesDirectory, keep: int | None, age: Age | None, remedy: str) -> None:
    """Check that the settings say how long versions stay known, or else the options do.

    Args:
        directory: The releases directory.
        keep: What the options say, as in ``changed``.
        age: Likewise.
        remedy: What to write: "--keep 10 --younger-than none".

    Raises:
        RefusedError: neither do.
    """
    if directory.retention_error and (keep is None or age is None):
        raise RefusedError(f"{directory.retention_error}; or name both, as in {command_line(remedy)}")


@command()
@retention_options
@place_options()
@json_option
def retention(keep: int | None, younger_than: Age | None, as_json: bool) -> None:
    """Show how long versions stay known that are no longer deployed, or change it.

      version-affinity retention
      version-affinity retention --keep 20 --younger-than 30d
      version-affinity retention --younger-than none

    It stands in affinity.json, and all go by it: the application, which follows it without a restart, and every
    command. What an option does not name stays. Where each host has a disk of its own, change it on each.

    Whatever it says, a version stays known while it is in the current deployment, while a rollback may return to it,
    and for a day after its last users. Nothing is removed before `prune` is run.
    """
    place = current_place()
    directory = place.directory()
    entries = place.last_known()
    while True:
        check_usable(directory, keep, younger_than, "retention --keep 10 --younger-than none")
        before = directory.retention
        after = changed(before, keep, younger_than)
        plans = None if entries is None else [prune_plan(directory, entries, it) for it in (before, after)]
        if after == before and not directory.retention_error:
            break
        try:
            directory.change_retention(after, expected=before)
        except RetentionConflictError:
            continue  # what another has changed meanwhile stays, where it is not named here
        break
    if as_json:
        emit(
            {
                "name": directory.name,
                "releases": str(directory.path),
                "retention": after.as_dict(),
                "before": before.as_dict(),
                "known": None if plans is None else list(plans[1].kept),
                "prunable": None if plans is None else [release.id for release in plans[1].removed],
            }
        )
        return
    _tell(directory, before)
    if plans is not None:
        _tell_versions(*plans)


def _tell(directory: ReleasesDirectory, before: Retention) -> None:
    now = directory.retention
    was = "" if now == before else f" (it was: {before.in_words()})"
    say(f"Retention of {styled(directory.name, 'strong')}: {styled(now.in_words(), 'strong')}{was}")
    say()
    say("Known are what is deployed, what a rollback may return to, and what had users within a day; and")
    if now.keep:
        say(f"  the last {now.keep} that had users, and the last {now.keep} uploads that never had any")
    if now.younger_than is not None:
        say(f"  what was in use, or uploaded, less than {in_words(now.younger_than)} ago")
    if not now.keep and now.younger_than is None:
        say("  no others")


def _tell_versions(before: PrunePlan, after: PrunePlan) -> None:
    say()
    for what, versions in (
        ("No longer known", [version for version in before.kept if version not in after.kept]),
        ("Known again", [version for version in after.kept if version not in before.kept]),
    ):
        if versions:
            say(f"{what}: {listed(styled(version, 'version') for version in versions)}")
    can_go = f"; the others can go: {command_line('prune --dry-run')}" if after.removed else ""
    say(f"{len(after.kept):,} of {counted(len(after.kept) + len(after.removed), 'version')} are known{can_go}")
