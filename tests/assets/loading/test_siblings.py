"""Files that were compressed beforehand."""

import gzip
import os
import subprocess
import sys
import zlib
from itertools import repeat

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.loading import siblings as variants
from version_affinity.assets.loading.index import LARGE, Memory, scan
from version_affinity.assets.loading.siblings import compare
from version_affinity.assets.loading.tree import Content, digest_of

TEXT = b"const answer = 42;\n" * 500
ENCODE = {"br": brotli.compress, "zstd": zstandard.ZstdCompressor(level=19).compress, "gzip": gzip.compress}
ENDING = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such files")


def compressed(coding, data=TEXT):
    """Return bytes in a coding."""
    return ENCODE[coding](data)


def siblings(name="app.js", data=TEXT, codings=("br", "zstd", "gzip")):
    """Return a file and its compressed forms."""
    return {name: data, **{name + ENDING[coding]: compressed(coding, data) for coding in codings}}


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
        own = assets[path + ENDING[variant.encoding]]
        assert (variant.size, variant.digest, variant.file) == (len(data), digest_of(data), own.file)
        assert variant.data == (None if known else data)
        assert dict(variant.headers)["Content-Encoding"] == variant.encoding
        assert dict(variant.headers)["Content-Type"] == asset.content_type
        assert variant.etag == own.etag[:-1] + f'.{variant.encoding}"'
    assert len({asset.etag, *(variant.etag for variant in asset.variants)}) == 4


@pytest.mark.parametrize("fault", [False, True])
def test_own_name(tree, fault):
    """A compressed file is a file of its own under its own name, a variant or not: a page may link to the download."""
    root = tree({"data.csv": TEXT, "data.csv.gz": b"garbage" if fault else gzip.compress(TEXT), "more.tar.gz": b"x"})
    assets = scan(root).assets
    assert set(assets) == {"/data.csv", "/data.csv.gz", "/more.tar.gz"}
    assert len(assets["/data.csv"].variants) == (not fault)
    assert assets["/data.csv.gz"].content_type == "application/gzip"
    assert "Content-Encoding" not in dict(assets["/data.csv.gz"].headers)
    assert assets["/data.csv.gz"].variants == assets["/more.tar.gz"].variants == ()


def zstd_stream(window_log):
    """Return the text as a Zstandard frame that was begun before its length was known."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(TEXT) + stream.flush()


BIG = os.urandom(LARGE) * 40  # more than a browser's window


@pytest.mark.parametrize(
    ("ending", "content", "reason"),
    [
        (".gz", b"garbage", "it holds other content"),
        (".gz", b"", "it is empty"),
        (".gz", gzip.compress(TEXT)[:-1], "it holds other content"),
        (".gz", gzip.compress(TEXT) + b"more", "it holds other content"),
        (".gz", gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:]), "it holds other content"),
        (".gz", gzip.compress(TEXT[1:]), "it holds other content"),
        (".gz", gzip.compress(TEXT + b" "), "it holds other content"),
        (".gz", gzip.compress(TEXT[:-1] + b" "), "it holds other content"),
        (".gz", zlib.compress(TEXT), "it holds other content"),
        (".gz", gzip.compress(bytes(50_000_000))[:5000], "it holds other content"),
        (".br", b"garbage", "it holds other content"),
        (".br", b"", "it is empty"),
        (".br", brotli.compress(TEXT)[:-1], "it holds other content"),
        (".br", brotli.compress(TEXT) + b"more", "it holds other content"),
        (".br", brotli.compress(TEXT[:-1] + b" "), "it holds other content"),
        (".br", brotli.compress(bytes(50_000_000)), "it holds other content"),
        (".zst", b"garbage", "it is no Zstandard frame"),
        (".zst", b"", "it is empty"),
        (".zst", ENCODE["zstd"](TEXT)[:-1], "it holds other content"),
        (".zst", ENCODE["zstd"](TEXT) + b"more", "it holds other content"),
        (".zst", ENCODE["zstd"](TEXT[:-1] + b" "), "it holds other content"),
        (".zst", ENCODE["zstd"](TEXT[1:]), "it holds other content"),
        (".zst", zstd_stream(24), "its window is larger than browsers take (RFC 9659)"),
        (".zst", ENCODE["zstd"](bytes(50_000_000)), "it holds other content"),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_unrelated(tree, tmp_path, ending, content, reason, known):
    """A sibling that does not hold what its original does is reported, by an earlier load as well, and not used."""
    root, manifest = tree({"app.js": TEXT, f"app.js{ending}": content}), tmp_path / "m.json"
    if known:
        scan(root, manifest=manifest)
    index = scan(root, manifest=manifest if known else None)
    assert index.assets["/app.js"].variants == ()
    assert index.skipped == ((f"/app.js{ending}", f"served by its own name only, not for /app.js: {reason}"),)


def test_windows_that_browsers_take(tree):
    """A Zstandard frame as large as its window is used up to 8 MiB, also one that does not tell its length."""
    fits, too_large = BIG[: 8 << 20], BIG[: (8 << 20) + 1]
    whole = zstandard.ZstdCompressor(level=1)
    root = tree(
        {
            "fits.bin": fits,
            "fits.bin.zst": whole.compress(fits),
            "large.bin": too_large,
            "large.bin.zst": zstandard.ZstdCompressor(
                compression_params=zstandard.ZstdCompressionParameters.from_level(1, window_log=24)
            ).compress(too_large),
            "silent.js": TEXT,
            "silent.js.zst": zstd_stream(23),
        }
    )
    index = scan(root)
    assert {path: len(asset.variants) for path, asset in index.assets.items() if path[-4:] != ".zst"} == {
        "/fits.bin": 1,
        "/large.bin": 0,
        "/silent.js": 1,
    }
    assert [skipped.path for skipped in index.skipped] == ["/large.bin.zst"]


@pytest.mark.parametrize("size", [1, 20, 300])
def test_useless(tree, size):
    """A sibling that is no smaller than its original is not used, and no fault."""
    index = scan(tree(siblings(data=os.urandom(size))))
    assert index.assets["/app.js"].variants == ()
    assert index.skipped == ()


@pytest.mark.parametrize("seconds", [-(10**8), -3600, -0.1, 0, 3600])
@pytest.mark.parametrize("ending", [".gz", ".br", ".zst"])
def test_any_time(tree, seconds, ending):
    """A sibling whose content was compared and agrees is used, whatever its time: tools set times as they like."""
    root = tree({key: value for key, value in siblings().items() if key in {"app.js", f"app.js{ending}"}})
    status = (root / "app.js").stat()
    time = status.st_mtime_ns + round(seconds * 1e9)
    os.utime(root / f"app.js{ending}", ns=(time, time))
    index = scan(root)
    assert len(index.assets["/app.js"].variants) == 1
    assert index.skipped == ()


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
    """A link to a compressed file of the tree is a sibling like any other: its content is compared."""
    root = tree({"app.js": TEXT, "z/packed.gz": gzip.compress(TEXT), "other.js": TEXT + b" "})
    (root / "app.js.gz").symlink_to("z/packed.gz")
    (root / "other.js.gz").symlink_to("z/packed.gz")
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
    """A sibling that is too large for memory is compared block by block."""
    data = os.urandom(2 * LARGE) + bytes(LARGE)
    index = scan(tree({**siblings(data=data), **siblings("other.js", data[:-1] + b"x", codings=[])}))
    assert len(index.assets["/app.js"].variants) == 3
    assert all(variant.size > LARGE for variant in index.assets["/app.js"].variants)
    root = tree({"app.js": data, "app.js.gz": gzip.compress(data[:-1] + b"x")})
    assert [skipped.path for skipped in scan(root).skipped] == ["/app.js.gz"]


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


@pytest.fixture
def no_libraries(monkeypatch):
    """Be without the libraries of brotli and Zstandard."""
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    variants._decoder.cache_clear()
    yield
    variants._decoder.cache_clear()


@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize(
    ("ending", "content", "used"),
    [
        (".br", compressed("br"), True),
        (".br", compressed("br", TEXT[:-20]), False),
        (".br", b"", False),
        (".br", b"\x06", False),  # nothing, compressed
        (".zst", compressed("zstd"), True),
        (".zst", compressed("zstd", TEXT[:-20]), False),
        (".zst", compressed("br"), False),
        (".zst", b"", False),
        (".gz", gzip.compress(TEXT), True),
        (".gz", gzip.compress(TEXT[:-1] + b" "), False),
    ],
)
def test_without_libraries(tree, ending, content, used):
    """Without its library, a sibling is used if its beginning does not tell that it is of something else."""
    index = scan(tree({"app.js": TEXT, f"app.js{ending}": content}))
    assert len(index.assets["/app.js"].variants) == len(index.skipped) ^ 1 == used


@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize("ending", [".br", ".zst"])
def test_older_without_libraries(tree, ending):
    """What cannot be compared may not be older by anything."""
    root = tree({key: value for key, value in siblings().items() if key in {"app.js", f"app.js{ending}"}})
    time = (root / "app.js").stat().st_mtime_ns - 1_000
    os.utime(root / f"app.js{ending}", ns=(time, time))
    assert scan(root).assets["/app.js"].variants == ()


@given(st.binary(max_size=200), st.sampled_from(["br", "zstd", "gzip"]))
def test_compare_is_total(data, coding):
    """Any bytes are compared without an error, and are found to hold nothing that they do not."""
    original = Content(len(TEXT), 0, digest_of(TEXT), None)
    assert compare("", Content(len(data), 0, digest_of(data), data), coding, original)
    for head in (variants._zstd_fault, variants._brotli_fault):
        assert isinstance(head(data[:18], len(TEXT)), str)


@given(st.binary(min_size=1, max_size=5000), st.integers(0, 11), st.integers(10, 24), st.sampled_from([1, 3, 19]))
def test_heads_accept_what_encoders_write(data, quality, window, level):
    """Of whatever a compressor writes, the beginning is that of its content: no good sibling is refused."""
    assert not variants._brotli_fault(brotli.compress(data, quality=quality, lgwin=window)[:18], len(data))
    assert not variants._zstd_fault(zstandard.ZstdCompressor(level=level).compress(data)[:18], len(data))


@pytest.mark.usefixtures("no_hanging")
def test_decompression_ends():
    """No more is decompressed than the original is long: a stream that stands for gigabytes costs nothing."""
    original = Content(len(TEXT), 0, digest_of(TEXT), None)
    endless = variants._Decoder(lambda _blocks: repeat(b"x" * 1000), ValueError)
    assert not variants._decompresses_to(endless, iter(()), original)


@pytest.mark.parametrize(("coding", "most"), [("br", 1 << 17), ("gzip", 1 << 17), ("zstd", 1 << 25)])
def test_pieces(coding, most):
    """What is decompressed at a time is bounded, however much a few bytes stand for."""
    pieces = [len(piece) for piece in variants._decoder(coding).decompress([compressed(coding, bytes(1 << 26))])]
    assert sum(pieces) == 1 << 26
    assert max(pieces) <= most


def test_libraries_are_not_imported_for_nothing(tree):
    """A build without compressed files needs no library."""
    code = "import sys; from version_affinity.assets.loading.index import scan; scan(sys.argv[1]); print(*sys.modules)"
    root = tree({"app.js": TEXT, "archive.tar.gz": b"x"})
    ran = subprocess.run([sys.executable, "-c", code, str(root)], check=True, capture_output=True, text=True)
    assert not {"brotli", "zstandard"} & set(ran.stdout.split())
