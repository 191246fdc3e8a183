"""``flask affinity …``: the same commands, for the releases that the Flask application follows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there the tests fail instead
    pytest.importorskip("flask", reason="it comes with the extra 'flask'")

from tests.cli.commanding import NAME, Site, environment
from tests.harness import write_build
from tests.releases.redis_server import redis_server
from version_affinity import Deployment
from version_affinity.releases.releases import COPY, open_log, open_reports

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SPLIT = {"v1": 80.0, "v2": 20.0}
SHOP = """
from flask import Flask
from version_affinity import Cookie, Releases
from version_affinity.flask import init_app

app = Flask(__name__)
init_app(app, Releases("releases"), keys=[Cookie("user")], override_secret="a long random text")
plain = Flask("plain")
"""
BELOW = """
from flask import Flask
from version_affinity import Releases
from version_affinity.flask import init_app

app = Flask(__name__)
init_app(app, Releases("releases"), prefix="/shop", app_first=["/shop/api/*"])
"""
LISTED = """
from flask import Flask
from version_affinity import Version
from version_affinity.flask import init_app

app = Flask(__name__)
init_app(app, [Version("v1", "builds/v1")])
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 and v2 deployed, and applications."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy({"v1": 100.0}, SPLIT)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "below.py").write_text(BELOW)
    (tmp_path / "listed.py").write_text(LISTED)
    (tmp_path / "broken.py").write_text("import no_such_module")
    (tmp_path / "elsewhere").mkdir()
    return site


def flask(
    site: Site, *arguments: str, app: str = "shop", code: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of Flask's, away from the application, and check its exit code."""
    command = [sys.executable, "-m", "flask", "--app", app, *arguments]
    path = {"PYTHONPATH": os.pathsep.join(filter(None, (str(site.root), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run(
        command,
        cwd=site.root / "elsewhere",
        env=environment(**path, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_life(site: Site) -> None:
    """Commands change the releases that the application follows, wherever they are run, and name themselves."""
    told = json.loads(flask(site, "affinity", "deployments", "status", "--json").stdout)
    assert (told["releases"], told["percentages"]) == (str(site.path), SPLIT)
    done = flask(site, "affinity", "versions", "deploy", "v2", "-y")
    assert "\nTo give v1 to all users again: python -m flask affinity rollback\n" in done.stdout
    assert site.percentages[-1] == {"v2": 100.0}
    assert "Pass -y" in flask(site, "affinity", "rollback", code=1).stderr


def test_explain(site: Site) -> None:
    """An explanation is the application's own."""
    assign = Deployment(NAME, SPLIT).assign
    key = next(key for key in map(str, range(1000)) if assign(key) == "v2")
    told = json.loads(flask(site, "affinity", "explain", "/", "--cookie", f"user={key}", "--json").stdout)
    assert told["decision"] == {"version": "v2", "reason": "key", "source": "cookie:user", "refused": ""}


def test_override_link(site: Site) -> None:
    """Links are signed with the application's secret."""
    assert "version-override=" in flask(site, "affinity", "override-link", "v2").stdout


def test_options_win(site: Site) -> None:
    """Releases that are named are taken, and the application is not even loaded."""
    other = Site(site.root / "other")
    for app, options, more in (
        ("shop", ["--releases", str(other.path)], {}),
        ("broken", ["--releases", str(other.path)], {}),
        ("shop", [], {"VERSION_AFFINITY_RELEASES": str(other.path)}),
    ):
        done = flask(site, "affinity", *options, "deployments", "status", "--json", app=app, **more)
        assert json.loads(done.stdout)["releases"] == str(other.path)


def test_application_with_a_list(site: Site) -> None:
    """An application that lists its versions has no releases of its own: those of the default are meant."""
    site.build("v1")
    done = flask(site, "affinity", "deployments", "status", app="listed", code=1)
    assert f"'{site.root / 'elsewhere' / 'releases'}' is not a releases directory" in done.stderr
    told = json.loads(flask(site, "affinity", "explain", "/", "--json", app="listed").stdout)
    assert told["decision"]["reason"] == "only"


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("shop:plain", "the application has no VersionAffinity"),
        ("nowhere", "the application cannot be loaded: Could not import 'nowhere'"),
        ("broken", "No module named 'no_such_module'"),
        ("shop:nothing", "the application cannot be loaded: "),
    ],
)
def test_no_application(site: Site, app: str, words: str) -> None:
    """Where the application cannot be loaded, it is told how to name the releases."""
    done = flask(site, "affinity", "deployments", "status", app=app, code=1)
    assert words in done.stderr
    if app != "shop:plain":
        assert "flask affinity --releases DIRECTORY" in done.stderr


@pytest.mark.parametrize("state", ["no directory", "nothing deployed"])
def test_before_the_first_deployment(site: Site, state: str) -> None:
    """The application does not start before something is deployed, but the commands know its releases."""
    if state == "no directory":
        shutil.rmtree(site.path)
        assert "init --name storefront" in flask(site, "affinity", "versions", "list", code=1).stderr
        flask(site, "affinity", "init", "--name", "storefront")
        flask(
            site,
            "affinity",
            "versions",
            "upload",
            str(write_build(site.root / "dist", {"index.html": "v1"})),
            "--id",
            "v1",
        )
    else:
        site.root.joinpath("releases", "deployments.jsonl").unlink()
        site.root.joinpath("releases", ".last-known.jsonl").unlink(missing_ok=True)
    assert "nothing is deployed yet" in flask(site, "affinity", "explain", "/", code=1).stderr
    flask(site, "affinity", "versions", "deploy", "v1", "-y")
    flask(site, "affinity", "deployments", "status")


def test_own_names(site: Site) -> None:
    """Help and errors name the commands as they are typed here, and no variable of Flask's."""
    for command in ("versions deploy", "init", "settings", "deployments"):
        shown = flask(site, "affinity", *command.split(), "--help").stdout
        assert f"    python -m flask affinity {command}" in shown
        assert "version-affinity " not in shown
        assert "FLASK_" not in shown
    error = flask(site, "affinity", "versions", "view", "v9", code=1).stderr
    assert "(python -m flask affinity versions upload)" in error
    assert "version-affinity" not in error
    told = json.loads(flask(site, "affinity", "versions", "view", "v9", "--json", code=1).stdout)
    assert "(python -m flask affinity versions list)" in told["error"]
    assert "[default: the application's]" in flask(site, "affinity", "--help").stdout
    assert "--app" not in flask(site, "affinity", "explain", "/", "--cookie", "other=1").stderr
    site.run("settings", "--spa")
    warned = flask(site, "affinity", "settings").stderr
    assert "To correct the file: python -m flask affinity settings --no-spa" in warned
    assert flask(site, "affinity", "settings", "--no-spa").stderr == ""  # it does what the warning proposes
    warned = flask(site, "affinity", "settings", "--app-first", "/api/*").stderr
    assert "has app_first=['/api/*'], and the application has app_first=[], which decides" in warned
    assert flask(site, "affinity", "deployments", "status").stderr == ""


def test_help(site: Site) -> None:
    """Flask lists the group, and the group its commands, without the application."""
    assert "affinity" in flask(site, "--help").stdout
    shown = flask(site, "affinity", "--help", app="broken").stdout
    assert "flask affinity versions deploy" in shown
    assert "completion" not in shown


PAGE = '<!doctype html>\n<script src="/shop/gone.js"></script><img src="/shop/api/me.png">'


def test_checks_as_the_application_serves(site: Site) -> None:
    """References are checked below the application's prefix, and its own paths are taken for its; options win."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    site.upload("v3", more={"about.html": PAGE, "index.html": "<!doctype html>"})
    for command in ("check v3", "versions deploy v3 -y", "rollback v3 -y"):
        done = flask(site, "affinity", *command.split(), app="below", code=1)
        assert "1 broken reference" in done.stderr
    told = {"VERSION_AFFINITY_RELEASES": str(site.path)}
    assert "1 broken reference" in flask(site, "affinity", "check", "v3", app="below", code=1, **told).stderr
    flask(site, "affinity", "check", "v3", "--prefix", "/other/", app="below")
    flask(site, "affinity", "check", "v3", "--app-first", "/*", app="below")
    done = flask(site, "affinity", "--releases", str(site.path), "check", "v3", app="broken", code=1)
    assert "2 broken references" in done.stderr


def test_application_before_the_settings(site: Site) -> None:
    """The application comes before affinity.json, which a warning says; options come before both."""
    site.run("settings", "--prefix", "/other/", "--app-first", "none", "--spa")
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    site.upload("v3", more={"about.html": PAGE, "index.html": "<!doctype html>"})
    done = flask(site, "affinity", "check", "v3", app="below", code=1)
    assert "1 broken reference" in done.stderr
    assert "affinity.json' has prefix='/other/', app_first=[], not_found_handling='single-page-application', and" in (
        done.stderr
    )
    done = flask(site, "affinity", "check", "v3", "--prefix", "/other/", app="below")
    done = flask(site, "affinity", "--releases", str(site.path), "check", "v3", app="below")


def test_commands_leave_no_trace(site: Site) -> None:
    """The application of a command is loaded for a question, and serves nobody: neither report nor copy of the log."""
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    flask(site, "affinity", "explain", "/")
    assert not (site.path / COPY).exists()
    with redis_server() as redis:
        log = open_log(site.directory, redis.url)
        log.append(SPLIT, expected=0)
        flask(site, "affinity", "explain", "/", VERSION_AFFINITY_LOG=redis.url)
        assert open_reports(site.directory, log).read().live == ()
        log.close()
    assert not (site.path / COPY).exists()
