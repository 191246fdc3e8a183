"""Counts of responses, exact in each process, and the rate-limited log.

A counter is an ``itertools.count``: advancing it is one call into C that no other thread can interrupt, so counting
takes no lock. Reading takes a lock, because it advances the counter too, which is subtracted again.
"""

from __future__ import annotations

import collections
import logging
import os
import threading
import time
from array import array
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Hashable, Mapping

logger = logging.getLogger("version_affinity")

#: The label that takes the counts of versions that are not known any more.
OTHER: Final = "other"

_SEPARATOR: Final = "|"
# How many keys are remembered at most: a power of two.
_PLACES: Final = 16_384
# Requests that are being answered count for their version after it is gone, for this many seconds at most. Servers end
# requests that take longer. The counters are kept for the last times that versions went: this many.
_IN_FLIGHT: Final = 60.0
_KEPT: Final = 8
# By the name of a field of ``Counts``: the number of its labels, and how many of them, the first ones, are versions.
_LABELS: Final = {
    "requests": (4, 1),
    "app": (2, 1),
    "new_keys": (1, 1),
    "missing": (1, 1),
    "rescues": (2, 2),
    "refused": (1, 0),
}

# Of all who read counters.
_reading = threading.RLock()


def _after_fork() -> None:
    """Replace the lock in a child process: a thread that held it at the fork does not exist there."""
    global _reading  # noqa: PLW0603
    _reading = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)


class Counter:
    """A number that any thread may advance. ``advance()`` adds one; ``value()`` reads it."""

    __slots__ = ("_count", "_readings", "advance")

    def __init__(self) -> None:
        self._count = count()
        self._readings = 0
        #: Adds one.
        self.advance: Callable[[], int] = self._count.__next__

    def value(self) -> int:
        """Return how often the counter was advanced."""
        with _reading:
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


class RecentKeys:
    """The keys that were counted lately, by their hashes. A key is forgotten when another one takes its place.

    An array takes 128 KiB; sets of as many integers would take several times as much.
    """

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places = array("q", bytes(8 * _PLACES))

    def is_new(self, key: bytes) -> bool:
        """Return whether a key has not come lately, and remember it. Two threads may both hear that it is new."""
        hashed, places = hash(key), self._places
        place = hashed & (_PLACES - 1)
        if places[place] == hashed:
            return False
        places[place] = hashed
        return True


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts since a process started; plain numbers. The counts of versions that are gone are those of "other".

    Attributes:
        requests: By (version, kind of request, status class such as "2xx", reason). Files that were served by their
            fingerprinted name have the kind "asset" and the reason "name", and count for the version whose copy was
            sent; all else counts for the version decided. The answers of the wrapped application are among them.
        app: The answers of the wrapped application alone, by (version decided, status class). One that raises counts
            as 5xx, unless it raises after it has returned its iterable.
        new_keys: Pages that were served to a browser without the affinity cookie and gave it one, by the version
            decided: the first pages of a key or a bucket. During a split their shares are those of the deployment.
            None are counted while a single version has a share, for an override, or with ``cookie=None``. A client
            that refuses cookies counts with each page for which a bucket is drawn. A key counts once, as long as the
            process remembers it: a client with a key that never sends the cookie must not outweigh all others.
        missing: Assets that no known version has, answered with 404, by the version decided.
        rescues: Files served from another version than the one decided, by (decided, served).
        refused: Overrides and keys that could not be used, by why.

    .. versionchanged:: 0.2.0
       ``app``, ``new_keys``, ``decisions``, ``flat`` and ``from_flat``.
    """

    requests: Mapping[tuple[str, str, str, str], int]
    app: Mapping[tuple[str, str], int]
    new_keys: Mapping[str, int]
    missing: Mapping[str, int]
    rescues: Mapping[tuple[str, str], int]
    refused: Mapping[str, int]

    @property
    def decisions(self) -> dict[tuple[str, str], int]:
        """Requests by (version, reason), without files that were served by name."""
        decided: collections.Counter[tuple[str, str]] = collections.Counter()
        for (version, kind, _, reason), number in self.requests.items():
            if kind != "asset":
                decided[version, reason] += number
        return dict(decided)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as lists and objects that JSON can carry."""
        return {
            "requests": _listed(self.requests, "version", "kind", "status", "reason"),
            "app": _listed(self.app, "version", "status"),
            "decisions": _listed(self.decisions, "version", "reason"),
            "new_keys": dict(self.new_keys),
            "missing": dict(self.missing),
            "rescues": _listed(self.rescues, "decided", "served"),
            "refused": dict(self.refused),
        }

    def flat(self) -> dict[str, int]:
        """Return the counts by keys such as "requests|v1|page|2xx|key": ``sum_counts`` adds those of processes.

        >>> Counts.from_flat({"app|v1|5xx": 1, "missing|v1": 2}).flat()
        {'app|v1|5xx': 1, 'missing|v1': 2}
        """
        return {
            _SEPARATOR.join((name, label) if isinstance(label, str) else (name, *label)): number
            for name in _LABELS
            for label, number in getattr(self, name).items()
        }

    @classmethod
    def from_flat(cls, counts: Mapping[str, int]) -> Counts:
        """Return the counts that ``flat`` returned, without keys that this version of the package does not have."""
        found: dict[str, dict[Any, int]] = {name: {} for name in _LABELS}
        for key, number in counts.items():
            name, *labels = key.split(_SEPARATOR)
            if name in _LABELS and len(labels) == _LABELS[name][0]:
                found[name][labels[0] if len(labels) == 1 else tuple(labels)] = number
        return cls(**found)


def _listed(counts: Mapping[Any, int], *names: str) -> list[dict[str, Any]]:
    return [{**dict(zip(names, labels, strict=True)), "count": number} for labels, number in sorted(counts.items())]


def gained(number: int, before: int) -> int:
    """Return what a counter has counted since it had an earlier value. One that is below that value has started anew.

    >>> gained(7, 5), gained(3, 5)
    (2, 3)
    """
    return number - before if number >= before else number


def sum_counts(*counts: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of what ``Counts.flat`` returned, by key."""
    total: collections.Counter[str] = collections.Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def with_others(counts: Mapping[str, int], known: Container[str]) -> dict[str, int]:
    """Return what ``Counts.flat`` returned with ``OTHER`` in place of versions that are not known.

    A series goes with its version, and no sum over all versions goes down.

    >>> with_others({"missing|v1": 1, "missing|v2": 2, "missing|v3": 4}, {"v3"})
    {'missing|other': 3, 'missing|v3': 4}
    """
    total: collections.Counter[str] = collections.Counter()
    for key, number in counts.items():
        name, *labels = key.split(_SEPARATOR)
        versions = _LABELS.get(name, (0, 0))[1]
        kept = [label if label in known or at >= versions else OTHER for at, label in enumerate(labels)]
        total[_SEPARATOR.join((name, *kept))] += number
    return dict(total)


class Counters:
    """The counters of one ``VersionAffinity``. All labels are of known versions, so their number is bounded."""

    __slots__ = ("_dropped", "_gone", "_tallies", "keys", "missing", "new_keys", "refused", "rescues")

    def __init__(self, keys: RecentKeys | None = None) -> None:
        self.keys = RecentKeys() if keys is None else keys
        self._tallies: dict[tuple[str, str, str, bool], Tally] = {}
        # The counters of versions that are gone, the newest last, and the sums of those that were dropped earlier.
        self._dropped: list[_Dropped] = []
        self._gone: dict[str, int] = {}
        self.new_keys = CounterFamily()
        self.missing = CounterFamily()
        self.rescues = CounterFamily()
        self.refused = CounterFamily()

    def tally(self, version: str, kind: str, reason: str, *, of_app: bool = False) -> Tally:
        """Return the counters of such requests by status class. ``of_app``: the wrapped application answers them."""
        return self._tallies.setdefault((version, kind, reason, of_app), Tally())

    def forget(self, known: Collection[str]) -> None:
        """Count all versions but the known ones as ``OTHER``, those of requests that are being answered included."""
        kept, gone = frozenset(known), Counters(self.keys)  # keys of its own would take memory
        with _reading:
            _move(self._tallies, gone._tallies, lambda label: label[0] in kept)
            _move(self.new_keys, gone.new_keys, lambda version: version in kept)
            _move(self.missing, gone.missing, lambda version: version in kept)
            _move(self.rescues, gone.rescues, lambda label: label[0] in kept and label[1] in kept)
            dropped = [it._replace(known=it.known & kept) for it in self._dropped]
            if gone._tallies or gone.new_keys or gone.missing or gone.rescues:
                dropped.append(_Dropped(time.monotonic(), kept, gone))
            self._dropped = dropped
            self._gone = with_others(self._gone, kept)
            self._fold_dropped()

    def _fold_dropped(self) -> None:
        """Add the counters that no request holds any more to those that are gone."""
        ended, dropped = time.monotonic() - _IN_FLIGHT, self._dropped
        while dropped and (len(dropped) > _KEPT or dropped[0].since <= ended):
            self._gone = sum_counts(self._gone, dropped.pop(0).flat())

    def read(self) -> Counts:
        """Return the counts as they are now."""
        with _reading:
            requests: collections.Counter[tuple[str, str, str, str]] = collections.Counter()
            app: collections.Counter[tuple[str, str]] = collections.Counter()
            for (version, kind, reason, of_app), tally in self._tallies.copy().items():
                for digit, number in tally.read().items():
                    requests[version, kind, f"{digit}xx", reason] += number
                    if of_app:
                        app[version, f"{digit}xx"] += number
            families = (self.new_keys, self.missing, self.rescues, self.refused)
            counts = Counts(dict(requests), dict(app), *(family.values_by_label() for family in families))
            self._fold_dropped()
            if not (self._gone or self._dropped):
                return counts
            return Counts.from_flat(sum_counts(counts.flat(), self._gone, *(it.flat() for it in self._dropped)))


class _Dropped(NamedTuple):
    """Counters that were dropped at one time (``time.monotonic``), and the versions that have been known ever since."""

    since: float
    known: frozenset[str]
    counters: Counters

    def flat(self) -> dict[str, int]:
        return with_others(self.counters.read().flat(), self.known)


def _move(counters: dict[Any, Any], gone: dict[Any, Any], stays: Callable[[Any], bool]) -> None:
    for label in list(counters):
        if not stays(label):
            gone[label] = counters.pop(label)


class Tally(CounterFamily):
    """Responses of one sort by the first digit of their status: ``tally["2"].advance()`` counts one."""

    __slots__ = ("_withdrawn", "count_success")

    def __init__(self) -> None:
        super().__init__()
        self._withdrawn = CounterFamily()
        #: Counts a response with a status of 2xx.
        self.count_success = self["2"].advance

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
                were = "message like the next one was" if left_out == 1 else "messages like the next one were"
                logger.log(self.level, "%d more %s left out", left_out, were)
        if next(self._lines) < self._burst:
            logger.log(self.level, message, *arguments)
