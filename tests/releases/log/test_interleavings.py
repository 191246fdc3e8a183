"""Writers and readers of a log in any interleaving, killed anywhere: what is there is a prefix of a valid history.

The processes are real, and led line by line (``stepping.py``).
"""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from tests.budget import budget
from tests.releases.places import FilePlace, Place, RedisPlace
from tests.releases.redis_server import redis_server
from tests.releases.stepping import Led, lines_of
from version_affinity.releases.log.entries import Details, Entry, LogConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from tests.releases.redis_server import RedisServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # Other tests may have left a thread, and so may what runs them.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

SPLIT = {"v1": 90.0, "v2": 10.0}
#: How many processes there are at once, at most.
AT_ONCE = 4
#: A course that fails is told as it was found: to look for a shorter one takes minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One Redis for all tests."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["file", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of log."""
    return request.param


@contextlib.contextmanager
def new_place(
    kind: str, request: pytest.FixtureRequest, directory: Path
) -> Iterator[tuple[Place, tuple[ModuleType, ...]]]:
    """Give an empty place of a log, and the modules of its own."""
    if kind == "file":
        yield FilePlace(directory), ()
        return
    from version_affinity.releases.log import connection as redis_connection  # noqa: PLC0415 - an extra
    from version_affinity.releases.log import redis as redis_log  # noqa: PLC0415 - an extra

    with contextlib.closing(RedisPlace(request.getfixturevalue("redis"))) as place:
        yield place, (redis_log, redis_connection)


class Course:
    """Processes around one log, and all that was ever seen of it.

    Args:
        place: Where the log is.
        modules: The modules of its own.
    """

    def __init__(self, place: Place, modules: tuple[ModuleType, ...]) -> None:
        self._place = place
        self._modules = modules
        self._follower = place.log()
        self._numbers = itertools.count()
        self._running: list[tuple[Led, str, int]] = []
        #: What is written for each deployment, as it was seen last: it may only grow.
        self.history: list[bytes] = []
        #: The messages of the deployments, in their order.
        self.messages: list[str] = []
        self.acknowledged: set[tuple[int, str]] = set()
        self.refused: set[str] = set()
        self._seen: list[tuple[int, list[str]]] = []

    def start_writer(self) -> None:
        """Begin to read the newest revision and to deploy after it, unless there is enough going on."""
        if len(self._running) == AT_ONCE:
            return
        message = f"deployment {next(self._numbers)}"

        def write() -> Entry:
            log = self._place.log()
            return log.append(SPLIT, expected=len(log.read()), details=Details(message=message, created=""))

        self._running.append((Led(write, *self._modules), message, 0))

    def start_reader(self) -> None:
        """Begin to read the log twice with what a reader keeps in between, unless there is enough going on."""
        if len(self._running) == AT_ONCE:
            return

        def read() -> list[list[str]]:
            log = self._place.log()
            first = log.read()
            return [[it.message for it in first], [it.message for it in (*first, *log.read(len(first)))]]

        self._running.append((Led(read, *self._modules), "", len(self.messages)))

    def lead(self, number: int, lines: int) -> None:
        """Lead one of the processes on."""
        if self._running:
            self._running[number % len(self._running)][0].lead(lines)
            self.look()

    def kill(self, number: int) -> None:
        """Kill one of the processes where it is."""
        if self._running:
            self._running.pop(number % len(self._running))[0].kill()
            self.look()

    def look(self) -> None:
        """Look at everything: the log itself, what a follower and a new reader see of it, and who has ended."""
        history = self._place.history()
        if isinstance(self._place, FilePlace) and not self._place.file.read_bytes().endswith(b"\n"):
            history = history[:-1]  # of a line that has no newline yet
        assert history[: len(self.history)] == self.history
        self.history = history
        with contextlib.closing(self._place.log()) as log:
            entries = log.read()
        assert [entry.revision for entry in entries] == list(range(1, len(history) + 1))
        assert self._follower.read() == entries
        self.messages = [entry.message for entry in entries]
        for process, message, before in [it for it in self._running if not it[0].is_alive]:
            outcome = process.outcome
            if isinstance(outcome, Entry):
                self.acknowledged.add((outcome.revision, message))
            elif isinstance(outcome, LogConflictError):
                self.refused.add(message)
            else:
                assert isinstance(outcome, list), outcome
                self._seen += [(before, seen) for seen in outcome]
        self._running = [it for it in self._running if it[0].is_alive]
        assert self.acknowledged <= set(enumerate(self.messages, 1))

    def end(self, *, kill: bool) -> None:
        """Kill all that are still running, or lead each to its end; then check what all of them have seen."""
        while self._running:
            if kill:
                self.kill(0)
            else:  # in turn: one may wait for another
                for process, *_ in self._running:
                    process.lead(100)
                self.look()
        self.look()
        assert len(set(self.messages)) == len(self.messages)
        assert not self.refused & set(self.messages)
        for before, seen in self._seen:
            assert seen == self.messages[: len(seen)]
            assert len(seen) >= before
        # And it goes on.
        log = self._place.log()
        assert (
            log.append(SPLIT, expected=len(self.messages), details=Details(message="last")).revision
            == len(self.messages) + 1
        )
        assert [entry.message for entry in self._follower.read()] == [*self.messages, "last"]


#: What happens next, to which process, and for how many lines it is led on: more than a whole deploy has, or a few.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*["lead"] * 8, "kill", "writer", "reader"]),
        st.integers(0, AT_ONCE - 1),
        st.sampled_from([1, 2, 5, 10, 20, 40, 80, 120, 160, 400]),
    ),
    min_size=15,
    max_size=40,
)


def take(place: Place, modules: tuple[ModuleType, ...], steps: list[Any], *, kill: bool) -> None:
    """Take a course of steps."""
    place.log().append(SPLIT, expected=0, details=Details(message="first"))
    course = Course(place, modules)
    course.look()
    try:
        course.start_writer()
        course.start_writer()
        for name, process, lines in steps:
            if name == "lead":
                course.lead(process, lines)
            elif name == "kill":
                course.kill(process)
            elif name == "writer":
                course.start_writer()
            else:
                course.start_reader()
    finally:
        course.end(kill=kill)


@budget(60, phases=PHASES)
@given(steps=STEPS, kill=st.booleans())
def test_any_interleaving_in_a_file(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, steps: list[Any], kill: bool
) -> None:
    """However writers and readers take turns and are killed: at any moment, everybody sees a prefix of one history.

    What a writer was told of is there for good, what it was refused is not, and no earlier byte ever changes.
    """
    with new_place("file", request, tmp_path_factory.mktemp("log") / "releases") as (place, modules):
        take(place, modules, steps, kill=kill)


@budget(12, phases=PHASES)
@given(steps=STEPS, kill=st.booleans())
def test_any_interleaving_in_redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, steps: list[Any], kill: bool
) -> None:
    """The same in Redis."""
    with new_place("redis", request, tmp_path_factory.mktemp("log") / "releases") as (place, modules):
        take(place, modules, steps, kill=kill)


def test_a_deploy_that_is_killed_anywhere(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Wherever a deploy is killed, it is done or not done, nothing else has changed, and the next one works at once."""
    with new_place(kind, request, tmp_path / "releases") as (place, modules):
        for revision in range(2):
            place.log().append(SPLIT, expected=revision, details=Details(message="before"))
        history = place.log().read()

        def deploy() -> Entry:
            return place.log().append(SPLIT, expected=2, details=Details(message="killed", created=""))

        outcomes = []
        stride = 1 if kind == "file" else 6  # Redis does in one step what a file takes many for
        for lines in range(1, lines_of(deploy, *modules) + stride + 1, stride):
            place.lose()
            place.restore(history)
            before = place.history()
            with contextlib.closing(place.log()) as follower, contextlib.closing(place.log()) as log:
                assert follower.read() == history
                process = Led(deploy, *modules)
                process.lead(lines)
                process.kill()
                entries = follower.read()
                assert entries == log.read()
                assert [entry.message for entry in entries[2:]] in ([], ["killed"])
                assert process.outcome in (None, *entries[2:])
                assert log.append(SPLIT, expected=len(entries)).revision == len(entries) + 1
                assert follower.read(len(entries)) == log.read(len(entries))
            assert place.history()[:2] == before
            outcomes.append(len(entries))
    assert outcomes == sorted(outcomes)  # from one line on, it is done
    assert set(outcomes) == {2, 3}


def test_a_reader_while_a_torn_line_is_replaced(tmp_path: Path) -> None:
    """A reader that is in the middle of a line which a crash has left, when a writer replaces it, sees no mixture."""
    place = FilePlace(tmp_path / "releases")
    place.log().append(SPLIT, expected=0, details=Details(message="first"))
    before = place.file.read_bytes()
    place.log().append(SPLIT, expected=1, details=Details(message="torn deployment", created="then"))
    torn = place.file.read_bytes()[:-1]

    def read() -> list[str]:
        return [entry.message for entry in place.log().read()]

    seen = []
    for lines in range(1, 1000):
        place.file.write_bytes(torn)
        reader = Led(read)
        going_on = reader.lead(lines)
        place.log().append(SPLIT, expected=1, details=Details(message="true deployment", created="now!"))
        while reader.lead(1000):
            pass
        seen.append(reader.outcome)
        assert place.file.read_bytes().startswith(before)
        if not going_on:
            break
    assert sorted(seen, reverse=True) == seen  # from one line on, it is too early to see the second one
    assert {len(messages) for messages in seen} == {1, 2}
    assert set(map(tuple, seen)) == {("first",), ("first", "true deployment")}
