"""Decides the next step of a ramp: the next entry of the log, from the log, the reports of all workers and the clock.

Every worker calls ``look`` and appends the entry that it returns if the log's newest revision is still the one before
it. So exactly one worker writes each entry, and none has to be the leader. A deployment that a person makes has no
``ramp``: it ends the ramp, and ``look`` returns nothing any more.

Clocks of hosts may differ. An entry's time is never before the one of the entry before it, so a slow clock cannot make
a fast one take a step twice; and a process that saw the entry arrive counts from then. What remains: a process that
started later, on a host whose clock is fast, takes a step early, by the difference of the clocks. A time that is more
than ``SKEW`` in the future is not carried on; nothing is stepped until a person's command writes a better one.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.errors import ConfigurationError
from version_affinity.releases.log.entries import Entry
from version_affinity.releases.times import format_time, parse_time

from .judgement import SILENCE, has_warned, judge, users_since
from .plan import ACTIVE, HOLDS, TRANSITIONS, Ramp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .judgement import Judgement, Observed
    from .plan import RampPlan

#: How far the clocks of the hosts may differ.
SKEW: Final = timedelta(minutes=10)
#: The ramp is held after this number of further looks without a report, or with a worker that does not follow.
UNKNOWN_LOOKS: Final = 4
#: How a person goes on after a hold, as its entry says it.
WAYS_OUT: Final = ". To undo the ramp: version-affinity rollback. To go on: version-affinity ramp resume"
_AUTHOR: Final = "ramp"


class Look(NamedTuple):
    """What a worker does next.

    Attributes:
        entry: The entry to append; None if there is nothing to write now.
        again: When to look again; None if nothing happens before the log has a new entry.
        why: The reason in words.
    """

    entry: Entry | None
    again: datetime | None
    why: str


def look(entries: Sequence[Entry], observed: Observed, now: datetime) -> Look:
    """Return what a worker does next for the ramp in a log. ``entries`` are those of the log from some revision on."""
    try:
        history = ramp_history(entries)
        if not history or history[-1].state not in ACTIVE:
            return Look(None, None, "no ramp is active")
        ramp, judgement = history[-1], judge(history, observed)
    except (ConfigurationError, TypeError, ArithmeticError) as error:  # the log may hold any JSON
        return Look(None, None, f"the ramp is left alone: {error}")
    event, why = _halt(history, judgement, observed)
    again = now + ramp.plan.look
    if event is None:
        event, why, due = _due(history, observed, now)
        again = min(again, due) if due > now else again
    if event == "bake over":
        why = judgement.why
    elif event in HOLDS:
        why += WAYS_OUT
    entry = None if event is None else _entry(entries, ramp, event, judgement.evidence, now, _AUTHOR, why)
    return Look(entry, again, why)


def ramp_history(entries: Sequence[Entry]) -> list[Ramp]:
    """Return what the entries of the newest ramp say, from its start on; nothing if the newest entry has no ramp.

    Raises:
        ConfigurationError: An entry's ``ramp`` cannot be used, such as one that a later release wrote.
    """
    found: list[Ramp] = []
    for entry in reversed(entries):
        if entry.ramp is None or (found and entry.ramp.get("id") != found[-1].id):
            break
        found.append(Ramp.from_json(entry.ramp))
    if found and found[-1].first != entries[-len(found)].revision:
        raise ConfigurationError(f"the start of {found[-1].id} is missing")
    return found[::-1]


def active_ramp(entries: Sequence[Entry]) -> Ramp | None:
    """Return the ramp that a deployment of a person would end; None if there is none, or it cannot be read."""
    with suppress(ConfigurationError):
        newest = ramp_history(entries)[-1:]
        return newest[0] if newest and newest[0].state in ACTIVE else None
    return None


def outcome(entries: Sequence[Entry], ramp_id: object) -> str:
    """Return the state of a ramp as of the end of the log: "superseded" if a person has deployed during the ramp."""
    *_, last = _entries_of(entries, ramp_id)
    state = Ramp.from_json(last.ramp).state
    return "superseded" if state in ACTIVE and last is not entries[-1] else state


def newest_ramp(entries: Sequence[Entry]) -> tuple[list[Entry], str]:
    """Return the entries of the newest ramp, and its ``outcome``; nothing if there was none."""
    newest = next((entry.ramp for entry in reversed(entries) if entry.ramp is not None), None)
    if newest is None:
        return [], ""
    return _entries_of(entries, newest.get("id")), outcome(entries, newest.get("id"))


def _entries_of(entries: Sequence[Entry], ramp_id: object) -> list[Entry]:
    # As text: an id in the log may be any JSON, and NaN does not equal itself.
    return [entry for entry in entries if entry.ramp is not None and str(entry.ramp.get("id")) == str(ramp_id)]


# --- persons ----------------------------------------------------------------------------------------------------------


def start(
    entries: Sequence[Entry], plan: RampPlan, observed: Observed, now: datetime, *, author: str = "", message: str = ""
) -> Entry:
    """Return the entry that starts a ramp.

    Raises:
        ConfigurationError: The ramp cannot start. The message says why.
    """
    check_start(entries, plan)
    newest = entries[-1]
    if observed.silent_for > SILENCE:
        raise ConfigurationError("no worker reports, so the guard would see nothing: start the application first")
    if plan.version not in observed.loaded:
        raise ConfigurationError(f"not all workers have loaded {plan.version}: deploy it at 0 %, and see the status")
    before = Ramp(newest.revision + 1, plan, dict(newest.percentages), 0, "superseded", now)
    counted = {"keys": dict(observed.new_keys), "pages": dict(observed.pages)}
    return _entry(entries, before, "start", counted, now, author, message)


def check_start(entries: Sequence[Entry], plan: RampPlan) -> None:
    """Raise ``ConfigurationError`` if the log does not allow a ramp to start."""
    if not entries:
        raise ConfigurationError("nothing is deployed yet: deploy the version to compare with")
    newest = ramp_history(entries)[-1:]
    if newest and newest[0].state in ACTIVE:
        raise ConfigurationError(f"{newest[0].id} is {newest[0].state}: end it first (ramp abort or ramp promote)")
    plan.check_start(entries[-1].percentages)


def command(
    entries: Sequence[Entry],
    event: str,
    observed: Observed,
    now: datetime,
    *,
    step: int | None = None,
    author: str = "",
    message: str = "",
) -> Entry:
    """Return the entry that a person's command writes: approve (with its step), pause, resume, advance, promote, abort.

    Raises:
        ConfigurationError: The ramp is not in a state for this command. The message says why.
    """
    history = ramp_history(entries)
    if not history or history[-1].state not in ACTIVE:
        found, state = newest_ramp(entries)
        ended = f": {Ramp.from_json(found[-1].ramp).id} is {state.replace('_', ' ')}" if found else ""
        raise ConfigurationError(f"no ramp is active{ended}")
    ramp = history[-1]
    if event == "approve" and step != ramp.step + 1:
        raise ConfigurationError(f"step {step} cannot be approved: the next step of {ramp.id} is {ramp.step + 1}")
    if ramp.state not in (before := TRANSITIONS[event].before):
        raise ConfigurationError(f"{ramp.id} is {ramp.state}: {event} needs a ramp that is {' or '.join(before)}")
    return _entry(entries, ramp, event, judge(history, observed).evidence, now, author, message)


# --- events -----------------------------------------------------------------------------------------------------------


def _halt(history: Sequence[Ramp], judgement: Judgement, observed: Observed) -> tuple[str | None, str]:
    """Return the event by which the guard stops a ramp or warns, if it does, and why."""
    ramp = history[-1]
    events = {"failing": f"halt: {ramp.plan.on_halt}", "share": "share mismatch", "unknown": "reports unknown"}
    event = events.get(judgement.verdict)
    is_known = judgement.verdict != "unknown" or observed.silent_for > _patience(ramp.plan)
    if event is None or not is_known or ramp.state not in TRANSITIONS[event].before:
        return None, ""
    # A version that fails on and on would fill the log with warnings.
    return (None, "") if event == "halt: warn" and has_warned(history) else (event, judgement.why)


def _due(history: Sequence[Ramp], observed: Observed, now: datetime) -> tuple[str | None, str, datetime]:
    """Return the event that time brings, if it does, why, and when it is due."""
    ramp, plan = history[-1], history[-1].plan
    if ramp.state not in ("running", "baking"):
        return None, f"{ramp.id} is {ramp.state}", now
    begun = max(ramp.since, observed.arrived or ramp.since)
    if begun - now > SKEW:
        return None, f"the ramp is dated {format_time(ramp.since)}, in the future: check the clocks and resume", now
    due = begun + (plan.bake if ramp.state == "baking" else plan.every)
    if now < due:
        return None, f"due at {format_time(due)}", due
    event: str | None = "bake over"
    reason = waits_for(history, observed)
    if observed.behind and observed.behind_for > _patience(plan):
        event, reason = "workers behind", observed.behind
    elif reason:
        event, reason = None, f"due, and waits for {reason}"
    elif ramp.state == "running":
        event = "approval due" if plan.steps[ramp.step] in plan.approve_at else "step due"
    return event, reason, due


def waits_for(history: Sequence[Ramp], observed: Observed) -> str:
    """Return what a ramp that runs or bakes waits for once its time is over; "" for nothing."""
    ramp, plan = history[-1], history[-1].plan
    if observed.fresh_for < plan.look:
        return "reports that are fresh for one full look"
    if observed.behind:
        return f"all workers to follow: {observed.behind}"
    users = step_users(history, observed)
    if ramp.state == "running" and users < plan.min_keys:
        return f"new users of {plan.version}: {users} of {plan.min_keys} have come in this step"
    return ""


def step_users(history: Sequence[Ramp], observed: Observed) -> int:
    """Return how many new users the new version had since the step was taken, also over a pause."""
    ramp = history[-1]
    return users_since(next(entry for entry in history if entry.step == ramp.step), observed)[0]


def _patience(plan: RampPlan) -> timedelta:
    """Return how long the machine waits for workers until it holds the ramp."""
    return SILENCE + UNKNOWN_LOOKS * plan.look


def _entry(
    entries: Sequence[Entry], ramp: Ramp, event: str, evidence: Mapping[str, Any], now: datetime, author: str, why: str
) -> Entry:
    """Return the entry that an event writes, by the table."""
    transition, plan, newest = TRANSITIONS[event], ramp.plan, entries[-1]
    last = len(plan.steps)
    step = {"next": min(ramp.step + 1, last), "last": last}.get(transition.percentages, ramp.step)
    if len(transition.after) <= 1:
        (state,) = transition.after or (ramp.state,)
    elif step < last:
        state = "running"
    else:
        ends_bake = step == ramp.step and transition.percentages != "kept"
        state = "completed" if ends_bake or not plan.bake else "baking"
    # The time is never before the one of the newest entry, unless that one is far off.
    time = parse_time(newest.created)
    time = time if timedelta(0) < time - now <= SKEW else now
    since = time if transition.after else ramp.since  # a warning does not begin the time of the step anew
    after = Ramp(ramp.first, plan, ramp.base, step, state, since, {"event": event, **evidence})
    percentages = dict(newest.percentages)
    if transition.percentages == "base":
        percentages = dict(ramp.base)
    elif step != ramp.step:
        percentages = plan.percentages(ramp.base, after.percentage)
    if state == "completed":  # the versions before have no users any more
        percentages = {key: value for key, value in percentages.items() if value or not ramp.base.get(key)}
    message = f"{ramp.id}: {event}, step {step} of {last}, {plan.version} at {percentages.get(plan.version, 0):g} %"
    return Entry(
        newest.revision + 1,
        percentages,
        format_time(time, "milliseconds"),
        author,
        f"{message}: {why}" if why else message,
        newest.log_id,
        newest.name,
        after.to_json(),
    )
