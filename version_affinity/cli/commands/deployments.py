"""``deployments``: the group, ``deployments list``, ``view`` and ``restore``."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, cast

import click

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import confirm, yes_option
from version_affinity.cli.main import Commands, Lazy
from version_affinity.cli.output import (
    counted,
    emit,
    is_terminal,
    say,
    say_facts,
    say_rows,
    say_table,
    shares,
    short_ids,
    styled,
)
from version_affinity.cli.plan import changes, show_movement
from version_affinity.cli.times import short_when, when
from version_affinity.deployment import movement
from version_affinity.errors import ConfigurationError
from version_affinity.ramp.next_entry import outcome
from version_affinity.ramp.notify import shown_document
from version_affinity.ramp.plan import Ramp
from version_affinity.releases.log.entries import DeploymentLog, Entry, LogError, LogUnavailableError, is_continued
from version_affinity.releases.log.file import FileLog
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.redis import RedisLog

_TABLE: Final = {
    "list": Lazy("deployments", "list_deployments", "List the deployments, newest first."),
    "status": Lazy("status", "status", "Show the current deployment and its figures."),
    "view": Lazy("deployments", "view_deployment", "Show one deployment, and who moved."),
    "restore": Lazy("deployments", "restore", "Restore the deployments of a Redis that lost its data."),
}
# The characters of "superseded: ...".
_OUTCOME: Final = 15
_HELP: Final = """Show the current deployment and earlier ones.

  version-affinity deployments status
  version-affinity deployments list --limit 50
"""

deployments = Commands("deployments", table=_TABLE, help=_HELP)


@command("list")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=10, show_default=True, help="The number of deployments."
)
def list_deployments(limit: int, as_json: bool) -> None:
    """List the deployments, newest first: revision, time, author, percentages and message.

      version-affinity deployments list
      version-affinity deployments list --limit 1 --json

    The deployments of a ramp are one line, with its steps and its outcome; --json lists each of them.

    The log is an audit trail: its entries are never changed or removed. While the log in Redis is unreachable, the
    deployments are those of this host's copy.
    """
    entries = current_target().last_known_entries()
    if entries is None:
        raise click.exceptions.Exit(1)  # the warning says why
    if as_json:
        emit([shown_document(entry) for entry in entries[::-1][:limit]])
        return
    groups = _grouped(entries)
    found = groups[::-1][:limit]
    if not found:
        if is_terminal():
            say(f"Nothing is deployed yet: {command_line('versions deploy v1@100%')}")
        return
    header = ["REVISION", "WHEN (UTC)", "BY", "DEPLOYED", "MESSAGE"]
    rows = []
    for first, *more in found:
        last = more[-1] if more else first
        created = short_when(first.created) if is_terminal() else printable(first.created)
        revisions = f"{first.revision}-{last.revision}" if more else str(first.revision)
        message = _ramp_in_words(entries, [first, *more]) if first.ramp is not None else first.message
        message = printable(short_ids(message))
        rows.append([revisions, created, printable(first.author), shares(last.percentages), message])
    say_table(header, rows, right=(0,), flexible=(2,), optional=(2,), text=_OUTCOME)
    if is_terminal() and len(groups) > limit:
        say(styled(f"{counted(len(groups) - limit, 'earlier deployment')}: --limit {len(groups)} lists all", "faint"))


def _grouped(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the deployments, those of one ramp together."""
    keys = ((entry, entry.ramp.get("id") if entry.ramp is not None else entry.revision) for entry in entries)
    return [[entry for entry, _ in group] for _, group in groupby(keys, key=lambda it: it[1])]


def _ramp_in_words(entries: Sequence[Entry], group: Sequence[Entry]) -> str:
    """Return a ramp with its outcome and its steps, such as "held: ramp-2 to v2, 1, 5, 25 %"."""
    try:
        ramps = [Ramp.from_json(entry.ramp) for entry in group]
    except ConfigurationError:
        return group[-1].message  # of a later release
    steps = dict.fromkeys(f"{ramp.percentage:g}" for ramp in ramps)
    state = outcome(entries, ramps[0].id).replace("_", " ")
    return f"{state}: {ramps[0].id} to {ramps[0].plan.version}, {', '.join(steps)} %"


@command("view")
@click.argument("revision", type=click.IntRange(1))
def view_deployment(revision: int, as_json: bool) -> None:
    """Show one deployment: its time, author, message and percentages, who moved, and how long it lasted.

      version-affinity deployments view 7
      version-affinity deployments view 7 --json | jq .percentages

    "deployments list" shows the revisions.
    """
    entries = current_target().last_known_entries() or []
    if revision > len(entries):
        newest = f"the newest is revision {len(entries)}" if entries else "nothing is deployed yet"
        raise RefusedError(f"there is no revision {revision}: {newest}. See {command_line('deployments list')}")
    before, entry, after = ([None, *entries, None][revision + offset] for offset in (-1, 0, 1))
    assert entry is not None  # noqa: S101 - its revision is in the log
    moves = movement(before.percentages, entry.percentages) if before is not None else None
    if as_json:
        emit(
            {
                **shown_document(entry),
                "before": dict(before.percentages) if before is not None else None,
                "movement": moves.as_dict() if moves is not None else None,
                "until": after.created if after is not None else None,
            }
        )
        return
    until = f"until revision {after.revision}, {when(after.created)}" if after is not None else "it is the current one"
    facts = [
        ("Revision", str(entry.revision)),
        ("Deployed", when(entry.created)),
        ("By", printable(entry.author)),
        ("Message", printable(short_ids(entry.message))),
        ("Lasted", until),
    ]
    say_facts(facts)
    say()
    say_rows(changes(before.percentages if before is not None else None, entry.percentages), right=(1, 3))
    if moves is not None:
        say()
        show_movement(moves, say)


@command()
@click.option("--replace", is_flag=True, help="Replace the deployments that the log has now, which are then lost.")
@yes_option
def restore(replace: bool, yes: bool, as_json: bool) -> None:
    """Restore the deployments of a Redis that lost its data, from this host's copy.

      version-affinity deployments restore --log redis://redis.example
      version-affinity deployments restore --log redis://redis.example --replace

    Each host keeps a copy of the log in its releases directory, and uses that copy while the log is lost.
    Run this command on the host with the latest revision: "deployments status" shows the revisions of the workers.

    If there are new deployments in Redis already, the command needs --replace.
    """
    target = current_target()
    log = target.open_log()
    copy = target.copy()
    if isinstance(log, FileLog):
        raise RefusedError(
            f"{log.description} is a file, and this command restores a log in Redis: name it, as in "
            f"--log redis://host. To restore a lost file, copy {copy.path} to it"
        )
    entries = copy.load()
    if not entries:
        raise RefusedError(f"{str(copy.path)!r} has no deployments: run this on a host that has followed the log")
    current = _current(log, entries, replace=replace)
    if not as_json:
        say(f"The copy in {copy.path} has {_summary(entries)}")
        if current:
            say(f"{log.description} has {_summary(current)}. They will be lost")
    instead = ", in place of those that it has" if current else ""
    confirm(f"Write the deployments of the copy to {log.description}{instead}?", "nothing is written", yes=yes)
    cast("RedisLog", log).restore(entries, replace=replace)
    if as_json:
        replaced = [entry.as_document() for entry in current]
        revision = entries[-1].revision
        emit({"log": log.description, "restored": len(entries), "revision": revision, "replaced": replaced})
    else:
        say(f"{styled('Restored', 'good')} {counted(len(entries), 'deployment')}.")


def _current(log: DeploymentLog, copied: list[Entry], *, replace: bool) -> list[Entry]:
    """Return the deployments of the log; refuse if nothing is lost, or if it has new ones without ``--replace``."""
    try:
        current = log.read()
    except LogUnavailableError:
        raise
    except LogError:
        if not replace:
            raise
        return []  # they cannot be read
    if is_continued(copied, current):
        raise RefusedError(
            f"nothing is lost: {log.description} has {counted(len(current), 'deployment')}, among them "
            f"all of the copy ({len(copied)})"
        )
    if current and not replace:
        raise RefusedError(
            f"{log.description} is not empty: it has {_summary(current)}. To replace them by the copy, which has "
            f"{_summary(copied)}, add --replace"
        )
    return current


def _summary(entries: list[Entry]) -> str:
    newest = entries[-1]
    return f"{counted(len(entries), 'deployment')}, up to revision {newest.revision} ({shares(newest.percentages)})"
