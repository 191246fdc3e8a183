"""``app_first``: what its rules match, and which rules are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import NAVIGATION, client, conformance, needs_conformance, write_build
from version_affinity import ConfigurationError, StaticAssets, Version, VersionAffinity
from version_affinity.app_first import compile_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

RULES = [
    *(
        "/api/*",
        "/oauth/callback",
        "/*.json",
        "/a*b",
        "/caf\xe9/*",
        "/p(1)",
        "/my%20files/*",
        "/%C3%BC",
        "/100%",
        "/2%2A3",
    ),
    *("!/api/docs/*", "!/api/*.html"),
]


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/api/", True),
        ("/api/users", True),
        ("/api/a/b/c", True),
        ("/api/a\nb", True),
        ("/api", False),
        ("/apiary", False),
        ("/x/api/", False),
        ("/oauth/callback", True),
        ("/oauth/callback/", False),
        ("/oauth/callback/x", False),
        ("/data/x.json", True),
        ("/x.jsonp", False),
        ("/ab", True),
        ("/a/x/b", True),
        ("/a/x/bc", False),
        ("/caf\xc3\xa9/menu", True),
        ("/caf\xe9/menu", False),
        ("/p(1)", True),
        ("/p1", False),
        ("/my files/x", True),
        ("/my%20files/x", False),
        ("/\xc3\xbc", True),
        ("/100%", True),
        ("/2*3", True),
        ("/2x3", False),
        ("/api/docs/", False),
        ("/api/docs/x.json", False),
        ("/api/docs", True),
        ("/api/x/y.html", False),
        ("/", False),
        ("", False),
        ("api/users", False),
    ],
)
def test_match(path: str, first: bool) -> None:
    """A "*" stands for any characters, "/" and line breaks included; an exception outranks; nothing else is special."""
    assert compile_patterns(RULES)(path) is first


@pytest.mark.parametrize("path", ["/", "/api/", "", "/x"])
def test_without_rules(path: str) -> None:
    """Without rules nothing goes to the application first; with "/*", every path does."""
    assert compile_patterns([])(path) is False
    assert compile_patterns(["/*"])(path) is path.startswith("/")


@pytest.mark.parametrize("rules", [[f"/rule/{number}" for number in range(100)], ["/" + "a" * 99], iter(["/api/*"])])
def test_limits_are_inclusive(rules: list[str]) -> None:
    """100 rules, 100 characters and any iterable are fine."""
    compile_patterns(rules)


class Watched(str):
    """A path that notes from where it is searched."""

    __slots__ = ("searched",)

    def find(self, part: str, start: int = 0) -> int:  # type: ignore[override]
        """Search, and note from where."""
        self.searched.append(start)
        return super().find(part, start)


@pytest.mark.parametrize(
    ("rule", "path", "first"),
    [
        ("/*/a/*/b/*.json", "/x" + "/a/b" * 2000, False),
        ("/*/a/*/b/*.json", "/x" + "/a/b" * 2000 + "/.json", True),
        ("/*.js*.map*x", "/" + ".js.map" * 1200, False),
        ("/*.js*.map*x", "/" + ".js.map" * 1200 + "x", True),
        ("/*a*a*a*a*a*a*b", "/" + "a" * 8000, False),
        ("/*a*a*a*a*a*a*b", "/" + "a" * 8000 + "b", True),
    ],
)
def test_a_long_path_is_searched_once(rule: str, path: str, first: bool) -> None:
    """However many "*" a rule has, each of its parts is searched for once, from where the one before it ended."""
    watched = Watched(path)
    watched.searched = []
    assert compile_patterns([rule])(watched) is first
    assert watched.searched == sorted(watched.searched)
    assert len(watched.searched) <= rule.count("*")
    assert bool(watched.searched) is first  # the end is compared first


@pytest.mark.parametrize(
    ("rule", "path", "first"),
    [
        ("/a*b*c", "/abc", True),
        ("/a*b*c", "/abbc", True),
        ("/a*b*c", "/ac", False),
        ("/a*b*c", "/acb", False),
        ("/a*a", "/a", False),
        ("/a*a", "/aa", True),
        ("/a*b*b", "/ab", False),
        ("/ab*b*bc", "/abbc", False),
        ("/ab*b*bc", "/abbbc", True),
        ("/a**b", "/ab", True),
        ("/**", "/", True),
        ("/*x*", "/x", True),
        ("/*x*", "/y", False),
        ("/*.b.c", "/x.b.b.c", True),
    ],
)
def test_parts_do_not_overlap(rule: str, path: str, first: bool) -> None:
    """The parts between "*" follow each other in the path, each on characters of its own."""
    assert compile_patterns([rule])(path) is first


@pytest.mark.parametrize(
    ("rules", "redundant"),
    [
        (["/api/*", "/api/users"], True),
        (["/api/users", "/api/*"], True),
        (["/a*b*", "/a*bc"], True),
        (["/*.js*", "/*.json"], True),
        (["/*", "/a*b"], True),
        (["/*.js", "/x.js"], False),
        (["/a*b", "/a*bc"], False),
        (["/api/*", "/api"], False),
        (["/api/*", "!/api/docs/*"], False),
        (["/*", "!/api/*", "!/api/docs"], True),
    ],
)
def test_redundant(rules: list[str], redundant: bool) -> None:
    """A rule that another one of its kind covers is a mistake, and told: nobody would notice that it does nothing."""
    if redundant:
        with pytest.raises(ConfigurationError, match="is redundant"):
            compile_patterns(rules)
    else:
        compile_patterns(rules)


def cases_of(kind: str) -> list[dict[str, Any]]:
    """Return the conformance cases of a kind."""
    return [case for case in conformance("routing_cases.json") if case["kind"] == kind]


@needs_conformance
def test_conformance_parse() -> None:
    """Rules are accepted and refused as the platform does; an empty list, there an error, is the default here."""
    remedies = {
        "only_negative": "only exceptions",
        "too_many": "more than 100",
        "rule_too_long": "longer than 100",
        "must_start_slash": "must begin with",
        "negative_must_start_bang_slash": "must begin with",
        "redundant": "is redundant",
        "duplicate": "twice",
        "empty": "",
    }
    cases = cases_of("run_worker_first_parse")
    wrong = []
    for case in cases:
        valid = case["expected"]["valid"] or case["expected"]["reasons"] == ["empty"]
        try:
            compile_patterns(case["rules"])
        except ConfigurationError as error:
            if valid or not any(remedies.get(reason, "?") in str(error) for reason in case["expected"]["reasons"]):
                wrong.append((case["id"], case["expected"], str(error)[:80]))
        else:
            if not valid:
                wrong.append((case["id"], case["expected"], "accepted"))
    assert (wrong, len(cases) > 5) == ([], True)


@needs_conformance
def test_conformance_match() -> None:
    """Paths go to the application as the platform sends them to the worker; PATH_INFO comes without the query."""
    cases = cases_of("run_worker_first_match")
    wrong = [
        case["id"]
        for case in cases
        if compile_patterns(case["rules"])(case["request_path"].partition("?")[0]) is not (case["expected"] == "worker")
    ]
    assert (wrong, len(cases) > 10) == ([], True)


def who_answers(case: dict[str, Any]) -> str:
    """Return who answers a case here where that is not who answers on the platform; "" where it is the same.

    The platform has two switches for what is our one behaviour: a page that a browser shows is the build's where a
    single-page application is configured, and any other miss is the application's.
    """
    missed = case["request_path"] == "/bar"
    shown = case["request_headers"].get("sec-fetch-mode") == "navigate"
    if case["method"] not in ("GET", "HEAD"):
        return "app"
    if not missed or case["not_found_handling"] == "none":
        return ""
    return "build" if shown and case["not_found_handling"] == "single-page-application" else "app"


@needs_conformance
@pytest.mark.parametrize("kind", [StaticAssets, VersionAffinity])
def test_conformance_claims(kind: type, tmp_path: Path) -> None:
    """The build answers, or the application, as on the platform but for the misses of builds with a page for them."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0"), ("X-From", "app")])
        return [b""]

    cases = [case for case in cases_of("asset_claims_request") if "static_redirects" not in case]
    wrong = []
    for at, case in enumerate(cases):
        build = write_build(tmp_path / str(at), {file[1:]: file for file in case["files"]})
        handling = {name: case[name] for name in ("html_handling", "not_found_handling")}
        if kind is StaticAssets:
            served = client(StaticAssets(build, app, **handling))
        else:
            served = client(VersionAffinity(app, [Version("v1", build)], **handling))
        headers = dict(case["request_headers"])
        if headers.get("sec-fetch-mode") == "navigate":
            # No browser sends one without the other.
            headers = dict(NAVIGATION)
        answer = served.open(case["request_path"], method=case["method"], headers=headers)
        expected = who_answers(case) or ("build" if case["expected"] else "app")
        if answer.headers.get("X-From", "build") != expected:
            wrong.append((case["id"], expected))
    assert (wrong, len(cases) > 100) == ([], True)
