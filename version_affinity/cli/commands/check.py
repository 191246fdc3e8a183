"""``check``: find what is broken in a build before it goes live."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from version_affinity.assets.static import StaticAssets
from version_affinity.cli.context import build_options, current_target, target_options
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.groups import command
from version_affinity.cli.options import check_given, form
from version_affinity.cli.preflight import live_of, remedy, unchecked, uploaded_build
from version_affinity.cli.states import PRUNABLE, version_states
from version_affinity.cli.terminal.output import aligned, emit, json_option, say, styled
from version_affinity.cli.terminal.progress import progress
from version_affinity.cli.terminal.text import counted, listed, percent, size
from version_affinity.deployment import check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.wire import printable

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.checking import BuildReport
    from version_affinity.cli.context import BuildOptions


class _Subject(NamedTuple):
    """What is checked, and what it is compared with.

    Attributes:
        name: What is checked, for people.
        build: Its files.
        known: The known versions, by id.
        live: The version that it is compared with: the one that most users have, besides this one; None without one.
        share: The percentage of the users who have it; None where another version was named.
    """

    name: str
    build: StaticAssets
    known: Mapping[str, StaticAssets]
    live: str | None = None
    share: float | None = None


class _Finding(NamedTuple):
    """Something in a file: where, whether it keeps the build from being deployed, and what it is."""

    file: str
    line: int
    is_bad: bool
    text: str


def _check_build(build: str) -> None:
    check_given(build)
    if not Path(build).is_dir():
        try:
            check_version_id(build)
        except ConfigurationError:
            raise ConfigurationError(f"{build!r} is no directory, and no version's id") from None


@command()
@click.argument("build", metavar="DIRECTORY|ID", callback=form(_check_build), shell_complete=complete_version)
@build_options
@target_options()
@click.option(
    "--against",
    metavar="DIRECTORY|ID",
    callback=form(_check_build),
    shell_complete=complete_version,
    help="Compare with this version in place of the live one. A reference that is broken there too is a warning.",
)
@click.option("--allow-source", is_flag=True, help="Check a directory that looks like a project's source directory.")
@json_option
def check(
    build: str,
    prefix: str | None,
    app_first: tuple[str, ...],
    origins: tuple[str, ...],
    against: str | None,
    allow_source: bool,
    as_json: bool,
) -> None:
    """Find what is broken in a build, in a directory or uploaded, before it goes live.

      version-affinity check dist/
      version-affinity check v2
      version-affinity check dist/ --app-first '/api/*' --json
      version-affinity check dist/ --origin https://cdn.example

    Every reference in its HTML, CSS and JavaScript has to lead to a file of the build, or to a path of the application
    (--app-first), unless it leads nowhere in the live version too; and no fingerprinted name may stand for other bytes
    in a known version. Warnings name traps, such as a service worker that browsers cannot leave, and files that pages
    load under names that stay while their bytes change. It also shows what is new against the live version.

    Exit status: 0 fit to be deployed, 1 something is broken, 2 usage error. "versions deploy" checks the same before a
    version gets its first share.
    """
    try:
        from version_affinity.checking import check_build  # noqa: PLC0415 - an extra
    except (ImportError, ConfigurationError):
        raise RefusedError(missing_extra("check", "check")) from None
    served = current_target().build(prefix, app_first, origins)
    with progress(f"Checking {printable(build)}") as tell:
        subject = _against(_subject(build, allow_source), against)
        live = subject.live
        report = check_build(subject.build, known=subject.known, live=live, **served._asdict(), progress=tell)
    if as_json:
        emit({"build": subject.name, "known": list(subject.known), "live": live, **report.as_dict()})
    else:
        _show(subject, report, served)
    if not report.ok:
        hint = remedy(report, served.prefix)
        raise RefusedError(
            "\n".join(filter(None, [f"{subject.name} is not fit to be deployed: {_counted(report)}", hint]))
        )


def _is_reported(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    return " not served: " not in text and "/package.json is served" not in text


def _directory(build: str, allow_source: bool) -> StaticAssets:
    """Return the build in a directory. The report says which files are not served, so the log need not."""
    logger = logging.getLogger("version_affinity")
    logger.addFilter(_is_reported)
    try:
        return StaticAssets(build, memory=0, allow_source=allow_source)
    finally:
        logger.removeFilter(_is_reported)


def _subject(build: str, allow_source: bool) -> _Subject:
    """Return what is meant: the directory of this name, else the uploaded version."""
    target = current_target()
    is_directory = Path(build).is_dir()
    try:
        directory = target.directory()
    except ConfigurationError:
        if not is_directory or target.releases is not None:
            raise
        return _Subject(build, _directory(build, allow_source), {})  # nothing to compare it with
    entries = target.last_known()
    known = {
        version: uploaded_build(directory, version)
        for version, standing in version_states(directory, entries).items()
        if standing.state != PRUNABLE and (is_directory or version != build)
    }
    live = live_of(entries or (), known, build)
    checked = _directory(build, allow_source) if is_directory else uploaded_build(directory, build)
    return _Subject(build, checked, known, live, entries[-1].percentages[live] if entries and live else None)


def _against(subject: _Subject, against: str | None) -> _Subject:
    """Return what is checked, compared with another version than the live one."""
    if against is None:
        return subject
    if Path(against).is_dir():
        other = StaticAssets(against, memory=0)
    else:
        other = subject.known.get(against) or uploaded_build(current_target().directory(), against)
    return subject._replace(known={**subject.known, against: other}, live=against, share=None)


def _show(subject: _Subject, report: BuildReport, served: BuildOptions) -> None:
    total = report.sizes.total
    say(f"{styled(printable(subject.name), 'strong')}: {counted(total.files, 'file')}, {size(total.size)}")
    churn = report.churn
    if churn is not None:
        parts = (("new", churn.new), ("shared", churn.shared), ("removed", churn.removed))
        told = ", ".join(f"{amount.files:,} {word} ({size(amount.size)})" for word, amount in parts)
        share = "" if subject.share is None else f", which {percent(subject.share)} of the users have"
        say(f"Against {styled(churn.live, 'version')}{share}: {told}")
    by_file: dict[str, list[_Finding]] = {}
    for finding in sorted(_findings(report)):
        by_file.setdefault(finding.file, []).append(finding)
    for file, findings in by_file.items():
        say()
        say(styled(printable(file or "The build"), "strong"))
        rows = [
            [
                str(finding.line or ""),
                styled("broken", "bad") if finding.is_bad else styled("warning", "warning"),
                printable(finding.text),
            ]
            for finding in findings
        ]
        for line in aligned(rows, right=(0,), indent="  "):
            say(line)
    if report.collisions:
        say()
        say(styled("Fingerprinted names with other bytes in a known version", "strong"))
        for collision in report.collisions:
            say(f"  {styled('broken', 'bad')}  {printable(collision.path)}  also in {listed(collision.versions)}")
    left_out = [*unchecked(report, served), *([remedy(report, served.prefix)] if report.ok and report.prefix else [])]
    if left_out:
        say("\n".join(["", *left_out]))
    say()
    if report.ok:
        warned = _counted(report)
        say(f"{styled('Fit to be deployed', 'good')}{f', with {warned}' if warned else ''}.")


def _findings(report: BuildReport) -> Iterable[_Finding]:
    for found in report.broken:
        yield _Finding(found.file, found.line, True, _reference(found))
    for found in report.doubtful:
        yield _Finding(found.file, found.line, False, f"{_reference(found)}; {found.doubt}")
    for notice in report.notices:
        yield _Finding(notice.file, notice.line, False, notice.text)
    for unread in report.faults:
        yield _Finding(unread.file, unread.line, False, unread.reason)
    for unstable in report.unstable:
        text = (
            f"{unstable.path} has other bytes in {listed(unstable.versions)}: which ones a page gets is up to its pin"
        )
        yield _Finding(unstable.file, unstable.line, False, text)


def _reference(found: Any) -> str:
    elsewhere = f" (it is in {listed(found.versions)})" if found.versions else ""
    return f"{found.kind} {found.text}: {found.reason}{elsewhere}"


def _counted(report: BuildReport) -> str:
    counts = (
        (len(report.broken), "broken reference"),
        (len(report.collisions), "collision"),
        (len(report.doubtful) + len(report.faults) + len(report.unstable) + len(report.notices), "warning"),
    )
    return ", ".join(counted(count, noun) for count, noun in counts if count)
