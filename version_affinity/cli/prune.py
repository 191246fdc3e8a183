"""``prune``: remove versions that nobody needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from version_affinity.releases.retention import Retention, prune_plan
from version_affinity.releases.retention import prune as prune_versions

from .commands import command
from .durations import DURATION, in_words
from .errors import RefusedError
from .output import aligned, emit, json_option, say, styled
from .place import current_place, place_options
from .prompts import confirm, yes_option
from .standings import release_dict
from .text import ago, counted, printable, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from version_affinity.releases.retention import PrunePlan


@command()
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=Retention().keep,
    show_default=True,
    help="The last so many versions stay.",
)
@click.option(
    "--older-than",
    type=DURATION,
    metavar="DURATION",
    help="Of the others, those go that are out of use for so long: 30d.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and leave it at that.")
@yes_option
@place_options()
@json_option
def prune(keep: int, older_than: timedelta | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove versions that nobody needs any more.

      version-affinity prune --dry-run
      version-affinity prune --keep 5 --older-than 30d
      version-affinity prune --keep 0 --older-than 2w -y

    A version stays while it is in the current deployment, and while a rollback may return to it, whatever the options
    say; while it is one of the last that were uploaded or deployed (--keep); and, with --older-than, for that time
    after its upload and its last deployment. Pages of a version that is gone miss their files: keep what tabs may still
    show.
    """
    place = current_place()
    log = place.open_log()
    entries = log.read()
    if place.is_followed_elsewhere(entries):
        raise RefusedError(
            f"nothing is removed: the application on this host follows another log than {log.description}, which says "
            "what is needed: name it, as in --log redis://host",
        )
    planned = prune_plan(place.directory(), entries, Retention(keep, older_than))
    if not as_json:
        _show(planned, older_than)
    if not planned.removed or dry_run:
        _finish(planned, [], dry_run=dry_run, as_json=as_json)
        return
    if not as_json:
        say()
    confirm(f"Remove {counted(len(planned.removed), 'version')}?", "nothing is removed", yes=yes)
    _finish(planned, prune_versions(planned, log), dry_run=False, as_json=as_json)


def _show(planned: PrunePlan, older_than: timedelta | None) -> None:
    for version, reason in planned.kept.items():
        shown = reason if older_than is None else reason.replace(str(older_than), in_words(older_than))
        say(f"  {styled('stays', 'good')}  {styled(version, 'version')}  {shown}")
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


def _finish(planned: PrunePlan, gone: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "planned": [release_dict(release) for release in planned.removed],
                "kept": dict(planned.kept),
                "removed": list(gone),
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
                say(f"{release.id} stays: it was deployed a moment ago.")
