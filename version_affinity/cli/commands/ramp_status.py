"""``ramp status``: the steps of a ramp, what its guard finds, and what a person can do; once, or until it ends."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from version_affinity.cli.context import Target, command, command_line, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.interaction import screen
from version_affinity.cli.options import duration
from version_affinity.cli.output import (
    amount,
    as_warning,
    counted,
    emit,
    is_terminal,
    listed,
    percent,
    say,
    say_lines,
    say_rows,
    sentence,
    shares,
    short_id,
    short_ids,
    styled,
    warn,
)
from version_affinity.cli.preflight import last_known
from version_affinity.cli.ramps import Seen, ramp_in_words
from version_affinity.cli.times import short_when, when
from version_affinity.cli.workers import ServedBy, unreported
from version_affinity.deployment import WHOLE
from version_affinity.errors import ConfigurationError
from version_affinity.ramp.judgement import Judgement, judge
from version_affinity.ramp.next_entry import WAYS_OUT, newest_ramp, step_users, waits_for
from version_affinity.ramp.notify import without_receivers
from version_affinity.ramp.plan import ACTIVE, Ramp
from version_affinity.releases.log.entries import DeploymentLog, Entry, LogError
from version_affinity.releases.times import format_time, parse_time, utc_now
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

#: Seconds between two looks of ``--watch``.
_INTERVAL: Final = 1.0
#: Columns of the bar that shows the evidence.
_BAR: Final = 20
# A narrower terminal shows no bar.
_BAR_WIDTH: Final = 72
# How often --watch looks again for workers that do not serve the last deployment yet.
_LOOKS: Final = 5
_TIMEOUT: Final = 3
#: What the guard has found, as the log has it, in words.
_VERDICTS: Final = {
    "failing": "the new version fails more often",
    "share": "the share of new users is far off",
    "unknown": "no worker reports",
    "undecided": "no difference is found",
}
#: The exit status of a wait, by the state in which it ends.
_STATUS: Final = {"completed": 0, "held": 1, "rolled_back": 1, "aborted": 1, "superseded": 2}
_STYLES: Final = {"held": "bad", "rolled_back": "bad", "aborted": "bad", "superseded": "warning", "completed": "good"}
_BACK: Final = "undo the ramp"
#: What a person can do in each state, and what it does.
_NEXT: Final = {
    "running": (("ramp pause", "take no further step"), ("ramp advance", "take the next step now")),
    "baking": (("ramp promote", "end the bake"),),
    "paused": (("ramp resume", "go on"),),
    "held": (
        ("rollback", _BACK),
        ("ramp resume", "go on"),
    ),
}


class _View(NamedTuple):
    """All that the command shows: what the log says of the newest ramp, and what the workers report."""

    target: Target
    log: DeploymentLog
    entries: Sequence[Entry]
    # The newest entry of the ramp, and what all its entries say of it.
    last: Entry
    history: Sequence[Ramp]
    # The state; "superseded" if a person has deployed during the ramp.
    state: str
    seen: Seen
    judgement: Judgement
    warnings: Sequence[str]
    # Why the log cannot be read, so that the ramp is that of this host's copy; "" if it can.
    log_error: str

    @property
    def ramp(self) -> Ramp:
        """The newest state of the ramp in the log."""
        return self.history[-1]

    @property
    def served_by(self) -> ServedBy:
        """Which workers serve the current deployment."""
        return ServedBy(self.entries[-1], self.seen.workers)

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What the guard finds; of a ramp that is held or has ended, what it found then."""
        return self.judgement.evidence if self.is_guarded else self.ramp.evidence

    @property
    def is_guarded(self) -> bool:
        """Whether the guard looks at the ramp."""
        return self.state in ACTIVE and self.state != "held"

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        verdict = self.evidence.get("verdict")
        return self.judgement.why if self.is_guarded else _VERDICTS.get(str(verdict), str(verdict))

    @property
    def due(self) -> str | None:
        """When the next step is due, or the bake over; None if that is not a matter of time."""
        ramp, plan = self.ramp, self.ramp.plan
        if self.state not in ("running", "baking"):
            return None
        return format_time(ramp.since + (plan.bake if self.state == "baking" else plan.every))

    @property
    def waits_for(self) -> str:
        """What the next step, or the end of the bake, waits for now that its time is over; "" for nothing."""
        if self.due is None or parse_time(self.due) > utc_now():
            return ""
        if self.log_error:
            return "the log"
        return waits_for(self.history, self.seen.observed)


@command()
@click.option("--watch", is_flag=True, help="Show it until the ramp ends or is held. With --json: a line per change.")
@click.option("--timeout", metavar="DURATION", type=duration, help="How long to watch at most, such as 30m.")
def status(watch: bool, timeout: timedelta | None, as_json: bool) -> None:
    """Show the newest ramp, what its guard finds, and what a person can do.

      version-affinity ramp status
      version-affinity ramp status --watch --timeout 30m
      version-affinity ramp status --json | jq .state

    EVIDENCE is how strong the evidence is that the new version fails more often. At 1 the guard halts the ramp. A
    failing user has returned with the affinity cookie and met a failure. Each user counts once in the ramp.

    While the log in Redis is unreachable, the ramp is that of this host's copy.

    With --watch, the exit status is 0 if the ramp was completed, 1 if it was held, rolled back or aborted, 2 if a
    person has deployed other percentages, and 3 at the end of --timeout.
    """
    target = current_target()
    log = target.open_log()
    view = _look(target, log)
    if not watch and timeout is None:
        _print(view, as_json=as_json)
        return
    end = None if timeout is None else time.monotonic() + timeout.total_seconds()
    view = _watch(view, end, as_json=as_json)
    if view.state not in _STATUS:
        raise click.exceptions.Exit(_TIMEOUT)
    raise click.exceptions.Exit(_STATUS[view.state])


def _look(target: Target, log: DeploymentLog) -> _View:
    workers, entries, warnings, log_error = last_known(target, log)
    found, state = newest_ramp(entries)
    if not found:
        none = f"there has been no ramp yet. To start one: {command_line('ramp start v2')}"
        raise RefusedError(". ".join([*warnings, none]))
    history = [Ramp.from_json(entry.ramp) for entry in found]
    seen = Seen.of(workers, found)
    judgement = judge(history, seen.observed)
    return _View(target, log, entries, found[-1], history, state, seen, judgement, warnings, log_error)


def _watch(view: _View, end: float | None, *, as_json: bool) -> _View:
    """Show the ramp until it ends, is held, or the time is over; return the last look."""
    shown = None
    is_screen = sys.stdout.isatty() and not as_json
    try:
        with ExitStack() as stack:
            draw = stack.enter_context(screen()) if is_screen else None
            problem, looks = "", 0
            while (view.state not in _STATUS or (view.served_by.lagging and looks < _LOOKS)) and (
                end is None or time.monotonic() < end
            ):
                looks = looks + 1 if view.state in _STATUS else 0
                if draw is not None:
                    warnings = [*view.warnings, *([problem] if problem else [])]
                    shown_lines = [*_lines(view), *(line for it in warnings for line in ("", as_warning(it)))]
                    draw([*shown_lines, "", styled("Updated every second. Ctrl+C ends.", "faint")])
                elif shown != (view.state, view.ramp.step) and view.state not in _STATUS:
                    _say_change(view, as_json=as_json)
                    shown = view.state, view.ramp.step
                time.sleep(_INTERVAL if end is None else max(0.0, min(_INTERVAL, end - time.monotonic())))
                try:
                    view, problem = _look(view.target, view.log), ""
                except (LogError, ConfigurationError) as error:
                    if draw is None and problem != str(error):
                        warn(str(error))
                    problem = str(error)
    except KeyboardInterrupt:
        if is_screen:
            _print(view, as_json=False)
        raise
    _print(view, as_json=as_json, indent=None)
    return view


def _say_change(view: _View, *, as_json: bool) -> None:
    if as_json:
        emit(_document(view), indent=None)
    else:
        say(f"{format_time(utc_now())}  {_state(view)}")


def _print(view: _View, *, as_json: bool, indent: int | None = 2) -> None:
    if as_json:
        emit(_document(view), indent=indent)
        return
    for warning in view.warnings:
        warn(warning)
    say_lines(_lines(view))


def _document(view: _View) -> dict[str, Any]:
    ramp = view.ramp
    return {
        "name": view.target.directory.name,
        "revision": view.entries[-1].revision,
        **without_receivers(ramp.to_json()),
        "state": view.state,
        "percentage": ramp.percentage,
        "percentages": dict(view.entries[-1].percentages),
        "due": view.due,
        "waits_for": view.waits_for,
        "judgement": {"why": view.verdict, **view.evidence},
        "workers": len(view.seen.workers.live),
        "workers_error": view.seen.workers.obstacle,
        "log_error": view.log_error,
    }


def _state(view: _View) -> str:
    """Return the ramp and its state in words."""
    state = styled(view.state.replace("_", " "), _STYLES.get(view.state, "strong"))
    if view.state in ACTIVE:
        return ramp_in_words(view.ramp, state)
    to = f"{view.ramp.id} to {styled(view.ramp.plan.version, 'version')}"
    return f"{to}: {state}, now {shares(view.entries[-1].percentages)}"


def _due(view: _View) -> list[str]:
    """Return when the next step is due, or the bake over, as a line."""
    if view.due is None:
        return []
    is_over = parse_time(view.due) <= utc_now()
    if view.state == "baking":
        lines = ["The bake is over." if is_over else f"The bake ends {when(view.due)}"]
    else:
        lines = ["The next step is due." if is_over else f"The next step: {when(view.due)}"]
    return lines if not view.waits_for else [*lines, styled(f"It waits for {view.waits_for}", "warning")]


def _last_event(view: _View) -> list[str]:
    """Return who has changed the ramp last, when, and the reason."""
    entry, event = view.last, printable(str(view.ramp.evidence.get("event", "")))
    if view.state == "superseded":  # by the next entry
        entry, event = view.entries[view.last.revision], "a person's deployment"
    by = f" by {printable(entry.author)}" if entry.author else ""
    # The log's own words before the reason repeat what is shown already.
    reason = entry.message.removesuffix(WAYS_OUT).partition(" %: ")[2] if entry.ramp is not None else entry.message
    because = f": {printable(short_ids(reason))}" if reason else ""
    return [f"Last event: {event}, {when(entry.created)}{by}{because}"]


def _lines(view: _View) -> list[str]:
    """Return the ramp as lines of a terminal."""
    name = styled(view.target.directory.name, "strong")
    lines = [f"{name}, {_state(view)}"]
    lines += [*_last_event(view), *_due(view), ""]
    say_rows(_steps(view), right=(1,), write=lines.append)
    lines += ["", *_findings(view), ""]
    lines += [sentence(view.served_by.in_words()), *(styled(f"  {it}", "warning") for it in view.served_by.reasons())]
    lines += [styled(f"  {sentence(text)}", "warning") for text in unreported(view.seen.workers)]
    return [*lines, *_commands(view)]


def _steps(view: _View) -> list[list[str]]:
    """Return a row for each step: when it was taken, or when it is expected."""
    ramp, plan = view.ramp, view.ramp.plan
    taken: dict[int, Ramp] = {}
    for entry in view.history:
        taken.setdefault(entry.step, entry)
    rows = [[*(styled(title, "strong") for title in ("  STEP", "SHARE", "WHEN (UTC)")), ""]]
    expected = parse_time(view.due) if view.due is not None else None
    for number, step in enumerate(plan.steps, 1):
        mark = styled(">", "strong") if number == ramp.step and view.state in ACTIVE else " "
        if number in taken:
            time = short_when(taken[number].since)
        elif number < ramp.step:
            time = "skipped"
        elif view.waits_for:
            time = "waits" if number == ramp.step + 1 else "-"
        elif expected is not None and view.state == "running":
            time = short_when(max(expected, utc_now()))
            expected += plan.every
        else:
            time = "-"
        needs = "needs an approval" if step in plan.approve_at and number > ramp.step and view.state in ACTIVE else ""
        rows.append([f"{mark} {number}", percent(step), time, needs])
    return rows


def _findings(view: _View) -> list[str]:
    """Return what the guard finds; of a ramp that is held or has ended, what it found last."""
    evidence = view.evidence
    if view.log_error and view.state in ACTIVE:
        return ["The guard sees nothing while the log cannot be read."]
    if "signals" not in evidence:
        return ["The guard had not looked yet."]
    try:
        return _evidence_table(view, evidence)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        if view.is_guarded:
            raise
        return ["This release does not know the form in which the log holds what the guard found."]


def _evidence_table(view: _View, evidence: Mapping[str, Any]) -> list[str]:
    """Return the evidence as lines, or raise an error if it comes from the log and has another form."""
    ramp, new, users = view.ramp, short_id(view.ramp.plan.version), evidence["users"]
    total = users["new"] + users["base"]
    found = "Guard" if view.is_guarded else f"Guard, at the {'hold' if view.state == 'held' else 'end'}"
    lines = [f"{styled(f'{found}:', 'strong')} {printable(short_ids(view.verdict))}"]
    has_bar = not is_terminal() or _columns() >= _BAR_WIDTH
    rows = [[styled(it, "strong") for it in ("SIGNAL", "EVIDENCE", "", f"FAILING: {new}", "OTHERS")]]
    for signal, numbers in evidence["signals"].items():
        ratio = numbers["ratio"]
        filled = min(_BAR, round(ratio * _BAR))
        bar = f"[{'#' * filled}{'.' * (_BAR - filled)}]"
        cells = [styled(bar, "bad") if ratio >= 1 else bar, f"{ratio:.2f}"]
        rows.append(
            [
                printable(signal),
                *(cells if has_bar else [cells[1], ""]),
                *map(amount, (numbers["new"], numbers["base"])),
            ]
        )
    say_rows(rows, right=(2, 3, 4) if has_bar else (1, 3, 4), write=lines.append)
    for signal, numbers in evidence["signals"].items():
        if numbers.get("examples"):
            lines.append(f"  Paths with {printable(signal)}: {listed(map(printable, numbers['examples']))}")
    if total and ramp.percentage < WHOLE:  # with 100 %, new users are not counted
        observed = f"{100 * users['new'] / total:.1f} %"
        lines.append(f"  {counted(total, 'new user')} in this step, {observed} of them with {new}")
    if view.state == "running" and ramp.plan.min_keys and not view.waits_for:
        needed, came = counted(ramp.plan.min_keys, "new user"), step_users(view.history, view.seen.observed)
        lines.append(f"  The next step needs {needed} of {new}: {came:,} so far")
    return lines


def _commands(view: _View) -> list[str]:
    """Return the commands that a person may want next."""
    if view.state == "waiting":
        commands = [(f"ramp approve --step {view.ramp.step + 1}", "take the next step")]
    else:
        commands = list(_NEXT.get(view.state, ()))
    if view.state in ACTIVE and not any(line == "rollback" for line, _ in commands):
        commands.append(("rollback", _BACK))
    if not commands:
        return []
    lines = ["", "Next:"]
    rows = [[command_line(line), styled(what, "faint")] for line, what in commands]
    if is_terminal() and any(len(click.unstyle("  ".join(row))) > _columns() - 2 for row in rows):
        rows = [[cell] for line, what in rows for cell in (what, f"  {line}")]
    say_rows(rows, write=lines.append)
    return lines


def _columns() -> int:
    return shutil.get_terminal_size().columns
