"""The file content that a process holds: shared by equal files of all versions, bounded, and filled on first use.

A load that reads files hands their content over at once. A load that knows them from an earlier one reads nothing:
``cached_content`` gets a small file into memory when it is first asked for, and compares its hash then, once.

``open_same`` opens a file that is sent from disk. A file with another time of modification is compared by its hash
before it is given up: rsync, or a build that is made again, writes the same bytes with another time.
"""

from __future__ import annotations

import logging
import os
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from version_affinity.errors import ConfigurationError

from .tree import LARGE, UnservableError, digest_of, is_unchanged, open_unchanged, read, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .asset import Representation

logger = logging.getLogger("version_affinity")

# No file is of this time (``Representation.mtime_ns``).
_MISDESCRIBED: Final = -1
# One thread hashes a file; the others that need it wait for the outcome.
_comparing = Lock()
# Their locks are replaced after a fork.
_memories: WeakSet[Memory] = WeakSet()


class Memory:
    """Bounds the bytes of file content that a process holds.

    Versions share most of their files: content with one digest is held once and counts once. Files that no longer fit
    are served from disk. Safe to use from several threads.

    Args:
        limit: The most bytes to hold; 0 holds none.

    Raises:
        ConfigurationError: the limit is no number of bytes.

    >>> memory = Memory(10)
    >>> memory.keep(b"digest 1", b"12345678") is not None, memory.keep(b"digest 2", b"123") is not None
    (True, False)
    >>> memory.release([b"digest 1"])
    >>> memory.used
    0
    """

    __slots__ = ("__weakref__", "_held", "_lock", "_used", "limit")

    def __init__(self, limit: int) -> None:
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise ConfigurationError(
                f"memory={limit!r} is no number of bytes: write memory=64 * 1024 * 1024, or 0 for none"
            )
        self.limit = limit
        self._held: dict[bytes, tuple[bytes, int]] = {}
        self._used = 0
        self._lock = Lock()
        _memories.add(self)

    @property
    def used(self) -> int:
        """The bytes held now."""
        return self._used

    def has_room(self, digest: bytes, size: int) -> bool:
        """Tell whether content would be held: it is already, or there is room for it.

        Asked without the lock, on each request of a file that is not held: the answer may be outdated at once.
        """
        return digest in self._held or self._used + size <= self.limit

    def keep(self, digest: bytes, data: bytes | None) -> bytes | None:
        """Hold content for one more file and return the bytes to use; None when they do not fit.

        Each call that returned bytes is undone by naming the digest once in ``release``.

        Args:
            digest: The content's hash.
            data: The content; None: as it is held already for another file, if it is.
        """
        with self._lock:
            return self._keep(digest, data)

    def fill(self, representation: Representation, data: bytes | None) -> bytes | None:
        """Hold the content of a file that has none in memory yet, if there is room, and return the bytes to use.

        Nothing more is held for a file that another thread has filled or forgotten meanwhile.

        Args:
            representation: The file.
            data: Its content; None: as it is held already for another file, if it is.
        """
        with self._lock:
            if representation.data is not None:
                return representation.data
            if representation.memory is self:
                representation.data = self._keep(representation.digest, data)
            return data if representation.data is None else representation.data

    def forget(self, representations: Iterable[Representation]) -> None:
        """Give back what files hold here, and hold nothing for them again; a second time, it does nothing.

        Their ``data`` stays for the requests that are being answered with it.
        """
        for representation in representations:
            # For each anew: a request that fills a file does not wait for thousands.
            with self._lock:
                if representation.memory is self:
                    representation.memory = None
                    if representation.data is not None:
                        self._release(representation.digest)

    def release(self, digests: Iterable[bytes]) -> None:
        """Give back what was kept: digests, one for each time that content was kept."""
        with self._lock:
            for digest in digests:
                self._release(digest)

    def _keep(self, digest: bytes, data: bytes | None) -> bytes | None:
        held = self._held.get(digest)
        if held is not None:
            self._held[digest] = (held[0], held[1] + 1)
            return held[0]
        if data is None or self._used + len(data) > self.limit:
            return None
        self._held[digest] = (data, 1)
        self._used += len(data)
        return data

    def _release(self, digest: bytes) -> None:
        data, holders = self._held[digest]
        if holders > 1:
            self._held[digest] = (data, holders - 1)
        else:
            del self._held[digest]
            self._used -= len(data)


def _after_fork() -> None:
    """Replace the locks in a child process: a thread that held one in the moment of the fork is not there any more."""
    global _comparing  # noqa: PLW0603
    _comparing = Lock()
    for memory in list(_memories):
        memory._lock = Lock()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):  # not on Windows, which knows no fork
    os.register_at_fork(after_in_child=_after_fork)


def cached_content(representation: Representation) -> bytes | None:
    """Return a small file's content from memory, where it is read into on first use; None: open the file.

    It is None for a large file, when the memory is full, and when the file is no longer the one that was indexed, which
    opening it then shows too. Never raises; several threads may ask at once.
    """
    if representation.data is not None:
        return representation.data
    memory = representation.memory
    digest, size = representation.digest, representation.size
    if memory is None or size > LARGE or not memory.has_room(digest, size):
        return None
    data = memory.fill(representation, None)
    if data is not None:
        return data
    data = _read_same(representation)
    if data is None:
        return None
    if digest_of(data) != digest:
        # As no file is of this time, the file is not sent with a tag, or for a year under a name, that is another's.
        representation.changed_to = (size, representation.mtime_ns)
        representation.mtime_ns, representation.is_lost = _MISDESCRIBED, True
        logger.error(
            "%r is not served as what the manifest of an earlier load says: it holds other bytes, though its size and "
            "its time are the same. Delete the manifest, and load the build again",
            representation.file,
        )
        return None
    return memory.fill(representation, data)


def is_misdescribed(representation: Representation) -> bool:
    """Tell whether ``cached_content`` has found that a file holds other bytes than an earlier load said."""
    return representation.mtime_ns == _MISDESCRIBED


def open_same(representation: Representation) -> int | None:
    """Open a file that holds what it did when it was loaded; None when it does not, or cannot be opened.

    Never raises; several threads may ask at once.
    """
    file, size = representation.file, representation.size
    descriptor = open_unchanged(file, size, representation.mtime_ns)
    if descriptor is None and _has_same_content(representation):
        descriptor = open_unchanged(file, size, representation.mtime_ns)
    if descriptor is not None and representation.is_lost:
        representation.is_lost = False
    return descriptor


def is_same(representation: Representation) -> bool:
    """Tell whether a file holds what it did when it was loaded; see ``open_same``."""
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
    return data if len(data) == representation.size else None


def _has_same_content(representation: Representation) -> bool:
    """Hash a file with another time of modification, once for each time; where it is the same, it has the new time."""
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
