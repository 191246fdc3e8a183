"""Files that were compressed beforehand."""

import gzip
import os
from functools import partial
from hashlib import sha256

import brotli
import pytest
import zstandard

from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.media import SUFFIXES
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.loading.tree import LARGE

TEXT = b"const answer = 42;\n" * 500
ENCODE = {
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor(level=19).compress,
    "gzip": partial(gzip.compress, mtime=0),
}
POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such files")


def compressed(coding, data=TEXT):
    """Return bytes in a coding."""
    return ENCODE[coding](data)


def siblings(name="app.js", data=TEXT, codings=("br", "zstd", "gzip")):
    """Return a file and its compressed forms."""
    return {name: data, **{name + SUFFIXES[coding]: compressed(coding, data) for coding in codings}}


def age(file, other, seconds):
    """Make a file older than another one, by seconds below 0, or younger."""
    time = other.stat().st_mtime_ns + round(seconds * 1e9)
    os.utime(file, ns=(time, time))


OLDER = "it is older, so it may be the compressed form of other content"


@pytest.mark.parametrize("name", ["app.js", "assets/index-BX4CeNGm.js", "index.html", "über.css"])
@pytest.mark.parametrize("known", [False, True])
def test_variants(tree, tmp_path, name, known):
    """A file's compressed siblings are its variants, the smallest first, each with its own tag and the file's type."""
    root, memory = tree(siblings(name)), Memory(1 << 20)
    if known:
        scan(root, manifest=tmp_path / "m.json")
    assets = scan(root, memory=memory, manifest=tmp_path / "m.json" if known else None).assets
    path = "/" + name.encode().decode("latin-1")
    asset = assets[path]
    assert sorted(variant.encoding for variant in asset.variants) == ["br", "gzip", "zstd"]
    assert [variant.size for variant in asset.variants] == sorted(variant.size for variant in asset.variants)
    for variant in asset.variants:
        data = compressed(variant.encoding)
        own = assets[path + SUFFIXES[variant.encoding]]
        assert (variant.size, variant.digest, variant.file) == (len(data), sha256(data).digest()[:16], own.file)
        assert variant.data == (None if known else data)
        assert dict(variant.headers)["Content-Encoding"] == variant.encoding
        assert dict(variant.headers)["Content-Type"] == asset.content_type
        assert variant.etag == own.etag[:-1] + f'.{variant.encoding}"'
    assert len({asset.etag, *(variant.etag for variant in asset.variants)}) == 4


@pytest.mark.parametrize("is_older", [False, True])
def test_own_name(tree, is_older):
    """A compressed file is a file of its own under its own name, a variant or not: a page may link to the download."""
    root = tree({"data.csv": TEXT, "data.csv.gz": gzip.compress(TEXT), "more.tar.gz": b"x"})
    if is_older:
        age(root / "data.csv.gz", root / "data.csv", -1)
    assets = scan(root).assets
    assert set(assets) == {"/data.csv", "/data.csv.gz", "/more.tar.gz"}
    assert len(assets["/data.csv"].variants) == (not is_older)
    assert assets["/data.csv.gz"].content_type == "application/gzip"
    assert "Content-Encoding" not in dict(assets["/data.csv.gz"].headers)
    assert assets["/data.csv.gz"].variants == assets["/more.tar.gz"].variants == ()


@pytest.mark.parametrize("size", [1, 20, 300])
def test_useless(tree, size):
    """A sibling that is no smaller than its original is not used, and no fault."""
    index = scan(tree(siblings(data=os.urandom(size))))
    assert index.assets["/app.js"].variants == ()
    assert index.skipped == ()


@pytest.mark.parametrize(
    ("seconds", "used"), [(-(10**8), False), (-1e-6, False), (0, True), (1e-6, True), (3600, True)]
)
@pytest.mark.parametrize("ending", SUFFIXES.values())
@pytest.mark.parametrize("known", [False, True])
def test_times(tree, tmp_path, seconds, used, ending, known):
    """A sibling is used unless it is older than its original, by an earlier load as well; then it is reported."""
    root = tree({key: value for key, value in siblings().items() if key in {"app.js", f"app.js{ending}"}})
    age(root / f"app.js{ending}", root / "app.js", seconds)
    if known:
        scan(root, manifest=tmp_path / "m.json")
    index = scan(root, manifest=tmp_path / "m.json" if known else None)
    assert len(index.assets["/app.js"].variants) == used
    reason = f"served by its own name only, not for /app.js: {OLDER}"
    assert index.skipped == (() if used else ((f"/app.js{ending}", reason),))


def test_an_empty_sibling(tree):
    """A sibling without content is what a full disk leaves: it is not used, and reported."""
    index = scan(tree({"app.js": TEXT, "app.js.gz": b""}))
    assert index.assets["/app.js"].variants == ()
    assert index.skipped == (("/app.js.gz", "served by its own name only, not for /app.js: it is empty"),)


@pytest.mark.parametrize("manifest", [None, "m.json"])
def test_a_new_original(tree, tmp_path, manifest):
    """A sibling that an earlier build left is not used for the new original."""
    root = tree(siblings())
    options = {"manifest": tmp_path / manifest} if manifest else {}
    assert len(scan(root, **options).assets["/app.js"].variants) == 3
    (root / "app.js").write_bytes(TEXT[:-1] + b" ")
    age(root / "app.js", root / "app.js.gz", 1)
    index = scan(root, **options)
    assert index.assets["/app.js"].variants == ()
    assert [path for path, _ in index.skipped] == [f"/app.js{ending}" for ending in sorted(SUFFIXES.values())]


@POSIX
@pytest.mark.parametrize(
    ("make", "path", "reason"),
    [
        (lambda file, out: file.symlink_to(out), "/app.js.gz", "a link that leads out of the directory"),
        (lambda file, out: file.symlink_to("gone"), "/app.js.gz", "a dangling link"),
        (lambda file, out: file.mkdir(), "/app.js.gz/", "a directory, not /app.js compressed"),
        (lambda file, out: os.mkfifo(file), "/app.js.gz", "not a regular file"),
    ],
    ids=["out", "dangling", "directory", "pipe"],
)
@pytest.mark.usefixtures("no_hanging")
def test_no_file(tree, make, path, reason):
    """What has a sibling's name and is no file of the tree is reported and not used."""
    root = tree({"app.js": TEXT})
    (root.parent / "out.gz").write_bytes(gzip.compress(TEXT))
    make(root / "app.js.gz", root.parent / "out.gz")
    index = scan(root)
    assert index.assets["/app.js"].variants == ()
    assert index.skipped == ((path, reason),)


@POSIX
def test_a_link_inside(tree):
    """A link to a compressed file of the tree is a sibling like any other: the file's time counts."""
    root = tree({"app.js": TEXT, "z/packed.gz": gzip.compress(TEXT), "other.js": TEXT + b" "})
    (root / "app.js.gz").symlink_to("z/packed.gz")
    (root / "other.js.gz").symlink_to("z/packed.gz")
    age(root / "app.js", root / "z/packed.gz", -1)
    age(root / "other.js", root / "z/packed.gz", 1)
    index = scan(root)
    assert [variant.file for variant in index.assets["/app.js"].variants] == [str(root / "z/packed.gz")]
    assert [skipped.path for skipped in index.skipped] == ["/other.js.gz"]


def test_a_sibling_that_vanishes(tree, monkeypatch):
    """A sibling that cannot be opened costs itself, and is reported once."""
    root, opening = tree(siblings(codings=["gzip"])), os.open

    def vanish(file, flags):
        if str(file).endswith(".gz"):
            raise PermissionError(13, "Permission denied")
        return opening(file, flags)

    monkeypatch.setattr(os, "open", vanish)
    index = scan(root)
    assert set(index.assets) == {"/app.js"}
    assert index.assets["/app.js"].variants == ()
    assert index.skipped == (("/app.js.gz", "it cannot be read: Permission denied"),)


def test_large_files(tree):
    """A sibling that is too large for memory is a variant like any other."""
    index = scan(tree(siblings(data=os.urandom(2 * LARGE) + bytes(LARGE))))
    assert len(index.assets["/app.js"].variants) == 3
    assert all(variant.size > LARGE for variant in index.assets["/app.js"].variants)


@pytest.mark.parametrize(("ignore", "left"), [(["*.gz"], ["/app.js", "/index.html"]), (["app.js"], ["/index.html"])])
def test_ignored(tree, ignore, left):
    """An ignored sibling is no variant, and an ignored original takes its siblings with it."""
    index = scan(tree({"index.html": "", **siblings(codings=["gzip"])}), ignore=ignore)
    assert all(asset.variants == () for asset in index.assets.values())
    assert sorted(index.assets) == left


@pytest.mark.parametrize("ending", [".gz", ".br", ".zst"])
def test_rule_files(tree, ending):
    """A compressed rule file is as little served as the rule file."""
    index = scan(tree({"index.html": "", f"_redirects{ending}": "/a /b"}))
    assert set(index.assets) == {"/index.html"}


def test_memory(tree):
    """A variant and the file of its own name share their content, and all of it is given back."""
    files = siblings()
    memory = Memory(1 << 20)
    index = scan(tree(files), memory=memory)
    assert memory.used == sum(map(len, files.values()))
    index.release()
    assert memory.used == 0
