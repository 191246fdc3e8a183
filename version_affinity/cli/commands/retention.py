"""``retention``: show or change how long versions stay known."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import confirm, yes_option
from version_affinity.cli.options import NONE, Age, duration_or_none, with_options
from version_affinity.cli.output import counted, emit, listed, note, say, say_heading, styled, warn
from version_affinity.releases.store.directory import ReleasesDirectory, RetentionConflictError
from version_affinity.releases.store.retention import PrunePlan, Retention, prune_plan
from version_affinity.releases.times import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from version_affinity.releases.log.entries import Entry

    _Command = TypeVar("_Command", bound=Callable[..., Any])


def retention_options(*, of_init: bool = False) -> Callable[[_Command], _Command]:
    """Return a decorator that gives a command ``--keep`` and ``--younger-than``, which are None if not given."""
    default, nothing = (f"  [default: {Retention().keep}]", "  [default: none]") if of_init else ("", "")
    return with_options(
        click.option(
            "--keep",
            type=click.IntRange(0),
            metavar="N",
            help=f"How many of the most recently used versions stay known.{default}",
        ),
        click.option(
            "--younger-than",
            type=duration_or_none,
            metavar="DURATION",
            help="Versions that were used or uploaded within this time stay known too, such as 30d. 'none' adds none."
            f"{nothing}",
        ),
    )


def retention_with(retention: Retention, keep: int | None, age: Age | None) -> Retention:
    """Return a retention changed by the options that are given (not None)."""
    younger_than = retention.younger_than if age is None else None if age == NONE else age
    return Retention(retention.keep if keep is None else keep, younger_than)


def check_usable(directory: ReleasesDirectory, keep: int | None, age: Age | None, remedy: str) -> None:
    """Raise ``RefusedError`` if the settings have an error and the options do not replace both values."""
    if directory.retention_error and (keep is None or age is None):
        raise RefusedError(f"{directory.retention_error}; or give both options, as in {command_line(remedy)}")


class _Change(NamedTuple):
    """A change of the retention, possibly none; and the known versions before and after it, if the log can be read."""

    before: Retention
    after: Retention
    plans: tuple[PrunePlan, PrunePlan] | None

    @property
    def forgotten(self) -> list[str]:
        """The versions that are no longer known after the change."""
        if self.plans is None:
            return []
        before, after = self.plans
        return [version for version in before.kept if version not in after.kept]

    @property
    def may_forget(self) -> bool:
        """Whether versions are no longer known after the change, as far as this can be known."""
        if self.plans is not None:
            return bool(self.forgotten)
        before, after = (retention.younger_than or timedelta() for retention in (self.before, self.after))
        return self.after.keep < self.before.keep or after < before


@command()
@retention_options()
@click.option("--dry-run", is_flag=True, help="Show the change and do not make it.")
@yes_option
def retention(keep: int | None, younger_than: Age | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show or change how long versions stay known after their deployment.

      version-affinity retention
      version-affinity retention --keep 20 --younger-than 30d
      version-affinity retention --younger-than none --dry-run
      version-affinity retention --keep 5 -y

    Open pages of a known version still get its files.

    The setting is stored in affinity.json, and the application follows it without a restart. An option
    that you leave out keeps its value. If each host has its own disk, change the setting on each host.

    The command asks for confirmation if versions would no longer be known: their open pages lose their files at once.

    In any case, a version stays known while it is in the current deployment, while a rollback may return to it, and for
    a day after its last users. Only "prune" removes versions.
    """
    target = current_target()
    directory = target.directory
    entries = target.last_known_entries()
    while True:
        check_usable(directory, keep, younger_than, "retention --keep 10 --younger-than none")
        change = _planned(directory, entries, keep, younger_than)
        if dry_run or (change.after == change.before and not directory.retention_error):
            break
        if change.may_forget and not yes:
            _ask(change)
        try:
            directory.change_retention(change.after, expected=change.before)
            break
        except RetentionConflictError as error:
            warn(f"another person has changed it in the meantime: {error}")
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
    _show(directory.name, change)
    if dry_run:
        say_heading("Nothing is changed: this was a dry run.")


def _planned(
    directory: ReleasesDirectory, entries: list[Entry] | None, keep: int | None, younger_than: Age | None
) -> _Change:
    before = directory.retention
    after = retention_with(before, keep, younger_than)
    plans = None
    if entries is not None:
        plans = prune_plan(directory, entries, before), prune_plan(directory, entries, after)
    return _Change(before, after, plans)


def _ask(change: _Change) -> None:
    """Ask for confirmation that versions are no longer known."""
    forgotten = change.forgotten
    if forgotten:
        whose = "its" if len(forgotten) == 1 else "their"
        named = listed(styled(version, "version") for version in forgotten)
        note(f"{named} would no longer be known: {whose} open pages lose their files within a second.")
    else:
        note("The states of the versions are unknown: some open pages may lose their files within a second.")
    question = f"Change the retention from {change.before.in_words()} to {change.after.in_words()}?"
    confirm(question, "nothing is changed", yes=False)


def _show(name: str, change: _Change) -> None:
    now = change.after
    was = "" if now == change.before else f" (before: {change.before.in_words()})"
    say(f"Retention of {styled(name, 'strong')}: {styled(now.in_words(), 'strong')}{was}")
    say("\nThese versions are known:")
    say("  those in the current deployment")
    say("  those that a rollback may return to")
    say("  those that had users within the last day")
    if now.keep:
        last, upload = ("one", "upload") if now.keep == 1 else (f"{now.keep}", f"{now.keep} uploads")
        say(f"  the last {last} that had users, and the last {upload} that never had users")
    if now.younger_than is not None:
        say(f"  those that were used or uploaded less than {format_duration(now.younger_than)} ago")
    if change.plans is None:
        return
    before, after = change.plans
    say()
    remembered = [version for version in after.kept if version not in before.kept]
    for what, versions in (("No longer known", change.forgotten), ("Known again", remembered)):
        if versions:
            say(f"{what}: {listed(styled(version, 'version') for version in versions)}")
    count = len(after.kept) + len(after.removed)
    others = f"; the others can be removed: {command_line('prune --dry-run')}" if after.removed else ""
    say(f"{len(after.kept):,} of {counted(count, 'version')} {'is' if len(after.kept) == 1 else 'are'} known{others}")
