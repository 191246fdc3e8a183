"""``rollback``: give everybody an earlier version again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from version_affinity.cli.context import command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import command
from version_affinity.cli.options import form
from version_affinity.cli.plan import Order, carry_out, check_expected, order_options, plan, tell_unchanged
from version_affinity.cli.terminal.text import shares
from version_affinity.deployment import check_version_id
from version_affinity.releases.store.retention import rollback_target

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.entries import Entry


@command()
@click.argument(
    "version", metavar="[ID]", required=False, callback=form(check_version_id), shell_complete=complete_version
)
@order_options
def rollback(version: str | None, order: Order) -> None:
    """Give everybody an earlier version again: the one that last had 100 %, or the version ID.

      version-affinity rollback
      version-affinity rollback v1 -m "Payment fails"

    It is a new deployment, with a revision of its own. Every user whom the deployments since have moved gets exactly
    the version from before. Pages of the others stay whole: their files are still served. Where everybody has the
    version already, nothing is deployed. Live hosts that lack it are waited for, as by "versions deploy".
    """
    target = current_target()
    log = target.open_log()
    entries = log.read()
    check_expected(entries, order.expect)
    earlier, reason = _target(entries) if version is None else (version, f"Rollback to {version}")
    percentages = {earlier: 100.0}
    is_unchanged = bool(entries) and entries[-1].percentages == percentages
    order = replace(order, message=order.message or reason, wait=0 if is_unchanged else order.wait)
    planned = plan(target, log, entries, percentages, order)
    if is_unchanged:
        tell_unchanged(planned, earlier, order)
    else:
        carry_out(planned, log, order, "Roll back?")


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
