r"""``_headers``: header fields of a build's responses.

    # A path, and below it the fields of its responses
    /assets/*
      Cross-Origin-Resource-Policy: same-origin
      Link: </assets/:splat.map>; rel=describedby
    https://:team.example.com/*
      X-Team: :team
    /*.txt
      ! X-Robots-Tag

All rules that match apply, in the order of the file. A field replaces the response's own; several values of one field
are joined by commas, except that each ``Set-Cookie`` is a field of its own, and ``Vary`` is added to the response's own
``Vary``. ``! Name`` removes a field, also a field that an earlier rule has set.

Rules cannot set or remove fields that frame a message, say how its content is encoded, or lead elsewhere.

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
from .files import MAX_LINE, InvalidLine, RuleSource, Template, UnusableError, rule_lines
from .urls import hostname, read_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.assets.loading.asset import HeaderField

#: Rules in a file.
MAX_HEADER_RULES: Final = 100

# The platforms take such a line for a path, also "Name:https://example.com": only a blank makes it a field.
_PATH_LINE: Final = re.compile(r"/|\S+://")
_PORT: Final = re.compile(r":[0-9]+$")
_SPLAT: Final = re.compile(r":splat\b", re.IGNORECASE | re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Responses with the same rules get the same value; paths are many, the combinations of rules few.
_COMBINATIONS: Final = 1024

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
        "it is for the server, which speaks for this connection alone (RFC 9110 section 7.6.1)",
    ),
    **dict.fromkeys(
        ("content-length", "content-encoding", "content-range"),
        "it says where the content ends and how it is encoded (RFC 9110 section 8), and would be wrong",
    ),
    **dict.fromkeys(("location", "refresh"), "it leads elsewhere: write a rule in _redirects"),
    **dict.fromkeys(
        ("x-accel-redirect", "x-sendfile", "x-lighttpd-send-file", "x-reproxy-url"),
        "it makes a front server send another file",
    ),
}


class HeaderRule(NamedTuple):
    """A rule as it was read.

    Attributes:
        source: A path with placeholders; after ``https://`` and a host, it is for that host only.
        fields: The fields that it sets, with placeholders; names as they were written.
        removed: The names of fields that it removes before it sets its own.
        line: The line of its path.
    """

    source: str
    fields: tuple[HeaderField, ...]
    removed: tuple[str, ...]
    line: int


class HeaderRules:
    """The rules of a ``_headers`` file. Immutable.

    Attributes:
        rules: The rules.
        invalid: The lines that cannot be used.
        idle: The lines of rules that never match, because a placeholder stands twice in them.
        host_bound: Whether a rule names hosts. If none does, a path's changes are the same on each request.
    """

    __slots__ = ("_compiled", "_made", "host_bound", "idle", "invalid", "rules")

    def __init__(self, rules: Iterable[HeaderRule], invalid: Iterable[InvalidLine] = ()) -> None:
        self.rules: Final = tuple(rules)
        self.invalid: Final = tuple(invalid)
        compiled = [(rule, _Compiled(rule)) for rule in self.rules]
        self.idle: Final = tuple(
            InvalidLine(rule.line, "never_matches", made.source.fault) for rule, made in compiled if made.source.fault
        )
        self._compiled: Final = tuple(made for _, made in compiled if not made.source.fault)
        self.host_bound: Final = any(made.source.host_bound for made in self._compiled)
        self._made: Final[dict[tuple[int, ...], HeaderChanges]] = {}

    def __bool__(self) -> bool:
        """Whether any rule can match."""
        return bool(self._compiled)

    def for_path(self, path: str, host: str = "") -> HeaderChanges | None:
        """Return what the rules change in the response at a path; None if no rule matches."""
        if not path.startswith("/"):
            return None
        path = without_dots(path)
        name = hostname(host) if host else ""
        matches = {
            number: values
            for number, rule in enumerate(self._compiled)
            if (values := rule.source.match(path, name)) is not None
        }
        if not matches:
            return None
        key = tuple(matches)
        made = self._made.get(key)
        if made is None:
            made = _combined([(self._compiled[number], values) for number, values in matches.items()])
            is_constant = all(self._compiled[number].is_constant for number in key)
            if is_constant and len(self._made) < _COMBINATIONS:
                self._made[key] = made
        return made


class _Compiled:
    """A rule, with everything computed that does not depend on the request."""

    __slots__ = ("fields", "is_constant", "removed", "source")

    def __init__(self, rule: HeaderRule) -> None:
        self.source: Final = RuleSource(rule.source)
        # A tab is a blank (RFC 9110 section 5.5).
        self.fields: Final = tuple(
            (name, Template(wsgi_text(value.replace("\t", " ")), self.source.names)) for name, value in rule.fields
        )
        self.removed: Final = frozenset(name.lower() for name in rule.removed)
        self.is_constant: Final = all(template.is_constant for _, template in self.fields)


def _combined(matches: Iterable[tuple[_Compiled, Mapping[str, str]]]) -> HeaderChanges:
    """Return what rules change together, each after the one before it."""
    removed: set[str] = set()
    # By name in lower case: the name as it was written first, and the values.
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


def parse_headers(text: str, *, max_rules: int = MAX_HEADER_RULES, max_line: int = MAX_LINE) -> HeaderRules:
    """Read a ``_headers`` file. Never raises.

    Args:
        text: The file, its bytes decoded as UTF-8 with ``surrogateescape``.
        max_rules: How many rules are used; reading ends at the first further rule.
        max_line: Characters that a line may have.
    """
    reader = _Reader()
    for number, line in rule_lines(text, max_line, reader.invalid):
        is_path = _PATH_LINE.match(line) is not None
        if is_path:
            reader.end(number)
        try:
            if is_path and len(reader.rules) >= max_rules:
                message = f"the lines from here on are not read: {max_rules} rules precede them"
                reader.invalid.append(InvalidLine(number, "too_many_rules", message))
                break
            (reader.begin if is_path else reader.add)(number, line)
        except UnusableError as error:
            reader.invalid.append(InvalidLine(number, *error.args))
    else:
        reader.end(text.count("\n") + 1)
    return HeaderRules(reader.rules, reader.invalid)


class _Reader:
    """Reads a file line by line: the path above a field says which rule the field belongs to."""

    def __init__(self) -> None:
        self.rules: Final[list[HeaderRule]] = []
        self.invalid: Final[list[InvalidLine]] = []
        self._path = ""
        self._line = 0
        self._fields: list[HeaderField] = []
        self._removed: list[str] = []
        self._protects = False  # whether the rule has Basic-Auth, which is a reason to be there
        self._skips = False  # below a path that cannot be used, fields are not reported one by one

    def begin(self, number: int, line: str) -> None:
        """Read a line with a path."""
        url = read_url(line)
        self._skips = True
        if url is None:
            advice = "begin it with '/' or 'https://' and a host; if it is a field, put a blank after its colon"
            raise UnusableError("not_relative_or_https", f"{line!r} is not a path: {advice}")
        if _PORT.search(url.host):
            raise UnusableError("port_in_url", f"{line!r} names a port: leave it out, rules are for all ports")
        if url.source.count("*") > 1:
            raise UnusableError("multiple_wildcards", f"{line!r} has several '*': use one, and ':name' for segments")
        if "*" in url.source and _SPLAT.search(url.source):
            raise UnusableError("wildcard_plus_splat", f"{line!r} has '*' and ':splat', its name: leave one out")
        self._skips = self._protects = False
        self._path, self._line = url.source, number

    def end(self, number: int) -> None:
        """End the rule of the last path."""
        if self._fields or self._removed:
            self.rules.append(HeaderRule(self._path, _joined(self._fields), tuple(self._removed), self._line))
        elif self._path and not self._protects:
            message = f"the rule for {self._path!r} ends here and has no fields"
            self.invalid.append(InvalidLine(number, "rule_without_headers", message))
        self._path, self._fields, self._removed = "", [], []

    def add(self, _number: int, line: str) -> None:
        """Read a line that is not a path. The checks are in the platforms' order, which decides what is reported."""
        if self._skips:
            return
        name, colon, value = (part.strip() for part in line.partition(":"))
        if name.lower() == PROTECTING:
            self._protects = True
        elif not colon:
            self._removed.append(self._removal(line))
        elif " " in name:
            raise UnusableError(
                "name_has_spaces", f"the name {name!r} has blanks; '! {name[2:]}' alone would remove it"
            )
        elif not name:
            raise UnusableError("empty_name", "nothing precedes the colon: write 'Name: value'")
        elif not value:
            raise UnusableError("empty_value", f"{name} has no value; '! {name}' would remove it")
        elif not self._path:
            raise UnusableError("header_before_any_path", f"{name} belongs to no path: write one above it")
        else:
            _check_name(name)
            if _CONTROL.search(value.replace("\t", " ")):
                raise UnusableError("control_character", f"the value of {name} has control characters")
            self._fields.append((name, value))

    def _removal(self, line: str) -> str:
        """Return the name of the field that a line removes."""
        if not self._path:
            raise UnusableError("header_before_any_path", f"{line!r} is not a path: begin it with '/' or 'https://'")
        if not line.startswith("! "):
            raise UnusableError("no_colon", f"{line!r} is not a field: write 'Name: value', or '! Name' to remove one")
        name = line[2:].strip()
        if name.lower() == "content-type":
            raise UnusableError("protected", f"rules cannot remove {name}: content has a type (PEP 3333)")
        _check_name(name)
        return name


def _check_name(name: str) -> None:
    if not is_token(name):
        raise UnusableError("bad_name", f"{name!r} is not the name of a field (RFC 9110 section 5.6.2)")
    why = PROTECTED.get(name.lower(), "")
    if why:
        raise UnusableError("protected", f"rules cannot set or remove {name}: {why}")


def _joined(fields: Iterable[HeaderField]) -> tuple[HeaderField, ...]:
    """Join the values of one name, where that name may be joined."""
    joined: dict[tuple[str, int], HeaderField] = {}
    for at, (name, value) in enumerate(fields):
        lowered = name.lower()
        key = (lowered, at if lowered == "set-cookie" else 0)
        known = joined.get(key)
        joined[key] = (known[0], f"{known[1]}, {value}") if known else (name, value)
    return tuple(joined.values())
