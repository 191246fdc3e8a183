"""``prune``: remove versions that are no longer needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from version_affinity.cli.context import command, current_target, release_dict
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import confirm, yes_option
from version_affinity.cli.options import Age, duration_or_none
from version_affinity.cli.output import (
    counted,
    emit,
    listed,
    say,
    say_heading,
    say_rows,
    short_id,
    size,
    styled,
    warn,
)
from version_affinity.cli.times import when
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import PrunePlan, Retention, prune_plan
from version_affinity.releases.store.workspace import prune_versions
from version_affinity.wire import printable

from .retention import check_usable, retention_with

if TYPE_CHECKING:
    from version_affinity.releases.log.entries import Entry


@command()
@click.option(
    "--keep",
    type=click.IntRange(0),
    metavar="N",
    help="How many of the most recently used versions to keep.  [default: as in the retention]",
)
@click.option(
    "--older-than",
    type=duration_or_none,
    metavar="DURATION",
    help="Remove other versions only if they have been unused for this long, such as 30d. 'none' removes all of them."
    "  [default: as in the retention]",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and remove nothing.")
@yes_option
def prune(keep: int | None, older_than: Age | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove versions that are no longer needed.

      version-affinity prune --dry-run
      version-affinity prune --keep 5 --older-than 30d
      version-affinity prune --keep 0 --older-than 2w -y

    Some versions are never removed: those in the current deployment, those that a rollback may return to, and those
    that had users within the last day. --keep and --older-than protect further versions, for this run only. Without
    them, the retention of the application applies (see "version-affinity retention").

    Open pages of a removed version lose their files. Keep each version as long as users may have its pages open.
    """
    target = current_target()
    directory = target.directory
    log = target.open_log()
    entries = log.read()
    other_log = target.other_log(log, entries)
    if other_log:
        raise RefusedError(f"nothing is removed: {other_log}")
    planned, retention = _plan(directory, entries, keep, older_than)
    if not as_json:
        _show(planned)
    known = prune_plan(directory, entries, directory.retention).kept
    served = [release.id for release in planned.removed if release.id in known]
    if served:
        words, names = directory.retention.in_words(), listed(map(short_id, served))
        warn(f"the application still serves the files of {names} to open pages: its retention is {words}")
    removed: list[str] = []
    if planned.removed and not dry_run:
        if not as_json:
            say()
        confirm(f"Remove {counted(len(planned.removed), 'version')}?", "nothing is removed", yes=yes)
        # Things may have changed while the question was open: remove only what was shown and is still not needed.
        latest, retention = _plan(ReleasesDirectory(directory.path), log.read(), keep, older_than)
        agreed = tuple(release for release in planned.removed if release.id not in latest.kept)
        removed = prune_versions(replace(planned, removed=agreed), log)
        planned = replace(planned, kept={**planned.kept, **latest.kept})
    if as_json:
        versions = [release_dict(release) for release in planned.removed]
        document = {"planned": versions, "kept": dict(planned.kept), "removed": removed}
        emit({**document, "retention": retention.as_dict(), "dry_run": dry_run})
    else:
        _show_outcome(planned, removed, dry_run=dry_run)


def _plan(
    directory: ReleasesDirectory, entries: list[Entry], keep: int | None, older_than: Age | None
) -> tuple[PrunePlan, Retention]:
    """Return the versions to remove, and the retention that decides on them."""
    check_usable(directory, keep, older_than, "prune --keep 10 --older-than none")
    retention = retention_with(directory.retention, keep, older_than)
    return prune_plan(directory, entries, retention), retention


def _show(planned: PrunePlan) -> None:
    for version, reason in planned.kept.items():
        say(f"  {styled('keep', 'good')}    {styled(version, 'version')}  {reason}")
    rows = []
    for release in planned.removed:
        uploaded, message = f"uploaded {when(release.created)}", printable(release.message)
        rows.append([styled("remove", "bad"), styled(release.id, "version"), size(release.size), uploaded, message])
    say_rows(rows)


def _show_outcome(planned: PrunePlan, removed: list[str], *, dry_run: bool) -> None:
    if not planned.removed:
        say("\nThere is nothing to remove.")
    elif dry_run:
        say_heading("Nothing is removed: this was a dry run.")
    else:
        say(f"{styled('Removed', 'good')} {counted(len(removed), 'version')}.")
        for release in planned.removed:
            if release.id not in removed:
                say(f"{release.id} is kept: {planned.kept.get(release.id, 'it was deployed a moment ago')}.")
