"""``rollback``: give an earlier version to all users again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.options import checked_by
from version_affinity.cli.output import shares, short_id
from version_affinity.cli.plan import DeployOptions, carry_out, check_expected, deploy_options, make_plan
from version_affinity.deployment import check_version_id
from version_affinity.ramp.next_entry import active_ramp
from version_affinity.releases.store.retention import rollback_target

from .completion import complete_version

if TYPE_CHECKING:
    from version_affinity.releases.log.entries import Entry


@command()
@click.argument(
    "version", metavar="[ID]", required=False, callback=checked_by(check_version_id), shell_complete=complete_version
)
@deploy_options
def rollback(version: str | None, **given: Any) -> None:
    """Give an earlier version to all users again: the version ID, or the one that had 100 % before.

      version-affinity rollback
      version-affinity rollback v1 -m "Payment fails"

    During a ramp, without an ID, it returns to the percentages before the ramp, which ends.

    A rollback is a new deployment with its own revision. Users who were moved get back the version that they had. Open
    pages of other versions keep working: their files are still served.

    The command refuses for the same reasons as "versions deploy", and waits for the workers in the same way: its exit
    status is 1 if a worker does not serve the deployment within --wait (0 with --force). If all users have the version
    already, it changes nothing.
    """
    options = DeployOptions(**given)
    target = current_target()
    log = target.open_log()
    entries = log.read()
    check_expected(entries, options.expect)
    ramp = active_ramp(entries)
    if version is not None:
        version = target.version_id(version, entries[-1].percentages if entries else ())
        message, percentages = f"Rollback to {version}", {version: 100.0}
    elif ramp is not None:
        message, percentages = f"Rollback of {ramp.id}", dict(ramp.base)
    else:
        earlier = rollback_target(entries)
        if earlier is None:
            raise RefusedError(f"there is no earlier deployment with another version at 100 %{_remedy(entries)}")
        version = max(earlier.percentages, key=earlier.percentages.__getitem__)
        message, percentages = f"Rollback to revision {earlier.revision} ({version})", {version: 100.0}
    options = replace(options, message=f"{message}: {options.message}" if options.message else message)
    carry_out(make_plan(log, entries, percentages, options), log, options, "Roll back?")


def _remedy(entries: list[Entry]) -> str:
    """Return the current deployment, and the version that a rollback can name: the last one that had users before."""
    if not entries:
        return " (nothing is deployed yet)"
    live = entries[-1].live
    uploaded = current_target().directory.versions()
    had_users = dict.fromkeys(version for entry in reversed(entries) for version in entry.live)
    others = [version for version in had_users if version in uploaded and version not in live]
    now = f" (now: {shares(entries[-1].percentages)})"
    return f"{now}: name the version, as in {command_line(f'rollback {short_id(others[0])}')}" if others else now
