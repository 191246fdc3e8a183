"""The versions that a process has loaded: each whole or not at all, once, and tried again at a decent pace."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import ENTRY, build_of
from tests.harness import write_build
from tests.releases.followed import until
from version_affinity import StaticAssets
from version_affinity.assets.loading.memory import Memory
from version_affinity.releases.follow import loaded as module
from version_affinity.releases.follow.loaded import LoadedVersions
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from version_affinity.assets.loading.inventory import Inventory


class Loading:
    """Loads builds, and notes which."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.memory = Memory(1 << 20)
        self.error: Exception | None = None

    def __call__(self, directory: str, *, manifest: Inventory) -> StaticAssets:
        """Load a build."""
        self.loaded.append(directory.rpartition("/")[2])
        if self.error is not None:
            raise self.error
        return StaticAssets(directory, manifest=manifest, memory=self.memory)


@pytest.fixture
def releases(tmp_path: Path) -> ReleasesDirectory:
    """A releases directory with two versions."""
    releases = ReleasesDirectory.init(tmp_path / "releases", name="storefront")
    for version in ("v1", "v2"):
        upload(releases, write_build(tmp_path / f"dist-{version}", build_of(version)), id=version)
    return releases


@pytest.fixture
def loading() -> Loading:
    """What loads builds."""
    return Loading()


def known(releases: ReleasesDirectory, *versions: str) -> list[Any]:
    """Return the releases of these ids, of all unless some are given."""
    uploaded = releases.versions()
    return [uploaded[version] for version in (versions or uploaded)]


def test_a_version_is_loaded_once(releases: ReleasesDirectory, loading: Loading) -> None:
    """What is loaded stays the same object for as long as it is known, in the order of what is known."""
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    first = loaded_versions.versions
    loaded_versions.load(known(releases, "v2", "v1"))
    assert loading.loaded == ["v1", "v2"]
    assert list(loaded_versions.versions) == ["v2", "v1"]
    assert [loaded_versions.versions[version] is first[version] for version in first] == [True, True]
    loaded_versions.load(known(releases, "v2"))
    assert list(loaded_versions.versions) == ["v2"]
    loaded_versions.load(known(releases))
    assert loading.loaded == ["v1", "v2", "v1"]
    assert not loaded_versions.is_due()


def lose_a_file(build: Path) -> None:
    """Remove a file that is served."""
    (build / ENTRY["v2"][1:]).unlink()


def lose_the_manifest_of_vite(build: Path) -> None:
    """Remove a file that is not served, and read all the same."""
    (build / ".vite/manifest.json").unlink()


def copy_a_file(build: Path) -> None:
    """Have a file under the name that it has while rsync copies it."""
    file = build / ENTRY["v2"][1:]
    file.rename(file.with_name(f".{file.name}.Xy12Ab"))


def copy_the_manifest_of_vite(build: Path) -> None:
    """Have a file that is not served under such a name."""
    (build / ".vite/manifest.json").rename(build / ".vite/.manifest.json.Xy12Ab")


def change_a_file(build: Path) -> None:
    """Write other bytes into a file."""
    file = build / ENTRY["v2"][1:]
    file.chmod(0o644)
    file.write_text("// other")


def empty_the_manifest(build: Path) -> None:
    """Leave nothing of the version's own manifest."""
    build.with_name("v2.json").write_text("{}")


def damage_the_manifest(build: Path) -> None:
    """Leave no JSON of it."""
    build.with_name("v2.json").write_text("[" * 100_000)


def cut_the_manifest(build: Path) -> None:
    """Have a part of it, as while it is copied."""
    manifest = build.with_name("v2.json")
    manifest.write_bytes(manifest.read_bytes()[:-9])


def forget_what_a_file_holds(build: Path) -> None:
    """Have an entry of it without a hash."""
    manifest = build.with_name("v2.json")
    document = json.loads(manifest.read_bytes())
    del document["files"][ENTRY["v2"][1:]]["digest"]
    manifest.write_text(json.dumps(document))


def old(file: Path) -> None:
    """Make a file one that was not just written."""
    os.utime(file, (1_700_000_000, 1_700_000_000))


def test_a_damaged_file(releases: ReleasesDirectory, loading: Loading, caplog: pytest.LogCaptureFixture) -> None:
    """A version with a damaged file is loaded without it, and the log names both; uploaded again, it is whole."""
    damaged = releases.build_path("v2") / ENTRY["v2"][1:]
    change_a_file(releases.build_path("v2"))
    old(damaged)
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    assert list(loaded_versions.versions) == ["v1", "v2"]
    assert (ENTRY["v2"] in index_of(loaded_versions, "v2").assets, len(index_of(loaded_versions, "v2").assets) > 3) == (
        False,
        True,
    )
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert ("version 'v2'" in told, ENTRY["v2"] in told, "versions verify v2" in told) == (True, True, True)
    upload(releases, releases.path.parent / "dist-v2", id="v2")
    loaded_versions.load(known(releases))
    assert ENTRY["v2"] in index_of(loaded_versions, "v2").assets


def test_a_damaged_page(releases: ReleasesDirectory, loading: Loading) -> None:
    """A version with a damaged page is not loaded: users get another version, whose page is whole."""
    page = releases.build_path("v2") / "index.html"
    page.chmod(0o644)
    page.write_text("defaced")
    old(page)
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    assert list(loaded_versions.versions) == ["v1"]
    assert "'/index.html' holds other bytes" in loaded_versions.failures["v2"].reason


def index_of(loaded_versions: LoadedVersions, version: str) -> Any:
    """Return the files of a version."""
    return loaded_versions.versions[version].app.index  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lose_a_file, "8 of its 9 files are here"),
        (lose_the_manifest_of_vite, "8 of its 9 files are here"),
        (copy_a_file, f"8 of its 9 files are here: {ENTRY['v2'][1:]!r} is missing"),
        (copy_the_manifest_of_vite, "8 of its 9 files are here"),
        (change_a_file, "holds other bytes than were uploaded"),
        (empty_the_manifest, "its manifest cannot be used: it is not the manifest of a build"),
        (damage_the_manifest, "its manifest cannot be used: it is not JSON"),
        (cut_the_manifest, "its manifest cannot be used: it is not JSON"),
        (forget_what_a_file_holds, "its manifest cannot be used: it does not describe 1 of its files"),
    ],
)
def test_a_version_that_is_not_whole(
    releases: ReleasesDirectory,
    loading: Loading,
    damage: Callable[[Path], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is no version until it is; the others are. It is told once, and tried again after a pause that grows."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    kept = releases.path / "kept"
    shutil.copytree(releases.uploads, kept)
    listed = known(releases)
    damage(releases.build_path("v2"))
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(listed)
    assert list(loaded_versions.versions) == ["v1"]
    assert reason in loaded_versions.failures["v2"].reason
    assert loading.memory.used == 0  # what was not taken keeps nothing
    pauses = [loaded_versions.failures["v2"].pause]
    for _ in range(3):
        until(loaded_versions.is_due)
        loaded_versions.load(listed)
        pauses.append(loaded_versions.failures["v2"].pause)
    assert pauses == [0.01, 0.02, 0.04, 0.08]
    assert caplog.text.count("version 'v2' cannot be loaded, and is tried again") == 1
    for source in kept.rglob("*"):
        if source.is_file():
            target = releases.uploads / source.relative_to(kept)
            target.unlink(missing_ok=True)
            shutil.copy2(source, target)
    until(loaded_versions.is_due)
    loaded_versions.load(listed)
    assert list(loaded_versions.versions) == ["v1", "v2"]
    assert loaded_versions.failures == {}


def test_it_is_not_tried_before_it_is_due(releases: ReleasesDirectory, loading: Loading) -> None:
    """However often a worker looks, a version that fails is read at the pace of its pause."""
    loading.error = PermissionError(13, "Permission denied")
    loaded_versions = LoadedVersions(releases, loading)
    for _ in range(10):
        loaded_versions.load(known(releases))
    assert loading.loaded == ["v1", "v2"]
    assert loaded_versions.failures["v1"].reason == "[Errno 13] Permission denied"


def test_a_rule_of_the_application_that_raises(releases: ReleasesDirectory, loading: Loading) -> None:
    """Whatever the application's own callables raise is told by its name, and takes nobody down."""
    loading.error = ZeroDivisionError("by zero")
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    assert loaded_versions.versions == {}
    assert {failure.reason for failure in loaded_versions.failures.values()} == {"ZeroDivisionError: by zero"}


def test_what_is_not_known_any_more_is_no_failure(releases: ReleasesDirectory, loading: Loading) -> None:
    """A version that fails and is then pruned is forgotten."""
    loading.error = ValueError()
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    loaded_versions.load([])
    assert (loaded_versions.versions, loaded_versions.failures, loaded_versions.is_due()) == ({}, {}, False)


def test_a_version_that_has_just_been_removed(releases: ReleasesDirectory, loading: Loading) -> None:
    """What vanishes between the look at the directory and the load is no error: the next look shows it."""
    listed = known(releases)
    shutil.rmtree(releases.build_path("v2"))
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(listed)
    assert (list(loaded_versions.versions), loaded_versions.failures) == (["v1"], {})


@pytest.mark.parametrize("form", [{"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_a_manifest_in_another_form(tmp_path: Path, loading: Loading, form: dict[str, Any]) -> None:
    """A version whose manifest somebody has formatted is the same version; names beyond ASCII are the same names."""
    releases = ReleasesDirectory.init(tmp_path / "releases", name="storefront")
    upload(releases, write_build(tmp_path / "dist", {**build_of("v1"), "größe/ß.txt": "x"}), id="v1")
    manifest = releases.manifest_path("v1")
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()), **form), "utf-8")
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    assert (list(loaded_versions.versions), loaded_versions.failures) == (["v1"], {})
    (releases.build_path("v1") / "größe/ß.txt").unlink()
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    assert "'größe/ß.txt' is missing" in loaded_versions.failures["v1"].reason


def test_files_that_the_application_ignores(releases: ReleasesDirectory, loading: Loading) -> None:
    """A version of which the application serves only a part is whole; so is one with files that nobody uploaded."""
    (releases.build_path("v1") / "assets").chmod(0o755)
    (releases.build_path("v1") / "assets/.nfs0001").write_text("")
    (releases.build_path("v1") / ".DS_Store").write_text("")
    loaded_versions = LoadedVersions(
        releases, lambda build, *, manifest: StaticAssets(build, manifest=manifest, ignore=["*.svg"])
    )
    loaded_versions.load(known(releases))
    assert list(loaded_versions.versions) == ["v1", "v2"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="this user may read everything")
def test_a_file_that_cannot_be_read(releases: ReleasesDirectory, loading: Loading) -> None:
    """A file that this user may not look at is missed now, not by a request."""
    (releases.build_path("v2") / "assets").chmod(0)
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases))
    (releases.build_path("v2") / "assets").chmod(0o755)
    assert "files are here" in loaded_versions.failures["v2"].reason


def test_names_of_all_kinds(releases: ReleasesDirectory, loading: Loading, tmp_path: Path) -> None:
    """Rule files, compressed files, deep ones and names that are not ASCII count as what they are."""
    names = ("_headers", "_redirects", "sub/_headers", "naïve.js", "a/b/c.txt", "index.html.gz")
    upload(releases, write_build(tmp_path / "v3", {**build_of("v1"), **dict.fromkeys(names, "/x /y")}), id="v3")
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases, "v3"))
    assert loaded_versions.failures == {}
    (releases.build_path("v3") / "_headers").unlink()
    loaded_versions = LoadedVersions(releases, loading)
    loaded_versions.load(known(releases, "v3"))
    assert "14 of its 15 files are here" in loaded_versions.failures["v3"].reason
