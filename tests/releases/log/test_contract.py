"""What every log of deployments does, wherever it is: the same tests for the file and for a real Redis."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.budget import budget
from tests.releases.places import FilePlace, Place, RedisPlace
from tests.releases.redis_server import redis_server
from version_affinity.errors import ConfigurationError
from version_affinity.releases.log.entries import (
    DeploymentLog,
    Details,
    Entry,
    LogConflictError,
    LogError,
    LogLostError,
    LogUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.releases.redis_server import RedisServer

# Other tests may have left a thread, and so may what runs them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

SPLIT = {"v1": 90.0, "v2": 10.0}
CREATED = "2026-11-24T05:00:00Z"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One Redis for all tests."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each place of a log, empty."""
    if request.param == "file":
        yield FilePlace(tmp_path_factory.mktemp("log") / "releases")
        return
    with contextlib.closing(RedisPlace(request.getfixturevalue("redis"))) as made:
        yield made


def filled(place: Place, count: int = 2) -> DeploymentLog:
    """Append that many deployments, and return the log that did it."""
    log = place.log()
    for revision in range(count):
        log.append(
            {"v1": 100.0 - revision, "v2": float(revision)},
            expected=revision,
            details=Details(author="ada", message="ramp"),
        )
    return log


def in_processes(*targets: Callable[[], Any]) -> list[Any]:
    """Return what functions return that run in forked processes at the same time."""
    context = multiprocessing.get_context("fork")
    running = []
    for target in targets:
        mine, theirs = context.Pipe(duplex=False)

        def run(target: Callable[[], Any] = target, theirs: Any = theirs) -> None:
            try:
                theirs.send(target())
            except BaseException:  # noqa: BLE001
                theirs.send(traceback.format_exc())

        child = context.Process(target=run)
        child.start()
        theirs.close()
        running.append((child, mine))
    answers = []
    for child, mine in running:
        assert mine.poll(60)
        answers.append(mine.recv())
        mine.close()
        child.join(60)
    return answers


# --- what is written is read ------------------------------------------------------------------------------------------


def test_what_is_appended_is_read(place: Place) -> None:
    """A deployment is read as it was written, with its shares worked out, from any revision on, by anybody."""
    log = place.log()
    first = log.append({"v1": 100}, expected=0, details=Details(created=CREATED))
    second = log.append(
        {"v1": None, "v2": 10}, expected=1, details=Details(author="ada ✓", message="10 %\nof \u2028 users")
    )
    assert (first.revision, first.created, first.author, first.message) == (1, CREATED, "", "")
    assert dict(second.percentages) == {"v1": 90, "v2": 10}
    for reader in (log, place.log()):
        assert [reader.read(after) for after in (-1, 0, 1, 2)] == [[first, second], [first, second], [second], []]


def test_counts_are_kept(place: Place) -> None:
    """What had been counted by a deployment is read as it was written; damage to it makes no deployment unreadable."""
    counted = {"v1": {"pages": 7, "missing": 0}}
    written = place.log().append({"v1": 100}, expected=0, details=Details(counted=counted))
    (read,) = place.log().read()
    assert read == written
    assert (read.counted, written.counted) == (counted, counted)
    for damaged in ("many", {"v1": 7}, {"v1": {"pages": "7"}}, [{}]):
        place.damage(1, document(revision=1, counted=damaged))
        assert not any(place.log().read()[0].counted.values())


def test_an_empty_log(place: Place) -> None:
    """A log that nobody has written to has no deployments, and reading makes none."""
    assert place.log().read() == []
    assert place.history() == []


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=20)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True)
SHARES = st.dictionaries(IDS, st.floats(0, 1) | st.integers(0, 1), min_size=1, max_size=4).filter(
    lambda parts: sum(parts.values()) > 0.001
)


@budget(40)
@given(parts=SHARES, author=TEXTS, message=TEXTS, created=TEXTS)
@example({"v1": 1}, "\udcff", "\ud83d\ude00", "\0")  # two halves, which JSON takes for one character
def test_whatever_is_appended_is_read(place: Place, parts: Any, author: str, message: str, created: str) -> None:
    """Whatever texts and shares a deployment has, everybody reads what its writer was told, also lone surrogates."""
    total = sum(parts.values())
    percentages = {version: min(100 * part / total, 100) for version, part in parts.items()}
    log = place.log()
    expected = len(log.read())
    entry = log.append(percentages, expected=expected, details=Details(author=author, message=message, created=created))
    assert [place.log().read(expected), log.read(expected)] == [[entry]] * 2
    assert entry.created == created
    assert entry.percentages == percentages


@pytest.mark.parametrize(
    "percentages", [{}, {"v1": 99}, {"../v1": 100}, {"v1": float("nan")}, {"v1": "100"}, {1: 100}, None, []]
)
def test_percentages_that_cannot_be_used(place: Place, percentages: Any) -> None:
    """Percentages that no deployment can have are refused before anything is written."""
    with pytest.raises(ConfigurationError):
        place.log().append(percentages, expected=0)
    assert place.history() == []


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            {"details": Details(**said)}
            for said in [{"author": 5}, {"message": None}, {"created": 5}, {"author": b"ada"}]
        ),
        {"expected": -1},
        {"expected": 0.0},
    ],
)
def test_arguments_that_nobody_could_read(place: Place, arguments: dict[str, Any]) -> None:
    """What every reader would take for damage is refused before anything is written."""
    with pytest.raises(LogError):
        place.log().append({"v1": 100}, **{"expected": 0, **arguments})
    assert place.history() == []


def test_the_order_is_that_of_the_revisions(place: Place) -> None:
    """A clock that jumps changes no order and refuses nobody: the times are for people."""
    log = place.log()
    times = ["2026-11-24T05:00:00Z", "2099-01-01T00:00:00Z", "1999-01-01T00:00:00Z", "", "yesterday"]
    for revision, created in enumerate(times):
        log.append({"v1": 100}, expected=revision, details=Details(created=created))
    assert [(entry.revision, entry.created) for entry in place.log().read()] == list(enumerate(times, 1))


def test_the_time_is_told(place: Place) -> None:
    """Unless it is given, the time of writing is in the entry, to the second and in UTC."""
    before = int(time.time())
    created = place.log().append({"v1": 100}, expected=0).created
    times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)) for second in range(before, before + 60)]
    assert created in times


def test_a_long_history(place: Place) -> None:
    """Hundreds of deployments are read from any revision on."""
    log, count = place.log(), 300
    for revision in range(count):
        log.append({"v1": 100}, expected=revision)
    for after in (0, 1, count - 1, count):
        assert [entry.revision for entry in place.log().read(after)] == list(range(after + 1, count + 1))


# --- writers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", [0, 1, 3, 9])
def test_the_log_has_moved_on(place: Place, expected: int) -> None:
    """A writer that has not seen the newest deployment is told its revision, and nothing is written."""
    log = filled(place)
    with pytest.raises(LogConflictError, match="revision 2") as conflict:
        place.log().append(SPLIT, expected=expected)
    assert conflict.value.current_revision == 2
    assert len(log.read()) == 2


def test_two_operators_at_once(place: Place) -> None:
    """Of two processes that deploy on the same revision, one wins and the other is told the newest one, every time."""
    filled(place, 1)

    def operator(name: str) -> list[str]:
        log, outcomes = place.log(), []
        for revision in range(1, 11):
            while len(log.read()) < revision:  # both begin each round together
                pass
            try:
                outcomes.append(log.append(SPLIT, expected=revision, details=Details(author=name)).author)
            except LogConflictError as error:
                outcomes.append("" if error.current_revision > revision else "told something else")
        return outcomes

    one, two = in_processes(lambda: operator("one"), lambda: operator("two"))
    winners = [entry.author for entry in place.log().read(1)]
    assert [sorted(both) for both in zip(one, two, strict=True)] == [["", winner] for winner in winners]


def test_many_writers(place: Place) -> None:
    """Whatever processes write at the same time, each deployment that one was told of is there once, in its place."""

    def write(name: str) -> list[tuple[int, str]]:
        log, done = place.log(), []
        while len(done) < 10:
            message = f"{name} {len(done)}"
            with contextlib.suppress(LogConflictError):
                done.append(
                    (log.append(SPLIT, expected=len(log.read()), details=Details(message=message)).revision, message)
                )
        return done

    written = in_processes(*(lambda name=name: write(name) for name in "abcd"))
    told = sorted(entry for done in written for entry in done)
    assert [(entry.revision, entry.message) for entry in place.log().read()] == told
    assert [revision for revision, _ in told] == list(range(1, 41))


def test_threads_share_a_log(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One log may be read and written by several threads at once: nobody takes what another has just seen for lost."""
    monkeypatch.setattr(os, "fsync", int)  # it is about what is in memory, and many deployments of it
    log = filled(place)
    ended, failed = threading.Event(), list[BaseException]()

    def read() -> None:
        try:
            seen = 2
            while not ended.is_set():
                seen += len(log.read(seen))
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for revision in range(2, 200):
            log.append(SPLIT, expected=revision)
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
        sys.setswitchinterval(interval)
    assert failed == []
    assert len(log.read()) == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_goes_on(place: Place) -> None:
    """A log that was used before a fork is as good in the child, and in its parent afterwards."""
    log = filled(place)

    def child() -> tuple[int, int]:
        return len(log.read()), log.append(SPLIT, expected=2).revision

    assert in_processes(child) == [(2, 3)]
    assert [entry.revision for entry in log.read(1)] == [2, 3]
    assert log.append(SPLIT, expected=3).revision == 4


# --- what goes wrong --------------------------------------------------------------------------------------------------


def document(**changes: Any) -> bytes:
    """Return the document of the first deployment with some changes."""
    return json.dumps({"revision": 1, "percentages": {"v1": 100}, "created": CREATED, **changes}).encode()


DAMAGED = [
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff",
    b"\0" * 60,
    b"[" * 100_000,
    document(revision=2),
    document(revision="1"),
    document(revision=True),
    document(revision=0),
    document(percentages={}),
    document(percentages={"v1": 99}),
    document(percentages={"../v1": 100}),
    document(percentages=[["v1", 100]]),
    document(created=None),
    document(author=5),
    document(ramp="ramp-3"),
]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_deployment_is_told(place: Place, text: bytes) -> None:
    """What is no deployment, or not the one of its place, is an error that names the place; nothing is written."""
    log = filled(place)
    place.damage(1, text)
    before = place.history()
    for use in (place.log().read, lambda: place.log().append(SPLIT, expected=2)):
        with pytest.raises(LogError, match=r"line 1 |1-0 ") as error:
            use()
        assert len(str(error.value)) < 1000
        assert log.description in str(error.value)
    assert place.history() == before


def test_a_ramp_is_kept(place: Place) -> None:
    """An entry's ramp is read as it was written; another ramp is another deployment; without one there is none."""
    log = filled(place)
    ramp = {"id": "ramp-3", "state": "running", "plan": {"steps": [1, 99.5], "later": None}}
    written = log.append(SPLIT, expected=2, details=Details(ramp=ramp))
    log.append(SPLIT, expected=3)
    found = place.log().read(2)
    assert [entry.ramp for entry in found] == [ramp, None]
    assert found[0].agrees(written)
    assert found[0].agrees(replace(written, ramp=None))
    assert not found[0].agrees(replace(written, ramp={**ramp, "state": "held"}))
    assert b"ramp" not in place.history()[3]


def test_what_a_later_release_adds_is_no_damage(place: Place) -> None:
    """A deployment that says more than is known here is read all the same."""
    filled(place)
    place.damage(1, document(gradual={"step": 10}))
    assert [entry.percentages["v1"] for entry in place.log().read()] == [100, 99]


def test_a_log_that_is_lost(place: Place) -> None:
    """Who has seen deployments is told that they are gone, and nothing is begun anew over them, until they are back."""
    log = filled(place)
    history = log.read()
    place.lose()
    for read in (lambda: log.read(2), log.read, lambda: place.log().read(2)):
        with pytest.raises(LogLostError, match="revision 2 was there"):
            read()
    for expected in (0, 2):
        with pytest.raises(LogLostError, match="Restore"):
            log.append(SPLIT, expected=expected)
    with pytest.raises(LogConflictError) as conflict:
        place.log().append(SPLIT, expected=2)
    assert conflict.value.current_revision == 0
    assert place.history() == []

    place.restore(history)
    assert log.read() == place.log().read() == history
    assert log.append(SPLIT, expected=2).revision == 3


@pytest.mark.parametrize("more", [0, 1])
def test_another_history(place: Place, more: int) -> None:
    """A history that was begun anew and is as long as the one that was read, or longer, is not taken for it."""
    log = filled(place)
    place.lose()
    other = place.log()
    for revision in range(2 + more):
        other.append({"v9": 100}, expected=revision)
    for after in (0, 1, 2):
        with pytest.raises(LogLostError):
            log.read(after)
    with pytest.raises((LogLostError, LogConflictError)):
        log.append(SPLIT, expected=2)
    assert len(place.history()) == 2 + more


def test_a_log_that_is_away(place: Place) -> None:
    """While it is out of reach, every use says so and where it is; when it is back, all is there and it goes on."""
    log = filled(place)
    history = log.read()
    with place.away():
        for use in (log.read, lambda: log.append(SPLIT, expected=2), place.log().read):
            with pytest.raises(LogUnavailableError) as error:
                use()
            assert log.description in str(error.value)
    assert log.read() == history
    assert log.append(SPLIT, expected=2).revision == 3


def test_a_closed_log_opens_again(place: Place) -> None:
    """A log that was closed and is asked all the same answers."""
    log = filled(place)
    log.close()
    log.close()
    assert len(log.read()) == 2


def test_entries_stay_as_they_are(place: Place) -> None:
    """What a log returns is the caller's: to change the list, or what the percentages were made of, changes no log."""
    log, percentages = place.log(), {"v1": 100.0}
    entry = log.append(percentages, expected=0)
    percentages["v1"] = 1.0
    log.read().clear()
    assert log.read() == [entry]
    assert entry == Entry(1, {"v1": 100.0}, entry.created, log_id=entry.log_id, name=entry.name)
    with pytest.raises(TypeError):
        entry.percentages["v1"] = 1  # type: ignore[index] # which is the point
