"""What the workers have counted in each hour of the last day: the traffic that a prediction of the guard is based on.

The numbers of an hour are counters like the others, with keys such as ``hour|494310|pages``. So the sums over processes
and over those that have ended are exact. Hours are counted from 1970 in UTC, by the clock of the host that counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.counters import sum_counts
from version_affinity.decision.decider import ONLY
from version_affinity.decision.request import PAGE
from version_affinity.releases.times import NEVER, parse_time

from .figures import SERVER_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.counters import Counts

#: How long traffic is looked at.
DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NAME: Final = "hour"
_DAY_HOURS: Final = DAY // _HOUR
# The clocks of the hosts may differ.
_KEPT: Final = _DAY_HOURS + 1


class Traffic(NamedTuple):
    """What was counted of all versions; see ``Counts``."""

    # First pages of a key or a bucket, which are counted while several versions have a share.
    new_keys: int = 0
    pages: int = 0
    # Pages while one version had all users.
    alone: int = 0
    # Answers of the wrapped application, and those of 5xx.
    app: int = 0
    app_errors: int = 0

    @classmethod
    def of(cls, counts: Counts) -> Traffic:
        """Return the traffic of a process."""
        pages = [(reason, number) for (_, kind, _, reason), number in counts.requests.items() if kind == PAGE]
        return cls(
            sum(counts.new_keys.values()),
            sum(number for _, number in pages),
            sum(number for reason, number in pages if reason == ONLY),
            sum(counts.app.values()),
            sum(number for (_, status), number in counts.app.items() if status == SERVER_ERROR),
        )


class Hours:
    """Counts the traffic of one process by the hour."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        # The traffic until now, and the counters of the hours: one value, since another thread reports at the end.
        self._state: tuple[Traffic, Mapping[str, int]] = Traffic(), {}

    def count(self, counts: Counts, now: datetime) -> Mapping[str, int]:
        """Return the counters of the last hours. What has been counted since the last call is of this hour."""
        before, hours = self._state
        traffic = Traffic(*map(max, Traffic.of(counts), before))
        hour = (now - _EPOCH) // _HOUR
        gained = {
            f"{_NAME}|{hour}|{name}": number - earlier
            for name, number, earlier in zip(Traffic._fields, traffic, before, strict=True)
            if number > earlier
        }
        hours = recent(sum_counts(hours, gained), now)
        self._state = traffic, hours
        return hours


def recent(counts: Mapping[str, int], now: datetime, hours: int = _KEPT) -> dict[str, int]:
    """Return counters without those of hours that are long gone, or damaged."""
    newest = (now - _EPOCH) // _HOUR
    found = {}
    for key, number in counts.items():
        name, _, rest = key.partition("|")
        hour = rest.partition("|")[0]
        # An hour that has not begun here may have begun on a host whose clock is fast.
        if name != _NAME or (hour.isdecimal() and newest - hours < int(hour) <= newest + 1):
            found[key] = number
    return found


def last_day(counts: Mapping[str, int], since: str, now: datetime) -> tuple[Traffic, timedelta]:
    """Return the traffic of the last 24 hours, the present one included, and for how long it was counted.

    ``since`` is when counting began, "" if that is unknown.
    """
    found = dict.fromkeys(Traffic._fields, 0)
    for key, number in recent(counts, now, _DAY_HOURS).items():
        name, _, rest = key.partition("|")
        figure = rest.rpartition("|")[2]
        if name == _NAME and figure in found:
            found[figure] += number
    start = now - (now - _EPOCH) % _HOUR - (_DAY_HOURS - 1) * _HOUR
    return Traffic(**found), now - max(start, parse_time(since))


def earliest(times: Iterable[str]) -> str:
    """Return the first of some RFC 3339 times, "" if there is none. What is not a time is left out."""
    return min((time for time in times if parse_time(time) != NEVER), key=parse_time, default="")
