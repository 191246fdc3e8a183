"""Patterns of rules: the same answers as a regular expression's, in one pass."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.rules.patterns import Pattern, read_url

PIECES = st.lists(st.sampled_from(["/", "a", "b", "-", "ab", ":x", ":y", ":z"]), max_size=8)
PATTERNS = st.tuples(PIECES, st.sampled_from(["*", ""]), PIECES).map(
    lambda parts: ["/", *parts[0], parts[1], *parts[2]]
)
PATHS = st.text("/ab-", max_size=12).map("/{}".format)


def expression(pieces: list[str]) -> re.Pattern[str]:
    """Return the pattern as a regular expression: greedy from the left."""
    groups = {"*": "(.*)"}
    return re.compile(
        "".join(groups.get(piece, "([^/]+)" if piece[:1] == ":" else re.escape(piece)) for piece in pieces)
    )


@given(PATTERNS, PATHS)
def test_as_a_regular_expression(pieces: list[str], path: str) -> None:
    """What each placeholder matches is what a greedy regular expression gives it."""
    # ":x" and a letter behind it would be a longer name.
    pieces = [f"{piece[0]}{at}" if piece[:1] == ":" else piece for at, piece in enumerate(pieces)]
    pieces = [piece.replace(":", ":n") for piece in pieces]
    text = "".join(pieces)
    if re.search(r":n\d+[ab]", text):
        return
    match = expression(pieces).fullmatch(path)
    names = ["splat" if piece == "*" else piece[1:] for piece in pieces if piece[:1] in ("*", ":")]
    found = Pattern(text, "/").match(path)
    assert found == (None if match is None else dict(zip(names, match.groups(), strict=True)))


class Watched(str):
    """A path that counts the characters that are gone through."""

    __slots__ = ("steps",)
    steps: int

    def find(self, part: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        """Search, and count from where to where."""
        limit = len(self) if end is None else end
        found = super().find(part, start, limit)
        self.steps += max(0, (limit if found < 0 else found) - start)
        return found

    def rfind(self, part: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        """Search from the end, and count from where to where."""
        limit = len(self) if end is None else end
        found = super().rfind(part, start, limit)
        self.steps += max(0, limit - (start if found < 0 else found))
        return found

    def count(self, part: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        """Count, and count that."""
        self.steps += len(self)
        return super().count(part, start, len(self) if end is None else end)


HOSTILE = ["-" * 65536, "/" * 65536, "/-" * 32768, "a-" * 32768, "-a/" * 20000, "ab" * 32768 + "/"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "pattern",
    [
        "/:a-:b-:c-:d",
        "/:a-:b-:c-:d/x",
        "/:a/:b/*/:c/:d",
        "/*-:a-:b-:c",
        "/:a-:b-:c*-x",
        "/:a-:b*:c-:d",
        "/:a:b:c:d*:e:f:g",
        "/*a-a-:a",
        "/:a" + "-:b" * 600,
        "/*" + "/:b" * 600,
    ],
)
def test_a_long_path_is_gone_through_once(pattern: str, text: str) -> None:
    """However many placeholders a pattern has, the characters that are looked at are a few times the path's."""
    names = iter(range(1000))
    pattern = re.sub(":[a-z]", lambda _: f":n{next(names)}", pattern)
    watched = Watched(f"/{text}")
    watched.steps = 0
    Pattern(pattern, "/").match(watched)
    assert watched.steps <= 4 * len(watched) + len(pattern)


@given(st.text(max_size=40))
def test_any_url(text: str) -> None:
    """Any text is a URL of printable ASCII, or none; reading it again changes nothing."""
    for begin in ("", "/", "https://", "https://x.example/"):
        url = read_url(begin + text)
        if url is not None:
            assert str(url).isascii()
            assert str(url).isprintable()
            assert read_url(str(url)) == url
