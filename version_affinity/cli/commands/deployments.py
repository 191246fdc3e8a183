"""``deployments``: list, status, and restore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import click

from version_affinity.cli.context import command_line, current_target, target_options
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import Commands, Lazy, command
from version_affinity.cli.terminal.output import emit, is_terminal, json_option, say, styled, table
from version_affinity.cli.terminal.prompts import confirm, yes_option
from version_affinity.cli.terminal.text import ago, counted, shares
from version_affinity.releases.log.entries import LogError, LogUnavailableError, is_continued
from version_affinity.releases.reports.presence import Presence
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.cli.context import Target
    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.log.redis import RedisLog

_TABLE: Final = {
    "list": Lazy("deployments", "list_deployments", "Who deployed what, and when; the newest first."),
    "status": Lazy("status", "status", "What is deployed now, and which host has what."),
    "restore": Lazy("deployments", "restore", "Give a Redis that lost its data the history back."),
}
_HELP: Final = """Who gets which version: now, and before.

  version-affinity deployments status
  version-affinity deployments list --limit 50
"""

deployments = Commands("deployments", table=_TABLE, help=_HELP)


@command("list")
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@target_options()
@json_option
def list_deployments(limit: int, as_json: bool) -> None:
    """List the deployments, the newest first: revision, when, by whom, the percentages, and why.

      version-affinity deployments list
      version-affinity deployments list --limit 1 --json

    Nothing is ever taken out of the log or changed in it: this is the audit trail, too.
    """
    entries = current_target().open_log().read()
    found = entries[::-1][:limit]
    if as_json:
        emit([entry.as_document() for entry in found])
        return
    if not found:
        if is_terminal():
            say(f"Nothing is deployed yet: {command_line('versions deploy v1@100%')}")
        return
    header = ["REVISION", "WHEN", "BY", "DEPLOYED", "MESSAGE"]
    table(header, [_row(entry) for entry in found], right=(0,), flexible=(2,))
    if is_terminal() and len(entries) > limit:
        say(styled(f"{counted(len(entries) - limit, 'earlier deployment')}: --limit {len(entries)} lists all", "faint"))


def _row(entry: Entry) -> list[str]:
    return [
        str(entry.revision),
        ago(entry.created) if is_terminal() else printable(entry.created),
        printable(entry.author),
        shares(entry.percentages),
        printable(entry.message),
    ]


@command()
@click.option("--replace", is_flag=True, help="Put the copy in the place of what the log has, which is lost.")
@yes_option
@target_options()
@json_option
def restore(replace: bool, yes: bool, as_json: bool) -> None:
    """Give a Redis that lost its data the history of deployments back, from this host's copy.

      version-affinity deployments restore --log redis://redis.example
      version-affinity deployments restore --log redis://redis.example --replace

    Every host that follows a log in Redis keeps what it has last read in its releases directory, and goes on serving by
    it. If hosts have seen different revisions, run this on the one with the latest. An empty log can be restored;
    one to which somebody has deployed since it lost its data, with --replace only.
    """
    target = current_target()
    log = target.open_log()
    if not isinstance(log, Presence):
        raise RefusedError(
            f"{log.description} is a file, and this is for a log in Redis: name it, as in --log redis://host. A file "
            f"that is lost is restored by copying {target.copy().path} to it",
        )
    copy = target.copy()
    entries = copy.load()
    if not entries:
        raise RefusedError(f"{str(copy.path)!r} holds no deployments: run this on a host that has followed the log")
    newest = entries[-1]
    there = _there(target, log, entries, replace=replace)
    if not as_json:
        say(f"The copy in {copy.path} has {_held(entries)}")
        if there:
            say(f"{log.description} has {_held(there)}, which are lost")
    where = ", in place of what it has" if there else ""
    confirm(f"Write them to {log.description}{where}?", "nothing is written", yes=yes)
    cast("RedisLog", log).restore(entries, replace=replace)
    if as_json:
        emit(
            {
                "log": log.description,
                "restored": len(entries),
                "revision": newest.revision,
                "replaced": [entry.as_document() for entry in there],
            }
        )
    else:
        say(f"{styled('Restored', 'good')} {counted(len(entries), 'deployment')}")


def _there(target: Target, log: DeploymentLog, copied: Sequence[Entry], *, replace: bool) -> list[Entry]:
    """Return the deployments of a log that is to be restored.

    Raises:
        RefusedError: it has lost nothing, or has some that are not to be replaced.
    """
    try:
        there = target.open_log().read()
    except LogUnavailableError:
        raise
    except LogError:
        if not replace:
            raise
        return []  # what it has is of no use
    if is_continued(copied, there):
        raise RefusedError(
            f"{log.description} has {counted(len(there), 'deployment')}, of which the copy holds the first "
            f"{len(copied)}: nothing is lost",
        )
    if there and not replace:
        raise RefusedError(
            f"{log.description} has {_held(there)}, and only an empty log is restored: --replace puts the copy, which "
            f"has {_held(copied)}, in their place",
        )
    return there


def _held(entries: Sequence[Entry]) -> str:
    newest = entries[-1]
    return f"{counted(len(entries), 'deployment')}, up to revision {newest.revision}: {shares(newest.percentages)}"
