"""``retention``: how long versions stay known, for the application and for all commands."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from version_affinity.cli.context import command_line, current_target, target_options
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import command
from version_affinity.cli.options import AGE, NO_AGE
from version_affinity.cli.terminal.output import emit, json_option, note, say, styled, warn
from version_affinity.cli.terminal.prompts import confirm, yes_option
from version_affinity.cli.terminal.text import counted, listed
from version_affinity.releases.store.directory import RetentionConflictError
from version_affinity.releases.store.retention import Retention, prune_plan
from version_affinity.releases.times import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from version_affinity.cli.options import Age
    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory
    from version_affinity.releases.store.retention import PrunePlan

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


class _Change(NamedTuple):
    """A change of the retention, which may be none.

    Attributes:
        before: What holds until now.
        after: What is to hold.
        plans: Which versions are known by each; None where nobody knows how the versions stand.
    """

    before: Retention
    after: Retention
    plans: tuple[PrunePlan, PrunePlan] | None

    @property
    def forgotten(self) -> list[str]:
        """The versions that are known no longer by it."""
        if self.plans is None:
            return []
        before, after = self.plans
        return [version for version in before.kept if version not in after.kept]

    @property
    def may_forget(self) -> bool:
        """Whether versions are known no longer by it, or, where nobody knows how they stand, may not be."""
        if self.plans is not None:
            return bool(self.forgotten)
        ages = [retention.younger_than or timedelta() for retention in (self.before, self.after)]
        return self.after.keep < self.before.keep or ages[1] < ages[0]


def _planned(
    directory: ReleasesDirectory, entries: Sequence[Entry] | None, keep: int | None, younger_than: Age | None
) -> _Change:
    before = directory.retention
    after = changed(before, keep, younger_than)
    if entries is None:
        return _Change(before, after, None)
    return _Change(before, after, (prune_plan(directory, entries, before), prune_plan(directory, entries, after)))


def _ask(change: _Change) -> None:
    """Ask whether versions are to be known no longer."""
    forgotten = change.forgotten
    if forgotten:
        verb, whose = ("is", "its") if len(forgotten) == 1 else ("are", "their")
        named = listed(styled(version, "version") for version in forgotten)
        note(f"{named} {verb} known no longer then: {whose} open pages miss their files, within a second.")
    else:
        note("How the versions stand is not known: open pages of some may miss their files, within a second.")
    question = f"Change the retention from {change.before.in_words()} to {change.after.in_words()}?"
    confirm(question, "nothing is changed", yes=False)


@command()
@retention_options
@click.option("--dry-run", is_flag=True, help="Show what would change, and leave it at that.")
@yes_option
@target_options()
@json_option
def retention(keep: int | None, younger_than: Age | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show how long versions stay known that are no longer deployed, or change it.

      version-affinity retention
      version-affinity retention --keep 20 --younger-than 30d
      version-affinity retention --younger-than none --dry-run
      version-affinity retention --keep 5 -y

    It stands in affinity.json, and all go by it: the application, which follows it without a restart, and every
    command. What an option does not name stays. Where each host has a disk of its own, change it on each.

    It asks where versions would be known no longer, as their open pages miss their files at once.

    Whatever it says, a version stays known while it is in the current deployment, while a rollback may return to it,
    and for a day after its last users. Nothing is removed before `prune` is run.
    """
    target = current_target()
    directory = target.directory()
    entries = target.last_known()
    while True:
        check_usable(directory, keep, younger_than, "retention --keep 10 --younger-than none")
        change = _planned(directory, entries, keep, younger_than)
        if dry_run or (change.after == change.before and not directory.retention_error):
            break
        if change.may_forget and not yes:
            _ask(change)
        try:
            directory.change_retention(change.after, expected=change.before)
        except RetentionConflictError as error:
            warn(f"somebody has changed it meanwhile: {error}")  # which stays, where it is not named here
            continue
        break
    if as_json:
        known = None if change.plans is None else change.plans[1]
        emit(
            {
                "name": directory.name,
                "releases": str(directory.path),
                "retention": change.after.as_dict(),
                "before": change.before.as_dict(),
                "known": None if known is None else list(known.kept),
                "prunable": None if known is None else [release.id for release in known.removed],
                "dry_run": dry_run,
            }
        )
        return
    _tell(directory.name, change.before, change.after)
    if change.plans is not None:
        _tell_versions(change.forgotten, *change.plans)
    if dry_run:
        say()
        say(styled("Nothing is changed: this was a dry run.", "strong"))


def _tell(name: str, before: Retention, now: Retention) -> None:
    was = "" if now == before else f" (it was: {before.in_words()})"
    say(f"Retention of {styled(name, 'strong')}: {styled(now.in_words(), 'strong')}{was}")
    say()
    say("Known are what is deployed, what a rollback may return to, and what had users within a day; and")
    if now.keep:
        last, upload = ("one", "upload") if now.keep == 1 else (f"{now.keep}", f"{now.keep} uploads")
        say(f"  the last {last} that had users, and the last {upload} that never had any")
    if now.younger_than is not None:
        say(f"  what was in use, or uploaded, less than {format_duration(now.younger_than)} ago")
    if not now.keep and now.younger_than is None:
        say("  no others")


def _tell_versions(forgotten: Sequence[str], before: PrunePlan, after: PrunePlan) -> None:
    say()
    for what, versions in (
        ("No longer known", forgotten),
        ("Known again", [version for version in after.kept if version not in before.kept]),
    ):
        if versions:
            say(f"{what}: {listed(styled(version, 'version') for version in versions)}")
    can_go = f"; the others can go: {command_line('prune --dry-run')}" if after.removed else ""
    say(f"{len(after.kept):,} of {counted(len(after.kept) + len(after.removed), 'version')} are known{can_go}")
