"""A ramp's next entry: each row of the table of transitions, told as short stories."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.ramp.ramping import BASE, BEGUN, MINUTE, PLAN, Story, failing, healthy
from version_affinity import ConfigurationError
from version_affinity.ramp.judgement import judge
from version_affinity.ramp.next_entry import look, outcome, ramp_history, start
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.times import format_time

if TYPE_CHECKING:
    from version_affinity.ramp.judgement import Observed
    from version_affinity.ramp.plan import RampPlan
    from version_affinity.releases.log.entries import Entry

BAD = failing([(0, 1, True)] * 6 + [(0, 1, False)] * 4)
BROKEN_SHARE = {"v1": 0, "v2": 200}
LAGS = "2 of 3 workers serve revision 5: web-1, process 7: it lacks v2"


def test_whole_ramp() -> None:
    """A healthy ramp takes each step when its time has come, bakes, and completes with the new version alone."""
    it = Story()
    assert it.shown == ("running", 1, {"v1": 99.0, "v2": 1.0})
    assert it.after(15 * MINUTE - timedelta(seconds=1)) == "due at 2026-11-24T05:15:00Z"
    assert it.after(timedelta(seconds=1)) == "step due"
    assert it.shown == ("running", 2, {"v1": 75.0, "v2": 25.0})
    assert it.after(15 * MINUTE) == "step due"
    assert it.shown == ("baking", 3, {"v1": 0.0, "v2": 100.0})
    assert it.after(29 * MINUTE).startswith("due at")
    assert it.after(MINUTE) == "bake over"
    assert it.shown == ("completed", 3, {"v2": 100.0})
    assert it.after(15 * MINUTE) == "no ramp is active"
    assert [entry.author for entry in it.entries] == ["", "ada", "ramp", "ramp", "ramp"]
    assert [entry.revision for entry in it.entries] == [4, 5, 6, 7, 8]
    assert outcome(it.entries, "ramp-5") == "completed"


def test_entries_are_told() -> None:
    """An entry says in words what the ramp has done, and has a time of its own."""
    it = Story()
    it.after(15 * MINUTE)
    assert it.entries[1].message == "ramp-5: start, step 1 of 3, v2 at 1 %"
    assert it.entries[2].message == "ramp-5: step due, step 2 of 3, v2 at 25 %"
    assert it.entries[2].created == "2026-11-24T05:15:00.000Z"


def test_without_a_bake() -> None:
    """Without a bake, the last step completes the ramp; it need not be all users."""
    it = Story(replace(PLAN, steps=(1, 50), bake=timedelta(0)))
    assert it.after(15 * MINUTE) == "step due"
    assert it.shown == ("completed", 2, {"v1": 50.0, "v2": 50.0})


def test_versions_at_0_percent_stay() -> None:
    """Staged versions stay staged; the versions that the ramp has replaced are left out at the end."""
    it = Story(replace(PLAN, steps=(50, 100), bake=timedelta(0)), {"v0": 40.0, "v1": 60.0, "v3": 0.0})
    assert it.shown[2] == {"v0": 20.0, "v1": 30.0, "v2": 50.0, "v3": 0.0}
    it.after(15 * MINUTE)
    assert it.shown[2] == {"v2": 100.0, "v3": 0.0}


def test_when_to_look_again() -> None:
    """A worker looks again after a look, sooner if a step is due sooner, and not at all without an active ramp."""
    it = Story()
    assert look(it.entries, healthy(), BEGUN).again == BEGUN + MINUTE
    assert look(it.entries, healthy(), BEGUN + 14.5 * MINUTE).again == BEGUN + 15 * MINUTE
    assert look(it.entries, healthy(fresh_for=timedelta(0)), BEGUN + 20 * MINUTE).again == BEGUN + 21 * MINUTE
    assert look(it.entries[:1], healthy(), BEGUN).again is None
    assert look([], healthy(), BEGUN).again is None


@pytest.mark.parametrize(
    ("reports", "why"),
    [
        ({"fresh_for": timedelta(seconds=59)}, "due, and waits for reports that are fresh for one full look"),
        ({"behind": LAGS, "behind_for": 5 * MINUTE}, f"due, and waits for all workers to follow: {LAGS}"),
        ({"new_keys": {"v2": 9}}, "due, and waits for new users of v2: 9 of 10 have come in this step"),
    ],
)
def test_step_waits(reports: dict[str, object], why: str) -> None:
    """A step that is due waits for fresh reports, for all workers and for enough users, and is then taken once."""
    it = Story(replace(PLAN, min_keys=10))
    enough = {"new_keys": {"v1": 990, "v2": 10}}
    assert it.after(60 * MINUTE, **enough | reports) == why
    assert it.after(MINUTE, **enough) == "step due"
    assert it.after(14 * MINUTE, new_keys={"v1": 990, "v2": 90}).startswith("due at")


def test_users_are_counted_in_each_step() -> None:
    """``min_keys`` counts the users of the step, whatever the counters were before, also over a pause."""
    it = Story(replace(PLAN, min_keys=10))
    it.after(15 * MINUTE, new_keys={"v1": 5000, "v2": 50})
    assert it.after(15 * MINUTE, new_keys={"v1": 5027, "v2": 59}).endswith("9 of 10 have come in this step")
    it.command("pause", new_keys={"v1": 5027, "v2": 59})
    it.command("resume", new_keys={"v1": 5027, "v2": 59})
    assert it.after(15 * MINUTE, new_keys={"v1": 5030, "v2": 60}) == "step due"


def test_approval() -> None:
    """A step that needs approval waits for a command that names it."""
    it = Story(replace(PLAN, approve_at=(25,)))
    assert it.after(15 * MINUTE) == "approval due"
    assert it.shown == ("waiting", 1, {"v1": 99.0, "v2": 1.0})
    assert it.after(60 * MINUTE) == "ramp-5 is waiting"
    for step in (None, 1, 3):
        with pytest.raises(
            ConfigurationError, match=rf"step {step} cannot be approved: the next step of ramp-\d+ is 2"
        ):
            it.command("approve", step)
    it.command("approve", 2)
    assert it.shown == ("running", 2, {"v1": 75.0, "v2": 25.0})
    with pytest.raises(ConfigurationError, match="step 2 cannot be approved"):
        it.command("approve", 2)
    with pytest.raises(ConfigurationError, match="ramp-5 is running: approve needs a ramp that is waiting"):
        it.command("approve", 3)
    assert it.after(15 * MINUTE) == "step due"


def test_pause_and_resume() -> None:
    """A paused ramp takes no step; when it goes on, the step's time starts anew."""
    it = Story()
    it.after(10 * MINUTE)
    it.command("pause")
    assert it.after(60 * MINUTE) == "ramp-5 is paused"
    it.command("resume")
    assert it.after(14 * MINUTE).startswith("due at")
    assert it.after(MINUTE) == "step due"
    it.after(15 * MINUTE)
    it.command("pause")
    it.command("resume")
    assert it.shown == ("baking", 3, {"v1": 0.0, "v2": 100.0})


def test_advance() -> None:
    """``advance`` takes the next step at once, needs no approval, and ends a bake."""
    it = Story(replace(PLAN, approve_at=(25, 100)))
    it.command("advance")
    assert it.shown == ("running", 2, {"v1": 75.0, "v2": 25.0})
    it.command("pause")
    it.command("advance")
    assert it.shown == ("baking", 3, {"v1": 0.0, "v2": 100.0})
    it.command("advance")
    assert it.shown == ("completed", 3, {"v2": 100.0})


def test_promote() -> None:
    """``promote`` takes the last step at once; during the bake, it ends the bake."""
    it = Story()
    it.command("promote")
    assert it.shown == ("baking", 3, {"v1": 0.0, "v2": 100.0})
    it.command("promote")
    assert it.shown == ("completed", 3, {"v2": 100.0})


def test_abort() -> None:
    """``abort`` returns to the percentages before the ramp."""
    it = Story(PLAN, {"v0": 30.0, "v1": 70.0})
    it.after(15 * MINUTE)
    it.command("abort")
    assert it.shown == ("aborted", 2, {"v0": 30.0, "v1": 70.0})
    for event in ("pause", "resume", "advance", "promote", "abort"):
        with pytest.raises(ConfigurationError, match="no ramp is active: ramp-5 is aborted"):
            it.command(event)


def test_deployment_ends_a_ramp() -> None:
    """A person's deployment ends the ramp: workers write nothing any more, and commands are refused."""
    it = Story()
    it.after(15 * MINUTE)
    it.deploy({"v1": 100.0})
    assert it.after(60 * MINUTE) == "no ramp is active"
    assert outcome(it.entries, "ramp-5") == "superseded"
    with pytest.raises(ConfigurationError, match="no ramp is active"):
        it.command("resume")
    it.entries.append(start(it.entries, PLAN, healthy(), it.now))
    assert it.ramp.id == "ramp-8"
    assert outcome(it.entries, "ramp-5") == "superseded"
    assert outcome(it.entries, "ramp-8") == "running"


@pytest.mark.parametrize(
    ("entries", "plan", "reports", "reason"),
    [
        ([], PLAN, healthy(), "nothing is deployed yet"),
        (Story().entries, PLAN, healthy(), "ramp-5 is running: end it first"),
        (Story().entries[:1], replace(PLAN, version="v1"), healthy(), "v1 has 100 % already"),
        (Story().entries[:1], replace(PLAN, version="v3"), healthy(), "not all workers have loaded v3"),
        (Story().entries[:1], PLAN, healthy(silent_for=2 * MINUTE), "no worker reports"),
    ],
)
def test_start_refused(entries: list[Entry], plan: RampPlan, reports: Observed, reason: str) -> None:
    """A ramp that cannot be is refused with the reason."""
    with pytest.raises(ConfigurationError, match=reason):
        start(entries, plan, reports, BEGUN)


# --- the guard --------------------------------------------------------------------------------------------------------


def test_hold() -> None:
    """A version that fails more often is held, with the evidence in the entry."""
    it = Story()
    assert it.after(2 * MINUTE, failing=BAD, examples={"app-errors": ["/api/cart"]}) == "halt: hold"
    assert it.shown == ("held", 1, {"v1": 99.0, "v2": 1.0})
    evidence = it.ramp.evidence
    assert evidence["verdict"] == "failing"
    assert evidence["ratio"] > 1
    assert evidence["signals"]["app-errors"] == {
        "new": 6,
        "base": 4,
        "ratio": pytest.approx(evidence["ratio"], abs=0.01),
        "since": "2026-11-24T05:01:00Z",
        "examples": ["/api/cart"],
    }
    assert evidence["signals"]["missing-assets"] == {"new": 0, "base": 0, "ratio": 0}
    assert "app-errors: of the failing users, 6 have v2 and 4 not, at 1 %" in it.entries[-1].message
    assert it.after(60 * MINUTE, failing=BAD) == "ramp-5 is held"


def test_resume_after_a_hold() -> None:
    """A person who resumes has answered what was found: the guard counts units that fail from then on."""
    it = Story()
    it.after(2 * MINUTE, failing=BAD)
    it.command("resume", failing=BAD)
    assert it.after(MINUTE, failing=BAD).startswith("due at")
    more = failing([(0, 1, True)] * 6 + [(0, 1, False)] * 4 + [(2, 3, True)] * 6)
    assert it.after(MINUTE, failing=more) == "halt: hold"
    assert it.ramp.evidence["signals"]["app-errors"]["new"] == 6


@pytest.mark.parametrize("reason", ["workers behind", "reports unknown", "share mismatch", "pause"])
def test_resume_keeps_the_evidence(reason: str) -> None:
    """Only a hold because of failing users is answered by a resume: other reasons say nothing against the evidence."""
    it = Story()
    some = failing([(0, 2, True)])
    holds: dict[str, dict[str, object]] = {
        "workers behind": {"behind": LAGS, "behind_for": 60 * MINUTE},
        "reports unknown": {"silent_for": 60 * MINUTE},
        "share mismatch": {"new_keys": BROKEN_SHARE, "followed": {}},
    }
    if reason == "pause":
        it.command("pause", failing=some)
    else:
        assert it.after(15 * MINUTE, failing=some, **holds[reason]) == reason
    found = it.ramp.evidence["ratio"]
    assert 0.2 < found < 1
    it.command("resume", failing=some, new_keys=BROKEN_SHARE)
    judgement = judge(ramp_history(it.entries), healthy(failing=some, new_keys=BROKEN_SHARE))
    assert judgement.evidence["ratio"] == found
    assert judgement.evidence["users"] == ({"new": 200, "base": 0} if reason == "pause" else {"new": 0, "base": 0})


def test_rollback() -> None:
    """With ``on_halt="rollback"``, the ramp returns to the percentages before the start, not to 0 %."""
    base = {"v1": 90.0, "v2": 10.0}
    it = Story(replace(PLAN, steps=(25, 100), on_halt="rollback"), base)
    many = failing([(0, 1, True)] * 30)
    assert it.after(2 * MINUTE, failing=many) == "halt: rollback"
    assert it.shown == ("rolled_back", 1, base)
    assert it.after(60 * MINUTE, failing=many) == "no ramp is active"


def test_warn() -> None:
    """With ``on_halt="warn"``, the ramp goes on. Units that warned do not warn in the next step; new ones do."""
    it = Story(replace(PLAN, on_halt="warn"))
    assert it.after(2 * MINUTE, failing=BAD) == "halt: warn"
    assert it.shown == ("running", 1, {"v1": 99.0, "v2": 1.0})
    assert it.after(13 * MINUTE, failing=BAD) == "step due"
    assert it.after(MINUTE, failing=BAD).startswith("due at")
    more = failing([(0, 1, True)] * 6 + [(0, 1, False)] * 4 + [(2, 16, True)] * 6)
    assert it.after(MINUTE, failing=more) == "halt: warn"
    more = failing([(3, 17, True)] * 6)
    assert it.after(MINUTE, failing=more, new_keys={"v2": 900}, followed={}) == "share mismatch"


def test_warnings_of_a_version_that_fails_on_and_on() -> None:
    """A ramp that only warns takes its steps at their times, and the log has one warning in each step."""
    it = Story(replace(PLAN, on_halt="warn"))
    units: list[tuple[int, int, bool]] = []
    events = []
    for minute in range(60):
        units += [(len(it.entries) - 2, minute, True)] * 40
        pages = {"v1": 1000, "v2": 100 * minute}
        event = it.after(MINUTE, failing=failing(units), pages=pages, arrived=BEGUN)
        events += [(event, minute + 1)] if it.entries[-1].created == format_time(it.now, "milliseconds") else []
    warnings = [event for event, _ in events if event == "halt: warn"]
    assert len(warnings) == 3
    assert [it for it in events if it[0] != "halt: warn"] == [("step due", 15), ("step due", 30), ("bake over", 60)]


@pytest.mark.parametrize("state", ["running", "waiting", "paused", "baking"])
def test_guard_works(state: str) -> None:
    """The guard works in each active state but after its own hold."""
    it = Story(replace(PLAN, approve_at=(25,)))
    if state == "paused":
        it.command("pause")
    elif state == "waiting":
        it.after(15 * MINUTE)
    elif state == "baking":
        it.command("promote")
    assert it.ramp.state == state
    assert it.after(MINUTE, failing=BAD) == "halt: hold"


def test_bake_is_compared_with_the_base() -> None:
    """At 100 %, a rate far above the base's rate in this ramp halts; an equal rate does not."""
    it = Story()
    base = [(0, 5, False)] * 10 + [(1, 20, False)] * 10
    it.after(15 * MINUTE, failing=failing(base), pages={"v1": 990, "v2": 10})
    it.after(15 * MINUTE, failing=failing(base), pages={"v1": 1740, "v2": 260})
    assert it.ramp.state == "baking"
    equal = failing(base + [(2, 40, True)] * 12)
    assert it.after(10 * MINUTE, failing=equal, pages={"v1": 1740, "v2": 1260}).startswith("due at")
    worse = failing(base + [(2, 40, True)] * 100)
    assert it.after(MINUTE, failing=worse, pages={"v1": 1740, "v2": 1360}) == "halt: hold"


def test_bake_without_a_comparison() -> None:
    """Where the base had too few pages in the ramp, the guard says that it cannot compare, also in the log."""
    it = Story()
    it.command("promote", pages={"v1": 40})
    many = {"failing": failing([(1, 2, True)] * 150), "pages": {"v1": 40, "v2": 1000}}
    found = judge(ramp_history(it.entries), healthy(**many))
    assert (found.verdict, found.why) == (
        "undecided",
        "nothing to compare with: the earlier versions had too few pages in this ramp (40)",
    )
    assert it.after(30 * MINUTE, **many) == "bake over"
    assert it.entries[-1].message.endswith("v2 at 100 %: " + found.why)
    it = Story()
    it.command("promote", pages={"v1": 2000})
    assert it.after(MINUTE, failing=failing([(1, 2, True)] * 150), pages={"v1": 2000, "v2": 1000}) == "halt: hold"


def test_undecided_is_no_verdict() -> None:
    """Failures that hit both versions alike hold nothing, whatever their number."""
    it = Story()
    alike = failing([(0, look, look % 100 == 0) for look in range(1000)])
    assert it.after(15 * MINUTE, failing=alike) == "step due"
    assert it.ramp.evidence["verdict"] == "undecided"


def test_signals_out_of_the_plan() -> None:
    """A signal that the plan does not name is not looked at."""
    it = Story(replace(PLAN, guard=("missing-assets",)))
    assert it.after(MINUTE, failing=BAD).startswith("due at")


def test_share_mismatch() -> None:
    """A share of new users that is far off holds the ramp. Those who came before all workers followed do not count."""
    it = Story()
    assert it.after(MINUTE, new_keys=BROKEN_SHARE).startswith("due at")
    assert it.after(MINUTE, new_keys=BROKEN_SHARE, followed=BROKEN_SHARE).startswith("due at")
    assert it.after(MINUTE, new_keys=BROKEN_SHARE, followed={}) == "share mismatch"
    assert it.shown == ("held", 1, {"v1": 99.0, "v2": 1.0})
    assert "200 of 200 new users have v2, at 1 %" in it.entries[-1].message
    it.command("resume", new_keys=BROKEN_SHARE)
    assert it.after(MINUTE, new_keys=BROKEN_SHARE, followed=BROKEN_SHARE).startswith("due at")


def test_users_of_other_versions() -> None:
    """Only users of the ramp's versions count: those of a removed version become those of "other" at once."""
    it = Story()
    before = {"v0": 90_000, "v1": 500, "v2": 5}
    it.after(15 * MINUTE, new_keys=before)
    healthy_share = {"other": 90_000, "v1": 500 + 300, "v2": 5 + 100}
    assert it.after(MINUTE, new_keys=healthy_share, followed=before).startswith("due at")
    assert it.ramp.state == "running"
    found = judge(ramp_history(it.entries), healthy(new_keys=healthy_share))
    assert found.evidence["users"] == {"new": 100, "base": 300}


def test_counters_that_start_anew() -> None:
    """Counters that are below those of the entry have lost what was before: the numbers are those since then."""
    it = Story()
    it.after(15 * MINUTE, new_keys={"v1": 500, "v2": 50})
    found = judge(ramp_history(it.entries), healthy(new_keys={"v1": 30, "v2": 10}))
    assert found.evidence["users"] == {"new": 10, "base": 30}


def test_reports_unknown() -> None:
    """Reports that stop are unknown, never failing: after 60 seconds and four looks the ramp is held."""
    it = Story(replace(PLAN, on_halt="rollback"))
    silent = {"fresh_for": timedelta(0), "failing": BAD}
    unknown = healthy(**silent, silent_for=timedelta(seconds=61))
    assert judge(ramp_history(it.entries), unknown).verdict == "unknown"
    assert look(it.entries, unknown, it.now + MINUTE).entry is None
    assert it.after(5 * MINUTE, **silent, silent_for=5 * MINUTE).startswith("due at")
    assert it.after(MINUTE, **silent, silent_for=5 * MINUTE + timedelta(seconds=1)) == "reports unknown"
    assert it.shown == ("held", 1, {"v1": 99.0, "v2": 1.0})


@pytest.mark.parametrize(("steps", "state"), [((1, 100), "running"), ((1,), "baking")])
def test_workers_behind(steps: tuple[float, ...], state: str) -> None:
    """A worker that does not follow for long holds the ramp, with the reason, once the time of the step is over."""
    it = Story(replace(PLAN, steps=steps))
    assert it.ramp.state == state
    time = it.plan.every if state == "running" else it.plan.bake
    long = {"behind": LAGS, "behind_for": 5 * MINUTE + timedelta(seconds=1)}
    assert it.after(time - timedelta(seconds=1), **long).startswith("due at")
    assert it.after(timedelta(seconds=1), **long) == "workers behind"
    assert it.shown == ("held", 1, {"v1": 99.0, "v2": 1.0})
    ways_out = ". To undo the ramp: version-affinity rollback. To go on: version-affinity ramp resume"
    assert it.entries[-1].message.endswith(f"{LAGS}{ways_out}")
    it.command("resume")
    assert it.after(time, behind=LAGS, behind_for=5 * MINUTE).endswith(LAGS)
    assert it.after(MINUTE) in ("step due", "bake over")


@pytest.mark.parametrize("state", ["waiting", "paused", "held"])
def test_workers_behind_hold_nothing_that_waits(state: str) -> None:
    """A ramp that takes no step is not held for a worker that does not follow."""
    it = Story(replace(PLAN, approve_at=(25,)))
    if state == "waiting":
        it.after(15 * MINUTE)
    elif state == "paused":
        it.command("pause")
    else:
        it.after(MINUTE, failing=BAD)
    assert it.after(60 * MINUTE, behind=LAGS, behind_for=60 * MINUTE) == f"ramp-5 is {state}"


def test_short_outage() -> None:
    """After a short outage the step that came due is taken once, and not before one full look with fresh reports."""
    it = Story()
    assert "fresh" in it.after(50 * MINUTE, fresh_for=timedelta(0), silent_for=3 * MINUTE)
    assert "fresh" in it.after(MINUTE, fresh_for=timedelta(seconds=30))
    assert it.after(timedelta(seconds=30), fresh_for=MINUTE) == "step due"
    assert it.after(14 * MINUTE).startswith("due at")


# --- clocks and foreign logs ------------------------------------------------------------------------------------------


def test_slow_clock_does_not_turn_time_back() -> None:
    """An entry's time is not before the one of the entry before it, so a fast host cannot step again at once."""
    it = Story()
    it.now += 15 * MINUTE
    it.after(timedelta(0))
    it.now -= 5 * MINUTE
    it.command("pause")
    it.command("resume")
    assert it.ramp.since == BEGUN + 15 * MINUTE
    assert it.after(15 * MINUTE).startswith("due at")
    assert it.after(5 * MINUTE) == "step due"


def test_arrival_counts() -> None:
    """A process that saw the entry arrive counts from then, so that its fast clock takes no step early."""
    it = Story()
    arrived = BEGUN + 5 * MINUTE
    assert it.after(19 * MINUTE, arrived=arrived).startswith("due at")
    assert it.after(MINUTE, arrived=arrived) == "step due"


def test_time_in_the_future() -> None:
    """An entry that is dated far in the future stops the steps until a person writes a better time."""
    it = Story()
    it.entries[-1] = start(it.entries[:-1], PLAN, healthy(), BEGUN + timedelta(days=365))
    assert "in the future: check the clocks and resume" in it.after(60 * MINUTE)
    it.command("pause")
    it.command("resume")
    assert it.ramp.since == BEGUN + 60 * MINUTE
    assert it.after(15 * MINUTE) == "step due"


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"plan": {"version": "v2", "on_halt": "dance"}},
        {"plan": {"version": "v2", "guard": [[]]}},
        {"evidence": {"keys": {"v2": "many"}}},
        {"evidence": {"pages": [1]}},
        {"since": "9999-12-31T23:59:59Z"},
    ],
)
def test_foreign_ramp(change: dict[str, object]) -> None:
    """A ramp in the log that cannot be used, whatever it holds, is left alone."""
    it = Story()
    entry = replace(it.entries[-1], ramp={**it.entries[-1].ramp, **change})
    found = look([entry], healthy(failing=BAD, new_keys={"v2": 5}), BEGUN + 60 * MINUTE)
    assert found.entry is None
    assert found.why.startswith("the ramp is left alone")


def test_missing_start() -> None:
    """A ramp whose first entries are not given is left alone: its history decides."""
    it = Story()
    it.after(15 * MINUTE)
    assert "the start of ramp-5 is missing" in look(it.entries[2:], healthy(), it.now).why
    assert len(ramp_history(it.entries)) == 2


def test_through_the_log(tmp_path) -> None:
    """The log keeps the ramp as it was written, and an entry without one has none."""
    log = FileLog(tmp_path / "deployments.jsonl", name="shop")
    log.append(BASE, expected=0)
    entries = log.read()
    proposed = start(entries, PLAN, healthy(), BEGUN, author="ada")
    written = log.append(proposed.percentages, expected=proposed.revision - 1, details=proposed.details)
    assert written == proposed
    again = FileLog(tmp_path / "deployments.jsonl").read()
    assert again == [entries[0], proposed]
    assert again[0].ramp is None
    assert "ramp" not in json.loads((tmp_path / "deployments.jsonl").read_text().splitlines()[0])
    assert ramp_history(again)[-1].plan == PLAN
