"""Send a response: choose its headers, and open its body as WSGI wants it (PEP 3333).

A file is checked against the index when it is opened. If it grows afterwards, the body still ends at Content-Length. If
it shrinks, iteration raises, and the server closes the connection: the client sees that the response is incomplete.
"""

from __future__ import annotations

import errno
from io import FileIO
from typing import TYPE_CHECKING, Final

from .http.ranges import Span
from .http.response import ACCEPT_ENCODING, CONDITIONAL, Parts
from .loading.asset import Representation
from .loading.memory import cached_content, open_same
from .loading.tree import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .handover import HandOver
    from .http.response import Body, Response
    from .loading.asset import Asset, HeaderField
    from .rules.changes import HeaderChanges

#: Goes with every form of a file that has several (RFC 9110 section 12.5.5).
VARY_ENCODING: Final = ("Vary", "Accept-Encoding")
#: Lets pages of other origins use a file (WHATWG Fetch).
ALLOW_ALL_ORIGINS: Final = ("Access-Control-Allow-Origin", "*")

_READS: Final = ("GET", "HEAD")
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
)

# What says of a file that it is the one at the path, and may be asked for in parts.
_OF_THE_PATH: Final = ("ETag", "Accept-Ranges")
_TYPE: Final = "content-type"

#: What is logged of a file that ``send`` could not send.
LOST: Final = (
    "is gone, or has other content than when it was loaded, and is not sent any more. Put the file back as it was, and "
    "it is sent again at once. For other content, upload another version"
)


def send(
    response: Response, environ: WSGIEnvironment, hand_over: HandOver | None = None
) -> tuple[list[HeaderField], Iterable[bytes]] | None:
    """Return the headers and the body of a response; None when its file is gone or is not the one that was indexed.

    Args:
        response: The response, complete: a server in front may not be able to send it with all of its headers.
        environ: The request.
        hand_over: How a server in front is told to send a file that is not in memory; None where there is none.
    """
    body = response.body
    if (
        hand_over is not None
        and response.status == "200 OK"
        and isinstance(body, Representation)  # whole, and to be sent
        and environ.keys().isdisjoint(CONDITIONAL)
        and cached_content(body) is None
    ):
        handed = hand_over(body, response.headers)
        if handed is not None:
            return handed, ()
    opened = wsgi_body(body, environ)
    return None if opened is None else (response.headers, opened)


def newly_lost(response: Response) -> Representation | None:
    """Return the file that ``send`` could not send, so that it is reported; None where it was reported before."""
    body = response.body
    file = body.representation if isinstance(body, Parts) else body
    if isinstance(file, bytes) or file.is_lost:
        return None
    file.is_lost = True
    return file


def uncoded(environ: WSGIEnvironment) -> WSGIEnvironment | None:
    """Return a request as if it took a file as it is alone; None where it does so already.

    It is answered once more where ``send`` has sent nothing: the compressed form that was chosen may be gone, or not be
    the one that was indexed, and the file itself be there.
    """
    if ACCEPT_ENCODING not in environ:
        return None
    return {name: value for name, value in environ.items() if name != ACCEPT_ENCODING}


def changed(response: Response, changes: HeaderChanges) -> Response:
    """Return a response as the rules of ``_headers`` change it.

    A Content-Type that they name is the file's: a 304 has none (PEP 3333's checkers refuse it), and that of several
    ranges, of a redirect and of an error is another one. How long an error is kept is not theirs to say either.
    """
    status, headers, _ = response
    if status[0] == "4":
        changes = changes.uncached
    if status[0] != "2" or headers[0][1].startswith("multipart/byteranges"):
        added = tuple(header for header in changes.added if header[0].lower() != _TYPE)
        changes = changes._replace(removed=changes.removed - {_TYPE}, added=added)
    return response._replace(headers=changes.applied_to(headers))


def preflight_headers(
    environ: WSGIEnvironment, kept: tuple[HeaderField, ...], changes: HeaderChanges | None
) -> list[HeaderField] | None:
    """Return the headers that answer a preflight of a fingerprinted file; None where it is none, or is not allowed.

    A browser asks so before a page of another origin fetches with a field such as Range (WHATWG Fetch).

    Args:
        environ: The request, of another method than GET and HEAD.
        kept: What the file carries besides what describes it.
        changes: What the rules of ``_headers`` change in its answers.
    """
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    if asked not in _READS or environ["REQUEST_METHOD"] != "OPTIONS" or ALLOW_ALL_ORIGINS not in kept:
        return None
    headers = [ALLOW_ALL_ORIGINS] if changes is None else changes.applied_to([ALLOW_ALL_ORIGINS])
    allowed = [header for header in headers if header[0].lower() == "access-control-allow-origin"]
    return [*allowed, *_PREFLIGHT] if allowed else None


def stand_in_headers(page: Asset) -> list[HeaderField]:
    """Return what describes a page that stands in for a missing file: it is not the file at this path."""
    return [header for header in page.headers if header[0] not in _OF_THE_PATH]


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
    data = cached_content(source)
    if data is None:
        return _from_disk(source, pieces, environ)
    if pieces is None:
        return [data]
    return [piece if isinstance(piece, bytes) else data[piece.start : piece.stop] for piece in pieces]


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
