"""Whatever a build holds: a check ends in time and says what it could not read; it never raises."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checking.sites import PAGE, checked, loaded
from tests.harness import write_build
from version_affinity.checking import check_build, parsing
from version_affinity.checking.parsing import (
    CSS,
    HTML,
    JAVASCRIPT,
    MANIFEST,
    Task,
    parse_content,
    parse_file,
    parse_files,
    task_of,
)
from version_affinity.checking.references import Document
from version_affinity.wire import printable

if TYPE_CHECKING:
    from version_affinity.assets.static import StaticAssets

pytestmark = pytest.mark.slow

PYTHON = sys.executable

LANGUAGES = (HTML, CSS, JAVASCRIPT, MANIFEST)
#: What the languages are made of, to be put together in any order.
PIECES = (
    *(
        "<script>",
        "</script>",
        "<style>",
        "</style>",
        "<base href=",
        "<img srcset=",
        "<link rel=preload href=",
        "<svg>",
    ),
    *("<!--", "-->", "<template shadowrootmode=open>", "<meta http-equiv=refresh content='", "<script type=importmap>"),
    *("<a href=", "@import ", "url(", "image-set(", "{", "}", "(", ")", "[", "]", "'", '"', "`", "\\", "/", "//", "/*"),
    *("*/", ";", ",", ":", "import ", "import(", "export * from ", "new URL(", "new Worker(", "import.meta.url", "${"),
    *(
        "=>",
        "System.register([",
        "const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=[",
        "webpackChunk",
        "n.u=e=>",
    ),
    *(
        "e+",
        "{1:'a'}[e]",
        "\\ud800",
        '{"icons":[{"src":',
        "url:'a',revision:1",
        "define(['./workbox-",
        "a.js",
        "./",
        "../",
    ),
    *("%2e%2e/", "%ff", "\0", "\n", "\xe9", "http://x/", "data:,", "#", "?", " ", "1e999", "\u202e", "\ud800"),
)


@given(st.sampled_from(LANGUAGES), st.binary() | st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_parse(language: str, content: bytes | str) -> None:
    """Any content of any file is read to its end: what is found has a line, and what is not is a fault."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    document = parse_content(language, data)
    assert isinstance(document, Document)
    last = data.count(b"\n") + data.count(b"\r") + data.count(b"\f") + 1
    assert all(1 <= found.line <= last and found.text for found in document.references)
    assert all(fault.line >= 1 and fault.reason for fault in document.faults)


URLS = st.lists(st.sampled_from(PIECES)).map("".join) | st.text()


@given(urls=st.lists(URLS, max_size=5), base=URLS, specifier=URLS, prefix=st.sampled_from(["/", "/shop/"]))
def test_check(
    urls: list[str], base: str, specifier: str, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any URL in a page, a script or an import map is followed to an answer, and told in text that prints."""
    quoted = [json.dumps(url).replace("<", "\\x3c") for url in urls]
    images = "".join(f'<img src="{url.replace(chr(34), "&quot;")}">' for url in urls)
    imports = json.dumps(
        {"imports": {f"{specifier}{at}": url for at, url in enumerate(urls)}, "scopes": {base: {specifier: base}}}
    )
    files = {
        "index.html": f'{PAGE}<base href="{base}">{images}<script type=importmap>{imports}</script><script src=/a.js>',
        "a.js": "".join(f"import({url});new Worker({url});a={url};" for url in quoted),
        "b.html": images,
        "_redirects": "/a /b 200\n/c/* /:splat\n",
    }
    written = {name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}
    report = checked(tmp_path_factory.mktemp("hostile"), written, prefix=prefix)
    assert json.dumps(report.as_dict()).isascii()
    for broken in (*report.broken, *report.doubtful):
        assert (broken.text, broken.path) == (printable(broken.text), printable(broken.path))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.html", b"<div>" * 40_000),
        ("a.html", b"<b><i><a><p>" * 4_000),
        ("a.html", b"<table><tr><td>" * 10_000),
        ("a.html", b"<div><template shadowrootmode=open>" * 4_000),
        ("a.html", b"<img srcset='" + b"data:, 1x, " * 10_000 + b"'>"),
        ("a.html", b"<p style='" + b"url(" * 20_000),
        ("a.css", b"(" * 30_000),
        ("a.css", b"@import " * 15_000),
        ("a.css", b"image-set(" * 15_000),
        ("a.css", b"'\n" * 20_000),
        ("a.css", b"1" * 100_000),
        ("a.js", b"(" * 50_000),
        ("a.js", b"import(" * 20_000),
        ("a.js", b"`${" * 30_000),
        ("a.js", b"a('x')" + b".b('x')" * 20_000),
        ("a.js", b"new URL(" * 20_000),
        ("a.js", b"const __vite__mapDeps=(i,m=(" * 20_000),
        ("a.js", b"webpackChunk;n.u=e=>" + b"(" * 20_000 + b"e" + b")" * 20_000),
        ("a.js", b"webpackChunk;n.u=e=>" + b"1===e?'a':" * 20_000 + b"'b'"),
        ("a.js", b"webpackChunk;n.u=e=>{1:'a'}[e]" + b"+'b'" * 20_000),
        ("a.js", b"a=" + b"'/a.js'+" * 15_000 + b"b"),
        ("a.js", bytes(range(256)) * 400),
        ("a.webmanifest", b'{"icons":' + b"[" * 100_000),
        ("a.webmanifest", b"1" * 100_000),
    ],
)
def test_deep_and_long(name: str, data: bytes, tmp_path: Path) -> None:
    """Deeply nested and very long input is parsed within the patience for one file, or reported."""
    report = checked(tmp_path, {name: data, "index.html": PAGE})
    assert report.ok


def test_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes too long to parse has a fault, and the other files are parsed."""
    monkeypatch.setattr(parsing, "PATIENCE", 3.0)
    files = {"slow.html": b"<" * 3_000_000, "index.html": f"{PAGE}<img src=/a.png>".encode()}
    report = checked(tmp_path, files)
    assert [(fault.file, fault.reason) for fault in report.faults] == [
        ("/slow.html", "it was not checked: parsing it takes more than 3 s")
    ]
    assert [broken.path for broken in report.broken] == ["/a.png"]


def tasks_of(build: StaticAssets) -> list[Task]:
    """Return the files of a build that are parsed."""
    return [task for asset in build.index.assets.values() if (task := task_of(asset)) is not None]


#: Enough to be worth a process.
LARGE = {
    "index.html": PAGE + "<p>" * 70_000 + "<script src=/a.js></script>",
    "a.js": "f();" * 1_000 + "import './b.js'",
    "b.css": "a{b:url(c.png)}" * 1_000,
    "d.html": f"{PAGE}<img src=e.png>",
}
LARGE_BROKEN = ["/b.js", "/e.png"]


def test_processes(tmp_path: Path) -> None:
    """Large files are parsed by other processes, with the same result as in this process."""
    report = checked(tmp_path, LARGE)
    assert [broken.path for broken in report.broken] == LARGE_BROKEN
    assert len(report.doubtful) == 1_000
    tasks = tasks_of(loaded(tmp_path, LARGE))
    assert parse_files(tasks) == {task: parse_file(task) for task in tasks}
    assert parse_files([]) == {}


SMALL = {"index.html": f"{PAGE}<script src=/a.js></script>", "a.js": "import './b.js'", "c.png": b"-", "d.css": ""}


@pytest.mark.parametrize(("files", "total"), [(SMALL, 3), (LARGE, 4)])
def test_progress(files: dict[str, str | bytes], total: int, tmp_path: Path) -> None:
    """Each parsed file is reported once, in the calling thread, whichever process parses it."""
    seen: list[tuple[int, int]] = []
    threads: set[threading.Thread] = set()

    def note(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.current_thread())

    assert checked(tmp_path, files, progress=note) == checked(tmp_path, files)
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("files", [SMALL, LARGE])
def test_progress_raises(files: dict[str, str | bytes], tmp_path: Path) -> None:
    """What the callback raises ends the check and reaches the caller; no process is left."""
    before = set(multiprocessing.active_children())
    ended: list[int] = []

    def stop(done: int, _total: int) -> None:
        ended.append(done)
        raise KeyboardInterrupt

    more = {f"more{number}.js": "f();" for number in range(30)}
    with pytest.raises(KeyboardInterrupt):
        checked(tmp_path, {**files, **more}, progress=stop)
    assert ended == [1]
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize("executable", [None, "/nonexistent/python", "/bin/false"])
def test_no_processes(executable: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started, all files are parsed in this one."""
    if executable is None:
        monkeypatch.setattr(sys, "executable", None)
    else:
        multiprocessing.set_executable(executable)
    try:
        assert [broken.path for broken in checked(tmp_path, LARGE).broken] == LARGE_BROKEN
    finally:
        multiprocessing.set_executable(sys.executable or PYTHON)


def test_no_more_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no room for another process, all files are parsed in this one."""
    attempts: list[object] = []

    def start(process: object) -> None:
        attempts.append(process)
        assert len(attempts) < 10
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", start)
    assert [broken.path for broken in checked(tmp_path, LARGE).broken] == LARGE_BROKEN


#: A script without ``if __name__ == "__main__"``. Its first line counts how often it runs.
SCRIPT = """
with open("runs", "a") as runs: runs.write("x")
from multiprocessing import current_process
from version_affinity.assets.static import StaticAssets
from version_affinity.checking import check_build
{before}
print(check_build(StaticAssets("build")).ok)
"""


@pytest.mark.parametrize("before", ["", "current_process()._config['daemon'] = True"])
def test_script(before: str, tmp_path: Path) -> None:
    """A script that calls the library runs once, and a worker of a process pool may call it, too."""
    write_build(tmp_path / "build", LARGE)
    (tmp_path / "script.py").write_text(SCRIPT.format(before=before))
    run = subprocess.run([PYTHON, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("False\n", "")
    assert (tmp_path / "runs").read_text() == "x"


def test_threads(tmp_path: Path) -> None:
    """Threads may check builds at once. Afterwards the caller's script is the main module again."""
    main = sys.modules["__main__"]
    tasks = tasks_of(loaded(tmp_path, LARGE))
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(parse_files, [tasks] * 4))
    assert all(one == found[0] for one in found)
    assert sys.modules["__main__"] is main


def crash_on_css(task: Task) -> Document:
    """Parse a file, in a process that ends on a style sheet as one with a broken parser would."""
    if task.language == CSS:
        os._exit(11)
    return parse_file(task)


def test_crash(tmp_path: Path) -> None:
    """A parser that takes its process with it costs one file, which has a fault; the other files are parsed."""
    tasks = tasks_of(loaded(tmp_path, LARGE))
    found = parse_files(tasks, parse=crash_on_css)
    faults = {Path(task.file).name: document.faults for task, document in found.items() if document.faults}
    assert {name: [fault.reason for fault in told] for name, told in faults.items()} == {
        "b.css": ["it was not checked: its parser crashed"]
    }
    assert set(found) == set(tasks)


def test_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the size limit is not parsed, and has a fault."""
    monkeypatch.setattr(parsing, "SIZE_LIMIT", 100)
    report = checked(tmp_path, {"a.css": "a{b:url(c.png)}" * 10, "b.css": "a{b:url(c.png)}"})
    assert [(fault.file, fault.reason) for fault in report.faults] == [
        ("/a.css", "it was not checked: it has 150 bytes, and the limit is 100")
    ]


def test_unusual_names(tmp_path: Path) -> None:
    """Names that are no UTF-8, or do not print, are shown escaped, and files of that name are found."""
    build = tmp_path / "build"
    build.mkdir()
    for name, data in ((b"a\xff.js", b"import './b.js'"), (b"c\x1b.js", b""), (b"index.html", PAGE.encode())):
        (build / name.decode("utf-8", "surrogateescape")).write_bytes(data)
    (build / "index.html").write_text(f"{PAGE}<script src='/a%ff.js'></script><script src='/c%1B.js'></script>")
    assets = loaded(tmp_path, {"index.html": PAGE})
    report = check_build(type(assets)(build), known={"v1": assets})
    assert [(broken.file, broken.path) for broken in report.broken] == [("/a\\xff.js", "/b.js")]
