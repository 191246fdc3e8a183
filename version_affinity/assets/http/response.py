"""The HTTP rules of answering with a file, free of WSGI: a file and the request's fields in, a response out.

The order is that of RFC 9110: the form of the file (section 12.5.3), the preconditions of that form (13.2.2), the range
(14.2). Nothing here opens a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from version_affinity.assets.loading.asset import NOSNIFF, HeaderField, Representation

from .conditions import FAILED, NOT_MODIFIED, evaluate, if_range
from .negotiation import select_representation
from .ranges import Span, multipart, parse_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from version_affinity.assets.loading.asset import Asset

#: For a file whose name carries its content's hash. Every cache takes a year for "forever".
IMMUTABLE: Final = ("Cache-Control", "public, max-age=31536000, immutable")
#: For any other file: caches keep it and ask again on each use.
REVALIDATE: Final = ("Cache-Control", "public, max-age=0, must-revalidate")
#: For a missing file: caches may keep a 404 without it (RFC 9111 section 4.2.2), also after the file has appeared.
NO_STORE: Final = ("Cache-Control", "no-store")

#: Request fields by their CGI names. A GET without any of them gets 200 and the whole file. (If-Range needs a Range.)
CONDITIONAL: Final = (
    "HTTP_IF_NONE_MATCH",
    "HTTP_RANGE",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_MATCH",
    "HTTP_IF_UNMODIFIED_SINCE",
)
#: The field that chooses among a file's variants.
ACCEPT_ENCODING: Final = "HTTP_ACCEPT_ENCODING"

OK: Final = "200 OK"
PARTIAL: Final = "206 Partial Content"
_UNSATISFIABLE: Final = "416 Range Not Satisfiable"


class Parts(NamedTuple):
    """A body of spans of a file and literal bytes between them. An empty body still requires that the file is there."""

    representation: Representation
    pieces: tuple[bytes | Span, ...]


#: A whole file, parts of a file, or literal bytes; b"" is no body.
Body: TypeAlias = "Representation | Parts | bytes"


class Response(NamedTuple):
    """A response. The caller may change the list of headers. The length of the body is in them, except of a 304."""

    status: str
    headers: list[HeaderField]
    body: Body


def respond(
    asset: Asset,
    method: str,
    field: Callable[[str], str | None],
    extra: Iterable[HeaderField] = (),
    last_modified: str = "",
    refusal: Iterable[HeaderField] = (NO_STORE,),
) -> Response:
    """Answer a request for a file. Never raises.

    A method other than GET and HEAD is answered like GET, without what RFC 9110 permits for these two only. ``field``
    returns a field of the request by its CGI name, or None. ``extra`` are fields of 200, 206 and 304 that do not
    describe the content (RFC 9110 section 15.4.5), ``refusal`` those of 412 and 416: a cache may keep any status with a
    lifetime (RFC 9111 section 3). Without ``last_modified``, fields with dates are ignored.
    """
    variants = asset.variants
    chosen: Representation = select_representation(asset, field(ACCEPT_ENCODING)) if variants else asset
    etag = chosen.etag
    modified = asset.mtime_ns // 1_000_000_000 if last_modified and asset.mtime_ns >= 0 else None
    outcome = evaluate(method, field, etag, modified)
    if outcome == FAILED:
        return text_response(FAILED, method, *refusal)
    if outcome is not None:
        # Without Last-Modified: there is an ETag (section 15.4.5).
        return Response(NOT_MODIFIED, [("ETag", etag), *extra], b"")
    dated = (*extra, ("Last-Modified", last_modified)) if last_modified else extra
    wanted = field("HTTP_RANGE") if method == "GET" else None
    if wanted is not None:
        condition = field("HTTP_IF_RANGE")
        # A date that several forms share is not a strong validator (section 8.8.1).
        if condition is None or if_range(condition, etag, None if variants else modified):
            answer = _part(chosen, wanted, dated, refusal)
            if answer is not None:
                return answer
    return Response(OK, [*chosen.headers, *dated], Parts(chosen, ()) if method == "HEAD" else chosen)


def _part(
    chosen: Representation, wanted: str, extra: Iterable[HeaderField], refusal: Iterable[HeaderField]
) -> Response | None:
    """Answer for a Range field; None where it is ignored."""
    size = chosen.size
    spans = parse_range(wanted, size)
    if spans is None:
        return None
    if not spans:
        return text_response(_UNSATISFIABLE, "GET", *refusal, ("Content-Range", f"bytes */{size}"))
    kind, _, *described = chosen.headers
    if len(spans) == 1:
        ((start, stop),) = spans
        length, place = str(stop - start), f"bytes {start}-{stop - 1}/{size}"
        headers = [kind, ("Content-Length", length), *described, *extra, ("Content-Range", place)]
        return Response(PARTIAL, headers, Parts(chosen, spans))
    if chosen.encoding:
        # Clients decode the body by the outer Content-Encoding. Framed parts are not such a stream; the whole file is.
        return None
    # The tag has the content's hash: no file can hold its own hash.
    boundary = chosen.etag.strip('"')
    framed = multipart(spans, size, kind[1], boundary)
    if framed is None:
        return None
    pieces, total = framed
    outer = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    headers = [outer, ("Content-Length", str(total)), *described, *extra]
    return Response(PARTIAL, headers, Parts(chosen, pieces))


def text_response(status: str, method: str, *headers: HeaderField) -> Response:
    """Return a response whose body is its status line."""
    body = f"{status}\n".encode("ascii")
    return Response(status, [*text_headers(body), *headers], b"" if method == "HEAD" else body)


def text_headers(body: bytes) -> tuple[HeaderField, ...]:
    """Return the fields that describe a short text of this package."""
    return (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), NOSNIFF)
