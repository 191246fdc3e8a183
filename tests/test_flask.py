"""Flask: ``init_app``, what templates get, a request context of a test, and the package without Flask."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import flask
import pytest

from tests.builds import ENTRY, NAME, SHARED, SPLIT, key_of, write_builds
from tests.harness import NAVIGATION, client
from version_affinity import ConfigurationError, Cookie, StaticAssets, Version, VersionAffinity
from version_affinity import flask as version_affinity_flask
from version_affinity.flask import asset_tags, asset_url, current_version, init_app

if TYPE_CHECKING:
    from pathlib import Path

TAGS_V1 = (
    f'<script type="module" crossorigin src="{ENTRY["v1"]}"></script>\n'
    f'<link rel="modulepreload" crossorigin href="{SHARED}">'
)


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    """An application whose root directory holds the builds, with routes that use what templates get."""
    write_builds(tmp_path / "builds")
    app = flask.Flask("shop", root_path=str(tmp_path))

    @app.get("/page")
    def page() -> str:
        return flask.render_template_string(
            "<p>{{ current_version() }} {{ asset_url('src/main.ts') }}</p>{{ asset_tags('src/main.ts') }}"
        )

    @app.get("/plain")
    def plain() -> str:
        return "<p>no version"

    @app.get("/data")
    def data() -> dict[str, str]:
        return {"version": current_version(), "entry": asset_url("src/main.ts")}

    @app.get("/environ")
    def environ() -> dict[str, Any]:
        return {"version": flask.request.environ["version_affinity.version"]}

    return app


def versions() -> list[Version]:
    """Return v1 and v2 in directories relative to the application."""
    return [Version(version, f"builds/{version}", percentage=share) for version, share in SPLIT.items()]


def set_up(app: flask.Flask, **options: Any) -> VersionAffinity:
    """Put the versions in front of the application."""
    return init_app(app, versions(), **{"name": NAME, **options})


def on(version: str) -> dict[str, str]:
    """Return the headers of a page of a version."""
    return {**NAVIGATION, "Version-Key": key_of(version)}


def test_init_app(app: flask.Flask) -> None:
    """``init_app`` wraps the application and returns the middleware, which the application's extensions hold."""
    affinity = set_up(app)
    assert app.wsgi_app is affinity
    assert app.extensions["version_affinity"] is affinity
    assert client(app).get("/", headers=on("v2")).text.endswith("page of v2")
    assert client(app).get("/environ", headers=on("v2")).json == {"version": "v2"}


def test_relative_directories(app: flask.Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative directories, retained ones too, count from the application's root path, not from the current one."""
    monkeypatch.chdir("/")
    own = StaticAssets(tmp_path / "builds" / "v2")
    given = [Version("v1", "builds/v1", percentage=100), Version("v2", own, percentage=0)]
    affinity = init_app(app, given, retained=[Version("v0", "builds/v0")])
    assert affinity.known == ("v1", "v2", "v0")
    for version in ENTRY:
        assert client(app).get(ENTRY[version]).text == f"// entry of {version}"
    assert given[0].app == "builds/v1"


def test_relative_directories_of_later_versions(
    app: flask.Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory of a version that is added later counts from the application's root path as well."""
    affinity = set_up(app)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    affinity.add(Version("v0", "builds/v0"))
    assert client(app).get(ENTRY["v0"]).text == "// entry of v0"


def test_init_app_twice(app: flask.Flask) -> None:
    """A second ``init_app`` is refused with what to do instead, and the first one stays."""
    affinity = set_up(app)
    with pytest.raises(ConfigurationError, match=r"'shop' before: list all versions in one call, and deploy\(\)"):
        set_up(app)
    assert app.wsgi_app is affinity
    assert app.extensions["version_affinity"] is affinity


@pytest.mark.parametrize("version", SPLIT)
def test_wrapped_by_hand(app: flask.Flask, tmp_path: Path, version: str) -> None:
    """The helpers work without ``init_app``, too, where ``VersionAffinity`` was put in front by hand."""
    given = [Version(of, tmp_path / "builds" / of, percentage=share) for of, share in SPLIT.items()]
    app.wsgi_app = VersionAffinity(app.wsgi_app, given, name=NAME)  # type: ignore[method-assign]
    app.add_url_rule("/tags", view_func=lambda: asset_tags("src/main.ts"))
    response = client(app).get("/data", headers=on(version))
    assert response.json == {"version": version, "entry": ENTRY[version]}
    assert response.headers["Version-Affinity"].startswith(f"{version};reason=key")
    assert client(app).get("/tags", headers=on(version)).text == TAGS_V1.replace(ENTRY["v1"], ENTRY[version])


def test_not_wrapped(app: flask.Flask) -> None:
    """Without either, the helpers raise an error that says how to wrap the application."""
    with app.test_request_context("/"):
        for use in (current_version, lambda: asset_url("src/main.ts"), lambda: asset_tags("src/main.ts")):
            with pytest.raises(LookupError, match="VersionAffinity"):
                use()


def test_application_as_version(app: flask.Flask) -> None:
    """In a Flask application that is a version the helpers know the decision that was made for the request."""
    shares = {"own": 50.0, "v2": 50.0}
    own = [Version("own", app, percentage=50), Version("v2", f"{app.root_path}/builds/v2", percentage=50)]
    affinity = VersionAffinity(None, own, name=NAME, prefix="/shop/")
    response = client(affinity).get("/shop/data", headers={"Version-Key": key_of("own", shares)})
    assert response.json == {"version": "own", "entry": f"/shop{ENTRY['v2']}"}


def test_absolute_directories_and_applications(app: flask.Flask, tmp_path: Path) -> None:
    """An absolute directory stays as it is, and an application as a version is called."""
    other = flask.Flask("other")
    other.add_url_rule("/hello", view_func=lambda: "hello of other")
    init_app(app, [Version("v1", tmp_path / "builds" / "v1", percentage=100), Version("other", other, percentage=0)])
    assert client(app).get("/").text.endswith("page of v1")
    assert client(app).get("/hello", headers={"Version-Override": "other"}).text == "hello of other"


@pytest.mark.parametrize("version", SPLIT)
def test_templates(app: flask.Flask, version: str) -> None:
    """Templates get the decided version, its URLs, and its tags unescaped."""
    set_up(app)
    response = client(app).get("/page", headers=on(version))
    assert response.text == f"<p>{version} {ENTRY[version]}</p>{TAGS_V1.replace(ENTRY['v1'], ENTRY[version])}"
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Version-Affinity"].startswith(f"{version};reason=key")
    assert response.headers["Set-Cookie"].partition(";")[0].endswith(f".{version}")


def test_pages_and_data_that_depend(app: flask.Flask) -> None:
    """Any page is traced; data is only when it depends on the version."""
    set_up(app)
    asked = client(app)
    assert "Version-Affinity" in asked.get("/plain", headers=on("v1")).headers
    depending = asked.get("/data", headers=on("v1"))
    assert depending.json == {"version": "v1", "entry": ENTRY["v1"]}
    assert depending.headers["Cache-Control"] == "private, no-cache"
    untouched = asked.get("/environ", headers=on("v1"))
    assert not {"Cache-Control", "Vary", "Version-Affinity", "Set-Cookie"} & set(untouched.headers.keys())


def test_flask_test_client(app: flask.Flask) -> None:
    """Flask's own test client goes through the middleware and keeps one visitor on one version."""
    set_up(app)
    visitor = app.test_client()
    first = visitor.get("/data", headers=NAVIGATION)
    assert visitor.get("/page", headers=NAVIGATION).text.startswith("<p>v")
    pages = {visitor.get("/page", headers=NAVIGATION).text for _ in range(10)}
    assert (first.status_code, len(pages)) == (200, 1)


@pytest.mark.parametrize("version", SPLIT)
def test_request_context(app: flask.Flask, version: str) -> None:
    """In a request context that did not come through the middleware, the version is decided there and then."""
    set_up(app)
    with app.test_request_context("/anything", headers=on(version)):
        assert current_version() == version
        assert asset_url("src/main.ts") == ENTRY[version]
        assert str(asset_tags("src/main.ts")) == TAGS_V1.replace(ENTRY["v1"], ENTRY[version])
        assert flask.render_template_string("{{ asset_tags('src/main.ts') }}").startswith("<script ")


def test_request_context_decides_once(app: flask.Flask) -> None:
    """Within one request context the version stays the same, drawn as it may be."""
    set_up(app)
    for _ in range(20):
        with app.test_request_context("/anything"):
            assert len({current_version() for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("config", "keys", "warned"),
    [
        ("session", [Cookie("session")], "Cookie('session')"),
        ("session", [Cookie("user_id"), Cookie("session")], "Cookie('session')"),
        ("sid", [Cookie("sid")], "Cookie('sid')"),
        ("sid", iter([Cookie("user_id"), Cookie("sid")]), "Cookie('sid')"),
        ("session", iter([Cookie("session")]), "Cookie('session')"),
        ("session", [Cookie("session_id")], ""),
        ("sid", [Cookie("user_id")], ""),
        ("session", [lambda environ: None], ""),
    ],
)
def test_session_cookie_warning(app: flask.Flask, config: str, keys: list[Any], warned: str) -> None:
    """Naming Flask's own session cookie, by whatever name, as a key source warns and says what to use."""
    app.config["SESSION_COOKIE_NAME"] = config
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        set_up(app, keys=keys)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == bool(warned)
    assert {warning.filename for warning in caught} <= {__file__}
    assert all(warned in message and "stays the same" in message and "user id" in message for message in messages)


def test_configuration_errors_come_through(app: flask.Flask) -> None:
    """What cannot be used is refused as it is without Flask, and the application is left as it was."""
    before = app.wsgi_app
    for given in ([Version("v1", "nothing")], ["v1"], [], 5, None):
        with pytest.raises(ConfigurationError):
            init_app(app, given)  # type: ignore[arg-type]
    for options in ({"retained": None}, {"retained": 5}, {"keys": "user_id"}, {"keys": None}, {"name": "My Shop"}):
        with pytest.raises(ConfigurationError):
            set_up(app, **options)
    assert app.wsgi_app == before
    assert "version_affinity" not in app.extensions


def test_imports_without_flask() -> None:
    """The package imports, and every public name of it, where Flask, Jinja and Redis are not installed."""
    program = """
import sys
for name in ("flask", "jinja2", "redis", "click.testing"):
    sys.modules[name] = None
import version_affinity
for name in version_affinity.__all__:
    getattr(version_affinity, name)
try:
    import version_affinity.flask
except ImportError:
    print("without")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "without", "")


def test_names() -> None:
    """The module offers what its documentation names."""
    for name in ("init_app", "current_version", "asset_url", "asset_tags"):
        assert callable(getattr(version_affinity_flask, name))


class Around:
    """Other middleware."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer a request."""
        return self.app(environ, start_response)


def front_end(app: flask.Flask, around: Any, **options: Any) -> VersionAffinity:
    """Return a front end with the builds of an application, around something."""
    return VersionAffinity(around, [Version("v1", f"{app.root_path}/builds/v1")], **options)


def test_the_application_object_is_refused(app: flask.Flask) -> None:
    """``VersionAffinity(app)`` in place of ``app.wsgi_app`` would call itself: it is refused with the remedy."""
    with pytest.raises(ConfigurationError, match=r"app\.wsgi_app = VersionAffinity\(app\.wsgi_app, .*init_app"):
        front_end(app, app)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize(("first", "second"), [("assign", "init"), ("init", "assign"), ("assign", "assign")])
@pytest.mark.parametrize("options", [{}, {"prefix": "/shop/"}, {"name": "other"}])
def test_two_around_one_application(
    app: flask.Flask, first: str, second: str, between: bool, options: dict[str, Any]
) -> None:
    """The assignment together with ``init_app`` is refused, also with other middleware between the two."""

    def put(how: str, **options: Any) -> None:
        if how == "init":
            init_app(app, [Version("v1", "builds/v1")], **options)
        else:
            app.wsgi_app = front_end(app, app.wsgi_app, **options)  # type: ignore[method-assign]

    put(first)
    if between:
        app.wsgi_app = Around(app.wsgi_app)  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match=r"has a VersionAffinity already.*only once"):
        put(second, **options)


class AroundWsgiApp:
    """Middleware that keeps what it wraps as ``wsgi_app``, as that of Flask-SocketIO does."""

    def __init__(self, wsgi_app: Any) -> None:
        self.wsgi_app = wsgi_app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer a request."""
        return self.wsgi_app(environ, start_response)


@pytest.mark.parametrize("how", ["assign", "init"])
def test_around_other_middleware(app: flask.Flask, how: str) -> None:
    """Middleware with an attribute ``wsgi_app`` is no application object, and one more front end is found below it."""
    app.wsgi_app = AroundWsgiApp(app.wsgi_app)  # type: ignore[method-assign]
    if how == "init":
        init_app(app, [Version("v1", "builds/v1")])
    else:
        app.wsgi_app = front_end(app, app.wsgi_app)  # type: ignore[method-assign]
    assert client(app).get("/robots.txt").status_code == 200
    with pytest.raises(ConfigurationError, match="has a VersionAffinity already"):
        front_end(app, AroundWsgiApp(app.wsgi_app))


def test_around_a_mock(app: flask.Flask) -> None:
    """An object that has any attribute is searched for other front ends to an end."""
    assert front_end(app, Mock()).known == ("v1",)


def test_two_front_ends(app: flask.Flask) -> None:
    """Two front ends with different names and prefixes stand in front of one application."""
    init_app(app, [Version("v1", "builds/v1")], name="shop", prefix="/shop/")
    app.wsgi_app = front_end(app, app.wsgi_app, name="admin", prefix="/admin/")  # type: ignore[method-assign]
    assert client(app).get("/shop/robots.txt").status_code == client(app).get("/admin/robots.txt").status_code == 200
