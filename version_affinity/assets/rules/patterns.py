"""The URLs of rules, and placeholders in them.

``*`` matches any characters, ``:name`` at least one character within a segment of the path or a label of the host.
Earlier placeholders match as much as they can. Paths are compared decoded, as in ``PATH_INFO``: ``/%61`` is ``/a``.

A URL is written as a browser's URL parser writes it (WHATWG URL), so that a rule reads as the platforms report it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import quote_from_bytes

from version_affinity.wire import unquoted, utf8, without_dots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# All but the path, query and fragment percent-encode sets (WHATWG URL section 1.3), and the percent sign.
_URL_PATH: Final = "/%!$&'()*+,-.:;=@[\\]^_|~"
_URL_QUERY: Final = _URL_PATH + "?`{}"
_URL_FRAGMENT: Final = _URL_PATH + "?#{}"
_ABSOLUTE: Final = re.compile(r"https:/{2,}([^/?#]+)(.*)", re.DOTALL)
# A name or an address, perhaps with a port; "*" and ":name" stand for any. No user: Location would show its password.
_HOST: Final = re.compile(r"(?:(?:[\w.*-]|:(?=[A-Za-z]))+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
# The platforms ignore the port. A client may send anything; what is not a name or an address matches no rule.
_HOSTNAME: Final = re.compile(r"([a-z0-9._-]+?)\.?(?::[0-9]*)?|(\[[0-9a-f:.]+\])(?::[0-9]*)?")
_SPLAT: Final = "splat"  # the name of "*"
_MARK: Final = re.compile(r"(\*|:[A-Za-z]\w*)", re.ASCII)
_PLACEHOLDER: Final = re.compile(r":([A-Za-z]\w*)", re.ASCII)

_Span: TypeAlias = tuple[int, int]


class RuleURL(NamedTuple):
    """The URL of a rule."""

    host: str  # with the port; "" for a path of the same host
    path: str
    query: str  # with its question mark, or ""
    fragment: str  # with its number sign, or ""

    @property
    def source(self) -> str:
        """The part that requests are compared with, without query and fragment."""
        return f"https://{self.host}{self.path}" if self.host else self.path

    def __str__(self) -> str:
        return f"{self.source}{self.query}{self.fragment}"


def read_url(text: str) -> RuleURL | None:
    r"""Read a path, or a URL that begins with ``https://``; None for anything else.

    >>> str(read_url("/caf\xe9/../men\xfc?a=b c#d"))
    '/men%C3%BC?a=b%20c#d'
    >>> str(read_url("https://Example.com")), read_url("http://example.com"), read_url("https://me:secret@example.com")
    ('https://Example.com/', None, None)
    """
    absolute = _ABSOLUTE.match(text)
    host, rest = absolute.groups() if absolute else ("", text)
    if absolute:
        if not host.isascii():
            try:
                host = host.encode("idna").decode("ascii")
            except UnicodeError:
                return None
        if not _HOST.fullmatch(host):
            return None
        rest = rest if rest.startswith("/") else f"/{rest}"
    elif not text.startswith("/"):
        return None
    rest, _, fragment = rest.partition("#")
    path, _, query = rest.partition("?")
    return RuleURL(
        host,
        without_dots(quote_from_bytes(utf8(path), _URL_PATH)),
        f"?{quote_from_bytes(utf8(query), _URL_QUERY)}" if query else "",
        f"#{quote_from_bytes(utf8(fragment), _URL_FRAGMENT)}" if fragment else "",
    )


def hostname(host: str) -> str:
    """Return the name or address of a Host field (RFC 9110 section 7.2) without the port; "" for anything else."""
    match = _HOSTNAME.fullmatch(host.lower())
    return (match[1] or match[2]) if match else ""


class Pattern:
    """A path or a host with placeholders. It matches in linear time; a regular expression would try every division.

    ``names`` are the placeholders in their order, "splat" for ``*``; ``fixed`` is the only text that matches, None if
    there are placeholders. ``:name`` does not match the separator: "/" in a path, "." in a host.

    >>> Pattern("/blog/:year/*", "/").match("/blog/2024/a/b")
    {'year': '2024', 'splat': 'a/b'}
    """

    __slots__ = ("_after", "_before", "_first", "_last", "_separator", "fixed", "names")

    def __init__(self, text: str, separator: str) -> None:
        tokens = _MARK.split(text)
        literals = [unquoted(literal) for literal in tokens[::2]]
        self.names: Final = tuple(_SPLAT if mark == "*" else mark[1:] for mark in tokens[1::2])
        self.fixed: Final = None if self.names else literals[0]
        splat = tokens.index("*") // 2 if "*" in tokens else len(self.names)
        self._separator: Final = separator
        # The literals before "*" and after it; between each two of them stands a placeholder.
        self._before: Final = tuple(literals[: splat + 1])
        self._after: Final = tuple(literals[splat + 1 :])
        self._first: Final = literals[0]
        self._last: Final = literals[-1]

    def match(self, text: str) -> dict[str, str] | None:
        """Return the text that each placeholder matches; None if the text does not match."""
        if self.fixed is not None:
            return {} if text == self.fixed else None
        if not text.startswith(self._first) or not text.endswith(self._last):
            return None
        spans = self._spans(text)
        if spans is None:
            return None
        return {name: text[start:end] for name, (start, end) in zip(self.names, spans, strict=True)}

    def _spans(self, text: str) -> list[_Span] | None:
        before, after = self._before, self._after
        end = len(text) - len(self._last)
        if not after:
            return self._match_back(text, before, end, from_start=True)
        if len(self.names) == 1:  # nearly every rule
            return [(len(before[0]), end)] if end >= len(before[0]) else None
        right = self._match_back(text, after, end)
        if right is None:
            return None
        if right:
            end = right[0][0] - len(after[0])
        start = self._last_place(text, end)
        left = self._match_back(text, before, start, from_start=True) if start >= 0 else None
        return None if left is None else [*left, (start + len(before[-1]), end), *right]

    def _last_place(self, text: str, end: int) -> int:
        """Return the last place of the literal before "*", -1 without any."""
        separator, literal = self._separator, self._before[-1]
        if len(self._before) == 1:
            return 0 if len(literal) <= end else -1
        at = -1
        for _ in range(sum(each.count(separator) for each in self._before)):
            at = text.find(separator, at + 1, end)
            if at < 0:
                return -1
        if separator in literal:
            at -= literal.rindex(separator)
            return at if at >= 0 and text.startswith(literal, at, end) else -1
        limit = text.find(separator, at + 1, end)
        return text.rfind(literal, at + 1, end if limit < 0 else limit)

    def _match_back(
        self, text: str, literals: Sequence[str], at: int, *, from_start: bool = False
    ) -> list[_Span] | None:
        """Match the placeholders between literals, of which the last one is at ``at``.

        Each literal is searched for towards the start, within a segment: its last place leaves the most to the
        placeholders before it. So no place is tried twice.
        """
        if len(literals) == 1:
            return [] if at == 0 or not from_start else None
        spans: list[_Span] = []
        separator = text.rfind(self._separator, 0, at)
        for index in range(len(literals) - 2, -1, -1):
            literal = literals[index]
            last = literal.rfind(self._separator)
            if last >= 0 or (from_start and index == 0):
                found = separator - last  # its last separator is the last one of the text, or it begins the segment
            else:
                found = text.rfind(literal, separator + 1, at - 1) if at else -1
            begin = found + len(literal)
            if found < 0 or begin >= at or not text.startswith(literal, found):
                return None
            spans.append((begin, at))
            at = found
            if last >= 0:
                separator = text.rfind(self._separator, 0, at)
        return None if from_start and at else spans[::-1]


class RuleSource:
    """What a rule is for: a path of any host, or of the hosts that it names.

    ``fixed`` is the only path that matches, None if several paths do; ``fault`` is why it never matches, or "".
    """

    __slots__ = ("_host", "_path", "fault", "fixed", "host_bound", "names")

    def __init__(self, text: str) -> None:
        read = read_url(text)
        host, path = read[:2] if read else ("", text)
        # A host in lower case, except the names of its placeholders.
        host = "".join(part if at % 2 else part.lower() for at, part in enumerate(_MARK.split(host)))
        self._host: Final = Pattern(host, ".") if host else None
        self._path: Final = Pattern(path, "/")
        self.names: Final = (*(self._host.names if self._host else ()), *self._path.names)
        self.fixed: Final = self._path.fixed
        self.host_bound: Final = self._host is not None
        twice = next((name for at, name in enumerate(self.names) if name in self.names[:at]), "")
        fault = f"{'*' if twice == _SPLAT else f':{twice}'} stands twice in {text!r}" if twice else ""
        self.fault: Final = fault if read else f"{text!r} is not a path"

    def match(self, path: str, host: str = "") -> dict[str, str] | None:
        """Return the values of the placeholders in a path and a ``hostname``, decoded; None if they do not match."""
        values = self._path.match(path)
        if values is None or self._host is None:
            return values
        of_host = self._host.match(host)
        return None if of_host is None else of_host | values


def is_constant(text: str, names: Sequence[str]) -> bool:
    """Return whether text holds none of some placeholders."""
    return not any(name in names for name in _PLACEHOLDER.findall(text))


def filled(text: str, values: Mapping[str, str], write: Callable[[str], str] = str) -> str:
    """Return text with the values of placeholders, written by a function. Placeholders without a value stay.

    >>> filled("/:year/:other", {"year": "2024"})
    '/2024/:other'
    """
    if not values:
        return text
    return _PLACEHOLDER.sub(lambda mark: write(values[mark[1]]) if mark[1] in values else mark[0], text)
