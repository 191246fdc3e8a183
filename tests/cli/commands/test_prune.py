"""``prune``: what goes, what stays and why."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import Site
from version_affinity.releases.store.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

ALL = ["v0", "v1", "v2", "v3"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with four versions: v0 was deployed long ago, v3 never, and a rollback returns to v1."""
    site = Site(tmp_path)
    site.upload(*ALL)
    deployments = ({"v0": 100.0}, {"v1": 100.0}, {"v1": 50.0, "v2": 50.0}, {"v2": 100.0})
    site.deploy(*deployments, created="2020-01-01T00:00:00Z")
    return site


def age(site: Site, version: str, created: str) -> None:
    """Make a version look as if it had been uploaded at another time."""
    manifest = site.directory.manifest_path(version)
    text = manifest.read_text()
    now = json.dumps(site.directory.release(version).created)
    manifest.chmod(0o644)
    manifest.write_text(text.replace(f'"created": {now}', f'"created": "{created}"', 1))


def test_prune(site: Site) -> None:
    """What goes and what stays is shown with the reason, and what goes is gone."""
    shown = site.run("prune", "--keep", "0", "-y").stdout
    assert "  keep    v2  in the current deployment\n" in shown
    assert "  keep    v1  deployed since revision 2, which a rollback returns to\n" in shown
    for version in ("v0", "v3"):
        assert re.search(
            rf"  remove  {version}  1\.9 kB  uploaded 20\S+ \S+ UTC \((just now|\d+ seconds ago)\)\n", shown
        )
    assert shown.endswith("\nRemoved 2 versions.\n")
    assert list(site.directory.versions()) == ["v1", "v2"]


def test_dry_run(site: Site) -> None:
    """A dry run shows the same, needs no answer, and removes nothing."""
    shown = site.run("prune", "--keep", "0", "--dry-run").stdout
    assert "  remove  v0" in shown
    assert shown.endswith("Nothing is removed: this was a dry run.\n")
    assert list(site.directory.versions()) == ALL


def test_nothing_to_do(site: Site) -> None:
    """Where nothing goes, nobody is asked."""
    assert site.run("prune").stdout.endswith("\nThere is nothing to remove.\n")


def test_nobody_to_be_asked(site: Site) -> None:
    """Without a terminal and without -y, nothing is removed."""
    assert "nothing is removed: the command needs a confirmation" in site.run("prune", "--keep", "0", code=1).stderr
    assert list(site.directory.versions()) == ALL


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--keep", "2"], ["v0"]),
        (["--keep", "0", "--older-than", "30d"], ["v3"]),
        (["--keep", "0", "--older-than", "52w"], ["v3"]),
        (["--keep", "0", "--older-than", "9000d"], []),
        (["--keep", "0", "--older-than", "1h30m"], ["v3"]),
        (["--older-than", "1s"], []),
    ],
)
def test_retention(site: Site, options: list[str], gone: list[str]) -> None:
    """The last so many stay, and with an age, all that were in use since."""
    age(site, "v3", "2020-01-01T00:00:00Z")
    assert [release["id"] for release in site.json("prune", *options, "--dry-run")["planned"]] == gone


def test_without_options(site: Site) -> None:
    """What the application goes by holds for a pruning too, but for the option that says something else for once."""
    age(site, "v3", "2020-01-01T00:00:00Z")
    site.directory.change_retention(Retention(0, timedelta(days=30)))
    told = site.json("prune", "--dry-run")
    assert told["retention"] == {"keep": 0, "younger_than": "30d"}
    assert [release["id"] for release in told["planned"]] == ["v3"]
    assert [release["id"] for release in site.json("prune", "--keep", "1", "--dry-run")["planned"]] == []
    told = site.json("prune", "--older-than", "none", "--dry-run")
    assert [release["id"] for release in told["planned"]] == ["v3", "v0"]
    assert site.directory.retention == Retention(0, timedelta(days=30))


def test_what_is_served_still(site: Site) -> None:
    """Options that remove what the application knows by its retention are done, with a warning that names that."""
    site.directory.change_retention(Retention(1))
    warned = site.run("prune", "--keep", "0", "--dry-run").stderr
    assert "Warning: the application still serves the files of v3 to open pages" in warned
    assert "its retention is keep 1" in warned
    assert site.run("prune", "--keep", "0", "-y", "--json").stderr == warned
    assert list(site.directory.versions()) == ["v1", "v2"]
    assert site.run("prune", "--keep", "1", "--dry-run").stderr == ""


def test_ages_are_told_as_they_are_typed(site: Site) -> None:
    """The reason of a version that is too young names the age as it was typed."""
    shown = site.run("prune", "--keep", "0", "--older-than", "90m").stdout
    assert "  keep    v3  in use, or uploaded, less than 1h30m ago\n" in shown


def test_as_json(site: Site) -> None:
    """The JSON names what goes, what stays and why, and what is gone."""
    told = site.json("prune", "--keep", "0", "-y")
    assert [release["id"] for release in told["planned"]] == told["removed"] == ["v0", "v3"]
    assert told["kept"]["v2"] == "in the current deployment"
    assert told["dry_run"] is False
