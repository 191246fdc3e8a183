"""Answers that are no file: what applications say, with its headers completed, and the short refusals."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from version_affinity.assets.build import ALL_METHODS
from version_affinity.assets.http.response import Response
from version_affinity.assets.sending import changed

from .finish import PRECONDITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity.assets.rules.changes import HeaderChanges

    from .exchange import Exchange
    from .finish import Finisher
    from .headers import DecisionHeaders

#: Where the environ holds what was taken out of it or changed in it.
ORIGINAL: Final = "version_affinity.original"

OK: Final = "200 OK"
NOT_FOUND: Final = "404 Not Found"

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_NOSNIFF = ("X-Content-Type-Options", "nosniff")


def call(
    app: WSGIApplication,
    environ: WSGIEnvironment,
    exchange: Exchange,
    decided: DecisionHeaders,
    finisher: Finisher,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Call an application with its headers completed and its response counted; its iterable is returned as it is."""
    try:
        # A partial costs less than half of a closure over as many variables.
        return app(environ, partial(_start, environ, exchange, decided, finisher, start_response))
    except BaseException:
        _count(exchange, decided, "5")  # the server answers 500 for it
        raise


def _start(
    environ: WSGIEnvironment,
    exchange: Exchange,
    decided: DecisionHeaders,
    finisher: Finisher,
    start_response: StartResponse,
    status: str,
    headers: list[tuple[str, str]],
    exc_info: OptExcInfo | None = None,
) -> Callable[[bytes], object]:
    """Start the response that an application starts."""
    if status[:1] == "2" and not exchange.counted:
        exchange.counted = "2"
        decided.count_success()
    else:
        _count(exchange, decided, status[:1])
    completed = finisher.finish(environ, exchange, decided, status, headers)
    return start_response(status, completed) if exc_info is None else start_response(status, completed, exc_info)


def _count(exchange: Exchange, decided: DecisionHeaders, digit: str) -> None:
    """Count a response, or, where it was counted already, under another status than before."""
    if exchange.counted:
        decided.tally.move(exchange.counted, digit)
    else:
        decided.tally[digit].advance()
    exchange.counted = digit


def take_conditional(environ: WSGIEnvironment) -> None:
    """Take the conditional headers out of a request; what they were is kept under a key of ours."""
    if environ.keys().isdisjoint(PRECONDITIONS):
        return
    taken = {name: environ.pop(name) for name in PRECONDITIONS if name in environ}
    if "HTTP_IF_RANGE" in taken and "HTTP_RANGE" in environ:
        # A range of other bytes than it was asked for (RFC 9110 section 13.1.5).
        taken["HTTP_RANGE"] = environ.pop("HTTP_RANGE")
    environ[ORIGINAL] = {**environ.get(ORIGINAL, {}), **taken}


def no_file(
    environ: WSGIEnvironment,
    decided: DecisionHeaders,
    start_response: StartResponse,
    changes: HeaderChanges | None = None,
) -> Iterable[bytes]:
    """Answer 404, never to be kept: a cached one would outlive the cause.

    ``changes`` is what the rules of ``_headers`` say of the path.
    """
    return plain(environ, decided, start_response, NOT_FOUND, decided.missing, changes)


def not_allowed(
    environ: WSGIEnvironment,
    decided: DecisionHeaders,
    start_response: StartResponse,
    allowed: str,
    changes: HeaderChanges | None = None,
) -> Iterable[bytes]:
    """Answer another method than GET and HEAD, where no application is wrapped (RFC 9110 section 15.5.6).

    Args:
        environ: The request.
        decided: What follows from its decision.
        start_response: As the server gave it.
        allowed: The methods that are allowed; "" where there is nothing.
        changes: What the rules of ``_headers`` say of the path, for a 404.
    """
    if not allowed:
        return no_file(environ, decided, start_response, changes)
    headers = [("Allow", allowed), *decided.missing]
    if environ["REQUEST_METHOD"] == "OPTIONS" and allowed == ALL_METHODS:
        decided.count_success()
        start_response("204 No Content", headers)
        return ()
    return plain(environ, decided, start_response, "405 Method Not Allowed", headers)


def answer_preflight(
    headers: list[tuple[str, str]] | None, count: Callable[[], object], start_response: StartResponse
) -> bool:
    """Answer a preflight with its headers; tell whether there are any."""
    if headers is None:
        return False
    count()
    start_response("204 No Content", headers)
    return True


def plain(
    environ: WSGIEnvironment,
    decided: DecisionHeaders,
    start_response: StartResponse,
    status: str,
    headers: list[tuple[str, str]],
    changes: HeaderChanges | None = None,
) -> Iterable[bytes]:
    """Answer with the status line as a short text."""
    text = f"{status}\n".encode("ascii")
    decided.count(status)
    response = Response(status, [_TEXT, _NOSNIFF, ("Content-Length", str(len(text))), *headers], text)
    start_response(status, response.headers if changes is None else changed(response, changes).headers)
    return () if environ["REQUEST_METHOD"] == "HEAD" else (text,)
