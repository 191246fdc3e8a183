"""Times and durations as text: RFC 3339 in UTC such as ``2026-11-24T05:00:00Z``; ``30d``, ``12h``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

#: Earlier than all other times: the time of a text that is not a time.
NEVER: Final = datetime.min.replace(tzinfo=timezone.utc)

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([wdhms])", re.ASCII)
_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def utc_now() -> datetime:
    """Return the present by this host's clock, which may be wrong and may jump."""
    return datetime.now(timezone.utc)


def format_time(time: datetime, timespec: str = "seconds") -> str:
    """Return a UTC time as text."""
    return time.isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the time that a text states, in UTC; ``NEVER`` if the text is not a time.

    >>> parse_time("2026-11-24T07:00:00+02:00").hour, parse_time("yesterday") == NEVER
    (5, True)
    >>> parse_time("0001-01-01T00:00:00+23:59") == parse_time("9999-12-31T23:59:59-23:59") == NEVER
    True
    """
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 reads no "Z"
        return (time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):  # in UTC, it may be before the first year
        return NEVER


def time_before(time: datetime, span: timedelta) -> datetime:
    """Return ``time - span``, ``NEVER`` if that is before the first year."""
    return time - span if time - NEVER > span else NEVER


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text states, or raise ``ValueError``.

    >>> parse_duration("30d").days, parse_duration("1h30m").seconds
    (30, 5400)
    """
    parts = _PART.findall(text.replace(" ", ""))
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise ValueError(f"{text!r} is not a duration: write one such as 30d, 12h, 90m, 2w or 1h30m")
    try:
        return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is too long: write a duration such as 30d") from None


def format_duration(duration: timedelta) -> str:
    """Return a duration as text that ``parse_duration`` reads.

    >>> format_duration(timedelta(days=30)), format_duration(timedelta(minutes=90, seconds=1.5))
    ('30d', '1h30m1.5s')
    """
    rest, fraction = divmod(duration // timedelta(microseconds=1), 1_000_000)
    text = ""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, seconds)
        text += f"{count}{unit}" if count else ""
    if fraction:
        text += f"{rest}.{fraction:06}".rstrip("0") + "s"
    elif rest:
        text += f"{rest}s"
    return text or "0s"
