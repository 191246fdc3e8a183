"""``retention`` and ``init``: how long versions stay known is one thing, for the application and for all commands."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commanding import COLLISION, ENTRY, Site, run
from version_affinity import Releases, VersionAffinity
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

MONTH = timedelta(days=30)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with four versions: v0 was deployed long ago, v3 never, and a rollback returns to v1."""
    site = Site(tmp_path)
    site.upload("v0", "v1", "v2", "v3")
    deployments = ({"v0": 100.0}, {"v1": 100.0}, {"v1": 50.0, "v2": 50.0}, {"v2": 100.0})
    site.deploy(*deployments, created="2020-01-01T00:00:00Z")
    return site


def retention_of(site: Site) -> Retention:
    """Return what the directory says now."""
    return ReleasesDirectory(site.path).retention


def test_show(site: Site) -> None:
    """Without an option, it shows what holds and changes nothing."""
    before = (site.path / "affinity.json").read_bytes()
    assert site.run("retention").stdout == (
        "Retention of storefront: keep 10\n"
        "\n"
        "These versions are known:\n"
        "  those in the current deployment\n"
        "  those that a rollback may return to\n"
        "  those that had users within the last day\n"
        "  the last 10 that had users, and the last 10 uploads that never had users\n"
        "\n"
        "4 of 4 versions are known\n"
    )
    assert (site.path / "affinity.json").read_bytes() == before


def test_change(site: Site) -> None:
    """It tells what holds now, what held before, and which versions are known no longer, or again."""
    assert site.run("retention", "--keep", "0", "-y").stdout == (
        "Retention of storefront: keep 0 (before: keep 10)\n"
        "\n"
        "These versions are known:\n"
        "  those in the current deployment\n"
        "  those that a rollback may return to\n"
        "  those that had users within the last day\n"
        "\n"
        "No longer known: v3 and v0\n"
        "2 of 4 versions are known; the others can be removed: "
        f"version-affinity --releases {site.path} prune --dry-run\n"
    )
    assert retention_of(site) == Retention(0)
    assert len(site.directory.versions()) == 4
    shown = site.run("retention", "--younger-than", "4w2d").stdout
    assert shown.startswith("Retention of storefront: keep 0, younger than 30d (before: keep 0)\n")
    assert "\n  those that were used or uploaded less than 30d ago\n" in shown
    assert "\nKnown again: v3 and v0\n4 of 4 versions are known\n" in shown
    shown = site.run("retention", "--keep", "1").stdout
    assert "\n  the last one that had users, and the last upload that never had users\n" in shown


def test_nobody_to_be_asked(site: Site) -> None:
    """Without a terminal and without -y, no version stops being known; what keeps more, or as many, is no question."""
    refused = site.run("retention", "--keep", "0", code=1).stderr
    assert refused.startswith("v3 and v0 would no longer be known: their open pages lose their files")
    assert "Error: nothing is changed: the command needs a confirmation" in refused
    assert retention_of(site) == Retention()
    assert site.run("retention", "--keep", "1", code=1).stderr.startswith("v0 would no longer be known: its open pages")
    site.run("retention", "--keep", "4")
    site.run("retention", "--younger-than", "30d")
    assert retention_of(site) == Retention(4, MONTH)


def test_dry_run(site: Site) -> None:
    """A dry run shows the same, needs no answer, and changes nothing."""
    shown = site.run("retention", "--keep", "0", "--dry-run").stdout
    assert shown.startswith("Retention of storefront: keep 0 (before: keep 10)\n")
    assert "\nNo longer known: v3 and v0\n" in shown
    assert shown.endswith("\n\nNothing is changed: this was a dry run.\n")
    told = site.json("retention", "--keep", "0", "--dry-run")
    assert (told["dry_run"], told["retention"]["keep"], told["prunable"]) == (True, 0, ["v0", "v3"])
    assert retention_of(site) == Retention()


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ([], Retention(5, MONTH)),
        (["--keep", "20"], Retention(20, MONTH)),
        (["--younger-than", "12h"], Retention(5, timedelta(hours=12))),
        (["--younger-than", "none"], Retention(5)),
        (["--keep", "0", "--younger-than", "0s"], Retention(0, timedelta())),
    ],
)
def test_what_is_not_named_stays(site: Site, options: list[str], after: Retention) -> None:
    """Each option changes one thing; the JSON tells both states, and what is known by the new one."""
    site.directory.change_retention(Retention(5, MONTH))
    told = site.json("retention", *options, "-y")
    assert (told["before"], told["retention"]) == (Retention(5, MONTH).as_dict(), after.as_dict())
    assert (told["name"], told["releases"]) == ("storefront", str(site.path))
    assert sorted(told["known"] + told["prunable"]) == ["v0", "v1", "v2", "v3"]
    assert retention_of(site) == after


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--keep", "-1"], "-1 is not in the range x>=0"),
        (["--keep", "none"], "'none' is not a valid integer"),
        (["--younger-than", "30"], "'30' is not a duration: write one such as 30d"),
    ],
)
def test_unusable_options(site: Site, options: list[str], words: str) -> None:
    """What is no number, or no length of time, changes nothing."""
    assert words in site.run("retention", *options, code=2).stderr
    assert retention_of(site) == Retention()


def test_unusable_settings(site: Site) -> None:
    """A retention that somebody has broken is named by every command, with what to write; those go on that can."""
    (site.path / "affinity.json").write_text('{"name": "storefront", "layout": 1, "retention": {"keep": "ten"}}')
    wrong = f"{str(site.path / 'affinity.json')!r}: keep='ten' is not a number of versions: write one from 0"
    for command in (["retention"], ["retention", "--keep", "5"], ["prune", "-y"], ["prune", "--keep", "0", "-y"]):
        reason = site.run(*command, code=1).stderr
        assert f"Error: {wrong}" in reason
        assert " --younger-than none" in reason or " --older-than none" in reason
    for command in (["versions", "list"], ["rollback", "-y"], ["prune", "--keep", "9", "--older-than", "none"]):
        warned = site.run(*command).stderr
        assert warned.startswith(f"Warning: {wrong}")
        assert warned.endswith("Until this is fixed, all uploaded versions stay known\n")
    assert site.percentages[-1] == {"v1": 100.0}
    assert list(site.directory.versions()) == ["v0", "v1", "v2", "v3"]
    site.run("retention", "--keep", "5", "--younger-than", "none")
    assert retention_of(site) == Retention(5)
    assert site.run("retention").stderr == ""


def test_keys_of_a_later_release(site: Site) -> None:
    """A key that is not known may be a typing error: that is told."""
    (site.path / "affinity.json").write_text('{"name": "storefront", "layout": 1, "retention": {"keeps": 50}}')
    assert "retention has the unknown key 'keeps', which is ignored" in site.run("versions", "list").stderr


def test_when_the_log_is_away(site: Site) -> None:
    """The retention needs no log: it is changed, and that nobody knows how the versions stand is told."""
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    away = ("--log", "redis://127.0.0.1:1")
    refused = site.run("retention", "--keep", "5", *away, code=1).stderr
    assert "The states of the versions are unknown: some open pages may lose their files" in refused
    assert site.run("retention", "--keep", "11", *away).stdout.startswith("Retention of storefront: keep 11 (")
    result = site.run("retention", "--keep", "5", "-y", *away, "--json")
    assert "the states of the versions are unknown" in result.stderr
    told = json.loads(result.stdout)
    assert (told["retention"]["keep"], told["known"], told["prunable"]) == (5, None, None)
    assert retention_of(site) == Retention(5)
    assert "are known\n" not in site.run("retention", "--log", "redis://127.0.0.1:1").stdout


def test_init(tmp_path: Path) -> None:
    """A directory is made with a retention; making it again is no way to change that, and the right one is told."""
    path = str(tmp_path / "releases")
    make = ("--releases", path, "init", "--name", "storefront")
    run(*make, "--younger-than", "30d")
    assert ReleasesDirectory(path).retention == Retention(10, MONTH)
    told = json.loads(run(*make, "--json").stdout)
    assert (told["new"], told["retention"]) == (False, {"keep": 10, "younger_than": "30d"})
    assert "There already" in run(*make, "--keep", "10", "--younger-than", "30d").stdout
    reason = run(*make, "--keep", "5", code=1).stderr
    assert "another retention (keep 10, younger than 30d)" in reason
    assert f"`version-affinity --releases {path} retention --keep 5 --younger-than none`" in reason
    assert ReleasesDirectory(path).retention == Retention(10, MONTH)


def test_init_without_a_retention(tmp_path: Path) -> None:
    """Who says nothing of it gets the default, and nothing of it is written."""
    path = tmp_path / "releases"
    told = json.loads(run("--releases", str(path), "init", "--name", "storefront", "--json").stdout)
    assert told["retention"] == {"keep": 10, "younger_than": None}
    assert json.loads((path / "affinity.json").read_text()) == {"name": "storefront", "layout": 1}


def known_to_the_application(site: Site) -> list[str]:
    """Return what an application that follows the releases knows."""
    releases = Releases(site.path, reports=False)
    try:
        return sorted(VersionAffinity(None, releases).known)
    finally:
        releases.close()


@pytest.mark.parametrize("retention", [Retention(), Retention(0), Retention(1), Retention(0, MONTH)])
def test_all_agree(site: Site, retention: Retention) -> None:
    """The application, and every command that asks what is known, have the same answer."""
    site.directory.change_retention(retention)
    known = known_to_the_application(site)
    listed: list[dict[str, Any]] = site.json("versions", "list")
    assert sorted(version["id"] for version in listed if version["state"] != "prunable") == known
    assert sorted(site.json("prune", "--dry-run")["kept"]) == known
    assert sorted(site.json("retention")["known"]) == known
    for version in ("v0", "v3"):
        assert (site.json("versions", "view", version)["state"] == "known") is (version in known)
        answer = site.json("explain", ENTRY[version])["answer"]
        assert answer == ("served by name" if version in known else "missing asset")


def test_collisions_are_those_with_known_versions(site: Site) -> None:
    """A name that a version had which is not known any longer stands for nothing: ``check`` and ``deploy`` agree."""
    build = str(site.build("v1", {COLLISION[1:]: "// first"}))
    site.run("versions", "upload", build, "--id", "old")
    site.run("versions", "upload", str(site.build("v2", {COLLISION[1:]: "// other"})), "--id", "new")
    deploy = ("versions", "deploy", "new@10", "v2", "--dry-run")
    assert [it["path"] for it in site.json("check", "new", code=1)["collisions"]] == [COLLISION]
    assert "fingerprinted name" in site.run(*deploy, code=1).stderr
    site.run("retention", "--keep", "0", "-y")
    assert site.json("check", "new")["collisions"] == []
    site.run(*deploy)
