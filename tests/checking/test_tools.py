"""Builds that the tools made themselves (``builds/make``): no false alarm, and each file is missed when it is gone."""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from version_affinity.assets.static import StaticAssets
from version_affinity.checking import check_build, parsing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from version_affinity.checking.parsing import Task
    from version_affinity.checking.references import Document

MADE = Path(__file__).parent / "builds" / "made"
TOOLS = sorted(archive.name.removesuffix(".tar.xz") for archive in MADE.glob("*.tar.xz"))
#: Files that no other file of the build names: pages themselves, what frameworks poll or fetch by a name that their
#: scripts put together, a style sheet that esbuild writes and leaves to the server, the icon of a page without a link.
UNNAMED = {
    "*": r".*\.html",
    "astro": r"/favicon\.svg",
    "esbuild": r"/about-\w+\.css",
    "next-turbopack": r"/favicon\.svg|.*\.txt|/_next/static/\w+/_\w+\.js",
    "next-webpack": r"/favicon\.svg|.*\.txt|/_next/static/\w+/_\w+\.js|/_next/static/chunks/(app/([\w-]+/page|layout)"
    r"|framework|main|next/dist/client/components/builtin/[\w-]+)-\w+\.js",
    "nuxt": r"/favicon\.svg|/_nuxt/builds/.*",
    "sveltekit": r"/_app/version\.json",
    "vitepress": r"/hashmap\.json",
    "angular": r"/ngsw\.json|/(ngsw-worker|safety-worker|worker-basic\.min)\.js|/3rdpartylicenses\.txt"
    r"|/prerendered-routes\.json",
}
#: Files that are not missed for certain: an image in the style sheet that esbuild leaves to the server, and a worker
#: that no known version has.
UNSURE = {"esbuild": r"/about-\w+\.png", "vite-7-pwa": r"/sw\.js"}


@pytest.fixture(autouse=True)
def parsed_once(monkeypatch: pytest.MonkeyPatch, kept: dict[tuple[str, bytes], Document]) -> None:
    """Keep what is found in a file: a build is checked once for each of its files."""

    def parse_files(tasks: Iterable[Task], _progress: object = None) -> dict[Task, Document]:
        wanted = dict.fromkeys(tasks)
        for task in wanted:
            if (task.language, task.digest) not in kept:
                kept[task.language, task.digest] = parsing.parse_file(task)
        return {task: kept[task.language, task.digest] for task in wanted}

    monkeypatch.setattr(sys.modules[check_build.__module__], "parse_files", parse_files)


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, bytes], Document]:
    """What was found in files, by language and digest."""
    return {}


def unpacked(tool: str, directory: Path) -> Path:
    """Return the directory of a tool's build."""
    with tarfile.open(MADE / f"{tool}.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    return directory


def test_all_are_there() -> None:
    """Every tool that the script knows has a build."""
    assert sorted(path.name for path in (MADE.parent / "tools").iterdir()) == TOOLS


@pytest.mark.parametrize("tool", TOOLS)
def test_tool(tool: str, tmp_path: Path) -> None:
    """Nothing is said against an intact build; a file that is gone is missed, and no other one is."""
    build = unpacked(tool, tmp_path)
    report = check_build(StaticAssets(build, memory=0))
    assert (report.broken, report.doubtful, report.faults, report.prefix) == ((), (), (), "")
    unnamed = re.compile("|".join([UNNAMED["*"], UNNAMED.get(tool, "(?!)")]))
    for path in StaticAssets(build, memory=0).index.assets:
        file = build / path[1:]
        content = file.read_bytes()
        file.unlink()
        try:
            left = StaticAssets(build, memory=0)
            report = check_build(left)
        finally:
            file.write_bytes(content)
        missed = {broken.path for broken in (*report.broken, *report.doubtful)}
        assert missed == (set() if unnamed.fullmatch(path) else {path}), path
        sure = {broken.path for broken in report.broken}
        doubts = {broken.doubt for broken in report.doubtful if broken.path not in sure}
        assert doubts <= {"pages work without it"} or re.fullmatch(UNSURE.get(tool, "(?!)"), path), path
