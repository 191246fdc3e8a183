"""A checkout without builds: ``missing_build="placeholder"`` lets the application start, and a page says what to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import flask
import pytest

from tests.builds import Answer
from tests.harness import NAVIGATION, SCRIPT, client, write_build
from version_affinity import ConfigurationError, Releases, StaticAssets, Version, VersionAffinity
from version_affinity.flask import init_app
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

SPA = {"not_found_handling": "single-page-application"}
PAGE = {**NAVIGATION, "Accept": "text/html"}


def front_end(root: Path, app: Any = None, **options: Any) -> VersionAffinity:
    """Return a front end whose build is missing."""
    return VersionAffinity(app, [Version("v1", root / "builds/v1")], **{"missing_build": "placeholder", **options})


@pytest.mark.parametrize("what", ["nothing", "an empty directory", "hidden files"])
def test_placeholder(tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    """Without a build, pages get one with status 503 that no cache keeps, and the log names the directory."""
    if what != "nothing":
        write_build(tmp_path / "builds/v1", {".gitkeep": ""} if what == "hidden files" else {})
        (tmp_path / "builds/v1").mkdir(parents=True, exist_ok=True)
    affinity = front_end(tmp_path)
    response = client(affinity).get("/cart", headers=PAGE)
    assert response.status == "503 Service Unavailable"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "text/html; charset=utf-8"
    assert "<code>builds/v1</code>" in response.text
    assert str(tmp_path) not in response.text
    assert client(affinity).head("/", headers=PAGE).status_code == 503
    assert client(affinity).get("/app.js", headers=SCRIPT).status_code == 404
    assert f"'{tmp_path}/builds/v1' does not exist or has no files" in caplog.text
    assert affinity.counters().requests["v1", "page", "5xx", "only"] == 2


def test_beside_an_application(tmp_path: Path) -> None:
    """The application answers as it does behind a build; the placeholder is the single-page document."""
    asked = client(front_end(tmp_path, Answer(), app_first=["/api/*"], **SPA))
    assert asked.get("/cart", headers=PAGE).status_code == asked.get("/", headers=PAGE).status_code == 503
    assert (
        asked.get("/api/users", headers=PAGE).text == asked.get("/data").text == asked.post("/cart").text == "the app"
    )
    asked = client(front_end(tmp_path, Answer()))
    assert asked.get("/cart", headers=PAGE).text == asked.get("/", headers=PAGE).text == "the app"


def test_explain(tmp_path: Path) -> None:
    """``explain`` says that a placeholder answers."""
    affinity = front_end(tmp_path, Answer(), **SPA)
    environ = {"PATH_INFO": "/cart", "HTTP_ACCEPT": "text/html"}
    assert affinity.explain(environ).answer == "placeholder"
    assert affinity.page_answers("/cart", lambda _: False) == {"v1": "placeholder"}


def test_the_build_comes(tmp_path: Path) -> None:
    """With ``autorefresh`` the build is served as soon as it is there."""
    affinity = front_end(tmp_path, autorefresh=True, **SPA)
    assert client(affinity).get("/", headers=PAGE).status_code == 503
    write_build(tmp_path / "builds/v1", {"index.html": "built", "assets/index-BX4CeNGm.js": "1"})
    assert client(affinity).get("/cart", headers=PAGE).text == "built"
    assert client(affinity).get("/assets/index-BX4CeNGm.js").text == "1"
    shutil.rmtree(tmp_path / "builds/v1")
    assert client(affinity).get("/cart", headers=PAGE).status_code == 200


def test_one_of_two_is_missing(tmp_path: Path) -> None:
    """A build that exists is served beside one that does not, and tags come from it."""
    manifest = '{"src/main.ts": {"file": "assets/index-BX4CeNGm.js", "isEntry": true}}'
    files = {"index.html": "v1", "assets/index-BX4CeNGm.js": "1", ".vite/manifest.json": manifest}
    write_build(tmp_path / "builds/v1", files)
    affinity = front_end(tmp_path)
    affinity.add(Version("v2", tmp_path / "builds/v2"))
    affinity.deploy({"v2": 100})
    assert client(affinity).get("/", headers=PAGE).status_code == 503
    assert client(affinity).get("/assets/index-BX4CeNGm.js").text == "1"
    assert "index-BX4CeNGm.js" in affinity.asset_tags({}, "src/main.ts")


def test_templates(tmp_path: Path) -> None:
    """Pages of the application are rendered, without tags, also where a wrong entry is an error."""
    affinity = front_end(tmp_path, autorefresh=True)
    assert affinity.asset_tags({}, "src/main.ts") == ""
    assert affinity.asset_url({}, "logo.svg") == "/logo.svg"
    assert affinity.current_version({}) == "v1"


def test_flask_application_imports(tmp_path: Path) -> None:
    """A Flask application whose builds are missing starts, and its own routes are tested without a build."""
    app = flask.Flask("shop", root_path=str(tmp_path))
    init_app(app, [Version("v1", "builds/v1")], missing_build="placeholder", **SPA)
    app.add_url_rule("/api/users", view_func=lambda: "users")
    assert app.test_client().get("/api/users").text == "users"
    assert app.test_client().get("/", headers=PAGE).status_code == 503


@pytest.mark.parametrize("debug", [False, True])
def test_the_default_stays_an_error(tmp_path: Path, debug: bool) -> None:
    """Without the option a missing build is refused, in Flask's debug mode too."""
    app = flask.Flask("shop", root_path=str(tmp_path))
    app.debug = debug
    with pytest.raises(ConfigurationError, match=r"does not exist .* build the front end first"):
        init_app(app, [Version("v1", "builds/v1")])


@pytest.mark.parametrize("value", ["page", True, None])
def test_unknown_value(tmp_path: Path, value: Any) -> None:
    """Another value is refused with those that there are."""
    with pytest.raises(ConfigurationError, match=r"missing_build=.*'error' or 'placeholder'"):
        front_end(tmp_path, missing_build=value)
    with pytest.raises(ConfigurationError, match="missing_build="):
        StaticAssets(tmp_path, missing_build=value)


def test_what_is_not_missing_is_refused(tmp_path: Path) -> None:
    """A file in place of the directory, a source directory, and a build without its page stay errors."""
    write_build(tmp_path, {"builds/v1": "a file"})
    with pytest.raises(ConfigurationError, match="is a file"):
        front_end(tmp_path)
    (tmp_path / "builds/v1").unlink()
    write_build(tmp_path / "builds/v1", {"a.js": "1"})
    with pytest.raises(ConfigurationError, match="has none"):
        front_end(tmp_path, **SPA)
    write_build(tmp_path / "builds/v1", {"node_modules/x.js": "1"})
    with pytest.raises(ConfigurationError, match="source directory"):
        front_end(tmp_path)


def test_static_assets(tmp_path: Path) -> None:
    """A build alone has the option too."""
    assets = StaticAssets(tmp_path / "dist", missing_build="placeholder", autorefresh=True)
    assert client(assets).get("/", headers=PAGE).status_code == 503
    assert client(assets).get("/app.js", headers=SCRIPT).status_code == 404
    write_build(tmp_path / "dist", {"index.html": "built"})
    assert client(assets).get("/", headers=PAGE).text == "built"


# --- releases ---------------------------------------------------------------------------------------------------------


def releases_in(root: Path, state: str) -> Releases:
    """Return releases in which nothing can be served, and why."""
    path = root / "releases"
    if state != "no directory":
        directory = ReleasesDirectory.init(path, name="storefront")
        if state != "nothing uploaded":
            upload(directory, write_build(root / "dist", {"index.html": "v1"}), id="v1")
        if state == "version not here":
            open_log(directory).append({"v1": 100}, expected=0)
            shutil.rmtree(path / "versions/v1")
            (path / "versions/v1.json").unlink()
    return Releases(path, reports=False)


@pytest.mark.parametrize("state", ["no directory", "nothing uploaded", "nothing deployed", "version not here"])
def test_releases(tmp_path: Path, caplog: pytest.LogCaptureFixture, state: str) -> None:
    """A placeholder stands in for releases without a deployment; by default a worker refuses to start."""
    releases = releases_in(tmp_path, state)
    with pytest.raises(ConfigurationError):
        VersionAffinity(Answer(), releases)
    affinity = VersionAffinity(Answer(), releases_in(tmp_path / "again", state), missing_build="placeholder", **SPA)
    response = client(affinity).get("/", headers=PAGE)
    assert (response.status_code, "version-affinity versions deploy" in response.text) == (503, True)
    assert client(affinity).get("/data").text == "the app"
    assert affinity.known == ("not-deployed",)
    assert isinstance(affinity.source, Releases)  # commands find the directory by it
    assert "directory <code>" not in response.text
    assert "A placeholder is served until the application starts again" in caplog.text
    assert "does not exist or has no files" not in caplog.text  # no build belongs into the directory "not-deployed"


def test_damaged_releases(tmp_path: Path) -> None:
    """Settings that cannot be read are an error all the same."""
    write_build(tmp_path / "releases", {"affinity.json": "{"})
    with pytest.raises(ConfigurationError, match=r"affinity\.json"):
        VersionAffinity(None, Releases(tmp_path / "releases"), missing_build="placeholder")


def test_releases_with_a_deployment(tmp_path: Path) -> None:
    """The option changes nothing where a version is deployed: a version whose files are gone is not replaced."""
    directory = ReleasesDirectory.init(tmp_path / "releases", name="storefront")
    for version in ("v1", "v2"):
        upload(directory, write_build(tmp_path / version, {"index.html": version}), id=version)
    open_log(directory).append({"v1": 50, "v2": 50}, expected=0)
    shutil.rmtree(tmp_path / "releases/versions/v2")
    affinity = VersionAffinity(None, Releases(tmp_path / "releases", reports=False), missing_build="placeholder")
    assert isinstance(affinity.source, Releases)
    affinity.source.close()
    assert affinity.known == ("v1",)
    assert client(affinity).get("/", headers=PAGE).text == "v1"
