"""An index of a directory that changes, for development."""

import gzip
import os
import shutil
import threading
from pathlib import Path

import pytest

from version_affinity import StaticAssets
from version_affinity.assets.loading import loader
from version_affinity.assets.loading import manifests as manifest
from version_affinity.assets.loading.index import RuleError, refresh, scan
from version_affinity.assets.loading.memory import Memory

TEXT = "const answer = 42;\n" * 100
BUILD = {
    "index.html": "<p>",
    "app.js": TEXT,
    "app.js.gz": gzip.compress(TEXT.encode()),
    "bad.js": TEXT,
    "bad.js.gz": "garbage",
    "manifest.json": '{"src/app.ts": {"file": "app.js"}}',
}


def write(file, content):
    """Write a file at a later time than it was written before."""
    later = file.stat().st_mtime_ns + 1_000_000_000 if file.exists() else None
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    if later is not None:
        os.utime(file, ns=(later, later))


@pytest.fixture
def read(monkeypatch):
    """Give the names of the files that loads read."""
    names, reading = [], loader.read

    def note(file, *limit):
        names.append(Path(file).name)
        return reading(file, *limit)

    monkeypatch.setattr(loader, "read", note)
    monkeypatch.setattr(manifest, "read", note)
    return names


@pytest.mark.parametrize("touch", [False, True])
def test_nothing_changed(tree, read, touch):
    """While nothing changes, the index is the same object, and nothing is read."""
    root = tree(BUILD)
    index = scan(root, memory=Memory(100_000))
    del read[:]
    if touch:
        (root / "new-directory").mkdir()
        (root / ".hidden").write_text("")
    assert refresh(index) is index
    assert refresh(index) is index
    assert read == []


@pytest.mark.parametrize(
    ("name", "content", "changed", "opened"),
    [
        ("index.html", "<p>new", {"/index.html"}, ["index.html"]),
        ("index.html", "<b>", {"/index.html"}, ["index.html"]),
        ("new/page.html", "", {"/new/page.html"}, ["page.html"]),
        ("app.js", TEXT + "\n", {"/app.js"}, ["app.js"]),
        ("app.js.gz", gzip.compress(TEXT.encode(), 1), {"/app.js", "/app.js.gz"}, ["app.js.gz"]),
        ("bad.js.gz", gzip.compress(TEXT.encode()), {"/bad.js", "/bad.js.gz"}, ["bad.js.gz"]),
    ],
)
def test_change(tree, read, name, content, changed, opened):
    """What has changed is read; the other files are the same objects."""
    root = tree(BUILD)
    index = scan(root)
    del read[:]
    (root / name).parent.mkdir(exist_ok=True)
    write(root / name, content)
    new = refresh(index)
    assert {path for path, asset in new.assets.items() if index.assets.get(path) is not asset} == changed
    assert read == opened
    fresh = scan(root)
    assert [
        (path, asset.etag, asset.mtime_ns, [variant.etag for variant in asset.variants])
        for path, asset in new.assets.items()
    ] == [
        (path, asset.etag, asset.mtime_ns, [variant.etag for variant in asset.variants])
        for path, asset in fresh.assets.items()
    ]
    assert new.skipped == fresh.skipped
    assert refresh(new) is new


def test_deleted(tree, read):
    """A file that is deleted is gone, and its directory with it."""
    root = tree({**BUILD, "sub/a.txt": ""})
    index = scan(root)
    del read[:]
    shutil.rmtree(root / "sub")
    new = refresh(index)
    assert set(index.assets) - set(new.assets) == {"/sub/a.txt"}
    assert (new.directories, read) == ({"/"}, [])


def test_emptied(tree):
    """While the directory is empty or gone, as during a build, the index stays."""
    root = tree(BUILD)
    index = scan(root)
    shutil.rmtree(root)
    assert refresh(index) is index
    root.mkdir()
    assert refresh(index) is index
    (root / "b.txt").write_text("")
    assert set(refresh(index).assets) == {"/b.txt"}


def test_vite_manifest(tree, read):
    """A new manifest of Vite is read, and decides anew which names are fingerprints; no other file is read for it."""
    root = tree({".vite/manifest.json": '{"src/app.ts": {"file": "other.js"}}', "out/app-Ro_66fij.js": ""})
    index = scan(root)
    del read[:]
    write(root / ".vite/manifest.json", '{"src/app.ts": {"file": "out/app-Ro_66fij.js"}}')
    new = refresh(index)
    assert [asset.fingerprinted for asset in (*index.assets.values(), *new.assets.values())] == [False, True]
    assert new.manifest.files == {"out/app-Ro_66fij.js"}
    assert read == ["manifest.json"]


def test_settings(tree):
    """The settings of the first load hold for all that follow."""
    root = tree({"a.mdl": "", "b.map": ""})
    index = scan(root, ignore=["*.map"], content_types={".mdl": "model/mdl"}, fingerprinted="a")
    (root / "aa.mdl").write_text("")
    (root / "bb.map").write_text("")
    new = refresh(index)
    assert {path: (asset.content_type, asset.fingerprinted) for path, asset in new.assets.items()} == {
        "/a.mdl": ("model/mdl", True),
        "/aa.mdl": ("model/mdl", True),
    }


def test_memory(tree):
    """After any change the memory holds the content of the files that there are; released, nothing."""
    root, memory = tree(BUILD), Memory(100_000)
    index = scan(root, memory=memory)
    for name, content in (("index.html", "<p>new"), ("app.js", TEXT * 2), ("app.js.gz", "x"), ("new.txt", "y")):
        write(root / name, content)
        index = refresh(index)
        contents = {asset.etag: asset.size for asset in index.assets.values()}
        assert memory.used == sum(contents.values())
        assert all(asset.data is not None for asset in index.assets.values())
    index.release()
    assert memory.used == 0


def test_a_changed_file_of_equal_size_and_time_that_was_found_out(tree, tmp_path):
    """A file that was found to hold other bytes is read again."""
    root = tree({"a.txt": "1"})
    index = scan(root)
    index.assets["/a.txt"].mtime_ns = -1
    assert refresh(index).assets["/a.txt"].mtime_ns == (root / "a.txt").stat().st_mtime_ns


def test_a_failure(tree):
    """A rule that raises for a new file leaves the index and the memory as they were."""
    memory = Memory(100)

    def rule(path):
        if path == "/c.txt":
            raise RuntimeError

    root = tree({"a.txt": "1"})
    index = scan(root, fingerprinted=rule, memory=memory)
    (root / "b.txt").write_text("2")
    (root / "c.txt").write_text("3")
    with pytest.raises(RuleError):
        refresh(index)
    assert memory.used == 1
    (root / "c.txt").unlink()
    assert set(refresh(index).assets) == {"/a.txt", "/b.txt"}


def test_several_threads(tree):
    """Of threads that refresh at once one finds the change, and nothing is held twice."""
    root, memory = tree(BUILD), Memory(100_000)
    static = StaticAssets(root, memory=memory)
    write(root / "index.html", "<p>new")
    together, found = threading.Barrier(8), []

    def ask():
        together.wait()
        found.append(static.refresh())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] * 7 + [True]
    static.release()
    assert memory.used == 0
