"""A deployment: what can be one, what it shares out, and that it is a value."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest

from version_affinity import ConfigurationError, Deployment
from version_affinity.deployment import share


@pytest.mark.parametrize("name", ["a", "app", "storefront", "a1", "my_app-2", "x" * 200])
def test_name(name: str) -> None:
    """A name is a lowercase letter and then lowercase letters, digits, "_" or "-"."""
    assert Deployment(name, {"v1": 100}).name == name


@pytest.mark.parametrize("version", ["v1", "1", "V2", "20240601", "1a2b3c4", "1.4.2", "2024-01-15", "a_b", "x" * 64])
def test_version_id(version: str) -> None:
    """An id is up to 64 letters, digits, ".", "_" or "-", a letter or digit first: commits and dates are ids."""
    assert Deployment("app", {version: 100}).assign("anybody") == version


@pytest.mark.parametrize(
    ("percentages", "expected"),
    [
        ({"v1": 100}, {"v1": 100}),
        ({"v1": None}, {"v1": 100}),
        ({"v1": 90, "v2": 10}, {"v1": 90, "v2": 10}),
        ({"v1": None, "v2": 10}, {"v1": 90, "v2": 10}),
        ({"v1": None, "v2": None}, {"v1": 50, "v2": 50}),
        ({"v1": None, "v2": 40, "v3": None}, {"v1": 30, "v2": 40, "v3": 30}),
        ({"v1": 100, "v2": None}, {"v1": 100, "v2": 0}),
        ({"v1": 100, "v2": 0}, {"v1": 100, "v2": 0}),
        ({"v1": 99.9, "v2": 0.1}, {"v1": 99.9, "v2": 0.1}),
        ({"v1": 33.333, "v2": 33.333, "v3": 33.333}, {"v1": 33.333, "v2": 33.333, "v3": 33.333}),
        ({"v1": 33.334, "v2": 33.333, "v3": 33.334}, {"v1": 33.334, "v2": 33.333, "v3": 33.334}),
        ({"v1": Fraction(1, 2), "v2": None}, {"v1": 0.5, "v2": 99.5}),
        ({"v1": 100.0005, "v2": None}, None),
        ({"v1": 60.0005, "v2": 40, "v3": None}, {"v1": 60.0005, "v2": 40, "v3": 0}),
    ],
)
def test_shares(percentages: dict[str, float | None], expected: dict[str, float] | None) -> None:
    """None shares what the others leave equally, and the sum is 100 within 0.001; no single one is above 100."""
    if expected is None:
        with pytest.raises(ConfigurationError, match="between 0 and 100"):
            share(percentages)
    else:
        assert share(percentages) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("percentages", "only"),
    [({"v1": 100}, "v1"), ({"v1": 0, "v2": 100}, "v2"), ({"v1": 50, "v2": 50}, None), ({"v1": 99.9, "v2": 0.1}, None)],
)
def test_only(percentages: dict[str, float], only: str | None) -> None:
    """``only`` is the one version that has more than 0 %."""
    assert Deployment("app", percentages).only == only


@pytest.mark.parametrize("key", ["alice", "é", "日本", "", "\udcff", "a\0b"])
def test_text_is_its_utf8(key: str) -> None:
    """A key as text falls where its UTF-8 bytes do, a lone surrogate included, which would crash a hash of text."""
    deployment = Deployment("app", {f"v{number}": 5 for number in range(20)})
    assert deployment.assign(key) == deployment.assign(key.encode("utf-8", "surrogatepass"))


def test_immutable() -> None:
    """Neither the fields nor the percentages of a deployment can be changed, nor those that it was made of."""
    given = {"v1": 90.0, "v2": 10.0}
    deployment = Deployment("app", given)
    given["v1"] = 0.0
    assert deployment.percentages == {"v1": 90.0, "v2": 10.0}
    with pytest.raises(TypeError):
        deployment.percentages["v1"] = 0.0  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        deployment.name = "shop"  # type: ignore[misc]


SPLIT = Deployment("app", {"v1": 50, "v2": 50})


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (Deployment("app", {"v1": 50, "v2": 50}), True),
        (Deployment("app", {"v2": 50.0, "v1": 50.0}), True),
        (Deployment("app", {"v1": None, "v2": None}), True),
        (Deployment("app", {"v1": 50, "v2": 50}, revision=7), True),
        (copy.copy(SPLIT), True),
        (Deployment("shop", {"v1": 50, "v2": 50}), False),
        (Deployment("app", {"v1": 49, "v2": 51}), False),
        (Deployment("app", {"v1": 50, "v3": 50}), False),
        (Deployment("app", {"v1": 50, "v2": 50, "v3": 0}), False),
        ({"v1": 50, "v2": 50}, False),
    ],
)
def test_equality(other: object, equal: bool) -> None:
    """Two deployments are equal, and hash alike, when name and percentages are."""
    assert (other == SPLIT) is equal
    if equal:
        assert hash(other) == hash(SPLIT)


def test_repr_shows_what_counts() -> None:
    """The representation shows name, percentages and revision, and nothing internal."""
    assert repr(Deployment("app", {"v1": 100}, revision=3)) == (
        "Deployment(name='app', percentages=mappingproxy({'v1': 100.0}), revision=3)"
    )
