"""Looks: one per interval, until they end; a fork ends them only where none is going on or overdue."""

from __future__ import annotations

import threading
import time

from version_affinity.releases.follow.threads import Looks

#: An interval that no test waits for.
LONG = 3600.0


def test_looks_come_by_themselves() -> None:
    """The first one comes when it is due, the next ones an interval after the end of the one before."""
    looks = Looks(0.05, 0.0)
    assert looks.next()
    for _ in range(3):
        ended = time.monotonic()
        assert looks.next()
        assert time.monotonic() - ended >= 0.05


def test_the_end_wakes_who_waits() -> None:
    """A thread that waits for the next look ends at once."""
    looks = Looks(LONG, LONG)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(looks.next()))
    thread.start()
    looks.end()
    thread.join(60)
    assert found == [False]


def test_an_end_between_two_looks() -> None:
    """Idle, and with time to the next look, they end; while one is going on, and when one is overdue, they do not."""
    looks = Looks(LONG, 0.0)
    assert not looks.end_if_idle(), "it is overdue"
    assert looks.next()
    assert not looks.end_if_idle(), "it is going on"
    idle = Looks(LONG, LONG)
    assert idle.end_if_idle()
    assert not idle.next()
