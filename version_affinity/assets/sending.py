"""Send a response: choose its headers, and open its body as WSGI wants it (PEP 3333).

A file is checked against the index when it is opened. If it grows afterwards, the body still ends at Content-Length. If
it shrinks, iteration raises, and the server closes the connection: the client sees that the response is incomplete.
"""

from __future__ import annotations

import errno
from io import FileIO
from typing import TYPE_CHECKING, Final, TypeAlias

from .http.conditions import NOT_MODIFIED, READING
from .http.ranges import Span, single_range
from .http.response import (
    ACCEPT_ENCODING,
    CONDITIONAL,
    NO_STORE,
    OK,
    PARTIAL,
    Parts,
    Response,
    respond,
    text_response,
)
from .loading.asset import CONTENT_LENGTH, Representation
from .loading.memory import cached_content, open_same
from .loading.tree import BLOCK
from .rules.changes import without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from _typeshed.wsgi import WSGIEnvironment

    from .handover import HandOver
    from .http.response import Body
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

_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
)

#: Logged after the name of a file that ``send_file`` could not send.
LOST: Final = (
    "is gone, or its content has changed since it was loaded; it is not sent any more. Put the file back, and it is "
    "sent again at once. To serve other content, upload another version"
)


def send_file(
    copies: Iterable[Asset],
    environ: WSGIEnvironment,
    extra: Sequence[HeaderField],
    changes: HeaderChanges | None,
    hand_over: HandOver | None,
    report_lost: Callable[[Representation], object],
    last_modified: str = "",
    refusal: Sequence[HeaderField] = (NO_STORE,),
    status: str = OK,
) -> Sent | None:
    """Return the answer to a GET or HEAD with the first of several equal files that can be sent; None if none can.

    A file that is gone, or is not the one that was indexed, is reported once until it is back. Its compressed form may
    be lost alone, so there is another attempt without Accept-Encoding.

    ``extra``, ``last_modified`` and ``refusal`` are those of ``respond``, ``changes`` those of the ``_headers`` rules.
    Another ``status`` than 200 is for a page in place of a missing file.
    """
    asked = environ
    while True:
        for file in copies:
            if status is OK:
                response = respond(file, asked["REQUEST_METHOD"], asked.get, extra, last_modified, refusal)
            else:
                response = _stand_in(file, status, asked["REQUEST_METHOD"], extra)
            if changes is not None:
                response = changed(response, changes)
            answered, headers, body = response
            if (
                hand_over is not None
                and answered == OK
                and isinstance(body, Representation)  # whole, and to be sent
                and asked.keys().isdisjoint(CONDITIONAL)
                and cached_content(body) is None
                and (handed := hand_over(body, headers)) is not None
            ):
                return answered, handed, ()
            opened = wsgi_body(body, asked)
            if opened is not None:
                return answered, headers, opened
            lost = body.representation if isinstance(body, Parts) else body
            if isinstance(lost, Representation) and not lost.is_lost:
                lost.is_lost = True
                report_lost(lost)
        if ACCEPT_ENCODING not in asked:
            return None
        asked = {name: value for name, value in asked.items() if name != ACCEPT_ENCODING}


def _stand_in(page: Asset, status: str, method: str, extra: Sequence[HeaderField]) -> Response:
    """Return the response with a page in place of a missing file: without an ETag and ranges, as it is another file."""
    headers = [*without(page.headers, ("etag", "accept-ranges")), *extra]
    return Response(status, headers, Parts(page, ()) if method == "HEAD" else page)


def changed(response: Response, changes: HeaderChanges) -> Response:
    """Return a response with the changes of the ``_headers`` rules.

    A Content-Type in the rules is that of the file. A 304 has none (PEP 3333's checkers refuse it); several ranges, a
    redirect and an error have another one. The rules do not decide how long an error is kept either.
    """
    status, headers, _ = response
    if status[0] == "4":
        changes = changes.uncached
    if status[0] != "2" or headers[0][1].startswith("multipart/byteranges"):
        added = tuple(without(changes.added, ("content-type",)))
        changes = changes._replace(removed=changes.removed - {"content-type"}, added=added)
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

    ``allowed`` is as in Allow; "" where nothing answers a GET, which is a 404, with the changes of the ``_headers``
    rules.
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
    """Return the headers that answer a preflight of a fingerprinted file; None for another request, or if not allowed.

    A browser sends a preflight before a page of another origin fetches with a header such as Range (WHATWG Fetch).
    ``kept`` and ``changes`` are those of the file's own answers (``Prepared``).
    """
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    if asked not in READING or environ["REQUEST_METHOD"] != "OPTIONS" or ALLOW_ALL_ORIGINS not in kept:
        return None
    headers = [ALLOW_ALL_ORIGINS] if changes is None else changes.applied_to([ALLOW_ALL_ORIGINS])
    allowed = [header for header in headers if header[0].lower() == "access-control-allow-origin"]
    return [*allowed, *_PREFLIGHT] if allowed else None


class Prepared:
    """The frequent answers with a fingerprinted file, prepared before a request: all of it, a 304 or a part.

    Any other answer is left to ``send_file``. Only ``data`` ever changes, and that changes no answer. ``etag`` and
    ``data`` are None for a file with compressed forms, of which no answer is prepared.
    """

    __slots__ = ("changes", "data", "etag", "headers", "kept", "last_modified", "not_modified_headers")

    def __init__(self, asset: Asset, kept: tuple[HeaderField, ...], changes: HeaderChanges | None) -> None:
        self.kept = kept
        self.changes = changes
        self.last_modified = asset.last_modified
        headers = [*asset.headers, *kept]  # of a 200
        if self.last_modified:
            headers.append(("Last-Modified", self.last_modified))
        not_modified = [("ETag", asset.etag), *kept]
        # Tuples: the garbage collector does not walk them again and again.
        self.headers = tuple(headers if changes is None else changes.applied_to(headers))
        if changes is not None:
            not_modified = changed(Response(NOT_MODIFIED, not_modified, b""), changes).headers
        self.not_modified_headers = tuple(not_modified)
        self.etag: str | None = None
        self.data: bytes | None = None
        if VARY_ENCODING not in kept:
            self.etag, self.data = asset.etag, asset.data

    def answer(self, environ: WSGIEnvironment) -> Sent | None:
        """Return the answer to a GET, HEAD or preflight; None where none is prepared, and for any other request."""
        method = environ["REQUEST_METHOD"]
        if method != "GET" and method != "HEAD":  # noqa: PLR1714 - faster
            allowing = preflight_headers(environ, self.kept, self.changes)
            return None if allowing is None else (NO_CONTENT, allowing, ())
        data = self.data
        if data is not None and not (
            "HTTP_IF_NONE_MATCH" in environ
            or "HTTP_RANGE" in environ
            or "HTTP_IF_MODIFIED_SINCE" in environ
            or "HTTP_IF_MATCH" in environ
            or "HTTP_IF_UNMODIFIED_SINCE" in environ
        ):
            # A list, which some servers send at once.
            return OK, [*self.headers], [data] if method == "GET" else []
        if "HTTP_IF_MATCH" in environ or "HTTP_IF_UNMODIFIED_SINCE" in environ:
            return None
        known = environ.get("HTTP_IF_NONE_MATCH")
        if known is not None:
            return (NOT_MODIFIED, [*self.not_modified_headers], []) if known == self.etag else None
        wanted = environ.get("HTTP_RANGE")
        if data is None or wanted is None or method == "HEAD" or "HTTP_IF_MODIFIED_SINCE" in environ:
            return None
        return self._part(data, wanted, environ.get("HTTP_IF_RANGE"))

    def _part(self, data: bytes, wanted: str, condition: str | None) -> Sent | None:
        """Return the answer with a single range; None if another answer is right or a rule changes the headers."""
        size = len(data)
        span = single_range(wanted, size)
        if span is None or self.changes is not None or condition not in (None, self.etag):
            return None
        start, stop = span
        headers = [*self.headers]
        headers[CONTENT_LENGTH] = ("Content-Length", str(stop - start))
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        return PARTIAL, headers, [data[start:stop]]


class SizedFile(FileIO):
    """A file that ends where it was indexed to end: wsgiref reads to the end, not to Content-Length (PEP 3333)."""

    def __init__(self, descriptor: int, size: int) -> None:
        super().__init__(descriptor)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most this many bytes; all up to the end for None or a negative size."""
        remaining = max(0, self._size - self.tell())
        return super().read(remaining if size is None or size < 0 else min(size, remaining)) or b""


def blocks(file: FileIO, pieces: Iterable[bytes | Span], name: str) -> Iterator[bytes]:
    """Yield b"", then spans of a file (none of them empty) and literal bytes in blocks; close the file.

    The first block is read before b"" is yielded, while another answer is still possible. A generator has no
    ``fileno()``, from which a server would send the whole file. If the file has become shorter, only an error makes
    the server close the connection: after a body that ends early, gunicorn keeps it open, and the client waits.
    """
    with file:
        read = (block for piece in pieces for block in _blocks_of(file, piece, name))
        first = next(read, None)
        if first is not None:
            yield b""
            yield first
            yield from read


def _blocks_of(file: FileIO, piece: bytes | Span, name: str) -> Iterator[bytes]:
    if isinstance(piece, bytes):
        yield piece
        return
    file.seek(piece.start)
    remaining = piece.stop - piece.start
    while remaining:
        block = file.read(min(BLOCK, remaining))
        if not block:
            raise OSError(errno.EIO, "the file became shorter while it was sent", name)
        remaining -= len(block)
        yield block


def wsgi_body(body: Body, environ: WSGIEnvironment) -> Iterable[bytes] | None:
    """Return the body of a response as WSGI wants it.

    A list if all of it is in memory, which servers send at once; the server's ``wsgi.file_wrapper`` around a whole
    file; else an iterator over blocks. None if the file is gone or is not the one that was indexed, because its
    Content-Length and ETag would be wrong.
    """
    if isinstance(body, bytes):
        return [body] if body else []
    source, pieces = body if isinstance(body, Parts) else (body, None)
    data = source.data or cached_content(source)
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
        # That of uWSGI sends the file at its present length, regardless of Content-Length.
        if wrapper is not None and "uwsgi.version" not in environ:
            wrapped: Iterable[bytes] = wrapper(file, BLOCK)
            return wrapped
        pieces = (Span(0, source.size),) if source.size else ()
    body = blocks(file, pieces, source.file)
    try:
        next(body, None)
    except OSError:
        return None
    return body
