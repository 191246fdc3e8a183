"""``versions verify``: find files that were damaged after the upload."""

from __future__ import annotations

import click

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import progress
from version_affinity.cli.output import emit, listed, say, say_rows, short_id, styled, with_reasons
from version_affinity.deployment import check_version_id
from version_affinity.releases.store.contents import verify_version
from version_affinity.wire import printable, shown

from .completion import complete_version


@command()
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=complete_version)
def verify(ids: tuple[str, ...], as_json: bool) -> None:
    """Hash the files of the versions ID, or of all versions, and list those that were damaged after the upload.

      version-affinity versions verify
      version-affinity versions verify v1 v2

    To repair a version, upload the same build again under the same id.

    Exit status: 0 no file is damaged, 1 some files are damaged, 2 usage error.
    """
    target = current_target()
    releases = target.directory
    damaged = {}
    for version in dict.fromkeys(map(target.version_id, map(check_version_id, ids)) if ids else releases.all_ids()):
        with progress(f"Verifying {printable(short_id(version))}") as step:
            damaged[version] = verify_version(releases, version, step)
    if as_json:
        emit([{"id": version, "damaged": with_reasons(files)} for version, files in damaged.items()])
    else:
        for version, files in damaged.items():
            state = styled("damaged", "bad") if files else styled("as uploaded", "good")
            say(f"{styled(version, 'version')}: {state}")
            say_rows([[shown(path), reason] for path, reason in files])
    spoilt = [version for version, files in damaged.items() if files]
    if spoilt:
        build = command_line(f"versions upload DIRECTORY --id {spoilt[0]}")
        raise RefusedError(
            f"{listed(spoilt)} {'has' if len(spoilt) == 1 else 'have'} damaged files: upload the same build again "
            f"under the same id ({build}), or restore the files from a backup"
        )
