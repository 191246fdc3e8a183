"""How a process reports itself: when, under which id, and what happens where it cannot."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from tests.releases.reports.reporting import KEY, KNOWN, Process
from version_affinity.releases.log.entries import LogUnavailableError
from version_affinity.releases.reports import reporter as module
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.reporter import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from version_affinity.releases.reports.report import Report


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that is moved on by hand."""
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    return move


def test_when_a_process_reports(
    clock: Callable[[float], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, then when something has changed, but once a second at most; and every few seconds in any case."""
    monkeypatch.setattr(module, "SHORTEST", 1.0)
    process = Process(FileReports(tmp_path))
    assert process.report() is not None
    process.add()
    clock(0.9)
    assert process.report() is None
    clock(0.1)
    report = process.report()
    assert report is not None
    assert (report.number, report.counts) == (2, {KEY: 1})
    clock(1)
    assert process.report() is None
    assert process.report(WorkerState(revision=2)) is not None
    clock(4.9)
    assert process.report(WorkerState(revision=2)) is None
    clock(0.2)
    assert process.report(WorkerState(revision=2)) is not None


class Unreliable(FileReports):
    """Files of which the answer is sometimes an error, before or after they were written."""

    error = ""
    is_written = False

    def write(self, report: Report, *, is_first: bool) -> int | None:
        """Write, or not."""
        folded = super().write(report, is_first=is_first) if self.is_written or not self.error else None
        if self.error:
            raise LogUnavailableError(self.error)
        return folded


@pytest.mark.parametrize("is_written", [False, True])
def test_reports_that_cannot_be_written(
    clock: Callable[[float], None], tmp_path: Path, caplog: pytest.LogCaptureFixture, is_written: bool
) -> None:
    """One warning says so, and nothing is lost or counted twice when they can be written again."""
    caplog.set_level(logging.INFO)
    reports = Unreliable(tmp_path)
    process = Process(reports)
    process.add()
    process.report()
    reports.error, reports.is_written = "the disk is full", is_written
    for error in ("the disk is full", "the disk is still full"):
        reports.error = error
        process.add()
        clock(1)
        process.report()
        assert process.reporter.error == error
    reports.error = ""
    for _ in range(2):
        clock(1)
        process.report()
    assert process.reporter.error == ""
    assert reports.read().counts == {KEY: 3}
    assert [(it.levelname, it.getMessage()) for it in caplog.records] == [
        (
            "WARNING",
            "this host cannot report, so commands do not show what its workers serve and count: the disk is full",
        ),
        ("INFO", "this host can report again"),
    ]


def test_the_last_report(tmp_path: Path) -> None:
    """It has all that was counted, is written at once and once, and its process runs no more."""
    reports = FileReports(tmp_path)
    process = Process(reports)
    process.report()
    process.add()
    for _ in range(2):
        process.reporter.finish(WorkerState(), KNOWN)
    workers = reports.read()
    assert workers.live == ()
    assert workers.counts == {KEY: 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork(tmp_path: Path) -> None:
    """A child reports under an id of its own what it has counted itself."""
    reports = FileReports(tmp_path)
    process = Process(reports)
    process.add(5)
    process.report()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            process.reporter.begin_if_forked()
            process.add(2)
            report = process.report()
            assert report is not None
            assert (report.counts, report.pid, report.parent) == ({KEY: 2}, os.getpid(), parent)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    workers = reports.read()
    assert workers.counts == {KEY: 7}
    assert [report.pid for report in workers.live] == [os.getpid()]
