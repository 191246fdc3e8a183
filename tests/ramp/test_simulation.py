"""How often the guard errs and how fast it is: whole ramps over simulated traffic, with the real assignment.

Users have heavy tails, 0.2 % of them always fail, 0.1 % of the pages fail anyway, and one client fails every ten
seconds, all along. The figures to reach are those that decided for this test: distinct keys, once in a ramp.
"""

from __future__ import annotations

import random
from itertools import accumulate
from math import comb, log
from statistics import median
from typing import NamedTuple

import pytest

from version_affinity import Deployment
from version_affinity.ramp.evidence import Failing, FailingUnits, combined, log_evidence

ALPHA = 0.05
RAMP = (1, 5, 25, 50)


class Traffic(NamedTuple):
    """What happens in a ramp.

    Attributes:
        pages: Pages in a second.
        added: The part of the pages of the new version that fails in addition, from the minute ``begins`` on.
        steps: The percentages, of ``minutes`` each. The guard looks once a minute.
        signals: How many signals the guard averages, of which one sees the failures.
        counts_pages: The mutation: each failing page is a unit.
    """

    pages: float
    added: float = 0.0
    begins: int = 0
    steps: tuple[int, ...] = RAMP
    minutes: int = 15
    signals: int = 2
    counts_pages: bool = False


class Ramped(NamedTuple):
    """The minute of the halt, None if there was none; and the part of the users that met the fault until the end."""

    halted: int | None
    met: float


def ramp(traffic: Traffic, seed: int) -> Ramped:
    """Simulate one ramp until it is halted or over."""
    source = random.Random(seed)
    minutes = traffic.minutes * len(traffic.steps)
    users = [b"user-%d" % number for number in range(int(traffic.pages * 60 * minutes * 0.6))]
    weights = list(accumulate(source.paretovariate(1.2) for _ in users))
    broken = set(source.sample(users, max(1, len(users) // 500)))
    assign = [Deployment(f"site-{seed}", {"v1": 100 - step, "v2": step}).assign_bytes for step in traffic.steps]
    shares = {number: step / 100 for number, step in enumerate(traffic.steps)}
    units, pages = FailingUnits(), []
    seen, met = set(), set()
    for minute in range(minutes):
        step = minute // traffic.minutes
        failing = [b"monitor"] * 6
        for user in source.choices(users, cum_weights=weights, k=round(traffic.pages * 60)):
            added = 0.0
            if traffic.added:
                seen.add(user)
                if minute >= traffic.begins and assign[step](user) == "v2":
                    added = traffic.added
                    met.add(user)
            if source.random() < 0.001 + added or user in broken:
                failing.append(user)
        arms = [assign[step](key) == "v2" for key in failing]
        for key, is_new in zip(failing, arms, strict=True):
            units.note(key, entry=step, look=minute, is_new=is_new)
        pages.append(Failing(minute, shares[step], sum(arms), len(arms) - sum(arms)))
        evidence = log_evidence(pages if traffic.counts_pages else units.counted(shares))
        if combined([evidence] + [0.0] * (traffic.signals - 1)) >= log(1 / ALPHA):
            return Ramped(minute + 1, len(met) / max(len(seen), 1))
    return Ramped(None, len(met) / max(len(seen), 1))


def ramps(traffic: Traffic, number: int) -> list[Ramped]:
    """Simulate that many ramps, each with its own seed."""
    return [ramp(traffic, seed) for seed in range(number)]


def minute_of_half(found: list[Ramped]) -> float:
    """Return the median of the minutes in which a ramp was halted."""
    return median(it.halted for it in found if it.halted is not None)


def at_most(alpha: float, number: int) -> int:
    """Return how many ramps are halted with a probability of 1 % at least, if each one is with ``alpha``."""
    tail, halted = 1.0, 0
    while tail > 0.01:
        tail -= comb(number, halted) * alpha**halted * (1 - alpha) ** (number - halted)
        halted += 1
    return halted - 1


def test_healthy_ramps() -> None:
    """Of 100 healthy ramps, no more are halted than alpha allows, with heavy users and a client that always fails."""
    halted = sum(it.halted is not None for it in ramps(Traffic(0.5, signals=1), 100))
    assert halted <= ALPHA * 100


def test_pages_as_units() -> None:
    """The counterexample: with failing pages as units, that client halts far more healthy ramps than alpha allows."""
    halted = sum(it.halted is not None for it in ramps(Traffic(0.5, signals=1, counts_pages=True), 50))
    assert halted > 50 * 0.3 > at_most(ALPHA, 50)


def test_blank_pages() -> None:
    """A version whose pages all fail is found by minute 16, when 2 % of the users have met it."""
    found = ramps(Traffic(0.5, added=1.0), 50)
    assert all(it.halted is not None for it in found)
    assert minute_of_half(found) <= 16
    assert median(it.met for it in found) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("traffic", "number", "found", "minute", "met"),
    [
        (Traffic(0.5, 1.0, signals=1), 200, 1.0, 16, 0.02),
        (Traffic(0.5, 0.2, signals=1), 200, 0.99, 22, 0.035),
        (Traffic(5, 0.02, signals=1), 60, 0.99, 26, 0.04),
        (Traffic(0.5, 0.02, signals=1), 600, 0.57, 48, 0.2),
        # A second signal that sees nothing costs some minutes.
        (Traffic(0.5, 1.0), 200, 1.0, 16, 0.02),
        (Traffic(0.5, 0.2), 200, 0.99, 25, 0.04),
        (Traffic(5, 0.02), 60, 0.99, 27, 0.04),
    ],
)
def test_detection(traffic: Traffic, number: int, found: float, minute: int, met: float) -> None:
    """Faults are found as fast as in the figures that decided for distinct keys: 1-5-25-50 %, 15 minutes each."""
    halted = [it for it in ramps(traffic, number) if it.halted is not None]
    assert len(halted) >= found * number
    assert minute_of_half(halted) <= minute
    assert median(it.met for it in halted) <= met


@pytest.mark.slow
def test_small_fault_beside_a_failing_client() -> None:
    """At a 5 % share, +2 % beside one client that always fails is found in 95 of 100 hours, within a quarter of one."""
    found = ramps(Traffic(5, added=0.02, steps=(5,), minutes=60, signals=1), 100)
    assert sum(it.halted is not None for it in found) >= 95
    assert minute_of_half(found) <= 15


@pytest.mark.slow
@pytest.mark.parametrize(
    "traffic", [Traffic(0.5, signals=1), Traffic(5, signals=1), Traffic(0.5, steps=(5,), minutes=60)]
)
def test_healthy_at_length(traffic: Traffic) -> None:
    """Of 300 healthy ramps, with little or much traffic, no more are halted than alpha allows."""
    number = 300 if traffic.pages < 1 else 100
    assert sum(it.halted is not None for it in ramps(traffic, number)) <= ALPHA * number


@pytest.mark.slow
def test_late_fault() -> None:
    """A fault that begins after three hours at 25 % is found within a quarter of an hour by half of the ramps."""
    found = ramps(Traffic(2, added=0.03, begins=180, steps=(25,), minutes=240, signals=1), 30)
    assert sum(it.halted is not None for it in found) >= 0.95 * 30
    assert minute_of_half(found) <= 195
    assert sum(it.halted is not None and it.halted <= 180 for it in found) <= at_most(ALPHA, 30)
