r"""``_headers``: header fields of a build's responses.

    # A path, and below it what its responses carry
    /assets/*
      Cross-Origin-Resource-Policy: same-origin
      Link: </assets/:splat.map>; rel=describedby
    https://:team.example.com/*
      X-Team: :team
    /*.txt
      ! X-Robots-Tag

All rules that match apply, in the order of the file. A field takes the place of the response's own; of several values
for one field, the later ones are added behind a comma, but each ``Set-Cookie`` is a line of its own, and ``Vary`` is
added to what the response varies on already. ``! Name`` removes a field, also one that an earlier rule has set.

What frames a message or says how its content is coded is not for rules, and neither is what leads elsewhere.

>>> rules = parse_headers("/*\n  Cache-Control: public, max-age=60\n  X-Frame-Options: DENY\n/a\n  ! X-Frame-Options")
>>> rules.for_path("/a").applied_to([("Content-Length", "0"), ("Cache-Control", "no-cache")])
[('Content-Length', '0'), ('Cache-Control', 'public, max-age=60')]
>>> rules.for_path("/a").private.applied_to([("Content-Length", "0"), ("Cache-Control", "private, no-cache")])
[('Content-Length', '0'), ('Cache-Control', 'private, no-cache')]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.wire import is_token, quoted_path, without_dots, wsgi_text

from .changes import HeaderChanges
from .files import MAX_LINE, InvalidLine, RuleSource, Template, rule_lines
from .urls import hostname, read_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.assets.loading.asset import HeaderField

#: Rules in a file.
MAX_HEADER_RULES: Final = 100

# The platforms take such a line for a path, also "Name:https://example.com": only a blank tells the two apart.
_PATH_LINE: Final = re.compile(r"/|\S+://")
_PORT: Final = re.compile(r":[0-9]+$")
_SPLAT: Final = re.compile(r":splat\b", re.IGNORECASE | re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Answers whose rules are the same are given the same value; paths are many, the combinations of rules few.
_COMBINATIONS: Final = 1024

_HOP_BY_HOP: Final = "it is for the server, which speaks for this connection alone (RFC 9110 section 7.6.1)"
_FRAMING: Final = "it tells where the content ends and how it is coded (RFC 9110 section 8), and would belie it"
_LEADING: Final = "it leads elsewhere: write a rule in _redirects"
_HAND_OVER: Final = "it makes a front server send another file"
#: Protects paths on Netlify (``protection.py``); never sent, because it holds passwords.
PROTECTING: Final = "basic-auth"
#: Fields that no rule sets or removes, and why.
PROTECTED: Final[Mapping[str, str]] = {
    # PEP 3333 forbids an application to send these.
    **dict.fromkeys(
        (
            *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
            *("te", "trailer", "trailers", "transfer-encoding", "upgrade", "status"),
        ),
        _HOP_BY_HOP,
    ),
    **dict.fromkeys(("content-length", "content-encoding", "content-range"), _FRAMING),
    **dict.fromkeys(("location", "refresh"), _LEADING),
    **dict.fromkeys(("x-accel-redirect", "x-sendfile", "x-lighttpd-send-file", "x-reproxy-url"), _HAND_OVER),
}


class HeaderRule(NamedTuple):
    """A rule as it was read.

    Attributes:
        source: What it is for: a path with placeholders; behind ``https://`` and a host, for that host only.
        fields: What it sets, with placeholders; names as they were written.
        removed: The names that it removes, before it sets its own.
        line: The line of its path.
    """

    source: str
    fields: tuple[HeaderField, ...]
    removed: tuple[str, ...]
    line: int


class HeaderRules:
    """The rules of a ``_headers`` file. Immutable.

    Args:
        rules: The rules, in their order.
        invalid: The lines that could not be used.

    Attributes:
        rules: The rules.
        invalid: The lines that could not be used.
        idle: The lines of rules that never match, since a placeholder stands twice in them.
        host_bound: Whether a rule names hosts. Where none does, a path's changes are the same on each request.
    """

    __slots__ = ("_compiled", "_made", "host_bound", "idle", "invalid", "rules")

    def __init__(self, rules: Iterable[HeaderRule], invalid: Iterable[InvalidLine] = ()) -> None:
        self.rules: Final = tuple(rules)
        self.invalid: Final = tuple(invalid)
        compiled = [_Compiled(rule) for rule in self.rules]
        self.idle: Final = tuple(
            InvalidLine(rule.line, "never_matches", made.source.fault)
            for rule, made in zip(self.rules, compiled, strict=True)
            if made.source.fault
        )
        self._compiled: Final = tuple(made for made in compiled if not made.source.fault)
        self.host_bound: Final = any(made.source.host_bound for made in self._compiled)
        self._made: Final[dict[tuple[int, ...], HeaderChanges]] = {}

    def __bool__(self) -> bool:
        """Whether there is any rule that may match."""
        return bool(self._compiled)

    def for_path(self, path: str, host: str = "") -> HeaderChanges | None:
        """Return what the rules change in the response at a path; None when none matches.

        Args:
            path: The path below the mount, as in ``PATH_INFO``.
            host: The Host field; without it, rules that name hosts do not match.
        """
        if not path.startswith("/"):
            return None
        path = without_dots(path)
        name = hostname(host) if host else ""
        numbers: list[int] = []
        matches: list[tuple[_Compiled, Mapping[str, str]]] = []
        constant = True
        for number, rule in enumerate(self._compiled):
            values = rule.source.match(path, name)
            if values is not None:
                numbers.append(number)
                matches.append((rule, values))
                constant = constant and rule.is_constant
        if not matches:
            return None
        if not constant:
            return _combined(matches)
        key = tuple(numbers)
        made = self._made.get(key)
        if made is None:
            made = _combined(matches)
            if len(self._made) < _COMBINATIONS:
                self._made[key] = made
        return made


class _Compiled:
    """A rule, with all that does not depend on the request computed once."""

    __slots__ = ("fields", "is_constant", "removed", "source")

    def __init__(self, rule: HeaderRule) -> None:
        self.source: Final = RuleSource(rule.source)
        self.fields: Final = tuple((name, Template(_wire(value), self.source.names)) for name, value in rule.fields)
        self.removed: Final = frozenset(name.lower() for name in rule.removed)
        self.is_constant: Final = all(template.is_constant for _, template in self.fields)


def _combined(matches: Iterable[tuple[_Compiled, Mapping[str, str]]]) -> HeaderChanges:
    """Return what rules change together, each after the one before it."""
    removed: set[str] = set()
    # By name in lower case: as it was written first, and the values.
    fields: dict[str, tuple[str, list[str]]] = {}
    for rule, values in matches:
        removed |= rule.removed
        for lowered in rule.removed:
            fields.pop(lowered, None)
        for name, template in rule.fields:
            fields.setdefault(name.lower(), (name, []))[1].append(template.filled(values, quoted_path))
    vary = fields.pop("vary", None)
    added: list[HeaderField] = []
    for lowered, (name, texts) in fields.items():
        removed.add(lowered)
        # The one field whose values cannot be joined (RFC 9110 section 5.3).
        added += [(name, text) for text in texts] if lowered == "set-cookie" else [(name, ", ".join(texts))]
    return HeaderChanges(frozenset(removed), tuple(added), ", ".join(vary[1]) if vary else "")


def _wire(value: str) -> str:
    """Return the bytes of the file as a header's text (PEP 3333); a tab is a blank (RFC 9110 section 5.5)."""
    return wsgi_text(value.replace("\t", " "))


def parse_headers(text: str, *, max_rules: int = MAX_HEADER_RULES, max_line: int = MAX_LINE) -> HeaderRules:
    """Read a ``_headers`` file; nothing in it raises.

    Args:
        text: The file, its bytes decoded as UTF-8 with ``surrogateescape``.
        max_rules: How many rules are used; the file is not read on from the first further one.
        max_line: Characters that a line may have.
    """
    invalid: list[InvalidLine] = []
    return HeaderRules(_Reader(invalid).read(text, max_rules, max_line), invalid)


class _Reader:
    """Reads a file line by line: which rule a field belongs to is told by the path above it."""

    def __init__(self, invalid: list[InvalidLine]) -> None:
        self._invalid: Final = invalid
        self._rules: Final[list[HeaderRule]] = []
        self._path = ""
        self._line = 0
        self._fields: list[HeaderField] = []
        self._removed: list[str] = []
        # Whether the rule protects its path, which is a reason to be there.
        self._protects = False
        # Below a path that cannot be used, its fields are not reported one by one.
        self._skips = False

    def read(self, text: str, max_rules: int, max_line: int) -> list[HeaderRule]:
        for number, line in rule_lines(text, max_line, self._invalid):
            if _PATH_LINE.match(line):
                self._end(number)
                if len(self._rules) >= max_rules:
                    self._report(
                        number,
                        "too_many_rules",
                        f"the lines from here on are not read: there are {max_rules} rules before them",
                    )
                    return self._rules
                self._begin(number, line)
            elif not self._skips:
                self._add(number, line)
        self._end(text.count("\n") + 1)
        return self._rules

    def _report(self, line: int, reason: str, message: str) -> None:
        self._invalid.append(InvalidLine(line, reason, message))

    def _begin(self, number: int, line: str) -> None:
        url = read_url(line)
        self._skips = True
        if url is None:
            advice = "begin it with '/' or 'https://' and a host; if it is a field, put a blank behind its colon"
            self._report(number, "not_relative_or_https", f"{line!r} is no path: {advice}")
        elif _PORT.search(url.host):
            self._report(number, "port_in_url", f"{line!r} names a port, and rules are for all of them: leave it out")
        elif url.source.count("*") > 1:
            self._report(number, "multiple_wildcards", f"{line!r} has several '*': use one, and ':name' for segments")
        elif "*" in url.source and _SPLAT.search(url.source):
            self._report(
                number, "wildcard_plus_splat", f"{line!r} has '*' and ':splat', which is its name: leave one out"
            )
        else:
            self._skips = False
            self._path, self._line, self._fields, self._removed = url.source, number, [], []
            self._protects = False

    def _end(self, number: int) -> None:
        if self._fields or self._removed:
            self._rules.append(HeaderRule(self._path, _joined(self._fields), tuple(self._removed), self._line))
        elif self._path and not self._protects:
            self._report(number, "rule_without_headers", f"the rule for {self._path!r} ends here and has no fields")
        self._path, self._fields, self._removed = "", [], []

    def _add(self, number: int, line: str) -> None:
        """Read a line that is no path. The checks are in the platforms' order, which decides what is reported."""
        name, colon, value = (part.strip() for part in line.partition(":"))
        if name.lower() == PROTECTING:
            self._protects = True
        elif not colon:
            self._remove(number, line)
        elif " " in name:
            self._report(
                number, "name_has_spaces", f"the name {name!r} has blanks in it; '! {name[2:]}' alone would remove it"
            )
        elif not name:
            self._report(number, "empty_name", "nothing stands before the colon: write 'Name: value'")
        elif not value:
            self._report(number, "empty_value", f"{name} has no value; '! {name}' would remove it")
        elif not self._path:
            self._report(number, "header_before_any_path", f"{name} belongs to no path: write one above it")
        elif self._may_name(number, name):
            if _CONTROL.search(value.replace("\t", " ")):
                self._report(number, "control_character", f"the value of {name} has control characters in it")
            else:
                self._fields.append((name, value))

    def _remove(self, number: int, line: str) -> None:
        if not self._path:
            self._report(number, "header_before_any_path", f"{line!r} is no path: begin it with '/' or 'https://'")
        elif not line.startswith("! "):
            self._report(number, "no_colon", f"{line!r} is no field: write 'Name: value', or '! Name' to remove one")
        else:
            name = line[2:].strip()
            if name.lower() == "content-type":
                self._report(number, "protected", f"{name} is not for rules to remove: content has a type (PEP 3333)")
            elif self._may_name(number, name):
                self._removed.append(name)

    def _may_name(self, number: int, name: str) -> bool:
        if not is_token(name):
            self._report(number, "bad_name", f"{name!r} is no name of a field (RFC 9110 section 5.6.2)")
            return False
        why = PROTECTED.get(name.lower(), "")
        if why:
            self._report(number, "protected", f"{name} is not for rules: {why}")
        return not why


def _joined(fields: Iterable[HeaderField]) -> tuple[HeaderField, ...]:
    """Join the values of one name, where that name may be joined."""
    joined: dict[tuple[str, int], HeaderField] = {}
    for at, (name, value) in enumerate(fields):
        lowered = name.lower()
        key = (lowered, at if lowered == "set-cookie" else 0)
        known = joined.get(key)
        joined[key] = (known[0], f"{known[1]}, {value}") if known else (name, value)
    return tuple(joined.values())
