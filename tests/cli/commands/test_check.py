"""``check``: what is wrong with a build, by file and line, as text and as JSON."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import COLLISION, ENTRY, Site, run

if os.environ.get("CI") != "true":  # there the tests fail instead
    for parser in ("justhtml", "tinycss2", "tree_sitter", "tree_sitter_javascript"):
        pytest.importorskip(parser, reason="it comes with the extra 'check'")

if TYPE_CHECKING:
    from pathlib import Path

PAGE = f"""<!doctype html>
<script type="module" src="{ENTRY["v1"]}"></script>
<img src="/gone.png"><img src="/api/me.png">
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1, which is deployed, and v2, which is broken."""
    site = Site(tmp_path)
    site.upload("v1", more={COLLISION[1:]: "// chunk of v1"})
    broken = {COLLISION[1:]: "// chunk of v2", "about.html": PAGE}
    site.upload("v2", more=broken)
    site.deploy({"v1": 100.0})
    return site


def test_fit(site: Site) -> None:
    """A build in which nothing is wrong is fit, with what is new against the live version; warnings do not matter."""
    build = site.build(
        "v3", {"index.html": f'<script type="module" src="{ENTRY["v3"]}"></script>\n<img src="/logo.svg">'}
    )
    shown = site.run("check", str(build)).stdout
    assert shown.startswith(f"{build}: 4 files, ")
    assert "\nAgainst v1, which 100 % of the users have: 3 new (" in shown
    assert "), 1 shared (1.8 kB), 4 removed (" in shown
    assert "\n/index.html\n  2  warning  /logo.svg has other bytes in v1 and v2" in shown
    assert shown.endswith("\nFit to be deployed, with 1 warning.\n")


def test_broken(site: Site) -> None:
    """What is broken is listed by file and line, and the command ends with 1."""
    result = site.run("check", "v2", code=1)
    kind = "<script src>"
    assert (
        "\n/about.html\n"
        f"  2  broken  {kind} {ENTRY['v1']}: the file does not exist (it is in v1)\n"
        "  3  broken  <img src> /api/me.png: the file does not exist\n"
        "  3  broken  <img src> /gone.png: the file does not exist\n"
    ) in result.stdout
    assert (
        f"\nFingerprinted names with other bytes in a known version\n  broken  {COLLISION}  also in v1\n"
        in result.stdout
    )
    assert "v2 is not fit to be deployed: 3 broken references, 1 collision" in result.stderr
    assert "--app-first '/api/*'" in result.stderr
    assert "2 broken references" in site.run("check", "v2", "--app-first", "/api/*", code=1).stderr


def test_as_json(site: Site) -> None:
    """The JSON is the whole report, whether the build is fit or not."""
    told = json.loads(site.run("check", "v2", "--json", code=1).stdout)
    assert (told["ok"], told["build"], told["known"], told["live"]) == (False, "v2", ["v1"], "v1")
    assert [(found["file"], found["line"]) for found in told["broken"]] == [("/about.html", line) for line in (2, 3, 3)]
    assert told["collisions"] == [{"path": COLLISION, "versions": ["v1"]}]
    assert told["churn"]["live"] == "v1"
    assert json.loads(site.run("check", "v1", "--json", code=1).stdout)["live"] is None


def test_prefix(site: Site) -> None:
    """Below a prefix, references count from there."""
    build = site.build("v3", {"index.html": f'<script type="module" src="/shop{ENTRY["v3"]}"></script>'})
    assert site.json("check", str(build), "--prefix", "/shop/")["broken"] == []
    assert "1 broken reference" in site.run("check", str(build), code=1).stderr
    assert site.json("check", str(build), "--prefix", "/other/")["ok"]


def test_another_prefix(site: Site) -> None:
    """A build that is made for another prefix says which one to name, not that the application may answer."""
    page = f'<!doctype html><script type="module" src="/shop{ENTRY["v3"]}"></script>'
    build = str(site.build("v3", {"index.html": page}))
    hint = "The build seems to be made for another prefix than /: --prefix /shop/"
    refused = site.run("check", build, code=1).stderr
    assert (hint in refused, "--app-first" in refused) == (True, False)
    assert hint not in site.run("check", build, "--prefix", "/shop/").stdout
    fit = site.run("check", build, "--prefix", "/other/").stdout
    assert "The build seems to be made for another prefix than /other/: --prefix /shop/\n\nFit to be deployed." in fit
    site.upload("v3", more={"index.html": page})
    assert hint in site.run("versions", "deploy", "v3@10%", "v1@90%", "-y", code=1).stderr


def test_inherited(site: Site) -> None:
    """A reference that is broken in the live version too is a warning, also to deploy; --against names another one."""
    more = {"about.html": "<!doctype html><img src='/gone.png'>"}
    site.upload("v0", more=more)
    assert "v0 has 1 broken reference" in site.run("versions", "deploy", "v0", "-y", code=1).stderr
    site.run("versions", "deploy", "v0", "-y", "--force")
    build = str(site.build("v3", more))
    shown = site.run("check", build).stdout
    assert "/gone.png: the file does not exist; it is broken in v0 too" in shown
    assert "Against v0, which 100 % of the users have: " in shown
    assert "1 broken reference" in site.run("check", build, "--against", "v1", code=1).stderr
    site.upload("v3", more=more)
    site.run("versions", "deploy", "v3@10%", "v0@90%", "-y")
    other = str(site.root / "builds" / "v0")
    told = site.json("check", build, "--against", other)
    assert [found["doubt"] for found in told["doubtful"]] == [f"it is broken in {other} too"]
    assert f"Against {other}: " in site.run("check", build, "--against", other).stdout
    assert "version 'v9' is not in" in site.run("check", build, "--against", "v9", code=1).stderr
    assert "the value is empty" in site.run("check", build, "--against", "", code=2).stderr


def test_traps(site: Site) -> None:
    """Traps are warnings, by file; one that is about the whole build stands under a heading of its own."""
    worker = "caches.open('v1').then(cache => cache.addAll(['/', '/index.html']))"
    build = str(site.build("v3", {"sw.js": worker}))
    shown = site.run("check", build).stdout
    assert "\n/sw.js\n  1  warning  the worker caches /index.html, which is redirected to /: Chromium shows" in shown
    assert "Fit to be deployed, with" in shown
    (site.root / "builds" / "v3" / "index.html").unlink()
    assert re.search(
        "\nThe build\n +warning  it has no HTML page and no build manifest", site.run("check", build).stdout
    )


def test_origins(site: Site) -> None:
    """Where a build seems to be served under an origin, too, it is said how that is checked."""
    page = (
        f'<script type="module" src="https://cdn.example{ENTRY["v3"]}"></script><img src="https://cdn.example/b.png">'
    )
    build = str(site.build("v3", {"index.html": page}))
    line = "2 references to https://cdn.example were not checked. To check them: --origin https://cdn.example"
    assert site.run("check", build).stdout.endswith(f"\n\n{line}\n\nFit to be deployed.\n")
    told = site.json("check", build)
    assert (told["ok"], told["unchecked"]) == (True, [{"origin": "https://cdn.example", "references": 2, "path": ""}])
    result = site.run("check", build, "--origin", "https://cdn.example", code=1)
    assert "  1  broken  <img src> https://cdn.example/b.png: the file does not exist\n" in result.stdout
    assert line not in result.stdout
    assert "'cdn' is not an origin" in site.run("check", build, "--origin", "cdn", code=2).stderr


def test_where_an_origin_has_the_build(site: Site) -> None:
    """Where a CDN has the build below a path, that is told, and what checks it; under a prefix there is nothing."""
    urls = [f"https://cdn.example/shop{path}" for path in (ENTRY["v3"], "/assets/gone-BX4CeNGm.js")]
    page = "<!doctype html>" + "".join(f'<script src="{url}"></script>' for url in urls)
    build = str(site.build("v3", {"index.html": page}))
    told = site.run("check", build).stdout
    options = "--prefix /shop/ --origin https://cdn.example"
    assert f"\n2 references to https://cdn.example were not checked. To check them: {options}\n" in told
    assert f"{urls[1]}: the file does not exist" in site.run("check", build, *options.split(), code=1).stdout
    told = site.run("check", build, "--prefix", "/app/").stdout
    assert "were not checked: the build's files seem to be below /shop/ there, not below the prefix /app/\n" in told


def test_without_releases(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory can be checked where there are no releases; those that are named must be there."""
    build, nowhere = str(site.build("v3")), tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.chdir(nowhere)
    told = json.loads(run("check", build, "--json").stdout)
    assert (told["known"], told["live"], told["churn"]) == ([], None, None)
    assert "is not a releases directory" in run("check", "v1", code=1).stderr
    assert "is not a releases directory" in run("check", build, "--releases", str(nowhere), code=1).stderr


def test_unknown(site: Site) -> None:
    """What is neither a directory nor a version is told."""
    assert "version 'v9' is not in" in site.run("check", "v9", code=1).stderr
    told = site.run("check", "no/such/dist", code=2).stderr
    assert "'no/such/dist' is neither a directory nor the id of a version" in told
    assert "the value is empty" in site.run("check", "", code=2).stderr


def test_when_the_log_is_away(site: Site) -> None:
    """A build is checked against all versions that are here where the log cannot be asked which of them are known."""
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    build = str(site.build("v3", {COLLISION[1:]: "// chunk of v3"}))
    result = site.run("check", build, "--json", "--log", "redis://127.0.0.1:1", code=1)
    told = json.loads(result.stdout)
    assert (told["known"], told["live"], told["collisions"][0]["path"]) == (["v1", "v2"], None, COLLISION)
    assert "redis://127.0.0.1:1 cannot be reached" in result.stderr


def test_source_directory(site: Site) -> None:
    """A project's source directory is refused with the remedy; what a build must not hold is said once."""
    build = site.build("v3", {"package.json": "{}", "netlify.toml": "", "node_modules/a.js": ""})
    refused = site.run("check", str(build), code=1).stderr
    assert "is a project's source directory and not its build" in refused
    assert "--allow-source" in refused
    result = site.run("check", str(build), "--allow-source")
    assert result.stdout.count("netlify.toml") == result.stdout.count("package.json") == 1
    assert "Fit to be deployed, with 2 warnings." in result.stdout
    assert result.stderr == ""
