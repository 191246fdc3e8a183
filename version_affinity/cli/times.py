"""Times for people: in UTC, with how long ago or how far ahead they are. JSON has them as the log does, in RFC 3339."""

from __future__ import annotations

import re
from datetime import timezone
from typing import TYPE_CHECKING, Final

from version_affinity.releases.times import NEVER, format_time, parse_time, utc_now
from version_affinity.wire import printable

from .output import counted

if TYPE_CHECKING:
    from datetime import datetime

# A duration below the first number, in seconds, has this unit: its length in seconds, its name.
_SPANS: Final = ((90, 1, "second"), (90 * 60, 60, "minute"), (36 * 3600, 3600, "hour"), (60 * 86400, 86400, "day"))
_JUST_NOW: Final = 5
_NOW: Final = "just now"
# Shortens "3 minutes ago" to "3m ago".
_LENGTH: Final = re.compile(r"(\d+) ([a-z])[a-z]*")


def when(time: str | datetime, now: datetime | None = None) -> str:
    """Return a time in UTC, and how long ago or how far ahead it is if that is less than 60 days.

    Args:
        time: The time, or an RFC 3339 text. A text that is not a time is returned as it is.
        now: The present, for tests.

    >>> now = parse_time("2026-11-24T12:00:00Z")
    >>> when("2026-11-24T11:57:00Z", now), when("2026-11-24T14:00:00Z", now), when("?", now)
    ('2026-11-24 11:57 UTC (3 minutes ago)', '2026-11-24 14:00 UTC (in 2 hours)', '?')
    >>> when("2026-01-02T03:04:05.678Z", now)
    '2026-01-02 03:04 UTC'
    """
    moment, text = _moment(time)
    if moment == NEVER:
        return text
    distance = _distance(moment, now)
    return f"{moment:%Y-%m-%d %H:%M} UTC{f' ({distance})' if distance else ''}"


def short_when(time: str | datetime, now: datetime | None = None) -> str:
    """Return the same for a table whose header says "UTC"; of a time that is 60 days away or more, the date.

    >>> now = parse_time("2026-11-24T12:00:00Z")
    >>> short_when("2026-11-24T11:57:00Z", now), short_when("2026-11-24T14:00:00Z", now), short_when("?", now)
    ('11-24 11:57, 3m ago', '11-24 14:00, in 2h', '?')
    >>> short_when(now, now), short_when("2026-01-02T03:04:05.678Z", now)
    ('11-24 12:00, now', '2026-01-02')
    """
    moment, text = _moment(time)
    if moment == NEVER:
        return text
    distance = _LENGTH.sub(r"\1\2", _distance(moment, now)).removeprefix("just ")
    return f"{moment:%m-%d %H:%M}, {distance}" if distance else f"{moment:%Y-%m-%d}"


def _moment(time: str | datetime) -> tuple[datetime, str]:
    """Return a time in UTC, ``NEVER`` for a text that is not a time; and its text."""
    if isinstance(time, str):
        return parse_time(time), printable(time)
    return time.astimezone(timezone.utc), format_time(time)


def _distance(time: datetime, now: datetime | None) -> str:
    """Return "3 minutes ago", "in 3 minutes" or "just now"; "" for 60 days or more."""
    seconds = ((now or utc_now()) - time).total_seconds()
    if abs(seconds) < _JUST_NOW and seconds >= -1:
        return _NOW
    for limit, unit, name in _SPANS:
        if abs(seconds) < limit:
            length = counted(max(1, round(abs(seconds) / unit)), name)
            return f"{length} ago" if seconds > 0 else f"in {length}"
    return ""
