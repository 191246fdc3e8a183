"""Send a response: choose its headers, and open its body as WSGI wants it (PEP 3333).

A file is checked against the index when it is opened. If it grows afterwards, the body still ends at Content-Length. If
it shrinks, iteration raises, and the server closes the connection: the client sees that the response is incomplete.
"""

from __future__ import annotations

import errno
from io import FileIO
from typing import TYPE_CHECKING, Final, TypeAlias

from .http.ranges import Span
from .http.response import ACCEPT_ENCODING, CONDITIONAL, OK, Parts, text_response
from .loading.asset import Representation
from .loading.memory import cached_content, open_same
from .loading.tree import BLOCK
from .rules.changes import without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .handover import HandOver
    from .http.response import Body, Response
    from .loading.asset import Asset, HeaderField
    from .rules.changes import HeaderChanges

    #: What a WSGI application starts and returns: the status, the headers (a list of its own) and the body.
    Sent: TypeAlias = "tuple[str, list[HeaderField], Iterable[bytes]]"

#: The methods that a file understands, as in Allow.
ALL_METHODS: Final = "GET, HEAD, OPTIONS"
NOT_FOUND: Final = "404 Not Found"
NO_CONTENT: Final = "204 No Content"

#: Goes with every form of a file that has several (RFC 9110 section 12.5.5).
VARY_ENCODING: Final = ("Vary", "Accept-Encoding")
#: Lets pages of other origins use a file (WHATWG Fetch).
ALLOW_ALL_ORIGINS: Final = ("Access-Control-Allow-Origin", "*")

#: The methods that a file answers with itself.
READS: Final = ("GET", "HEAD")
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
)

# What says of a file that it is the one at the path, and may be asked for in parts.
_OF_THE_PATH: Final = ("etag", "accept-ranges")
_TYPE: Final = ("content-type",)

#: What is logged of a file that ``send`` could not send.
LOST: Final = (
    "is gone, or has other content than when it was loaded, and is not sent any more. Put the file back as it was, and "
    "it is sent again at once. For other content, upload another version"
)


def send(response: Response, environ: WSGIEnvironment, hand_over: HandOver | None = None) -> Sent | None:
    """Return a response as WSGI wants it; None if its file is gone or is not the one that was indexed.

    Args:
        response: The complete response: whether it can be handed over depends on its headers.
        environ: The request.
        hand_over: Hands a file that is not in memory over to the server in front; None without one.
    """
    status, headers, body = response
    if (
        hand_over is not None
        and status == OK
        and isinstance(body, Representation)  # whole, and to be sent
        and environ.keys().isdisjoint(CONDITIONAL)
        and cached_content(body) is None
    ):
        handed = hand_over(body, headers)
        if handed is not None:
            return status, handed, ()
    opened = wsgi_body(body, environ)
    return None if opened is None else (status, headers, opened)


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
        added = tuple(without(changes.added, _TYPE))
        changes = changes._replace(removed=changes.removed.difference(_TYPE), added=added)
    return response._replace(headers=changes.applied_to(headers))


def text_answer(status: str, method: str, headers: Iterable[HeaderField], changes: HeaderChanges | None = None) -> Sent:
    """Return an answer whose body is its status line; ``changes`` are those of the ``_headers`` rules."""
    response = text_response(status, method, *headers)
    if changes is not None:
        response = changed(response, changes)
    return status, response.headers, wsgi_body(response.body, {}) or ()


def is_of_server(environ: WSGIEnvironment) -> bool:
    """Return whether a request asks for the methods of the server as a whole: OPTIONS * (RFC 9110 section 9.3.7)."""
    return environ["REQUEST_METHOD"] == "OPTIONS" and environ.get("PATH_INFO") == "*"


def method_answer(
    allowed: str, method: str, headers: Iterable[HeaderField], changes: HeaderChanges | None = None
) -> Sent:
    """Return the answer to a method that files do not understand (RFC 9110 section 15.5.6).

    Args:
        allowed: The allowed methods, as in Allow; "" where nothing answers a GET, which is a 404.
        method: The request's.
        headers: Cache-Control, and what else the answer carries.
        changes: What the rules of ``_headers`` change in a 404.
    """
    if not allowed:
        return text_answer(NOT_FOUND, method, headers, changes)
    headers = (("Allow", allowed), *headers)
    if method == "OPTIONS" and allowed == ALL_METHODS:
        return NO_CONTENT, [*headers], ()
    return text_answer("405 Method Not Allowed", method, headers)


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
    if asked not in READS or environ["REQUEST_METHOD"] != "OPTIONS" or ALLOW_ALL_ORIGINS not in kept:
        return None
    headers = [ALLOW_ALL_ORIGINS] if changes is None else changes.applied_to([ALLOW_ALL_ORIGINS])
    allowed = [header for header in headers if header[0].lower() == "access-control-allow-origin"]
    return [*allowed, *_PREFLIGHT] if allowed else None


def stand_in_headers(page: Asset) -> list[HeaderField]:
    """Return what describes a page that stands in for a missing file: it is not the file at this path."""
    return without(page.headers, _OF_THE_PATH)


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
