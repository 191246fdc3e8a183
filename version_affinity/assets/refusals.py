"""What a build that is served alone answers where no file does: 404, 405, and the methods that are allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .build import ALL_METHODS
from .http.response import NO_STORE, Response, text_headers
from .sending import changed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .build import Build
    from .loading.asset import HeaderField
    from .rules.changes import HeaderChanges


def missing(
    environ: WSGIEnvironment, start_response: StartResponse, changes: HeaderChanges | None = None
) -> Iterable[bytes]:
    """Answer 404, never to be kept; ``changes`` is what the rules of ``_headers`` say of the path."""
    return _say("404 Not Found", (NO_STORE,), environ, start_response, changes)


def refused(build: Build, path: str, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer another method than GET and HEAD, which are all that files know (RFC 9110 section 15.5.6)."""
    allowed = build.allowed(path, environ)
    if allowed or environ.get("PATH_INFO") == "*":
        return _answer_method(allowed, environ, start_response) if allowed else outside(environ, start_response)
    return missing(environ, start_response, build.changes_at(path, environ))


def outside(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer where nothing of the build does. "*" asks for the methods of the server as a whole (section 9.3.7)."""
    if environ["REQUEST_METHOD"] == "OPTIONS" and environ.get("PATH_INFO") == "*":
        return _answer_method(ALL_METHODS, environ, start_response)
    return missing(environ, start_response)


def _answer_method(allowed: str, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "OPTIONS" and allowed == ALL_METHODS:
        start_response("204 No Content", [("Allow", allowed)])
        return ()
    return _say("405 Method Not Allowed", (("Allow", allowed), NO_STORE), environ, start_response)


def _say(
    status: str,
    headers: tuple[HeaderField, ...],
    environ: WSGIEnvironment,
    start_response: StartResponse,
    changes: HeaderChanges | None = None,
) -> Iterable[bytes]:
    body = status.encode("ascii") + b"\n"
    response = Response(status, [*text_headers(body), *headers], body)
    start_response(status, response.headers if changes is None else changed(response, changes).headers)
    return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)
