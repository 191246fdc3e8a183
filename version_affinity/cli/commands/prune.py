"""``prune``: remove versions that nobody needs any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from version_affinity.cli.context import current_target, target_options
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import command
from version_affinity.cli.options import AGE
from version_affinity.cli.states import release_dict
from version_affinity.cli.terminal.output import aligned, emit, json_option, say, styled, warn
from version_affinity.cli.terminal.prompts import confirm, yes_option
from version_affinity.cli.terminal.text import ago, counted, listed, size
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.prune import prune_versions
from version_affinity.releases.store.retention import prune_plan
from version_affinity.wire import printable

from .retention import changed, check_usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.cli.context import Target
    from version_affinity.cli.options import Age
    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.retention import PrunePlan, Retention


@command()
@click.option(
    "--keep",
    type=click.IntRange(0),
    metavar="N",
    help="The last so many versions stay.  [default: the releases' retention]",
)
@click.option(
    "--older-than",
    type=AGE,
    metavar="DURATION",
    help="Of the others, those go that are out of use for so long: 30d. 'none': all.  [default: likewise]",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and leave it at that.")
@yes_option
@target_options()
@json_option
def prune(keep: int | None, older_than: Age | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove versions that nobody needs any more.

      version-affinity prune --dry-run
      version-affinity prune --keep 5 --older-than 30d
      version-affinity prune --keep 0 --older-than 2w -y

    A version stays while it is in the current deployment, while a rollback may return to it, and for a day after its
    last users, whatever the options say; while it is one of the last that were uploaded or deployed (--keep); and, with
    --older-than, for that time after its upload and its last deployment. Both are as the application has them
    (version-affinity retention), unless they are given for this once. Pages of a version that is gone miss their files:
    keep what tabs may still show.
    """
    target = current_target()
    log = target.open_log()
    entries = log.read()
    if target.is_followed_elsewhere(log, entries):
        raise RefusedError(
            f"nothing is removed: the application on this host follows another log than {log.description}, which says "
            "what is needed: name it, as in --log redis://host",
        )
    planned, retention = _plan(target.directory(), entries, keep, older_than)
    if not as_json:
        _show(planned)
    _warn_of_known(target, entries, planned)
    if not planned.removed or dry_run:
        _finish(planned, [], retention, dry_run=dry_run, as_json=as_json)
        return
    if not as_json:
        say()
    confirm(f"Remove {counted(len(planned.removed), 'version')}?", "nothing is removed", yes=yes)
    # The question may have stood for an hour: what is known again by now stays, and so does what was not asked about.
    latest, retention = _plan(ReleasesDirectory(target.directory().path), log.read(), keep, older_than)
    agreed = tuple(release for release in planned.removed if release.id not in latest.kept)
    gone = prune_versions(replace(planned, removed=agreed), log)
    shown = replace(planned, kept={**planned.kept, **latest.kept})
    _finish(shown, gone, retention, dry_run=False, as_json=as_json)


def _plan(
    directory: ReleasesDirectory, entries: Sequence[Entry], keep: int | None, older_than: Age | None
) -> tuple[PrunePlan, Retention]:
    """Return what is to be removed, and by which retention."""
    check_usable(directory, keep, older_than, "prune --keep 10 --older-than none")
    retention = changed(directory.retention, keep, older_than)
    return prune_plan(directory, entries, retention), retention


def _warn_of_known(target: Target, entries: Sequence[Entry], planned: PrunePlan) -> None:
    """Warn of what goes by the options although it is known by the retention."""
    directory = target.directory()
    known = prune_plan(directory, entries, directory.retention).kept
    served = [release.id for release in planned.removed if release.id in known]
    if served:
        warn(
            f"the application still serves the files of {listed(served)}, which open pages may need: its retention is "
            f"{directory.retention.in_words()}",
        )


def _show(planned: PrunePlan) -> None:
    for version, reason in planned.kept.items():
        say(f"  {styled('stays', 'good')}  {styled(version, 'version')}  {reason}")
    rows = [
        [
            styled("goes", "bad") + " ",
            styled(release.id, "version"),
            size(release.size),
            f"uploaded {ago(release.created)}",
            printable(release.message),
        ]
        for release in planned.removed
    ]
    for line in aligned(rows, indent="  "):
        say(line)


def _finish(planned: PrunePlan, gone: Sequence[str], retention: Retention, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "planned": [release_dict(release) for release in planned.removed],
                "kept": dict(planned.kept),
                "removed": list(gone),
                "retention": retention.as_dict(),
                "dry_run": dry_run,
            }
        )
        return
    if not planned.removed or dry_run:
        say()
    if not planned.removed:
        say("Nothing is to be removed.")
    elif dry_run:
        say(styled("Nothing is removed: this was a dry run.", "strong"))
    else:
        say(f"{styled('Removed', 'good')} {counted(len(gone), 'version')}.")
        for release in planned.removed:
            if release.id not in gone:
                say(f"{release.id} stays: {planned.kept.get(release.id, 'it was deployed a moment ago')}.")
