"""Which paths a rule is for, and what its placeholders stand for.

``*`` stands for any characters, ``:name`` for at least one, within a segment of the path or a label of the host.
Earlier ones take as much as they can. What they matched is put where ``:splat`` and ``:name`` stand.

Paths are compared decoded, as in ``PATH_INFO``: ``/%61`` is ``/a``. A path is gone through once from its end for each
rule, whatever it holds: a regular expression would try each way to divide it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from version_affinity.wire import unquoted

#: The placeholder of "*".
SPLAT: Final = "splat"
#: What stands for text that is not known yet.
MARK: Final = re.compile(r"(\*|:[A-Za-z]\w*)", re.ASCII)

Span = tuple[int, int]


class Pattern:
    """A path with placeholders, or a host.

    Args:
        text: With ``*`` and ``:name`` in it.
        separator: What placeholders do not match: "/" in a path, "." in a host.

    Attributes:
        names: The placeholders in their order, "splat" for ``*``.
        fixed: What it matches alone; None where it has placeholders.

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

    def match(self, text: str) -> list[Span] | None:
        """Return where what each of ``names`` matches begins and ends; None when the text does not match."""
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

    def _match_around(self, text: str) -> list[Span] | None:
        """Match what stands around "*"."""
        after = self._match_after(text)
        before = None if after is None else self._match_before(text, after[0])
        if after is None or before is None:
            return None
        return [*before[1], (before[0], after[0]), *after[1]]

    def _match_segments(self, text: str) -> list[Span] | None:
        """Match a pattern without "*": segment for segment."""
        if text.count(self._separator) != len(self._before) - 1:
            return None
        spans: list[Span] = []
        start = 0
        for segment in self._before:
            end = _until(text.find(self._separator, start), len(text))
            found = segment.fit(text, start, end)
            if found is None:
                return None
            spans += found
            start = end + 1
        return spans

    def _match_after(self, text: str) -> tuple[int, list[Span]] | None:
        """Match what follows "*" from the end; return where it begins, as late as it can."""
        first, *segments = self._after
        spans: list[Span] = []
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

    def _match_before(self, text: str, limit: int) -> tuple[int, list[Span]] | None:
        """Match what precedes "*" from the start; return where it ends, as late as it can."""
        *segments, last = self._before
        spans: list[Span] = []
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
    """A segment of a pattern: a placeholder between each two of the literals.

    Each literal is searched for from where the one after it begins, towards the start: the last place that it has is
    the one that leaves the most to what precedes it. So no place is tried twice.
    """

    literals: tuple[str, ...]

    def fit(self, text: str, start: int, end: int) -> list[Span] | None:
        """Match all of a segment."""
        if not text.endswith(self.literals[-1], start, end):
            return None
        at = end - len(self.literals[-1])
        if len(self.literals) == 1:
            return [] if at == start else None
        return self._backwards(text, start, at)

    def fit_long(self, text: str, start: int, end: int) -> tuple[int, list[Span]] | None:
        """Match the start of a segment, as much of it as goes; return where the match ends."""
        if len(self.literals) == 1:
            return (start + len(self.literals[0]), []) if text.startswith(self.literals[0], start, end) else None
        at = text.rfind(self.literals[-1], start, end)
        spans = self._backwards(text, start, at) if at >= 0 else None
        return None if spans is None else (at + len(self.literals[-1]), spans)

    def fit_late(self, text: str, start: int, end: int) -> tuple[int, list[Span]] | None:
        """Match the end of a segment, as little of it as goes; return where the match begins."""
        if not text.endswith(self.literals[-1], start, end):
            return None
        at = end - len(self.literals[-1])
        spans: list[Span] = []
        for literal in reversed(self.literals[:-1]):
            found = text.rfind(literal, start, at - 1) if at > start else -1
            if found < 0:
                return None
            spans.insert(0, (found + len(literal), at))
            at = found
        return at, spans

    def _backwards(self, text: str, start: int, at: int) -> list[Span] | None:
        """Match what precedes the last literal, which is at ``at``."""
        first, *between = self.literals[:-1]
        spans: list[Span] = []
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
    """Divide the literals of a pattern, between which placeholders stand, at the separators."""
    segments: list[list[str]] = []
    for literal in literals:
        first, *more = literal.split(separator)
        if segments:
            segments[-1].append(first)
        else:
            segments.append([first])
        segments += [[part] for part in more]
    return tuple(_Segment(tuple(segment)) for segment in segments)
