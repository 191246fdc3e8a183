"""A ramp's plan, its state as the deployment log holds it, and the table of its states and transitions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from version_affinity.deployment import WHOLE, check_percentage, check_version_id, share
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import NEVER, format_duration, format_time, parse_duration, parse_time

from .evidence import DEFAULT_SIGNALS, SIGNALS

#: What the guard does when it finds that the new version fails more often.
ON_HALT: Final = ("hold", "rollback", "warn")

_SECOND: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=366)
_LONGEST_LOOK: Final = timedelta(minutes=1)
_LOOKS_PER_STEP: Final = 15
_MOST_STEPS: Final = 100
_ID: Final = re.compile(r"ramp-([1-9][0-9]{0,17})\Z", re.ASCII)


# --- states and transitions -------------------------------------------------------------------------------------------

#: All states and transitions, in Markdown. The code reads these tables and the documentation prints them. Where an
#: event leads to one of several states, the step decides: the last one bakes, or completes a ramp without a bake.
TABLES: Final = """\
| state | meaning |
|---|---|
| running | The next step is taken when its time has come. |
| waiting | The next step is due and needs a person's approval. |
| paused | A person has stopped the steps. The guard keeps working. |
| held | The guard has stopped the steps. A person decides. |
| baking | The last step is taken. The guard works until the bake is over. |
| completed | The last step is taken and the bake is over. |
| rolled_back | The guard has returned all users to the percentages before the ramp. |
| aborted | A person has returned all users to the percentages before the ramp. |
| superseded | A person has deployed other percentages. The ramp does not touch them. |

| event | by | from | to | percentages | when |
|---|---|---|---|---|---|
| start | person | | running, baking, completed | next | No ramp is active. All workers have the version. |
| step due | worker | running | running, baking, completed | next | Time over, reports fresh, all workers follow. |
| approval due | worker | running | waiting | kept | The same, and the next step needs approval. |
| bake over | worker | baking | completed | kept | Time over, reports fresh, all workers follow. |
| halt: hold | worker | running, waiting, paused, baking | held | kept | The version fails more often. |
| halt: rollback | worker | running, waiting, paused, baking | rolled_back | base | The version fails more often. |
| halt: warn | worker | running, waiting, paused, baking | | kept | The same, once in a step. The guard starts anew. |
| share mismatch | worker | running, waiting, paused, baking | held | kept | The share of new users is far off. |
| reports unknown | worker | running, baking | held | kept | No report for 60 seconds and four looks. |
| workers behind | worker | running, baking | held | kept | Time over, a worker does not follow for as long. |
| approve | person | waiting | running, baking, completed | next | The command names the next step. |
| pause | person | running, waiting, baking | paused | kept | |
| resume | person | paused, held | running, baking | kept | The time starts anew, after halt: hold the guard too. |
| advance | person | running, waiting, paused, held, baking | running, baking, completed | next | Ends a bake. |
| promote | person | running, waiting, paused, held, baking | baking, completed | last | Ends a bake. |
| abort | person | running, waiting, paused, held, baking | aborted | base | |
| deployment | person | running, waiting, paused, held, baking | superseded | given | The entry has no ramp. |
"""


class Transition(NamedTuple):
    """A row of the table of events.

    Attributes:
        by: Who writes the entry: "person", or "worker" for any worker.
        before: The states in which the event can happen.
        after: The states that can follow. Empty: the state stays.
        percentages: Those of the entry before ("kept"), of the next or the last step, or before the ramp ("base").
        when: The condition.
    """

    by: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    percentages: str
    when: str


def _rows(table: str) -> dict[str, list[str]]:
    rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:])
    return {name: cells for name, *cells in rows}


def _names(cell: str) -> tuple[str, ...]:
    return tuple(cell.split(", ")) if cell else ()


STATES: Final = tuple(_rows(TABLES.split("\n\n")[0]))
TRANSITIONS: Final = {
    event: Transition(by, _names(before), _names(after), percentages, when)
    for event, (by, before, after, percentages, when) in _rows(TABLES.split("\n\n")[1]).items()
}
#: States in which a ramp goes on, by itself or by a person's command.
ACTIVE: Final = TRANSITIONS["abort"].before
#: The events that hold a ramp.
HOLDS: Final = tuple(event for event, it in TRANSITIONS.items() if it.after == ("held",))


# --- the plan ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RampPlan:
    """Percentages of a version over time, and what the guard watches.

    Args:
        version: The new version.
        steps: Its percentages, rising. The first one is deployed at the start.
        every: How long each step lasts: one second or more.
        bake: How long the guard works after the last step. Zero: not at all.
        guard: The signals that the guard watches.
        approve_at: The steps, by percentage, that need a person's approval.
        min_keys: How many new users a step must have brought to the version before the next one. Steps wait for them.
        on_halt: What happens when the version fails more often: "hold", "rollback" or "warn".
        alpha: The probability, at most, that the guard halts a healthy version, over the whole ramp.
        other: Settings that the plan carries along, such as where notices go.

    Raises:
        ConfigurationError: A value that cannot be used.

    >>> RampPlan("v2", (1, 25, 100), every="15m").look.seconds
    60
    """

    version: str
    steps: tuple[float, ...] = (1, 5, 25, 50, 100)
    every: timedelta = timedelta(minutes=15)
    bake: timedelta = timedelta(minutes=30)
    guard: tuple[str, ...] = DEFAULT_SIGNALS
    approve_at: tuple[float, ...] = ()
    min_keys: int = 0
    on_halt: str = "hold"
    alpha: float = 0.05
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        checked = {
            "version": check_version_id(self.version),
            "steps": _steps(self.steps),
            "every": _duration("every", self.every, least=_SECOND),
            "bake": _duration("bake", self.bake, least=timedelta(0)),
            "guard": _signals(self.guard),
            "approve_at": tuple(sorted({_percentage(step) for step in _listed("approve_at", self.approve_at)})),
            "other": MappingProxyType(dict(self.other)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for step in self.approve_at:
            if step not in self.steps[1:]:
                raise ConfigurationError(
                    f"{step:g} % needs approval and is not a later step: the steps are {self._listed_steps}"
                )
        if type(self.min_keys) is not int or self.min_keys < 0:
            raise ConfigurationError(f"min_keys={self.min_keys!r} is not a number of users: give 0 or more")
        if self.on_halt not in ON_HALT:
            raise ConfigurationError(f"on_halt={self.on_halt!r} is unknown: write one of {', '.join(ON_HALT)}")
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, float) or not 1e-6 <= self.alpha <= 0.5:  # noqa: PLR2004
            raise ConfigurationError(f"alpha={self.alpha!r} is not a probability from 0.000001 to 0.5: 0.05 is usual")

    @property
    def look(self) -> timedelta:
        """How often the guard looks: 15 times in a step, but between once a second and once a minute."""
        return min(_LONGEST_LOOK, max(_SECOND, self.every / _LOOKS_PER_STEP))

    @property
    def _listed_steps(self) -> str:
        return ", ".join(f"{step:g}" for step in self.steps)

    def percentages(self, base: Mapping[str, float], percentage: float) -> dict[str, float]:
        """Return the percentages of all versions while the new one has this one: the others share as before the ramp.

        >>> RampPlan("v3").percentages({"v1": 60.0, "v2": 40.0}, 5)
        {'v1': 57.0, 'v2': 38.0, 'v3': 5}
        """
        others = sum(value for version, value in base.items() if version != self.version)
        left = WHOLE - percentage
        shared = {version: value * left / others for version, value in base.items() if version != self.version}
        return {**shared, self.version: percentage}

    def check_start(self, base: Mapping[str, float]) -> None:
        """Raise ``ConfigurationError`` if the ramp cannot start from these percentages."""
        now = base.get(self.version, 0.0)
        if now >= WHOLE:
            raise ConfigurationError(f"{self.version} has 100 % already: there is nothing to ramp")
        if now >= self.steps[0]:
            raise ConfigurationError(
                f"{self.version} has {now:g} % already: let the steps {self._listed_steps} begin with more than that"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        return {
            **self.other,
            "version": self.version,
            "steps": list(self.steps),
            "every": format_duration(self.every),
            "bake": format_duration(self.bake),
            "guard": list(self.guard),
            "approve_at": list(self.approve_at),
            "min_keys": self.min_keys,
            "on_halt": self.on_halt,
            "alpha": self.alpha,
        }

    @classmethod
    def from_json(cls, document: object) -> RampPlan:
        """Return the plan that JSON data describes. Unknown settings are kept.

        Raises:
            ConfigurationError: A value that cannot be used.
        """
        if not isinstance(document, Mapping) or "version" not in document:
            raise ConfigurationError(f"{document!r} is not a ramp's plan")
        known = {name: value for name, value in document.items() if name in _SETTINGS}
        return cls(**known, other={name: value for name, value in document.items() if name not in _SETTINGS})


_SETTINGS: Final = frozenset(RampPlan.__dataclass_fields__) - {"other"}

#: Plans by name, as arguments of ``RampPlan``.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "careful": {"steps": (1, 5, 10, 25, 50, 100), "every": "1h", "bake": "4h"},
        "standard": {"steps": (1, 5, 25, 50, 100), "every": "15m", "bake": "30m"},
        "fast": {"steps": (10, 50, 100), "every": "5m", "bake": "10m"},
    }
)


def _listed(name: str, values: object) -> Sequence[Any]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigurationError(f"{name}={values!r} is not a list")
    return values


def _are_numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(type(number) is int for number in value.values())


def _percentage(value: object) -> float:
    percentage = check_percentage("the ramp", value)
    if not percentage:
        raise ConfigurationError(f"a step of {value} % gives the version to no user: write more than 0")
    return percentage


def _steps(values: object) -> tuple[float, ...]:
    steps = tuple(map(_percentage, _listed("steps", values)))
    if not steps or len(steps) > _MOST_STEPS:
        raise ConfigurationError(f"a ramp has 1 to {_MOST_STEPS} steps, not {len(steps)}: write 1,5,25,50,100")
    for one, other in pairwise(steps):
        if other <= one:
            raise ConfigurationError(f"the step to {other:g} % follows the one to {one:g} %: let each step be larger")
    if steps[0] == WHOLE:
        raise ConfigurationError("the first step is 100 %, so that nothing can be compared: begin with less")
    return steps


def _duration(name: str, value: object, least: timedelta) -> timedelta:
    if isinstance(value, str):
        try:
            value = parse_duration(value)
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from None
    if not isinstance(value, timedelta) or not (value == least or _SECOND <= value <= _LONGEST):
        shown = format_duration(value) if isinstance(value, timedelta) else repr(value)
        also = "" if least else ", or 0s for none"
        raise ConfigurationError(f"{name}={shown} is not a time from one second to a year{also}: write one such as 15m")
    return value


def _signals(values: object) -> tuple[str, ...]:
    signals = _listed("guard", values)
    for signal in signals:
        if signal not in SIGNALS:
            raise ConfigurationError(f"the guard knows no signal {signal!r}: its signals are {', '.join(SIGNALS)}")
    if not signals:
        raise ConfigurationError(f"the guard needs a signal: name one of {', '.join(SIGNALS)}")
    return tuple(dict.fromkeys(signals))


# --- the state in the log ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ramp:
    """What an entry of the deployment log says about a ramp: its member ``ramp``."""

    # The revision with which the ramp started.
    first: int
    plan: RampPlan
    # The percentages before the ramp.
    base: Mapping[str, float] = field(hash=False)
    # The number of the step, from 1 on.
    step: int
    state: str
    # When the ramp came into this step and state, by the writer's clock.
    since: datetime
    # The event, and what the guard knew then.
    evidence: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """The name of the ramp, which is unique in its log."""
        return f"ramp-{self.first}"

    @property
    def percentage(self) -> float:
        """The new version's percentage in this step."""
        return self.plan.steps[self.step - 1]

    def to_json(self) -> dict[str, Any]:
        """Return the ramp as JSON data."""
        return {
            "id": self.id,
            "plan": self.plan.to_json(),
            "base": dict(self.base),
            "step": self.step,
            "state": self.state,
            "since": format_time(self.since, "milliseconds"),
            "evidence": dict(self.evidence),
        }

    @classmethod
    def from_json(cls, document: object) -> Ramp:
        """Return the ramp that JSON data describes.

        Raises:
            ConfigurationError: A value that cannot be used, such as one that a later release wrote.
        """
        if not isinstance(document, Mapping):
            raise ConfigurationError(f"{document!r} is not a ramp")
        found = _ID.match(str(document.get("id")))
        plan, base = RampPlan.from_json(document.get("plan")), share(document.get("base"))  # type: ignore[arg-type] # which it checks
        step, state, since = document.get("step"), document.get("state"), parse_time(str(document.get("since")))
        evidence = document.get("evidence", {})
        if (
            found is None
            or type(step) is not int
            or not 1 <= step <= len(plan.steps)
            or state not in STATES
            or since == NEVER
            or not isinstance(evidence, Mapping)
            or not all(_are_numbers(evidence.get(name, {})) for name in ("keys", "pages"))
        ):
            raise ConfigurationError(f"the id, step, state, time or evidence of {document.get('id')!r} is unknown")
        return cls(int(found[1]), plan, base, step, state, since, evidence)
