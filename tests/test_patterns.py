"""``app_first``: what its rules match, and which rules are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from harness import missing

from version_affinity import ConfigurationError
from version_affinity.patterns import app_first

RULES = ["/api/*", "/oauth/callback", "/*.json", "/a*b", "/caf\xe9/*", "/p(1)", "!/api/docs/*", "!/api/*.html"]


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
    assert app_first(RULES)(path) is first


@pytest.mark.parametrize("path", ["/", "/api/", "", "/x"])
def test_without_rules(path: str) -> None:
    """Without rules nothing goes to the application first; with "/*", every path does."""
    assert app_first()(path) is False
    assert app_first(["/*"])(path) is path.startswith("/")


@pytest.mark.parametrize("rules", [[f"/rule/{number}" for number in range(100)], ["/" + "a" * 99], iter(["/api/*"])])
def test_limits_are_inclusive(rules: list[str]) -> None:
    """100 rules, 100 characters and any iterable are fine."""
    app_first(rules)


def conformance(kind: str) -> list[dict[str, Any]]:
    """Return the conformance cases of a kind."""
    folder = os.environ.get("VERSION_AFFINITY_CONFORMANCE")
    if folder is None:
        missing("conformance data", "VERSION_AFFINITY_CONFORMANCE is not set")
    cases = json.loads(Path(folder, "routing_cases.json").read_text("utf-8"))
    return [case for case in cases if case["kind"] == kind]


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
    cases = conformance("run_worker_first_parse")
    wrong = []
    for case in cases:
        valid = case["expected"]["valid"] or case["expected"]["reasons"] == ["empty"]
        try:
            app_first(case["rules"])
        except ConfigurationError as error:
            if valid or not any(remedies.get(reason, "?") in str(error) for reason in case["expected"]["reasons"]):
                wrong.append((case["id"], case["expected"], str(error)[:80]))
        else:
            if not valid:
                wrong.append((case["id"], case["expected"], "accepted"))
    assert (wrong, len(cases) > 5) == ([], True)


def test_conformance_match() -> None:
    """Paths go to the application as the platform sends them to the worker; PATH_INFO comes without the query."""
    cases = conformance("run_worker_first_match")
    wrong = [
        case["id"]
        for case in cases
        if app_first(case["rules"])(case["request_path"].partition("?")[0]) is not (case["expected"] == "worker")
    ]
    assert (wrong, len(cases) > 10) == ([], True)
