"""What the commands of a ramp share: what the workers report of it, and the traffic that a prediction is based on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.ramp.judgement import Observed  # noqa: TC001 - of a NamedTuple
from version_affinity.ramp.plan import ACTIVE, Ramp
from version_affinity.releases.follow.guard import observed, watched_ramp
from version_affinity.releases.reports.hours import DAY, last_day
from version_affinity.releases.times import format_duration, parse_time, utc_now

from .context import current_target
from .output import counted, percent, styled
from .workers import read_workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.reports.report import Workers

# The age of a report that does not exist.
_NEVER: Final = timedelta.max
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
# While one version has all users, new users are not counted: pages per user, for an estimate.
_PAGES_PER_USER: Final = 5
# Of the users, those who fail anyway: what was measured at sites without a fault.
_USUAL_FAILURES: Final = 0.002


class Seen(NamedTuple):
    """The workers, and what they report for the guard of the newest ramp."""

    workers: Workers
    observed: Observed

    @classmethod
    def now(cls, log: DeploymentLog, entries: Sequence[Entry]) -> Seen:
        """Read the reports."""
        return cls.of(read_workers(current_target().directory, log), entries)

    @classmethod
    def of(cls, workers: Workers, entries: Sequence[Entry]) -> Seen:
        """Return what reports that were read say for the guard."""
        ages = [abs(report.age) for report in workers.live]
        silent_for = timedelta(seconds=min(ages)) if ages else _NEVER
        watched = watched_ramp(entries) if entries else None
        key = watched.key if watched is not None else ""
        newest = entries[-1] if entries else None
        # A command looks once: reports are not fresh for longer than a worker runs.
        fresh_for = utc_now() - min((parse_time(report.started) for report in workers.live), default=utc_now())
        return cls(workers, observed(workers, key, newest, fresh_for=fresh_for, silent_for=silent_for))


def ramp_in_words(ramp: Ramp, state: str | None = None) -> str:
    """Return a ramp and its state, such as "ramp-7 to v2: held, step 3 of 5 at 25 %". ``state`` may have a colour."""
    shown = (state or ramp.state).replace("_", " ")
    at = f", step {ramp.step} of {len(ramp.plan.steps)} at {percent(ramp.percentage)}" if ramp.state in ACTIVE else ""
    return f"{ramp.id} to {styled(ramp.plan.version, 'version')}: {shown}{at}"


class TrafficPerHour(NamedTuple):
    """What the workers have counted in the last day."""

    keys_per_hour: float
    failure_rate: float
    basis: Sequence[str]


def traffic(workers: Workers) -> TrafficPerHour | None:
    """Return the traffic of the last day, or of the time since the workers count; None without any."""
    found, time = last_day(workers.counts, workers.since, utc_now())
    # New users are counted while several versions have a share, unless there is no cookie.
    pages = found.alone if found.new_keys else found.pages
    users = found.new_keys + pages / _PAGES_PER_USER
    if not users:
        return None
    what = [counted(found.new_keys, "new user")] if found.new_keys else []
    what += [f"{counted(pages, 'page')} ({_PAGES_PER_USER} count as a user)"] if pages else []
    rate = max(_USUAL_FAILURES, min(0.5, found.app_errors / found.app if found.app else 0.0))
    is_whole, minutes = time >= DAY - _HOUR, timedelta(minutes=max(1, round(time / _MINUTE)))
    basis = [f"Based on {'24 hours' if is_whole else format_duration(minutes)}: {', '.join(what)}."]
    if not is_whole:
        basis.append("The workers have not counted for longer.")
    basis.append(f"{percent(round(100 * rate, 3))} of the users fail anyway.")
    return TrafficPerHour(users / (max(time, _MINUTE) / _HOUR), rate, basis)
