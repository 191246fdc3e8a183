"""``deployments status``: show the current deployment, what a rollback would do, and what each worker serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from version_affinity.cli.context import command, command_line, current_target, release_dict
from version_affinity.cli.output import ago, emit, listed, percent, say, say_rows, styled, warn, when
from version_affinity.cli.preflight import read_workers, workers_ahead
from version_affinity.deployment import movement
from version_affinity.releases.store.retention import rollback_target
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.reports.report import Workers
    from version_affinity.releases.store.directory import Release

# The JSON document before the first deployment.
_NONE: Final = {"revision": 0, "percentages": {}, "created": None, "author": "", "message": "", "log_id": ""}


@command()
def status(as_json: bool) -> None:
    """Show the current deployment, and what a rollback would do.

      version-affinity deployments status
      version-affinity deployments status --json | jq .percentages

    It also shows the workers: the revision that each one serves, and the versions that it lacks. A version gets no
    users from a worker that lacks it.
    """
    target = current_target()
    directory = target.directory
    log = target.open_log()
    # Read the reports before the log, so that the log has every revision that the workers follow.
    workers = read_workers(directory, log)
    entries = log.read()
    uploaded = directory.versions()
    for warning in (target.other_log(log, entries), workers_ahead(workers, log, entries)):
        if warning:
            warn(warning)
    if as_json:
        where = {"name": directory.name, "releases": str(directory.path), "log": log.description}
        emit({**where, "retention": directory.retention.as_dict(), **_document(entries, uploaded, workers)})
        return
    if not entries:
        newest = list(uploaded)[-1] if uploaded else None
        say(f"{styled(directory.name, 'strong')}: nothing is deployed yet")
        say(f"\nNext:\n  {command_line(f'versions deploy {newest}@100%' if newest else 'versions upload dist/')}")
    else:
        _show_current(directory.name, entries[-1], uploaded)
        _show_rollback(entries)
    _show_workers(workers, entries)


def _document(entries: Sequence[Entry], uploaded: Mapping[str, Release], workers: Workers) -> dict[str, Any]:
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
        "workers": [
            {
                "host": report.host,
                "pid": report.pid,
                "started": report.started,
                "seen": report.written,
                "revision": report.revision,
                "versions": list(report.versions),
                "missing": [version for version in percentages if version not in report.versions],
                "error": report.error,
            }
            for report in workers.live
        ],
        "workers_error": workers.obstacle,
    }


def _show_current(name: str, current: Entry, uploaded: Mapping[str, Release]) -> None:
    by = f" by {printable(current.author)}" if current.author else ""
    message = f": {printable(current.message)}" if current.message else ""
    say(f"{styled(name, 'strong')}, revision {current.revision}, deployed {when(current.created)}{by}{message}\n")
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


def _show_workers(workers: Workers, entries: Sequence[Entry]) -> None:
    say()
    if not workers.live:
        say(f"No application follows this directory{f': {workers.obstacle}' if workers.obstacle else ''}")
        return
    say(styled("Workers", "strong"))
    percentages, newest = (entries[-1].percentages, entries[-1].revision) if entries else ({}, 0)
    rows = []
    for report in workers.live:
        missing = [version for version in percentages if version not in report.versions]
        reasons = list(filter(None, (report.failures.get(version, "") for version in missing)))
        has = f"has {', '.join(sorted(report.versions))}"
        if missing:
            has = styled(f"lacks {listed(missing)}{f': {printable(reasons[0])}' if reasons else ''}", "bad")
        process = f"{printable(report.host)}, process {report.pid}"
        error = styled(printable(report.error), "warning")
        rows.append([process, _revision(report.revision, newest), has, error])
    say_rows(rows)


def _revision(revision: int, newest: int) -> str:
    if revision == newest:
        return f"revision {revision}"
    return styled(f"revision {revision}, {'behind' if revision < newest else 'ahead'}", "warning")
