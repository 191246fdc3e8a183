"""Sums of counters: they never go down, count nothing twice, and put series of versions that are gone together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budget import budget
from tests.releases.reports.reporting import GONE, KEY, KNOWN, Process, place
from version_affinity.counters import sum_counts
from version_affinity.releases.reports import reporter
from version_affinity.releases.reports.report import Report
from version_affinity.releases.reports.totals import NOTED, Total, difference, still_counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.releases.reports.reporting import FilePlace, RedisPlace

#: What may happen, and to which of three processes.
EVENTS = st.tuples(
    st.sampled_from(["count", "count", "report", "report", "go", "fold", "die", "end", "read"]), st.integers(0, 2)
)


@pytest.fixture(scope="module", params=["file", pytest.param("redis", marks=pytest.mark.servers)])
def where(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilePlace | RedisPlace]:
    """Each place of reports."""
    with place(request.param, tmp_path_factory.mktemp("reports")) as made:
        yield made


@pytest.fixture(autouse=True)
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process report as often as it is asked to."""
    monkeypatch.setattr(reporter, "SHORTEST", 0.0)


@budget(150)
@given(events=st.lists(EVENTS, max_size=40))
def test_any_order(where: FilePlace | RedisPlace, events: list[tuple[str, int]]) -> None:
    """In whatever order processes count, report, seem to be gone, end and are folded: the sum is what was reported."""
    reports = where.reports()
    if reports.read().counts:
        where.forget()
    processes = [Process(reports) for _ in range(3)]
    expected, past = [0, 0, 0], 0
    for event, which in events:
        process = processes[which]
        if event == "count":
            process.add()
        elif event in ("report", "go"):
            process.report(lifetime=GONE if event == "go" else 15.0)
            expected[which] = process.counts.get(KEY, 0)
        elif event == "fold":
            where.fold()
        elif event == "read":
            reports.read()
        else:
            if event == "end":
                process.reporter.finish(reporter.WorkerState(), KNOWN)
                expected[which] = process.counts.get(KEY, 0)
            past += expected[which]
            expected[which] = 0
            processes[which] = Process(reports)
        assert reports.read().counts.get(KEY, 0) == past + sum(expected)


def test_a_process_that_was_suspended(where: FilePlace | RedisPlace) -> None:
    """It counts as gone meanwhile; then it goes on under a new id, with what it has counted since."""
    where.reports().read() and where.forget()
    process = Process(where.reports())
    process.add(3)
    first = process.report(lifetime=GONE)
    where.fold()
    assert where.count() == 0
    process.add(2)
    second = process.report()
    assert first is not None
    assert second is not None
    assert first.process != second.process
    assert second.counts == {KEY: 2}
    assert second.started == first.started
    workers = where.reports().read()
    assert [report.process for report in workers.live] == [second.process]
    assert workers.counts == {KEY: 5}


def test_when_counting_began(where: FilePlace | RedisPlace) -> None:
    """The start of the first process is known after its end, and for how long the sums were counted."""
    where.reports().read() and where.forget()
    process = Process(where.reports())
    process.add()
    report = process.report(lifetime=GONE)
    where.fold()
    assert where.count() == 0
    assert report is not None
    assert where.reports().read().since == report.started != ""


def test_reports_that_were_lost(where: FilePlace | RedisPlace) -> None:
    """Where everything was lost, counting begins anew, and nothing that was counted before is counted again."""
    process = Process(where.reports())
    process.add(3)
    process.report()
    where.forget()
    process.add(2)
    process.report()
    assert where.reports().read().counts == {KEY: 2}


@pytest.mark.parametrize("text", [b"", b"1", b"{}", b"[" * 100_000, b'{"process": []}', b"\xff"])
def test_a_report_that_is_damaged(where: FilePlace | RedisPlace, text: bytes) -> None:
    """What is no report is no process, and hides no other."""
    where.forget()
    process = Process(where.reports())
    process.add()
    process.report()
    where.put("0123456789abcdef", text)
    assert len(where.reports().read().live) == 1
    where.fold()
    assert where.reports().read().counts == {KEY: 1}


def test_versions_that_are_gone(where: FilePlace | RedisPlace) -> None:
    """The total keeps series of versions that somebody knows; those of thousands that come and go are one."""
    where.forget()
    live = Process(where.reports())
    live.add(key="missing|v2")
    live.report(reporter.WorkerState(versions=("v2",)))
    for number in range(5):
        process = Process(where.reports())
        for key in ("missing|v1", "missing|v2", f"missing|old-{number}", "refused|bad-syntax", f"rescues|v1|x{number}"):
            process.add(key=key)
        process.report(lifetime=GONE)
        where.fold(["v1"])
    others = {"missing|other": 5, "rescues|v1|other": 5}
    assert where.reports().read().counts == {"missing|v1": 5, "missing|v2": 6, "refused|bad-syntax": 5, **others}
    where.fold(["v3"])  # v1 has left, and no process has ended since
    others = {"missing|other": 10, "rescues|other|other": 5}
    assert where.reports().read().counts == {"missing|v2": 6, "refused|bad-syntax": 5, **others}


def test_ids_are_noted_within_limits() -> None:
    """Of thousands of processes that came and went, the total notes the last ones."""
    total = Total()
    for number in range(NOTED + 5):
        total = total.with_reports([Report(f"{number:016x}", 1, counts={KEY: 1})], ["v1"])
    assert total.counts == {KEY: NOTED + 5}
    assert len(total.folded) == NOTED
    assert total.with_reports([Report(f"{NOTED:016x}", 2, counts={KEY: 1})], ["v1"]) == total


def test_a_version_that_goes_from_a_process(where: FilePlace | RedisPlace) -> None:
    """Its counts become those of "other", in the process and in what was reported before under another id."""
    where.forget()
    process = Process(where.reports())
    process.counts = {KEY: 3, "missing|v2": 1, "rescues|v2|v1": 2}
    process.report(lifetime=GONE)
    where.fold(["v1", "v2"])
    process.counts = {"missing|v2": 2, "missing|other": 5, "rescues|v2|other": 2}
    report = process.report()
    assert report is not None
    assert report.counts == {"missing|v2": 1, "missing|other": 2}
    assert sum(where.reports().read().counts.values()) == 9


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9))))
def test_sums_and_differences(counts: list[dict[str, int]]) -> None:
    """What is added to a sum is the difference between it and the sum before."""
    before = sum_counts(*counts)
    assert difference(sum_counts(before, {"a": 2, "d": 1}), before) == {"a": 2, "d": 1}
    assert difference(before, before) == {}
    assert difference({"a": 1}, {"a": 5}) == {"a": 1}  # a version that came again
    assert still_counted(before, sum_counts(before, {"a": 1})) == before
