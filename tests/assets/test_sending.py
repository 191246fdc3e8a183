"""The bodies of answers, from memory and from disk."""

import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from wsgiref.util import FileWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.buffers import ReadOnlyFileBasedBuffer

from version_affinity.assets.http.ranges import Span
from version_affinity.assets.http.response import Parts
from version_affinity.assets.loading import memory
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.loading.tree import BLOCK, open_unchanged
from version_affinity.assets.sending import SizedFile, blocks, wsgi_body

SIZE = 3 * BLOCK + 17


@pytest.fixture
def asset(tree):
    """Give a file of several blocks, on disk."""
    return scan(tree({"big.bin": os.urandom(SIZE)})).assets["/big.bin"]


@pytest.fixture
def held(tree):
    """Give a file in memory."""
    return scan(tree({"small.txt": "0123456789"}), memory=Memory(1000)).assets["/small.txt"]


def content(asset):
    """Return what is on disk."""
    return Path(asset.file).read_bytes()


def grow(asset):
    """Append to a file, as somebody does who does not know that it is served."""
    with Path(asset.file).open("ab") as file:
        file.write(b"more")


def test_from_memory(held):
    """What is in memory is a list, for which servers need no iteration; nothing is opened."""
    Path(held.file).unlink()
    assert wsgi_body(held, {}) == [b"0123456789"]
    assert wsgi_body(Parts(held, (Span(2, 4),)), {}) == [b"23"]
    assert wsgi_body(Parts(held, (b"<", Span(2, 4), b"|", Span(0, 1), b">")), {}) == [b"<", b"23", b"|", b"0", b">"]
    assert wsgi_body(Parts(held, ()), {}) == []
    assert all(type(piece) is bytes for piece in wsgi_body(Parts(held, (Span(0, 10),)), {}))


def test_literal_bytes():
    """Bytes are sent as they are; none is no body."""
    assert wsgi_body(b"error", {}) == [b"error"]
    assert wsgi_body(b"", {}) == []


def test_blocks(asset):
    """Without a file wrapper the body is the file in blocks, and closing it closes the file."""
    body = wsgi_body(asset, {})
    found = list(body)
    assert [len(block) for block in found] == [BLOCK, BLOCK, BLOCK, 17]
    assert b"".join(found) == content(asset)
    body.close()
    assert list(body) == []


def test_file_wrapper(asset, file_wrapper):
    """The server's file wrapper gets the open file, and the server's close reaches it."""
    body = wsgi_body(asset, {"wsgi.file_wrapper": file_wrapper})
    assert body is file_wrapper.made[0]
    assert b"".join(body) == content(asset)
    body.close()
    assert body.file.closed


def test_parts_are_not_wrapped(asset, file_wrapper):
    """Parts go block by block without a descriptor, from which a server would send the whole file."""
    body = wsgi_body(Parts(asset, (Span(5, 9),)), {"wsgi.file_wrapper": file_wrapper})
    assert not file_wrapper.made
    assert not hasattr(body, "fileno")
    assert list(body) == [content(asset)[5:9]]
    body.close()


def test_parts(asset):
    """Spans in any order, and what stands between them."""
    spans = (Span(BLOCK - 1, 2 * BLOCK + 1), Span(0, 1), Span(SIZE - 1, SIZE))
    body = wsgi_body(Parts(asset, (b"<", spans[0], b"|", spans[1], spans[2], b">")), {})
    whole = content(asset)
    first, second, last = (whole[start:stop] for start, stop in spans)
    assert list(body) == [b"<", first[:BLOCK], first[BLOCK:], b"|", second, last, b">"]
    body.close()


@given(st.lists(st.binary(min_size=1, max_size=5) | st.tuples(st.integers(0, 40), st.integers(1, 9))), st.booleans())
def test_the_same_from_disk(tmp_path_factory, pieces, in_memory):
    """A body has the same bytes, wherever the file is."""
    root = tmp_path_factory.mktemp("build")
    data = bytes(range(50))
    (root / "a.bin").write_bytes(data)
    asset = scan(root, memory=Memory(100 if in_memory else 0)).assets["/a.bin"]
    pieces = tuple(piece if isinstance(piece, bytes) else Span(piece[0], sum(piece)) for piece in pieces)
    body = wsgi_body(Parts(asset, pieces), {})
    assert isinstance(body, list) is in_memory
    expected = b"".join(piece if isinstance(piece, bytes) else data[piece.start : piece.stop] for piece in pieces)
    assert b"".join(body) == expected
    if not in_memory:
        body.close()


def test_nothing_of_a_file(asset):
    """For HEAD nothing is sent and nothing stays open, but the file must be there."""
    body = wsgi_body(Parts(asset, ()), {})
    assert list(body) == []
    Path(asset.file).unlink()
    assert wsgi_body(Parts(asset, ()), {}) is None


def test_an_empty_file_on_disk(tree, file_wrapper):
    """An empty file has an empty body."""
    empty = scan(tree({"empty.txt": ""})).assets["/empty.txt"]
    assert list(wsgi_body(empty, {})) == []
    body = wsgi_body(empty, {"wsgi.file_wrapper": file_wrapper})
    assert list(body) == []
    body.close()


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
    for body in (asset, Parts(asset, (Span(0, 1),)), Parts(asset, ())):
        assert wsgi_body(body, {"wsgi.file_wrapper": FileWrapper}) is None
        assert wsgi_body(body, {}) is None


def wsgiref(file, size):
    """Read a file as wsgiref's server does: to its end."""
    return b"".join(FileWrapper(file, size))


def waitress(file, size):
    """Read a file as waitress does: it looks for the end, and goes no further than Content-Length."""
    wrapper = ReadOnlyFileBasedBuffer(file, size)
    length = wrapper.prepare(SIZE)
    return wrapper.get(length, skip=True)


def gunicorn(file, _size):
    """Send a file as gunicorn does: from its descriptor, as many bytes as Content-Length says."""
    mine, theirs = socket.socketpair()
    with theirs, ThreadPoolExecutor(1) as executor:
        sending = executor.submit(mine.sendfile, file, 0, SIZE)
        sending.add_done_callback(lambda _: mine.close())
        received = b"".join(iter(lambda: theirs.recv(BLOCK), b""))
        assert sending.result() == len(received)
    return received


@pytest.mark.parametrize("read", [wsgiref, waitress, gunicorn])
def test_a_wrapped_file_that_grows(asset, read):
    """Never more bytes are sent than Content-Length says, in whichever way a server reads a file."""
    whole = content(asset)
    opened = []
    body = wsgi_body(asset, {"wsgi.file_wrapper": lambda file, size: opened.append((file, size)) or [b""]})
    grow(asset)
    ((file, size),) = opened
    with file:
        assert read(file, size) == whole
    assert body == [b""]


def test_uwsgi(asset, file_wrapper):
    """No descriptor is given to uWSGI: from one, it sends as much as the file has then."""
    body = wsgi_body(asset, {"wsgi.file_wrapper": file_wrapper, "uwsgi.version": b"2.0.20"})
    assert not file_wrapper.made
    assert not hasattr(body, "fileno")
    body.close()


def test_a_file_that_grows_while_it_is_sent(asset):
    """Never more bytes are sent than Content-Length says."""
    for source in (asset, Parts(asset, (Span(SIZE - 5, SIZE),))):
        body = wsgi_body(source, {})
        before = asset.size if source is asset else 5
        grow(asset)
        assert sum(map(len, body)) == before
        body.close()
        os.truncate(asset.file, SIZE)
        os.utime(asset.file, ns=(asset.mtime_ns, asset.mtime_ns))


def test_a_file_that_shrinks_while_it_is_sent(asset):
    """A body that would be too short ends with an error, which closes the connection, and is not padded."""
    body = wsgi_body(asset, {})
    os.truncate(asset.file, 2 * BLOCK + 5)
    assert [len(next(body)) for _ in range(3)] == [BLOCK, BLOCK, 5]
    with pytest.raises(OSError, match="became shorter") as error:
        next(body)
    assert error.value.filename == asset.file
    body.close()


def test_a_file_that_shrinks_before_it_is_sent(asset):
    """What fails with the first read has no body, and so another answer than one that is cut short."""
    with SizedFile(os.open(asset.file, os.O_RDONLY), SIZE) as file:
        os.truncate(asset.file, 0)
        with pytest.raises(OSError, match="became shorter"):
            next(blocks(file, (Span(0, SIZE),), asset.file))


def test_a_file_that_shrinks_as_it_is_opened(asset, monkeypatch):
    """What was cut off since the look at the file counts as changed, and is closed."""
    descriptors = []

    def open_and_lose(*arguments):
        descriptors.append(open_unchanged(*arguments))
        os.truncate(asset.file, 0)
        return descriptors[0]

    monkeypatch.setattr(memory, "open_unchanged", open_and_lose)
    assert wsgi_body(asset, {}) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_sized_file(tree):
    """A file reads as if it ended where it is said to."""
    file = next(iter(tree({"a.txt": "0123456789"}).iterdir()))
    for size in (0, 4, 10, 99):
        expected = b"0123456789"[:size]
        with SizedFile(os.open(file, os.O_RDONLY), size) as opened:
            reference = BytesIO(expected)
            for wanted in (2, 3, 0, 100, 1, -1):
                assert opened.read(wanted) == reference.read(wanted)
            assert opened.seek(1) == 1
            assert opened.read() == expected[1:]
            opened.seek(11)
            assert opened.read(None) == b""


def test_descriptors_are_given_back(asset):
    """Neither a body that is closed, early or not, nor a refusal leaves a file open."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not list open files in /proc/self/fd")
    before = len(list(Path("/proc/self/fd").iterdir()))
    bodies = (asset, Parts(asset, (Span(0, 1),)), Parts(asset, (b"x", Span(0, 1))))
    for _ in range(20):
        for source in bodies:
            wsgi_body(source, {}).close()
        begun = wsgi_body(asset, {})
        next(begun)
        begun.close()
        wsgi_body(Parts(asset, ()), {})
    rewrite_shorter(Path(asset.file))
    for _ in range(20):
        for source in bodies:
            assert wsgi_body(source, {}) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
