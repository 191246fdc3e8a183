"""``simulate``: the movement of a series of deployments."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import Site, run
from version_affinity.deployment import movement

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site in the middle of a rollout."""
    site = Site(tmp_path)
    site.deploy({"v1": 90.0, "v2": 10.0})
    return site


def test_series(site: Site) -> None:
    """Each step shows who moves, from the current deployment on; at the end, what that comes to."""
    assert site.run("simulate", "v1@50%", "v2@50%", "then", "v2").stdout == (
        "from    v1 90 %, v2 10 %\n"
        "\n"
        "step 1  v1 50 %, v2 50 %\n"
        "40 % of the users move, which is the possible minimum:\n"
        "  v1  ->  v2  40 %\n"
        "\n"
        "step 2  v2 100 %\n"
        "50 % of the users move, which is the possible minimum:\n"
        "  v1  ->  v2  50 %\n"
        "\n"
        "In total, 90 % of the users move. A user who moves twice counts twice.\n"
        "At the end, 90 % of the users have another version than at the start.\n"
    )


def test_as_json(site: Site) -> None:
    """The JSON has every step, against the least that any scheme moves."""
    told = site.json("simulate", "v1@20", "v2@60", "v3@20", "then", "v1@20", "v2@20", "v3", "THEN", "v1@90", "v2@10")
    assert told["from"] == {"v1": 90.0, "v2": 10.0}
    steps = [told["from"], *(step["percentages"] for step in told["steps"])]
    expected = [movement(before, after).as_dict() for before, after in pairwise(steps)]
    assert [{name: step[name] for name in ("pairs", "moved", "minimum")} for step in told["steps"]] == expected
    assert told["moved"] == pytest.approx(sum(step["moved"] for step in told["steps"]))
    assert told["minimum"] == pytest.approx(sum(step["minimum"] for step in told["steps"])) == pytest.approx(180)
    assert told["overall"] == {"pairs": [], "moved": 0.0, "minimum": 0.0}


def test_nowhere(tmp_path: Path) -> None:
    """With a beginning that is given, no releases are needed; in one word or in several."""
    nowhere = ("--releases", str(tmp_path / "none"), "simulate", "--json")
    one = run(*nowhere, "--from", "v1@90% v2@10%", "v2").stdout
    other = run(*nowhere, "--from", "v1@90%", "--from", "v2@10%", "v2").stdout
    assert json.loads(one) == json.loads(other)
    assert json.loads(one)["steps"][0]["moved"] == 90.0
    assert "is not a releases directory" in run(*nowhere, "v2", code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "a deployment is missing"),
        (["then", "v1"], 2, "a deployment is missing"),
        (["v1", "then"], 2, "a deployment is missing"),
        (["v1@50"], 2, "sum to 50 %"),
        (["v1", "--from", "v2@50"], 2, "sum to 50 %"),
    ],
)
def test_errors(site: Site, arguments: list[str], code: int, words: str) -> None:
    """A series that is none is an error of usage."""
    assert words in site.run("simulate", *arguments, code=code).stderr


def test_nothing_is_deployed(tmp_path: Path) -> None:
    """Before the first deployment, the beginning has to be given."""
    assert "--from v1" in Site(tmp_path).run("simulate", "v1", code=1).stderr
