"""Patterns of paths and hosts with placeholders, matched in linear time.

``*`` matches any characters, ``:name`` at least one character within a segment of the path or a label of the host.
Earlier placeholders match as much as they can. Paths are compared decoded, as in ``PATH_INFO``: ``/%61`` is ``/a``.

A path is searched once from its end per rule. A regular expression would try every way to divide it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from version_affinity.wire import unquoted

#: The placeholder of "*".
SPLAT: Final = "splat"
#: A placeholder.
MARK: Final = re.compile(r"(\*|:[A-Za-z]\w*)", re.ASCII)

Bounds = tuple[int, int]


class Pattern:
    """A path with placeholders, or a host.

    Args:
        text: Text with ``*`` and ``:name``.
        separator: "/" in a path, "." in a host. ``:name`` does not match it.

    Attributes:
        names: The placeholders in their order, "splat" for ``*``.
        fixed: The only text that matches; None if there are placeholders.

    >>> Pattern("/blog/:year/*", "/").match("/blog/2024/a/b")
    [(6, 10), (11, 14)]
    """

    __slots__ = ("_after", "_before", "_end", "_separator", "_start", "fixed", "names")

    def __init__(self, text: str, separator: str) -> None:
        tokens = MARK.split(text)
        literals = [unquoted(literal) for literal in tokens[::2]]
        self.names: Final = tuple(SPLAT if mark == "*" else mark[1:] for mark in tokens[1::2])
        self.fixed: Final = None if self.names else literals[0]
        self._separator: Final = separator
        self._start: Final = literals[0]
        self._end: Final = literals[-1]
        splat = tokens.index("*") // 2 if "*" in tokens else len(self.names)
        self._before: Final = _segments(literals[: splat + 1], separator)
        self._after: Final = _segments(literals[splat + 1 :], separator)

    def match(self, text: str) -> list[Bounds] | None:
        """Return start and end of each placeholder's text; None if the text does not match."""
        if self.fixed is not None:
            return [] if text == self.fixed else None
        if not text.startswith(self._start) or not text.endswith(self._end):
            return None
        if not self._after:
            return self._match_segments(text)
        end = len(text) - len(self._end)
        if len(self.names) == 1:
            # Nearly every rule is this one.
            return [(len(self._start), end)] if end >= len(self._start) else None
        return self._match_around(text)

    def _match_around(self, text: str) -> list[Bounds] | None:
        """Match the segments around "*"."""
        after = self._match_after(text)
        before = None if after is None else self._match_before(text, after[0])
        if after is None or before is None:
            return None
        return [*before[1], (before[0], after[0]), *after[1]]

    def _match_segments(self, text: str) -> list[Bounds] | None:
        """Match a pattern without "*", segment by segment."""
        if text.count(self._separator) != len(self._before) - 1:
            return None
        spans: list[Bounds] = []
        start = 0
        for segment in self._before:
            end = _until(text.find(self._separator, start), len(text))
            found = segment.fit(text, start, end)
            if found is None:
                return None
            spans += found
            start = end + 1
        return spans

    def _match_after(self, text: str) -> tuple[int, list[Bounds]] | None:
        """Match the part after "*" from the end; return where it begins, as late as possible."""
        first, *segments = self._after
        spans: list[Bounds] = []
        end = len(text)
        for segment in reversed(segments):
            slash = text.rfind(self._separator, 0, end)
            found = segment.fit(text, slash + 1, end) if slash >= 0 else None
            if found is None:
                return None
            spans = found + spans
            end = slash
        late = first.fit_late(text, text.rfind(self._separator, 0, end) + 1, end)
        return None if late is None else (late[0], late[1] + spans)

    def _match_before(self, text: str, limit: int) -> tuple[int, list[Bounds]] | None:
        """Match the part before "*" from the start; return where it ends, as late as possible."""
        *segments, last = self._before
        spans: list[Bounds] = []
        start = 0
        for segment in segments:
            end = text.find(self._separator, start, limit)
            found = segment.fit(text, start, end) if end >= 0 else None
            if found is None:
                return None
            spans += found
            start = end + 1
        longest = last.fit_long(text, start, _until(text.find(self._separator, start, limit), limit))
        return None if longest is None else (longest[0], spans + longest[1])


class _Segment(NamedTuple):
    """A segment of a pattern: literals with a placeholder between each two.

    Each literal is searched backwards from the literal after it. The last position leaves the most to the placeholders
    before it, so no position is tried twice.
    """

    literals: tuple[str, ...]

    def fit(self, text: str, start: int, end: int) -> list[Bounds] | None:
        """Match a whole segment."""
        if not text.endswith(self.literals[-1], start, end):
            return None
        at = end - len(self.literals[-1])
        if len(self.literals) == 1:
            return [] if at == start else None
        return self._backwards(text, start, at)

    def fit_long(self, text: str, start: int, end: int) -> tuple[int, list[Bounds]] | None:
        """Match the start of a segment, as long as possible; return where the match ends."""
        if len(self.literals) == 1:
            return (start + len(self.literals[0]), []) if text.startswith(self.literals[0], start, end) else None
        at = text.rfind(self.literals[-1], start, end)
        spans = self._backwards(text, start, at) if at >= 0 else None
        return None if spans is None else (at + len(self.literals[-1]), spans)

    def fit_late(self, text: str, start: int, end: int) -> tuple[int, list[Bounds]] | None:
        """Match the end of a segment, as short as possible; return where the match begins."""
        if not text.endswith(self.literals[-1], start, end):
            return None
        at = end - len(self.literals[-1])
        spans: list[Bounds] = []
        for literal in reversed(self.literals[:-1]):
            found = text.rfind(literal, start, at - 1) if at > start else -1
            if found < 0:
                return None
            spans.insert(0, (found + len(literal), at))
            at = found
        return at, spans

    def _backwards(self, text: str, start: int, at: int) -> list[Bounds] | None:
        """Match the part before the last literal, which is at ``at``."""
        first, *between = self.literals[:-1]
        spans: list[Bounds] = []
        for literal in reversed(between):
            found = text.rfind(literal, start, at - 1) if at > start else -1
            if found < 0:
                return None
            spans.append((found + len(literal), at))
            at = found
        begin = start + len(first)
        if begin >= at or not text.startswith(first, start):
            return None
        spans.append((begin, at))
        spans.reverse()
        return spans


def _until(found: int, end: int) -> int:
    return end if found < 0 else found


def _segments(literals: list[str], separator: str) -> tuple[_Segment, ...]:
    """Divide the literals of a pattern at the separators."""
    segments: list[list[str]] = []
    for literal in literals:
        first, *more = literal.split(separator)
        if segments:
            segments[-1].append(first)
        else:
            segments.append([first])
        segments += [[part] for part in more]
    return tuple(_Segment(tuple(segment)) for segment in segments)
