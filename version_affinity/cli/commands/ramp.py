"""``ramp``: the group, ``ramp start``, and the commands by which a person changes a ramp."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.cli.context import command, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.main import Commands, Lazy
from version_affinity.cli.options import checked_by, with_options
from version_affinity.cli.output import counted, percent, say, say_heading, say_rows, styled
from version_affinity.cli.plan import (
    DeployOptions,
    Plan,
    carry_out,
    change_options,
    check_expected,
    deploy_options,
    make_plan,
)
from version_affinity.cli.ramps import Seen, traffic
from version_affinity.cli.times import short_when
from version_affinity.cli.workers import unreported
from version_affinity.deployment import movement
from version_affinity.errors import ConfigurationError
from version_affinity.ramp import next_entry
from version_affinity.ramp.evidence import DEFAULT_SIGNALS, SIGNALS, predicted
from version_affinity.ramp.judgement import cannot_compare
from version_affinity.ramp.notify import check_command, check_webhook
from version_affinity.ramp.plan import ON_HALT, PRESETS, TRANSITIONS, RampPlan
from version_affinity.releases.store.settings import Serving
from version_affinity.releases.times import format_duration, format_time, utc_now

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from version_affinity.ramp.judgement import Observed
    from version_affinity.releases.log.entries import Entry

_TABLE: Final = {
    "start": Lazy("ramp", "start", "Give a version to more and more users, in steps, with a guard."),
    "status": Lazy("ramp_status", "status", "Show the ramp, what its guard finds, and what comes next."),
    "pause": Lazy("ramp", "pause", "Take no further step. The guard keeps working."),
    "resume": Lazy("ramp", "resume", "Go on after a pause, or after the guard has held the ramp."),
    "approve": Lazy("ramp", "approve", "Approve the next step of a ramp that waits for it."),
    "advance": Lazy("ramp", "advance", "Take the next step now."),
    "abort": Lazy("ramp", "abort", "End the ramp, and return to the percentages before it."),
    "promote": Lazy("ramp", "promote", "Take the last step now."),
}
_HELP: Final = """Roll out a version in steps, with a guard that can stop it.

  version-affinity ramp start v2 --preset standard
  version-affinity ramp status --watch

The workers take each step when its time has come. They compare how many users fail with the new version and with the
others, and hold the ramp if the new version is worse. A deployment that a person makes ends the ramp.
"""
_DEFAULT_PRESET: Final = "standard"
# Seconds between two looks at the reports.
_INTERVAL: Final = 0.2

ramp = Commands("ramp", table=_TABLE, help=_HELP)


class _Listed(click.ParamType):  # type: ignore[type-arg] # which click 8.1 does not take
    """A list of values, separated by commas."""

    def __init__(self, name: str, convert: Callable[[str], Any]) -> None:
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the values."""
        try:
            return tuple(self._convert(part.strip().removesuffix("%").strip()) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of percentages: write one such as 1,5,25,50,100", param, ctx)


_PERCENTAGES: Final = _Listed("percentages", float)
_SIGNALS: Final = _Listed("signals", str)

_plan_options = with_options(
    click.option(
        "--preset",
        type=click.Choice(tuple(PRESETS)),
        default=_DEFAULT_PRESET,
        show_default=True,
        help="; ".join(
            f"{name}: {', '.join(map(str, preset['steps']))} % every {preset['every']}, bake {preset['bake']}"
            for name, preset in PRESETS.items()
        )
        + ". The options below replace single values.",
    ),
    click.option("--steps", type=_PERCENTAGES, help="The percentages of the version, such as 1,5,25,50,100."),
    click.option("--every", metavar="DURATION", help="How long each step lasts: 1s or more, such as 15m."),
    click.option("--bake", metavar="DURATION", help="How long the guard works after the last step. 0s: not at all."),
    click.option(
        "--guard",
        type=_SIGNALS,
        help=f"What the guard watches: {', '.join(SIGNALS)}.  [default: {','.join(DEFAULT_SIGNALS)}]",
    ),
    click.option("--approve-each", is_flag=True, help="Each step after the first one needs a person's approval."),
    click.option("--approve-at", type=_PERCENTAGES, help="The steps that need a person's approval, such as 50,100."),
    click.option(
        "--min-keys", metavar="N", type=click.IntRange(0), help="New users of the version that each step waits for."
    ),
    click.option("--on-halt", type=click.Choice(ON_HALT), help="What the guard does.  [default: hold]"),
    click.option("--webhook", metavar="URL", callback=checked_by(check_webhook), help="Where notices are posted to."),
    click.option(
        "--exec",
        metavar="COMMAND",
        callback=checked_by(check_command),
        help="A command that a worker runs for each notice, with the notice on its standard input.",
    ),
    click.option(
        "--alpha", metavar="P", type=float, help="The probability of a false halt in the whole ramp.  [default: 0.05]"
    ),
)


def _plan(version: str, preset: str, approve_each: bool, **given: Any) -> RampPlan:
    """Return the plan that the options describe; an error is one of usage."""
    other = {name: value for name in ("webhook", "exec") if (value := given.pop(name)) is not None}
    settings = {**PRESETS[preset], **{name: value for name, value in given.items() if value is not None}}
    if approve_each:
        if given["approve_at"] is not None:
            raise click.UsageError("--approve-each and --approve-at exclude each other")
        settings["approve_at"] = settings["steps"][1:]
    try:
        return RampPlan(version, **settings, other=other)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None


@command()
@click.argument("version", metavar="ID", shell_complete=complete_version)
@_plan_options
@deploy_options
def start(version: str, **given: Any) -> None:
    """Give a version to more and more users, in steps, with a guard.

      version-affinity ramp start v2
      version-affinity ramp start v2 --dry-run
      version-affinity ramp start v2 --steps 1,5,25,50,100 --every 15m --bake 30m -y
      version-affinity ramp start v2 --preset careful --approve-at 50 --on-halt rollback

    The first step is deployed at once. The workers take the others, so that nothing else has to run. The other versions
    share the remainder as before. After the last step the guard works for --bake. It then finds less, because no other
    version has users to compare with.

    The guard counts users who come back and fail, each one once in a ramp. If the new version has more of them than
    its share, it holds the ramp (--on-halt hold), returns to the percentages before the ramp (rollback), or only logs
    it (warn). It halts a healthy version with a probability of at most --alpha.

    The command refuses for the same reasons as "versions deploy", if another ramp is active, or if no worker reports.
    With --dry-run it prints the steps with their times, and which faults the guard would find at the traffic of the
    last day.

    Notices of each step and of each halt are CloudEvents in JSON. If the applications have the environment variable
    VERSION_AFFINITY_WEBHOOK_SECRET, they are signed. With a log in Redis, --exec needs VERSION_AFFINITY_EXEC=1 there.
    """
    own = {name: value for name, value in given.items() if name not in DeployOptions.__dataclass_fields__}
    version = current_target().version_id(version)
    plan, options = _plan(version, **own), DeployOptions(**{name: given[name] for name in given.keys() - own.keys()})
    log = current_target().open_log()
    entries = log.read()
    check_expected(entries, options.expect)
    next_entry.check_start(entries, plan)
    planned = make_plan(log, entries, plan.percentages(entries[-1].percentages, plan.steps[0]), options)
    with options.wait.spent() as until:
        seen = Seen.now(log, entries)
        while (
            not planned.refusals
            and seen.workers.live
            and plan.version not in seen.observed.loaded
            and monotonic() < until
        ):
            sleep(_INTERVAL)  # it may have been uploaded a moment ago
            seen = Seen.now(log, entries)
    make = partial(next_entry.start, entries, plan, message=options.message)
    if not planned.refusals:
        make(seen.observed, utc_now())  # it may be refused
    if options.dry_run and options.as_json:
        planned = replace(planned, more={"steps": _schedule(plan), "prediction": _prediction(plan, seen)})
    elif options.dry_run:
        _say_schedule(plan)
        _say_prediction(plan, seen)
    carry_out(_with_entry(planned, seen, make), log, options, "Start the ramp?")


def _with_entry(planned: Plan, seen: Seen, make: Callable[[Observed, datetime], Entry]) -> Plan:
    """Return a plan that writes an entry of a ramp, made when it is written: a person may take minutes to confirm."""
    return replace(planned, entry=lambda: make(seen.observed, utc_now()))


def _say_schedule(plan: RampPlan) -> None:
    """Print the steps with their times, as if the ramp started now."""
    say_heading("Steps")
    rows = [[styled(title, "strong") for title in ("STEP", "SHARE", "WHEN (UTC)", "")]]
    at = utc_now()
    for number, step in enumerate(plan.steps, 1):
        needs = "after an approval" if step in plan.approve_at else ""
        waits = f"with {counted(plan.min_keys, 'new user')} before" if plan.min_keys and number > 1 else ""
        rows.append([str(number), percent(step), short_when(at), ", ".join(filter(None, (needs, waits)))])
        at += plan.every
    end = short_when(at - plan.every + plan.bake)
    rows.append(["end", "", end, f"after {format_duration(plan.bake)} at {percent(plan.steps[-1])}"])
    say_rows(rows, right=(0, 1))


def _schedule(plan: RampPlan) -> list[dict[str, Any]]:
    """Return the steps with their times as JSON data, as if the ramp started now."""
    now = utc_now()
    return [
        {
            "step": number,
            "percentage": step,
            "at": format_time(now + (number - 1) * plan.every),
            "needs_approval": step in plan.approve_at,
        }
        for number, step in enumerate(plan.steps, 1)
    ]


def _prediction(plan: RampPlan, seen: Seen) -> dict[str, Any] | None:
    """Return as JSON data which faults the guard would find, and when; None without any traffic."""
    found = traffic(seen.workers)
    if found is None:
        return None
    faults = predicted(plan, keys_per_hour=found.keys_per_hour, failure_rate=found.failure_rate)
    return {
        "users_per_hour": round(found.keys_per_hour, 1),
        "failure_rate": found.failure_rate,
        "faults": [
            {
                "hits": it.added,
                "found_after": None if it.after is None else round(it.after.total_seconds()),
                "met": it.met,
            }
            for it in faults
        ],
    }


def _say_prediction(plan: RampPlan, seen: Seen) -> None:
    """Print which faults the guard would find, and when."""
    say_heading("What the guard would find")
    found = traffic(seen.workers)
    if found is None:
        say("  Unknown: the workers have counted no traffic yet.\n")
        return
    rows = [[styled(title, "strong") for title in ("A FAULT THAT HITS", "IS FOUND AFTER", "USERS WHO MET IT")]]
    for it in predicted(plan, keys_per_hour=found.keys_per_hour, failure_rate=found.failure_rate):
        after = "not found in this ramp"
        if it.after is not None:
            after = format_duration(timedelta(seconds=round(it.after.total_seconds())))
        rows.append([f"{percent(100 * it.added)} of its users", after, f"{100 * it.met:.2g} %"])
    say_rows(rows, right=(2,))
    say()
    for line in (*found.basis, "In half of the ramps it takes longer."):
        say(f"  {line}")
    say()


# --- a person changes the ramp ----------------------------------------------------------------------------------------


def _change(event: str, question: str, *, step: int | None = None, **given: Any) -> None:
    """Write the entry of a person's command. Without a question, the command asks nothing."""
    given["yes"] = given["yes"] or not question
    options = DeployOptions(dry_run=False, expect=None, serving=Serving(), **given)
    target = current_target()
    log = target.open_log()
    entries = log.read()
    seen = Seen.now(log, entries)
    make = partial(next_entry.command, entries, event, step=step, message=options.message)
    entry = make(seen.observed, utc_now())
    moves = movement(entries[-1].percentages, entry.percentages)
    steps = TRANSITIONS[event].percentages in ("next", "last")
    warnings = [seen.observed.behind] if steps and seen.observed.behind else []
    warnings += unreported(seen.workers)
    if entry.ramp is not None and entry.ramp["state"] == "baking" and steps:
        without = cannot_compare(next_entry.ramp_history([*entries, entry]), seen.observed)
        warnings += [f"the bake has {without}"] if without else []
    planned = Plan(target.directory, entries, entry.percentages, moves, [], warnings)
    carry_out(_with_entry(planned, seen, make), log, options, question)


@command()
@change_options
def pause(**given: Any) -> None:
    """Take no further step. The guard keeps working.

      version-affinity ramp pause -m "Incident 42"

    "ramp resume" goes on, and the time of the step starts anew.
    """
    _change("pause", "", **given)


@command()
@change_options
def resume(**given: Any) -> None:
    """Go on after a pause, or after the guard has held the ramp.

      version-affinity ramp resume

    The time of the step starts anew. After a hold because of failing users, failures until now do not count again.
    """
    _change("resume", "", **given)


@command()
@click.option("--step", metavar="N", type=click.IntRange(1), help="The number of the step that is approved.")
@change_options
def approve(step: int | None, **given: Any) -> None:
    """Approve the next step of a ramp that waits for it.

      version-affinity ramp approve --step 3

    --step is required, so that a second click or an old script does not approve the step after it.
    """
    if step is None:
        history = next_entry.ramp_history(current_target().open_log().read())
        hint = f": --step {history[-1].step + 1}" if history and history[-1].state == "waiting" else ""
        raise RefusedError(f"name the step to approve{hint}")
    _change("approve", "", step=step, **given)


@command()
@change_options
def advance(**given: Any) -> None:
    """Take the next step now, whatever the guard has found.

      version-affinity ramp advance

    The step after it is due when its own time is over.
    """
    _change("advance", "Take the next step?", **given)


@command()
@change_options
def promote(**given: Any) -> None:
    """Take the last step now, whatever the guard has found.

      version-affinity ramp promote

    While the last step bakes, this ends the bake.
    """
    _change("promote", "Give the version to all users?", **given)


@command()
@change_options
def abort(**given: Any) -> None:
    """End the ramp, and return to the percentages before it.

      version-affinity ramp abort -y -m "Payment fails"

    "rollback" returns to them, too. The state of the ramp is "superseded" then, and not "aborted".
    """
    _change("abort", "End the ramp?", **given)
