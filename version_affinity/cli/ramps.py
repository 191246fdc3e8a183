"""What the commands of a ramp share: what the workers report of it, and the traffic that a prediction is based on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.ramp.next_entry import Observed  # noqa: TC001 - of a NamedTuple
from version_affinity.releases.follow.guard import observed, watched_ramp
from version_affinity.releases.reports.figures import figures_of
from version_affinity.releases.times import format_duration, parse_time, utc_now

from .context import current_target
from .output import amount, counted, percent
from .workers import read_workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.reports.report import Workers

# The age of a report that does not exist.
_NEVER: Final = timedelta(days=365)
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
        workers = read_workers(current_target().directory, log)
        ages = [abs(report.age) for report in workers.live]
        silent_for = timedelta(seconds=min(ages)) if ages else _NEVER
        watched = watched_ramp(entries) if entries else None
        key = watched.key if watched is not None else ""
        newest = entries[-1] if entries else None
        fresh_for = timedelta.max if ages else timedelta(0)  # a command looks once
        return cls(workers, observed(workers, key, newest, fresh_for=fresh_for, silent_for=silent_for))


class Traffic(NamedTuple):
    """What the workers that run have counted since they started."""

    keys_per_hour: float
    failure_rate: float
    basis: str


def traffic(workers: Workers) -> Traffic | None:
    """Return the traffic as the workers that run have counted it, each since its start; None without any."""
    users = errors = answers = 0.0
    new_keys = pages = 0
    longest = timedelta(0)
    for report in workers.live:
        age = max(utc_now() - parse_time(report.started), _MINUTE)
        found = figures_of(report.counts).values()
        own_keys, own_pages = sum(it.new_keys for it in found), sum(it.pages for it in found)
        users += (own_keys or own_pages / _PAGES_PER_USER) / (age / _HOUR)
        new_keys, pages, longest = new_keys + own_keys, pages + own_pages, max(longest, age)
        answers += sum(it.app for it in found)
        errors += sum(it.app_errors for it in found)
    if not users:
        return None
    how = counted(new_keys, "new user") if new_keys else f"{amount(pages)} pages, {_PAGES_PER_USER} for each user"
    rate = max(_USUAL_FAILURES, min(0.5, errors / answers if answers else 0.0))
    over = format_duration(timedelta(minutes=round(longest / _MINUTE)))
    basis = f"Based on {how} since the workers started, {over} ago; {percent(round(100 * rate, 3))} of them fail anyway"
    return Traffic(users, rate, basis)
