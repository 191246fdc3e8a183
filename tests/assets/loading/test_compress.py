"""Compressed siblings: which files get them, what they hold, what stays, and what goes wrong without harm."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.loading.compress import (
    MINIMUM_SAVING,
    MINIMUM_SIZE,
    Compressed,
    CompressedFile,
    codecs,
    compress,
    is_compressible,
    is_worth_it,
)
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.media import SUFFIXES, TYPES
from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.assets.conftest import Tree

TEXT = b"const answer = 42;\n" * 200
#: What no coding makes smaller.
NOISE = bytes(byte for seed in range(2000) for byte in (seed * seed * 2654435761 % 2**32).to_bytes(4, "big"))
ALL = ("br", "zstd", "gzip")
NOBODY = 65534


def names(root: Path) -> list[str]:
    """Return the names of all files below a directory."""
    return sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_symlink() or file.is_file())


def has_all(*files: str) -> list[str]:
    """Return files and their siblings in every coding, in the order of ``names``."""
    return sorted([*files, *(file + suffix for file in files for suffix in SUFFIXES.values())])


def decoded(encoding: str, data: bytes) -> bytes:
    """Return what a client makes of a compressed body."""
    if encoding == "gzip":
        return gzip.decompress(data)
    if encoding == "br":
        return cast("bytes", pytest.importorskip("brotli").decompress(data))
    return cast("bytes", pytest.importorskip("zstandard").decompress(data))


# --- which files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "siblings"),
    [
        ("app.js", TEXT, True),
        ("APP.JS", TEXT, True),
        ("index.html", TEXT, True),
        ("assets/app.css.map", TEXT, True),
        ("fonts/body.ttf", TEXT, True),
        ("lib.wasm", TEXT, True),
        (".well-known/apple-app-site-association", TEXT, True),
        ("café/naïve.js", TEXT, True),
        ("with space%2e\n.js", TEXT, True),
        ("photo.avif", TEXT, False),
        ("body.woff2", TEXT, False),
        ("LICENSE", TEXT, False),
        ("_headers", TEXT, False),
        ("_redirects", TEXT, False),
        (".env.js", TEXT, False),
        (".vite/manifest.json", TEXT, False),
        ("archive.tar.gz", TEXT, False),
        ("app.js.br", TEXT, False),
        ("app.js.zst", TEXT, False),
        ("small.js", TEXT[: MINIMUM_SIZE - 1], False),
        ("enough.js", TEXT[:MINIMUM_SIZE], True),
        ("noise.js", NOISE, False),
        ("empty.js", b"", False),
    ],
)
def test_which_files(tree: Tree, name: str, content: bytes, siblings: bool) -> None:
    """Text, WebAssembly and uncompressed fonts of some size get siblings where that saves something; the rest none."""
    root = tree({name: content})
    result = compress(root)
    assert names(root) == (has_all(name) if siblings else [name])
    assert (result.written, result.errors) == (3 if siblings else 0, ())


COMPRESSED = (
    *("application/zip", "application/gzip", "application/x-brotli", "application/zstd", "application/x-bzip2"),
    *("application/x-xz", "application/x-7z-compressed", "application/epub+zip", "application/pdf"),
    *("font/woff", "font/woff2", "image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/jxl"),
    *("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "video/mp4", "video/webm", "application/octet-stream"),
)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_compressed_types(kind: str) -> None:
    """What is compressed by its nature, and what is of no known kind, is not compressed again."""
    endings = [ending for ending, content_type in TYPES.items() if content_type == kind]
    assert endings
    assert not [ending for ending in endings if is_compressible(f"/a.{ending}")]


@pytest.mark.parametrize("ending", [ending for ending, kind in TYPES.items() if "charset" in kind])
def test_text_types(ending: str) -> None:
    """Whatever is text is compressed."""
    assert is_compressible(f"/a.{ending}")


@given(size=st.integers(MINIMUM_SIZE, 10**9), compressed=st.integers(0, 10**9))
def test_worth(size: int, compressed: int) -> None:
    """A sibling that is worth having saves its part, and one that saves more than that is worth having."""
    assert is_worth_it(size, compressed) == (size - compressed >= size * MINIMUM_SAVING - 1e-6 * size)


def test_limit_of_worth() -> None:
    """A sibling that saves exactly its part is worth having."""
    assert (is_worth_it(10_000, 9_500), is_worth_it(10_000, 9_501)) == (True, False)


# --- what they hold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ALL)
def test_content(tree: Tree, encoding: str) -> None:
    """A sibling decodes to its original, is as old, and has its permissions."""
    root = tree({"app.js": TEXT})
    (root / "app.js").chmod(0o640)
    os.utime(root / "app.js", ns=(1, 4_000_000_000_123_456_789))  # a build may set any time
    result = compress(root, encodings=[encoding])
    sibling = root / f"app.js{SUFFIXES[encoding]}"
    assert decoded(encoding, sibling.read_bytes()) == TEXT
    assert sibling.stat().st_mtime_ns == (root / "app.js").stat().st_mtime_ns
    assert stat.S_IMODE(sibling.stat().st_mode) == 0o640
    assert result == Compressed(files=1, written=1, saved=len(TEXT) - sibling.stat().st_size)


@pytest.mark.parametrize("bits", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX, 0o7000])
def test_special_mode_bits(tree: Tree, bits: int) -> None:
    """A sibling takes the permissions and no setuid, setgid or sticky bit: run by root, it would run as root."""
    root = tree({"app.js": TEXT})
    (root / "app.js").chmod(0o755 | bits)
    compress(root, encodings=["gzip"])
    assert stat.S_IMODE((root / "app.js.gz").stat().st_mode) == 0o755


def test_gzip_of_others(tree: Tree) -> None:
    """The standard library reads what was written, and finds neither a name nor a time in it (RFC 1952 section 2.3)."""
    root = tree({"app.js": TEXT})
    compress(root, encodings=["gzip"])
    data = (root / "app.js.gz").read_bytes()
    assert gzip.decompress(data) == TEXT
    assert data[3:8] == bytes(5)


@given(st.binary(max_size=3000))
def test_codecs(data: bytes) -> None:
    """Every codec gives back the bytes that it was given, and compresses the same bytes to the same bytes."""
    for codec in codecs(ALL):
        compressed = codec.encode(data)
        assert decoded(codec.name, compressed) == codec.decode(compressed) == data
        assert codec.encode(data) == compressed


def test_windows() -> None:
    """Zstandard's window is one that browsers take, however large the file (RFC 9659 section 3)."""
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters.from_level(19, source_size=2**32)
    assert 1 << parameters.window_log <= 8 * 1024 * 1024


def test_reproducible(tree: Tree) -> None:
    """Equal builds get equal siblings, byte for byte, in any number of threads."""
    files = {f"assets/{number}.js": TEXT + b"%d" % number * 500 for number in range(8)}
    first, second = tree(files), tree(files)
    compress(first, jobs=1)
    compress(second, jobs=8)
    assert names(first) == has_all(*files)
    assert {name: (first / name).read_bytes() for name in names(first)} == {
        name: (second / name).read_bytes() for name in names(second)
    }


# --- what is there already --------------------------------------------------------------------------------------------


def test_again(tree: Tree) -> None:
    """A second run writes nothing, and reports the same saving."""
    root = tree({"app.js": TEXT, "page.html": TEXT, "noise.js": NOISE})
    first = compress(root)
    before = {name: (root / name).stat().st_ino for name in names(root)}
    assert compress(root) == Compressed(files=3, skipped=9, saved=first.saved)
    assert {name: (root / name).stat().st_ino for name in names(root)} == before
    assert (first.files, first.written, first.skipped) == (3, 6, 3)


def test_an_older_sibling(tree: Tree) -> None:
    """A sibling of the same content stays, whatever its time, and gets that of its original."""
    root = tree({"app.js": TEXT})
    compress(root, encodings=["gzip"])
    sibling = root / "app.js.gz"
    before = sibling.stat().st_ino
    os.utime(sibling, (1_000_000_000, 1_000_000_000))
    assert compress(root, encodings=["gzip"]).written == 0
    assert (sibling.stat().st_ino, sibling.stat().st_mtime_ns) == (before, (root / "app.js").stat().st_mtime_ns)


def of_another(sibling: Path) -> None:
    """Give a sibling another file's content, later than its original."""
    sibling.write_bytes(gzip.compress(TEXT + b"//"))


def cut(sibling: Path) -> None:
    """Cut a sibling short."""
    sibling.write_bytes(sibling.read_bytes()[:-9])


def no_gzip(sibling: Path) -> None:
    """Give a sibling content of no coding."""
    sibling.write_bytes(TEXT)


def poor(sibling: Path) -> None:
    """Give a sibling content that saves nothing."""
    sibling.write_bytes(gzip.compress(TEXT, 0))


def of_two_members(sibling: Path) -> None:
    """Give a sibling the content in two members: browsers disagree on what follows the first one."""
    sibling.write_bytes(gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:]))


@pytest.mark.parametrize("spoil", [of_another, cut, no_gzip, poor, of_two_members])
def test_stale(tree: Tree, spoil: Any) -> None:
    """A sibling that the loader would not use, or that is poor, is written anew."""
    root = tree({"app.js": TEXT})
    compress(root, encodings=["gzip"])
    good = (root / "app.js.gz").read_bytes()
    spoil(root / "app.js.gz")
    result = compress(root, encodings=["gzip"])
    assert (result.written, result.skipped, result.errors) == (1, 0, ())
    assert (root / "app.js.gz").read_bytes() == good
    assert (root / "app.js.gz").stat().st_mtime_ns >= (root / "app.js").stat().st_mtime_ns


def test_used_by_the_loader(tree: Tree) -> None:
    """A loaded build has every sibling that was written as a variant, and reports nothing."""
    root = tree({"app.js": TEXT, "page.html": TEXT, "noise.js": NOISE})
    compress(root)
    index = scan(root)
    assert index.skipped == ()
    variants = {path: {form.encoding for form in asset.variants} for path, asset in index.assets.items()}
    assert [variants[path] for path in ("/app.js", "/page.html", "/noise.js")] == [set(ALL), set(ALL), set()]


def test_wide_window(tree: Tree) -> None:
    """A frame with a window that no browser takes is written anew."""
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters.from_level(19, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    root = tree({"app.js": TEXT, "app.js.zst": compressor.compress(TEXT) + compressor.flush()})
    assert compress(root, encodings=["zstd"]).written == 1


def test_of_another_tool(tree: Tree) -> None:
    """A sibling that a bundler wrote, later and less dense, stays."""
    theirs = gzip.compress(TEXT, 6)
    root = tree({"app.js": TEXT, "app.js.gz": theirs})
    assert compress(root, encodings=["gzip"]).skipped == 1
    assert (root / "app.js.gz").read_bytes() == theirs


@pytest.mark.parametrize("content", [gzip.compress(NOISE), b"of an earlier build"], ids=["useless", "stale"])
def test_removed(tree: Tree, content: bytes) -> None:
    """A sibling that is not worth having is removed."""
    root = tree({"noise.js": NOISE, "noise.js.gz": content})
    assert compress(root, encodings=["gzip"]) == Compressed(files=1, removed=1)
    assert names(root) == ["noise.js"]


def test_without_original(tree: Tree) -> None:
    """A compressed file without an original is a file of its own, and stays as it is."""
    root = tree({"app.js": TEXT, "data.csv.gz": b"a download"})
    compress(root)
    assert (root / "data.csv.gz").read_bytes() == b"a download"


def test_ignore(tree: Tree) -> None:
    """Of a file that is not served, the compressed forms are not served either."""
    root = tree({"app.js": TEXT, "app.js.map": TEXT, "drafts/a.txt": TEXT})
    patterns = ["*.map", "drafts/a.txt"]
    assert compress(root, encodings=["gzip"]).written == 3
    assert set(scan(root, ignore=patterns).assets) == {"/app.js", "/app.js.gz"}


# --- links, and what is in the way ------------------------------------------------------------------------------------


def test_links(tree: Tree, tmp_path: Path) -> None:
    """A link inside the tree gets siblings beside it; one that leads out gets none, there or here, and is reported."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.js").write_bytes(TEXT)
    root = tree({"real.js": TEXT})
    (root / "alias.js").symlink_to("real.js")
    (root / "out.js").symlink_to(outside / "secret.js")
    (root / "directory").symlink_to(outside)
    result = compress(root)
    assert names(outside) == ["secret.js"]
    assert names(root) == sorted(["directory", "out.js", *has_all("real.js", "alias.js")])
    assert [error.path for error in result.errors] == ["/directory", "/out.js"]


@pytest.mark.parametrize("way", ["link", "directory", "pipe"])
def test_in_the_way(tree: Tree, tmp_path: Path, no_hanging: None, way: str) -> None:
    """What is no regular file where a sibling would be is left alone and reported; the other siblings are written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    root = tree({"app.js": TEXT})
    sibling = root / "app.js.gz"
    {"link": lambda: sibling.symlink_to(elsewhere), "directory": sibling.mkdir, "pipe": lambda: os.mkfifo(sibling)}[
        way
    ]()
    result = compress(root)
    assert [error.path for error in result.errors if "in the way" in error.reason] == ["/app.js.gz"]
    assert result.written == 2
    assert elsewhere.read_bytes() == b"untouched"
    assert not stat.S_ISREG(sibling.lstat().st_mode)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_single_errors(tree: Tree) -> None:
    """A name that has no room for a suffix is reported, and the other files are done."""
    long = "n" * 252 + ".js"  # 255 bytes, the most of most file systems
    root = tree({long: TEXT, "app.js": TEXT})
    result = compress(root, encodings=["gzip"])
    assert [error.path for error in result.errors] == [f"/{long}.gz"]
    assert (result.files, result.written) == (2, 1)
    assert names(root) == ["app.js", "app.js.gz", long]


@pytest.fixture
def stoppable() -> Iterator[Path]:
    """Give a directory of a user whom permissions stop, and be that user meanwhile: root is not stopped."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as directory:  # tmp_path lies in directories that are root's alone
        if is_root:
            os.chown(directory, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(directory)
        finally:
            if is_root:
                os.seteuid(0)


def test_unreadable(stoppable: Path) -> None:
    """A file that cannot be read, and one in a directory that cannot be written to, are reported; others are done."""
    (stoppable / "sealed").mkdir()
    for name in ("secret.js", "sealed/app.js", "app.js"):
        (stoppable / name).write_bytes(TEXT)
    (stoppable / "secret.js").chmod(0)
    (stoppable / "sealed").chmod(0o500)
    result = compress(stoppable, encodings=["gzip"])
    (stoppable / "sealed").chmod(0o700)
    assert [tuple(error) for error in result.errors] == [
        ("/sealed/app.js.gz", "Permission denied"),
        ("/secret.js", "Permission denied"),
    ]
    assert (stoppable / "app.js.gz").exists()


def test_nothing_half_written(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full, no part of a sibling remains, and an earlier one stays as it was."""
    root = tree({"app.js": TEXT, "app.js.gz": b"an earlier one"})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("version_affinity.assets.loading.compress.os.utime", full)
    result = compress(root, encodings=["gzip"])
    assert [tuple(error) for error in result.errors] == [("/app.js.gz", "No space left on device")]
    assert {name: (root / name).read_bytes() for name in names(root)} == {
        "app.js": TEXT,
        "app.js.gz": b"an earlier one",
    }


def test_no_directory(tmp_path: Path) -> None:
    """A directory that is not there is told with its remedy."""
    with pytest.raises(ConfigurationError, match=r"directory='.*absent' does not exist .*: build the front end first"):
        compress(tmp_path / "absent")


@pytest.mark.parametrize(("module", "encoding"), [("brotli", "br"), ("zstandard", "zstd")])
def test_without_library(tree: Tree, monkeypatch: pytest.MonkeyPatch, module: str, encoding: str) -> None:
    """A coding whose library is missing names the extra and the way without; gzip needs no library."""
    root = tree({"app.js": TEXT})
    monkeypatch.setitem(sys.modules, module, None)
    for arguments in ({}, {"encodings": [encoding]}):
        with pytest.raises(ConfigurationError, match=r"version_affinity\[compress\].*, or .*\['gzip'\]"):
            compress(root, **arguments)  # type: ignore[arg-type]
    assert compress(root, encodings=["gzip"]).written == 1


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress(tree: Tree) -> None:
    """Each file is reported once, in the calling thread, with the siblings that it now has."""
    root = tree({"a.js": TEXT, "b.css": TEXT * 2, "noise.js": NOISE, "photo.jpg": NOISE})
    seen: list[CompressedFile] = []
    threads: set[threading.Thread] = set()

    def note(progress: CompressedFile) -> None:
        seen.append(progress)
        threads.add(threading.current_thread())

    compress(root, jobs=3, progress=note)
    assert threads == {threading.current_thread()}
    assert [(progress.done, progress.total) for progress in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {progress.path: progress.size for progress in seen} == {
        "/a.js": len(TEXT),
        "/b.css": 2 * len(TEXT),
        "/noise.js": len(NOISE),
    }
    sizes = {progress.path: progress.sizes for progress in seen}
    assert sizes["/a.js"] == {
        encoding: (root / f"a.js{suffix}").stat().st_size for encoding, suffix in SUFFIXES.items()
    }
    assert sizes["/noise.js"] == {}


def test_progress_raises(tree: Tree) -> None:
    """What the callback raises ends the work and reaches the caller; no thread and no part of a file is left."""
    root = tree({f"{number}.js": TEXT for number in range(50)})

    def stop(_: CompressedFile) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress(root, jobs=1, progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("compress")]
    written = [name for name in names(root) if not name.endswith(".js")]
    assert 0 < len(written) < 150
    assert not [name for name in written if name.endswith(".tmp")]
