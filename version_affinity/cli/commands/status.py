"""``deployments status``: show the current deployment, what a rollback would do, and what each host has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from version_affinity.cli.context import command, command_line, current_target, release_dict
from version_affinity.cli.output import ago, counted, emit, listed, percent, say, say_rows, styled, warn
from version_affinity.cli.preflight import hosts_ahead
from version_affinity.deployment import movement
from version_affinity.releases.log.presence import HostReport, Presence
from version_affinity.releases.store.retention import rollback_target
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import Release

# The JSON document before the first deployment.
_NONE: Final = {"revision": 0, "percentages": {}, "created": None, "author": "", "message": "", "log_id": ""}


@command()
def status(as_json: bool) -> None:
    """Show the current deployment, and what a rollback would do.

      version-affinity deployments status
      version-affinity deployments status --json | jq .percentages

    With a log in Redis, it also shows the live hosts: the revision that each one follows, and the versions that it
    lacks. A version gets no users on a host that lacks it.
    """
    target = current_target()
    directory = target.directory
    log = target.open_log()
    # Read the hosts before the log, so that the log has every revision that they follow.
    hosts = {**log.hosts(), **log.silent_hosts()} if isinstance(log, Presence) else None
    entries = log.read()
    uploaded = directory.versions()
    for warning in (target.other_log(log, entries), hosts_ahead(hosts, log, entries) if hosts else ""):
        if warning:
            warn(warning)
    if as_json:
        where = {"name": directory.name, "releases": str(directory.path), "log": log.description}
        emit({**where, "retention": directory.retention.as_dict(), **_document(entries, uploaded, hosts)})
        return
    if not entries:
        newest = list(uploaded)[-1] if uploaded else None
        say(f"{styled(directory.name, 'strong')}: nothing is deployed yet")
        say(f"\nNext:\n  {command_line(f'versions deploy {newest}@100%' if newest else 'versions upload dist/')}")
    else:
        _show_current(directory.name, entries[-1], uploaded)
        _show_rollback(entries)
    if hosts is not None:
        _show_hosts(hosts, entries)


def _document(
    entries: Sequence[Entry], uploaded: Mapping[str, Release], hosts: Mapping[str, HostReport] | None
) -> dict[str, Any]:
    current = entries[-1] if entries else None
    target = rollback_target(entries)
    percentages = current.percentages if current is not None else {}
    return {
        **(current.as_document() if current is not None else _NONE),
        "versions": [
            {"id": it, "percentage": share, "upload": release_dict(uploaded[it]) if it in uploaded else None}
            for it, share in percentages.items()
        ],
        "missing": [version for version in percentages if version not in uploaded],
        "rollback": target.as_document() if target is not None else None,
        "hosts": None
        if hosts is None
        else [
            {
                "host": host,
                "revision": report.revision,
                "seen": report.seen,
                "silent": report.silent,
                "servers": report.servers,
                "versions": sorted(report.versions),
                "missing": [version for version in percentages if version not in report.versions],
            }
            for host, report in hosts.items()
        ],
    }


def _show_current(name: str, current: Entry, uploaded: Mapping[str, Release]) -> None:
    by = f" by {printable(current.author)}" if current.author else ""
    message = f": {printable(current.message)}" if current.message else ""
    say(f"{styled(name, 'strong')}, revision {current.revision}, deployed {ago(current.created)}{by}{message}\n")
    rows = []
    for version, share in current.percentages.items():
        release = uploaded.get(version)
        row = [styled(version, "version"), styled(percent(share), "good") if share else "0 %, staged"]
        if release is None:
            row.append(styled("not in this directory", "bad"))
        else:
            row += [f"uploaded {ago(release.created)}", printable(release.tag), printable(release.message)]
        rows.append(row)
    say_rows(rows, right=(1,), flexible=(3,))


def _show_rollback(entries: Sequence[Entry]) -> None:
    say()
    target = rollback_target(entries)
    if target is None:
        say("A rollback must name its version: no other version has had 100 %")
        return
    version = max(target.percentages, key=target.percentages.__getitem__)
    moved = movement(entries[-1].percentages, {version: 100.0}).moved
    give = f"{command_line('rollback')} would give {styled(version, 'version')} to all users"
    say(f"{give}, as in revision {target.revision}: {percent(moved)} of the users would move")


def _show_hosts(hosts: Mapping[str, HostReport], entries: Sequence[Entry]) -> None:
    say()
    if not hosts:
        say("No host has reported within the last seconds: none is running, or they follow another log")
        return
    say(styled("Hosts", "strong"))
    percentages, newest = (entries[-1].percentages, entries[-1].revision) if entries else ({}, 0)
    rows = []
    for host, report in hosts.items():
        missing = [version for version in percentages if version not in report.versions]
        seen = f"seen {ago(report.seen)}"
        rows.append(
            [
                printable(host) + (f" ({counted(report.servers, 'server')})" if report.servers > 1 else ""),
                _revision(report.revision, newest),
                styled(f"silent, {seen}", "warning") if report.silent else seen,
                styled(f"lacks {listed(missing)}", "bad") if missing else f"has {', '.join(sorted(report.versions))}",
            ]
        )
    say_rows(rows)


def _revision(revision: int, newest: int) -> str:
    if revision == newest:
        return f"revision {revision}"
    return styled(f"revision {revision}, {'behind' if revision < newest else 'ahead'}", "warning")
