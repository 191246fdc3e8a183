"""The HTTP rules of answering with a file, free of WSGI: which conditional requests need no body."""

from __future__ import annotations

from typing import Final

#: For a file whose name carries its content's hash. A year is what every cache understands as "forever" (RFC 9111 gives
#: no upper bound).
IMMUTABLE: Final = ("Cache-Control", "public, max-age=31536000, immutable")
#: For any other file: kept, and asked for again on each use.
REVALIDATE: Final = ("Cache-Control", "public, max-age=0, must-revalidate")
#: For what is not there: a 404 without it may be kept heuristically (RFC 9111 section 4.2.2) and outlive its cause.
NO_STORE: Final = ("Cache-Control", "no-store")


def if_none_match(field: str, etag: str) -> bool:
    """Tell whether an If-None-Match field names an entity tag, so that the answer to GET and HEAD is 304.

    The comparison is weak (RFC 9110 section 13.1.2). A field that does not follow the grammar matches nothing, which
    costs one full answer and cannot be wrong.

    Args:
        field: The field's value; several lines joined by commas.
        etag: The current entity tag, with its quotes and, if weak, its ``W/``.

    >>> if_none_match('"a", W/"b"', '"b"'), if_none_match("*", '"b"'), if_none_match('"a"', '"b"')
    (True, True, False)
    """
    if field == etag:
        return True
    opaque = etag.removeprefix("W/")
    if opaque not in field:
        return field.strip(" \t") == "*"
    # Between the quotes are the tags, around them the separators.
    parts = field.split('"')
    if len(parts) % 2 == 0:
        return False
    return opaque[1:-1] in parts[1::2] and _are_separators(parts[::2])


def _are_separators(parts: list[str]) -> bool:
    """Tell whether commas, and nothing else than blanks and weakness marks, stand around the tags."""
    first, *between, last = parts
    return (
        not first.removesuffix("W/").strip(" \t,")
        and not last.strip(" \t,")
        and all("," in part and not part.removesuffix("W/").strip(" \t,") for part in between)
    )
