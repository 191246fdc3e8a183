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

from version_affinity.assets.loading.media import uncompressed
from version_affinity.assets.routing import HTML_HANDLING, routes, target_of
from version_affinity.wire import is_token, quoted_path, without_dots, wsgi_text

from .changes import HeaderChanges
from .files import InvalidLine, UnusableError, rule_lines
from .patterns import Pattern, RuleSource, filled, hostname, is_constant, read_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.assets.loading.asset import Asset, HeaderField

#: How many rules are used; reading ends at the first further rule.
MAX_RULES: Final = 100
# Begins a line with a path. The platforms take "Name:https://example.com" for one too: only a blank makes it a field.
_PATH_LINE: Final = re.compile(r"/|\S+://")
# A line that protects paths on Netlify (``Protection``). It holds passwords and is never sent.
_BASIC_AUTH: Final = re.compile(r"basic-auth\s*(?::|\Z)", re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]+$")
_SPLAT: Final = re.compile(r":splat\b", re.IGNORECASE | re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# Responses with the same rules get the same value; paths are many, the combinations of rules few.
_COMBINATIONS: Final = 1024

# Why fields are protected, and their names.
_PROTECTED: Final = {
    # PEP 3333 forbids an application to send these.
    "it is for the server, which speaks for this connection alone (RFC 9110 section 7.6.1)": (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "trailers", "transfer-encoding", "upgrade", "status"),
    ),
    "it says where the content ends and how it is encoded (RFC 9110 section 8), and would be wrong": (
        *("content-length", "content-encoding", "content-range"),
    ),
    "it leads elsewhere: write a rule in _redirects": ("location", "refresh"),
    "it makes a front server send another file": (
        *("x-accel-redirect", "x-sendfile", "x-lighttpd-send-file", "x-reproxy-url"),
    ),
}
#: Fields that no rule sets or removes, and why.
PROTECTED: Final[Mapping[str, str]] = {name: why for why, names in _PROTECTED.items() for name in names}


class HeaderRule(NamedTuple):
    """A rule as it was read."""

    source: str  # a path with placeholders; after "https://" and a host, it is for that host only
    fields: tuple[HeaderField, ...]  # with placeholders; names as they were written
    removed: tuple[str, ...]  # before the rule sets its fields
    line: int


class HeaderRules:
    """The rules of a ``_headers`` file. ``idle`` are those that never match: a placeholder stands twice in them."""

    __slots__ = ("_compiled", "_made", "host_bound", "idle", "invalid", "rules")

    def __init__(self, rules: Iterable[HeaderRule], invalid: Iterable[InvalidLine] = ()) -> None:
        self.rules: Final = tuple(rules)
        self.invalid: Final = tuple(invalid)
        compiled = list(map(_Compiled, self.rules))
        self.idle: Final = tuple(
            InvalidLine(made.line, "never_matches", made.source.fault) for made in compiled if made.source.fault
        )
        self._compiled: Final = tuple(made for made in compiled if not made.source.fault)
        # If no rule names hosts, a path's changes are the same on each request.
        self.host_bound: Final = any(made.source.host_bound for made in self._compiled)
        self._made: Final[dict[tuple[_Compiled, ...], HeaderChanges]] = {}

    def __bool__(self) -> bool:
        """Whether any rule can match."""
        return bool(self._compiled)

    def for_path(self, path: str, host: str = "") -> HeaderChanges | None:
        """Return what the rules change in the response at a path; None if no rule matches."""
        if not path.startswith("/"):
            return None
        path = without_dots(path)
        name = hostname(host) if host else ""
        matches: dict[_Compiled, Mapping[str, str]] = {}
        for rule in self._compiled:
            values = rule.source.match(path, name)
            if values is not None:
                matches[rule] = values
        if not matches:
            return None
        if not all(rule.is_constant for rule in matches):
            return _combined(matches)
        key = tuple(matches)
        made = self._made.get(key) or _combined(matches)
        if len(self._made) < _COMBINATIONS:
            self._made[key] = made
        return made


class _Compiled:
    """A rule, with everything computed that does not depend on the request."""

    __slots__ = ("fields", "is_constant", "line", "removed", "source")

    def __init__(self, rule: HeaderRule) -> None:
        self.source: Final = RuleSource(rule.source)
        self.line: Final = rule.line
        # The bytes of the file as WSGI text; a tab is a blank (RFC 9110 section 5.5).
        self.fields: Final = tuple((name, wsgi_text(value.replace("\t", " "))) for name, value in rule.fields)
        self.removed: Final = frozenset(name.lower() for name in rule.removed)
        self.is_constant: Final = all(is_constant(value, self.source.names) for _, value in self.fields)


def _combined(matches: Mapping[_Compiled, Mapping[str, str]]) -> HeaderChanges:
    """Return what rules change together, each after the one before it."""
    removed: set[str] = set()
    # By name in lower case: the name as it was written first, and the values.
    fields: dict[str, tuple[str, list[str]]] = {}
    for rule, values in matches.items():
        removed |= rule.removed
        for lowered in rule.removed:
            fields.pop(lowered, None)
        for name, value in rule.fields:
            fields.setdefault(name.lower(), (name, []))[1].append(filled(value, values, quoted_path))
    vary = fields.pop("vary", None)
    added: list[HeaderField] = []
    for lowered, (name, texts) in fields.items():
        removed.add(lowered)
        # The one field whose values cannot be joined (RFC 9110 section 5.3).
        added += [(name, text) for text in texts] if lowered == "set-cookie" else [(name, ", ".join(texts))]
    return HeaderChanges(frozenset(removed), tuple(added), ", ".join(vary[1]) if vary else "")


def parse_headers(text: str) -> HeaderRules:
    """Read a ``_headers`` file, its bytes decoded as UTF-8 with ``surrogateescape``. Never raises."""
    invalid: list[InvalidLine] = []
    rules: list[HeaderRule] = []
    rule: _OpenRule | None = None
    skips = False  # below a path that cannot be used, its fields are not reported one by one
    for number, line in rule_lines(text, invalid):
        try:
            if not _PATH_LINE.match(line):
                if not skips:
                    _read_field(line, rule)
                continue
            _end(rule, number, rules, invalid)
            rule, skips = None, True
            if len(rules) >= MAX_RULES:
                message = f"the lines from here on are not read: {MAX_RULES} rules precede them"
                invalid.append(InvalidLine(number, "too_many_rules", message))
                break
            rule, skips = _OpenRule(_read_path(line), number), False
        except UnusableError as error:
            invalid.append(InvalidLine(number, *error.args))
    _end(rule, text.count("\n") + 1, rules, invalid)
    return HeaderRules(rules, invalid)


class _OpenRule:
    """A rule to which the lines below its path are added."""

    def __init__(self, source: str, line: int) -> None:
        self.source: Final = source
        self.line: Final = line
        self.fields: Final[list[HeaderField]] = []
        self.removed: Final[list[str]] = []
        self.protects = False


def _end(rule: _OpenRule | None, number: int, rules: list[HeaderRule], invalid: list[InvalidLine]) -> None:
    if rule is not None and (rule.fields or rule.removed):
        rules.append(HeaderRule(rule.source, tuple(rule.fields), tuple(rule.removed), rule.line))
    elif rule is not None and not rule.protects:
        message = f"the rule for {rule.source!r} ends here and has no fields"
        invalid.append(InvalidLine(number, "rule_without_headers", message))


def _check(*faults: tuple[object, str, str]) -> None:
    """Raise the first fault that there is. They are in the platforms' order, which decides what is reported."""
    for is_there, reason, message in faults:
        if is_there:
            raise UnusableError(reason, message)


def _read_path(line: str) -> str:
    url = read_url(line)
    if url is None:
        advice = "begin it with '/' or 'https://' and a host; if it is a field, put a blank after its colon"
        raise UnusableError("not_relative_or_https", f"{line!r} is not a path: {advice}")
    if _PORT.search(url.host):
        raise UnusableError("port_in_url", f"{line!r} names a port: leave it out, rules are for all ports")
    if url.source.count("*") > 1:
        raise UnusableError("multiple_wildcards", f"{line!r} has several '*': use one, and ':name' for segments")
    if "*" in url.source and _SPLAT.search(url.source):
        raise UnusableError("wildcard_plus_splat", f"{line!r} has '*' and ':splat', its name: leave one out")
    return url.source


def _read_field(line: str, rule: _OpenRule | None) -> None:
    """Read a line that is not a path, and add it to the rule that it belongs to."""
    name, colon, value = (part.strip() for part in line.partition(":"))
    if _BASIC_AUTH.match(line):
        if rule is not None:
            rule.protects = True
        return
    if colon:
        spaced = f"the name {name!r} has blanks; '! {name[2:]}' alone would remove it"
        _check(
            (" " in name, "name_has_spaces", spaced),
            (not name, "empty_name", "nothing precedes the colon: write 'Name: value'"),
            (not value, "empty_value", f"{name} has no value; '! {name}' would remove it"),
        )
    if rule is None:
        why = f"{name} belongs to no path: write one above it"
        why = why if colon else f"{line!r} is not a path: begin it with '/' or 'https://'"
        raise UnusableError("header_before_any_path", why)
    if not colon:
        if not line.startswith("! "):
            why = f"{line!r} is not a field: write 'Name: value', or '! Name' to remove one"
            raise UnusableError("no_colon", why)
        name = line[2:].strip()
    why = PROTECTED.get(name.lower(), "")
    if not colon and name.lower() == "content-type":
        raise UnusableError("protected", f"rules cannot remove {name}: content has a type (PEP 3333)")
    _check(
        (not is_token(name), "bad_name", f"{name!r} is not the name of a field (RFC 9110 section 5.6.2)"),
        (why, "protected", f"rules cannot set or remove {name}: {why}"),
        (_CONTROL.search(value), "control_character", f"the value of {name} has control characters"),
    )
    if colon:
        rule.fields.append((name, value))
    else:
        rule.removed.append(name)


class Protection:
    """``Basic-Auth`` in ``_headers``: paths that Netlify asks a password for.

    Passwords are not implemented. A protected path is answered with 404, and its file is left out of the build, so that
    no redirect, rewrite, stand-in or compressed form leads to it. A line whose meaning is unclear protects more rather
    than less.
    """

    __slots__ = ("_fixed", "_patterns", "lines", "sources")

    def __init__(self, text: str) -> None:
        lines: list[InvalidLine] = []
        patterns: list[Pattern] = []
        sources: list[str] = []
        source = ""
        for number, whole in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            line = whole.strip()
            if _BASIC_AUTH.match(line):
                message = "Basic-Auth belongs to no path: write one above it"
                if source:
                    sources.append(source)
                    patterns += [Pattern(form, "/") for form in _forms(source)]
                    message = (
                        f"Basic-Auth is not implemented, so {source!r} is answered with 404: let the application "
                        "protect these files"
                    )
                lines.append(InvalidLine(number, "basic_auth", message))
            elif _PATH_LINE.match(line):
                source = _path_of(line)
        self.lines: Final = tuple(lines)
        self.sources: Final = tuple(dict.fromkeys(sources))
        self._fixed: Final = frozenset(pattern.fixed for pattern in patterns)
        self._patterns: Final = tuple(pattern for pattern in patterns if pattern.fixed is None)

    def __bool__(self) -> bool:
        """Whether any path is protected."""
        return bool(self._fixed)

    def covers(self, path: str) -> bool:
        """Return whether a path is protected: as in ``PATH_INFO``, "" for the mount without its slash."""
        asked = path or "/"
        return asked in self._fixed or any(pattern.match(asked) is not None for pattern in self._patterns)

    def files(self, assets: Mapping[str, Asset]) -> set[str]:
        """Return the files that are protected by their own path, or by one that shows them in any ``html_handling``."""
        protected = {path for path in assets if self.covers(path)}
        for handling in HTML_HANDLING:
            found = routes(assets, handling)
            shown = (target_of(found, path) for path in filter(self.covers, found))
            protected.update(asset.path for asset in shown if asset is not None)
        return {path for path in assets if path in protected or uncompressed(path) in protected}


def _path_of(line: str) -> str:
    """Return the path of a rule for any host. A comment follows "#"."""
    line = line.partition("#")[0].rstrip()
    url = read_url(line)
    if url is not None:
        return url.path
    return line if line.startswith("/") else f"/{line.partition('://')[2].partition('/')[2]}"


def _forms(source: str) -> tuple[str, ...]:
    """Return the patterns that a protected path stands for: with and without its last slash, it is the same page."""
    if source.count("*") > 1:  # a rule may have only one
        source = source[: source.index("*") + 1]
    bare = source.removesuffix("*").rstrip("/")
    if source.endswith("/*"):
        return source, bare or "/"
    return (source,) if source.endswith("*") else (bare or "/", f"{bare}/")
