"""Conditional requests (RFC 9110 section 13): whether the client has what it asks for, or wants it only as it knows it.

Free of WSGI: fields and validators in, an outcome out. A field that does not follow its grammar matches nothing, or, if
it should hold a date, is ignored: either costs one full answer and cannot be wrong.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Outcome(Enum):
    """What a precondition makes of a request."""

    NOT_MODIFIED = "304: the client has it"
    FAILED = "412: it is not what the client takes it for"


_READS: Final = ("GET", "HEAD")
# What servers in front add to the tag of an answer that they compress: Apache, Jetty.
_CODED: Final = re.compile(r"(?:--?gzip|;gzip|-br)\Z")

# RFC 9110 section 5.6.7. Case-sensitive, and nothing around it.
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_LONG_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_DATES: Final = tuple(
    re.compile(form)
    for form in (
        rf"(?:{_DAYS}), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",  # IMF-fixdate
        rf"(?:{_LONG_DAYS}), (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",  # RFC 850
        rf"(?:{_DAYS}) {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",  # asctime
    )
)
_LONGEST_DATE: Final = len("Wednesday, 06-Nov-94 08:49:37 GMT")
_AHEAD: Final = 50  # years by which a date of two digits may lie in the future


def evaluate(method: str, field: Callable[[str], str | None], etag: str, modified: int | None = None) -> Outcome | None:
    """Evaluate a request's preconditions, but for If-Range, in the order of RFC 9110 section 13.2.2.

    Args:
        method: The request's method.
        field: Looks up a field of the request by its CGI name (RFC 3875 section 4.1.18), ``HTTP_IF_MATCH``; None where
            it is absent. The ``get`` of an environ does.
        etag: The entity tag of the chosen representation, with its quotes and, if weak, its ``W/``.
        modified: When it was modified, in whole seconds since 1970; None where no date is a validator. Fields with
            dates are ignored then (RFC 9110 sections 13.1.3 and 13.1.4).

    Returns:
        None when the request is to be performed.

    >>> evaluate("GET", {"HTTP_IF_NONE_MATCH": '"a", "b"'}.get, '"b"').name
    'NOT_MODIFIED'
    >>> evaluate("GET", {"HTTP_IF_NONE_MATCH": '"b"', "HTTP_IF_MATCH": '"a"'}.get, '"b"').name
    'FAILED'
    """
    wanted = field("HTTP_IF_MATCH")
    if wanted is not None:
        if not if_match(wanted, etag):
            return Outcome.FAILED
    elif modified is not None and _changed_since(field("HTTP_IF_UNMODIFIED_SINCE"), modified):
        return Outcome.FAILED
    known = field("HTTP_IF_NONE_MATCH")
    if known is not None:
        if if_none_match(known, etag):
            return Outcome.NOT_MODIFIED if method in _READS else Outcome.FAILED
    elif (
        modified is not None and method in _READS and _changed_since(field("HTTP_IF_MODIFIED_SINCE"), modified) is False
    ):
        return Outcome.NOT_MODIFIED
    return None


def if_match(field: str, etag: str) -> bool:
    """Tell whether an If-Match field names an entity tag: if not, the answer is 412.

    The comparison is strong (RFC 9110 section 13.1.1): weak tags never match.

    Args:
        field: The field's value; several lines joined by commas.
        etag: The current entity tag.

    >>> if_match('"a", "b"', '"b"'), if_match('W/"b"', '"b"'), if_match("*", '"b"')
    (True, False, True)
    """
    if etag not in field:
        return field.strip(" \t") == "*"
    if etag[0] != '"':
        return False
    return ("", etag[1:-1]) in _tags(field)


def if_none_match(field: str, etag: str) -> bool:
    """Tell whether an If-None-Match field names an entity tag, so that the answer to GET and HEAD is 304.

    The comparison is weak (RFC 9110 section 13.1.2). A server in front that compresses may have changed the tag:
    Apache's mod_deflate makes ``"tag-gzip"`` of ``"tag"``. The tag is a hash of the content: both name the same.

    Args:
        field: The field's value; several lines joined by commas.
        etag: The current entity tag, with its quotes and, if weak, its ``W/``.

    >>> if_none_match('"a", W/"b"', '"b"'), if_none_match("*", '"b"'), if_none_match('"a"', '"b"')
    (True, True, False)
    """
    if field == etag:
        return True
    content = etag.removeprefix("W/")[1:-1]
    if content not in field:
        return field.strip(" \t") == "*"
    return any(tag == content or _CODED.sub("", tag) == content for _, tag in _tags(field))


def if_range(field: str, etag: str, modified: int | None = None) -> bool:
    """Tell whether an If-Range field names the current representation: if not, its Range is ignored.

    A tag is compared strongly; a date must be that of the last modification, to the second (RFC 9110 section 13.1.5).

    Args:
        field: The field's value.
        etag: The current entity tag.
        modified: When it was modified, in whole seconds since 1970; None where no date is a strong validator.

    >>> if_range('"b"', '"b"'), if_range('W/"b"', '"b"'), if_range("Sun, 06 Nov 1994 08:49:37 GMT", '"b"', 784111777)
    (True, False, True)
    """
    if field.strip(" \t") == etag:
        return etag[0] == '"'
    return modified is not None and parse_date(field) == modified


def parse_date(field: str, now: float | None = None) -> int | None:
    """Return an HTTP-date in any of its three forms (RFC 9110 section 5.6.7) as whole seconds since 1970.

    Args:
        field: The field's value.
        now: The current time in seconds since 1970, for the century of a date with two digits: the latest that is not
            more than 50 years ahead.

    Returns:
        None for what is no date. The name of the day is not compared with the date.

    >>> parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), parse_date("Sun Nov  6 08:49:37 1994"), parse_date("yesterday")
    (784111777, 784111777, None)
    """
    value = field.strip(" \t")
    if len(value) > _LONGEST_DATE:
        return None
    for form in _DATES:
        match = form.fullmatch(value)
        if match is not None:
            return _seconds(match, time.time() if now is None else now)
    return None


def _changed_since(field: str | None, modified: int) -> bool | None:
    """Tell whether the modification is later than a field's date; None where it has none."""
    since = None if field is None else parse_date(field)
    return None if since is None else modified > since


def _seconds(date: re.Match[str], now: float) -> int | None:
    year, month, day = int(date["year"]), _MONTHS.index(date["month"]) + 1, int(date["day"])
    hour, minute, second = int(date["hour"]), int(date["minute"]), int(date["second"])
    if len(date["year"]) == len("94"):
        today = time.gmtime(now)
        latest = today.tm_year + _AHEAD
        year = latest - (latest - year) % 100
        if year == latest and (month, day, hour, minute, second) > tuple(today)[1:6]:
            year -= 100
    try:
        midnight = datetime(year, month, day, tzinfo=timezone.utc)  # checks the day
    except ValueError:
        return None
    # Not by datetime: it knows no leap second, which the grammar allows.
    return timegm((midnight.year, midnight.month, midnight.day, hour, minute, second))


def _tags(field: str) -> list[tuple[str, str]]:
    """Return the entity tags of a list, each as its weakness mark and its content; none where the grammar is broken."""
    # Between the quotes are the tags, around them the separators: commas, blanks and weakness marks.
    parts = field.split('"')
    if len(parts) == 1 or len(parts) % 2 == 0:
        return []
    before, last = parts[:-1:2], parts[-1]
    first, *between = [part.removesuffix("W/") for part in before]
    if first.strip(" \t,") or last.strip(" \t,") or not all("," in part and not part.strip(" \t,") for part in between):
        return []
    return [("W/" if part.endswith("W/") else "", tag) for part, tag in zip(before, parts[1::2], strict=True)]
