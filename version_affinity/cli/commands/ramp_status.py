"""``ramp status``: the steps of a ramp, what its guard finds, and what a person can do; once, or until it ends."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from version_affinity.cli.context import Target, command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import screen
from version_affinity.cli.options import duration
from version_affinity.cli.output import (
    ago,
    amount,
    counted,
    emit,
    listed,
    percent,
    say,
    say_rows,
    sentence,
    shares,
    styled,
    warn,
)
from version_affinity.cli.ramps import Seen
from version_affinity.cli.workers import Followed
from version_affinity.errors import ConfigurationError
from version_affinity.ramp.next_entry import Judgement, judge, newest_ramp
from version_affinity.ramp.plan import ACTIVE, Ramp
from version_affinity.releases.log.entries import DeploymentLog, Entry, LogError
from version_affinity.releases.times import format_duration, format_time, parse_time, utc_now
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds between two looks of ``--watch``.
_INTERVAL: Final = 1.0
#: Columns of the bar that shows the evidence.
_BAR: Final = 20
_TIMEOUT: Final = 3
#: The exit status of a wait, by the state in which it ends.
_STATUS: Final = {"completed": 0, "held": 1, "rolled_back": 1, "aborted": 1, "superseded": 2}
_STYLES: Final = {"held": "bad", "rolled_back": "bad", "aborted": "bad", "superseded": "warning", "completed": "good"}
#: What a person can do in each state, and what it does.
_NEXT: Final = {
    "running": (("ramp pause", "take no further step"), ("ramp advance", "take the next step now")),
    "baking": (("ramp promote", "end the bake"), ("rollback", "return to the percentages before the ramp")),
    "paused": (("ramp resume", "go on"),),
    "held": (
        ("rollback", "return to the percentages before the ramp"),
        ("ramp resume", "go on, without the failures until now"),
    ),
}


class _View(NamedTuple):
    """All that the command shows: what the log says of the newest ramp, and what the workers report."""

    target: Target
    log: DeploymentLog
    entries: Sequence[Entry]
    history: Sequence[Ramp]
    # The state; "superseded" if a person has deployed during the ramp.
    state: str
    seen: Seen
    judgement: Judgement

    @property
    def ramp(self) -> Ramp:
        """The newest state of the ramp in the log."""
        return self.history[-1]

    @property
    def due(self) -> str | None:
        """When the next step is due, or the bake over; None if that is not a matter of time."""
        ramp, plan = self.ramp, self.ramp.plan
        if self.state not in ("running", "baking"):
            return None
        return format_time(ramp.since + (plan.bake if self.state == "baking" else plan.every))


@command()
@click.option("--watch", is_flag=True, help="Show it until the ramp ends or is held. With --json: a line per change.")
@click.option("--timeout", metavar="DURATION", type=duration, help="How long to watch at most, such as 30m.")
def status(watch: bool, timeout: timedelta | None, as_json: bool) -> None:
    """Show the newest ramp, what its guard finds, and what a person can do.

      version-affinity ramp status
      version-affinity ramp status --watch --timeout 30m
      version-affinity ramp status --json | jq .state

    EVIDENCE is how much speaks for more failures with the new version; at 1 the guard halts the ramp. Failing users are
    those that came back and failed, each one counted once in the ramp.

    With --watch, the exit status is 0 if the ramp was completed, 1 if it was held, rolled back or aborted, 2 if a
    person has deployed other percentages, and 3 at the end of --timeout.
    """
    target = current_target()
    log = target.open_log()
    view = _look(target, log)
    if not (watch or timeout):
        _print(view, as_json=as_json)
        return
    end = None if timeout is None else time.monotonic() + timeout.total_seconds()
    view = _watch(view, end, as_json=as_json)
    if view.state not in _STATUS:
        raise click.exceptions.Exit(_TIMEOUT)
    raise click.exceptions.Exit(_STATUS[view.state])


def _look(target: Target, log: DeploymentLog) -> _View:
    entries = log.read()
    ramp_entries, state = newest_ramp(entries)
    if not ramp_entries:
        raise RefusedError(f"there has been no ramp yet. To start one: {command_line('ramp start v2')}")
    history = [Ramp.from_json(entry.ramp) for entry in ramp_entries]
    seen = Seen.now(log, ramp_entries)
    return _View(target, log, entries, history, state, seen, judge(history, seen.observed, utc_now()))


def _watch(view: _View, end: float | None, *, as_json: bool) -> _View:
    """Show the ramp until it ends, is held, or the time is over; return the last look."""
    shown = None
    with ExitStack() as stack:
        is_screen = sys.stdout.isatty() and not as_json
        draw = stack.enter_context(screen()) if is_screen else None
        while view.state not in _STATUS and (end is None or time.monotonic() < end):
            if draw is not None:
                draw([*_lines(view), "", styled("Shown anew each second. Ctrl+C ends.", "faint")])
            elif shown != (view.state, view.ramp.step):
                _say_change(view, as_json=as_json)
                shown = view.state, view.ramp.step
            time.sleep(_INTERVAL if end is None else max(0.0, min(_INTERVAL, end - time.monotonic())))
            try:
                view = _look(view.target, view.log)
            except (LogError, ConfigurationError) as error:
                if draw is None:
                    warn(str(error))
    if as_json:
        emit(_document(view), indent=None)
    else:
        _print(view, as_json=False)
    return view


def _say_change(view: _View, *, as_json: bool) -> None:
    if as_json:
        emit(_document(view), indent=None)
    else:
        say(f"{format_time(utc_now())}  {view.ramp.id}: {_state(view)}")


def _print(view: _View, *, as_json: bool) -> None:
    if as_json:
        emit(_document(view))
        return
    for line in _lines(view):
        say(line)


def _document(view: _View) -> dict[str, Any]:
    ramp = view.ramp
    return {
        "name": view.target.directory.name,
        "revision": view.entries[-1].revision,
        **ramp.to_json(),
        "state": view.state,
        "percentage": ramp.percentage,
        "percentages": dict(view.entries[-1].percentages),
        "due": view.due,
        "judgement": {"verdict": view.judgement.verdict, "why": view.judgement.why, **view.judgement.evidence},
        "workers": len(view.seen.workers.live),
    }


def _state(view: _View) -> str:
    """Return the state in words."""
    ramp, word = view.ramp, view.state.replace("_", " ")
    text = f"step {ramp.step} of {len(ramp.plan.steps)}, {ramp.plan.version} at {percent(ramp.percentage)}"
    if view.state not in ACTIVE:
        return f"{styled(word, _STYLES.get(view.state, 'strong'))}: now {shares(view.entries[-1].percentages)}"
    return f"{styled(word, _STYLES.get(view.state, 'strong'))}, {text}{_due(view)}"


def _due(view: _View) -> str:
    if view.due is None:
        return ""
    left = parse_time(view.due) - utc_now()
    what = "the bake ends" if view.state == "baking" else "the next step"
    if left <= timedelta(0):
        return f", {what} is due" if view.state == "running" else ", the bake is over"
    return f", {what} in {format_duration(timedelta(seconds=max(1, round(left.total_seconds()))))}"


def _lines(view: _View) -> list[str]:
    """Return the ramp as lines of a terminal."""
    ramp, name = view.ramp, styled(view.target.directory.name, "strong")
    lines = [f"{name}, {ramp.id} to {styled(ramp.plan.version, 'version')}: {_state(view)}"]
    message = view.entries[-1].message
    if view.state != "running" and message:
        lines.append(f"  {printable(message)}")
    lines.append("")
    say_rows(_steps(view), right=(0, 1), write=lines.append)
    lines += ["", *_findings(view), ""]
    lines.append(sentence(Followed(view.entries[-1], view.seen.workers).in_words()))
    return [*lines, *_commands(view)]


def _steps(view: _View) -> list[list[str]]:
    """Return a row for each step: when it was taken, or when it is expected."""
    ramp, plan = view.ramp, view.ramp.plan
    taken: dict[int, Ramp] = {}
    for entry in view.history:
        taken.setdefault(entry.step, entry)
    rows, expected = [], parse_time(view.due) if view.due is not None else None
    for number, step in enumerate(plan.steps, 1):
        mark = styled(">", "strong") if number == ramp.step and view.state in ACTIVE else " "
        if number in taken:
            when = ago(format_time(taken[number].since))
        elif expected is not None and view.state == "running":
            when = f"expected {max(expected, utc_now()).astimezone():%H:%M:%S}"
            expected += plan.every
        else:
            when = ""
        needs = "needs an approval" if step in plan.approve_at and number > ramp.step else ""
        rows.append([f"{mark} {number}", percent(step), when, needs])
    return rows


def _findings(view: _View) -> list[str]:
    """Return what the guard finds."""
    ramp, evidence = view.ramp, view.judgement.evidence
    users = evidence["users"]
    total = users["new"] + users["base"]
    lines = [styled(f"The guard finds: {view.judgement.why}", "strong")]
    rows = [[styled(it, "strong") for it in ("SIGNAL", "EVIDENCE", "", f"FAILING, {ramp.plan.version}", "OTHERS")]]
    for signal, found in evidence["signals"].items():
        ratio = found["ratio"]
        filled = min(_BAR, round(ratio * _BAR))
        bar = f"[{'#' * filled}{'.' * (_BAR - filled)}]"
        rows.append([signal, styled(bar, "bad") if ratio >= 1 else bar, f"{ratio:.2f}", *map(amount, _numbers(found))])
    say_rows(rows, right=(2, 3, 4), write=lines.append)
    for signal, found in evidence["signals"].items():
        if found.get("examples"):
            lines.append(f"  {signal}: {listed(map(printable, found['examples']))}")
    if total:
        observed = f"{100 * users['new'] / total:.1f} %"
        lines.append(f"  {counted(total, 'new user')} in this step, {observed} of them with {ramp.plan.version}")
    return lines


def _numbers(found: dict[str, Any]) -> tuple[int, int]:
    return found["new"], found["base"]


def _commands(view: _View) -> list[str]:
    """Return the commands that a person may want next."""
    if view.state == "waiting":
        commands = [(f"ramp approve --step {view.ramp.step + 1}", "take the next step")]
    else:
        commands = list(_NEXT.get(view.state, ()))
    if view.state in ACTIVE and not any(line == "rollback" for line, _ in commands):
        commands.append(("rollback", "return to the percentages before the ramp"))
    if not commands:
        return []
    lines = ["", "Next:"]
    say_rows([[command_line(line), styled(what, "faint")] for line, what in commands], write=lines.append)
    return lines
