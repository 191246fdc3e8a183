"""What a report says: which process it is of, whether that runs, and why it does not serve a deployment."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.releases.log.entries import Entry
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.report import Report, Workers, await_revision, birth_of, in_order, machine_id

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef"
LINUX = pytest.mark.skipif(not machine_id(), reason="this system does not say when a process started")
ENTRY = Entry(7, {"v1": 90.0, "v2": 10.0, "v3": 0.0}, "2026-11-24T05:00:00Z")
WHOLE = Report(
    ID,
    3,
    host="web-1",
    pid=4711,
    machine="0a",
    birth="99",
    parent=4710,
    started="2026-11-24T05:00:00Z",
    written="2026-11-24T05:00:01Z",
    lifetime=15.0,
    ended=True,
    revision=7,
    log_revision=8,
    versions=("v1", "v2"),
    unloaded=("v0",),
    failures={"v3": "it has no page"},
    loading={"v4": "2026-11-24T04:59:00Z"},
    error="the log hangs",
    counts={"missing|v1": 3},
    failing="AAEC",
)


def test_a_report_as_text() -> None:
    """A report is read as it was written, with the age that its place knows; what a later release adds is ignored."""
    assert Report.parse(WHOLE.as_text()) == WHOLE
    document = {**json.loads(WHOLE.as_text()), "added": 1}
    assert Report.parse(json.dumps(document), 2.5).age == 2.5  # type: ignore[union-attr]
    assert Report.parse(json.dumps({"process": ID, "number": 1})) == Report(ID, 1)


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda it: json.dumps(it).encode())
)
def test_a_text_that_is_no_report(text: bytes) -> None:
    """Whatever stands there, it raises nothing."""
    assert Report.parse(text) is None


@pytest.mark.parametrize(
    "damage",
    [{"process": None}, {"counts": []}, {"counts": {"a": "b"}}, {"versions": 1}, {"pid": []}, {"lifetime": "x"}],
    ids=str,
)
def test_a_report_with_damage(damage: dict[str, Any]) -> None:
    """A value of another type makes a report a damaged one, or is read as a text."""
    report = Report.parse(json.dumps({**json.loads(WHOLE.as_text()), **damage}))
    assert report is None or report.process == "None"


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({}, False),
        ({"age": 14.0}, False),
        ({"age": 16.0}, True),
        ({"age": -3600.0}, True),  # a clock was set back
        ({"ended": True}, True),
        ({"lifetime": 60.0, "age": 50.0}, False),
        ({"lifetime": math.inf, "age": 1e6}, True),
        ({"lifetime": math.nan}, True),
        ({"machine": "0a", "pid": 1, "birth": "0"}, False),  # another machine's
        ({"machine": "", "pid": 2**30}, False),
    ],
    ids=str,
)
def test_a_process_that_is_gone(changes: dict[str, Any], gone: bool) -> None:
    """A process is gone if it says so, or is silent for too long."""
    assert Report(ID, 1, **changes).is_gone() is gone


@LINUX
def test_a_process_of_this_machine() -> None:
    """One that has ended here is gone at once, also where its id is another process's by now."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        birth = birth_of(process.pid)
        assert birth
        report = Report(ID, 1, pid=process.pid, machine=machine_id(), birth=birth)
        assert not report.is_gone()
        assert Report(ID, 1, pid=process.pid, machine=machine_id(), birth="1").is_gone()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert report.is_gone()  # a zombie
    assert report.is_gone()
    assert Report(ID, 1, pid=0, machine=machine_id(), birth="1").is_gone()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revision": 7, "versions": ("v1", "v2")}, ""),
        ({"revision": 8, "versions": ("v9",)}, ""),
        ({"revision": 8, "error": "the log has lost deployments"}, "the log has lost deployments"),
        ({"revision": 7, "versions": ("v1",), "log_revision": 7}, "it lacks v2"),
        ({"revision": 7, "versions": ("v1",), "log_revision": 7, "unloaded": ("v2",)}, "it has not loaded v2 so far"),
        ({"revision": 7, "versions": ("v1",), "log_revision": 7, "loading": {"v2": ""}}, "it is still loading v2"),
        ({"revision": 6, "log_revision": 7, "loading": {"v1": "", "v2": ""}}, "it is still loading v1, v2"),
        ({"revision": 6, "log_revision": 7, "loading": {"v2": ""}}, "it lacks v1"),
        (
            {"revision": 7, "versions": ("v1",), "failures": {"v2": "it has no page"}, "loading": {"v2": ""}},
            "it cannot load v2: it has no page",
        ),
        ({"revision": 6, "log_revision": 6, "versions": ("v1", "v2")}, "it has read revision 6 so far"),
        (
            {"revision": 6, "log_revision": 6, "versions": ("v1", "v2"), "age": 11.2},
            "it has read revision 6 so far, and has not reported for 11 seconds",
        ),
        ({"revision": 6, "log_revision": 6, "error": "Redis is away", "versions": ("v1",)}, "Redis is away"),
        ({"revision": 6, "log_revision": 7, "versions": ("v1", "v2")}, "it still serves revision 6"),
    ],
)
def test_who_does_not_serve_a_deployment(changes: dict[str, Any], reason: str) -> None:
    """A process serves a deployment if it follows it and has all versions with a share; else it is said why not."""
    report = Report(ID, 1, **changes)
    assert report.lags(ENTRY) == reason
    assert Workers((report,), {}).lagging(ENTRY) == ([(report, reason)] if reason else [])


def test_a_worker_that_loads_a_version() -> None:
    """It does not serve a deployment of that version yet, and may soon: a command goes on waiting."""
    report = Report(ID, 1, revision=6, log_revision=7, versions=("v1",), loading={"v2": "2026-11-24T05:00:00Z"})
    assert report.is_loading("v2")
    assert not report.is_settled(ENTRY)
    assert Workers((report,), {}).lacking(["v1", "v2"]) == {"": {"v2": "it is still being loaded"}}
    failed = replace(report, failures={"v2": "it has no page"})
    assert not failed.is_loading("v2")
    assert failed.is_settled(ENTRY)
    loaded = replace(report, versions=("v1", "v2"))  # and again, since it was uploaded anew
    assert not loaded.is_loading("v2")
    assert report.known == ("v1", "v2")


def test_a_worker_that_waits_for_another_one() -> None:
    """It has all that it needs, and says which versions the others are loading."""
    waiting = Report("0" * 16, 1, revision=6, log_revision=7, versions=("v1", "v2"))
    loading = replace(waiting, process="1" * 16, versions=("v1",), loading={"v2": "", "v9": ""})
    reasons = [reason for _, reason in Workers((waiting, loading), {}).lagging(ENTRY)]
    assert reasons == ["it waits until all workers have loaded v2", "it is still loading v2"]
    assert Workers((waiting,), {}).lagging(ENTRY) == [(waiting, "it still serves revision 6")]


def test_what_hosts_lack() -> None:
    """What one worker of a host lacks, the host lacks; a version that is not loaded before it is deployed is there."""
    reports = (
        Report("0" * 16, 1, "web-1", versions=("v1", "v2")),
        Report("1" * 16, 1, "web-1", versions=("v1",), failures={"v2": "it has no page"}),
        Report("2" * 16, 1, "web-2", versions=("v1",), unloaded=("v2",)),
        Report("3" * 16, 1, "web-3"),
    )
    workers = Workers(reports, {})
    assert workers.lacking(["v1", "v2"]) == {
        "web-1": {"v2": "it has no page"},
        "web-3": {"v1": "it is not there", "v2": "it is not there"},
    }
    assert workers.lacking([]) == {}


def test_in_order() -> None:
    """Processes that run, by host and process id."""
    given_ = [Report("1" * 16, 1, "b", 2), Report("0" * 16, 1, "a", 9), Report("2" * 16, 1, "a", 1, ended=True)]
    assert [(it.host, it.pid) for it in in_order(given_)[0]] == [("a", 9), ("b", 2)]


@pytest.mark.parametrize(("counts", "ended", "shown"), [({}, False, [2]), ({"a": 1}, False, [1, 2]), ({}, True, [1])])
def test_a_process_that_only_starts_others(counts: dict[str, int], ended: bool, shown: list[int]) -> None:
    """A server's master process that loaded the application is none of the workers, unless it serves, or is alone."""
    master, worker = Report("0" * 16, 1, pid=1, counts=counts), Report("1" * 16, 1, pid=2, parent=1, ended=ended)
    workers, masters = in_order([worker, master])
    assert [report.pid for report in workers] == shown
    assert [report.pid for report in masters] == [pid for pid in (1, 2) if pid not in shown and not ended]


def test_waiting_for_a_revision(tmp_path: Path) -> None:
    """The wait ends when all serve it, or cannot; those that have not come so far are named when the time is over."""
    reports = FileReports(tmp_path)
    assert await_revision(reports, ENTRY, 60).live == ()
    reports.write(Report("0" * 16, 1, "a", revision=7, versions=("v1", "v2")), is_first=True)
    reports.write(Report("1" * 16, 1, "b", revision=6, log_revision=6, versions=("v1", "v2")), is_first=True)
    assert [(it.host, reason) for it, reason in await_revision(reports, ENTRY, 0.1).lagging(ENTRY)] == [
        ("b", "it has read revision 6 so far")
    ]
    broken = Report("1" * 16, 2, "b", revision=6, log_revision=7, failures={"v2": "it has no page"})
    timer = threading.Timer(0.3, reports.write, (broken,), {"is_first": False})
    timer.start()
    workers = await_revision(reports, ENTRY, 60)
    timer.join()
    assert [reason for _, reason in workers.lagging(ENTRY)] == ["it cannot load v2: it has no page"]
