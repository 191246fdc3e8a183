"""The guard's statistics: what must hold for any data. How often it errs is in test_simulation.py."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import product
from math import exp, fsum, log
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.ramp.evidence import (
    MERGED,
    RATIOS,
    SHARE_ALPHA,
    SHARE_GROUP,
    SHARE_TOLERANCE,
    UNITS,
    Failing,
    FailingUnits,
    combined,
    log_bake_evidence,
    log_evidence,
    log_share_mismatch,
    predicted,
)
from version_affinity.ramp.plan import PRESETS, RampPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

shares = st.sampled_from([0.01, 0.05, 0.25, 0.5])
failings = st.builds(Failing, st.integers(0, 300), shares, st.integers(0, 50), st.integers(0, 50))
notes = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda number: b"key-%d" % number), st.integers(0, 6), st.integers(0, 90), st.booleans()
    )
)


def noted(calls: Sequence[tuple[bytes, int, int, bool]]) -> FailingUnits:
    """Return the units that a process notes."""
    units = FailingUnits()
    for key, entry, look, is_new in calls:
        units.note(key, entry=entry, look=look, is_new=is_new)
    return units


# --- the e-process ----------------------------------------------------------------------------------------------------


@given(share=st.lists(shares, min_size=1, max_size=8), data=st.data())
def test_mean_is_one(share: list[float], data: st.DataObject) -> None:
    """If the versions do not differ, the evidence is 1 on average: over all ways in which failing units can fall."""
    looks = data.draw(st.lists(st.integers(0, 200), min_size=len(share), max_size=len(share)))
    average = fsum(
        exp(log_evidence(Failing(look, p, new, not new) for look, p, new in zip(looks, share, arms, strict=True)))
        * exp(fsum(log(p if new else 1 - p) for p, new in zip(share, arms, strict=True)))
        for arms in product((False, True), repeat=len(share))
    )
    assert average == pytest.approx(1, abs=1e-9)


@given(failing=st.lists(failings), seed=st.randoms(use_true_random=False))
def test_order_of_counts(failing: list[Failing], seed: random.Random) -> None:
    """The order in which counts are given does not matter, nor whether they are added up before."""
    shuffled = seed.sample(failing, len(failing))
    parts = [
        part
        for it in shuffled
        for part in (Failing(it.look, it.share, it.new, 0), Failing(it.look, it.share, 0, it.base))
    ]
    assert log_evidence(shuffled) == pytest.approx(log_evidence(failing), abs=1e-9)
    assert log_evidence(parts) == pytest.approx(log_evidence(failing), abs=1e-9)


@given(failing=st.lists(failings), look=st.integers(0, 400), share=shares)
def test_direction(failing: list[Failing], look: int, share: float) -> None:
    """A failing unit of the new version adds evidence, one of another version takes evidence away."""
    before = log_evidence(failing)
    assert log_evidence([*failing, Failing(look, share, 1, 0)]) >= before - 1e-9
    assert log_evidence([*failing, Failing(look, share, 0, 1)]) <= before + 1e-9
    assert log_evidence([Failing(look, share, 1, 0)]) > 0 > log_evidence([Failing(look, share, 0, 1)])


def test_by_hand() -> None:
    """The evidence is the average that the docstring describes, computed here start by start."""
    failing = [Failing(0, 0.01, 0, 3), Failing(20, 0.05, 1, 2), Failing(20, 0.25, 2, 1), Failing(70, 0.25, 4, 0)]

    def from_start(start: int) -> float:
        later = [it for it in failing if it.look >= start]
        products = [
            exp(fsum(it.new * log(r) - (it.new + it.base) * log(r * it.share + 1 - it.share) for it in later))
            for r in RATIOS
        ]
        return fsum(products) / len(RATIOS)

    late = fsum(15 / ((k + 15) * (k + 16)) * from_start(k) for k in range(71)) + 15 / (71 + 15)
    assert exp(log_evidence(failing)) == pytest.approx((from_start(0) + late) / 2)


@pytest.mark.parametrize("numbers", [(10**6, 0), (0, 10**6), (10**6, 10**6)])
def test_large_numbers(numbers: tuple[int, int]) -> None:
    """A million failing units overflow nothing."""
    assert abs(log_evidence([Failing(5, 0.01, *numbers)])) < 1e8


def test_no_data() -> None:
    """Without data, at 100 %, and with 100 % alone, there is no evidence."""
    assert log_evidence([]) == 0
    assert log_evidence([Failing(5, 1.0, 1000, 0)]) == pytest.approx(0)
    assert combined([0.0, 0.0]) == pytest.approx(0)
    assert log_share_mismatch(0, 0, 0.05) == pytest.approx(0)
    assert log_share_mismatch(100, 0, 1.0) == 0
    assert log_share_mismatch(-5, 10, 0.5) == 0
    assert log_bake_evidence(5, 0, 1, 100) == log_bake_evidence(5, 100, 0, 0) == 0


@given(one=st.floats(0, 50), other=st.floats(0, 50))
def test_signals_are_averaged(one: float, other: float) -> None:
    """Of two signals, each counts half."""
    assert exp(combined([one, other])) == pytest.approx((exp(one) + exp(other)) / 2)


# --- units ------------------------------------------------------------------------------------------------------------


@given(calls=notes, seed=st.randoms(use_true_random=False), workers=st.integers(1, 5))
def test_union_over_workers(calls: list[tuple[bytes, int, int, bool]], seed: random.Random, workers: int) -> None:
    """The union of reports depends neither on their order, nor on how often each one arrives, nor on their number.

    Each key's calls are in order in each process, as they are in time.
    """
    calls = sorted(calls, key=lambda call: call[1:3])
    parts: list[list[tuple[bytes, int, int, bool]]] = [[] for _ in range(workers)]
    for call in calls:
        parts[seed.randrange(workers)].append(call)
    reports = [FailingUnits.decoded(noted(part).encoded()) for part in parts]
    union = FailingUnits()
    for report in [*seed.sample(reports, workers), *seed.choices(reports, k=workers), union]:
        union.update(report)
    alone = noted(calls)
    if all(len({call[3] for call in calls if call[:3] == (key, *moment)}) == 1 for key, *moment, _ in calls):
        assert list(union) == list(alone)
    assert len(union) == len({key for key, *_ in calls})


@given(calls=notes, cuts=st.lists(st.integers(0, 100)))
def test_restarts(calls: list[tuple[bytes, int, int, bool]], cuts: list[int]) -> None:
    """Restarts lose nothing that was reported: the union grows, and a unit's first failure only gets earlier."""
    union = FailingUnits()
    process = FailingUnits()
    for number, (key, entry, look, is_new) in enumerate(calls):
        if number in cuts:
            process = FailingUnits()
        process.note(key, entry=entry, look=look, is_new=is_new)
        before = {unit & 0xFFFFF: unit for unit in union}
        union.update(process)
        after = {unit & 0xFFFFF: unit for unit in union}
        assert before.keys() <= after.keys()
        assert all(after[hashed] <= unit for hashed, unit in before.items())


def test_each_key_counts_once() -> None:
    """A client that always fails is one unit, at its first failure, for the version of its assignment then."""
    units = FailingUnits()
    for entry in range(4):
        for look in range(15):
            units.note(b"monitor", entry=entry, look=entry * 15 + look, is_new=entry >= 2)
    assert units.counted({0: 0.01, 1: 0.05, 2: 0.25, 3: 0.5}) == [Failing(0, 0.01, 0, 1)]


def test_counts_by_entry() -> None:
    """Units are counted with the share of the entry under which they failed; other entries are left out."""
    calls = [(b"a", 0, 3, False), (b"b", 1, 3, True), (b"c", 1, 3, True), (b"d", 1, 4, False), (b"e", 9, 9, True)]
    units = noted(calls)
    assert units.counted({0: 0.01, 1: 0.05}) == [
        Failing(3, 0.01, 0, 1),
        Failing(3, 0.05, 2, 0),
        Failing(4, 0.05, 0, 1),
    ]


def test_bounded() -> None:
    """A client that makes up keys fills a report of 64 KiB and no more; numbers out of range are kept in range."""
    units = FailingUnits()
    for number in range(2 * UNITS):
        units.note(b"%d" % number, entry=10**9, look=10**9, is_new=True)
    units.note(b"early", entry=-1, look=-5, is_new=False)
    assert len(units) == UNITS
    assert len(units.encoded()) == 64 * 1024
    assert list(FailingUnits.decoded(units.encoded())) == list(units)


@pytest.mark.parametrize("text", ["AAAA", "?", "é", "AAAAAAAA" * (MERGED + 1)])
def test_foreign_report(text: str) -> None:
    """A report that is damaged or too long is an error that can be caught."""
    with pytest.raises(ValueError):
        FailingUnits.decoded(text)


# --- the share of new users -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("factor", [1, 1 / SHARE_TOLERANCE, SHARE_TOLERANCE])
@pytest.mark.parametrize("group", [1, SHARE_GROUP])
def test_share_is_right(share: float, factor: float, group: int) -> None:
    """With odds at the limit of what is tolerated, and users who count ten times, none of 20 steps is held."""
    odds = factor * share / (1 - share)
    held = 0
    for seed in range(20):
        source = random.Random(seed)
        new = 0
        for users in range(5 * group, 2000 * group, 5 * group):
            new += group * sum(source.random() < odds / (1 + odds) for _ in range(5))
            if log_share_mismatch(new, users - new, share) >= log(1 / SHARE_ALPHA):
                held += 1
                break
    assert held == 0


@pytest.mark.parametrize(
    ("share", "observed", "users"),
    [(0.01, 0.0, 34_000), (0.05, 0.0, 6600), (0.5, 0.0, 400), (0.5, 1.0, 400), (0.01, 0.5, 100), (0.25, 0.02, 3200)],
)
def test_share_is_wrong(share: float, observed: float, users: int) -> None:
    """A version that gets no new users, all, or many times its share, is noticed after so many new users."""
    new = round(users * observed)
    assert log_share_mismatch(new, users - new, share) >= log(1 / SHARE_ALPHA)


# --- the bake ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "new_keys", "base", "base_keys", "is_halted"),
    [
        (10, 5000, 10, 5000, False),
        (20, 5000, 10, 5000, False),
        (100, 5000, 10, 5000, True),
        (20, 1000, 0, 5000, True),
        (3, 1000, 0, 5000, False),
        (0, 10**6, 10, 5000, False),
    ],
)
def test_bake(new: int, new_keys: int, base: int, base_keys: int, is_halted: bool) -> None:
    """After 100 %, only a rate far above the base's rate in this ramp halts."""
    assert (log_bake_evidence(new, new_keys, base, base_keys) >= log(20)) == is_halted


def test_bake_errs_rarely() -> None:
    """With equal rates, no bake of 300 halts, over 200 looks each."""
    halted = 0
    for seed in range(300):
        source = random.Random(seed)
        base_keys = source.choice((200, 2000))
        base = sum(source.random() < 0.01 for _ in range(base_keys))
        new = 0
        for look in range(1, 201):
            new += sum(source.random() < 0.01 for _ in range(20))
            if log_bake_evidence(new, 20 * look, base, base_keys) >= log(20):
                halted += 1
                break
    assert halted == 0


# --- what to expect ---------------------------------------------------------------------------------------------------


def test_predictions() -> None:
    """More traffic and larger faults are found sooner, and faults too small for the traffic are not promised."""
    plan = RampPlan("v2", **PRESETS["standard"], guard=("app-errors",))
    quiet, busy = (predicted(plan, keys_per_hour=keys, failure_rate=0.003) for keys in (600, 6000))
    for found in (quiet, busy):
        assert [it.added for it in found] == [0.02, 0.2, 1.0]
        times = [it.after or timedelta.max for it in found]
        assert times == sorted(times, reverse=True)
    for slow, fast in zip(quiet, busy, strict=True):
        assert (fast.after or timedelta.max) <= (slow.after or timedelta.max)
    assert quiet[2].after is not None
    assert quiet[2].met < 0.02
    none = predicted(plan, keys_per_hour=5, failure_rate=0.003)[0]
    assert none.after is None
    assert none.failing < 1


def test_no_traffic() -> None:
    """Without traffic, nothing is found."""
    plan = RampPlan("v2", **PRESETS["careful"])
    assert [it.after for it in predicted(plan, keys_per_hour=0, failure_rate=0.0)] == [None] * 3
