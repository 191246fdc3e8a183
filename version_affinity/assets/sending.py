"""From a response to what a WSGI application starts and returns: its headers, and its body opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .files import wsgi_body
from .http.response import CONDITIONAL, NEGOTIATED, Parts
from .loading.asset import Representation
from .loading.memory import content_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIEnvironment

    from .handover import HandOver
    from .http.response import Response
    from .loading.asset import Asset, Header
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
) -> tuple[list[Header], Iterable[bytes]] | None:
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
        and content_of(body) is None
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
    if NEGOTIATED not in environ:
        return None
    return {name: value for name, value in environ.items() if name != NEGOTIATED}


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
    environ: WSGIEnvironment, kept: tuple[Header, ...], changes: HeaderChanges | None
) -> list[Header] | None:
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


def stand_in_headers(page: Asset) -> list[Header]:
    """Return what describes a page that stands in for a missing file: it is not the file at this path."""
    return [header for header in page.headers if header[0] not in _OF_THE_PATH]
