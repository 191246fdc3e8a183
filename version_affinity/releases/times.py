"""Times as the log and the manifests have them: RFC 3339, UTC, such as "2026-11-24T05:00:00Z"."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

#: Before all others: what a text says that is no time.
NEVER: Final = datetime.min.replace(tzinfo=timezone.utc)


def present() -> datetime:
    """Return the present, by this host's clock, which may be wrong, and may jump."""
    return datetime.now(timezone.utc)


def text_of(time: datetime, timespec: str = "seconds") -> str:
    """Return a time in UTC as text, to the second unless another ``timespec`` is given.

    >>> text_of(datetime(2026, 11, 24, 5, tzinfo=timezone.utc))
    '2026-11-24T05:00:00Z'
    """
    return time.isoformat(timespec=timespec).replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """Return the time that a text says, ``NEVER`` for another text.

    >>> time_of("2026-11-24T05:00:00Z").hour, time_of("yesterday") == NEVER
    (5, True)
    """
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 reads no "Z"
    except ValueError:
        return NEVER
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)


def before(time: datetime, span: timedelta) -> datetime:
    """Return the time so long before another one, ``NEVER`` where there is no such time.

    >>> before(NEVER, timedelta(hours=1)) == NEVER
    True
    """
    return time - span if time - NEVER > span else NEVER
