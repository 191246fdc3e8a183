"""Looks in turn: one in each interval, one more for requests that miss something, and none that waits for long."""

from __future__ import annotations

import threading

from tests.releases.followed import until
from version_affinity.releases.follow.threads import Looks

#: An interval that no test waits for.
LONG = 3600.0


class Looking:
    """A thread that looks when it is its turn; it notes each look and can be kept in one."""

    def __init__(self, turns: Looks) -> None:
        self.looks = 0
        self.going_on = threading.Event()
        self.going_on.set()
        self.in_a_look = threading.Event()
        self._looks_of = turns
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while self._looks_of.next():
            self.in_a_look.set()
            assert self.going_on.wait(60)
            self.looks += 1
            self._looks_of.done()

    def __enter__(self) -> Looking:  # noqa: PYI034 - Python 3.10 has no Self
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going_on.set()
        self._looks_of.end()
        self.thread.join(60)
        assert not self.thread.is_alive()


def test_who_asks_gets_a_look() -> None:
    """The look that was asked for has ended when the question is answered, long before it would have been its turn."""
    turns = Looks(LONG)
    with Looking(turns) as looking:
        turns.ask()
        assert looking.looks == 1


def test_one_look_in_an_interval() -> None:
    """Who asks again within the interval gets none, and does not wait."""
    turns = Looks(LONG)
    with Looking(turns) as looking:
        for _ in range(100):
            turns.ask()
        assert looking.looks == 1


def test_a_look_that_has_begun_does_not_count() -> None:
    """It may have seen what was before the question: there is another one after it."""
    turns = Looks(0.01)
    with Looking(turns) as looking:
        looking.going_on.clear()
        looking.in_a_look.clear()
        assert looking.in_a_look.wait(60)
        asking = threading.Thread(target=turns.ask)
        asking.start()
        until(lambda: turns.wanted)
        assert turns.wanted == looking.looks + 2
        looking.going_on.set()
        asking.join(60)
        until(lambda: looking.looks >= turns.wanted)


def test_nobody_waits_for_a_thread_that_hangs() -> None:
    """A question is given up after a moment, and the next ones, which would take minutes, are not even asked."""
    turns = Looks(LONG)
    with Looking(turns) as looking:
        looking.going_on.clear()
        asking = threading.Thread(target=lambda: [turns.ask() for _ in range(1000)], daemon=True)
        asking.start()
        asking.join(60)
        assert not asking.is_alive()
        assert looking.looks == 0


def test_nobody_waits_where_nobody_looks() -> None:
    """Without a thread, a question comes to an end too."""
    turns = Looks(LONG)
    turns.ask()
    turns.end()
    assert not turns.next()


def test_looks_come_by_themselves() -> None:
    """In each interval there is a look that nobody asked for; done() twice ends one look."""
    turns = Looks(0.001)
    for _ in range(3):
        assert turns.next()
        turns.done()
        turns.done()
    turns.ask()
