"""wrh-1: vectors that other implementations agree on, and what no vector can show."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.harness import conformance, needs_conformance
from version_affinity import hashing
from version_affinity.hashing import assigner, scores

CANARY = {"v1": 90.0, "v2": 10.0}
HALVES = {"v1": 50.0, "v2": 50.0}
MILLE = {"v1": 99.9, "v2": 0.1}
STAGED = {"v1": 0.0, "v2": 70.0, "v3": 30.0}
TENTHS = {f"v{number}": 10.0 for number in range(1, 11)}

# From an implementation that shares no code with this one, its MurmurHash3 written in plain Python.
VECTORS = [
    ("storefront", CANARY, b"", "v1"),
    ("storefront", CANARY, b"alice", "v1"),
    ("storefront", CANARY, b"carol", "v2"),
    ("storefront", CANARY, b"\xff\xfe", "v1"),
    ("storefront", CANARY, b"bucket:4711", "v1"),
    # each of these falls elsewhere with another shift, the other word, or the other byte order
    ("storefront", CANARY, b"erin", "v1"),
    ("storefront", CANARY, b"frank", "v1"),
    ("storefront", CANARY, b"grace", "v2"),
    ("storefront", CANARY, b"mallory", "v1"),
    ("storefront", CANARY, b"user-18", "v2"),
    ("storefront", STAGED, b"frank", "v2"),
    ("storefront", STAGED, b"heidi", "v3"),
    ("storefront", STAGED, b"olivia", "v2"),
    ("storefront", STAGED, b"rupert", "v2"),
    ("storefront", STAGED, b"walter", "v3"),
    ("storefront", HALVES, b"alice", "v1"),
    ("storefront", HALVES, b"bob", "v2"),
    ("storefront", HALVES, b"carol", "v2"),
    ("storefront", HALVES, b"x" * 300, "v1"),
    ("shop", HALVES, b"alice", "v2"),
    ("shop", HALVES, b"bob", "v2"),
    ("shop", HALVES, b"carol", "v1"),
    ("storefront", MILLE, b"317", "v1"),
    ("storefront", MILLE, b"318", "v2"),
    ("storefront", MILLE, b"1786", "v2"),
    ("storefront", STAGED, b"alice", "v3"),
    ("storefront", STAGED, b"bob", "v2"),
    ("storefront", TENTHS, b"alice", "v5"),
    ("storefront", TENTHS, b"bob", "v4"),
    ("storefront", TENTHS, b"carol", "v2"),
    ("storefront", TENTHS, b"dave", "v7"),
    ("storefront", TENTHS, "é".encode(), "v6"),
    ("storefront", TENTHS, "日本".encode(), "v7"),
]


@pytest.mark.parametrize(("salt", "weights", "key", "expected"), VECTORS)
def test_vector(salt: str, weights: dict[str, float], key: bytes, expected: str) -> None:
    """A key falls on the version that an independent implementation computes."""
    assert assigner(salt, weights)(key) == expected


@needs_conformance
def test_conformance_vectors() -> None:
    """Every vector of the conformance data holds, under the algorithm's name."""
    data = conformance("wrh1_vectors.json")
    assert data["algorithm"].split()[0] == "wrh-1"
    wrong = [
        case["id"]
        for case in data["cases"]
        if assigner(case["salt"], case["weights"])(bytes.fromhex(case["key_hex"])) != case["expected"]
    ]
    assert (wrong, len(data["cases"]) > 400) == ([], True)


@pytest.mark.parametrize("weights", [CANARY, HALVES, MILLE, STAGED, TENTHS])
def test_scores(weights: dict[str, float]) -> None:
    """The version that a key falls on is the one with the smallest score; those at 0 % have none."""
    assign = assigner("app", weights)
    for number in range(2000):
        found = scores("app", weights, key := str(number).encode())
        assert found.keys() == {version for version, weight in weights.items() if weight}
        assert min(found, key=found.__getitem__) == assign(key)


@pytest.mark.parametrize("weights", [CANARY, HALVES, STAGED, TENTHS])
def test_order_of_listing(weights: dict[str, float]) -> None:
    """The order in which versions are listed changes no assignment."""
    forwards, backwards = assigner("app", weights), assigner("app", dict(reversed(weights.items())))
    keys = [str(number).encode() for number in range(500)]
    assert [forwards(key) for key in keys] == [backwards(key) for key in keys]


@pytest.mark.parametrize(
    ("weights", "reached"),
    [
        ({"v1": 100.0}, {"v1"}),
        ({"v1": 0.0, "v2": 100.0}, {"v2"}),
        (STAGED, {"v2", "v3"}),
        (HALVES, {"v1", "v2"}),
    ],
)
def test_zero_reaches_nobody(weights: dict[str, float], reached: set[str]) -> None:
    """A version at 0 % gets no key, one at 100 % gets all."""
    assign = assigner("app", weights)
    assert {assign(str(number).encode()) for number in range(500)} == reached


@pytest.mark.parametrize(("one", "other"), [("v1", "v2"), ("v10", "v9"), ("V", "a"), ("a-b", "a.b")])
def test_tie(monkeypatch: pytest.MonkeyPatch, one: str, other: str) -> None:
    """A tie goes to the id that is smaller as bytes; its chance is 2**-52, so the hash is made to yield one."""
    monkeypatch.setattr(hashing, "words", lambda _data: (1 << 63, 0))
    assert assigner("app", {other: 50, one: 50})(b"key") == one
    assert assigner("app", {one: 50, other: 50})(b"key") == one


@given(
    word=st.integers(0, (1 << 52) - 2) | st.integers(0, 200).map(lambda below: (1 << 52) - 2 - below),
    weight=st.floats(1e-3, 100.0),
)
@example(word=1 << 51, weight=50.0)
@example(word=(1 << 51) - 1, weight=100 / 3)
@example(word=0, weight=10.0)
def test_words_order_like_scores(word: int, weight: float) -> None:
    """Two words that differ by one have different scores, so equal percentages may compare the words themselves."""
    lower, upper = (-log((number + 0.5) / 2**52) / weight for number in (word, word + 1))
    assert upper < lower


@pytest.mark.parametrize("weights", [HALVES, CANARY])
@pytest.mark.parametrize("word", [0, (1 << 64) - 1])
def test_extreme_words(monkeypatch: pytest.MonkeyPatch, word: int, weights: dict[str, float]) -> None:
    """The lowest and the highest hash still score finitely: u is never 0 or 1."""
    monkeypatch.setattr(hashing, "words", lambda _data: (word, 0))
    assert assigner("app", weights)(b"key") == "v1"


@given(
    words=st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
    | st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 13)).map(
        lambda pair: (pair[0], max(0, pair[0] - pair[1]))
    ),
    weight=st.floats(1e-3, 99.0),
    times=st.sampled_from([1.0, 1 + 2**-52, 1 + 2**-50, 1 + 1e-9, 1 + 1e-6, 1 + 2e-6]) | st.floats(1.0, 1000.0),
    swapped=st.booleans(),
)
@example(words=(1 << 63, (1 << 63) - 1), weight=50.0, times=1.0, swapped=False)
@example(words=(1 << 63, (1 << 63) + 1), weight=50.0, times=1.0, swapped=False)
# The scores tie: as ln(u) and 2 ln(u) over 20 and 40 do, and where percentages are as good as the same.
@example(words=(4350428950703620096, 1025993095556304896), weight=20.0, times=2.0, swapped=False)
@example(words=(1299637203782150913, 1299637203782150913), weight=83.4909935628614, times=1 + 2**-52, swapped=False)
def test_two_versions(words: tuple[int, int], weight: float, times: float, swapped: bool) -> None:
    """The smallest score wins and the smaller id a tie, also where two words or percentages are nearly the same."""
    weights = {"v1": weight, "v2": weight * times}
    if swapped:
        weights = {"v1": weights["v2"], "v2": weights["v1"]}
    drawn = dict(zip((hashing.digest(b"v\0" + version.encode()) for version in weights), words, strict=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hashing, "words", lambda data: (drawn[data[16:]], 0))
        assigned = assigner("app", weights)(b"key")
        found = scores("app", weights, b"key")
    assert assigned == min(found, key=lambda version: (found[version], version))
