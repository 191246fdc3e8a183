"""``rollback``: give everybody an earlier version again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from version_affinity.releases.retention import rollback_target

from .arrival import wait_option
from .commands import command
from .completing import complete_version
from .deploying import Order, carry_out, check_expected, expect_option, plan, tell_unchanged
from .errors import RefusedError
from .output import json_option
from .place import build_options, command_line, current_place, place_options
from .prompts import yes_option
from .text import shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log import Entry


@command()
@click.argument("version", metavar="[ID]", required=False, shell_complete=complete_version)
@click.option("-m", "--message", default="", help="Why, for the log.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and leave it at that.")
@click.option("--force", is_flag=True, help="Roll back whatever speaks against it.")
@expect_option
@wait_option
@build_options
@yes_option
@place_options()
@json_option
def rollback(
    version: str | None,
    message: str,
    dry_run: bool,
    force: bool,
    expect: int | None,
    wait: int,
    prefix: str | None,
    app_first: tuple[str, ...],
    origins: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Give everybody an earlier version again: the one that last had 100 %, or the version ID.

      version-affinity rollback
      version-affinity rollback v1 -m "Payment fails"

    It is a new deployment, with a revision of its own. Every user whom the deployments since have moved gets exactly
    the version from before. Pages of the others stay whole: their files are still served. Where everybody has the
    version already, nothing is deployed. Live hosts that lack it are waited for, as by "versions deploy".
    """
    place = current_place()
    log = place.open_log()
    entries = log.read()
    check_expected(entries, expect)
    earlier, reason = _target(entries) if version is None else (version, f"Rollback to {version}")
    percentages = {earlier: 100.0}
    is_unchanged = bool(entries) and entries[-1].percentages == percentages
    served = place.build(prefix, app_first, origins)
    planned = plan(place, log, entries, percentages, served, wait=0 if force or is_unchanged else wait)
    order = Order("Roll back?", message or reason, yes=yes, force=force, dry_run=dry_run, as_json=as_json)
    if is_unchanged:
        tell_unchanged(planned, earlier, order)
    else:
        carry_out(planned, log, order)


def _target(entries: Sequence[Entry]) -> tuple[str, str]:
    """Return the version that a rollback returns to, and what the log says of that."""
    target = rollback_target(entries)
    if target is None:
        now = f"now: {shares(entries[-1].percentages)}" if entries else "nothing is deployed yet"
        raise RefusedError(
            f"there is no earlier deployment with another version at 100 % ({now}): name the version, as in "
            f"{command_line('rollback v1')}",
        )
    version = max(target.percentages, key=lambda other: target.percentages[other])
    return version, f"Rollback to revision {target.revision} ({version})"
