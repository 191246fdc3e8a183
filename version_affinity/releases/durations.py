"""Lengths of time as people write them: ``30d``, ``12h``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def in_words(duration: timedelta) -> str:
    """Return a length of time as it is typed, so that ``parse_duration`` returns it again.

    >>> in_words(timedelta(days=30)), in_words(timedelta(minutes=90)), in_words(timedelta(seconds=1.5))
    ('30d', '1h30m', '1.5s')
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
