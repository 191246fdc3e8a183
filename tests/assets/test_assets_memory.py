"""The bound on the file content that a process holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.memory import Memory
from version_affinity.errors import ConfigurationError


def test_equal_content_is_held_once():
    """Content with one digest is one object and counts once, however many files have it."""
    memory = Memory(10)
    first, second = bytes([1, 2, 3]), bytes(bytearray([1, 2, 3]))
    assert memory.keep(b"d", first) is first
    assert memory.keep(b"d", second) is first
    assert memory.used == 3


def test_limit():
    """What does not fit is not held; smaller content may still be."""
    memory = Memory(10)
    assert memory.keep(b"1", b"x" * 8) is not None
    assert memory.keep(b"2", b"x" * 3) is None
    assert memory.keep(b"3", b"x" * 2) is not None
    assert memory.used == 10


def test_release():
    """Content is given back when the last file that has it goes."""
    memory = Memory(10)
    memory.keep(b"1", b"abc")
    memory.keep(b"1", b"abc")
    memory.release([b"1"])
    assert memory.used == 3
    memory.release([b"1"])
    assert memory.used == 0
    assert memory.keep(b"2", b"x" * 10) is not None


@pytest.mark.parametrize("limit", [-1, 1.5, "64", None, True])
def test_bad_limit(limit):
    """A limit that is no number of bytes is refused when it is configured."""
    with pytest.raises(ConfigurationError, match="memory="):
        Memory(limit)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5))), st.integers(0, 30))
def test_used_is_the_sum_of_what_is_held(steps, limit):
    """After any history the bytes held are those of the distinct contents in use, and never above the limit."""
    memory, held = Memory(limit), []
    for keep, number in steps:
        digest, data = bytes([number]), b"x" * number * 2
        if keep:
            if memory.keep(digest, data) is not None:
                held.append(digest)
        elif digest in held:
            held.remove(digest)
            memory.release([digest])
        assert memory.used == sum(digest[0] * 2 for digest in set(held)) <= limit
