"""Who moves between two deployments: the formula against the hash itself, and against what must hold for any."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity import Deployment
from version_affinity.deployment import movement

KEYS = 20_000
IDS = ("v1", "v2", "v3", "v4", "v5")


def drawn(source: random.Random) -> dict[str, float]:
    """Return a deployment: some of the versions, a few of them staged, some with a very small share."""
    ids = source.sample(IDS, source.randint(1, len(IDS)))
    weights = [source.choice((0.0, 0.02, 0.2, 1.0, source.random())) for _ in ids]
    weights[0] = weights[0] or 1.0
    return {version: 100 * (weight / sum(weights)) for version, weight in zip(ids, weights, strict=True)}


@pytest.mark.parametrize("seed", range(24))
def test_hash_agrees(seed: int) -> None:
    """Of many keys, as many move from one version to another as the formula says, within five standard deviations."""
    source = random.Random(seed)
    before, after = drawn(source), drawn(source)
    computed = movement(before, after)
    old, new = Deployment("storefront", before), Deployment("storefront", after)
    counted = Counter((old.assign(key), new.assign(key)) for key in map(str, range(KEYS)))
    moved = {pair: count for pair, count in counted.items() if pair[0] != pair[1]}
    wrong = []
    for pair in {*moved, *computed.pairs}:
        expected = KEYS * computed.pairs.get(pair, 0.0) / 100
        deviation = math.sqrt(expected * (1 - expected / KEYS))
        if abs(moved.get(pair, 0) - expected) > 5 * deviation + 0.5:
            wrong.append((pair, expected, moved.get(pair, 0)))
    assert wrong == []


shares = st.dictionaries(st.sampled_from(IDS), st.sampled_from([0.0, 1e-9, 0.001]) | st.floats(0.0, 1.0), min_size=1)
deployments = shares.filter(lambda weights: sum(weights.values()) > 0).map(
    lambda weights: {version: 100 * weight / math.fsum(weights.values()) for version, weight in weights.items()}
)


@given(before=deployments, after=deployments)
def test_rows_and_columns(before: dict[str, float], after: dict[str, float]) -> None:
    """What leaves and enters each version is the change of its share, and nobody can move fewer than the minimum."""
    found = movement(before, after)
    for version in {*before, *after}:
        left = math.fsum(users for (one, _), users in found.pairs.items() if one == version)
        entered = math.fsum(users for (_, other), users in found.pairs.items() if other == version)
        change = after.get(version, 0.0) - before.get(version, 0.0)
        assert entered - left == pytest.approx(change, abs=1e-6)
        assert left <= before.get(version, 0.0) + 1e-6
        assert entered <= after.get(version, 0.0) + 1e-6
    assert found.moved == pytest.approx(sum(found.pairs.values()), abs=1e-9)
    assert found.moved >= found.minimum - 1e-6
    assert all(users > 0 for users in found.pairs.values())


@given(first=st.floats(0.0, 100.0), second=st.floats(0.0, 100.0))
def test_two_versions_move_the_fewest(first: float, second: float) -> None:
    """Between two versions, exactly those move who have to, and all of them in one direction."""
    found = movement({"v1": first, "v2": 100 - first}, {"v1": second, "v2": 100 - second})
    assert found.moved == pytest.approx(abs(first - second), abs=1e-6)
    assert len(found.pairs) <= 1


HALVES = {"v1": 50.0, "v2": 50.0}
THIRDS = {"v1": 33.333, "v2": 33.333, "v3": 33.333}
# before, after, the pairs, the minimum
CASES = [
    (HALVES, HALVES, {}, 0.0),
    ({"v1": 100.0}, {"v2": 100.0}, {("v1", "v2"): 100.0}, 100.0),
    ({"v1": 100.0}, {"v1": 100.0, "v2": 0.0}, {}, 0.0),
    ({"v1": 100.0}, THIRDS, {("v1", "v2"): 100 / 3, ("v1", "v3"): 100 / 3}, 200 / 3),
    (THIRDS, HALVES, {("v3", "v1"): 100 / 6, ("v3", "v2"): 100 / 6}, 100 / 3),
    (HALVES, {"v1": 50.0, "v3": 50.0}, {("v2", "v3"): 100 / 3, ("v1", "v3"): 100 / 6, ("v2", "v1"): 100 / 6}, 50.0),
]


@pytest.mark.parametrize(("before", "after", "pairs", "minimum"), CASES)
def test_known(
    before: dict[str, float], after: dict[str, float], pairs: dict[tuple[str, str], float], minimum: float
) -> None:
    """What can be worked out by hand."""
    found = movement(before, after)
    assert dict(found.pairs) == pytest.approx(pairs)
    assert list(found.pairs.values()) == sorted(found.pairs.values(), reverse=True)
    assert (found.moved, found.minimum) == (pytest.approx(sum(pairs.values())), pytest.approx(minimum))


def test_as_dict() -> None:
    """It can be written as JSON."""
    assert movement({"v1": 100.0}, HALVES).as_dict() == {
        "pairs": [{"from": "v1", "to": "v2", "users": 50.0}],
        "moved": 50.0,
        "minimum": 50.0,
    }
