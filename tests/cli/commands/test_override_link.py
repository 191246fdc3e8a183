"""``override-link``: links and header values that an application honours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.cli.commanding import NAME, Site, ran
from tests.harness import NAVIGATION, client
from version_affinity import Version, VersionAffinity

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a long random text"  # noqa: S105 - of an application that lives for one test
GIVEN = {"VERSION_AFFINITY_OVERRIDE_SECRET": SECRET}
OTHER = {"VERSION_AFFINITY_OVERRIDE_SECRET": "another long random text"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v2 staged."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy({"v1": 100.0, "v2": 0.0})
    return site


@pytest.fixture
def affinity(site: Site) -> VersionAffinity:
    """The application, with a secret."""
    versions = [
        Version(version, site.directory.build_path(version), percentage=share)
        for version, share in (("v1", 100), ("v2", 0))
    ]
    return VersionAffinity(None, versions, name=NAME, override_secret=SECRET)


def test_link_and_header(site: Site, affinity: VersionAffinity) -> None:
    """Both the link and the header's value show the version."""
    shown = site.run("override-link", "v2", "--base", "https://shop.example", "--path", "/?x=1", **GIVEN).stdout
    link, header = (line for line in shown.splitlines()[:3] if line)
    assert link.startswith("https://shop.example/?x=1&version-override=")
    parts = urlsplit(link)
    answer = client(affinity).get(f"{parts.path}?{parts.query}", headers=NAVIGATION)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?x=1")
    assert answer.headers["Version-Affinity"].startswith("v2;reason=override")
    name, _, value = header.partition(": ")
    assert client(affinity).get("/", headers={name: value}).text.endswith("v2")
    assert "Both show v2 for 1h" in shown


def test_as_json(site: Site, affinity: VersionAffinity) -> None:
    """The JSON has the same, and for how long."""
    told = json.loads(site.run("override-link", "v2", "--expires", "30m", "--json", **GIVEN).stdout)
    assert (told["version"], told["header"], told["seconds"]) == ("v2", "Version-Override", 1800.0)
    assert told["link"].startswith("/?version-override=")
    assert client(affinity).get("/", headers={told["header"]: told["value"]}).text.endswith("v2")


def test_secrets(site: Site, affinity: VersionAffinity) -> None:
    """The secret is read from a file, which wins over the environment; without one, it is told where it may be."""
    file = site.root / "secret"
    file.write_text(f"{SECRET}\n")
    told = json.loads(site.run("override-link", "v2", "--secret-file", str(file), "--json", **OTHER).stdout)
    assert client(affinity).get("/", headers={told["header"]: told["value"]}).text.endswith("v2")
    refused = site.run("override-link", "v2", code=1).stderr
    assert "set VERSION_AFFINITY_OVERRIDE_SECRET" in refused
    file.write_text("\n")
    assert "is empty" in site.run("override-link", "v2", "--secret-file", str(file), code=1).stderr


def test_a_short_secret(site: Site, affinity: VersionAffinity) -> None:
    """A secret that could be guessed signs nothing, wherever it comes from; the message says how to make one."""
    file = site.root / "secret"
    file.write_text("0123456789abcde\n")
    for options, variables in ((["--secret-file", str(file)], {}), ([], {"VERSION_AFFINITY_OVERRIDE_SECRET": "short"})):
        told = site.run("override-link", "v2", *options, code=1, **variables).stderr
        assert "shorter than 16 characters" in told
        assert "token_urlsafe(32)" in told


def test_application(site: Site) -> None:
    """The application itself has name and secret."""
    site.build("v1")
    (site.root / "shop.py").write_text(
        "from version_affinity import Version, VersionAffinity\n"
        f"app = VersionAffinity(None, [Version('v1', 'builds/v1')], name={NAME!r}, override_secret={SECRET!r})\n"
        "open_to_all = VersionAffinity(None, [Version('v1', 'builds/v1')])\n"
    )
    told = json.loads(ran(site.root, "override-link", "v1", "--app", "shop", "--json").stdout)
    affinity = VersionAffinity(None, [Version("v1", site.root / "builds/v1")], name=NAME, override_secret=SECRET)
    trace = client(affinity).get("/", headers={told["header"]: told["value"]}).headers["Version-Affinity"]
    assert trace.startswith("v1;reason=override")
    done = ran(site.root, "override-link", "v1", "--app", "shop:open_to_all", code=1)
    assert "the application has no override_secret" in done.stderr


def test_name(tmp_path: Path) -> None:
    """With a name that is given, no releases are needed; of what is deployed, nothing is known then."""
    done = ran(tmp_path, "override-link", "v9", "--name", NAME, "--json", **GIVEN)
    assert json.loads(done.stdout)["version"] == "v9"
    assert done.stderr == ""


def test_not_deployed(site: Site) -> None:
    """A link to a version that is not in the deployment does nothing until it is, which is told."""
    result = site.run("override-link", "v9", **GIVEN)
    assert "v9 is not in the deployment (v1 and v2)" in result.stderr
    assert "version-override=" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["v2", "--expires", "soon"], 2, "is not a duration"),
        (["v2", "--expires", "0s"], 2, "the link would expire at once"),
        (["v2", "--path", "//evil.example/"], 2, "is not a path of this host"),
        (["v2", "--base", "shop.example"], 2, "is not the beginning of a URL"),
        (["v2", "--name", "Shop"], 2, "cannot be used"),
        (["v 2"], 2, "cannot be used"),
    ],
)
def test_errors(site: Site, arguments: list[str], code: int, words: str) -> None:
    """What cannot be signed or linked to is told."""
    assert words in site.run("override-link", *arguments, code=code, **GIVEN).stderr


def test_before_the_first_deployment(tmp_path: Path) -> None:
    """A link for a front end that has deployed nothing is made, with a warning."""
    site = Site(tmp_path)
    done = site.run("override-link", "v1", **GIVEN)
    assert done.stdout.startswith("/?")
    assert "v1 is not in the deployment (none so far)" in done.stderr
