"""Timing that survives a busy machine: contestants take turns, rows too, block by block, and medians are compared.

Processor time is measured, so other processes that run in the middle of a block do not count. A contestant's
net time in a round is its time less the null app's in the same round.
"""

from __future__ import annotations

import gc
import random
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _typeshed.wsgi import StartResponse, WSGIApplication

Environ = dict[str, Any]
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Play:
    """What one contestant is asked in a case.

    Attributes:
        app: The contestant.
        base: What all its requests have in common.
        changes: What each request has of its own.
        expected: The right answers, which the requests walk through.
    """

    app: WSGIApplication
    base: Environ
    changes: Sequence[Environ]
    expected: Sequence[Expected]


@dataclass(frozen=True, slots=True)
class Expected:
    """A right answer: the status code, and the lengths that its body may have."""

    status: str
    lengths: frozenset[int]


@dataclass(frozen=True, slots=True)
class Timing:
    """A contestant's times in microseconds per request: ``total``, and ``net`` of the null app; medians of rounds."""

    total: float
    net: float


class WrongAnswerError(Exception):
    """A contestant's answer is not the expected one: its time would mean nothing."""


def check(title: str, contestant: str, play: Play) -> None:
    """Ask every request once, untimed.

    Raises:
        WrongAnswerError: a status or a length is wrong.
    """
    for change, expected in zip(play.changes, cycle(play.expected), strict=False):
        status, _, length = _ask(play.app, play.base | change)
        if status[:3] != expected.status or length not in expected.lengths:
            raise WrongAnswerError(
                f"{title}: {contestant} answers {change!r} with {status!r} and {length} bytes, not with "
                f"{expected.status} and {sorted(expected.lengths)} bytes"
            )


def etag_of(app: WSGIApplication, environ: Environ) -> str:
    """Return the entity tag that a contestant gives a response."""
    _, headers, _ = _ask(app, environ)
    return next(value for name, value in headers if name.lower() == "etag")


def _ask(app: WSGIApplication, environ: Environ) -> tuple[str, Headers, int]:
    """Return an answer's status, headers and length."""
    answers: list[tuple[str, Headers]] = []

    def start_response(status: str, headers: Headers, _exc_info: object = None, /) -> Callable[[bytes], object]:
        answers.append((status, headers))
        return _write

    body = app(environ, start_response)
    length = sum(map(len, body))
    if hasattr(body, "close"):
        body.close()
    ((status, headers),) = answers
    return status, headers, length


class Stopwatch:
    """Times contestants in turns, in a new order each round.

    Args:
        null: The name of the contestant that net times are net of.
    """

    def __init__(self, null: str) -> None:
        self._null = null
        self._samples: dict[str, list[float]] = {}
        self._order = random.Random(1)

    def run(self, plays: Mapping[str, Play], *, rounds: int, block: int) -> None:
        """Time more rounds.

        Args:
            plays: By the contestant's name.
            rounds: How often each takes its turn.
            block: Requests in one turn; turns walk through all requests of a play.
        """
        names = list(plays)
        for name in names:
            self._samples.setdefault(name, [])
        gc.collect()
        gc.freeze()  # collections stay on, and do not walk through what is loaded
        for turn in range(rounds + 1):
            self._order.shuffle(names)
            for name in names:
                play = plays[name]
                first = turn * block % len(play.changes)
                requests = [_received(change) for change in play.changes[first : first + block]]
                elapsed = _drive(play.app, play.base, requests)
                if turn:  # the first turn warms up
                    self._samples[name].append(elapsed * 1e6)
        gc.unfreeze()

    def timings(self) -> dict[str, Timing]:
        """Return every contestant's medians over all rounds."""
        nothing = self._samples[self._null]
        return {
            name: Timing(median(times), median(time - empty for time, empty in zip(times, nothing, strict=True)))
            for name, times in self._samples.items()
        }


def _received(change: Environ) -> Environ:
    """Return a request's own entries as a server has just read them: new strings, not hashed yet."""
    return {name: value.encode("latin-1").decode("latin-1") for name, value in change.items()}


def _drive(app: WSGIApplication, base: Environ, changes: Sequence[Environ]) -> float:
    """Return the seconds per request, with what a server does for each: make the environ, send the answer, close it."""
    start_response: StartResponse = _start_response
    began = thread_time()
    for change in changes:
        body = app(base | change, start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()
    return (thread_time() - began) / len(changes)


def _write(_data: bytes, /) -> object:
    return None


def _start_response(_status: str, _headers: Headers, _exc_info: object = None, /) -> Callable[[bytes], object]:
    return _write
