"""Values as text for people: percentages, sizes and times."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from version_affinity.releases.times import NEVER, parse_time, utc_now
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
# Below so many seconds, a duration has this unit: its length in seconds, its name.
_SPANS: Final = (
    (90, 1, "second"),
    (90 * 60, 60, "minute"),
    (36 * 3600, 3600, "hour"),
    (60 * 86400, 86400, "day"),
)
_JUST_NOW: Final = 5
_WIDE: Final = frozenset("WF")


def percent(value: float) -> str:
    """Return a percentage with at most three decimals.

    >>> percent(100 / 3), percent(50.0), percent(0.0004), percent(0)
    ('33.333 %', '50 %', '0.0004 %', '0 %')
    """
    return f"{number(value)} %"


def number(value: float) -> str:
    """Return a percentage without its sign, as a command accepts it.

    >>> number(66.66666666666667), number(99.9)
    ('66.667', '99.9')
    """
    shown = f"{value:.3f}".rstrip("0").rstrip(".")
    return shown if shown != "0" else f"{value:.1g}"


def shares(percentages: Mapping[str, float]) -> str:
    """Return the percentages of a deployment as text.

    >>> shares({"v1": 90.0, "v2": 10.0})
    'v1 90 %, v2 10 %'
    """
    return ", ".join(f"{version} {percent(share)}" for version, share in percentages.items())


def specs(percentages: Mapping[str, float]) -> str:
    """Return the percentages of a deployment as arguments of ``versions deploy``.

    >>> specs({"v1": 90.0, "v2": 10.0})
    'v1@90% v2@10%'
    """
    return " ".join(f"{version}@{number(share)}%" for version, share in percentages.items())


def size(count: int) -> str:
    """Return a number of bytes as text.

    >>> size(1), size(999), size(1234), size(12_345_678)
    ('1 byte', '999 bytes', '1.2 kB', '12 MB')
    """
    if count < _STEP:
        return counted(count, "byte")
    value = float(count)
    for unit in _UNITS:
        if round(value) < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"  # noqa: PLR2004 - two digits are enough


def counted(count: int, noun: str) -> str:
    """Return a number and its noun, singular or plural.

    >>> counted(1, "file"), counted(1200, "file")
    ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(words: Iterable[str]) -> str:
    """Return words joined by commas and "and".

    >>> listed(["v1"]), listed(["v1", "v2"]), listed(["v1", "v2", "v3"])
    ('v1', 'v1 and v2', 'v1, v2 and v3')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def ago(created: str, now: datetime | None = None) -> str:
    """Return the age of an RFC 3339 time; the date of an old one; the text itself if it is not a time.

    >>> now = parse_time("2026-11-24T12:00:00Z")
    >>> ago("2026-11-24T11:57:00Z", now), ago("2026-01-02T03:04:05.678Z", now), ago("?", now)
    ('3 minutes ago', '2026-01-02', '?')
    """
    time = parse_time(created)
    seconds = ((now or utc_now()) - time).total_seconds()
    if time == NEVER or seconds < -_JUST_NOW:  # or of a host whose clock is ahead
        return printable(created)
    if seconds < _JUST_NOW:
        return "just now"
    for limit, unit, name in _SPANS:
        if seconds < limit:
            return f"{counted(round(seconds / unit), name)} ago"
    return f"{time:%Y-%m-%d}"


def width(text: str) -> int:
    """Return the number of terminal columns of a text.

    >>> width("abc"), width("日本"), width("é")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in _WIDE)
        for character in text
    )


def cut(text: str, columns: int) -> str:
    """Return a text, cut to a number of terminal columns.

    >>> cut("first 10 %", 8), cut("first", 8)
    ('first...', 'first')
    """
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 3:
        text = text[:-1]
    return f"{text}..." if columns > 3 else "." * columns  # noqa: PLR2004 - the dots themselves
