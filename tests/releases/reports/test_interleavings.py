"""Processes that report, fold and read in any interleaving, killed anywhere: sums never go down, and are exact.

The processes are real, and led line by line (``stepping.py``).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from tests.budget import budget
from tests.releases.redis_server import redis_server
from tests.releases.reports.reporting import GONE, KEY, KNOWN, FilePlace, Process, RedisPlace
from tests.releases.stepping import Led, lines_of
from version_affinity.releases.reports import files, reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # Other tests may have left a thread, and so may what runs them.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

#: A course that fails is told as it was found: to look for a shorter one takes minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
#: How often a process counts and reports, or folds, or reads.
ROUNDS = 3


@pytest.fixture(autouse=True)
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process report and fold as often as it is asked to."""
    monkeypatch.setattr(reporter, "SHORTEST", 0.0)
    monkeypatch.setattr(files, "FOLDING", 0.0)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisPlace]:
    """One Redis for all tests."""
    with redis_server() as server, contextlib.closing(RedisPlace(server)) as made:
        yield made


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.servers)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> FilePlace | RedisPlace:
    """Each place of reports."""
    if request.param == "redis":
        place: RedisPlace = request.getfixturevalue("redis")
        place.forget()
        return place
    return FilePlace(tmp_path)


def led(work: Any, where: FilePlace | RedisPlace) -> Led:
    """Return a process that is led through the lines of the place."""
    return Led(work, *modules(where))


def modules(where: FilePlace | RedisPlace) -> tuple[ModuleType, ...]:
    """Return the modules whose lines are the steps."""
    if isinstance(where, FilePlace):
        return (files,)
    from version_affinity.releases.reports import redis as redis_reports  # noqa: PLC0415 - an extra

    return (redis_reports,)


def counted(where: FilePlace | RedisPlace) -> int:
    """Return what all processes have counted."""
    return where.reports().read().counts.get(KEY, 0)


def seemingly_gone(where: FilePlace | RedisPlace) -> int:
    """Count and report, while all others take this process for gone; return what it has counted."""
    process = Process(where.reports())
    for _ in range(ROUNDS):
        process.add()
        process.report(lifetime=GONE)
    return process.counts[KEY]


def fold(where: FilePlace | RedisPlace) -> None:
    """Fold again and again."""
    for _ in range(ROUNDS):
        if isinstance(where, FilePlace):
            where.reports().fold(KNOWN)  # under its lock
        else:
            where.fold()


def read(where: FilePlace | RedisPlace) -> list[int]:
    """Read again and again."""
    return [counted(where) for _ in range(ROUNDS)]


def test_interleavings(where: FilePlace | RedisPlace) -> None:
    """However processes that report, fold and read interleave, no sum goes down, and the last one is exact."""

    @budget(40, phases=PHASES)
    @given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), min_size=30, max_size=150))
    def run(steps: list[tuple[int, int]]) -> None:
        if where.count() or counted(where):
            where.forget()
        works = [seemingly_gone, seemingly_gone, fold, fold, read, read]
        processes = [led(lambda work=work: work(where), where) for work in works]
        for which, lines in steps:
            processes[which].lead(lines)
        for process in processes:
            while process.lead(1000):
                pass
        outcomes = [process.outcome for process in processes]
        assert not [it for it in outcomes if isinstance(it, BaseException)], outcomes
        for sums in outcomes[4:]:
            assert sums == sorted(sums)
        assert counted(where) == 2 * ROUNDS
        where.fold()
        assert (where.count(), counted(where)) == (0, 2 * ROUNDS)

    run()


@pytest.mark.slow
def test_a_folding_that_is_killed_anywhere(where: FilePlace | RedisPlace) -> None:
    """Wherever a process is killed that folds, the sum stays, another one goes on, and nothing is left of it."""

    def prepare() -> None:
        for lifetime in (GONE, 15.0, GONE):
            process = Process(where.reports())
            process.add(2)
            report = process.reporter.draft(reporter.WorkerState())
            assert report is not None
            where.reports().write(replace(report, lifetime=lifetime), is_first=True)

    prepare()
    lines = lines_of(where.fold, *modules(where))
    assert counted(where) == 6
    for line in range(0, lines, 1 if isinstance(where, FilePlace) else 3):
        where.forget()
        prepare()
        process = led(where.fold, where)
        process.lead(line)
        process.kill()
        assert counted(where) == 6
        where.fold()
        assert (where.count(), counted(where)) == (1, 6)


def test_reports_of_a_process_that_is_killed_anywhere(where: FilePlace | RedisPlace) -> None:
    """Wherever a process is killed that reports, what it had reported before stays in the sum, once."""
    lines = lines_of(lambda: seemingly_gone(where), *modules(where))
    for line in range(0, lines, 3):
        where.forget()
        before = counted(where)
        process = led(lambda: seemingly_gone(where), where)
        process.lead(line)
        before = counted(where)
        process.kill()
        assert before <= counted(where) <= ROUNDS
        before = counted(where)
        where.fold()
        assert counted(where) == before
        assert where.count() == 0
