"""The catalog of all known versions: who owns what, who steps in, where they disagree, and what a Referer proves."""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING

import pytest

from tests.builds import COLLISION, DIFFERING, ENTRY, EQUAL, OWN, SHARED, write_builds
from tests.harness import write_build
from version_affinity import StaticAssets
from version_affinity.assets.build import Build
from version_affinity.counters import Tally
from version_affinity.rollout.catalog import IN_ALL_VERSIONS, Catalog, report

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StaticAssets]:
    """The three builds, loaded."""
    directories = write_builds(tmp_path_factory.mktemp("builds"))
    return {version: StaticAssets(directory) for version, directory in directories.items()}


def catalog(
    builds: Mapping[str, StaticAssets | None],
    staged: Collection[str] = (),
    prefix: str = "/",
    live: Collection[str] = (),
) -> Catalog:
    """Return the catalog of builds."""
    return Catalog(
        {version: None if assets is None else assets.build for version, assets in builds.items()},
        staged=staged,
        live=live or set(builds).difference(staged),
        prefix=prefix,
        tallies=lambda version: Tally(),
    )


def owners(of: Catalog, path: str) -> set[str]:
    """Return who has a file that is served by name."""
    bits = of.names[path]
    return {version for version, bit in of.bits.items() if bits & bit} | (
        {"everybody"} if bits & IN_ALL_VERSIONS else set()
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SHARED, {"v0", "v1", "v2", "everybody"}),
        (ENTRY["v0"], {"v0"}),
        (ENTRY["v1"], {"v1"}),
        (ENTRY["v2"], {"v2"}),
    ],
)
def test_owners(assets: dict[str, StaticAssets], path: str, expected: set[str]) -> None:
    """A file that is served by name knows who has it; the copy that is served is the first owner's."""
    known = catalog(assets)
    assert owners(known, path) == expected
    assert known.make_named(path).version == min(expected - {"everybody"})
    assert len(known.make_named(path).copies) == len(expected - {"everybody"})


@pytest.mark.parametrize("path", [COLLISION, DIFFERING, EQUAL, "/index.html", *OWN.values()])
def test_not_by_name(assets: dict[str, StaticAssets], path: str) -> None:
    """A collision and every file without a fingerprint is not served by name."""
    assert path not in catalog(assets).names


def test_the_copy_in_memory_is_served(tmp_path: Path) -> None:
    """A file that any version holds in memory is served from there, though the first version's copy is not."""
    builds = {
        version: StaticAssets(write_build(tmp_path / version, {SHARED[1:]: "shared"}), memory=memory)
        for version, memory in (("v1", 0), ("v2", 100))
    }
    file = catalog(builds).make_named(SHARED)
    assert [copy.data for copy in file.copies] == [b"shared", None]
    assert (file.version, file.data) == ("v1", b"shared")


def test_the_copy_with_compressed_forms_is_served(tmp_path: Path) -> None:
    """Whoever has compressed forms of a file has them for all, though another version has the file in memory."""
    content = b"shared" * 100
    plain = {SHARED[1:]: content}
    builds = {
        "v1": StaticAssets(write_build(tmp_path / "v1", plain)),
        "v2": StaticAssets(
            write_build(tmp_path / "v2", {**plain, f"{SHARED[1:]}.gz": gzip.compress(content, mtime=0)}), memory=0
        ),
    }
    file = catalog(builds).make_named(SHARED)
    assert [bool(copy.variants) for copy in file.copies] == [True, False]
    assert (file.version, file.data, file.etag) == ("v1", None, None)
    assert ("Vary", "Accept-Encoding") in file.headers
    assert ("Vary", "Accept-Encoding") not in catalog({"v1": builds["v1"]}).make_named(SHARED).headers


def test_an_application_has_no_files(assets: dict[str, StaticAssets]) -> None:
    """Beside a version that is an application, no file is everybody's."""
    known = catalog({**assets, "app": None})
    assert owners(known, SHARED) == {"v0", "v1", "v2"}
    assert known.bits.keys() == {"v0", "v1", "v2", "app"}


def test_disagreement(assets: dict[str, StaticAssets]) -> None:
    """Differing paths are those of unequal bytes, and collisions those of them that carry a fingerprint."""
    known = catalog(assets)
    assert known.different_bytes == {COLLISION, DIFFERING, "/index.html", "/about.html"}
    assert known.collisions == {COLLISION}


@pytest.mark.parametrize(
    ("staged", "expected"),
    [((), {EQUAL, *OWN.values()}), (("v2",), {EQUAL, OWN["v0"], OWN["v1"]}), (tuple(ENTRY), {EQUAL})],
)
def test_agreement(assets: dict[str, StaticAssets], staged: tuple[str, ...], expected: set[str]) -> None:
    """Versions answer alike with what they all have, and with what serves those that lack it; pages all differ here."""
    assert catalog(assets, staged).same_everywhere == expected
    assert catalog(assets).under(staged, set(ENTRY).difference(staged)).same_everywhere == expected
    assert catalog({**assets, "app": None}, staged).same_everywhere == set()


@pytest.mark.parametrize("version", ENTRY)
def test_one_version_agrees(assets: dict[str, StaticAssets], version: str) -> None:
    """A version alone differs from nobody and rescues nobody."""
    known = catalog({version: assets[version]})
    assert (known.different_bytes, known.collisions, known.rescues) == (frozenset(), set(), {})
    assert owners(known, COLLISION) == {version, "everybody"}


@pytest.fixture
def rescuing(tmp_path: Path) -> dict[str, StaticAssets]:
    """Builds in which files are missing here and there."""
    files = {
        "v1": {"a.txt": "a", "ab.txt": "ab", "abc.txt": "c1", "page.html": "page", "assets/x-C0liD3sX.js": "1"},
        "v2": {"ab.txt": "ab", "abc.txt": "c2", "assets/x-C0liD3sX.js": "2"},
        "v3": {"staged.txt": "s", "ab.txt": "other", "a.txt": "other"},
        "v4": {"empty.txt": ""},
    }
    return {version: StaticAssets(write_build(tmp_path / version, build)) for version, build in files.items()}


@pytest.mark.parametrize(
    ("path", "staged", "rescuer"),
    [
        ("/a.txt", {"v3"}, "v1"),
        ("/a.txt", set(), None),
        ("/ab.txt", {"v3"}, "v1"),
        ("/ab.txt", set(), None),
        ("/abc.txt", {"v3"}, None),
        ("/abc.txt", {"v2", "v3"}, "v1"),
        ("/staged.txt", {"v3"}, None),
        ("/staged.txt", set(), "v3"),
        ("/empty.txt", set(), "v4"),
        ("/page.html", set(), None),
        ("/assets/x-C0liD3sX.js", set(), None),
        ("/assets/x-C0liD3sX.js", {"v2"}, "v1"),
        ("/nobody.txt", set(), None),
    ],
)
def test_rescues(rescuing: dict[str, StaticAssets], path: str, staged: set[str], rescuer: str | None) -> None:
    """A file that is no HTML rescues when all that have it, staged versions excepted, agree on its bytes."""
    known = catalog(rescuing, staged)
    assert known.rescues.get(path) == rescuer


def test_equal_rules_are_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 versions with the same rules cost a request that reaches the application what one does."""
    for number in range(20):
        write_build(tmp_path / f"v{number}", {"app.html": "<h1>page</h1>", "_redirects": "/shop/* /app 200"})
    known = catalog({f"v{number}": StaticAssets(tmp_path / f"v{number}") for number in range(20)})
    asked = []
    find = Build.find
    monkeypatch.setattr(Build, "find", lambda self, *request: asked.append(self) or find(self, *request))
    fetch = {"HTTP_SEC_FETCH_MODE": "cors", "HTTP_SEC_FETCH_DEST": "empty"}
    assert not known.is_answered_elsewhere("/shop/cart", fetch)
    assert len(asked) == 1


def test_prefix(assets: dict[str, StaticAssets]) -> None:
    """Files are named by their request path, which begins with the prefix; rescues by their path in a build."""
    known = catalog(assets, prefix="/shop/")
    assert set(known.names) == {f"/shop{path}" for path in (SHARED, *ENTRY.values())}
    assert set(known.rescues) == set(OWN.values())


REFERERS = [
    ("http://localhost{v1}", "v1"),
    ("https://shop.example:8443{v2}", "v2"),
    ("http://localhost{v0}", "v0"),
    ("http://localhost{v1}?v=1", "v1"),
    ("http://localhost{v1}#top", "v1"),
    ("http://localhost{v1}?a=#b?c", "v1"),
    ("http://other.example{v1}", "v1"),
    ("http://localhost/assets/index%2DBX4CeNGm.js", "v1"),
    ("http://localhost/%61ssets/index-BX4CeNGm.js", "v1"),
    ("http://localhost/", ""),
    ("http://localhost", ""),
    ("http://localhost/index.html", ""),
    ("http://localhost/x{v1}", ""),
    ("http://localhost{v1}/", ""),
    ("http://localhost/?{v1}", ""),
    ("http://localhost/#{v1}", ""),
    ("http://localhost" + SHARED, ""),
    ("http://localhost" + COLLISION, ""),
    ("http://localhost" + OWN["v1"], ""),
    ("{v1}", ""),
    ("about:blank", ""),
    ("", ""),
    ("://", ""),
    ("http://[::1{v1}", "v1"),
    ("http://localhost/%", ""),
    ("http://localhost/%zz%ff%00", ""),
    ("http://localhost/\xff\xfe", ""),
    ("http://localhost/日%41", ""),
    ("http://localhost/\udcff%41", ""),
    ("http://localhost/\ud800{v1}%2d", ""),
    ("http://localhost/" + "a/" * 30_000, ""),
]


@pytest.mark.parametrize(("referer", "version"), REFERERS)
def test_referer(assets: dict[str, StaticAssets], referer: str, version: str) -> None:
    """A Referer proves the one version that has the fingerprinted file it names, and no parse of it raises."""
    environ = {"HTTP_REFERER": referer.format(**ENTRY)}
    assert catalog(assets).referer_version(environ) == version


@pytest.mark.parametrize(
    ("script_name", "prefix", "path", "version"),
    [
        ("/site", "/", "/site{v1}", "v1"),
        ("/site", "/", "{v1}", "v1"),
        ("", "/shop/", "/shop{v1}", "v1"),
        ("", "/shop/", "{v1}", ""),
        ("/site", "/shop/", "/site/shop{v1}", "v1"),
        ("/caf\xc3\xa9", "/", "/caf%C3%A9{v1}", "v1"),
    ],
)
def test_referer_where_mounted(
    assets: dict[str, StaticAssets], script_name: str, prefix: str, path: str, version: str
) -> None:
    """The Referer's path includes where the application is mounted, and the prefix."""
    environ = {"HTTP_REFERER": f"http://localhost{path.format(**ENTRY)}", "SCRIPT_NAME": script_name}
    assert catalog(assets, prefix=prefix).referer_version(environ) == version


#: Names of files, and what is logged of them: how many, and names.
REPORTS = [
    ([], [], None),
    (["a-C0liD3sX.js"], [], "1 {}: '/assets/a-C0liD3sX.js'"),
    (["a-C0liD3sX.js", "b-C0liD3sX.js"], ["a-C0liD3sX.js"], "1 {}: '/assets/b-C0liD3sX.js'"),
    (["a-C0liD3sX.js"], ["a-C0liD3sX.js"], None),
    ([f"{n}-C0liD3sX.js" for n in range(5)], [], "5 {}: *'/assets/4-C0liD3sX.js'"),
    ([f"{n}-C0liD3sX.js" for n in range(6)], [], "6 {}: *'/assets/4-C0liD3sX.js' ..."),
    (["a\r\nb-C0liD3sX.js"], [], r"1 {}: '/assets/a\r\nb-C0liD3sX.js'"),
]


@pytest.mark.parametrize(("files", "reported", "logged"), REPORTS)
@pytest.mark.parametrize("at_odds", ["bytes", "fields"])
def test_report(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    at_odds: str,
    files: list[str],
    reported: list[str],
    logged: str | None,
) -> None:
    """Where versions are at odds is logged in one warning that names a few files, escaped; what was is not again."""

    def versions(name: str, files: list[str]) -> Catalog:
        content = {
            version: {f"assets/{file}": version if at_odds == "bytes" else "" for file in files} for version in "xy"
        }
        if at_odds == "fields":
            content["y"]["_headers"] = "/*\n  X-A: y"
        return catalog(
            {version: StaticAssets(write_build(tmp_path / name / version, content[version])) for version in "xy"}
        )

    before = versions("before", reported) if reported else None
    known = versions("now", files) if files else catalog({})
    caplog.clear()
    report(known, before)
    records = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    have = "name has" if logged is not None and logged.startswith("1 ") else "names have"
    told = {
        "bytes": f"fingerprinted {have} different bytes",
        "fields": f"fingerprinted {have} different header fields",
    }
    assert len(records) == (logged is not None)
    for name, level, message in records:
        assert (name, level) == ("version_affinity", logging.WARNING)
        assert logged is not None
        count, _, names = logged.format(told[at_odds]).partition(": ")
        assert message.startswith(count)
        assert message.endswith(names.removeprefix("*"))
        assert "/5-" not in message
