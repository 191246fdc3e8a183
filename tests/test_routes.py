"""The routes of a Flask application: as patterns, who answers them in a browser, the warning of hidden ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import flask
import pytest

from tests.harness import NAVIGATION, client, write_build
from version_affinity import ConfigurationError, Releases, Version, VersionAffinity
from version_affinity.app_first import matcher_of
from version_affinity.flask import flask_routes, init_app
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload
from version_affinity.routes import route_answers

if TYPE_CHECKING:
    from pathlib import Path

SPA = {"not_found_handling": "single-page-application"}
PAGE = {**NAVIGATION, "Accept": "text/html"}


def shop(root: Path, *rules: str, **options: Any) -> tuple[flask.Flask, VersionAffinity]:
    """Return an application with a front end, and with routes that are registered afterwards."""
    write_build(root / "builds/v1", {"index.html": "the front end"})
    write_build(root / "builds/v2", {"index.html": "the front end", "about.html": "about v2"})
    app = flask.Flask("shop", root_path=str(root))
    versions = [Version("v1", "builds/v1", percentage=50), Version("v2", "builds/v2", percentage=50)]
    affinity = init_app(app, versions, **{"name": "shop", **SPA, **options})
    add(app, *rules)
    return app, affinity


def add(app: flask.Flask, *rules: str, methods: tuple[str, ...] = ("GET",)) -> None:
    """Register routes that answer with their rule."""
    for rule in rules:
        app.add_url_rule(rule, f"{rule} {methods}".replace(".", "_"), lambda **_: "the application", methods=methods)


@pytest.mark.parametrize(
    ("rule", "patterns"),
    [
        ("/logout", ["/logout"]),
        ("/admin/", ["/admin/", "/admin"]),
        ("/users/<int:id>", ["/users/*"]),
        ("/users/<int:id>/", ["/users/*"]),
        ("/users/<int:id>/edit", ["/users/*/edit"]),
        ("/files/<path:name>", ["/files/*"]),
        ("/f/<any(red, blue):colour>.json", ["/f/*.json"]),
        ("/user-<name>", ["/user-*"]),
        ("/<lang>/about", ["/*/about"]),
        ("/50%/a*b", ["/50%25/a%2Ab"]),
        ("/caf\xe9", ["/caf\xe9"]),
        ("/", []),
        ("/<path:path>", []),
        ("/<lang>/<page>", []),
        ("/<name>.html", []),
    ],
)
def test_patterns(tmp_path: Path, rule: str, patterns: list[str]) -> None:
    """A rule becomes a pattern; a rule that could be any page of the front end does not."""
    app = flask.Flask("shop", root_path=str(tmp_path), static_folder=None)
    add(app, rule)
    assert [pattern for pattern in flask_routes(app) if not pattern.endswith("*/")] == patterns


def test_patterns_of_an_application(tmp_path: Path) -> None:
    """Covered patterns and routes without GET are left out; the static files are in."""
    app = flask.Flask("shop", root_path=str(tmp_path))
    add(app, "/users", "/users/<int:id>", "/users/<int:id>/edit", "/users/new", "/both")
    add(app, "/login", "/both", methods=("POST",))
    assert flask_routes(app) == ["/static/*", "/users", "/users/*", "/both"]


def test_more_routes_than_rules(tmp_path: Path) -> None:
    """An application may have more routes, and longer ones, than ``app_first`` takes rules."""
    rules = [*(f"/{number}/<int:id>/edit" for number in range(300)), f"/{'long' * 50}"]
    app, affinity = shop(tmp_path, *rules, app_first=flask_routes)
    visitor = client(app)
    for path in ("/7/1/edit", "/299/1/edit", rules[-1]):
        assert visitor.get(path, headers=PAGE).text == "the application"
    assert visitor.get("/7/1", headers=PAGE).text == "the front end"
    assert len(affinity.app_first) == 302


@pytest.mark.parametrize(
    ("app_first", "mine"),
    [
        (flask_routes, {"/admin/", "/users/7", "/users/7/edit"}),
        ([flask_routes], {"/admin/", "/users/7", "/users/7/edit"}),
        ([flask_routes, "/ws/*", "!/users/*/edit"], {"/admin/", "/users/7", "/ws/1"}),
        (lambda app: [*flask_routes(app), "/ws/*"], {"/admin/", "/users/7", "/users/7/edit", "/ws/1"}),
        (["/ws/*"], {"/ws/1"}),
        ((), set()),
    ],
)
def test_app_first(tmp_path: Path, app_first: Any, mine: set[str]) -> None:
    """Routes that are registered after ``init_app`` go to the application, alone and beside other patterns."""
    app, affinity = shop(tmp_path, "/admin/", "/users/<int:id>", "/users/<int:id>/edit", app_first=app_first)
    visitor = client(app)
    paths = ("/admin/", "/users/7", "/users/7/edit", "/ws/1", "/cart", "/")
    assert {path for path in paths if visitor.get(path, headers=PAGE).text != "the front end"} == mine
    matches = matcher_of(affinity.app_first)
    assert {path for path in paths if matches(path)} == mine


@pytest.mark.parametrize(
    ("app_first", "message"),
    [
        (["api", flask_routes], "app_first rule 'api' must begin with '/'"),
        ([flask_routes, "/a/*", "/a/b"], "redundant"),
        ("/api/*", "not a list of patterns"),
        (["!/api/*"], "only exceptions"),
        (5, "not a list of patterns"),
    ],
)
def test_mistakes(tmp_path: Path, app_first: Any, message: str) -> None:
    """Patterns beside ``flask_routes`` are checked by ``init_app``."""
    with pytest.raises(ConfigurationError, match=message):
        shop(tmp_path, app_first=app_first)


def test_a_callable_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A request is answered although the patterns cannot be found, and the log says why."""
    app, _ = shop(tmp_path, "/admin", app_first=lambda app: app.no_such_attribute)
    assert [client(app).get("/admin", headers=PAGE).text for _ in range(3)] == ["the front end"] * 3
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of hidden routes."""
    return [text for record in caplog.records if "hides routes" in (text := record.getMessage())]


def test_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first request, and no other one, logs the routes that browsers do not reach, and the remedy."""
    app, _ = shop(
        tmp_path, "/logout", "/admin/", "/healthz", "/api/<int:id>", "/", "/<path:path>", app_first=["/api/*"]
    )
    add(app, "/login", methods=("POST",))
    assert warnings_of(caplog) == []
    visitor = client(app)
    assert visitor.get("/logout").text == "the application"  # a test client is not a browser
    assert visitor.get("/logout", headers=PAGE).text == "the front end"
    (warning,) = warnings_of(caplog)
    assert "opens /logout, /admin/, /healthz gets the page of the front end, with status 200" in warning
    assert "app_first=flask_routes" in warning
    assert "flask affinity routes" in warning


def test_warning_without_a_build(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where a placeholder stands for a build, the warning names the status that a browser gets."""
    app = flask.Flask("shop", root_path=str(tmp_path))
    init_app(app, [Version("v1", "builds/none")], name="shop", missing_build="placeholder", **SPA)
    add(app, "/logout")
    assert client(app).get("/logout", headers=PAGE).status_code == 503
    (warning,) = warnings_of(caplog)
    assert "opens /logout gets a page that says how to build the front end, with status 503" in warning


@pytest.mark.parametrize(
    ("rules", "options"),
    [
        (["/logout", "/admin/"], {"app_first": flask_routes}),
        (["/logout", "/admin/"], {"app_first": ["/logout", "/admin/*"]}),
        (["/logout", "/admin/"], {"not_found_handling": "none"}),
        (["/logout", "/admin/"], {"prefix": "/shop/"}),
        (["/", "/<path:path>"], {}),
        ([], {}),
    ],
)
def test_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rules: list[str], options: dict[str, Any]
) -> None:
    """Nothing is logged where the application answers, and of routes that are the front end's own paths."""
    app, _ = shop(tmp_path, *rules, **options)
    client(app).get("/", headers=PAGE)
    assert warnings_of(caplog) == []


def test_warning_of_many_and_of_static_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The warning names ten routes at most; the static files count where their directory exists."""
    (tmp_path / "static").mkdir()
    app, _ = shop(tmp_path, *(f"/page-{number}" for number in range(30)))
    client(app).get("/", headers=PAGE)
    (warning,) = warnings_of(caplog)
    assert "opens /static/<path:filename>, /page-0, " in warning
    assert "/page-8 and 21 more gets" in warning


def test_route_answers(tmp_path: Path) -> None:
    """Each route is listed with what answers its example in each version, as ``explain`` says it."""
    app, affinity = shop(
        tmp_path, "/about", "/api/<uuid:id>", "/n/<int:a>/<float:b>/<any(x,y):c>", app_first=["/api/*"]
    )
    add(app, "/login", methods=("POST", "PUT"))
    found = {route.rule: route for route in route_answers(app, affinity, matcher_of(affinity.app_first))}
    document = "single-page document"
    assert found["/about"].answers == {"v1": document, "v2": "file"}
    assert found["/about"].hidden
    api = found["/api/<uuid:id>"]
    assert api.path == "/api/00000000-0000-0000-0000-000000000000"
    assert (api.app_first, set(api.answers.values())) == (True, {"wrapped application"})
    assert found["/n/<int:a>/<float:b>/<any(x,y):c>"].path == "/n/1/1.5/x"
    assert found["/login"][2:] == (("POST", "PUT"), "/login", False, {}, False)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """A look at the routes does not make a later request skip ``app_first``."""
    app, affinity = shop(tmp_path, "/about", app_first=flask_routes)
    list(route_answers(app, affinity, matcher_of(affinity.app_first)))
    for _ in range(20):
        assert client(app).get("/about", headers=PAGE).text == "the application"


def test_settings_of_releases(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``affinity.json`` is not compared with routes that are not registered yet."""
    directory = ReleasesDirectory.init(tmp_path / "releases", name="storefront")
    upload(directory, write_build(tmp_path / "dist", {"index.html": "v1"}), id="v1")
    open_log(directory).append({"v1": 100}, expected=0)
    app = flask.Flask("shop", root_path=str(tmp_path))
    affinity = init_app(app, Releases("releases"), app_first=flask_routes)
    assert isinstance(affinity.source, Releases)
    affinity.source.close()
    assert "settings" not in caplog.text
