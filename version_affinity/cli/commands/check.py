"""``check``: find broken references in a build before it goes live."""

from __future__ import annotations

import logging
import shutil
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import click

from version_affinity.assets.loading.tree import is_directory
from version_affinity.assets.static import StaticAssets
from version_affinity.cli.context import BuildOptions, command, current_target, known_versions
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.interaction import progress
from version_affinity.cli.options import checked_by, serving_options
from version_affinity.cli.output import (
    counted,
    emit,
    folded,
    is_terminal,
    listed,
    percent,
    say,
    say_heading,
    say_rows,
    short_ids,
    size,
    styled,
    width,
)
from version_affinity.cli.preflight import hints, live_of, unchecked_references, uploaded_build
from version_affinity.deployment import check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.wire import printable

from .completion import complete_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.assets.routing import NotFoundHandling
    from version_affinity.checking import BuildReport
    from version_affinity.releases.store.settings import Serving


class _Subject(NamedTuple):
    """A build, the known versions, and the one that it is compared with: what most users have, or ``--against``."""

    build: StaticAssets
    known: Mapping[str, StaticAssets]
    live: str | None = None
    share: float | None = None


def _check_build(build: str) -> None:
    if not is_directory(build):
        try:
            check_version_id(build)
        except ConfigurationError:
            raise ConfigurationError(f"{build!r} is neither a directory nor the id of a version") from None


@command()
@click.argument("build", metavar="DIRECTORY|ID", callback=checked_by(_check_build), shell_complete=complete_build)
@serving_options()
@click.option(
    "--against",
    metavar="DIRECTORY|ID",
    callback=checked_by(_check_build),
    shell_complete=complete_build,
    help="Compare with this build instead of the live version.",
)
@click.option("--allow-source", is_flag=True, help="Check a directory that looks like a project's source directory.")
def check(build: str, against: str | None, allow_source: bool, serving: Serving, as_json: bool) -> None:
    """Find broken references in a build before it goes live. The build is a directory or an uploaded version.

      version-affinity check dist/
      version-affinity check v2
      version-affinity check dist/ --app-first '/api/*' --json
      version-affinity check dist/ --origin https://cdn.example

    Errors are:
      - a reference in HTML, CSS or JavaScript that leads neither to a file of the build nor to a path of --app-first
      - a fingerprinted file name that stands for other bytes in a known version

    A reference that is broken in the live version too is only a warning.

    Warnings name further risks, such as a service worker that browsers cannot replace. The output also lists how many
    files are new, shared and removed against the live version.

    "versions deploy" makes the same checks before a version gets its first share. Options that you leave out have the
    values in affinity.json (see "version-affinity settings").

    Exit status: 0 no error, 1 errors were found, 2 usage error.
    """
    try:
        from version_affinity.checking import check_build  # noqa: PLC0415 - an extra
    except ImportError:
        raise RefusedError(missing_extra("check", "check")) from None
    served = current_target().build_options(serving)
    build = _meant(build)
    with progress(f"Checking {printable(short_ids(build))}") as step:
        subject = _subject(build, allow_source, served.not_found_handling)
        if against is not None:
            subject = _compared_with(subject, _meant(against))
        known, live = subject.known, subject.live
        report = check_build(subject.build, known=known, live=live, **served.of_check(), progress=step)
    if as_json:
        emit({"build": build, "known": list(known), "live": live, **report.as_dict()})
    else:
        _show(build, subject, report, served)
    if not report.ok:
        message = f"{build} is not fit to be deployed: {_counts(report)}"
        raise RefusedError("\n".join(filter(None, [message, hints(report, served.prefix)])))


def _meant(build: str) -> str:
    """Return the directory of this name, else the id that begins with it."""
    return build if is_directory(build) else current_target().version_id(build)


def _directory(build: str, allow_source: bool, not_found_handling: NotFoundHandling) -> StaticAssets:
    """Return the build in a directory. Warnings about files that are not served are in the report already."""

    def is_not_in_report(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return " not served: " not in text and "/package.json is served" not in text

    logger = logging.getLogger("version_affinity")
    logger.addFilter(is_not_in_report)
    try:
        return StaticAssets(build, memory=0, allow_source=allow_source, not_found_handling=not_found_handling)
    finally:
        logger.removeFilter(is_not_in_report)


def _subject(build: str, allow_source: bool, handling: NotFoundHandling) -> _Subject:
    """Return the directory of this name, else the uploaded version."""
    target = current_target()
    is_given = is_directory(build)
    try:
        directory = target.directory
    except ConfigurationError:
        if not is_given or target.releases is not None:
            raise
        return _Subject(_directory(build, allow_source, handling), {})  # without releases, there is nothing to compare
    entries = target.last_known_entries()
    others = [version for version in known_versions(directory, entries) if is_given or version != build]
    known = {version: uploaded_build(directory, version) for version in others}
    live = live_of(entries or (), known, build)
    checked = _directory(build, allow_source, handling) if is_given else uploaded_build(directory, build, handling)
    return _Subject(checked, known, live, entries[-1].percentages[live] if entries and live else None)


def _compared_with(subject: _Subject, against: str) -> _Subject:
    """Return the subject, compared with the build of ``--against``."""
    if is_directory(against):
        other = StaticAssets(against, memory=0)
    else:
        other = subject.known.get(against) or uploaded_build(current_target().directory, against)
    return subject._replace(known={**subject.known, against: other}, live=against, share=None)


def _show(build: str, subject: _Subject, report: BuildReport, served: BuildOptions) -> None:
    total, churn = report.sizes.total, report.churn
    say(f"{styled(printable(build), 'strong')}: {counted(total.files, 'file')}, {size(total.size)}")
    if churn is not None:
        parts = (("new", churn.new), ("shared", churn.shared), ("removed", churn.removed))
        amounts = ", ".join(f"{amount.files:,} {word} ({size(amount.size)})" for word, amount in parts)
        share = "" if subject.share is None else f", which {percent(subject.share)} of the users have"
        say(f"Against {styled(churn.live, 'version')}{share}: {amounts}")
    broken, warning = styled("broken", "bad"), styled("warning", "warning")
    for file, findings in groupby(sorted(_findings(report)), key=itemgetter(0)):
        say_heading(printable(file or "The build"))
        rows = [[str(line or ""), broken if is_bad else warning, printable(text)] for _, line, is_bad, text in findings]
        say_rows(_folded(rows), right=(0,))
    if report.collisions:
        say_heading("Fingerprinted names with other bytes in a known version")
        for collision in report.collisions:
            say(f"  {broken}  {printable(collision.path)}  also in {listed(collision.versions)}")
    remarks = unchecked_references(report, served)
    if report.ok and report.prefix:
        remarks.append(hints(report, served.prefix))
    if remarks:
        say("\n".join(["", *remarks]))
    say()
    if report.ok:
        warnings = f", with {_counts(report)}" if _counts(report) else ""
        say(f"{styled('Fit to be deployed', 'good')}{warnings}.")


def _folded(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows; on a terminal, a text that is too long goes on in rows below, because it says what helps."""
    if not is_terminal():
        return rows
    taken = (max(2 + width(click.unstyle(row[column])) for row in rows) for column in (0, 1))
    room = shutil.get_terminal_size().columns - sum(taken) - 2
    lines = ((row, number, line) for row in rows for number, line in enumerate(folded(row[2], room)))
    return [[*(("", "") if number else row[:2]), line] for row, number, line in lines]


def _findings(report: BuildReport) -> Iterable[tuple[str, int, bool, str]]:
    """Return the faults: the file, the line, whether it is an error, and a text."""
    for found in (*report.broken, *report.doubtful):
        text = f"{found.kind} {found.text}: {found.reason}"
        text += f" (it is in {listed(found.versions)})" if found.versions else ""
        text += f"; {found.doubt}" if found.doubt else ""
        yield found.file, found.line, not found.doubt, text
    for file, line, text in (*report.notices, *report.faults):
        yield file, line, False, text
    for path, versions, file, line in report.unstable:
        yield file, line, False, f"{path} has other bytes in {listed(versions)}: a page gets those of its pin"


def _counts(report: BuildReport) -> str:
    counts = (
        (len(report.broken), "broken reference"),
        (len(report.collisions), "collision"),
        (len(report.doubtful) + len(report.faults) + len(report.unstable) + len(report.notices), "warning"),
    )
    return ", ".join(counted(count, noun) for count, noun in counts if count)
