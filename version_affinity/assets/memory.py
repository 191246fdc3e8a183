"""The file content that a process holds, shared by equal files of all versions, and bounded."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


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

    __slots__ = ("_held", "_lock", "_used", "limit")

    def __init__(self, limit: int) -> None:
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise ConfigurationError(
                f"memory={limit!r} is no number of bytes: write memory=64 * 1024 * 1024, or 0 for none"
            )
        self.limit = limit
        self._held: dict[bytes, tuple[bytes, int]] = {}
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        """The bytes held now."""
        return self._used

    def keep(self, digest: bytes, data: bytes) -> bytes | None:
        """Hold content for one more file and return the bytes to use; None when they do not fit.

        Each call that returned bytes is undone by naming the digest once in ``release``.
        """
        with self._lock:
            held = self._held.get(digest)
            if held is not None:
                self._held[digest] = (held[0], held[1] + 1)
                return held[0]
            if self._used + len(data) > self.limit:
                return None
            self._held[digest] = (data, 1)
            self._used += len(data)
            return data

    def release(self, digests: Iterable[bytes]) -> None:
        """Give back what a retired version held: its digests, one for each file whose content was kept."""
        with self._lock:
            for digest in digests:
                data, holders = self._held[digest]
                if holders > 1:
                    self._held[digest] = (data, holders - 1)
                else:
                    del self._held[digest]
                    self._used -= len(data)
