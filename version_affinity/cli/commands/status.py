"""``deployments status``: what is deployed now, what a rollback would do, and which host has what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from version_affinity.cli.context import command_line, current_target, target_options
from version_affinity.cli.groups import command
from version_affinity.cli.preflight import hosts_ahead
from version_affinity.cli.states import release_dict
from version_affinity.cli.terminal.output import aligned, emit, json_option, say, styled, warn
from version_affinity.cli.terminal.text import ago, counted, listed, percent
from version_affinity.movement import movement
from version_affinity.releases.reports.presence import HostReport, Presence
from version_affinity.releases.store.retention import rollback_target
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import Release

# Before the first deployment.
_NONE: Final = {"revision": 0, "percentages": {}, "created": None, "author": "", "message": "", "log_id": ""}


@command()
@target_options()
@json_option
def status(as_json: bool) -> None:
    """Tell what is deployed now, and how it stands.

      version-affinity deployments status
      version-affinity deployments status --json | jq .percentages

    With a log in Redis, it shows which hosts are alive, which deployment each one follows, and what it lacks. A version
    that a host lacks gets no traffic there until it arrives.
    """
    target = current_target()
    directory = target.directory()
    log = target.open_log()
    # Before the log: what a host has followed by now stands in it then.
    hosts = {**log.hosts(), **log.silent_hosts()} if isinstance(log, Presence) else None
    entries = log.read()
    uploaded = directory.versions()
    if target.is_followed_elsewhere(log, entries):
        warn(
            f"the application on this host follows another log than {log.description}, or this one has lost "
            "deployments: name its log, as in --log redis://host",
        )
    lost = hosts_ahead(hosts, log, entries) if hosts else ""
    if lost:
        warn(lost)
    if as_json:
        where = {"name": directory.name, "releases": str(directory.path), "log": log.description}
        emit({**where, "retention": directory.retention.as_dict(), **_document(entries, uploaded, hosts)})
        return
    if not entries:
        say(f"{styled(directory.name, 'strong')}: nothing is deployed yet")
        _tell_next(uploaded)
    else:
        _tell_current(directory.name, entries[-1], uploaded)
        _tell_rollback(entries)
    if hosts is not None:
        _tell_hosts(hosts, entries)


def _document(
    entries: Sequence[Entry], uploaded: Mapping[str, Release], hosts: Mapping[str, HostReport] | None
) -> dict[str, Any]:
    current = entries[-1] if entries else None
    target = rollback_target(entries)
    percentages = current.percentages if current is not None else {}
    return {
        **(current.as_document() if current is not None else _NONE),
        "versions": [
            {
                "id": version,
                "percentage": share,
                "upload": release_dict(uploaded[version]) if version in uploaded else None,
            }
            for version, share in percentages.items()
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


def _tell_next(uploaded: Mapping[str, Release]) -> None:
    newest = list(uploaded)[-1] if uploaded else None
    next_step = "versions upload dist/" if newest is None else f"versions deploy {newest}@100%"
    say()
    say("Next:")
    say(f"  {command_line(next_step)}")


def _tell_current(name: str, current: Entry, uploaded: Mapping[str, Release]) -> None:
    by = f" by {printable(current.author)}" if current.author else ""
    why = f": {printable(current.message)}" if current.message else ""
    say(f"{styled(name, 'strong')}, revision {current.revision}, deployed {ago(current.created)}{by}{why}")
    say()
    rows = []
    for version, share in current.percentages.items():
        release = uploaded.get(version)
        shown = styled(percent(share), "good") if share else "0 %, staged"
        if release is None:
            rows.append([styled(version, "version"), shown, styled("not in this directory", "bad")])
            continue
        about = f"uploaded {ago(release.created)}"
        rows.append([styled(version, "version"), shown, about, printable(release.tag), printable(release.message)])
    for line in aligned(rows, right=(1,), flexible=(3,), indent="  "):
        say(line)


def _tell_rollback(entries: Sequence[Entry]) -> None:
    say()
    target = rollback_target(entries)
    if target is None:
        say("A rollback would need a version: none but the current one has had 100 %")
        return
    version = max(target.percentages, key=lambda other: target.percentages[other])
    moved = movement(entries[-1].percentages, {version: 100.0}).moved
    say(
        f"{command_line('rollback')} would give {styled(version, 'version')} to everybody, as in revision "
        f"{target.revision}: {percent(moved)} of the users would move",
    )


def _tell_hosts(hosts: Mapping[str, HostReport], entries: Sequence[Entry]) -> None:
    say()
    if not hosts:
        say("No host has reported within the last seconds: none is alive, or they follow another log")
        return
    say(styled("Hosts", "strong"))
    current = entries[-1] if entries else None
    rows = []
    for host, report in hosts.items():
        wanted = current.percentages if current is not None else {}
        missing = [version for version in wanted if version not in report.versions]
        rows.append(
            [
                printable(host) + (f" ({counted(report.servers, 'server')})" if report.servers > 1 else ""),
                _followed(report.revision, current.revision if current is not None else 0),
                styled(f"silent, seen {ago(report.seen)}", "warning") if report.silent else f"seen {ago(report.seen)}",
                styled(f"lacks {listed(missing)}", "bad") if missing else f"has {', '.join(sorted(report.versions))}",
            ]
        )
    for line in aligned(rows, indent="  "):
        say(line)


def _followed(revision: int, newest: int) -> str:
    if revision == newest:
        return f"revision {revision}"
    return styled(f"revision {revision}, {'behind' if revision < newest else 'ahead'}", "warning")
