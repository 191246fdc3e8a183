"""Times as the log and the manifests have them: RFC 3339, UTC, such as "2026-11-24T05:00:00Z"."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Before all others: what a text says that is no time.
NEVER: Final = datetime.min.replace(tzinfo=timezone.utc)


def utc_now() -> datetime:
    """Return the present, by this host's clock, which may be wrong, and may jump."""
    return datetime.now(timezone.utc)


def format_time(time: datetime, timespec: str = "seconds") -> str:
    """Return a time in UTC as text, to the second unless another ``timespec`` is given.

    >>> format_time(datetime(2026, 11, 24, 5, tzinfo=timezone.utc))
    '2026-11-24T05:00:00Z'
    """
    return time.isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the time that a text says, ``NEVER`` for another text.

    >>> parse_time("2026-11-24T05:00:00Z").hour, parse_time("yesterday") == NEVER
    (5, True)
    """
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 reads no "Z"
    except ValueError:
        return NEVER
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)


def time_before(time: datetime, span: timedelta) -> datetime:
    """Return the time so long before another one, ``NEVER`` where there is no such time.

    >>> time_before(NEVER, timedelta(hours=1)) == NEVER
    True
    """
    return time - span if time - NEVER > span else NEVER


_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([wdhms])", re.ASCII)
_UNITS: Final[Mapping[str, str]] = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def parse_duration(text: str) -> timedelta:
    """Return a length of time.

    Raises:
        ValueError: it is none, or one that no calendar has.

    >>> parse_duration("30d").days, parse_duration("1h30m").seconds
    (30, 5400)
    """
    parts = _PART.findall(text.replace(" ", ""))
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise ValueError(f"{text!r} is no length of time: write one such as 30d, 12h, 90m, 2w or 1h30m")
    try:
        return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any calendar: write one such as 30d") from None


def format_duration(duration: timedelta) -> str:
    """Return a length of time as it is typed, so that ``parse_duration`` returns it again.

    >>> format_duration(timedelta(days=30)), format_duration(timedelta(minutes=90))
    ('30d', '1h30m')
    """
    rest, fraction = divmod(duration // timedelta(microseconds=1), 1_000_000)
    words = ""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, seconds)
        words += f"{count}{unit}" if count else ""
    if fraction:
        words += f"{rest}.{fraction:06}".rstrip("0") + "s"
    elif rest:
        words += f"{rest}s"
    return words or "0s"
