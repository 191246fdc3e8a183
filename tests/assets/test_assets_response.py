"""Conditional requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.response import if_none_match

TAG = '"abc"'


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('"abc"', True),
        (' "abc" ', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ('"x","abc","y"', True),
        ('"x" , W/"abc"', True),
        (', "abc",, "x",', True),
        ('"x,y", "abc"', True),
        ('"\xff", "abc"', True),
        ("*", True),
        (" * ", True),
        ("", False),
        ("abc", False),
        ('"ABC"', False),
        ('"abcd"', False),
        ('"xabc"', False),
        ('w/"abc"', False),
        ('W/ "abc"', False),
        ('"abc', False),
        ('abc"', False),
        ('x"abc"', False),
        ('"abc"x', False),
        ('"x""abc"', False),
        ('"x" "abc"', False),
        ('"x"abc"y"', False),
        ('"x"abc"y", "abc"', False),
        ('"abc", *', False),
        ("*, *", False),
        ('"abc"; "x"', False),
    ],
)
def test_if_none_match(field, expected):
    """Lists, the asterisk and weak tags match as RFC 9110 section 13.1.2 says; what breaks the grammar does not."""
    assert if_none_match(field, TAG) is expected


@pytest.mark.parametrize(("field", "expected"), [('W/"a"', True), ('"a"', True), ('"b"', False)])
def test_weak_current_tag(field, expected):
    """The comparison is weak on both sides."""
    assert if_none_match(field, 'W/"a"') is expected


@given(st.text(st.characters(codec="latin-1")) | st.text('"W/, *ab', max_size=20))
def test_total(field):
    """Whatever stands in the field, the answer is yes or no."""
    assert if_none_match(field, '"ab"') in (True, False)


OPAQUE = st.text(st.characters(codec="latin-1", exclude_characters='"', min_codepoint=0x21), max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["", "W/"]), OPAQUE), min_size=1), OPAQUE)
def test_lists(tags, current):
    """A well-formed list matches exactly when the tag is in it."""
    field = ", ".join(f'{weak}"{opaque}"' for weak, opaque in tags)
    assert if_none_match(field, f'"{current}"') is (current in [opaque for _, opaque in tags])


def test_long_field_is_bounded():
    """A field of 64 KiB is handled like a short one."""
    assert not if_none_match('"' * 65_535, TAG)
    assert if_none_match('"x", ' * 13_000 + TAG, TAG)
