r"""``_redirects``: paths of a build that lead elsewhere.

    /old            /new                    301
    /blog/*         https://blog.example.com/:splat
    /user/:id       /profile?id=:id         307     # comment
    /app/*          /app                    200

A rule is a path, a target and a status (302 by default); 200 shows the target at the path. The target is a path, not a
file: where ``/app.html`` is shown at ``/app``, it redirects there. The first rule in the file that matches is used,
before any file is looked for. The request's query is kept unless the target has one.

>>> rules = parse_redirects("/old /new 301\n/user/:id /profile?id=:id\n/app/* /app 200\n/x /y 418")
>>> rules.match("/old", "a=b"), rules.match("/app/settings")
(Redirected(status=301, location='/new?a=b'), Rewritten(path='/app'))
>>> rules.match("/user/7&7", mount="/shop").location, rules.match("/new")
('/shop/profile?id=7%267', None)
>>> rules.invalid[0].line, rules.invalid[0].reason
(4, 'bad_status')
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.wire import (
    merge_slashes,
    quoted_components,
    quoted_path,
    requoted_fragment,
    requoted_path,
    requoted_query,
    unquoted,
    without_dots,
)

from .files import InvalidLine, UnusableError, rule_lines
from .patterns import RuleSource, filled, hostname, is_constant, read_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from version_affinity.assets.routing import HtmlHandling

#: How many rules without placeholders are used; each further rule is reported.
MAX_STATIC: Final = 2000
#: How many rules with placeholders are used; reading ends at the first further rule.
MAX_DYNAMIC: Final = 100
_MAX_PATH: Final = 2000  # characters of a path; a longer one is an attack, not a link
#: The status of a rule that shows a file at another path.
REWRITE: Final = 200
_STATUSES: Final = {"200": REWRITE, "301": 301, "302": 302, "303": 303, "307": 307, "308": 308}
_AUTHORITY: Final = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class Redirected(NamedTuple):
    """The request is redirected."""

    status: int
    location: str  # percent-encoded


class Rewritten(NamedTuple):
    """The request is answered as if it had asked for another path, which is below the mount, as in ``PATH_INFO``."""

    path: str


class RedirectRule(NamedTuple):
    """A rule as it was read."""

    source: str  # a path with placeholders; after "https://" and a host, it is for that host only
    target: str
    status: int  # 200 for a rewrite
    line: int  # earlier lines win


class RedirectRules:
    """The rules of a ``_redirects`` file. ``idle`` are those that never match: a placeholder stands twice in them."""

    __slots__ = ("_compiled", "_dynamic", "_static", "idle", "invalid", "rewrites", "rules")

    def __init__(self, rules: Iterable[RedirectRule], invalid: Iterable[InvalidLine] = ()) -> None:
        self.rules: Final = tuple(sorted(rules, key=attrgetter("line")))
        self.invalid: Final = tuple(invalid)
        self.rewrites: Final = any(rule.status == REWRITE for rule in self.rules)
        compiled = list(map(_Compiled, self.rules))
        self.idle: Final = tuple(InvalidLine(rule.line, "never_matches", rule.fault) for rule in compiled if rule.fault)
        self._compiled: Final = tuple(rule for rule in compiled if not rule.fault)
        self._dynamic: Final = tuple(rule for rule in self._compiled if rule.source.fixed is None)
        self._static: Final[dict[str, list[_Compiled]]] = {}
        for rule in self._compiled:
            if rule.source.fixed is not None:
                self._static.setdefault(rule.source.fixed, []).append(rule)

    def __bool__(self) -> bool:
        """Whether any rule can match."""
        return bool(self._compiled)

    def shown(self) -> Iterator[tuple[int, str]]:
        r"""Yield line and path of each target that a rewrite shows, except targets that depend on the request.

        >>> [*parse_redirects("/a/* /b 200\n/c /d 301\n/e/* /:splat 200").shown()]
        [(1, '/b')]
        """
        for rule in self._compiled:
            answer = rule.answer({}, "", "") if rule.is_constant else None
            if isinstance(answer, Rewritten):
                yield rule.line, answer.path

    def match(self, path: str, query: str = "", *, host: str = "", mount: str = "") -> Redirected | Rewritten | None:
        """Return where the first rule that matches a path below the mount leads, None if no rule matches."""
        if not path.startswith("/") or len(path) > _MAX_PATH:
            return None
        path = without_dots(path)
        name = hostname(host) if host else ""
        static = self._static.get(path)
        for rule in sorted((*static, *self._dynamic), key=attrgetter("line")) if static else self._dynamic:
            values = rule.source.match(path, name)
            answer = None if values is None else rule.answer(values, query, mount)
            if answer is not None:
                return answer
        return None


class _Compiled:
    """A rule, with everything computed that does not depend on the request."""

    __slots__ = ("_fragment", "_host", "_path", "_query", "_status", "fault", "is_constant", "line", "source")

    def __init__(self, rule: RedirectRule) -> None:
        target = read_url(rule.target)
        self.source: Final = RuleSource(rule.source)
        self.line: Final = rule.line
        self.fault: Final = self.source.fault or ("" if target else f"{rule.target} is not a target")
        host, path, query, fragment = target or ("", "", "", "")
        self._status: Final = rule.status
        self._host: Final = host
        # Two slashes at the start would name another host (RFC 3986 section 4.2).
        self._path: Final = requoted_path(path if host else "/" + path.lstrip("/"))
        self._query: Final = requoted_query(query[1:])
        self._fragment: Final = requoted_fragment(fragment)
        self.is_constant: Final = is_constant(path, self.source.names)

    def answer(self, values: Mapping[str, str], query: str, mount: str) -> Redirected | Rewritten | None:
        """Return where the rule leads; None if the values of the placeholders do not make a host."""
        origin = filled(self._host, values).lower()
        path = filled(self._path, values, quoted_path)
        if origin:
            if not _AUTHORITY.fullmatch(origin):
                return None
            origin = f"https://{origin}"
        elif not self.is_constant:
            path = merge_slashes(path)  # "/:splat" must not become "//evil.example"
        path = without_dots(path)
        if self._status == REWRITE:
            return Rewritten(unquoted(path))
        if not origin:
            below = mount.strip("/")
            path = f"/{quoted_components(below)}{path}" if below else path
        asked = filled(self._query, values, quoted_components) or (query and requoted_query(query))
        fragment = filled(self._fragment, values, quoted_components)
        return Redirected(self._status, f"{origin}{path}{'?' if asked else ''}{asked}{fragment}")


def parse_redirects(text: str, *, html_handling: HtmlHandling = "auto-trailing-slash") -> RedirectRules:
    """Read a ``_redirects`` file. Never raises.

    If ``html_handling`` redirects ``/index.html`` to ``/``, the opposite rule is reported.
    """
    rules: dict[str, RedirectRule] = {}
    invalid: list[InvalidLine] = []
    dynamic = 0
    for line, rule_text in rule_lines(text, invalid):
        try:
            rule = _read(line, rule_text, html_handling, rules)
        except UnusableError as error:
            invalid.append(InvalidLine(line, *error.args))
            continue
        is_dynamic = bool(RuleSource(rule.source).names)
        if is_dynamic and dynamic == MAX_DYNAMIC:
            message = f"the lines from here on are not read: {MAX_DYNAMIC} rules with * or :name precede them"
            invalid.append(InvalidLine(line, "too_many_dynamic", message))
            break
        if not is_dynamic and len(rules) - dynamic == MAX_STATIC:
            message = f"the rule is not used: {MAX_STATIC} rules without * and :name precede it; join some with *"
            invalid.append(InvalidLine(line, "too_many_static", message))
            continue
        dynamic += is_dynamic
        rules[rule.source] = rule
    return RedirectRules(rules.values(), invalid)


def _read(line: int, text: str, html_handling: HtmlHandling, rules: Mapping[str, RedirectRule]) -> RedirectRule:
    """Read one line. The checks are in the platforms' order, which decides what is reported."""
    words = text.split()
    count = next((at for at, word in enumerate(words[2:], 2) if word.startswith("#")), len(words))
    if count not in (2, 3):
        words_found = f"{count} word{'' if count == 1 else 's'}"
        raise UnusableError("token_count", f"a rule has a path, a target and optionally a status, not {words_found}")
    given, target_text, status_text = (*words[:count], "302")[:3]
    if given.startswith("https://"):
        raise UnusableError("absolute_from", f"{given!r} names a host: write the path alone")
    url = read_url(given if given[0] == "/" else f"/{given}")  # the platforms take "page" for "/page"
    source = url.path if url else "/"
    target = read_url(target_text)
    if target is None:
        why = f"{target_text!r} cannot be a target: begin it with '/', or with 'https://' and a host"
        raise UnusableError("not_relative_or_https", why)
    example = dict.fromkeys(RuleSource(source).names, "x")
    if target.host and not _AUTHORITY.fullmatch(filled(target.host, example).lower()):
        raise UnusableError("bad_host", f"{target.host!r} is not a host")
    status = _STATUSES.get(status_text)
    if status is None:
        raise UnusableError("bad_status", f"{status_text!r} is not one of {', '.join(_STATUSES)}")
    is_index = not target.host and str(target).endswith(("/index", "/index.html"))
    if is_index and (source.endswith("/*") or (source.endswith("/") and html_handling != "none")):
        advice = "not_found_handling='single-page-application' shows one page at every path"
        raise UnusableError("infinite_loop", f"{target_text!r} redirects to {given!r} on the platforms; {advice}")
    if source in rules:
        raise UnusableError("duplicate_from", f"line {rules[source].line} has a rule for {source!r} already")
    if status == REWRITE and target.host:
        raise UnusableError("proxy_absolute_to", f"status 200 shows a path of this build, not {target_text!r}")
    return RedirectRule(source, str(target), status, line)
