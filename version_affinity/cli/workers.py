"""What commands say about the workers: who serves a deployment, who does not, and why."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from version_affinity.releases.log.entries import LogError
from version_affinity.releases.releases import open_reports
from version_affinity.releases.reports.report import Report, Workers, await_revision

from .interaction import started, waiting
from .output import counted, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.store.directory import ReleasesDirectory


# How many workers a message names.
_NAMED: Final = 5


def read_workers(directory: ReleasesDirectory, log: DeploymentLog) -> Workers:
    """Return the reports of all workers; none if they cannot be read, with the reason as the ``obstacle``."""
    reports = open_reports(directory, log)
    try:
        workers = reports.read()
        return replace(workers, obstacle=reports.obstacle(workers))
    except LogError as error:
        return Workers((), {}, str(error))


def unreported(workers: Workers) -> list[str]:
    """Return a warning if workers of this host may be missing among those that report; nothing if none reports."""
    return [f"workers of this host may be missing: {workers.obstacle}"] if workers.live and workers.obstacle else []


class Patience:
    """How long a command waits for workers at most: one time for all its waits.

    Attributes:
        seconds: The value of ``--wait``.
        left: The seconds that are left.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = float(seconds)

    @contextmanager
    def spent(self) -> Iterator[float]:
        """Count the time of the block; give ``time.monotonic()`` at which it should end."""
        started = time.monotonic()
        try:
            yield started + self.left
        finally:
            self.left = max(0.0, self.left - (time.monotonic() - started))


#: The option ``--wait``, whose value is a ``Patience``.
wait_option = click.option(
    "--wait",
    metavar="SECONDS",
    type=click.IntRange(0, 3600),
    default=20,  # a worker reports within a second; one that was killed on another host counts for 15
    show_default=True,
    callback=lambda _context, _option, seconds: Patience(seconds),
    help="How long to wait for workers that lack a version, and until all serve the deployment. 0: do not wait.",
)


class ServedBy(NamedTuple):
    """Which workers serve a deployment."""

    entry: Entry
    workers: Workers

    @property
    def lagging(self) -> list[tuple[Report, str]]:
        """The workers that do not serve it, and why."""
        return self.workers.lagging(self.entry)

    def in_words(self) -> str:
        """Return "3 of 3 workers serve revision 7", or that there is no worker."""
        if not self.workers.live:
            return none_reports(self.workers)
        return self.workers.serving(self.entry)

    def lag_in_words(self) -> str:
        """Return "1 of 3 workers does not serve it"."""
        lagging = len(self.lagging)
        return (
            f"{lagging} of {counted(len(self.workers.live), 'worker')} {'does' if lagging == 1 else 'do'} not serve it"
        )

    def reasons(self) -> list[str]:
        """Return lines that say which workers do not serve it, and why; one for all of a host with the same reason."""
        lines = self.workers.lag_reasons(self.entry)
        more = [f"and {len(lines) - _NAMED} more: --json lists all"] if len(lines) > _NAMED else []
        return [*lines[:_NAMED], *more]


def worker_list(workers: Workers, entry: Entry | None) -> list[dict[str, Any]]:
    """Return the workers for JSON. ``error`` says why one does not serve a deployment, or cannot read the log."""
    lagging = {report.process: reason for report, reason in workers.lagging(entry)} if entry is not None else {}
    return [
        {
            "host": report.host,
            "pid": report.pid,
            "started": report.started,
            "seen": report.written,
            "revision": report.revision,
            "versions": list(report.versions),
            "loading": dict(report.loading),
            "missing": [version for version in entry.percentages if version not in report.versions] if entry else [],
            "error": lagging.get(report.process) or report.error,
        }
        for report in workers.live
    ]


def none_reports(workers: Workers) -> str:
    """Return that no worker reports, and why as far as this is known."""
    return f"no worker reports: {workers.obstacle or 'no application follows this directory, or it cannot report'}"


def await_workers(directory: ReleasesDirectory, log: DeploymentLog, entry: Entry, patience: Patience) -> ServedBy:
    """Wait until every worker serves a deployment or cannot; return who does.

    Ctrl+C ends the waiting, and says that the deployment is written.
    """
    first = ServedBy(entry, read_workers(directory, log))
    if not first.workers.live:
        return first
    seconds = counted(max(1, round(patience.left)), "second")
    label = f"Waiting until all workers serve revision {entry.revision}, up to {seconds}"
    started(label)
    try:
        with waiting(label), patience.spent():
            workers = await_revision(open_reports(directory, log), entry, patience.left)
            return ServedBy(entry, replace(workers, obstacle=first.workers.obstacle))
    except LogError as error:
        return ServedBy(entry, Workers((), {}, str(error)))
    except KeyboardInterrupt:
        note(f"Revision {entry.revision} is deployed. Only the wait for the workers was interrupted")
        raise click.exceptions.Exit(130) from None
