"""``settings``, and the commands that go by what affinity.json says of how builds are served."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commanding import NAME, Site, run

if TYPE_CHECKING:
    from pathlib import Path

PAGE = '<!doctype html>\n<script src="/shop/gone.js"></script><img src="/shop/api/me.png">'
LATER = {"later": {"kept": True}}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1, which is deployed."""
    site = Site(tmp_path)
    site.upload("v1")
    site.deploy({"v1": 100.0})
    return site


def saved(site: Site) -> dict[str, Any]:
    """Return the document of affinity.json."""
    document: dict[str, Any] = json.loads((site.path / "affinity.json").read_text())
    return document


def write(site: Site, **settings: object) -> None:
    """Write settings as an editor does."""
    (site.path / "affinity.json").write_text(json.dumps({"name": NAME, "layout": 1, **settings}))


def test_defaults(site: Site) -> None:
    """Without settings, the defaults are shown, and marked as such."""
    shown = site.run("settings").stdout
    assert [line.split() for line in shown.splitlines()[2:6]] == [
        ["Prefix", "/", "default"],
        ["Application", "first", "none", "default"],
        ["Unknown", "pages", "none", "default"],
        ["Origins", "none", "default"],
    ]
    assert saved(site) == {"name": NAME, "layout": 1}


def test_change(site: Site) -> None:
    """What is given is stored and replaces the value before; the others, and keys of a later release, stay."""
    write(site, **LATER, retention={"keep": 3})
    site.run("settings", "--spa", "--prefix", "/shop/", "--app-first", "/shop/api/*", "--app-first", "/login")
    first = {
        "prefix": "/shop/",
        "app_first": ["/shop/api/*", "/login"],
        "not_found_handling": "single-page-application",
    }
    assert saved(site) == {"name": NAME, "layout": 1, **LATER, "retention": {"keep": 3}, **first}
    shown = site.run("settings", "--app-first", "none", "--no-spa", "--origin", "https://cdn.example").stdout
    assert "Application first none before: /shop/api/*, /login" in " ".join(shown.split())
    second = {"prefix": "/shop/", "app_first": [], "not_found_handling": "none", "origins": ["https://cdn.example"]}
    assert {key: saved(site)[key] for key in second} == second
    document = site.json("settings", "--404-page", "--origin", "none", "--prefix", "/")
    now = {"prefix": "/", "app_first": [], "not_found_handling": "404-page", "origins": []}
    assert (document["before"], {key: document[key] for key in now}) == (second, now)
    assert "before" not in site.json("settings")
    assert "before" not in site.json("settings", "--404-page", "--prefix", "/")
    assert document["retention"]["keep"] == 3
    site.run("retention", "--keep", "4")
    assert {key: saved(site)[key] for key in (*now, "later")} == {**now, **LATER}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--prefix", "shop", "begin it with '/', as in '/shop/'"),
        ("--app-first", "api", "app_first rule 'api' must begin with '/'"),
        ("--origin", "https://cdn.example/assets", "is not an origin: write one such as 'https://shop.example'"),
        ("--origin", "cdn.example", "is not an origin"),
    ],
)
def test_bad_options(site: Site, option: str, value: str, words: str) -> None:
    """A value that cannot be used is a usage error, and nothing is written, here and with init."""
    assert words in site.run("settings", option, value, code=2).stderr
    assert saved(site) == {"name": NAME, "layout": 1}
    assert words in run("--releases", str(site.root / "new"), "init", "--name", NAME, option, value, code=2).stderr
    assert not (site.root / "new").exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("prefix", "shop", "prefix='shop' is not a path: begin it with '/'"),
        ("prefix", 1, "prefix=1 is not a path"),
        ("app_first", "/api/*", "app_first='/api/*' is not a list"),
        ("app_first", {"/api/*": 1}, "is not a list"),
        ("app_first", ["api"], "app_first rule 'api' must begin with '/'"),
        ("app_first", [1], "app_first rule 1 must begin with '/'"),
        ("not_found_handling", "spa", "use one of none, 404-page, single-page-application"),
        ("not_found_handling", [], "use one of none, 404-page, single-page-application"),
        ("origins", "https://cdn.example", "is not a list"),
        ("origins", [None], "None is not an origin"),
    ],
)
def test_bad_file(site: Site, key: str, value: object, words: str) -> None:
    """A value in the file that cannot be used is refused with file and remedy where it matters, and can be replaced."""
    write(site, **{key: value, **LATER})
    for command in ("settings", "check v1", "explain /"):
        error = site.run(*command.split(), code=1).stderr
        assert error.startswith(f"Error: '{site.path / 'affinity.json'}': ")
        assert words in error
        assert f"version-affinity --releases {site.path} settings --help" in error
    assert (
        "nothing is changed"
        in site.run("settings", *(["--spa"] if key != "not_found_handling" else ["--prefix", "/"]), code=1).stderr
    )
    assert saved(site)[key] == value
    site.upload("v2")
    site.deploy({"v2": 100.0})
    site.run("rollback", "-y")  # the versions had users: nothing is checked
    good = {"prefix": ["--prefix", "/"], "app_first": ["--app-first", "none"], "origins": ["--origin", "none"]}
    site.run("settings", *good.get(key, ["--no-spa"]))
    assert saved(site)["later"] == LATER["later"]
    site.run("settings")


def test_null_is_default(site: Site) -> None:
    """A value that is null is as none at all."""
    write(site, prefix=None, app_first=None, not_found_handling=None, origins=None)
    assert site.run("settings").stdout.count(" default\n") == 4


def test_init(tmp_path: Path) -> None:
    """Init writes settings, and refuses to change those of a directory that is there."""
    path = str(tmp_path / "releases")
    first = ("--releases", path, "init", "--name", NAME)
    run(*first, "--spa", "--origin", "https://cdn.example", "--json")
    written = json.loads((tmp_path / "releases" / "affinity.json").read_text())
    expected = {"not_found_handling": "single-page-application", "origins": ["https://cdn.example"]}
    assert written == {"name": NAME, "layout": 1, **expected}
    run(*first, "--spa")
    error = run(*first, "--prefix", "/shop/", "--spa", code=1).stderr
    assert f"`version-affinity --releases {path} settings --prefix /shop/ --spa`" in error
    assert written == json.loads((tmp_path / "releases" / "affinity.json").read_text())


def test_init_names_its_defaults() -> None:
    """The help of init says what holds without an option."""
    text = " ".join(run("init", "--help").stdout.split())
    for words in (
        "The URL path of the versions. [default: /]",
        "'none': no paths. [default: none]",
        "No file of the build answers unknown pages. [default]",
        "stay known. [default: 10]",
        "'none' adds none. [default: none]",
    ):
        assert words in text


def test_checks_go_by_the_settings(site: Site) -> None:
    """Check, deploy and rollback need no options then; options win over the settings, one by one."""
    if os.environ.get("CI") != "true":  # there the test fails instead
        pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    site.upload("v2", more={"about.html": PAGE, "index.html": "<!doctype html>"})
    site.run("settings", "--prefix", "/shop/", "--app-first", "/shop/api/*")
    for command in ("check v2", "versions deploy v2 -y", "rollback v2 -y"):
        error = site.run(*command.split(), code=1).stderr
        assert "1 broken reference" in error
    assert f"To list all: version-affinity --releases {site.path} check v2. " in error
    assert "2 broken references" in site.run("check", "v2", "--app-first", "none", code=1).stderr
    site.run("check", "v2", "--prefix", "/other/")
    site.run("check", "v2", "--app-first", "/*")


def test_single_page_application_without_a_page(site: Site) -> None:
    """A version that no worker can load as the settings say is not deployed; check says it before."""
    site.run("settings", "--spa")
    empty = site.root / "empty"
    empty.mkdir()
    (empty / "main.js").write_text("1")
    site.run("versions", "upload", str(empty), "--id", "v2")
    words = "not_found_handling='single-page-application' answers with /index.html"
    assert words in site.run("check", str(empty), code=1).stderr
    assert words in site.run("check", "v2", code=1).stderr
    plan = site.json("versions", "deploy", "v2", "-y", code=1)
    assert [refusal["kind"] for refusal in plan["refusals"]] == ["unusable-version"]
    assert site.percentages == [{"v1": 100.0}]
    site.run("versions", "deploy", "v2", "--no-spa", "--dry-run")


def test_explain_goes_by_the_settings(site: Site) -> None:
    """An explanation for the releases is that of an application with these settings."""
    site.run("settings", "--spa", "--prefix", "/shop/", "--app-first", "/shop/api/*")
    for path, answer in (
        ("/shop/cart", "single-page document"),
        ("/shop/api/me", "wrapped application"),
        ("/cart", "wrapped application"),
    ):
        assert site.json("explain", path)["answer"] == answer
    assert site.json("explain", "/cart", "--prefix", "/")["answer"] == "single-page document"
    assert site.json("explain", "/shop/cart", "--no-spa")["answer"] == "wrapped application"


def test_without_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build is checked without releases, too."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    monkeypatch.chdir(tmp_path)
    build = Site(tmp_path / "other").build("v1")
    run("check", str(build), "--spa")


def test_upload_says_that_settings_are_wrong(site: Site) -> None:
    """An upload goes on, and says what the next commands will refuse."""
    site.upload("v1")
    write(site, prefix="shop")
    result = site.run("versions", "upload", str(site.build("v2")), "--id", "v2")
    assert "Uploaded v2" in result.stdout
    assert "begin it with '/', as in '/shop/'. Until this is fixed, check and deploy refuse" in result.stderr
