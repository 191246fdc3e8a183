"""The bound on the file content that a process holds, and how content gets there."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.loading.asset import Representation
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.memory import Memory, cached_content
from version_affinity.assets.loading.tree import LARGE, Content
from version_affinity.errors import ConfigurationError


def file_of(memory, digest, data):
    """Make a file whose content ``memory`` holds if there is room."""
    content = Content(len(data), 0, digest, data)
    return Representation("/a.txt", content, content_type=("Content-Type", "text/plain"), memory=memory)


def test_equal_content_is_held_once():
    """Content with one digest is one object and counts once, however many files have it."""
    memory = Memory(10)
    first, second = bytes([1, 2, 3]), bytes(bytearray([1, 2, 3]))
    assert memory.keep(b"d", first) is first
    assert memory.keep(b"d", second) is first
    assert memory.used == 3


def test_limit():
    """What does not fit is not held; smaller content may still be."""
    memory = Memory(10)
    assert memory.keep(b"1", b"x" * 8) is not None
    assert memory.keep(b"2", b"x" * 3) is None
    assert memory.keep(b"3", b"x" * 2) is not None
    assert memory.used == 10


def test_forget():
    """Content is released when the last file that has it goes, and once for each file."""
    memory = Memory(10)
    first, second = (file_of(memory, b"1", b"abc") for _ in range(2))
    memory.forget([first])
    memory.forget([first])
    assert memory.used == 3
    memory.forget([second])
    assert memory.used == 0
    assert memory.keep(b"2", b"x" * 10) is not None


@pytest.mark.parametrize("limit", [-1, 1.5, "64", None, True])
def test_bad_limit(limit):
    """A limit that is no number of bytes is refused when it is configured."""
    with pytest.raises(ConfigurationError, match="memory="):
        Memory(limit)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5))), st.integers(0, 30))
def test_used_is_the_sum_of_what_is_held(steps, limit):
    """After any history the bytes held are those of the distinct contents in use, and never above the limit."""
    memory, held = Memory(limit), []
    for keep, number in steps:
        if keep:
            file = file_of(memory, bytes([number]), b"x" * number * 2)
            if file.data is not None:
                held.append(file)
        elif gone := next((file for file in held if file.digest == bytes([number])), None):
            held.remove(gone)
            memory.forget([gone])
        assert memory.used == sum(digest[0] * 2 for digest in {file.digest for file in held}) <= limit


@pytest.fixture
def unread(tree, tmp_path):
    """Give a loader of builds that are known from an earlier load: nothing of them is in memory."""

    def load(files, limit):
        root = tree(files)
        scan(root, manifest=tmp_path / "m.json")
        memory = Memory(limit)
        return scan(root, manifest=tmp_path / "m.json", memory=memory), memory

    return load


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [(0, 0, True), (5, 5, True), (5, 4, False), (LARGE, 2 * LARGE, True), (LARGE + 1, 2 * LARGE, False)],
)
def test_first_use(unread, size, limit, expected):
    """A small file's content is read when it is first asked for, if there is room, and held from then on."""
    index, memory = unread({"a.bin": b"x" * size}, limit)
    asset = index.assets["/a.bin"]
    assert (asset.data, memory.used) == (None, 0)
    assert cached_content(asset) == (b"x" * size if expected else None)
    assert cached_content(asset) is asset.data
    assert memory.used == (size if expected else 0)
    index.release()
    assert memory.used == 0


def test_first_use_of_what_is_held(unread):
    """Content that another file holds is not read again: equal files are one object."""
    index, memory = unread({"a.txt": "same", "b.txt": "same"}, 4)
    first = cached_content(index.assets["/a.txt"])
    Path(index.assets["/b.txt"].file).unlink()
    assert cached_content(index.assets["/b.txt"]) is first
    assert memory.used == 4
    index.release()
    assert memory.used == 0


@pytest.mark.parametrize(
    "change",
    [Path.unlink, lambda file: file.write_bytes(b"longer than before"), lambda file: file.write_bytes(b"CONTENT")],
    ids=["gone", "longer", "other bytes"],
)
def test_first_use_of_what_has_changed(unread, change):
    """A file that is no longer the one that was indexed has no content."""
    index, memory = unread({"a.txt": "content"}, 100)
    asset = index.assets["/a.txt"]
    change(Path(asset.file))
    assert cached_content(asset) is None
    assert memory.used == 0


def test_first_use_of_a_touched_file(unread):
    """A file with the same bytes and another time of modification has its content."""
    index, memory = unread({"a.txt": "content"}, 100)
    os.utime(index.assets["/a.txt"].file, (1, 1))
    assert cached_content(index.assets["/a.txt"]) == b"content"
    assert memory.used == 7


def test_without_memory(tree):
    """Where nothing is held, nothing is read either."""
    asset = scan(tree({"a.txt": "content"})).assets["/a.txt"]
    assert cached_content(asset) is None


def test_nothing_is_held_after_the_release(unread):
    """A request that comes after its build was released holds nothing; one before has what it has."""
    index, memory = unread({"a.txt": "1", "b.txt": "22"}, 100)
    data = cached_content(index.assets["/a.txt"])
    index.release()
    assert cached_content(index.assets["/a.txt"]) is data
    assert cached_content(index.assets["/b.txt"]) is None
    assert memory.fill(index.assets["/b.txt"], b"22") == b"22"
    index.release()
    assert memory.used == 0


def test_many_threads(unread):
    """Threads that ask for the same files at once, while the build is released, leave the count right."""
    index, memory = unread({f"{number}.txt": str(number % 5) * 10 for number in range(40)}, 45)
    threads, wrong = 8, []
    together = threading.Barrier(threads + 1)

    def ask():
        together.wait()
        for path, asset in index.assets.items():
            if cached_content(asset) not in {None, str(int(path[1:-4]) % 5).encode() * 10}:
                wrong.append(path)

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    together.wait()
    index.release()
    for thread in asking:
        thread.join()
    assert not wrong
    assert memory.used == 0


def test_many_threads_fill_once(unread):
    """However many threads fill a file at once, it counts once."""
    index, memory = unread({f"{number}.txt": str(number % 5) * 10 for number in range(40)}, 45)
    together = threading.Barrier(8)

    def ask():
        together.wait()
        for asset in index.assets.values():
            cached_content(asset)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert memory.used == 40
    index.release()
    assert memory.used == 0
