"""What is to be deployed, as it is typed: the reference's cases, and those that it does not have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.harness import conformance, needs_conformance
from version_affinity import Deployment
from version_affinity.cli.specs import (
    Spec,
    SpecError,
    deployment_of,
    distribute,
    is_whole,
    parse_directory_spec,
    parse_spec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Without those of --version-id and --percentage: here, a version is written with its percentage.
CASES: list[Any] = [
    case
    for case in conformance("deploy_split_cases.json") or [{"id": "none", "kind": ""}]
    if case["kind"] != "deploy_named"
]
#: The words of our errors for those of the reference.
ERRORS = {
    "bad_percentage": "is not a percentage",
    "percentage_out_of_range": "is not between 0 and 100",
    "sum_not_100": "not 100 %",
}


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or which error it raises."""
    try:
        return call()
    except SpecError as error:
        return {"error": next(name for name, words in ERRORS.items() if words in error.message)}


def traffic(specs: list[Spec]) -> dict[str, Any]:
    """Return a deployment in the reference's form."""
    return {"traffic": [{"version": version, "percentage": share} for version, share in deployment_of(specs).items()]}


@needs_conformance
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_reference(case: dict[str, Any]) -> None:
    """What the reference means by a deployment is meant here, but that there may be more than two versions."""
    kind, expected = case["kind"], case.get("expected")
    if expected == {"error": "too_many_versions"}:
        shares = deployment_of(map(parse_spec, case["args"]))
        assert shares == pytest.approx(dict.fromkeys(case["args"], 100 / 3))
        return
    found: Any
    if kind == "deploy_specs":
        found = outcome(lambda: traffic([parse_spec(text) for text in case["args"]]))
    elif kind == "tag_specs":
        found = outcome(
            lambda: {
                "tags": [
                    {"tag": tag, "percentage": share} for tag, share in map(parse_directory_spec, case["version_tag"])
                ]
            }
        )
    elif kind == "distribute":
        found = distribute({version: case["given"].get(version) for version in case["versions"]})
    else:
        assert kind == "sum_check"
        found = is_whole(case["sum"])
    assert found == expected


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["v1"], {"v1": 100.0}),
        (["v1@100%"], {"v1": 100.0}),
        (["v1@.5", "v2"], {"v1": 0.5, "v2": 99.5}),
        (["v1@5.", "v2"], {"v1": 5.0, "v2": 95.0}),
        (["v1@+5", "v2"], {"v1": 5.0, "v2": 95.0}),
        (["v1@ 10 % ", "v2"], {"v1": 10.0, "v2": 90.0}),
        (["v1@1E1", "v2"], {"v1": 10.0, "v2": 90.0}),
        (["v1@99.9", "v2"], {"v1": 99.9, "v2": 0.1}),
        (["v1@33.333", "v2@33.333", "v3@33.333"], {"v1": 33.333, "v2": 33.333, "v3": 33.333}),
        (["v1@100", "v2", "v3"], {"v1": 100.0, "v2": 0.0, "v3": 0.0}),
        (["v1@10", "v2", "v3", "v4@30"], {"v1": 10.0, "v2": 30.0, "v3": 30.0, "v4": 30.0}),
        (["v1@0.0004", "v2"], {"v1": 0.0, "v2": 100.0}),
        ([f"v{number}" for number in range(7)], dict.fromkeys([f"v{number}" for number in range(7)], 100 / 7)),
    ],
)
def test_deployment(specs: list[str], expected: dict[str, float]) -> None:
    """What is typed is a deployment that can be made, in the order in which it is typed."""
    found = deployment_of(map(parse_spec, specs))
    assert found == pytest.approx(expected)
    assert list(found) == list(expected)
    assert Deployment("app", found).percentages == found


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ([], "no version is given"),
        (["v1@"], "'v1@': the percentage is empty. Is the shell variable set?"),
        (["v1@10%%"], "is not a percentage"),
        (["v1@10abc"], "is not a percentage"),
        (["v1@1_0"], "is not a percentage"),
        (["v1@nan"], "is not a percentage"),
        (["v1@inf"], "is not a percentage"),
        (["v1@\u0661\u0660"], "is not a percentage"),
        (["v1@10@20"], "is not a percentage"),
        (["v1@1e999"], "is not between 0 and 100"),
        (["v1@-0.1"], "is not between 0 and 100"),
        (["v1@100.1"], "is not between 0 and 100"),
        (["@10"], "'@10': the id is empty. Is the shell variable set?"),
        (["v1:90", "v2:10"], "'v1:90': write v1@90"),
        (["v1=90%"], "'v1=90%': write v1@90%"),
        (["v1:x"], "version id 'v1:x' cannot be used"),
        (["v1@0.9", "v2@0.1"], "because they are fractions. Write v1@90% v2@10%"),
        (["v1@0.125", "v2@0.875"], "because they are fractions. Write v1@12.5% v2@87.5%"),
        (["v1@90,v2@10"], "Write a space between two versions"),
        (["v1@99,5", "v2"], "'99,5' is not a percentage. Write 99.5"),
        (["v1@0.9"], "sum to 0.9 %, not 100 %"),
        (["../v1@10"], "version id '../v1'"),
        (["v1", "v1@50"], "v1 appears twice"),
        (["v1@60", "v2@60"], "sum to 120 %, not 100 % (v1 60 + v2 60)"),
        (["v1@60", "v2@60", "v3"], "sum to 120 %"),
        (["v1@60"], "sum to 60 %"),
    ],
)
def test_refused(specs: list[str], words: str) -> None:
    """What can mean nothing is an error of usage that says which word is wrong."""
    with pytest.raises(click.UsageError) as raised:
        deployment_of(map(parse_spec, specs))
    assert words in raised.value.format_message()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("release-7", Spec("release-7", None)),
        ("release-7@10", Spec("release-7", 10.0)),
        ("a@b", Spec("a@b", None)),
        ("a@b@", Spec("a@b@", None)),
        ("a@b@5%", Spec("a@b", 5.0)),
        ("@5", Spec("@5", None)),
    ],
)
def test_directory(text: str, expected: Spec) -> None:
    """A directory's name may contain anything; only a number after its last "@" is a percentage."""
    assert parse_directory_spec(text) == expected


def test_remainder_of_many() -> None:
    """Parts of a remainder sum to it, however many there are."""
    for count in range(1, 60):
        shares = deployment_of([Spec("v0", 0.1), *(Spec(f"v{number}", None) for number in range(1, count + 1))])
        assert is_whole(math.fsum(shares.values()))
