"""Plans: what can be used, what is refused and why, and what the log keeps of them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from math import fsum
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity import ConfigurationError
from version_affinity.deployment import movement
from version_affinity.ramp.plan import ACTIVE, PRESETS, STATES, TABLES, TRANSITIONS, Ramp, RampPlan

NOW = datetime(2026, 11, 24, 5, 0, 0, 250_000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"steps": ()}, "1 to 100 steps, not 0"),
        ({"steps": tuple(range(1, 102))}, "not between 0 and 100"),
        ({"steps": [n / 2 for n in range(1, 102)]}, "1 to 100 steps, not 101"),
        ({"steps": (5, 1, 100)}, "the step to 1 % follows the one to 5 %"),
        ({"steps": (5, 5)}, "let each step be larger"),
        ({"steps": (0, 5)}, "0 % gives the version to no user"),
        ({"steps": (5, 101)}, "101 of version 'the ramp' is not between 0 and 100|percentage=101"),
        ({"steps": (5, float("nan"))}, "not between 0 and 100"),
        ({"steps": ("5", "50")}, "not a number"),
        ({"steps": "1,5"}, "steps='1,5' is not a list"),
        ({"steps": (100,)}, "nothing can be compared"),
        ({"version": "-v2"}, "version id '-v2' cannot be used"),
        ({"every": "0.5s"}, "every=0.5s is not a time from one second"),
        ({"every": "soon"}, "every: 'soon' is not a duration"),
        ({"every": 15}, "every=15 is not a time"),
        ({"every": timedelta(days=400)}, "to a year"),
        ({"bake": "0.5s"}, "or 0s for none"),
        (
            {"guard": ("app-errors", "cpu")},
            "no signal 'cpu': its signals are app-errors, missing-assets, cl",
        ),
        ({"guard": ()}, "needs a signal"),
        ({"guard": "app-errors"}, "not a list"),
        ({"approve_at": (1,)}, "1 % needs approval and is not a later step"),
        ({"approve_at": (30,)}, "the steps are 1, 5, 25, 50, 100"),
        ({"min_keys": -1}, "min_keys=-1"),
        ({"min_keys": True}, "min_keys=True"),
        ({"on_halt": "panic"}, "hold, rollback, warn"),
        ({"alpha": 5.0}, "0.05 is usual"),
        ({"alpha": 0.0}, "0.05 is usual"),
        ({"alpha": float("nan")}, "0.05 is usual"),
    ],
)
def test_refused(options: dict[str, object], reason: str) -> None:
    """A plan that cannot be used is refused with the value and the remedy."""
    with pytest.raises(ConfigurationError, match=reason):
        RampPlan(**{"version": "v2", **options})


@pytest.mark.parametrize(
    ("percentages", "reason"),
    [
        ({"v2": 100.0}, "v2 has 100 % already"),
        ({"v1": 0.0, "v2": 100.0}, "v2 has 100 % already"),
        ({"v1": 99.0, "v2": 1.0}, "v2 has 1 % already: let the steps 1, 5, 25, 50, 100 begin with more"),
        ({"v1": 60.0, "v2": 40.0}, "v2 has 40 % already"),
    ],
)
def test_start_refused(percentages: dict[str, float], reason: str) -> None:
    """A ramp starts above the version's percentage."""
    with pytest.raises(ConfigurationError, match=reason):
        RampPlan("v2").check_start(percentages)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset: str) -> None:
    """Each preset is a plan that ends with all users."""
    assert RampPlan("v2", **PRESETS[preset]).steps[-1] == 100


@pytest.mark.parametrize(("every", "look"), [("1s", 1), ("15s", 1), ("2m", 8), ("15m", 60), ("1d", 60)])
def test_look(every: str, look: int) -> None:
    """The guard looks 15 times in a step, within bounds."""
    assert RampPlan("v2", every=every).look == timedelta(seconds=look)


numbers = st.floats(0.01, 99.99)
plans = st.builds(
    RampPlan,
    st.sampled_from(["v2", "9f8e7d6"]),
    st.lists(numbers, min_size=1, max_size=6, unique=True).map(lambda steps: (*sorted(steps), 100.0)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=3)),
    st.just(timedelta(0)) | st.timedeltas(timedelta(seconds=1), timedelta(days=3)),
    st.sampled_from([("app-errors",), ("missing-assets", "app-errors")]),
    min_keys=st.integers(0, 1000),
    on_halt=st.sampled_from(["hold", "rollback", "warn"]),
    alpha=st.floats(0.001, 0.5),
    other=st.sampled_from([{}, {"webhook": "https://hooks.example/ramp", "later": [1]}]),
)
bases = st.dictionaries(st.sampled_from(["v0", "v1", "v3"]), st.floats(0.1, 10), min_size=1).map(
    lambda weights: {version: min(100.0, 100 * weight / fsum(weights.values())) for version, weight in weights.items()}
)


@given(plan=plans, base=bases, state=st.sampled_from(STATES), data=st.data())
def test_json(plan: RampPlan, base: dict[str, float], state: str, data: st.DataObject) -> None:
    """The log's JSON gives the same ramp back, with settings that only a later release knows."""
    step = data.draw(st.integers(1, len(plan.steps)))
    ramp = Ramp(7, plan, base, step, state, NOW, {"verdict": "undecided"})
    again = Ramp.from_json(json.loads(json.dumps(ramp.to_json())))
    assert again == ramp
    assert again.plan.other == plan.other
    assert (again.id, again.percentage) == ("ramp-7", plan.steps[step - 1])


@pytest.mark.parametrize(
    "change",
    [
        {"id": "ramp-0"},
        {"id": 7},
        {"plan": None},
        {"plan": {"version": "v2", "steps": [1, 0]}},
        {"base": {"v1": 50}},
        {"step": 0},
        {"step": 6},
        {"step": True},
        {"state": "flying"},
        {"since": "yesterday"},
        {"evidence": []},
    ],
)
def test_foreign_json(change: dict[str, object]) -> None:
    """A ramp in the log that this release does not understand is an error that can be caught."""
    document = Ramp(7, RampPlan("v2"), {"v1": 100.0}, 1, "running", NOW).to_json()
    with pytest.raises(ConfigurationError):
        Ramp.from_json({**document, **change})


@given(plan=plans, base=bases)
def test_percentages(plan: RampPlan, base: dict[str, float]) -> None:
    """Along a ramp, users move to the new version only: from the versions before, and never between these."""
    before = base
    for step in plan.steps:
        after = plan.percentages(base, step)
        assert fsum(after.values()) == pytest.approx(100, abs=1e-9)
        assert after[plan.version] == step
        assert {new for (_, new), users in movement(before, after).pairs.items() if users > 1e-6} <= {plan.version}
        before = after


def test_two_versions_are_exact() -> None:
    """With two versions, the percentages are the round numbers that a person would write."""
    for step in (1, 5, 12.5, 25, 50, 100):
        assert RampPlan("v2").percentages({"v1": 100.0}, step) == {"v1": 100.0 - step, "v2": step}
        assert RampPlan("v2").percentages({"v1": 90.0, "v2": 10.0}, step) == {"v1": 100.0 - step, "v2": step}


def test_tables() -> None:
    """The tables name known states only, and each active state can be left by a worker or a person."""
    named = {state for it in TRANSITIONS.values() for state in (*it.before, *it.after)}
    assert named == set(STATES)
    assert set(ACTIVE) == set(STATES) - {"completed", "rolled_back", "aborted", "superseded"}
    assert {it.by for it in TRANSITIONS.values()} == {"person", "worker"}
    assert {it.percentages for it in TRANSITIONS.values()} == {"kept", "next", "last", "base", "given"}
    for event in ("abort", "deployment", "promote", "advance"):
        assert set(TRANSITIONS[event].before) == set(ACTIVE), "a person can always end a ramp"
    assert {line.count("|") for line in TABLES.split("\n\n")[1].splitlines()} == {7}


# --- the picture ------------------------------------------------------------------------------------------------------


class Box(NamedTuple):
    """A box of the picture: a state, a frame around states, or a choice between them."""

    kind: str
    name: str
    left: int
    top: int
    right: int
    bottom: int

    def has(self, x: int, y: int) -> bool:
        """Return whether a point is inside the box or on its border."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def is_touched(self, x: int, y: int) -> bool:
        """Return whether a point is on the border of the box."""
        return self.has(x, y) and (x in (self.left, self.right) or y in (self.top, self.bottom))


class Arrow(NamedTuple):
    """An arrow of the picture, with the boxes that it connects. Without a first box, it begins at the start."""

    kind: str
    events: tuple[str, ...]
    source: Box | None
    target: Box


def drawn(picture: Path) -> tuple[list[Box], list[Arrow]]:
    """Return the boxes and arrows of the picture, by what one sees: rectangles, ends of lines, and texts."""
    boxes, arrows = [], []
    groups = ET.parse(picture).getroot().findall("{*}g")  # noqa: S314 - our own file
    for group in groups:
        kind = group.attrib["class"].split()[0]
        text = " ".join("".join(it.itertext()) for it in group.findall("{*}text"))
        if (rectangle := group.find("{*}rect")) is not None:
            x, y, width, height = (int(rectangle.attrib[it]) for it in ("x", "y", "width", "height"))
            boxes.append(Box(kind, text, x, y, x + width, y + height))
    for group in groups:
        kind = group.attrib["class"].removeprefix("arrow ")
        if kind == "then" or kind != group.attrib["class"]:
            text = " ".join("".join(it.itertext()) for it in group.findall("{*}text"))
            (line,) = group.findall("{*}path")
            moves = [(it[0], [*map(int, it[1:].split())]) for it in re.findall(r"[MHV][\d ]+", line.attrib["d"])]
            (x, y), points = moves[0][1], []
            for letter, numbers in moves:
                x, y = numbers if letter == "M" else (numbers[0], y) if letter == "H" else (x, numbers[0])
                points.append((x, y))
            first, last = ([box for box in boxes if box.is_touched(*point)] for point in (points[0], points[-1]))
            assert len(first) == (text != "start"), (text, first)
            assert len(last) == 1, (text, last)
            arrows.append(Arrow(kind, tuple(text.split(", ")), first[0] if first else None, last[0]))
    return boxes, arrows


def test_picture() -> None:
    """The picture in the documentation has the states and the events of the tables, with the same ends."""
    boxes, arrows = drawn(Path(__file__).parents[2] / "docs/_static/ramp-states.svg")
    states = [box for box in boxes if box.kind == "state"]
    assert sorted(box.name for box in states) == sorted(STATES)

    def inside(box: Box | None) -> set[str]:
        return {it.name for it in states if box and box.has(it.left, it.top) and box.has(it.right, it.bottom)}

    def reached(box: Box) -> set[str]:
        if box.kind != "choice":
            return inside(box)
        return {name for it in arrows if it.source == box for name in reached(it.target)}

    found: dict[str, set[tuple[str, str, frozenset[str]]]] = defaultdict(set)
    for arrow in arrows:
        after = set() if arrow.source == arrow.target else reached(arrow.target)  # back to the same frame: no change
        for event in arrow.events if arrow.kind != "then" else ():
            found[event] |= {(arrow.kind, name, frozenset(after)) for name in inside(arrow.source) or {""}}
    assert found == {
        event: {(it.by, name, frozenset(it.after)) for name in it.before or ("",)} for event, it in TRANSITIONS.items()
    }
    (active,) = (box for box in boxes if box.name == "active")
    assert inside(active) == set(ACTIVE)
