"""Counts of responses, exact in each process, and the rate-limited log.

A counter is an ``itertools.count``: advancing it is one call into C that no other thread can interrupt, so counting
takes no lock. Reading takes a lock, because it advances the counter too, which is subtracted again.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Mapping

logger = logging.getLogger("version_affinity")


class Counter:
    """A number that any thread may advance. ``advance()`` adds one; ``value()`` reads it."""

    __slots__ = ("_count", "_lock", "_readings", "advance")

    def __init__(self) -> None:
        self._count = count()
        self._readings = 0
        self._lock = threading.Lock()
        #: Adds one.
        self.advance: Callable[[], int] = self._count.__next__

    def value(self) -> int:
        """Return how often the counter was advanced."""
        with self._lock:
            value = next(self._count) - self._readings
            self._readings += 1
            return value


class CounterFamily(dict[Any, Counter]):
    """Counters by label, made when first asked for. ``family[label].advance()`` counts one."""

    def __missing__(self, label: Hashable) -> Counter:
        # Of two threads that both miss, both get the one that setdefault kept.
        return self.setdefault(label, Counter())

    def values_by_label(self) -> dict[Any, int]:
        """Return the counters that are above zero."""
        read = {label: counter.value() for label, counter in self.copy().items()}
        return {label: value for label, value in read.items() if value}


@dataclass(frozen=True, slots=True)
class Counts:
    """This process's counts since it started; plain numbers.

    Attributes:
        requests: By (version, kind of request, status class such as "2xx", reason). Files that were served by their
            fingerprinted name have the kind "asset" and the reason "name", and count for the version whose copy was
            sent; all else counts for the version decided.
        missing: Assets that no known version has, answered with 404, by the version decided.
        rescues: Files served from another version than the one decided, by (decided, served).
        refused: Overrides and keys that could not be used, by why.
    """

    requests: Mapping[tuple[str, str, str, str], int]
    missing: Mapping[str, int]
    rescues: Mapping[tuple[str, str], int]
    refused: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as lists and objects that JSON can carry."""
        return {
            "requests": [
                {"version": version, "kind": kind, "status": status, "reason": reason, "count": number}
                for (version, kind, status, reason), number in sorted(self.requests.items())
            ],
            "missing": dict(self.missing),
            "rescues": [
                {"decided": decided, "served": served, "count": number}
                for (decided, served), number in sorted(self.rescues.items())
            ],
            "refused": dict(self.refused),
        }


class Counters:
    """The counters of one ``VersionAffinity``. All labels are of known versions, so their number is bounded."""

    __slots__ = ("_requests", "missing", "refused", "rescues")

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, str], Tally] = {}
        self.missing = CounterFamily()
        self.rescues = CounterFamily()
        self.refused = CounterFamily()

    def tally(self, version: str, kind: str, reason: str) -> Tally:
        """Return the counters of such requests by status class."""
        return self._requests.setdefault((version, kind, reason), Tally())

    def forget(self, known: Container[str]) -> None:
        """Drop the counters of all versions but the known ones."""
        _drop(self._requests, lambda label: label[0] in known)
        _drop(self.missing, lambda decided: decided in known)
        _drop(self.rescues, lambda label: label[0] in known and label[1] in known)

    def read(self) -> Counts:
        """Return the counts as they are now."""
        return Counts(
            requests={
                (version, kind, f"{digit}xx", reason): number
                for (version, kind, reason), tally in self._requests.copy().items()
                for digit, number in tally.read().items()
            },
            missing=self.missing.values_by_label(),
            rescues=self.rescues.values_by_label(),
            refused=self.refused.values_by_label(),
        )


def _drop(counters: dict[Any, Any], stays: Callable[[Any], bool]) -> None:
    for label in list(counters):
        if not stays(label):
            counters.pop(label, None)


class Tally(CounterFamily):
    """Responses of one sort by the first digit of their status: ``tally["2"].advance()`` counts one."""

    __slots__ = ("_withdrawn",)

    def __init__(self) -> None:
        super().__init__()
        self._withdrawn = CounterFamily()

    def move(self, before: str, after: str) -> None:
        """Count a response under another digit: an application may call ``start_response`` again with ``exc_info``."""
        self._withdrawn[before].advance()
        self[after].advance()

    def read(self) -> dict[str, int]:
        """Return the counts above zero by first digit."""
        withdrawn = self._withdrawn.values_by_label()
        counted = {digit: number - withdrawn.get(digit, 0) for digit, number in self.values_by_label().items()}
        return {digit: number for digit, number in counted.items() if number}


class LimitedLog:
    """Logs at most ``burst`` lines in a number of seconds, so that a crawler cannot flood the log.

    The first line afterwards says how many lines were left out.
    """

    __slots__ = ("_burst", "_lines", "_seconds", "_since", "level")

    def __init__(self, level: int, *, burst: int = 10, seconds: float = 60) -> None:
        self.level = level
        self._burst = burst
        self._seconds = seconds
        self._since = time.monotonic()
        self._lines = count()

    def __call__(self, message: str, *arguments: object) -> None:
        """Log a message if the limit allows."""
        now = time.monotonic()
        if now - self._since >= self._seconds:
            left_out = next(self._lines) - self._burst
            self._since = now
            self._lines = count()
            if left_out > 0:
                logger.log(self.level, "%d more messages like the next one were left out", left_out)
        if next(self._lines) < self._burst:
            logger.log(self.level, message, *arguments)
