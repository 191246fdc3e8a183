"""The bodies of responses as WSGI wants them: bytes from memory, or files opened, checked and sent in blocks.

A file is checked against the index when it is opened. What happens to it afterwards cannot make a body longer than its
Content-Length; where it makes it shorter, the connection is given up, which tells the client that something is missing.
"""

from __future__ import annotations

import errno
from io import FileIO
from typing import TYPE_CHECKING

from .http.ranges import Span
from .http.response import Parts
from .loading.memory import content_of, open_same
from .loading.tree import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .http.response import Body
    from .loading.asset import Asset, Representation


class SizedFile(FileIO):
    """A file that reads as if it ended where it did when it was indexed, however much it has grown since.

    PEP 3333 has servers stop at Content-Length. Those that send a ``fileno()`` do (gunicorn, mod_wsgi), those that read
    a file to its end, as wsgiref does, need not know.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        super().__init__(descriptor)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most this many bytes, or all up to the end."""
        remaining = max(0, self._size - self.tell())
        return super().read(remaining if size is None or size < 0 else min(size, remaining)) or b""


class FileParts:
    """Spans of an open file and what stands between them, in blocks; closed by the server.

    It has no ``fileno()``: a server would send the whole file from there.

    Args:
        file: The file, which is now this object's.
        pieces: The spans, none of them empty, and literal bytes.
        name: The file's name, for the error.

    Raises:
        OSError: the file has become shorter, or cannot be read any more. While iterating, to raise is the only way in
            which an application can have the server close the connection: gunicorn, for one, keeps it open after a body
            that just ends early, and the client waits.
    """

    __slots__ = ("_file", "_first", "_name", "_pieces", "_remaining")

    def __init__(self, file: FileIO, pieces: Iterable[bytes | Span], name: str) -> None:
        self._file = file
        self._pieces = iter(pieces)
        self._name = name
        self._remaining = 0
        self._first: bytes | None = None
        # Now, while there is still another answer to give.
        self._first = next(self, None)
        if self._first is None:
            file.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first = self._first
        if first is not None:
            self._first = None
            return first
        if not self._remaining:
            piece = next(self._pieces)
            if isinstance(piece, bytes):
                return piece
            self._file.seek(piece.start)
            self._remaining = piece.stop - piece.start
        wanted = min(BLOCK, self._remaining)
        block = self._file.read(wanted)
        if not block:
            raise OSError(errno.EIO, "the file became shorter while it was sent", self._name)
        self._remaining -= len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def wsgi_body(body: Body, environ: WSGIEnvironment) -> Iterable[bytes] | None:
    """Turn the body of a response into what a WSGI application returns.

    Args:
        body: The body.
        environ: The request's, for the server's ``wsgi.file_wrapper``.

    Returns:
        A list where everything is in memory, which servers send at once; the server's file wrapper around a whole file;
        else an iterable of blocks. None when the file is gone or is not the one that was indexed: its Content-Length
        and ETag would be lies.
    """
    if isinstance(body, bytes):
        return [body] if body else []
    source, pieces = body if isinstance(body, Parts) else (body, None)
    data = content_of(source)
    if data is None:
        return _from_disk(source, pieces, environ)
    if pieces is None:
        return [data]
    return [piece if isinstance(piece, bytes) else data[piece.start : piece.stop] for piece in pieces]


def open_body(asset: Asset, environ: WSGIEnvironment) -> Iterable[bytes] | None:
    """Open a file for sending: as ``wsgi_body`` does for the whole of it; for HEAD, nothing of it."""
    return wsgi_body(Parts(asset, ()) if environ.get("REQUEST_METHOD") == "HEAD" else asset, environ)


def _from_disk(
    source: Representation, pieces: tuple[bytes | Span, ...] | None, environ: WSGIEnvironment
) -> Iterable[bytes] | None:
    descriptor = open_same(source)
    if descriptor is None:
        return None
    file = SizedFile(descriptor, source.size)
    if pieces is None:
        wrapper = environ.get("wsgi.file_wrapper")
        # uWSGI's sends a file at the length that it has then, whatever Content-Length says.
        if wrapper is not None and "uwsgi.version" not in environ:
            wrapped: Iterable[bytes] = wrapper(file, BLOCK)
            return wrapped
        pieces = (Span(0, source.size),) if source.size else ()
    try:
        return FileParts(file, pieces, source.file)
    except OSError:
        file.close()
        return None
