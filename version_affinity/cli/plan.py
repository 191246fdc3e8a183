"""The options that ``versions deploy`` and ``rollback`` have in common: all but what is deployed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.cli.context import author, command_line
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.preflight import absent, objections
from version_affinity.cli.terminal.output import aligned, emit, note, say, styled, warn
from version_affinity.cli.terminal.prompts import confirm
from version_affinity.cli.terminal.text import ago, percent, shares
from version_affinity.movement import movement
from version_affinity.releases.log.entries import LogConflictError
from version_affinity.releases.store.directory import BusyError, publishing
from version_affinity.releases.store.retention import rollback_target
from version_affinity.wire import printable

from .context import build_options, target_options
from .terminal.output import json_option
from .terminal.prompts import yes_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from version_affinity.cli.context import Target
    from version_affinity.cli.preflight import Objection
    from version_affinity.movement import Movement
    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.store.directory import ReleasesDirectory

#: Seconds for which live hosts may lack a version: two heartbeats. A host reports what it has loaded at once.
_WAIT: Final = 10

_LONGEST_WAIT: Final = 3600


@dataclass(frozen=True, slots=True)
class Order:
    """What the options say.

    Attributes:
        message: Why, for the log.
        dry_run: Whether nothing is to be written.
        force: Whether refusals are overruled.
        expect: The revision that has to be in force; None for any.
        wait: Seconds for which live hosts may lack a version.
        prefix: The path under which versions are served; None for what the application says.
        app_first: The patterns of paths that are the application's own; likewise.
        origins: The origins under which versions are served.
        yes: Whether nobody is to be asked.
        as_json: Whether the outcome is printed as JSON.
    """

    message: str
    dry_run: bool
    force: bool
    expect: int | None
    wait: int
    prefix: str | None
    app_first: tuple[str, ...]
    origins: tuple[str, ...]
    yes: bool
    as_json: bool


def order_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, as one argument ``order``."""

    @wraps(function)
    def command(**given: Any) -> None:
        order = Order(**{field.name: given.pop(field.name) for field in fields(Order)})
        function(order=order, **given)

    options = (
        click.option("-m", "--message", default="", help="Why, for the log."),
        click.option("--dry-run", is_flag=True, help="Show what would happen, and leave it at that."),
        click.option("--force", is_flag=True, help="Do it, whatever speaks against it."),
        click.option(
            "--expect",
            metavar="REVISION",
            type=click.IntRange(0),
            help="Refuse if another revision is in force; 0 for none.",
        ),
        click.option(
            "--wait",
            metavar="SECONDS",
            type=click.IntRange(0, _LONGEST_WAIT),
            default=_WAIT,
            show_default=True,
            help="How long live hosts that lack a version may take to get it; 0: refuse at once.",
        ),
        build_options,
        yes_option,
        target_options(),
        json_option,
    )
    decorated: Callable[..., None] = command
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


#: Seconds that a deployment waits for a process that changes the versions.
PATIENCE: Final = 3.0

_NOTHING: Final = "nothing is deployed yet"

# Of the users, in percent: what rounding leaves is no swap.
_SWAPPED: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment that is not written yet.

    Attributes:
        directory: The releases directory.
        entries: The log that it is to follow.
        percentages: Version id to percentage.
        moves: Who moves; None for the first deployment.
        refusals: What speaks against it.
        warnings: What should be known.
    """

    directory: ReleasesDirectory
    entries: Sequence[Entry]
    percentages: Mapping[str, float]
    moves: Movement | None
    refusals: tuple[Objection, ...]
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is deployed: the releases' name."""
        return self.directory.name

    @property
    def before(self) -> Entry | None:
        """The deployment that is in force."""
        return self.entries[-1] if self.entries else None

    @property
    def revision(self) -> int:
        """The revision that it would have."""
        return (self.before.revision if self.before is not None else 0) + 1

    def as_dict(self, **more: object) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "revision": self.revision,
            "percentages": dict(self.percentages),
            "before": dict(self.before.percentages) if self.before is not None else None,
            "movement": self.moves.as_dict() if self.moves is not None else None,
            "refusals": [{**refusal._asdict(), "details": list(refusal.details)} for refusal in self.refusals],
            "warnings": list(self.warnings),
            **more,
        }


def plan(
    target: Target,
    log: DeploymentLog,
    entries: Sequence[Entry],
    percentages: Mapping[str, float],
    order: Order,
) -> Plan:
    """Return what would be deployed, and what speaks against it.

    Args:
        target: The releases.
        log: The log.
        entries: What was read from it.
        percentages: Version id to percentage.
        order: How versions are checked, and for how long hosts may lack them.
    """
    directory = target.directory()
    moves = movement(entries[-1].percentages, percentages) if entries else None
    build = target.build(order.prefix, order.app_first, order.origins)
    wait = 0 if order.force else order.wait
    refusals, warnings = objections(target, log, entries, percentages, build, wait=wait)
    return Plan(directory, tuple(entries), dict(percentages), moves, tuple(refusals), tuple(warnings))


def check_expected(entries: Sequence[Entry], expect: int | None) -> None:
    """Check that the revision in force is the one that a script has seen, where it says so.

    Args:
        entries: What was read from the log.
        expect: The revision; None where nothing is expected.

    Raises:
        RefusedError: it is another.
    """
    newest = entries[-1].revision if entries else 0
    if expect is None or expect == newest:
        return
    if expect < newest:
        raise RefusedError(_overtaken(entries))
    has = f"the newest deployment is revision {newest}, and there is no later one" if newest else _NOTHING
    raise RefusedError(f"--expect {expect}: {has}. Nothing is deployed: see {command_line('deployments status')}")


def check_unchanged(log: DeploymentLog, entries: Sequence[Entry]) -> None:
    """Check that nobody has deployed while somebody was asked.

    Args:
        log: The log.
        entries: What was read from it before.

    Raises:
        RefusedError: somebody has.
    """
    now = log.read()
    if len(now) > len(entries):
        raise RefusedError(_overtaken(now))


def carry_out(planned: Plan, log: DeploymentLog, order: Order, question: str) -> None:
    """Show a plan, ask, and write it to the log.

    Args:
        planned: The plan.
        log: The log.
        order: How it is carried out.
        question: What is asked: "Deploy?".

    Raises:
        RefusedError: something speaks against it, the answer is no, or somebody else was faster.
    """
    if not order.as_json:
        show(planned, say)
    elif not (order.yes or order.dry_run):
        show(planned, note)  # what is asked about
    for warning in planned.warnings:
        warn(warning)
    _face(planned, order)
    entry = None
    if not order.dry_run:
        confirm(question, "nothing is deployed", yes=order.yes)
        with _unremoved(planned.directory):
            # The question may have stood for an hour.
            found = absent(planned.directory, log, planned.percentages)
            late = tuple(refusal for refusal in found if refusal not in planned.refusals)
            _face(replace(planned, refusals=late), order)
            entry = _append(planned, log, order.message)
    _tell(planned, entry, order)


def tell_unchanged(planned: Plan, version: str, order: Order) -> None:
    """Say that nothing is deployed, since everybody has a version already."""
    if order.as_json:
        emit(planned.as_dict(deployed=False, dry_run=order.dry_run, entry=None))
    else:
        assert planned.before is not None  # noqa: S101 - by which everybody has it
        say(f"Nothing is deployed: {version} has 100 % already, by revision {planned.before.revision}.")


def _face(planned: Plan, order: Order) -> None:
    """Refuse what something speaks against, or tell what is overruled."""
    if planned.refusals and (not order.force or any(refusal.is_final for refusal in planned.refusals)):
        if order.as_json:
            emit(planned.as_dict(deployed=False, dry_run=order.dry_run, entry=None))
        raise RefusedError(_refused(planned.refusals))
    for refusal in planned.refusals:
        warn(f"overruled: {refusal.reason}")


def _unremoved(directory: ReleasesDirectory) -> AbstractContextManager[None]:
    """Return what keeps versions from being removed, while the block lasts.

    It never stands in the way: the log itself refuses two deployments at once.
    """
    try:
        return publishing(directory, patience=PATIENCE)
    except OSError:
        return nullcontext()  # a user who may not write there may deploy all the same
    except BusyError as error:
        warn(f"{error}. Deploying without the lock: do not prune meanwhile")
        return nullcontext()


def _tell(planned: Plan, entry: Entry | None, order: Order) -> None:
    """Print what became of a plan that nothing speaks against."""
    if order.as_json:
        written = entry.as_document() if entry is not None else None
        emit(planned.as_dict(deployed=entry is not None, dry_run=order.dry_run, entry=written))
    elif entry is None:
        say(styled("Nothing is deployed: this was a dry run.", "strong"))
    else:
        say(f"{styled('Deployed', 'good')} revision {entry.revision}: all workers serve by it within a second or two.")
        if rollback_target([*planned.entries, entry]) is not None:
            say(f"To take it back: {command_line('rollback')}")


def _append(planned: Plan, log: DeploymentLog, message: str) -> Entry:
    before = planned.before
    try:
        return log.append(
            planned.percentages,
            expected=before.revision if before is not None else 0,
            author=author(),
            message=message,
        )
    except LogConflictError:
        raise RefusedError(_overtaken(log.read())) from None


def _overtaken(entries: Sequence[Entry]) -> str:
    """Say who deployed what in the meantime."""
    newest = entries[-1]
    why = f' ("{newest.message}")' if newest.message else ""
    return (
        f"{newest.author or 'somebody'} has deployed revision {newest.revision} meanwhile, {ago(newest.created)}: "
        f"{shares(newest.percentages)}{why}. Nothing is deployed: look whether you still want to, and deploy again"
    )


def _refused(refusals: Sequence[Objection]) -> str:
    final = any(refusal.is_final for refusal in refusals)
    lines = ["nothing is deployed:" if final else "nothing is deployed (--force overrules this):"]
    for refusal in refusals:
        lines.append(f"  - {refusal.reason}")
        lines += [f"      {detail}" for detail in refusal.details]
    return "\n".join(lines)


def show(planned: Plan, write: Callable[[str], None]) -> None:
    """Print what a plan changes, and who moves.

    Args:
        planned: The plan.
        write: Prints a line.
    """
    before = planned.before
    follows = f", revision {before.revision} -> {planned.revision}" if before is not None else ", the first deployment"
    write(f"{styled(planned.name, 'strong')}{follows}")
    write("")
    for line in aligned(_changes(planned), indent="  ", right=(1, 3)):
        write(line)
    write("")
    if planned.moves is not None:
        show_movement(planned.moves, write)
        write("")


def _changes(planned: Plan) -> list[list[str]]:
    if planned.before is None:
        return [[styled(version, "version"), percent(share)] for version, share in planned.percentages.items()]
    old, new = planned.before.percentages, planned.percentages
    rows = []
    for version in dict.fromkeys((*old, *new)):
        was = percent(old[version]) if version in old else "-"
        will = percent(new[version]) if version in new else "-"
        rows.append([styled(version, "version"), was, "->", styled(will, "strong") if will != was else will])
    return rows


def show_movement(moves: Movement, write: Callable[[str], None]) -> None:
    """Print who moves from which version to which."""
    if not moves.pairs:
        write("Nobody moves.")
        return
    if moves.moved > moves.minimum + _SWAPPED:
        least = f"; {percent(moves.minimum)} is the least that any scheme moves"
    else:
        least = ", the fewest that any scheme can"
    write(f"{styled(percent(moves.moved), 'strong')} of the users move{least}:")
    rows = [
        [styled(printable(before), "version"), "->", styled(printable(after), "version"), percent(users)]
        for (before, after), users in moves.pairs.items()
    ]
    for line in aligned(rows, indent="  ", right=(3,)):
        write(line)
