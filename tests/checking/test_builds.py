"""Builds of real bundlers: a build that is right is clean, and each file is missed when it is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checking.bundled import BUILDS
from tests.checking.sites import checked, loaded
from version_affinity.assets.static import StaticAssets
from version_affinity.checking import check_build

EXAMPLES = Path(__file__).resolve().parents[2] / "example_app" / "builds"
VERSIONS = ("v0", "v1", "v2")


@pytest.mark.parametrize("name", BUILDS)
def test_right(name: str, tmp_path: Path) -> None:
    """Nothing is wrong with what bundlers write, nor doubtful, and all of it is understood."""
    report = checked(tmp_path, BUILDS[name])
    assert (report.broken, report.doubtful, report.faults) == ((), (), ())


@pytest.mark.parametrize(
    ("name", "gone"), [(name, file) for name, files in BUILDS.items() for file in files if not file.endswith(".html")]
)
def test_gone(name: str, gone: str, tmp_path: Path) -> None:
    """A file that is gone is missed, and known to be in the version that has it; nothing else is."""
    files = {file: text for file, text in BUILDS[name].items() if file != gone}
    report = checked(tmp_path, files, known={"v1": loaded(tmp_path, BUILDS[name])})
    assert {(broken.path, broken.versions) for broken in (*report.broken, *report.doubtful)} == {(f"/{gone}", ("v1",))}
    assert {broken.doubt for broken in report.doubtful} <= {"pages work without it"}
    assert bool(report.doubtful) == gone.endswith(("favicon.svg", "favicon.ico", "manifest", "icons/a.png", "vite.svg"))


def test_mounted_elsewhere(tmp_path: Path) -> None:
    """A build with relative references works wherever it is mounted; one made for the root does not work there."""
    assert checked(tmp_path, BUILDS["Vite, base ./"], prefix="/shop/").ok
    shop = {file: text.replace("/assets/", "/shop/assets/") for file, text in BUILDS["webpack"].items()}
    assert checked(tmp_path, shop, prefix="/shop/").ok
    assert checked(tmp_path, BUILDS["Vite"], prefix="/shop/", app_first=["/sw.js"]).ok  # the application's paths, then
    assert not checked(tmp_path, BUILDS["Vite"] | {"index.html": '<script src="/shop/x.js">'}, prefix="/shop/").ok


@pytest.mark.parametrize("version", VERSIONS)
def test_examples(version: str) -> None:
    """The example's builds are right, beside each other too."""
    known = {other: StaticAssets(EXAMPLES / other, memory=0) for other in VERSIONS if other != version}
    live = next(iter(known))
    report = check_build(StaticAssets(EXAMPLES / version, memory=0), known=known, live=live)
    assert (report.ok, report.broken, report.doubtful, report.faults) == (True, (), (), ())
    assert {"/logo.svg"} <= {unstable.path for unstable in report.unstable}
    assert report.churn is not None
    assert 0 < report.churn.shared.files < report.sizes.total.files


@pytest.mark.parametrize("pattern", ["*.css", "*.woff2", "index-*.js", "lib-*.js", "rollout-*.js", "*.svg"])
def test_examples_gone(pattern: str, tmp_path: Path) -> None:
    """A file that is gone from an example's build is missed, and known to be in the version that has it."""
    build = tmp_path / "v1"
    shutil.copytree(EXAMPLES / "v1", build)
    gone = min((build / "assets").glob(pattern))
    gone.unlink()
    report = check_build(StaticAssets(build, memory=0), known={"v1": StaticAssets(EXAMPLES / "v1", memory=0)})
    assert {(broken.path, broken.versions) for broken in report.broken} == {(f"/assets/{gone.name}", ("v1",))}
