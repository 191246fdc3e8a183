"""Range requests (RFC 9110 section 14): which parts of a file a Range asks for, and the framing of several parts.

Free of WSGI: a field and a size in, spans out. A Range that is not valid is ignored, as section 14.2 says, and so is a
Range whose response would cost more than the whole file (section 17.15).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Elements of a Range field, empty ones included, above which it is ignored.
MOST_RANGES: Final = 32

# RFC 9110 section 14.1.2; the unit is case-insensitive. Blanks are allowed around commas only (section 5.6.1).
_UNIT: Final = "bytes="
_SINGLE: Final = re.compile(r"[bB][yY][tT][eE][sS]=([0-9]*)-([0-9]*)")
_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)")
# The form that clients write for a file that is not enormous.
_FREQUENT: Final = re.compile(r"bytes=([0-9]{1,15})-([0-9]{0,15})")

# Python refuses to convert more than 4,300 digits, or more than 640 if sys.set_int_max_str_digits says so.
_DIGITS: Final = 600


class Span(NamedTuple):
    """Bytes of a file, from ``start`` up to and without ``stop``. Never empty."""

    start: int
    stop: int


def parse_range(field: str, size: int) -> tuple[Span, ...] | None:
    """Return the spans of a file that a Range field asks for, in its order; spans that overlap or touch are joined.

    Returns:
        None if the whole file is to be sent: the field is invalid, its unit is unknown, it has more than
        ``MOST_RANGES`` elements, or several ranges amount to the whole file or more. Empty if the field is valid and
        the file has none of these bytes: 416. A single range of the whole file is kept: media players learn from its
        206 that they can seek.

    >>> parse_range("bytes=0-4, -3", 10), parse_range("bytes=10-", 10), parse_range("bytes=4-2", 10)
    ((Span(start=0, stop=5), Span(start=7, stop=10)), (), None)
    """
    match = _SINGLE.fullmatch(field)
    return _several(field.strip(" \t"), size) if match is None else _resolve(match, size)


def single_range(field: str, size: int) -> tuple[int, int] | None:
    """Return start and stop of the one span that a Range field in its most frequent form asks for.

    None: use ``parse_range``.
    """
    match = _FREQUENT.fullmatch(field)
    if match is None:
        return None
    first, last = match.groups()
    start = int(first)
    stop = int(last) + 1 if last else size
    stop = min(stop, size)
    return (start, stop) if start < stop else None


def multipart(
    spans: Iterable[Span], size: int, content_type: str, boundary: str
) -> tuple[tuple[bytes | Span, ...], int] | None:
    r"""Frame several parts of a file as ``multipart/byteranges`` (RFC 9110 section 14.6).

    Returns:
        The body (spans and the bytes between them) and its length in bytes; None if the whole file is not longer.

    >>> pieces, length = multipart([Span(0, 2), Span(8, 10)], 999, "text/plain", "x")
    >>> pieces[:2]
    (b'--x\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/999\r\n\r\n', Span(start=0, stop=2))
    >>> pieces[-1], length
    (b'\r\n--x--\r\n', 141)
    """
    pieces: list[bytes | Span] = []
    length = 0
    delimiter = f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: "
    for span in spans:
        start, stop = span
        head = f"{delimiter}bytes {start}-{stop - 1}/{size}\r\n\r\n".encode("latin-1")
        pieces += (head, span)
        length += len(head) + stop - start
        if not delimiter.startswith("\r\n"):
            delimiter = "\r\n" + delimiter
    end = f"\r\n--{boundary}--\r\n".encode("latin-1")
    length += len(end)
    return ((*pieces, end), length) if length < size else None


def _several(field: str, size: int) -> tuple[Span, ...] | None:
    if field[: len(_UNIT)].lower() != _UNIT:
        return None
    elements = field[len(_UNIT) :].split(",", MOST_RANGES)
    specs = [spec for element in elements if (spec := element.strip(" \t"))]
    if len(elements) > MOST_RANGES or not specs or elements[0].lstrip(" \t") not in (elements[0], ""):
        return None
    spans: list[Span] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        resolved = None if match is None else _resolve(match, size)
        if resolved is None:
            return None
        spans += resolved
    if len(specs) == 1:
        return tuple(spans)
    merged = _coalesced(spans)
    wasteful = sum(stop - start for start, stop in spans) > size or merged == ((0, size),)
    return None if wasteful else merged


def _resolve(spec: re.Match[str], size: int) -> tuple[Span, ...] | None:
    """Return the bytes of one range: none if the file has none of them; None if the range is invalid."""
    first, last = spec.groups()
    if first:
        start = _number(first)
        stop = _number(last) + 1 if last else size
        if last and stop <= start:
            return None
        return (Span(start, min(size, stop)),) if start < size else ()
    if not last:
        return None
    length = _number(last)
    if length and not size:
        return None  # satisfiable (section 14.1.2), but an empty part has no Content-Range: the whole file is sent
    return (Span(max(0, size - length), size),) if length else ()


def _number(digits: str) -> int:
    """Return the value of ASCII digits, or a number that is larger than every file."""
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= _DIGITS else 10**_DIGITS


def _coalesced(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Join spans that overlap or touch; the result has the place of the span that was first (section 15.3.7.2)."""
    merged: list[tuple[int, Span]] = []
    for (start, stop), place in sorted(zip(spans, range(len(spans)), strict=True)):
        if merged and start <= merged[-1][1].stop:
            before, joined = merged[-1]
            merged[-1] = (min(before, place), Span(joined.start, max(joined.stop, stop)))
        else:
            merged.append((place, Span(start, stop)))
    return tuple(span for _, span in sorted(merged))
