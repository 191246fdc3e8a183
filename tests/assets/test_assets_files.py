"""Bodies of files that are not in memory."""

import os
import shutil
from pathlib import Path

import pytest

from version_affinity.assets.files import open_body
from version_affinity.assets.index import scan
from version_affinity.assets.tree import BLOCK


@pytest.fixture
def asset(tree):
    """Give a file of several blocks."""
    return scan(tree({"big.bin": os.urandom(3 * BLOCK + 17)})).assets["/big.bin"]


def test_blocks(asset):
    """Without a file wrapper the body is the file in blocks, and closing it closes the file."""
    body = open_body(asset, {})
    blocks = list(body)
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, BLOCK, 17]
    assert b"".join(blocks) == Path(asset.file).read_bytes()
    body.close()
    with pytest.raises(ValueError, match="closed"):
        next(body)


def test_file_wrapper(asset, file_wrapper):
    """The server's file wrapper gets the open file, and the server's close reaches it."""
    body = open_body(asset, {"wsgi.file_wrapper": file_wrapper})
    assert body is file_wrapper.made[0]
    assert b"".join(body) == Path(asset.file).read_bytes()
    body.close()
    assert body.file.closed


def rewrite_shorter(file):
    """Replace the content by less."""
    file.write_bytes(b"short")


def rewrite_same_length(file):
    """Replace the content by as much, later."""
    status = file.stat()
    file.write_bytes(b"x" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def rewrite_shorter_in_secret(file):
    """Replace the content by less, and set the time back."""
    status = file.stat()
    file.write_bytes(b"short")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def become_link(file):
    """Put a link in the file's place, to one outside of the build that has its length and time."""
    outside = file.parent.parent / "secret"
    shutil.copy2(file, outside)
    file.unlink()
    file.symlink_to(outside)


def become_directory(file):
    """Put a directory in the file's place."""
    file.unlink()
    file.mkdir()


def become_pipe(file):
    """Put a pipe in the file's place."""
    file.unlink()
    os.mkfifo(file)


def remove_tree(file):
    """Remove the whole build."""
    shutil.rmtree(file.parent)


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        rewrite_shorter,
        rewrite_shorter_in_secret,
        rewrite_same_length,
        become_link,
        become_directory,
        become_pipe,
        remove_tree,
    ],
)
@pytest.mark.usefixtures("no_hanging")
def test_not_the_indexed_file(asset, change):
    """A file that is gone, changed or replaced has no body: its length and tag would be lies."""
    change(Path(asset.file))
    assert open_body(asset, {}) is None


def test_a_file_that_grows_while_it_is_sent(asset):
    """Never more bytes are sent than Content-Length says."""
    body = open_body(asset, {})
    with Path(asset.file).open("ab") as file:
        file.write(b"more")
    assert sum(map(len, body)) == asset.size
    body.close()


def test_descriptors_are_given_back(asset):
    """Neither a body that is closed nor a refusal leaves a file open."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not list open files in /proc/self/fd")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        open_body(asset, {}).close()
    rewrite_shorter(Path(asset.file))
    for _ in range(20):
        assert open_body(asset, {}) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
