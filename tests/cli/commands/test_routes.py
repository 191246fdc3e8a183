"""``flask affinity routes``: what answers each route of the application in a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import flask

from tests.harness import write_build
from version_affinity import Version
from version_affinity.cli import output
from version_affinity.cli.flask_command import affinity as group
from version_affinity.flask import flask_routes, init_app

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def shop(root: Path, **options: Any) -> flask.Flask:
    """Return an application with routes of each kind."""
    write_build(root / "builds/v1", {"index.html": "v1"})
    write_build(root / "builds/v2", {"index.html": "v2", "about.html": "about", "docs/index.html": "docs"})
    versions = [Version("v1", "builds/v1", percentage=90), Version("v2", "builds/v2", percentage=10)]
    app = flask.Flask("shop", root_path=str(root), static_folder=None)
    init_app(app, versions, name="shop", **{"not_found_handling": "single-page-application", **options})
    for rule in ("/", "/logout", "/about", "/api/users/<int:id>", "/<path:path>"):
        app.add_url_rule(rule, rule, lambda **_: "")
    app.add_url_rule("/login", "login", lambda: "", methods=["POST"])
    return app


def run(app: flask.Flask, *arguments: str, code: int = 0) -> Any:
    """Run the command for an application."""
    result = app.test_cli_runner().invoke(group, ["routes", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_table(tmp_path: Path) -> None:
    """Each route is a line; what the front end hides is named, with the remedy, but not its own pages."""
    result = run(shop(tmp_path, app_first=["/api/*"]))
    document = "the single-page document"
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["/", "GET", "a file of the build"],
        ["/logout", "GET", f"hidden: {document}"],
        ["/about", "GET", f"hidden: v1: {document}, v2: a file of the build"],
        ["/api/users/<int:id>", "GET", "the application (app_first)"],
        ["/<path:path>", "GET", document],
        ["/login", "POST", "the application (no GET)"],
    ]
    assert "Hidden: 2 routes. Name them in app_first, or all routes" in result.stderr


def test_all_named(tmp_path: Path) -> None:
    """With ``flask_routes`` nothing is hidden."""
    result = run(shop(tmp_path, app_first=flask_routes))
    assert result.stderr == ""
    answers = {line.split("\t")[0]: line.split("\t")[2] for line in result.stdout.splitlines()}
    assert answers["/logout"] == answers["/about"] == "the application (app_first)"


def test_without_a_single_page(tmp_path: Path) -> None:
    """Without a single-page document the application answers what no build has."""
    answers = [line.split("\t")[2] for line in run(shop(tmp_path, not_found_handling="none")).stdout.splitlines()]
    assert answers[1:3] == ["the application", "v1: the application, v2: a file of the build"]


def test_json(tmp_path: Path) -> None:
    """``--json`` prints the same as data."""
    routes = json.loads(run(shop(tmp_path), "--json").stdout)["routes"]
    assert routes[1] == {
        "rule": "/logout",
        "endpoint": "/logout",
        "methods": ["GET"],
        "path": "/logout",
        "app_first": False,
        "answers": {"v1": "single-page document", "v2": "single-page document"},
        "hidden": True,
    }
    assert (routes[-1]["methods"], routes[-1]["answers"], routes[-1]["hidden"]) == (["POST"], {}, False)


def test_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets a header."""
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    first = run(shop(tmp_path)).stdout.splitlines()[0].split()
    assert first == ["ROUTE", "METHODS", "IN", "A", "BROWSER"]


def test_without_a_front_end() -> None:
    """An application without a front end is refused with the remedy."""
    assert "call version_affinity.flask.init_app" in run(flask.Flask("plain"), code=1).stderr
