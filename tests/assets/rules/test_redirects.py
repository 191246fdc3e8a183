"""``_redirects``: which lines are rules, where they lead, and that no path makes them lead astray."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.assets.deviations import DEVIATIONS
from tests.assets.rule_cases import cases_of, input_of, limited, written_out
from tests.harness import needs_conformance
from version_affinity.assets.routing import Redirect, routes
from version_affinity.assets.rules import files, redirects
from version_affinity.assets.rules.redirects import Redirected, RedirectRule, RedirectRules, Rewritten, parse_redirects
from version_affinity.wire import quoted_components

FILE = "redirects_cases.json"
LIMITS = {
    "maxLineLength": (files, "MAX_LINE"),
    "maxStaticRules": (redirects, "MAX_STATIC"),
    "maxDynamicRules": (redirects, "MAX_DYNAMIC"),
}


def shown(rule: RedirectRule) -> dict[str, Any]:
    """Return a rule in the data's words."""
    return {"from": rule.source, "to": rule.target, "status": rule.status, "line": rule.line}


@needs_conformance
def test_conformance_parse() -> None:
    """Lines are rules, or reported, as on the platform."""
    wrong = []
    cases = cases_of(FILE, "redirects_parse")
    for case in cases:
        expected = case["expected"]
        options = case["options"]
        with limited(options, LIMITS):
            parsed = parse_redirects(input_of(case), html_handling=options.get("htmlHandling", "auto-trailing-slash"))
        rules = [shown(rule) for rule in parsed.rules]
        reasons = [line.reason for line in parsed.invalid]
        if "rule_count" in expected:
            ends = [
                {key: written_out(value) if isinstance(value, str) else value for key, value in expected[end].items()}
                for end in ("first_rule", "last_rule")
            ]
            found = (len(rules), [rules[0], rules[-1]], len(reasons), set(reasons))
            wanted: Any = (
                expected["rule_count"],
                ends,
                expected["invalid_count"],
                set(expected["invalid_reasons"]),
            )
        else:
            found = (rules, [{"reason": line.reason, "line": line.line} for line in parsed.invalid])
            wanted = (expected["rules"], expected["invalid"])
        if found != wanted:
            wrong.append((case["id"], found, wanted))
    assert (wrong, len(cases) > 30) == ([], True)


def rules_of(case: dict[str, Any]) -> RedirectRules:
    """Return a case's rules, read from its file or given as rules."""
    if "redirects_file" in case:
        return parse_redirects(case["redirects_file"], html_handling=case["html_handling"])
    static = [RedirectRule(rule["from"], rule["to"], rule["status"], rule["line"]) for rule in case["static_rules"]]
    dynamic = [
        RedirectRule(rule["from"], rule["to"], rule["status"], 1000 + at)
        for at, rule in enumerate(case["dynamic_rules"])
    ]
    return RedirectRules([*static, *dynamic])


def decoded(path: str) -> str:
    """Return a percent-encoded path as in ``PATH_INFO``."""
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1")


def served(case: dict[str, Any]) -> tuple[int, str | None, str | None]:
    """Return status, Location and file of the answer to a case's request: rules first, then files."""
    url = urlsplit(case["url"])
    path = decoded(url.path)
    answer = rules_of(case).match(path, url.query, host=url.netloc)
    if isinstance(answer, Redirected):
        return answer.status, answer.location, None
    if case["files"] == "*":
        return 200, None, None
    found = routes(
        {path: SimpleNamespace(path=path, fingerprinted=False) for path in case["files"]}, case["html_handling"]
    )
    file = found.get(answer.path if answer else path)
    if isinstance(file, Redirect):
        return 307, quoted_components(file.path), None
    return (404, None, None) if file is None else (200, None, file.path)


@needs_conformance
def test_conformance_match() -> None:
    """Requests are redirected, rewritten and passed as on the platform."""
    cases = cases_of(FILE, "redirects_match")
    wrong = []
    for case in cases:
        status, location, file = served(case)
        wanted = (case["expected_status"], case["expected_location"], case.get("expected_served_file", file))
        if case["id"] in DEVIATIONS["a path is decoded once, so an encoded slash is a slash"]:
            wanted = (302, "/x/evil.test", None)
        if (status, location, file) != wanted:
            wrong.append((case["id"], case["url"], (status, location, file), wanted))
    assert (wrong, len(cases) > 20) == ([], True)


@needs_conformance
def test_conformance_claims() -> None:
    """A path with a rule is the build's to answer, whether anything is at its target or not."""
    cases = [case for case in cases_of("routing_cases.json", "asset_claims_request") if "static_redirects" in case]
    wrong = []
    for case in cases:
        rules = RedirectRules(
            RedirectRule(rule["from"], rule["to"], rule["status"], at)
            for at, rule in enumerate(case["static_redirects"])
        )
        claimed = rules.match(decoded(case["request_path"])) is not None or case["request_path"] in case["files"]
        if claimed is not case["expected"]:
            wrong.append(case["id"])
    assert (wrong, len(cases) > 3) == ([], True)


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        # What "*" and ":name" match.
        ("/a/* /b/:splat", "/a/", "/b/"),
        ("/a/* /b/:splat", "/a", None),
        ("/a* /b/:splat", "/a", "/b/"),
        ("/a/:x /b/:x", "/a/", None),
        ("/a/:x /b/:x", "/a/1/", None),
        ("/a/:x/c /b/:x", "/a/1/c", "/b/1"),
        ("/:a/:ab /x/:ab/:a", "/1/2", "/x/2/1"),
        ("/:id/:id_2 /x/:id_2/:id", "/1/2", "/x/2/1"),
        ("/:a/:b /x/:a/:c", "/1/2", "/x/1/:c"),
        ("/:y-:m-:d /:y/:m/:d", "/2024-01-02", "/2024/01/02"),
        ("/:a-:b /x/:a/:b", "/1-2-3", "/x/1-2/3"),
        ("/:a:b /x/:a/:b", "/123", "/x/12/3"),
        ("/:a:b /x/:a/:b", "/1", None),
        ("/*/x/:y /:y/:splat", "/1/x/2/x/3", "/3/1/x/2"),
        ("/:x*.png /:x/:splat", "/abc.png", "/abc/"),
        ("/:x-* /:x/:splat", "/a-b/c-d", "/a/b/c-d"),
        ("/*-:y /:y/:splat", "/a/b-c-d", "/d/a/b-c"),
        ("/*:y /:y/:splat", "/abc", "/c/ab"),
        ("/:x*-:y /:x/:splat/:y", "/a-b-c", "/a-b/c"),
        ("/:x/*/:y/end /:x/:splat/:y", "/1/2/3/4/end", "/1/2/3/4"),
        ("/:x/*/:y/end /:x/:splat/:y", "/1/2/end", None),
        # A path is compared decoded, and encoded where it is put.
        ("/caf\xe9 /x", "/caf%C3%A9", "/x"),
        ("/caf\xe9 /x", "/caf%c3%a9", "/x"),
        ("/caf%C3%A9 /x", "/caf\xc3\xa9", "/x"),
        ("/a@b /x", "/a%40b", "/x"),
        ("/%61bc /x", "/abc", "/x"),
        ("/admin/* /login", "/%61dmin/users", "/login"),
        ("/a/b /x", "/a%2Fb", "/x"),
        ("/a%2Fb /x", "/a%2fb", "/x"),
        ("/a/* /b/:splat", "/a/%61@%40%2f", "/b/a@@/"),
        ("/a/* /b?q=:splat", "/a/x&y=@", "/b?q=x%26y%3D%40"),
        ("/a/* /b/:splat", "/a/100%", "/b/100%25"),
        ("/a/* /b/:splat", '/a/"<\\>"', "/b/%22%3C%5C%3E%22"),
        ("/a/:x /b?q=:x", "/a/1%26admin%3D1%23", "/b?q=1%26admin%3D1%23"),
        ("/a/../b /x", "/b", "/x"),
        ("/b /x", "/a/../b", "/x"),
        ("/a/* https://x.example/safe/:splat", "/a/%2e%2e/%2E./b", None),
        ("/a/* /safe/:splat", "/a/..%2Fb", None),
        ("/a/* /safe/:splat", "/a/%252e%252e/b", None),
        # What is put in leads nowhere but where the rule does.
        ("/a/* /:splat", "/a//evil.example", "/evil.example"),
        ("/a/* /:splat", "/a/%2Fevil.example", "/evil.example"),
        ("/a/* /:splat", "/a/\\evil.example", "/%5Cevil.example"),
        ("/a/* /:splat", "/a/\t/evil.example", "/%09/evil.example"),
        ("/a/* /:splat", "/a/\r\nSet-Cookie: x", "/%0D%0ASet-Cookie:%20x"),
        ("/a//:x //:x", "/a//evil.example", "/evil.example"),
        ("/a //evil.example", "/a", "/evil.example"),
        ("/a /\\evil.example", "/a", "/%5Cevil.example"),
        ("/a /.//evil.example", "/a", "/evil.example"),
        ("/a/:x /.:x//evil.example", "/a/.", None),
        ("/a/:x https://:x.example.com/", "/a/b", "https://b.example.com/"),
        ("/a/:x https://:x.example.com/", "/a/evil.example%2F", None),
        ("/a/:x https://:x.example.com/", "/a/me@evil.example", None),
        ("/a/:x https://:x/", "/a/b:99", "https://b:99/"),
        ("/a/:x https://:x/", "/a/evil.example\\", None),
        # The target.
        ("/a https://X.Example?b=c", "/a", "https://x.example/?b=c"),
        ("/a https://b\xfccher.example/\xfc", "/a", "https://xn--bcher-kva.example/%C3%BC"),
        ("/a /b|c[d]^e?f|g[h]", "/a", "/b%7Cc%5Bd%5D%5Ee?f%7Cg%5Bh%5D"),
        ("/a /b?c#", "/a", "/b?c"),
        ("/a /b?", "/a", "/b"),
        ("/a/* /b?u=https://x.example/:splat", "/a/c", "/b?u=https://x.example/c"),
        ("/a/* https://x.example/:splat", "/a//b", "https://x.example//b"),
    ],
)
def test_match(rule: str, path: str, expected: str | None) -> None:
    """A rule matches what it is for and leads where it says, whatever the path holds."""
    rules = parse_redirects(rule)
    assert rules.invalid == ()
    answer = rules.match(decoded(path))
    assert (answer.location if isinstance(answer, Redirected) else answer) == expected


@pytest.mark.parametrize(
    ("target", "query", "mount", "expected"),
    [
        ("/b", "", "", "/b"),
        ("/b", "a=1&a=2", "", "/b?a=1&a=2"),
        ("/b?c=d", "a=1", "", "/b?c=d"),
        ("/b#e", "a=1", "", "/b?a=1#e"),
        ("https://x.example", "a=1", "/shop", "https://x.example/?a=1"),
        ("/b", "a=\r\nSet-Cookie: x#y", "", "/b?a=%0D%0ASet-Cookie:%20x%23y"),
        ("/b", "a=\xc3\xbc%20\u20ac", "", "/b?a=%C3%83%C2%BC%20%E2%82%AC"),
        ("/b", "", "/shop", "/shop/b"),
        ("/b", "", "shop/", "/shop/b"),
        ("/b", "", "//evil.example", "/evil.example/b"),
        ("/b", "", "/\\evil", "/%5Cevil/b"),
        ("/b", "", "/caf\xc3\xa9", "/caf%C3%A9/b"),
        ("/", "", "/shop", "/shop/"),
    ],
)
def test_location(target: str, query: str, mount: str, expected: str) -> None:
    """The request's query is kept where the target has none; a path of the same host is below the mount."""
    assert parse_redirects(f"/a {target}").match("/a", query, mount=mount) == Redirected(302, expected)


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        ("/app/* /app.html 200", "/app/settings", "/app.html"),
        ("/a /b?c#d 200", "/a", "/b"),
        ("/a/* /files/:splat 200", "/a/caf%C3%A9%20", "/files/caf\xc3\xa9 "),
        ("/a/* /:splat 200", "/a//etc/passwd", "/etc/passwd"),
        ("/a //b 200", "/a", "/b"),
    ],
)
def test_rewrite(rule: str, path: str, expected: str) -> None:
    """A rewrite gives a path as in PATH_INFO, below the mount, without a query."""
    assert parse_redirects(rule).match(decoded(path), "a=b", mount="/shop") == Rewritten(expected)


@pytest.mark.parametrize(
    ("path", "line"), [("/a/x", 1), ("/b/x", 2), ("/b/y", 3), ("/a/late", 1), ("/c", 6), ("/d", None)]
)
def test_the_first_rule_wins(path: str, line: int | None) -> None:
    """Rules are tried in the order of the file, whether they have placeholders or not."""
    rules = parse_redirects("/a/* /1\n/b/x /2\n/b/:name /3\n/a/late /4\n/b/* /5\n/c /6")
    assert rules.invalid == ()
    answer = rules.match(decoded(path))
    assert (answer.location if isinstance(answer, Redirected) else answer) == (f"/{line}" if line else None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.com", "/1"),
        ("EXAMPLE.com:8000", "/1"),
        ("example.com.", "/1"),
        ("red.example.com", "/2/red"),
        ("a.red.example.com", "/3"),
        ("evil.example/x.example.com", "/3"),
        ("", "/3"),
        ("\r\n", "/3"),
    ],
)
def test_hosts(host: str, expected: str) -> None:
    """A rule with a host is for that host on any port; a placeholder in it is one label."""
    rules = RedirectRules(
        [
            RedirectRule("https://example.com/a", "/1", 302, 1),
            RedirectRule("https://:Team.Example.com/a", "/2/:Team", 302, 2),
            RedirectRule("/a", "/3", 302, 3),
        ]
    )
    assert rules.match("/a", host=host) == Redirected(302, expected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/a /b 0302", "bad_status"),
        ("/a /b 3\u00b02", "bad_status"),
        ("/a /b 200!", "bad_status"),
        ("/a /b c d e", "token_count"),
        ("/a https://", "not_relative_or_https"),
        ("/a https://me:secret@x.example", "not_relative_or_https"),
        ("/a https://x\x00.example", "not_relative_or_https"),
        ("/a https://*.example", "bad_host"),
        ("/a https://:team.example", "bad_host"),
        ("/a https://" + "\xfc" * 64 + ".example", "not_relative_or_https"),
        ("https://x.example/a /b", "absolute_from"),
        ("/a/ /index.html", "infinite_loop"),
    ],
)
def test_lines_that_cannot_be_used(line: str, reason: str) -> None:
    """They are reported with their number, and the rules around them apply."""
    rules = parse_redirects(f"\ufeff/x /y\n\n{line}\n/z /y")
    assert [(found.line, found.reason) for found in rules.invalid] == [(3, reason)]
    assert all(found.message for found in rules.invalid)
    assert [rule.line for rule in rules.rules] == [1, 4]
    assert rules.match("/z") == Redirected(302, "/y")


def test_a_placeholder_that_stands_twice() -> None:
    """The platform takes such a rule and never applies it; here that is told."""
    rules = parse_redirects("/*/x/* /y\n/:a/:a /z\n/* /w")
    assert ([line.line for line in rules.idle], rules.invalid) == ([1, 2], ())
    assert rules.match("/1/x/2") == Redirected(302, "/w")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind just as many are used as the limit says, and only those that can be used count."""
    fixed = "".join(f"/{number} /x\n" for number in range(4))
    monkeypatch.setattr(redirects, "MAX_STATIC", 3)
    monkeypatch.setattr(redirects, "MAX_DYNAMIC", 2)
    rules = parse_redirects(f"/bad\n/x /index.htm 9\n{fixed}/a/* /x\n/b/* /x\n/c/* /x\n/d /x")
    assert [rule.source for rule in rules.rules] == ["/0", "/1", "/2", "/a/*", "/b/*"]
    assert [(line.line, line.reason) for line in rules.invalid[2:]] == [(6, "too_many_static"), (9, "too_many_dynamic")]


def test_what_is_no_rule_file_at_all() -> None:
    """A large file of something else is not read to its end, and not reported line by line."""
    rules = parse_redirects("x\n" * 20_000)
    assert (len(rules.invalid), rules.invalid[-1].reason, bool(rules)) == (10_001, "too_many_invalid", False)


def test_bytes_that_are_no_utf8() -> None:
    """They are kept: a file may have such a name."""
    rules = parse_redirects(b"/caf\xe9 /th\xe9\n".decode("utf-8", "surrogateescape"))
    assert rules.match("/caf\xe9") == Redirected(302, "/th%E9")


TEXT = st.text(
    st.sampled_from("/a:*bx.#?%2f \t\r\n\\@[]\xe9\udce9\ud800\u20ac\0-") | st.characters(codec=None), max_size=60
)
PARTS = st.sampled_from(
    ["/", "//", ":a", ":b", "*", "-", "x", "%2F", "%", "..", ".", "\\", "?", "#", "https://", "@", "\n"]
)
PATHS = st.lists(PARTS | st.text(max_size=3), max_size=12).map("".join)
#: RFC 3986, with what Location may hold.
LOCATION = re.compile(r"(?:https://[a-z0-9.\[\]:_-]+)?/(?!/)(?:[\w.~!$&'()*+,;=:@/?#-]|%[0-9A-Fa-f]{2})*", re.ASCII)
LOCAL = re.compile(r"/(?![/\\])")


@given(source=PATHS, target=PATHS, path=PATHS, query=TEXT, mount=TEXT, host=TEXT)
def test_no_path_makes_a_rule_lead_astray(
    source: str, target: str, path: str, query: str, mount: str, host: str
) -> None:
    """Whatever rule and request hold: a local target stays local, and Location is a URL."""
    rules = RedirectRules([RedirectRule(f"/{source}", f"/{target}", 302, 1)])
    for spelt in (path, f"/{path}", f"/{source}", f"/{source.replace('*', path).replace(':a', path)}"):
        answer = rules.match(spelt, query, host=host, mount=mount)
        if answer is not None:
            assert isinstance(answer, Redirected)
            assert LOCAL.match(answer.location)
            assert LOCATION.fullmatch(answer.location)


@given(st.lists(PATHS.map("/{}".format) | TEXT, max_size=8), PATHS)
def test_nothing_raises(lines: list[str], path: str) -> None:
    """Any text is read, and any path matched with it; Location never holds what a header must not."""
    rules = parse_redirects("\n".join(f"{first} {second}" for first in lines for second in lines))
    for spelt in (path, f"/{path}", *lines):
        answer = rules.match(spelt, path, host=path, mount=path)
        if isinstance(answer, Redirected):
            assert answer.location.isascii()
            assert answer.location.isprintable()
            assert answer.location.startswith(("https://", "/"))
        elif answer is not None:
            assert answer.path.startswith("/")
            answer.path.encode("latin-1")


@given(TEXT)
def test_the_reader_never_raises(text: str) -> None:
    """Each line is a rule, a report, or empty; a report names a line of the file."""
    rules = parse_redirects(text)
    assert all(1 <= line.line <= text.count("\n") + 1 for line in rules.invalid)
