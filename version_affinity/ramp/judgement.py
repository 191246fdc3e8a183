"""What the guard of a ramp finds: a pure function of what the log and the worker reports say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import log
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.counters import gained
from version_affinity.deployment import WHOLE
from version_affinity.releases.times import format_duration, format_time

from .evidence import (
    SHARE_ALPHA,
    FailingUnits,
    combined,
    log_bake_evidence,
    log_evidence,
    log_share_mismatch,
    tolerated_rate,
)
from .plan import HOLDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from .plan import Ramp

#: Without a report for this long, the guard knows nothing: that is not a failure of the version.
SILENCE: Final = timedelta(seconds=60)
# Failing users per page if all users fail: an estimate of the pages per user.
_ALL_FAIL: Final = 1 / 5
_WARNING: Final = "halt: warn"
# Failing users who came before a hold for another reason, such as a worker that did not follow, still count.
_FAILING: Final = ("halt: hold",)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the worker reports say, combined over all processes.

    Attributes:
        fresh_for: How long this process has seen fresh reports without a break; zero if they are not fresh.
        silent_for: The age of the newest report; ``timedelta.max`` without a report.
        failing: The failing units of this ramp, by signal.
        new_keys: How many new keys and buckets each version had, since ever. A process counts each one once.
        pages: How many pages each version had, since ever.
        loaded: The versions that every process has loaded.
        behind: Which processes do not serve the newest deployment, and why; "" if all do.
        behind_for: How long one of these processes has not served it.
        examples: Some paths that failed, by signal.
        followed: The ``new_keys`` when this process first saw all workers serve the newest deployment; None before. A
            command that does not know it takes those of the newest entry.
        arrived: When this process saw the newest entry arrive, by its clock; None if the entry was there before it.
    """

    fresh_for: timedelta
    silent_for: timedelta
    failing: Mapping[str, FailingUnits] = field(default_factory=dict)
    new_keys: Mapping[str, int] = field(default_factory=dict)
    pages: Mapping[str, int] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()
    behind: str = ""
    behind_for: timedelta = timedelta(0)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    followed: Mapping[str, int] | None = None
    arrived: datetime | None = None


class Judgement(NamedTuple):
    """What the guard finds.

    Attributes:
        verdict: "failing"; "share": the share of new users shows a broken set-up; "unknown": no fresh reports; or
            "undecided", which is never a reason to roll back.
        evidence: The details as JSON data, for the log.
        why: The verdict in words.
    """

    verdict: str
    evidence: Mapping[str, Any]
    why: str


def judge(history: Sequence[Ramp], observed: Observed) -> Judgement:
    """Return what the guard finds in a ramp, of which ``history`` is everything that the log says."""
    ramp, plan = history[-1], history[-1].plan
    anew = _anew(history, _FAILING)
    stepped = _stepped(history)
    since = max(stepped, anew)
    shares = {number: entry.percentage / 100 for number, entry in enumerate(history)}
    users = users_since(history[max(stepped, _anew(history, HOLDS))], observed)
    enough = -log(plan.alpha)
    signals: dict[str, dict[str, Any]] = {}
    found = []
    for signal in plan.guard:
        failing = observed.failing.get(signal, FailingUnits())
        counted = failing.counted({number: share for number, share in shares.items() if number >= anew})
        evidence = log_evidence(counted)
        if ramp.percentage == WHOLE:
            compared = failing.counted({number: share for number, share in shares.items() if number < stepped})
            new, base = sum(it.new for it in counted if it.share == 1), sum(it.base for it in compared)
            new_pages = _gained(history[since], "pages", observed.pages)[0]
            evidence += log_bake_evidence(new, new_pages, base, _base_pages(history, stepped))
        found.append(evidence)
        signals[signal] = {
            "ratio": round(max(0.0, evidence - log(len(plan.guard))) / enough, 3),  # 1: this signal alone is enough
            "new": sum(it.new for it in counted),
            "base": sum(it.base for it in counted),
        }
        looks = [it.look for it in counted if it.new]
        if looks:
            signals[signal]["since"] = format_time(history[0].since + min(looks) * plan.look)
        if observed.examples.get(signal):
            signals[signal]["examples"] = list(observed.examples[signal])
    total = combined(found)
    followed = (0, 0) if observed.followed is None else _between(ramp, observed.followed, observed.new_keys)
    is_far_off = log_share_mismatch(*followed, ramp.percentage / 100) >= -log(SHARE_ALPHA)
    place = f"at {ramp.percentage:g} %"
    if observed.silent_for > SILENCE:
        verdict, why = "unknown", "no worker reports"
        if observed.silent_for < timedelta.max:
            why = f"no worker has reported for {format_duration(observed.silent_for)}"
    elif total >= enough and not (is_far_off and has_warned(history)):
        worst = max(signals, key=lambda it: signals[it]["ratio"])
        new, base = signals[worst]["new"], signals[worst]["base"]
        verdict, why = "failing", f"{worst}: of the failing users, {new} have {plan.version} and {base} not, {place}"
    elif is_far_off:
        verdict, why = "share", f"{followed[0]} of {sum(followed)} new users have {plan.version}, {place}"
    else:
        verdict, why = "undecided", cannot_compare(history, observed) or "no difference is found"
    evidence_in_log = {
        "verdict": verdict,
        "ratio": round(max(0.0, total) / enough, 3),
        "signals": signals,
        "users": {"new": users[0], "base": users[1]},
        "keys": dict(observed.new_keys),
        "pages": dict(observed.pages),
    }
    return Judgement(verdict, evidence_in_log, why)


def cannot_compare(history: Sequence[Ramp], observed: Observed) -> str:
    """Return why the bake of a ramp finds nothing: too few pages of the earlier versions; "" if it can."""
    if history[-1].percentage < WHOLE:
        return ""
    stepped = _stepped(history)
    shares = {number: entry.percentage / 100 for number, entry in enumerate(history[:stepped])}
    pages = _base_pages(history, stepped)
    for signal in history[-1].plan.guard:
        base = sum(it.base for it in observed.failing.get(signal, FailingUnits()).counted(shares))
        if tolerated_rate(base, pages) < _ALL_FAIL:
            return ""
    return f"nothing to compare with: the earlier versions had too few pages in this ramp ({pages})"


def has_warned(history: Sequence[Ramp]) -> bool:
    """Return whether the guard has warned in the current step."""
    return any(entry.evidence.get("event") == _WARNING for entry in history[_stepped(history) :])


def _stepped(history: Sequence[Ramp]) -> int:
    """Return the number of the entry that took the current step."""
    return next(number for number, entry in enumerate(history) if entry.step == history[-1].step)


def _base_pages(history: Sequence[Ramp], stepped: int) -> int:
    """Return how many pages the earlier versions had in the ramp until a step."""
    return _gained(history[0], "pages", _numbers(history[stepped], "pages"))[1]


def users_since(entry: Ramp, observed: Observed) -> tuple[int, int]:
    """Return how many new users the new version and the others had since an entry."""
    return _gained(entry, "keys", observed.new_keys)


def _anew(history: Sequence[Ramp], holds: Collection[str]) -> int:
    """Return the number of the entry from which on the guard counts: after one of these holds, or from a warning on."""
    events = [str(entry.evidence.get("event")) for entry in history]
    return max((at for at, it in enumerate(events) if it == _WARNING or (at and events[at - 1] in holds)), default=0)


def _numbers(ramp: Ramp, name: str) -> Mapping[str, int]:
    """Return the "keys" or "pages", by version, that the reports gave when an entry was written."""
    numbers: Mapping[str, int] = ramp.evidence.get(name, {})
    return numbers


def _gained(ramp: Ramp, name: str, numbers: Mapping[str, int]) -> tuple[int, int]:
    """Return how many "keys" or "pages" the new version and the others had since an entry."""
    return _between(ramp, _numbers(ramp, name), numbers)


def _between(ramp: Ramp, before: Mapping[str, int], numbers: Mapping[str, int]) -> tuple[int, int]:
    """Return how much the numbers of the new version, and of the others of the ramp, have grown.

    The numbers of a version that is removed meanwhile become those of "other", which are not of this ramp.
    """
    new = ramp.plan.version
    found = {it: gained(numbers.get(it, 0), before.get(it, 0)) for it in {*ramp.base, new}}
    return found.pop(new), sum(found.values())
