"""``versions delete``: delete one version."""

from __future__ import annotations

import click

from version_affinity.cli.context import command, command_line, current_target, release_dict
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import confirm, yes_option
from version_affinity.cli.options import checked_by
from version_affinity.cli.output import counted, emit, say, short_id, size, styled, warn
from version_affinity.cli.times import when
from version_affinity.deployment import check_version_id
from version_affinity.releases.store.retention import PrunePlan, needed, prune_plan
from version_affinity.releases.store.workspace import prune_versions

from .completion import complete_version


@command()
@click.argument("version", metavar="ID", callback=checked_by(check_version_id), shell_complete=complete_version)
@yes_option
def delete(version: str, yes: bool, as_json: bool) -> None:
    """Delete the version ID, which cannot be undone.

      version-affinity versions delete v2
      version-affinity versions delete v2 -y

    The command refuses if the version is in the current deployment, or if a rollback needs it. It warns if the
    application still serves the files of the version to open pages, which then lose them. "prune" deletes all
    versions that are not needed any more.
    """
    target = current_target()
    directory = target.directory
    version = target.version_id(version)
    release = directory.release(version)
    log = target.open_log()
    entries = log.read()
    reason = target.other_log(log, entries)
    if version in needed(entries):
        is_current = version in entries[-1].percentages
        why = "it is in the current deployment" if is_current else "a rollback would need it"
        reason = f"{why}. See {command_line('deployments list')}"
    if reason:
        raise RefusedError(f"{version} is not deleted: {reason}")
    known = prune_plan(directory, entries, directory.retention).kept
    if version in known:
        warn(f"the application still serves the files of {version} to open pages ({known[version]})")
    if not as_json:
        content = f"{counted(release.files, 'file')}, {size(release.size)}, uploaded {when(release.created)}"
        say(f"{styled(version, 'version')}: {content}")
    confirm(f"Delete {short_id(version)}?", "nothing is deleted", yes=yes)
    if not prune_versions(PrunePlan(directory, (release,), known), log):
        raise RefusedError(f"{version} is not deleted: it was deployed or deleted a moment ago")
    if as_json:
        emit({"deleted": release_dict(release)})
    else:
        say(f"{styled('Deleted', 'good')} {short_id(version)}.")
