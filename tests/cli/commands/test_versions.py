"""``versions upload``, ``list`` and ``view``: what they do, and what they print as text and as JSON."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import AUTHOR, COLLISION, ENTRY, NEW, OLD, OTHER, SHARED, Site, build_of
from version_affinity.assets.loading.inventory import parse_inventory
from version_affinity.deployment import movement
from version_affinity.releases.releases import COPY
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {version: sum(len(content) for content in build_of(version).values()) for version in ENTRY}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site without a version."""
    return Site(tmp_path)


def test_upload(site: Site) -> None:
    """An upload tells what it did, what is shared, and the next command; the manifest tells who, when and why."""
    first = site.run("versions", "upload", str(site.build("v1")), "--id", "v1").stdout
    assert first == (
        f"Uploaded v1: 4 files, {SIZES['v1'] / 1000:.1f} kB\n\n"
        "Next, deploy it:\n"
        f"  version-affinity --releases {site.path} versions deploy v1@100%\n"
    )
    site.deploy({"v1": 100.0})
    options = ("--id", "v2", "--tag", "checkout", "-m", "New checkout")
    second = site.run("versions", "upload", str(site.build("v2")), *options).stdout
    assert "Uploaded v2: 4 files, 1.9 kB; 1 shared with earlier versions\n" in second
    assert "Next, deploy it to a few users:\n" in second
    assert "versions deploy v2@10% --rest\n" in second
    release = site.directory.release("v2")
    assert (release.author, release.tag, release.message) == (AUTHOR, "checkout", "New checkout")


@pytest.mark.parametrize(
    "current",
    [
        {"v1": 100.0},
        {"v1": 90.0, "v2": 10.0},
        {"v1": 100.0, "v2": 0.0},
        {"v0": 33.333, "v1": 33.334, "v2": 33.333},
        {"v0": 97.999, "v1": 2.0, "v2": 0.001},
    ],
)
def test_what_is_proposed_in_a_rollout(site: Site, current: dict[str, float]) -> None:
    """An upload proposes a first share that can be deployed as it stands: nobody moves but to the new version."""
    site.upload("v0", "v1", "v2")
    site.deploy(current)
    proposed = site.run("versions", "upload", str(site.build("v3")), "--id", "v3").stdout.splitlines()[-1]
    assert proposed.split("deploy ")[0].strip() == f"version-affinity --releases {site.path} versions"
    site.run("versions", "deploy", *proposed.split("deploy ")[1].split(), "-y")
    after = site.percentages[-1]
    assert after.keys() == {"v3", *current}
    pairs = movement(current, after).pairs
    assert math.isclose(math.fsum(users for (_, to), users in pairs.items() if to == "v3"), 10)
    assert math.fsum(users for (_, to), users in pairs.items() if to != "v3") < 0.01


def test_delete(site: Site) -> None:
    """A version is deleted if neither the deployment nor a rollback needs it; a warning says if it is still served."""
    site.upload("v0", "v1", "v2", "v3")
    site.deploy({"v0": 100.0}, {"v1": 100.0}, {"v2": 100.0})
    for version, reason in (("v2", "it is in the current deployment"), ("v1", "a rollback would need it")):
        assert (
            f"{version} is not deleted: {reason}. See " in site.run("versions", "delete", version, "-y", code=1).stderr
        )
    assert "Pass -y" in site.run("versions", "delete", "v0", code=1).stderr
    result = site.run("versions", "delete", "v0", "-y")
    assert "v0: 4 files, " in result.stdout
    assert result.stdout.endswith("Deleted v0.\n")
    assert "still serves the files of v0 to open pages (had users less than a day ago" in result.stderr
    assert site.json("versions", "delete", "v3", "-y")["deleted"]["id"] == "v3"
    assert list(site.directory.versions()) == ["v1", "v2"]
    assert "'v3'" in site.run("versions", "delete", "v3", "-y", code=1).stderr


def test_upload_again(site: Site) -> None:
    """The same content under the same id is there already; other content is refused; without an id it has one."""
    build = str(site.build("v1"))
    assert "Uploaded v1" in site.run("versions", "upload", build, "--id", "v1").stdout
    again = site.run("versions", "upload", build, "--id", "v1").stdout
    assert re.match(r"v1 exists already with the same content, uploaded 20[0-9 :-]+ UTC \(just now\): 4 files", again)
    other = str(site.build("v2"))
    assert "with other content" in site.run("versions", "upload", other, "--id", "v1", code=1).stderr
    made = site.json("versions", "upload", other)
    assert made["id"] == made["content"][:12]
    assert [site.json("versions", "upload", other)[key] for key in ("id", "new")] == [made["id"], False]


def test_upload_as_json(site: Site) -> None:
    """An upload's JSON has all that the text has."""
    site.upload("v1")
    build = site.build("v2")
    (build / "über.txt").symlink_to(site.root)
    told = site.json("versions", "upload", str(build), "--id", "v2", "--tag", "t", "--message", "m")
    assert told["skipped"] == [{"path": "/über.txt", "reason": told["skipped"][0]["reason"]}]
    told = {name: value for name, value in told.items() if name not in ("created", "content", "skipped")}
    assert told == {
        "id": "v2",
        "author": AUTHOR,
        "tag": "t",
        "message": "m",
        "files": 4,
        "size": SIZES["v2"],
        "new": True,
        "mended": False,
        "linked": 1,
        "doubt": "",
        "same_content": [],
        "unreadable": "",
        "protected": [],
        "collisions": [],
    }


def test_upload_names_collisions(site: Site) -> None:
    """An upload names the fingerprinted files that had other bytes in a version that users got, and no source maps."""
    source_map = f"{COLLISION[1:]}.map"
    site.upload("v0", "v1", "v2", more={COLLISION[1:]: "// chunk", source_map: "{}"})
    site.deploy({"v0": 100.0})
    site.deploy({"v1": 100.0, "v2": 0.0})
    other = {COLLISION[1:]: "// other", source_map: '{"version": 3}'}
    build = site.build("v1", other)
    shown = site.run("versions", "upload", str(build), "--id", "v3").stdout
    assert "Warning: 1 fingerprinted name of v3 had other bytes in a version that users got." in shown
    assert f"  {COLLISION}  also in v0 and v1\n" in shown
    assert ".map" not in shown
    told = site.json("versions", "upload", str(build), "--id", "v3")
    assert told["collisions"] == [{"path": COLLISION, "versions": ["v0", "v1"]}]
    # A version that had no share yet took nothing from anybody.
    again = site.json("versions", "upload", str(site.build("v2", {COLLISION[1:]: "// chunk"})), "--id", "v4")
    assert again["collisions"] == []


def test_many_collisions_are_cut(site: Site) -> None:
    """Of many collisions, an upload prints the first ten, and JSON has them all."""
    names = [f"assets/chunk{number:02}-C0liD3sX.js" for number in range(12)]
    site.upload("v1", more=dict.fromkeys(names, "// chunk"))
    site.deploy({"v1": 100.0})
    build = str(site.build("v1", dict.fromkeys(names, "// other")))
    shown = site.run("versions", "upload", build, "--id", "v2").stdout
    assert "/assets/chunk09-C0liD3sX.js" in shown
    assert "/assets/chunk10-C0liD3sX.js" not in shown
    assert "  and 2 more: --json lists all\n" in shown
    assert len(site.json("versions", "upload", build, "--id", "v2")["collisions"]) == 12


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_what_is_left_out(site: Site) -> None:
    """What of a build is not uploaded is told, and why; of very much, the beginning."""
    build = site.build("v1")
    (build / "assets" / "outside.js").symlink_to("/etc/hostname")
    shown = site.run("versions", "upload", str(build), "--id", "v1").stdout
    assert "Left out or without effect:\n  /assets/outside.js  " in shown
    for number in range(30):
        (build / f"link-{number}").symlink_to("/etc/hostname")
    shown = site.run("versions", "upload", str(build), "--id", "v2").stdout
    assert "and 21 more: --json lists all" in shown


def test_upload_names_protected_paths(site: Site) -> None:
    """An upload names the paths that ``Basic-Auth`` rules make 404, once each, and no password."""
    auth = "\n  Basic-Auth: alice:wonderland\n  Basic-Auth: bob:builder\n"
    build = str(site.build("v1", {"_headers": f"/secret/*{auth}/a\n  X-A: 1\n/staff{auth}"}))
    shown = site.run("versions", "upload", build, "--id", "v1").stdout
    told = (
        "Warning: Basic-Auth in _headers is not implemented, so these paths are answered with 404: /secret/*, /staff\n"
    )
    assert told in shown
    assert "wonderland" not in shown
    assert site.json("versions", "upload", build, "--id", "v1")["protected"] == ["/secret/*", "/staff"]
    assert "Basic-Auth" not in site.run("versions", "upload", str(site.build("v2")), "--id", "v2").stdout


def test_upload_when_the_log_is_away(site: Site) -> None:
    """An upload needs no log: it is done, and the command that deploys is proposed all the same."""
    shown = site.run("versions", "upload", str(site.build("v1")), "--id", "v1", "--log", "redis://127.0.0.1:1").stdout
    assert "Uploaded v1" in shown
    assert "versions deploy v1@100%" in shown


def test_author(site: Site, tmp_path: Path) -> None:
    """Who uploads is who the environment says, else who Git knows, else who the system does."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Grace Hopper\n")
    git = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": os.devnull, "GIT_DIR": str(tmp_path / "none")}
    none = {**git, "GIT_CONFIG_GLOBAL": os.devnull, "LOGNAME": "lovelace"}
    for number, environment in enumerate(({"VERSION_AFFINITY_AUTHOR": "CI"}, git, none, {**none, "PATH": ""})):
        build = str(site.build("v1", {"n.txt": str(number)}))
        unset = {"VERSION_AFFINITY_AUTHOR": None}
        site.run("versions", "upload", build, "--id", f"v{number}", **{**unset, **environment})
    uploaded = site.directory.versions().values()
    assert [release.author for release in uploaded] == ["CI", "Grace Hopper", "lovelace", "lovelace"]


def test_list(site: Site) -> None:
    """In a pipe, a version is a line of cells behind tabs, the newest first; times and sizes are for programs."""
    site.upload("v0", "v1", "v2", "v3")
    site.deploy({"v0": 100.0}, {"v1": 90.0, "v2": 10.0, "v3": 0.0})
    lines = [line.split("\t") for line in site.run("versions", "list").stdout.splitlines()]
    assert [line[:2] for line in lines] == [["v3", "0 %, staged"], ["v2", "10 %"], ["v1", "90 %"], ["v0", "known"]]
    release = site.directory.release("v3")
    assert lines[0][2:] == [release.created, AUTHOR, "", "4", str(SIZES["v3"]), ""]


def test_list_as_json(site: Site) -> None:
    """Each version's JSON says how it stands, and why it stays known."""
    site.upload("v0", "v1")
    site.deploy({"v0": 100.0}, {"v1": 100.0})
    for number in range(11):
        site.build("v2", {"n.txt": str(number)})
        site.run("versions", "upload", str(site.root / "builds" / "v2"), "--id", f"n{number}")
    found = {version["id"]: version for version in site.json("versions", "list")}
    assert next(iter(found)) == "n10"
    told = {version: (found[version]["state"], found[version]["percentage"]) for version in ("n0", "n9", "v1", "v0")}
    assert told == {
        "n0": ("prunable", None),
        "n9": ("known", None),
        "v1": ("deployed", 100.0),
        "v0": ("known", None),
    }
    assert found["n0"]["reason"] == ""
    assert found["v0"]["reason"] == "deployed since revision 1, which a rollback returns to"
    assert found["v1"]["reason"] == "in the current deployment"


def test_list_of_nothing(site: Site) -> None:
    """Where nothing is uploaded, a pipe gets nothing."""
    assert site.run("versions", "list").stdout == ""
    assert site.json("versions", "list") == []


def test_view(site: Site) -> None:
    """A version's view shows its head, its types and biggest files, and the deployments that it was in."""
    site.upload("v1", "v2", tag="checkout")
    site.deploy({"v1": 100.0}, {"v1": 90.0, "v2": 10.0}, {"v1": 100.0})
    shown = site.run("versions", "view", "v2").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["Version", "v2"] in lines
    assert "State     known (had users less than a day ago, whose tabs may be open)" in shown
    assert ["By", AUTHOR] in lines
    assert ["Tag", "checkout"] in lines
    assert ["Message"] not in lines
    assert ["text/javascript", "2", "files", "1.8", "kB"] in lines
    assert ["1.8", "kB", SHARED] in lines
    assert ["revision", "2", "10", "%", *lines[2][1:]] in lines
    assert "none yet" not in shown


def test_view_as_json(site: Site) -> None:
    """The view's JSON counts every file once."""
    site.upload("v1")
    told = site.json("versions", "view", "v1")
    inventory = parse_inventory(site.directory.manifest_path("v1").read_bytes())
    assert sum(kind["files"] for kind in told["types"]) == len(inventory.files) == 4
    assert sum(kind["size"] for kind in told["types"]) == told["size"] == SIZES["v1"]
    assert told["types"][0] == {"type": "text/javascript", "files": 2, "size": 1800 + 14}
    assert told["biggest"][0] == {
        "path": SHARED,
        "size": 1800,
        "type": "text/javascript; charset=utf-8",
        "fingerprinted": True,
        "why": "usual name",
    }
    assert told["deployments"] == []
    site.deploy({"v1": 100.0})
    (deployment,) = site.json("versions", "view", "v1")["deployments"]
    assert (deployment["revision"], deployment["percentage"]) == (1, 100.0)


def test_names_that_are_not_ascii(site: Site) -> None:
    """Files with other letters in their names are shown as people read them."""
    site.upload("v1", more={"über/ß.txt": "x" * 5000})
    assert "/über/ß.txt" in site.run("versions", "view", "v1").stdout
    assert json.loads(site.run("versions", "view", "v1", "--json").stdout)["biggest"][0]["path"] == "/über/ß.txt"


WHYS = {
    "/assets/shared-BX4CeNGm.js": "fingerprinted: usual name",
    "/js/main.0a1b2c3d.js": "fingerprinted: hexadecimal",
    "/assets/One-CafrKXZF.js": "fingerprinted: imported by name",
    "/_nuxt/entry.js": "fingerprinted: directory of a tool",
    "/assets/theme-darkMode.css": "not fingerprinted: reads as words",
    "/photo-20240115.jpg": "not fingerprinted: a number or a date",
    "/a-1b4e28ba-2fa1-41d2-883f-0016d3cca427.js": "not fingerprinted: a UUID in the name",
    "/index.html": "not fingerprinted: HTML",
    "/robots.txt": "not fingerprinted: no hash in the name",
}


def test_files(site: Site) -> None:
    """Each file is listed with the rule that makes it fingerprinted, or why none does; a release of 0.1 too."""
    more = {path[1:]: 'import "./One-CafrKXZF.js"' if "shared" in path else path for path in WHYS}
    site.upload("v1", more=more)
    rows = [line.split("\t") for line in site.run("versions", "view", "v1", "--files").stdout.splitlines()]
    assert WHYS.items() <= {path: why for why, _, _, path in rows}.items()
    files = {file["path"]: file for file in site.json("versions", "view", "v1", "--files")}
    assert {
        path: f"{'' if files[path]['fingerprinted'] else 'not '}fingerprinted: {files[path]['why']}" for path in WHYS
    } == WHYS
    manifest = site.directory.manifest_path("v1")
    manifest.chmod(0o644)
    manifest.write_text(re.sub(r', "why": "[^"]*"', "", manifest.read_text()).replace(', "rules": 1', ""))
    old = {file["path"]: file["why"] for file in site.json("versions", "view", "v1", "--files")}
    assert old["/js/main.0a1b2c3d.js"] == "hexadecimal"
    assert old["/assets/One-CafrKXZF.js"] == "recorded at upload"


AWAY = ("--log", "redis://127.0.0.1:1")


def test_list_when_the_log_is_away(site: Site) -> None:
    """Versions are listed from the directory; how they stand is told by this host's copy of the log, or not at all."""
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    site.upload("v1", "v2")
    result = site.run("versions", "list", *AWAY)
    assert [line.split("\t")[:2] for line in result.stdout.splitlines()] == [["v2", "unknown"], ["v1", "unknown"]]
    assert "redis://127.0.0.1:1 cannot be reached" in result.stderr
    assert "the states of the versions are unknown" in result.stderr
    assert site.json("versions", "view", "v1", *AWAY)["state"] == "unknown"
    site.deploy({"v1": 100.0})
    (site.path / COPY).write_bytes((site.path / "deployments.jsonl").read_bytes())
    result = site.run("versions", "list", *AWAY)
    assert [line.split("\t")[:2] for line in result.stdout.splitlines()] == [["v2", "known"], ["v1", "100 %"]]
    assert "The states are those of revision 1" in result.stderr


def test_verify(site: Site) -> None:
    """All versions are hashed, or those that are named; exit status 1 and the remedy where a file is damaged."""
    site.upload("v1")
    site.upload("v2")
    assert site.run("versions", "verify").stdout.splitlines() == ["v1: as uploaded", "v2: as uploaded"]
    file = site.directory.build_path("v2") / "logo.svg"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[::-1])
    assert site.run("versions", "verify", "v1").stdout == "v1: as uploaded\n"
    told = site.run("versions", "verify", code=1)
    assert "v2: damaged\n  /logo.svg  has other content than was uploaded\n" in told.stdout
    assert "versions upload DIRECTORY --id v2" in told.stderr
    found = json.loads(site.run("versions", "verify", "v2", "--json", code=1).stdout)
    assert found == [{"id": "v2", "damaged": [{"path": "/logo.svg", "reason": "has other content than was uploaded"}]}]
    assert (
        "Repaired v2, which had damaged files"
        in site.run("versions", "upload", str(site.build("v2")), "--id", "v2").stdout
    )
    assert site.run("versions", "verify", "v2").stdout == "v2: as uploaded\n"
    assert "'v9' is not in" in site.run("versions", "verify", "v9", code=1).stderr


@pytest.mark.parametrize("command", [("versions", "view"), ("check",)])
@pytest.mark.parametrize("more", ["{}", "[" * 100_000, "\0"])
def test_damaged_manifest(site: Site, command: tuple[str, ...], more: str) -> None:
    """A manifest whose first line is as it was, but not the others, is an error with the remedy."""
    site.upload("v1")
    manifest = site.directory.manifest_path("v1")
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text() + more)
    message = site.run(*command, "v1", code=1).stderr
    assert "the manifest of version 'v1' cannot be used" in message
    assert "versions upload DIRECTORY --id v1" in message


@pytest.mark.parametrize("key", ["total_size", "file_count", "size"])
@pytest.mark.parametrize("value", ["-98765", "9" * 400])
def test_absurd_sizes(site: Site, key: str, value: str) -> None:
    """A number of bytes or files that cannot be in a manifest is as one that is missing."""
    site.upload("v1")
    manifest = site.directory.manifest_path("v1")
    manifest.chmod(0o644)
    manifest.write_text(re.sub(rf'"{key}": \d+', f'"{key}": {value}', manifest.read_text()))
    assert value in manifest.read_text()
    for command in ("list", "view v1", "view v1 --files"):
        assert value not in site.run("versions", *command.split()).stdout


@pytest.mark.parametrize("key", ["content", "type", "why", "author", "created"])
def test_unprintable_manifest(site: Site, key: str) -> None:
    """Texts of a manifest that cannot be printed, or that command a terminal, are escaped."""
    site.upload("v1")
    manifest = site.directory.manifest_path("v1")
    manifest.chmod(0o644)
    manifest.write_text(re.sub(rf'"{key}": "[^"]*"', rf'"{key}": "\\ud800\\u001b[31m"', manifest.read_text()))
    assert "ud800" in manifest.read_text()
    for command in ("list", "view v1", "view v1 --files"):
        assert "\x1b[31m" not in site.run("versions", *command.split()).stdout


@pytest.fixture
def commits(tmp_path: Path) -> Site:
    """A site whose versions are called by their commits; two of the ids begin alike."""
    site = Site(tmp_path)
    for version in (OLD, NEW, OTHER, "v1"):
        upload(site.directory, site.build("v1", {"id.txt": version}), id=version)
    site.deploy({OLD: 100.0})
    return site


@pytest.mark.parametrize("given", [NEW[:7], NEW[:12], NEW])
def test_beginning_of_an_id(commits: Site, given: str) -> None:
    """Every command that takes an id takes a beginning that only one id has."""
    assert commits.json("versions", "view", given)["id"] == NEW
    assert commits.json("versions", "verify", given)[0]["id"] == NEW
    assert commits.json("simulate", f"{given}@10", OLD)["steps"][0]["percentages"] == {NEW: 10.0, OLD: 90.0}
    assert commits.json("simulate", "--from", given, OLD)["from"] == {NEW: 100.0}
    plan = commits.json("versions", "deploy", f"{given}@10", OLD[:8], "--dry-run")
    assert plan["percentages"] == {NEW: 10.0, OLD: 90.0}
    assert commits.json("rollback", given, "--dry-run")["percentages"] == {NEW: 100.0}
    secret = {"VERSION_AFFINITY_OVERRIDE_SECRET": "a long random text"}
    assert json.loads(commits.run("override-link", given, "--json", **secret).stdout)["version"] == NEW
    if find_spec("tinycss2") is not None:  # the extra "check"
        assert commits.json("check", given)["build"] == NEW
        assert commits.json("check", "v1", "--against", given)["live"] == NEW


@pytest.mark.parametrize(
    "command",
    ["versions view {}", "versions verify {}", "versions deploy {} -y", "rollback {} -y", "simulate {}", "check {}"],
)
def test_beginning_of_two_ids(commits: Site, command: str) -> None:
    """What two ids begin with is an error that lists both; nothing is written."""
    error = commits.run(*command.format(OLD[:7]).split(), code=2).stderr
    assert f"'3f78685' is the beginning of several ids: {OLD} and {OTHER}. Write more of one" in error
    assert commits.percentages == [{OLD: 100.0}]


def test_one_id_twice(commits: Site) -> None:
    """A deployment that names one version by two beginnings of its id is a usage error."""
    error = commits.run("versions", "deploy", f"{NEW[:7]}@10", f"{NEW[:8]}@90", code=2).stderr
    assert "mean the same version" in error


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (NEW[:6], NEW),  # too short to be taken
        (NEW.replace("c98", "c89"), NEW),
        (f"{NEW[:8]}1", NEW),
        ("V1", "v1"),
        ("nothing-like-it", ""),
    ],
)
def test_similar_ids(commits: Site, given: str, meant: str) -> None:
    """The error for an unknown id names ids that are like it."""
    for command in ("versions view {}", "versions deploy {} -y"):
        error = commits.run(*command.format(given).split(), code=1).stderr
        assert (f"Did you mean {meant}?" in error) == bool(meant)
        assert ("Did you mean" in error) == bool(meant)


def test_percentages_without_a_mark(commits: Site) -> None:
    """Numbers that stand alone are taken for ids, so the error says how a percentage is written."""
    error = commits.run("versions", "deploy", "v1", "90", NEW, "10", "-y", code=1).stderr
    assert "90 and 10 are not uploaded" in error
    assert "To give a version 90 %, write ID@90" in error


def test_same_content(commits: Site) -> None:
    """An upload and a deployment of what users have already say so."""
    build = commits.root / "builds" / "v1"
    (build / "id.txt").write_text(OLD)
    shown = commits.run("versions", "upload", str(build), "--id", "again").stdout
    assert f"Warning: users have this content already, as {OLD}\n" in shown
    assert commits.json("versions", "upload", str(build), "--id", "again")["same_content"] == [OLD]
    plan = commits.json("versions", "deploy", "again", "--dry-run")
    assert f"again has the same content as {OLD}, which has users already" in plan["warnings"]
    assert "same content" not in commits.run("versions", "upload", str(commits.build("v2")), "--id", "v2").stdout


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(
    ("umask", "top", "readable"),
    [(0o022, 0o755, True), (0o077, 0o755, False), (0o027, 0o755, False), (0o027, 0o750, True), (0o077, 0o700, False)],
)
def test_unreadable(site: Site, umask: int, top: int, readable: bool) -> None:
    """An upload that a worker of another user cannot read says so; a directory for one group may leave others out."""
    site.path.chmod(top)
    (site.path / "affinity.json").chmod(top & 0o666)
    site.directory.uploads.chmod(top)
    build = str(site.build("v1"))
    before = os.umask(umask)
    try:
        shown = site.run("versions", "upload", build, "--id", "v1").stdout
    finally:
        os.umask(before)
    assert ("Warning: a worker of another user cannot read" in shown) != readable
    if not readable:
        assert site.json("versions", "upload", build, "--id", "v1")["unreadable"]
        command, *paths = shlex.split(shown.partition("and run ")[2].splitlines()[0])
        assert (command, paths[:2]) == ("chmod", ["-R", "a+rX"])
        subprocess.run([command, *paths], check=True)
        assert not site.json("versions", "upload", build, "--id", "v1")["unreadable"]
