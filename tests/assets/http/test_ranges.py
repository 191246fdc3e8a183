"""The Range field, and several parts in one body."""

import sys
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.http.ranges import MOST_RANGES, Span, multipart, parse_range

SIZE = 1000
MANY = "9" * 5000


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # section 14.1.2: first and last position, open end, suffix
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=999-999", [(999, 1000)]),
        ("bytes=500-", [(500, 1000)]),
        ("bytes=-1", [(999, 1000)]),
        ("bytes=-500", [(500, 1000)]),
        ("bytes=00010-0019", [(10, 20)]),
        # clamped
        ("bytes=900-5000", [(900, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        (f"bytes=5-{MANY}", [(5, 1000)]),
        (f"bytes=-{MANY}", [(0, 1000)]),
        (f"bytes={'0' * 5000}5-6", [(5, 7)]),
        # one range is kept, also when it is the whole
        ("bytes=0-", [(0, 1000)]),
        ("bytes=0-999", [(0, 1000)]),
        # the unit is case-insensitive (section 14.1)
        ("BYTES=0-1", [(0, 2)]),
        ("Bytes=0-1,4-5", [(0, 2), (4, 6)]),
        # blanks around commas, empty elements (section 5.6.1)
        (" bytes=0-1 ", [(0, 2)]),
        ("bytes=0-1 ,\t4-5", [(0, 2), (4, 6)]),
        ("bytes=,0-1,,4-5,", [(0, 2), (4, 6)]),
        ("bytes=, 0-1", [(0, 2)]),
        ("bytes= , 0-1", [(0, 2)]),
        ("bytes=, 0-", [(0, 1000)]),
        # past the end, or nothing: unsatisfiable (section 15.5.17)
        ("bytes=1000-", []),
        ("bytes=1000-1001", []),
        ("bytes=-0", []),
        (f"bytes={MANY}-", []),
        (f"bytes={MANY}-{MANY}", []),
        ("bytes=1000-, -0", []),
        # what can be satisfied is
        ("bytes=5000-, 0-1", [(0, 2)]),
        ("bytes=-0, 4-5, 1000-", [(4, 6)]),
        # in the order of the field
        ("bytes=500-509, 0-9", [(500, 510), (0, 10)]),
        # overlapping and adjacent ones are one, in the place of the first
        ("bytes=0-9, 5-19", [(0, 20)]),
        ("bytes=10-19, 0-9", [(0, 20)]),
        ("bytes=500-509, 0-9, 505-519", [(500, 520), (0, 10)]),
        ("bytes=0-99, 10-19", [(0, 100)]),
        ("bytes=0-0,1-1,2-2", [(0, 3)]),
        ("bytes=0-9, 11-19", [(0, 10), (11, 20)]),
        # several that are the whole, or more than it: not worth it (section 17.15)
        ("bytes=0-499, 500-", None),
        ("bytes=0-, 0-", None),
        ("bytes=0-600, 0-600", None),
        ("bytes=0-,-1", None),
        # another unit
        ("items=0-1", None),
        ("byte=0-1", None),
        ("none", None),
        # invalid
        ("", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=-", None),
        ("bytes=--5", None),
        ("bytes=5", None),
        ("bytes=2-1", None),
        ("bytes=2-1, 0-1", None),
        ("bytes=5000-1", None),
        ("bytes=0-1, x", None),
        ("bytes=0-1-2", None),
        ("bytes=0-1;q=1", None),
        ("bytes=+1-2", None),
        ("bytes=1_0-20", None),
        ("bytes=0x1-2", None),
        ("bytes=0.0-1", None),
        ("bytes= 0-1", None),
        ("bytes =0-1", None),
        ("bytes=0 -1", None),
        ("bytes=0- 1", None),
        ("bytes=0-1\n", None),
        ("bytes=0-\xb2", None),
        ("bytes=\u0661-2", None),
        ("bytes=0-1, bytes=4-5", None),
        ("bytes=0-1,bytes=4-5", None),
        ("\xff", None),
        ("bytes=" + "0-1," * 20_000, None),
        ("bytes=" + "," * 60_000 + "0-1", None),
    ],
)
def test_parse_range(field, expected):
    """A field asks for spans, for what the file does not have, or, ignored, for the whole (RFC 9110 section 14.2)."""
    assert parse_range(field, SIZE) == (None if expected is None else tuple(expected))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("bytes=0-", ()),
        ("bytes=0-0", ()),
        ("bytes=-0", ()),
        ("bytes=-1", None),  # satisfiable, says section 14.1.2, but no Content-Range can tell an empty part
        ("bytes=0-, -5", None),
        ("bytes=2-1", None),
    ],
)
def test_an_empty_file(field, expected):
    """An empty file has no byte to give a part of."""
    assert parse_range(field, 0) == expected


def test_as_many_as_are_allowed():
    """The limit is exact; one element more and the field is ignored."""
    field = "bytes=" + ",".join(f"{10 * place}-{10 * place}" for place in range(MOST_RANGES))
    assert len(parse_range(field, SIZE)) == MOST_RANGES
    assert parse_range(field + ",990-990", SIZE) is None
    assert parse_range(field + ",", SIZE) is None


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 60), st.none() | st.integers(0, 60)).filter(lambda it: it != (None, None)),
        min_size=1,
        max_size=MOST_RANGES,
    ),
    st.integers(0, 50),
)
def test_every_byte_that_is_asked_for(specs, size):
    """The spans hold the bytes that the ranges name, each once, in order within a span, and no others."""
    field = "bytes=" + ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in specs)
    spans = parse_range(field, size)
    if any(None not in (first, last) and last < first for first, last in specs):
        assert spans is None
        return
    wanted = [
        set(range(size - min(last, size), size))
        if first is None
        else set(range(first, size if last is None else min(last + 1, size)))
        for first, last in specs
    ]
    if spans is None:
        suffix_of_nothing = size == 0 and any(first is None and last for first, last in specs)
        assert suffix_of_nothing or sum(map(len, wanted)) > size or set().union(*wanted) == set(range(size))
        return
    given_bytes = [place for start, stop in spans for place in range(start, stop)]
    assert all(start < stop <= size for start, stop in spans)
    assert len(given_bytes) == len(set(given_bytes))
    assert set(given_bytes) == set().union(*wanted)


@given(st.text() | st.from_regex(r"[bB]ytes=[0-9, \t-]*", fullmatch=True), st.integers(0, 2**63))
def test_total(field, size):
    """Whatever stands in the field, the answer is spans within the file, or None."""
    spans = parse_range(field, size)
    assert spans is None or all(0 <= start < stop <= size for start, stop in spans)


def test_a_low_limit_of_digits():
    """No number is converted that Python could refuse, whatever its limit."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert parse_range(f"bytes={MANY}-", SIZE) == ()
        assert parse_range(f"bytes=1-{'9' * 641}", SIZE) == ((1, SIZE),)
    finally:
        sys.set_int_max_str_digits(before)


@given(st.data())
def test_multipart(data):
    """A reader of MIME finds each part with its place, its type and its bytes; the length is the body's."""
    content = data.draw(st.binary(min_size=400, max_size=2000))
    ends = data.draw(st.lists(st.integers(0, len(content)), min_size=4, max_size=8, unique=True).map(sorted))
    spans = [Span(start, stop) for start, stop in zip(ends[::2], ends[1::2], strict=False)]
    framed = multipart(spans, 10**6, "text/plain; charset=utf-8", "b-_.1")
    assert framed is not None
    pieces, length = framed
    body = b"".join(piece if isinstance(piece, bytes) else content[piece.start : piece.stop] for piece in pieces)
    assert len(body) == length
    head = b"Content-Type: multipart/byteranges; boundary=b-_.1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    message = message_from_bytes(head + b"".join(_readable(piece) for piece in pieces))
    parts = message.get_payload()
    assert not message.defects
    assert [part["Content-Range"] for part in parts] == [f"bytes {start}-{stop - 1}/1000000" for start, stop in spans]
    assert [part["Content-Type"] for part in parts] == ["text/plain; charset=utf-8"] * len(spans)
    assert [part.get_payload() for part in parts] == [f"{start}:{stop}" for start, stop in spans]


def _readable(piece):
    return piece if isinstance(piece, bytes) else b"%d:%d" % piece


def test_multipart_that_is_longer_than_the_whole():
    """Framing that makes two small parts longer than the file is not worth it."""
    spans = [Span(0, 1), Span(5, 6)]
    _, length = multipart(spans, 10_000, "text/plain", "x")
    short = length - 2 * 2  # two digits less in each Content-Range
    assert multipart(spans, 99, "text/plain", "x") is None
    assert multipart(spans, short + 1, "text/plain", "x") is not None
    assert multipart(spans, short, "text/plain", "x") is None
