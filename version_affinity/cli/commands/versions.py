"""``versions``: the group of commands on versions, and ``versions list``."""

from __future__ import annotations

from typing import Final

from version_affinity.cli.context import command, command_line, current_target, version_states
from version_affinity.cli.main import Commands, Lazy
from version_affinity.cli.output import emit, is_terminal, say, say_table, size, styled
from version_affinity.cli.times import short_when
from version_affinity.wire import printable

_TABLE: Final = {
    "upload": Lazy("upload", "upload_command", "Store a build as a version. It gets no users yet."),
    "deploy": Lazy("deploy", "deploy", "Choose who gets which version."),
    "list": Lazy("versions", "list_versions", "List the uploaded versions and their states."),
    "delete": Lazy("delete", "delete", "Delete a version that is not needed any more."),
    "verify": Lazy("verify", "verify", "Find files that were damaged after the upload."),
    "view": Lazy("view", "view", "Show the files of a version and its deployments."),
}
_HELP: Final = """Upload, deploy, list and inspect versions.

  version-affinity versions upload dist/ --id v2
  version-affinity versions deploy v2@10% v1@90%
"""

versions = Commands("versions", table=_TABLE, help=_HELP)


@command("list")
def list_versions(as_json: bool) -> None:
    """List the uploaded versions, newest first, with their states.

      version-affinity versions list
      version-affinity versions list --json | jq -r '.[].id'

    States:
      a percentage   the version is in the current deployment; at 0 %, only overrides reach it
      known          it is not deployed any more; its files are still served to open pages
      can be pruned  its files are not served any more
      unknown        the log of deployments cannot be reached
    """
    target = current_target()
    found = list(reversed(version_states(target.directory, target.last_known_entries()).values()))
    if as_json:
        emit([state.as_dict() for state in found])
        return
    if not found:
        if is_terminal():
            say(f"Nothing is uploaded yet: {command_line('versions upload dist/')}")
        return
    rows = []
    for state in found:
        release = state.release
        created, files, length = printable(release.created), str(release.files), str(release.size)
        if is_terminal():
            created, files, length = short_when(release.created), f"{release.files:,}", size(release.size)
        author, tag, message = printable(release.author), printable(release.tag), printable(release.message)
        rows.append([styled(release.id, "version"), state.in_words(), created, author, tag, files, length, message])
    header = ["VERSION", "STATE", "UPLOADED (UTC)", "BY", "TAG", "FILES", "SIZE", "MESSAGE"]
    say_table(header, rows, right=(5, 6), flexible=(3, 4), optional=(5, 6))
    if is_terminal():
        retention = target.directory.retention.in_words()
        say(f"\n{styled(f'Retention: {retention}', 'faint')}")
