"""Preconditions: their order, entity tags, dates."""

import sys
from calendar import timegm
from datetime import datetime, timezone
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.http.conditions import Outcome, evaluate, if_match, if_none_match, if_range, parse_date

TAG = '"abc"'
MODIFIED = 784111777
THEN, EARLIER, LATER = (formatdate(MODIFIED + seconds, usegmt=True) for seconds in (0, -1, 1))
GARBAGE = "yesterday"

NOT_MODIFIED, FAILED = Outcome.NOT_MODIFIED, Outcome.FAILED
MATCH, NONE_MATCH = "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"
MODIFIED_SINCE, UNMODIFIED_SINCE = "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        # step 1: If-Match
        ({MATCH: TAG}, None),
        ({MATCH: "*"}, None),
        ({MATCH: '"x"'}, FAILED),
        ({MATCH: f"W/{TAG}"}, FAILED),
        ({MATCH: ""}, FAILED),
        # step 2: If-Unmodified-Since, only without If-Match
        ({UNMODIFIED_SINCE: THEN}, None),
        ({UNMODIFIED_SINCE: LATER}, None),
        ({UNMODIFIED_SINCE: EARLIER}, FAILED),
        ({UNMODIFIED_SINCE: GARBAGE}, None),
        ({UNMODIFIED_SINCE: EARLIER, MATCH: TAG}, None),
        ({UNMODIFIED_SINCE: THEN, MATCH: '"x"'}, FAILED),
        # step 3: If-None-Match
        ({NONE_MATCH: TAG}, NOT_MODIFIED),
        ({NONE_MATCH: f'"x", W/{TAG}'}, NOT_MODIFIED),
        ({NONE_MATCH: "*"}, NOT_MODIFIED),
        ({NONE_MATCH: '"x"'}, None),
        ({NONE_MATCH: ""}, None),
        # step 4: If-Modified-Since, only without If-None-Match
        ({MODIFIED_SINCE: THEN}, NOT_MODIFIED),
        ({MODIFIED_SINCE: LATER}, NOT_MODIFIED),
        ({MODIFIED_SINCE: EARLIER}, None),
        ({MODIFIED_SINCE: GARBAGE}, None),
        ({MODIFIED_SINCE: THEN, NONE_MATCH: '"x"'}, None),
        ({MODIFIED_SINCE: EARLIER, NONE_MATCH: TAG}, NOT_MODIFIED),
        # the first two outrank the others
        ({MATCH: TAG, NONE_MATCH: TAG}, NOT_MODIFIED),
        ({MATCH: '"x"', NONE_MATCH: TAG}, FAILED),
        ({UNMODIFIED_SINCE: EARLIER, MODIFIED_SINCE: THEN}, FAILED),
        ({UNMODIFIED_SINCE: EARLIER, NONE_MATCH: TAG}, FAILED),
        ({UNMODIFIED_SINCE: THEN, MODIFIED_SINCE: THEN}, NOT_MODIFIED),
    ],
)
def test_order(fields, expected):
    """The preconditions are evaluated in the order of RFC 9110 section 13.2.2."""
    assert evaluate("GET", fields.get, TAG, MODIFIED) is expected


@pytest.mark.parametrize("fields", [{MODIFIED_SINCE: LATER}, {UNMODIFIED_SINCE: EARLIER}])
def test_no_date_is_a_validator(fields):
    """Where a file has no date, those of the request say nothing."""
    assert evaluate("GET", fields.get, TAG) is None


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("HEAD", {NONE_MATCH: TAG}, NOT_MODIFIED),
        ("HEAD", {MODIFIED_SINCE: THEN}, NOT_MODIFIED),
        ("PUT", {NONE_MATCH: TAG}, FAILED),
        ("PUT", {MODIFIED_SINCE: THEN}, None),
        ("PUT", {UNMODIFIED_SINCE: EARLIER}, FAILED),
    ],
)
def test_methods(method, fields, expected):
    """304 is for GET and HEAD; If-Modified-Since is nothing to the others."""
    assert evaluate(method, fields.get, TAG, MODIFIED) is expected


FIELD = st.none() | st.sampled_from([TAG, f"W/{TAG}", "*", '"x"', THEN, EARLIER, LATER]) | st.text(max_size=8)


@given(
    st.fixed_dictionaries(dict.fromkeys((MATCH, NONE_MATCH, MODIFIED_SINCE, UNMODIFIED_SINCE), FIELD)),
    st.sampled_from([None, MODIFIED]),
)
def test_the_table_of_the_rfc(fields, modified):
    """The outcome is that of the five steps, written down as the RFC has them."""

    def date(name):
        return None if fields[name] is None else parse_date(fields[name])

    def expected():
        if fields[MATCH] is not None:
            if not if_match(fields[MATCH], TAG):
                return FAILED
        elif modified is not None and date(UNMODIFIED_SINCE) is not None and modified > date(UNMODIFIED_SINCE):
            return FAILED
        if fields[NONE_MATCH] is not None:
            return NOT_MODIFIED if if_none_match(fields[NONE_MATCH], TAG) else None
        if modified is not None and date(MODIFIED_SINCE) is not None and modified <= date(MODIFIED_SINCE):
            return NOT_MODIFIED
        return None

    assert evaluate("GET", fields.get, TAG, modified) is expected()


# What the field says, whether it names TAG weakly, whether strongly.
LISTS = [
    ('"abc"', True, True),
    (' "abc" ', True, True),
    ('W/"abc"', True, False),
    ('"x", "abc"', True, True),
    ('"x","abc","y"', True, True),
    ('"x" , W/"abc"', True, False),
    ('W/"abc", "abc"', True, True),
    ('W/"x", "abc"', True, True),
    (', "abc",, "x",', True, True),
    ('"x,y", "abc"', True, True),
    ('"\xff", "abc"', True, True),
    ("*", True, True),
    (" * ", True, True),
    ("", False, False),
    ("abc", False, False),
    ('"ABC"', False, False),
    ('"abcd"', False, False),
    ('"xabc"', False, False),
    ('w/"abc"', False, False),
    ('W/ "abc"', False, False),
    ('"abc', False, False),
    ('abc"', False, False),
    ('x"abc"', False, False),
    ('"abc"x', False, False),
    ('"x""abc"', False, False),
    ('"x" "abc"', False, False),
    ('"x"abc"y"', False, False),
    ('"x"abc"y", "abc"', False, False),
    ('"abc", *', False, False),
    ("*, *", False, False),
    ('"abc"; "x"', False, False),
]


@pytest.mark.parametrize(("field", "expected", "_strongly"), LISTS)
def test_if_none_match(field, expected, _strongly):
    """Lists, the asterisk and weak tags match as RFC 9110 section 13.1.2 says; what breaks the grammar does not."""
    assert if_none_match(field, TAG) is expected


@pytest.mark.parametrize(("field", "_weakly", "expected"), LISTS)
def test_if_match(field, _weakly, expected):
    """The comparison is strong (RFC 9110 section 13.1.1): a weak tag is no match."""
    assert if_match(field, TAG) is expected


@pytest.mark.parametrize(("field", "expected"), [('W/"a"', True), ('"a"', True), ('"b"', False)])
def test_weak_current_tag(field, expected):
    """Weakly compared, a weak tag matches; strongly, it never does."""
    assert if_none_match(field, 'W/"a"') is expected
    assert if_match(field, 'W/"a"') is False
    assert if_range(field, 'W/"a"') is False


@pytest.mark.parametrize("matches", [if_match, if_none_match, if_range])
def test_total(matches):
    """Whatever stands in the field, the answer is yes or no."""

    @given(st.text(st.characters(codec="latin-1")) | st.text('"W/, *ab', max_size=20))
    def check(field):
        assert matches(field, '"ab"') in (True, False)

    check()


OPAQUE = st.text(st.characters(codec="latin-1", exclude_characters='"', min_codepoint=0x21), max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["", "W/"]), OPAQUE), min_size=1), OPAQUE)
def test_lists(tags, current):
    """A well-formed list matches exactly when the tag is in it, strongly when it is there without its mark."""
    field = ", ".join(f'{weak}"{opaque}"' for weak, opaque in tags)
    assert if_none_match(field, f'"{current}"') is (current in [opaque for _, opaque in tags])
    assert if_match(field, f'"{current}"') is (("", current) in tags)


def test_long_field_is_bounded():
    """A field of 64 KiB is handled like a short one."""
    assert not if_none_match('"' * 65_535, TAG)
    assert if_none_match('"x", ' * 13_000 + TAG, TAG)
    assert if_match('"x", ' * 13_000 + TAG, TAG)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (TAG, True),
        (f" {TAG} ", True),
        (f"W/{TAG}", False),
        ('"x"', False),
        (f'"x", {TAG}', False),
        ("*", False),
        ("", False),
        (THEN, True),
        ("Sunday, 06-Nov-94 08:49:37 GMT", True),
        ("Sun Nov  6 08:49:37 1994", True),
        (EARLIER, False),
        (LATER, False),
        (GARBAGE, False),
    ],
)
def test_if_range(field, expected):
    """If-Range wants the one tag, strongly, or the exact date (RFC 9110 section 13.1.5)."""
    assert if_range(field, TAG, MODIFIED) is expected


def test_if_range_without_a_date():
    """Where no date is a validator, a date never matches."""
    assert not if_range(THEN, TAG)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", (1994, 11, 6, 8, 49, 37)),
        ("Wed Nov 16 08:49:37 1994", (1994, 11, 16, 8, 49, 37)),
        (" Sun, 06 Nov 1994 08:49:37 GMT\t", (1994, 11, 6, 8, 49, 37)),
        ("Wed, 06 Nov 1994 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),  # the day's name says nothing
        ("Thu, 29 Feb 2024 23:59:60 GMT", (2024, 3, 1, 0, 0, 0)),  # a leap second
        ("Mon, 01 Jan 0001 00:00:00 GMT", (1, 1, 1, 0, 0, 0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", (9999, 12, 31, 23, 59, 59)),
    ],
)
def test_dates(field, expected):
    """The three forms of RFC 9110 section 5.6.7 are understood."""
    assert parse_date(field) == timegm(expected)


@pytest.mark.parametrize(
    ("century", "now", "expected"),
    [
        ("26", (2026, 6, 1), 2026),
        ("27", (2026, 6, 1), 2027),
        ("75", (2026, 6, 1), 2075),
        ("76", (2026, 11, 5), 1976),  # fifty years and a day ahead
        ("76", (2026, 11, 6), 2076),
        ("77", (2026, 6, 1), 1977),
        ("99", (2026, 6, 1), 1999),
        ("00", (2026, 6, 1), 2000),
        ("00", (1999, 6, 1), 2000),
        ("10", (2090, 6, 1), 2110),
    ],
)
def test_fifty_years(century, now, expected):
    """A year of two digits is the latest that lies at most 50 years ahead (RFC 9110 section 5.6.7)."""
    clock = datetime(*now, 12, tzinfo=timezone.utc).timestamp()
    parsed = parse_date(f"Sunday, 06-Nov-{century} 08:49:37 GMT", clock)
    assert parsed == timegm((expected, 11, 6, 8, 49, 37))


@pytest.mark.parametrize(
    "field",
    [
        "",
        "0",
        "784111777",
        "1994-11-06T08:49:37Z",
        "Thu, 32 Foo",
        "Thu, 32 Nov 1994 08:49:37 GMT",
        "Thu, 00 Nov 1994 08:49:37 GMT",
        "Thu, 30 Feb 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT; length=1",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov 6 08:49:37 1994",
        "Sun, \u0660\u0666 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov \xb9994 08:49:37 GMT",
        "Sun, 06 Nov 1_94 08:49:37 GMT",
        "Sun, 06 Nov " + "9" * 5000 + " 08:49:37 GMT",
        "\xff" * 65_536,
    ],
)
def test_garbage_is_no_date(field):
    """What does not follow the grammar to the letter is no date."""
    assert parse_date(field) is None


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(timezone.utc)))  # noqa: DTZ001 - bounds are naive
def test_every_date(moment):
    """Each moment reads the same in the two forms with a whole year."""
    seconds = timegm(moment.timetuple())
    name = formatdate(seconds, usegmt=True)
    day, number, month, year, clock, _ = name.split()
    assert parse_date(name) == seconds
    assert parse_date(f"{day[:-1]} {month} {int(number):2} {clock} {year}") == seconds


@given(st.text() | st.from_regex(r"(Sun|Sunday),? [0-9]{2}[- ](Feb|Nov)[- ][0-9]{2,4} [0-9:]{8} GMT", fullmatch=True))
def test_dates_are_total(field):
    """Whatever stands in the field, the answer is a number or None."""
    assert isinstance(parse_date(field), int | None)


def test_a_huge_year_under_a_low_limit_of_digits():
    """No number is converted that Python could refuse."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert parse_date("Sun, 06 Nov " + "1" * 1000 + " 08:49:37 GMT") is None
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("suffix", ["-gzip", "-br", ";gzip", "--gzip"])
def test_tags_of_servers_that_compress(suffix):
    """A tag with what a server in front adds when it compresses names the same content, in If-None-Match alone."""
    changed = TAG[:-1] + suffix + '"'
    for field in (changed, f"W/{changed}", f'"x", {changed}'):
        assert if_none_match(field, TAG)
    assert not if_match(changed, TAG)
    assert not if_range(changed, TAG)
    for other in (f'{TAG[:-1]}-zip"', f'"x{changed[1:]}', f'{changed[:-1]}{suffix}"', f'{TAG[:-1]}gzip"'):
        assert not if_none_match(other, TAG)
