"""The file content that a process holds in memory: shared by equal files of all versions, bounded, read on first use.

A load that reads files hands their content over at once. A load that knows its files from an earlier load reads
nothing: ``cached_content`` reads a small file into memory when the file is first asked for.

``open_same`` opens a file that is sent from disk. A file with another time of modification is compared by its hash
before it is given up: rsync, or a build that is made again, writes the same bytes with another time.
"""

from __future__ import annotations

import os
from hashlib import sha256
from threading import Lock, RLock
from typing import TYPE_CHECKING
from weakref import WeakSet

from version_affinity.errors import ConfigurationError

from .tree import DIGEST_SIZE, LARGE, UnservableError, is_unchanged, open_unchanged, read, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .asset import Representation

# One thread hashes a file; the others that need the file wait for the result.
_comparing = Lock()
# Their locks are replaced after a fork.
_memories: WeakSet[Memory] = WeakSet()


class Memory:
    """Bounds the bytes of file content that a process holds. Thread-safe.

    Versions share most of their files: content with one digest is held once and counts once. Files that do not fit are
    served from disk.
    """

    __slots__ = ("__weakref__", "_held", "_lock", "limit", "used")

    def __init__(self, limit: int) -> None:
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise ConfigurationError(
                f"memory={limit!r} is not a number of bytes: write memory=64 * 1024 * 1024, or 0 for none"
            )
        self.limit = limit
        self.used = 0  # bytes held now
        self._held: dict[bytes, tuple[bytes, int]] = {}  # digest to content and the number of files that have it
        self._lock = RLock()
        _memories.add(self)

    def has_room(self, digest: bytes, size: int) -> bool:
        """Return whether content is held or there is room for it. Lock-free; the result may be stale."""
        return digest in self._held or self.used + size <= self.limit

    def keep(self, digest: bytes, data: bytes | None) -> bytes | None:
        """Hold content for one more file and return the bytes to use, None if there are none or they do not fit."""
        with self._lock:
            held = self._held.get(digest)
            if held is not None:
                self._held[digest] = (held[0], held[1] + 1)
                return held[0]
            if data is None or self.used + len(data) > self.limit:
                return None
            self._held[digest] = (data, 1)
            self.used += len(data)
            return data

    def fill(self, representation: Representation, data: bytes | None) -> bytes | None:
        """Hold the content of a file, unless another thread filled or forgot it meanwhile; return the bytes to use."""
        with self._lock:
            if representation.data is not None:
                return representation.data
            if representation.memory is self:
                representation.data = self.keep(representation.digest, data)
            return data if representation.data is None else representation.data

    def forget(self, representations: Iterable[Representation]) -> None:
        """Stop holding content for files. Their ``data`` stays for the requests that are being answered with it."""
        for representation in representations:
            # The lock is taken for each file: a request that fills a file does not wait for thousands.
            with self._lock:
                if representation.memory is not self:
                    continue
                representation.memory = None
                if representation.data is None:
                    continue
                data, holders = self._held.pop(representation.digest)
                if holders > 1:
                    self._held[representation.digest] = (data, holders - 1)
                else:
                    self.used -= len(data)


def _after_fork() -> None:
    """Replace the locks in a child process: a thread that held one at the fork does not exist there."""
    global _comparing  # noqa: PLW0603
    _comparing = Lock()
    for memory in list(_memories):
        memory._lock = RLock()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)


def cached_content(representation: Representation) -> bytes | None:
    """Return a small file's content from memory, reading it on first use. Never raises; thread-safe.

    None: the file is large, the memory is full, or the file is no longer the one that was loaded.
    """
    if representation.data is not None:
        return representation.data
    memory = representation.memory
    size = representation.size
    if memory is None or size > LARGE or not memory.has_room(representation.digest, size):
        return None
    data = memory.fill(representation, None)
    if data is not None:
        return data
    data = _read_same(representation)
    return None if data is None else memory.fill(representation, data)


def open_same(representation: Representation) -> int | None:
    """Open a file that holds what it held when it was loaded; otherwise return None. Never raises; thread-safe."""
    file, size = representation.file, representation.size
    descriptor = open_unchanged(file, size, representation.mtime_ns)
    if descriptor is None and _has_same_content(representation):
        descriptor = open_unchanged(file, size, representation.mtime_ns)
    if descriptor is not None and representation.is_lost:
        representation.is_lost = False
    return descriptor


def is_same(representation: Representation) -> bool:
    """Return whether a file holds what it held when it was loaded; see ``open_same``."""
    return is_unchanged(representation.file, representation.size, representation.mtime_ns) or _has_same_content(
        representation
    )


def _read_same(representation: Representation) -> bytes | None:
    descriptor = open_same(representation)
    if descriptor is None:
        return None
    try:
        data = os.read(descriptor, representation.size + 1)  # one more: shows that it has grown
    except OSError:
        return None
    finally:
        os.close(descriptor)
    # An inventory may be wrong about a file. Other versions have this digest, too, and would get these bytes.
    return data if sha256(data).digest()[:DIGEST_SIZE] == representation.digest else None


def _has_same_content(representation: Representation) -> bool:
    """Hash a file with another time of modification, once per time; if it holds the same, it gets the new time."""
    file, size = representation.file, representation.size
    stamp = stamp_of(file)
    if stamp is None or stamp[0] != size or stamp == representation.changed_to:
        return False
    with _comparing:
        if stamp == (size, representation.mtime_ns):  # another thread was first
            return True
        if stamp == representation.changed_to:
            return False
        try:
            content = read(file, 0)
        except (OSError, UnservableError):
            return False
        if (content.size, content.digest) != (size, representation.digest):
            representation.changed_to = (content.size, content.mtime_ns)
            return False
        representation.mtime_ns = content.mtime_ns
        return True
