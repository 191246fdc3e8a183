"""The bodies of files that are not held in memory: opened, checked against the index, sent in blocks."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from .tree import BLOCK, OPEN_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .asset import Asset


class FileBlocks:
    """A file as an iterable of blocks, never more bytes than its length was; closed by the server."""

    __slots__ = ("_file", "_remaining")

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._remaining = size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(min(BLOCK, self._remaining))
        if not block:
            raise StopIteration
        self._remaining -= len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_body(asset: Asset, environ: WSGIEnvironment) -> Iterable[bytes] | None:
    """Open a file for sending.

    Returns:
        The server's ``wsgi.file_wrapper`` around the file where there is one, else an iterable of blocks; for HEAD,
        which is answered as GET would be, nothing. None when the file is gone or is not the one that was indexed:
        its Content-Length and ETag would be lies.
    """
    try:
        descriptor = os.open(asset.file, OPEN_FLAGS)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        same = stat.S_ISREG(status.st_mode) and status.st_size == asset.size and status.st_mtime_ns == asset.mtime_ns
        file = os.fdopen(descriptor, "rb") if same else None
    except OSError:
        os.close(descriptor)
        return None
    if file is None:
        os.close(descriptor)
        return None
    if environ.get("REQUEST_METHOD") == "HEAD":
        file.close()
        return ()
    wrapper = environ.get("wsgi.file_wrapper")
    return FileBlocks(file, asset.size) if wrapper is None else wrapper(file, BLOCK)
