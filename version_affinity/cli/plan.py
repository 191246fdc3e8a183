"""What ``versions deploy`` and ``rollback`` share: their options, and the plan that is checked, shown and written."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.deployment import Movement, movement
from version_affinity.ramp.next_entry import active_ramp
from version_affinity.ramp.notify import shown_document
from version_affinity.ramp.plan import ACTIVE, Ramp
from version_affinity.releases.log.entries import DeploymentLog, Details, Entry, LogConflictError
from version_affinity.releases.reports.figures import counted_until
from version_affinity.releases.store.directory import BusyError, ReleasesDirectory, publishing
from version_affinity.releases.store.retention import rollback_target
from version_affinity.wire import printable

from .context import author, command_line, current_target
from .errors import RefusedError
from .interaction import confirm, yes_option
from .options import serving_options, with_options
from .output import emit, note, number, percent, say, say_rows, sentence, shares, short_id, styled, warn
from .preflight import LOG_LOST, Objection, absent, newest_revision, objections
from .ramps import ramp_in_words
from .times import when
from .workers import Patience, ServedBy, await_workers, read_workers, wait_option, worker_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from version_affinity.releases.store.settings import Serving


#: Seconds that a deployment waits for a process that changes the versions.
PATIENCE: Final = 3.0
# Percent of the users: a smaller difference is a rounding error.
_ROUNDING: Final = 0.0005


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """The values of ``deploy_options``."""

    message: str
    dry_run: bool
    force: bool
    expect: int | None
    wait: Patience
    serving: Serving
    yes: bool
    as_json: bool


_message_option = click.option("-m", "--message", default="", help="The reason, for the log.")
_force_option = click.option("--force", is_flag=True, help="Deploy in spite of failed checks.")
#: Give a command the options of a deployment, for ``DeployOptions``.
deploy_options = with_options(
    _message_option,
    click.option("--dry-run", is_flag=True, help="Show the plan and change nothing, also with -y."),
    _force_option,
    click.option(
        "--expect",
        metavar="REVISION",
        type=click.IntRange(0),
        help="Refuse unless this revision is the current one. 0: nothing is deployed yet.",
    ),
    wait_option,
    serving_options(),
    yes_option,
)
#: Give a command those options that a change of a ramp has, too.
change_options = with_options(_message_option, _force_option, wait_option, yes_option)


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment that is not written yet."""

    directory: ReleasesDirectory
    entries: Sequence[Entry]  # the deployments before it
    percentages: Mapping[str, float]
    moves: Movement | None  # None for the first deployment
    refusals: Sequence[Objection]
    warnings: Sequence[str]
    entry: Callable[[], Entry] | None = None  # makes the entry of a ramp when it is written; None for a deployment
    more: Mapping[str, Any] = field(default_factory=dict)  # for the JSON

    @property
    def before(self) -> Entry | None:
        """The current deployment."""
        return self.entries[-1] if self.entries else None

    @property
    def is_unchanged(self) -> bool:
        """Whether the deployment is the current one already. One that ends a ramp is not."""
        same = self.before is not None and self.before.percentages == self.percentages
        return same and self.entry is None and active_ramp(self.entries) is None

    @property
    def revision(self) -> int:
        """The revision of the new deployment."""
        return newest_revision(self.entries) + 1

    def details(self, log: DeploymentLog, options: DeployOptions) -> Details:
        """Return what the entry of the log is to say besides the percentages."""
        made = Details(message=options.message) if self.entry is None else self.entry().details
        counted = counted_until(read_workers(self.directory, log), self.percentages)
        return replace(made, author=author(), counted=counted)

    def emit(self, options: DeployOptions, entry: Entry | None = None, served_by: ServedBy | None = None) -> None:
        """Print the plan as JSON, with the entry of the log if it was written, and the workers after the wait."""
        refusals = [{**refusal._asdict(), "details": list(refusal.details)} for refusal in self.refusals]
        emit(
            {
                "name": self.directory.name,
                "revision": self.revision,
                "percentages": dict(self.percentages),
                "before": dict(self.before.percentages) if self.before is not None else None,
                "movement": self.moves.as_dict() if self.moves is not None else None,
                "refusals": refusals,
                "warnings": list(self.warnings),
                "deployed": entry is not None,
                "dry_run": options.dry_run,
                "entry": shown_document(entry) if entry is not None else None,
                "workers": worker_list(served_by.workers, entry) if served_by is not None else None,
                "workers_error": served_by.workers.obstacle if served_by is not None else None,
                **self.more,
            }
        )


def make_plan(
    log: DeploymentLog, entries: Sequence[Entry], percentages: Mapping[str, float], options: DeployOptions
) -> Plan:
    """Check a deployment of these percentages, and return it as a plan. ``entries`` are those of the log."""
    target = current_target()
    moves = movement(entries[-1].percentages, percentages) if entries else None
    is_unchanged = bool(entries) and entries[-1].percentages == percentages
    wait = Patience(0) if options.force or is_unchanged else options.wait
    refusals, warnings = objections(log, entries, percentages, options.serving, wait)
    ramp = active_ramp(entries)
    if ramp is not None:
        warnings = [*warnings, f"{ramp.id}, to {ramp.plan.version}, is {ramp.state}: this deployment ends it"]
    return Plan(target.directory, entries, percentages, moves, refusals, warnings)


def check_expected(entries: Sequence[Entry], expect: int | None) -> None:
    """Raise ``RefusedError`` unless the current revision is the one of ``--expect``."""
    newest = newest_revision(entries)
    if expect is None or expect == newest:
        return
    if expect < newest:
        raise RefusedError(_overtaken(entries))
    current = f"the current revision is {newest}" if newest else "nothing is deployed yet"
    raise RefusedError(f"--expect {expect}: {current}. Nothing is deployed: see {command_line('deployments status')}")


def carry_out(planned: Plan, log: DeploymentLog, options: DeployOptions, question: str) -> None:
    """Show a plan, ask for confirmation, and write it to the log; raise ``RefusedError`` if this cannot be done.

    A deployment that changes nothing is not written.
    """
    if planned.is_unchanged:
        _say_unchanged(planned, options)
        return
    if not options.as_json:
        show_plan(planned, say)
    elif not (options.yes or options.dry_run):
        show_plan(planned, note)  # for the confirmation
    for warning in planned.warnings:
        warn(warning)
    _refuse(planned, options)
    entry = None
    if not options.dry_run:
        confirm(question, "nothing is deployed", yes=options.yes)
        with _lock(planned.directory):
            # Versions may have been removed while the question was open.
            found = absent(planned.directory, log, planned.percentages)
            late = [refusal for refusal in found if refusal not in planned.refusals]
            _refuse(replace(planned, refusals=late), options)
            try:
                details = planned.details(log, options)
                entry = log.append(planned.percentages, expected=planned.revision - 1, details=details)
            except LogConflictError:
                raise RefusedError(_overtaken(log.read())) from None
    if entry is not None:
        _follow(planned, log, options, entry)
    elif options.as_json:
        planned.emit(options)
    else:
        say(styled("Nothing is deployed: this was a dry run.", "strong"))


def _follow(planned: Plan, log: DeploymentLog, options: DeployOptions, entry: Entry) -> None:
    """Print that a deployment is written, and who serves it; raise ``RefusedError`` if a worker does not."""
    if not options.as_json:
        say(f"{styled('Deployed', 'good')} revision {entry.revision}.")
        if entry.ramp is not None:
            say(ramp_in_words(Ramp.from_json(entry.ramp)))
    served_by = await_workers(planned.directory, log, entry, options.wait) if options.wait.seconds else None
    if options.as_json:
        planned.emit(options, entry, served_by)
    elif served_by is None:
        say(f"To see which workers serve it: {command_line('deployments status')}")
    elif not served_by.lagging:
        say(f"{sentence(served_by.in_words())}.")
    if not options.as_json and planned.before is not None:
        say(_undo([*planned.entries, entry]))
    if served_by is not None and served_by.lagging:
        lines = [f"revision {entry.revision} is deployed, and {served_by.lag_in_words()}:"]
        lines += [f"  - {reason}" for reason in served_by.reasons()]
        if not options.force:
            raise RefusedError("\n".join(lines))
        warn("\n".join(lines))


def _say_unchanged(planned: Plan, options: DeployOptions) -> None:
    """Report that the deployment is the current one already."""
    if options.as_json:
        planned.emit(options)
        return
    since = planned.revision - 1
    for entry in reversed(planned.entries):
        if entry.percentages != planned.percentages:
            break
        since = entry.revision
    say(f"Nothing is deployed, because nothing changes: {shares(planned.percentages)} since revision {since}.")


def _undo(entries: Sequence[Entry]) -> str:
    """Return the command that takes back the newest deployment, or the ramp that the deployment belongs to.

    It is a rollback if that leads to a version that had users before.
    """
    *_, before, entry = entries
    what, percentages = "this", before.percentages
    if entry.ramp is not None and (ramp := Ramp.from_json(entry.ramp)).state != "aborted":
        what, percentages = "the ramp", ramp.base
        if ramp.state in ACTIVE:
            return f"To undo the ramp: {command_line('rollback')}"
    target = rollback_target(entries)
    version = target.live[0] if target is not None else ""
    live = [version for version, share in percentages.items() if share > 0]
    if live == [version]:
        return f"To undo {what}: {command_line('rollback')}"
    if version in live:
        return f"To give {short_id(version)} to all users again: {command_line('rollback')}"
    specs = " ".join(f"{short_id(version)}@{number(share)}%" for version, share in percentages.items())
    return f"To undo {what}: {command_line(f'versions deploy {specs}')}"


def _refuse(planned: Plan, options: DeployOptions) -> None:
    """Raise ``RefusedError`` for failed checks, or warn about those that ``--force`` overrules."""
    final = any(refusal.kind == LOG_LOST for refusal in planned.refusals)  # it must be restored first
    if planned.refusals and (final or not options.force):
        if options.as_json:
            planned.emit(options)
        lines = ["nothing is deployed:" if final else "nothing is deployed (--force overrules this):"]
        for refusal in planned.refusals:
            lines.append(f"  - {refusal.reason}")
            lines += [f"      {detail}" for detail in refusal.details]
        raise RefusedError("\n".join(lines))
    for refusal in planned.refusals:
        warn(f"overruled: {refusal.reason}")


def _lock(directory: ReleasesDirectory) -> AbstractContextManager[None]:
    """Return a lock against the removal of versions. A deployment does not depend on it: the log has its own."""
    try:
        return publishing(directory, patience=PATIENCE)
    except OSError:
        return nullcontext()  # a user without write access there may still deploy
    except BusyError as error:
        warn(f"{error}. Deploying without the lock: do not run prune now")
        return nullcontext()


def _overtaken(entries: Sequence[Entry]) -> str:
    newest = entries[-1]
    message = f' ("{newest.message}")' if newest.message else ""
    return (
        f"{newest.author or 'an unknown user'} has deployed revision {newest.revision} in the meantime, "
        f"{when(newest.created)}: {shares(newest.percentages)}{message}. Nothing is deployed. If you still want to, "
        "deploy again"
    )


def show_plan(planned: Plan, write: Callable[[str], None]) -> None:
    """Print the changes of a plan, and how many users move."""
    before = planned.before
    follows = f", revision {before.revision} -> {planned.revision}" if before is not None else ", the first deployment"
    write(f"{styled(planned.directory.name, 'strong')}{follows}\n")
    if planned.entry is not None and planned.moves is not None and not planned.moves.pairs:
        return  # a ramp that changes its state only
    say_rows(changes(before.percentages if before else None, planned.percentages), right=(1, 3), write=write)
    write("")
    if planned.moves is not None:
        show_movement(planned.moves, write)
        write("")


def changes(old: Mapping[str, float] | None, new: Mapping[str, float]) -> list[list[str]]:
    """Return the rows of a table that shows the percentages before and after; ``old`` is None for no deployment."""
    if old is None:
        return [[styled(version, "version"), percent(share)] for version, share in new.items()]
    rows = []
    for version in dict.fromkeys((*old, *new)):
        was = percent(old[version]) if version in old else "-"
        will = percent(new[version]) if version in new else "-"
        rows.append([styled(version, "version"), was, "->", styled(will, "strong") if will != was else will])
    return rows


def show_movement(moves: Movement, write: Callable[[str], None]) -> None:
    """Print how many users move from which version to which."""
    if not moves.pairs:
        write("No user moves.")
        return
    if moves.moved > moves.minimum + _ROUNDING:
        least = f" (the possible minimum is {percent(moves.minimum)})"
    else:
        least = ", which is the possible minimum"
    write(f"{styled(percent(moves.moved), 'strong')} of the users move{least}:")
    rows = [
        [styled(printable(before), "version"), "->", styled(printable(after), "version"), percent(users)]
        for (before, after), users in moves.pairs.items()
    ]
    say_rows(rows, right=(3,), write=write)
