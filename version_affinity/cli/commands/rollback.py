"""``rollback``: give an earlier version to all users again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.options import checked_by
from version_affinity.cli.output import say, shares
from version_affinity.cli.plan import DeployOptions, carry_out, check_expected, deploy_options, make_plan
from version_affinity.deployment import check_version_id
from version_affinity.releases.store.retention import rollback_target

from .completion import complete_version


@command()
@click.argument(
    "version", metavar="[ID]", required=False, callback=checked_by(check_version_id), shell_complete=complete_version
)
@deploy_options
def rollback(version: str | None, **given: Any) -> None:
    """Give an earlier version to all users again: the version ID, or the one that had 100 % before.

      version-affinity rollback
      version-affinity rollback v1 -m "Payment fails"

    A rollback is a new deployment with its own revision. Users who were moved get back the version that they had. Open
    pages of other versions keep working: their files are still served.

    The command refuses for the same reasons as "versions deploy". If all users have the version already, it changes
    nothing.
    """
    options = DeployOptions(**given)
    target = current_target()
    log = target.open_log()
    entries = log.read()
    check_expected(entries, options.expect)
    if version is not None:
        version = target.version_id(version, entries[-1].percentages if entries else ())
        message = f"Rollback to {version}"
    else:
        earlier = rollback_target(entries)
        if earlier is None:
            now = f"now: {shares(entries[-1].percentages)}" if entries else "nothing is deployed yet"
            raise RefusedError(
                f"there is no earlier deployment with another version at 100 % ({now}): name the version, as in "
                f"{command_line('rollback v1')}"
            )
        version = max(earlier.percentages, key=earlier.percentages.__getitem__)
        message = f"Rollback to revision {earlier.revision} ({version})"
    percentages = {version: 100.0}
    is_unchanged = bool(entries) and entries[-1].percentages == percentages
    options = replace(options, message=options.message or message, wait=0 if is_unchanged else options.wait)
    planned = make_plan(log, entries, percentages, options)
    if not is_unchanged:
        carry_out(planned, log, options, "Roll back?")
    elif options.as_json:
        planned.emit(options)
    else:
        say(f"Nothing is deployed: {version} has 100 % already, since revision {entries[-1].revision}.")
