"""Conditional requests (RFC 9110 section 13): does the client have the file already, or want only a file it knows?

Free of WSGI: fields and validators in, an outcome out. A field that breaks its grammar matches nothing, or is ignored
if it should hold a date. Either way the client gets a complete answer, which cannot be wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.datastructures import ETags


NOT_MODIFIED: Final = "304 Not Modified"
FAILED: Final = "412 Precondition Failed"

#: The methods that a file answers itself.
READING: Final = frozenset({"GET", "HEAD"})
# What servers in front add to the tag of an answer that they compress: Apache, Jetty.
_CODED: Final = re.compile(r"(?:--?gzip|;gzip|-br)\Z")
_LONGEST_DATE: Final = len("Wednesday, 06-Nov-94 08:49:37 GMT")
# Characters of a list of tags, enough for 60 of ours. The time of werkzeug's parser before 3.1.9 grows with their
# square.
_LONGEST_LIST: Final = 2_000


def evaluate(method: str, field: Callable[[str], str | None], etag: str, modified: int | None = None) -> str | None:
    """Evaluate a request's preconditions, except If-Range, in the order of RFC 9110 section 13.2.2.

    ``field`` returns a field of the request by its CGI name, or None; ``etag`` is that of the chosen representation.
    ``modified`` is in whole seconds since 1970; None: fields with dates are ignored (sections 13.1.3 and 13.1.4).
    The result is ``NOT_MODIFIED`` or ``FAILED``; None if the request is to be performed.

    >>> evaluate("GET", {"HTTP_IF_NONE_MATCH": '"a", "b"'}.get, '"b"')
    '304 Not Modified'
    >>> evaluate("GET", {"HTTP_IF_NONE_MATCH": '"b"', "HTTP_IF_MATCH": '"a"'}.get, '"b"')
    '412 Precondition Failed'
    """
    wanted = field("HTTP_IF_MATCH")
    if wanted is not None:
        if not if_match(wanted, etag):
            return FAILED
    elif modified is not None and (date := field("HTTP_IF_UNMODIFIED_SINCE")):
        since = _seconds(date)
        if since is not None and modified > since:
            return FAILED
    known = field("HTTP_IF_NONE_MATCH")
    if known is not None:
        if if_none_match(known, etag):
            return NOT_MODIFIED if method in READING else FAILED
    elif modified is not None and method in READING and (date := field("HTTP_IF_MODIFIED_SINCE")):
        since = _seconds(date)
        if since is not None and modified <= since:
            return NOT_MODIFIED
    return None


def if_match(field: str, etag: str) -> bool:
    """Return whether an If-Match field names an entity tag; weak tags never match (RFC 9110 section 13.1.1)."""
    if etag not in field:
        return field.strip(" \t") == "*"
    return etag[0] == '"' and _tags(field).is_strong(etag[1:-1])


def if_none_match(field: str, etag: str) -> bool:
    """Return whether an If-None-Match field names an entity tag.

    The comparison is weak (RFC 9110 section 13.1.2). A server in front that compresses may have changed the tag:
    Apache's mod_deflate turns ``"tag"`` into ``"tag-gzip"``. The tag is a hash of the content: both mean the same.
    """
    if field == etag:
        return True
    content = etag.removeprefix("W/")[1:-1]
    if content not in field:
        return field.strip(" \t") == "*"
    if field == f"W/{etag}":  # nginx makes the tag of a response weak that it compresses
        return True
    tags = _tags(field).as_set(include_weak=True)
    return content in tags or any(_CODED.sub("", tag) == content for tag in tags if tag)


def if_range(field: str, etag: str, modified: int | None = None) -> bool:
    """Return whether an If-Range field names the current representation; if not, its Range is ignored.

    A tag is compared strongly; a date must be that of the last modification, to the second (RFC 9110 section 13.1.5).
    """
    if field.strip(" \t") == etag:
        return etag[0] == '"'
    return modified is not None and _seconds(field) == modified


def _tags(field: str) -> ETags:
    """Return the entity tags of a list. A member that breaks the grammar is left out, and so is a very long list."""
    # Imported here: werkzeug takes 0.1 s to import, and few clients send anything but one tag, which needs no parser.
    from werkzeug.http import parse_etags  # noqa: PLC0415

    # Without the blanks around it, which werkzeug before 3.1.9 takes for parts of tags.
    return parse_etags(field.strip(" \t") if len(field) <= _LONGEST_LIST else "")


def _seconds(field: str) -> int | None:
    """Return an HTTP-date (RFC 9110 section 5.6.7) in whole seconds since 1970, None for what is not a date."""
    from werkzeug.http import parse_date  # noqa: PLC0415 - as above

    value = field.strip(" \t")
    if not 0 < len(value) <= _LONGEST_DATE:
        return None
    try:
        date = parse_date(value)
        return None if date is None else int(date.timestamp())
    except (IndexError, OverflowError):  # of email.utils, on text that is nearly a date
        return None
