"""The example's committed builds: they equal a new build of the source, and they can show a rollout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[2] / "example_app"
BUILDS = EXAMPLE / "builds"
VERSIONS = ("v0", "v1", "v2")
#: Absolute references in HTML, CSS and JavaScript to files with a content hash, and relative ones between chunks.
REFERENCE = re.compile(r"""["'`(]((?:/|\./)?(?:assets/)?[\w.-]+-[\w-]{8}\.(?:js|css|svg|png|woff2|txt))["'`)#$]""")


def missing(reason: str) -> NoReturn:
    """Skip the test because a component is missing; with ``CI=true`` that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def files_of(build: Path) -> dict[str, bytes]:
    """Return a build's files by relative path."""
    return {
        path.relative_to(build).as_posix(): path.read_bytes() for path in sorted(build.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def frontend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The front end's source with its dependencies: the checkout, or a copy if no dependencies are installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("Node and npm are not installed")
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    major, minor = (int(part) for part in version.lstrip("v").split(".")[:2])
    if (major, minor) < (20, 19):
        missing(f"the front end's build needs Node 20.19 or newer, this is {version}")
    source = EXAMPLE / "frontend"
    if (source / "node_modules" / "vite").is_dir():
        return source
    copy = tmp_path_factory.mktemp("example") / "frontend"
    shutil.copytree(source, copy)
    install = subprocess.run([npm, "ci"], cwd=copy, capture_output=True, text=True, check=False)
    if install.returncode:
        missing(f"npm ci failed: {install.stderr[-400:]}")
    return copy


@pytest.mark.parametrize("version", VERSIONS)
def test_rebuild_equals_commit(version: str, frontend: Path, tmp_path: Path) -> None:
    """Building the committed source again gives the committed files, name for name and byte for byte."""
    vite = ["node", "node_modules/vite/bin/vite.js", "build", "--mode", version, "--outDir", str(tmp_path / version)]
    subprocess.run(vite, cwd=frontend, check=True, capture_output=True)
    rebuilt, committed = files_of(tmp_path / version), files_of(BUILDS / version)
    assert sorted(rebuilt) == sorted(committed)
    assert [path for path, content in rebuilt.items() if content != committed[path]] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_references_resolve(version: str) -> None:
    """A build contains every hashed file that its HTML, CSS and JavaScript name."""
    files = files_of(BUILDS / version)
    named = {
        f"assets/{reference.rpartition('/')[2]}"
        for path, content in files.items()
        if path.endswith((".html", ".css", ".js"))
        for reference in REFERENCE.findall(content.decode())
    }
    assert len(named) > 10
    assert named - files.keys() == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_build_names_its_version(version: str) -> None:
    """The document, the entry and the lazily loaded chunk name their version."""
    build = BUILDS / version
    manifest = json.loads((build / ".vite/manifest.json").read_text())
    lazy = manifest["src/pages/about.tsx"]
    assert f'data-version="{version}"' in (build / "index.html").read_text()
    assert f"`{version}`" in (build / manifest["index.html"]["file"]).read_text()
    assert f'"data-lazy-version":`{version}`' in (build / lazy["file"]).read_text()
    assert lazy["isDynamicEntry"]
    assert json.loads((build / "release.json").read_text())["version"] == version


@pytest.mark.parametrize(("one", "other"), [("v0", "v1"), ("v0", "v2"), ("v1", "v2")])
def test_builds_share_and_differ(one: str, other: str) -> None:
    """Two builds share some hashed files and differ in others. Only names without a hash have different contents."""
    first, second = files_of(BUILDS / one), files_of(BUILDS / other)
    common = first.keys() & second.keys()
    shared = {path.removeprefix("assets/").partition("-")[0] for path in common}
    assert shared >= {"vendor", "lib", "panel", "sprite"}
    for entry in ("assets/index", "assets/about", "assets/journey", "assets/theme"):
        own, others = ({path for path in build if path.startswith(f"{entry}-")} for build in (first, second))
        assert own ^ others, entry
    differing = {path for path in common if first[path] != second[path]}
    assert differing == {".vite/manifest.json", "index.html", "release.json", "logo.svg", "favicon.svg"}


@pytest.mark.parametrize("version", VERSIONS)
def test_build_is_small_and_self_contained(version: str) -> None:
    """A build is smaller than 300 KB and loads nothing from another host. Its texts may link to other hosts."""
    files = files_of(BUILDS / version)
    assert sum(len(content) for content in files.values()) < 300_000
    for path, content in files.items():
        if path.endswith((".html", ".css", ".js")):
            hosts = set(re.findall(rb"https?://([\w.-]+)", content))
            assert hosts <= {b"www.w3.org"}, path  # the namespaces of SVG and MathML
