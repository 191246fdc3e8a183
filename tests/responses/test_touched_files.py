"""Files that change on disk after their version was loaded: touched, replaced by equal ones, damaged, removed."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.harness import client, write_build
from version_affinity import StaticAssets, Version, VersionAffinity
from version_affinity.assets.handover import XAccelRedirect, XSendfile
from version_affinity.assets.loading import memory
from version_affinity.assets.loading.tree import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed.wsgi import WSGIApplication

BIG = os.urandom(LARGE // 2).hex().encode() + b"tail"
SMALL = b"const answer = 42;\n" * 100
#: Path to what is asked for, and the memory that the application has.
FILES = {
    "/assets/big-BX4CeNGm.js": BIG,
    "/big.bin": BIG,
    "/assets/small-BX4CeNGm.js": SMALL,
    "/small.txt": SMALL,
    "/about": SMALL,
}


def build(directory: Path) -> Path:
    """Write a build with large and small files."""
    files = {("about.html" if path == "/about" else path[1:]): content for path, content in FILES.items()}
    return write_build(directory, {"index.html": "home", **files})


def file_at(root: Path, path: str) -> Path:
    """Return the file that is shown at a path."""
    return root / ("about.html" if path == "/about" else path[1:])


def alone(root: Path) -> WSGIApplication:
    """Serve one build, all of it from the disk."""
    return StaticAssets(root, memory=0)


def decided(root: Path) -> WSGIApplication:
    """Serve it as version "v2"."""
    return VersionAffinity(None, [Version("v2", root)], memory=0)


def touch(file: Path) -> None:
    """Give a file another time."""
    os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))


def sync(file: Path) -> None:
    """Put an equal file in its place, as rsync does after the build was made again."""
    copy = file.with_name(".copy")
    copy.write_bytes(file.read_bytes())
    os.utime(copy, (2_000_000_000, 2_000_000_000))
    copy.replace(file)


def damage(file: Path) -> None:
    """Change one byte, and with it the time."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    touch(file)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the files that are read in order to compare them, as they are."""
    files: list[str] = []
    read = memory.read
    monkeypatch.setattr(memory, "read", lambda file, limit: (files.append(file), read(file, limit))[1])
    return files


@pytest.mark.parametrize("change", [touch, sync])
@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("make", [alone, decided])
def test_equal_bytes(
    tmp_path: Path,
    hashed: list[str],
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Path], WSGIApplication],
    path: str,
    change: Callable[[Path], None],
) -> None:
    """The same bytes with another time are served as before; they are compared once for each time, by one thread."""
    root = build(tmp_path / "build")
    app = make(root)
    before = client(app).get(path)
    for turn in range(2):
        change(file_at(root, path)) if turn == 0 else touch(file_at(root, path))
        with ThreadPoolExecutor(4) as threads:
            for answer in threads.map(lambda _: client(app).get(path), range(8)):
                assert (answer.status_code, answer.data) == (200, FILES[path])
                assert answer.headers["ETag"] == before.headers["ETag"]
                assert answer.headers.get("Cache-Control") == before.headers.get("Cache-Control")
        assert client(app).head(path).status_code == 200
        assert client(app).get(path, headers={"Range": "bytes=1-3"}).data == FILES[path][1:4]
        assert len(hashed) == turn + 1
    assert caplog.records == []


@pytest.mark.parametrize("spoil", [damage, os.unlink, lambda file: file.write_bytes(b"short")])
@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("make", [alone, decided])
def test_other_bytes(
    tmp_path: Path,
    hashed: list[str],
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Path], WSGIApplication],
    path: str,
    spoil: Callable[[Path], None],
) -> None:
    """A file that is gone or changed is a 404, reported once as an error that names version, file and remedy.

    It is served again as soon as it is back.
    """
    root = build(tmp_path / "build")
    app = make(root)
    file = file_at(root, path)
    shutil.copy2(file, tmp_path / "kept")
    for turn in range(2):
        spoil(file)
        assert [client(app).get(path).status_code for _ in range(3)] == [404] * 3
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == turn + 1
        assert str(file) in errors[-1]
        assert "Put the file back" in errors[-1]
        assert make is alone or "version 'v2'" in errors[-1]
        assert len(hashed) <= 2 * turn + 1
        shutil.copy(tmp_path / "kept", file)
        assert client(app).get(path).data == FILES[path]


@pytest.mark.parametrize("make", [alone, decided])
def test_compressed_forms(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], WSGIApplication]
) -> None:
    """A touched compressed form is sent as before. A changed one is reported, and the original is sent."""
    root = build(tmp_path / "build")
    (root / "small.txt.gz").write_bytes(gzip.compress(SMALL))
    app = make(root)
    touch(root / "small.txt.gz")
    ask = {"Accept-Encoding": "gzip"}
    assert client(app).get("/small.txt", headers=ask).headers["Content-Encoding"] == "gzip"
    damage(root / "small.txt.gz")
    for _ in range(2):
        answer = client(app).get("/small.txt", headers=ask)
        assert ("Content-Encoding" in answer.headers, answer.data) == (False, SMALL)
    assert [str(root / "small.txt.gz") in record.getMessage() for record in caplog.records] == [True]


def test_a_copy_of_another_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where another version has the file, its copy is sent, and the damaged one is still reported."""
    path = "/assets/big-BX4CeNGm.js"
    versions = [Version(version, build(tmp_path / version)) for version in ("v1", "v2")]
    app = VersionAffinity(None, versions, memory=0)
    for version in ("v1", "v2"):
        damage(file_at(tmp_path / version, path))
        answer = client(app).get(path)
        assert (answer.status_code, answer.data) == ((200, BIG) if version == "v1" else (404, answer.data))
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert sorted(error.partition(":")[0] for error in errors) == ["version 'v1'", "version 'v2'"]


@pytest.mark.parametrize("server", [XAccelRedirect, XSendfile])
def test_hand_over(tmp_path: Path, server: Callable[[Path], object]) -> None:
    """A touched file is handed over as before, and a damaged one is not."""
    root = build(tmp_path / "build")
    app = StaticAssets(root, memory=0, hand_over=server(root))  # type: ignore[arg-type]
    field = "X-Accel-Redirect" if server is XAccelRedirect else "X-Sendfile"
    touch(root / "big.bin")
    assert field in client(app).get("/big.bin").headers
    damage(root / "big.bin")
    answer = client(app).get("/big.bin")
    assert (field in answer.headers, answer.status_code) == (False, 404)
