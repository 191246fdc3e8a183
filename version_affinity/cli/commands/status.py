"""``deployments status``: show the current deployment, the figures of its versions, and what each worker serves."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from version_affinity.cli.context import Target, command, command_line, current_target, release_dict
from version_affinity.cli.interaction import screen
from version_affinity.cli.output import (
    TWO_DIGITS,
    amount,
    as_warning,
    counted,
    emit,
    is_terminal,
    listed,
    percent,
    say_lines,
    say_rows,
    say_table,
    sentence,
    shares,
    short_id,
    short_ids,
    styled,
    warn,
)
from version_affinity.cli.preflight import last_known
from version_affinity.cli.times import short_when, when
from version_affinity.cli.workers import ServedBy, none_reports, unreported, worker_list
from version_affinity.deployment import movement
from version_affinity.errors import ConfigurationError
from version_affinity.ramp.next_entry import active_ramp
from version_affinity.ramp.notify import shown_document
from version_affinity.releases.log.entries import LogError
from version_affinity.releases.reports.figures import Figures, figures_of
from version_affinity.releases.store.retention import rollback_target
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.reports.report import Workers
    from version_affinity.releases.store.directory import Release

# The JSON document before the first deployment.
_NONE: Final = {"revision": 0, "percentages": {}, "created": None, "author": "", "message": "", "log_id": ""}
#: Seconds between two looks of ``--watch``.
_INTERVAL: Final = 1.0
# The name in JSON of each field of ``Figures``.
_FIGURES: Final = {
    "new_keys": "new_keys",
    "pages": "pages",
    "app_responses": "app",
    "app_errors": "app_errors",
    "app_error_rate": "app_error_rate",
    "missing_assets": "missing",
    "missing_rate": "missing_rate",
    "rescues": "rescues",
}
_HEADER: Final = ("VERSION", "SHARE", "OBSERVED", "PAGES", "APP ERRORS", "MISSING", "RESCUES")


class _View(NamedTuple):
    """All that the command shows."""

    target: Target
    log: str
    entries: Sequence[Entry]
    uploaded: Mapping[str, Release]
    workers: Workers
    warnings: Sequence[str]
    # Why the log cannot be read, so that the deployments are those of this host's copy; "" if it can.
    log_error: str

    @property
    def current(self) -> Entry | None:
        """The current deployment."""
        return self.entries[-1] if self.entries else None

    @property
    def percentages(self) -> Mapping[str, float]:
        """The percentages of the current deployment."""
        return self.current.percentages if self.current is not None else {}

    @property
    def rollback(self) -> Entry | None:
        """The deployment to which "rollback" would return: during a ramp, the one before the ramp."""
        ramp = active_ramp(self.entries)
        if ramp is None:
            return rollback_target(self.entries)
        return next((entry for entry in self.entries if entry.revision == ramp.first - 1), None)

    def figures(self) -> dict[str, Figures]:
        """Return what was counted for the versions since the current deployment; since ever if it does not say.

        Nothing if the reports cannot be read, or no worker has ever reported.
        """
        if self.workers.are_unknown or not (self.workers.live or self.workers.counts):
            return {}
        counted_now = figures_of(self.workers.counts)
        before = self.current.counted if self.current is not None else {}
        return {it: counted_now.get(it, Figures()).since(before.get(it, {})) for it in self.percentages}

    def lacking(self, version: str) -> list[dict[str, Any]]:
        """Return the workers that lack a version, and why."""
        return [
            {
                "host": report.host,
                "pid": report.pid,
                "reason": report.failures.get(version, ""),
                "loading_since": report.loading[version] if report.is_loading(version) else None,
            }
            for report in self.workers.live
            if version not in report.versions
        ]


@command()
@click.option("--watch", is_flag=True, help="Update it every second, until Ctrl+C. With --json: a line per second.")
def status(watch: bool, as_json: bool) -> None:
    """Show the current deployment, the figures of its versions, what each worker serves, and what a rollback would do.

      version-affinity deployments status
      version-affinity deployments status --watch
      version-affinity deployments status --json | jq .percentages

    For each version, since the current deployment:
      OBSERVED    the share of new users that it got, and their number; counted while several versions have a share
      PAGES       the pages that were asked for
      APP ERRORS  answers of the application with a status of 5xx, and their part of its answers
      MISSING     assets that no version has, answered with 404, and their number per 100 pages
      RESCUES     files that its pages got from another version

    The numbers are those of all workers, also of those that have ended. While the log in Redis is unreachable, the
    deployments are those of this host's copy.
    """
    target = current_target()
    log = target.open_log()
    if watch and not (as_json or sys.stdout.isatty()):
        raise click.UsageError("--watch needs a terminal. For a script, add --json: it prints a line per second")
    view = _look(target, log)
    if watch:
        with suppress(KeyboardInterrupt):
            _watch(view, log, as_json=as_json)
        return
    for warning in view.warnings:
        warn(warning)
    if as_json:
        emit(_document(view))
    else:
        say_lines(_lines(view))


def _look(target: Target, log: DeploymentLog) -> _View:
    workers, entries, warnings, log_error = last_known(target, log)
    return _View(target, log.description, entries, target.directory.versions(), workers, warnings, log_error)


def _watch(view: _View, log: DeploymentLog, *, as_json: bool) -> None:
    """Show the status each second until the user interrupts; then leave what was shown last."""
    if as_json:
        while True:
            emit(_document(view), indent=None)
            time.sleep(_INTERVAL)
            view = _look_again(view, log)
    lines: list[str] = []
    try:
        with screen() as draw:
            while True:
                lines = [*_lines(view), *(line for it in view.warnings for line in ("", as_warning(it)))]
                draw([*lines, "", styled("Updated every second. Ctrl+C ends.", "faint")])
                time.sleep(_INTERVAL)
                view = _look_again(view, log)
    finally:
        say_lines(lines)


def _look_again(view: _View, log: DeploymentLog) -> _View:
    try:
        return _look(view.target, log)
    except (LogError, ConfigurationError) as error:
        return view._replace(warnings=[str(error)], log_error=str(error))


def _document(view: _View) -> dict[str, Any]:
    directory, current, target = view.target.directory, view.current, view.rollback
    return {
        "name": directory.name,
        "releases": str(directory.path),
        "log": view.log,
        "log_error": view.log_error,
        "retention": directory.retention.as_dict(),
        **{key: value for key, value in (shown_document(current) if current else _NONE).items() if key != "counted"},
        "counted_since": current.created if current is not None and current.counted else None,
        "versions": _versions(view),
        "missing": [version for version in view.percentages if version not in view.uploaded],
        "rollback": shown_document(target) if target is not None else None,
        "workers": worker_list(view.workers, current),
        "workers_error": view.workers.obstacle,
    }


def _versions(view: _View) -> list[dict[str, Any]]:
    figures = view.figures()
    # With one live version, none are counted, but by workers that did not know the deployment yet.
    is_split = view.current is not None and len(view.current.live) > 1
    keys = sum(it.new_keys for it in figures.values()) if is_split else 0
    return [
        {
            "id": version,
            "percentage": share,
            "observed": 100 * figures[version].new_keys / keys if keys else None,
            **{name: getattr(figures.get(version), field, None) for name, field in _FIGURES.items()},
            "lacking": view.lacking(version),
            "upload": release_dict(view.uploaded[version]) if version in view.uploaded else None,
        }
        for version, share in view.percentages.items()
    ]


def _lines(view: _View) -> list[str]:
    """Return the status as lines of a terminal."""
    lines: list[str] = []
    current = view.current
    name = styled(view.target.directory.name, "strong")
    if current is None:
        newest = next(reversed(list(view.uploaded)), None)
        deploy = command_line(f"versions deploy {short_id(newest)}@100%" if newest else "versions upload dist/")
        lines += [f"{name}: nothing is deployed yet", "", "Next:", f"  {deploy}"]
    else:
        by = f" by {printable(current.author)}" if current.author else ""
        message = f": {printable(short_ids(current.message))}" if current.message else ""
        lines += [f"{name}, revision {current.revision}, deployed {when(current.created)}{by}{message}", ""]
        numbers = range(1, len(_HEADER))
        if is_terminal():
            say_table(_HEADER, _rows(view), right=numbers, write=lines.append)
        else:
            say_rows([_HEADER, *_rows(view)], right=numbers, indent="", write=lines.append)
        if not current.counted and view.figures() and len(view.entries) > 1:
            lines.append("The numbers are those since the workers began to count, not since this deployment")
        lines += ["", *_absences(view), *_rollback(view)]
    return [*lines, "", *_worker_lines(view.workers, current)]


def _rows(view: _View) -> list[list[str]]:
    rows = []
    for it in _versions(view):
        share = styled(percent(it["percentage"]), "good") if it["percentage"] else "staged"
        observed = f"{it['observed']:.1f} % ({amount(it['new_keys'])})" if it["observed"] is not None else "-"
        errors = _with_rate(it["app_errors"], it["app_error_rate"])
        missing = _with_rate(it["missing_assets"], it["missing_rate"])
        numbers = [observed, _number(it["pages"]), errors, missing, _number(it["rescues"])]
        rows.append([styled(it["id"], "version"), share, *numbers])
    return rows


def _number(count: int | None) -> str:
    return "-" if count is None else amount(count)


def _with_rate(count: int | None, rate: float | None) -> str:
    return f"{amount(count)} ({_ratio(rate)})" if count and rate is not None else _number(count)


def _ratio(part: float) -> str:
    """Return a part of a whole as a percentage with two digits.

    >>> _ratio(0.5), _ratio(0.0123), _ratio(0.000012), _ratio(0)
    ('50 %', '1.2 %', '0.0012 %', '0 %')
    """
    value = 100 * part
    return f"{value:.0f} %" if value >= TWO_DIGITS else f"{float(f'{value:.2g}'):g} %"


def _absences(view: _View) -> list[str]:
    """Return which versions are not where they should be."""
    gone = [version for version in view.percentages if version not in view.uploaded]
    lines = [styled(f"{short_id(version)} is not in this directory", "bad") for version in gone]
    being_loaded = (version for report in view.workers.live for version in report.loading)
    for version in dict.fromkeys((*view.percentages, *being_loaded)):
        places: dict[tuple[str, str, bool], list[str]] = {}
        for it in view.lacking(version):
            since = it["loading_since"]
            places.setdefault((it["host"], it["reason"], since is not None), []).append(since or "")
        for (host, reason, is_loading), times in places.items():
            who, what = f"{counted(len(times), 'worker')} of {printable(host)}", short_id(version)
            if is_loading:
                verb = "is" if len(times) == 1 else "are"
                text = f"{who} {verb} still loading {what}, since {when(min(times))}"
                lines.append(styled(text, "warning"))
            elif version in view.percentages:
                lines.append(styled(f"{who} without {what}{f': {printable(reason)}' if reason else ''}", "bad"))
    return [*lines, ""] if lines else []


def _rollback(view: _View) -> list[str]:
    """Return what a rollback would do, and the ramp that goes on."""
    ramp, target = active_ramp(view.entries), view.rollback
    lines = []
    if ramp is not None:
        to = f"{ramp.id} to {styled(ramp.plan.version, 'version')} is {ramp.state}"
        lines.append(f"{to}: {command_line('ramp status')} shows its steps and what its guard finds")
    if target is None:
        return [*lines, "A rollback must name its version: no other version has had 100 %"]
    moved = movement(view.percentages, target.percentages).moved
    would = f"{command_line('rollback')} would return to revision {target.revision} ({shares(target.percentages)})"
    if ramp is None:
        version = max(target.percentages, key=target.percentages.__getitem__)
        moved = movement(view.percentages, {version: 100.0}).moved
        give = f"{command_line('rollback')} would give {styled(version, 'version')} to all users"
        would = f"{give}, as in revision {target.revision}"
    return [*lines, f"{would}: {percent(moved)} of the users would move"]


def _worker_lines(workers: Workers, current: Entry | None) -> list[str]:
    if not workers.live:
        return [sentence(none_reports(workers))]
    served_by = ServedBy(current, workers) if current is not None else None
    lines = [styled(sentence(served_by.in_words()) if served_by else "Workers", "strong")]
    rows = [["HOST", "WORKERS", "REVISION", "LAST START (UTC)"]]
    for host in dict.fromkeys(report.host for report in workers.live):
        reports = [report for report in workers.live if report.host == host]
        revisions = sorted({report.revision for report in reports})
        started = max(report.started for report in reports)
        served = listed(map(str, revisions))
        rows.append([printable(host), f"{len(reports):,}", served, short_when(started) if started else "-"])
    say_rows(rows, right=(1,), flexible=(0,), write=lines.append)
    errors = [*(served_by.reasons() if served_by else []), *map(sentence, unreported(workers))]
    return [*lines, *(styled(f"  {reason}", "warning") for reason in errors)]
