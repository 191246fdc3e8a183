"""Preconditions: their order, entity tags, dates."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.http.conditions import FAILED, NOT_MODIFIED, evaluate, if_match, if_none_match, if_range

TAG = '"abc"'
MODIFIED = 784111777
THEN, EARLIER, LATER = (formatdate(MODIFIED + seconds, usegmt=True) for seconds in (0, -1, 1))
GARBAGE = "yesterday"

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


DATES = {THEN: MODIFIED, EARLIER: MODIFIED - 1, LATER: MODIFIED + 1}
FIELD = st.none() | st.sampled_from([TAG, f"W/{TAG}", "*", '"x"', *DATES]) | st.text(max_size=8)


@given(
    st.fixed_dictionaries(dict.fromkeys((MATCH, NONE_MATCH, MODIFIED_SINCE, UNMODIFIED_SINCE), FIELD)),
    st.sampled_from([None, MODIFIED]),
)
def test_the_table_of_the_rfc(fields, modified):
    """The outcome is that of the five steps, written down as the RFC has them."""

    def date(name):
        return DATES.get(fields[name])

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
    ('"ABC"', False, False),
    ('"abcd"', False, False),
    ('"xabc"', False, False),
    ('w/"abc"', True, False),
    ('W/ "abc"', False, False),
    ('"abc', False, False),
    ('abc"', False, False),
    ('x"abc"', False, False),
    ('"abc"x', False, False),
    ('"x""abc"', False, False),
    ('"x" "abc"', False, False),
    ('"x"abc"y"', False, False),
    # What breaks the grammar is passed over to the next comma.
    ("abc", True, False),
    ("x, abc", True, False),
    ('"x"abc"y", "abc"', True, True),
    ('"abc", *', True, True),
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


OPAQUE = st.text(st.characters(codec="latin-1", exclude_characters='"', min_codepoint=0x21), min_size=1, max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["", "W/"]), OPAQUE), min_size=1), OPAQUE)
def test_lists(tags, current):
    """A well-formed list matches exactly when the tag is in it, strongly when it is there without its mark."""
    field = ", ".join(f'{weak}"{opaque}"' for weak, opaque in tags)
    assert if_none_match(field, f'"{current}"') is (current in [opaque for _, opaque in tags])
    assert if_match(field, f'"{current}"') is (("", current) in tags)


def test_long_field_is_bounded():
    """A list of tags that is very long is not read: parsers of werkzeug before 3.1.9 take seconds for 8 KiB."""
    assert if_none_match('"x", ' * 300 + TAG, TAG)
    assert if_match('"x", ' * 300 + TAG, TAG)
    for hostile in ('"x", ' * 13_000, '"' * 65_535, '"x,' * 20_000, " " * 65_535):
        for field in (f"{hostile}{TAG}", f"{TAG}, x{hostile}x"):
            assert not if_none_match(field, TAG)
            assert not if_match(field, TAG)


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
    "field",
    [
        "",
        " ",
        "0",
        "784111777",
        "1994-11-06T08:49:37Z",
        "Thu, 32 Foo",
        "Thu, 32 Nov 1994 08:49:37 GMT",
        "Thu, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov " + "9" * 5000 + " 08:49:37 GMT",
        "\xff" * 65_536,
    ],
)
def test_garbage_is_not_a_date(field):
    """What is not a date is ignored."""
    assert evaluate("GET", {MODIFIED_SINCE: field}.get, TAG, MODIFIED) is None
    assert evaluate("GET", {UNMODIFIED_SINCE: field}.get, TAG, MODIFIED) is None
    assert not if_range(field, TAG, MODIFIED)


@given(
    st.text()
    | st.text("SunNov 0123456789,:-+GMT", max_size=33)
    | st.from_regex(r"(Sun|Sunday),? [0-9]{2}[- ](Feb|Nov)[- ][0-9]{2,4} [0-9:]{8} (GMT|[-+][0-9]{4})", fullmatch=True)
)
def test_dates_are_total(field):
    """Whatever stands in the field, there is an answer."""
    assert if_range(field, TAG, MODIFIED) in (True, False)
    assert evaluate("GET", {MODIFIED_SINCE: field}.get, TAG, MODIFIED) in (None, NOT_MODIFIED)


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
