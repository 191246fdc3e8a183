"""Override links: opened in a browser, a link forces a version on all requests of this browser until it expires.

A link is a URL of the application with a signed ``version-override`` in its query. The answer is a redirect to the same
URL without it, and a cookie that holds the signed value. The cookie is verified on each request and expires with the
signature. An empty ``version-override=`` removes it.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from version_affinity.assets.build import NO_FILE, REDIRECT
from version_affinity.assets.http.conditions import READING
from version_affinity.assets.http.response import text_headers
from version_affinity.assets.sending import NOT_FOUND, text_answer
from version_affinity.decision.decider import OVERRIDE, Decision, Step
from version_affinity.decision.overrides import MAX_LENGTH, Refused, checked, sign_override
from version_affinity.decision.request import OTHER, PAGE
from version_affinity.errors import ConfigurationError
from version_affinity.wire import path_of, quoted_path, requoted_path, requoted_query, wsgi_text

from .explanation import BY_NAME
from .headers import PRIVATE_NO_STORE, TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.counters import Counters
    from version_affinity.decision.cookies import OverrideCookie
    from version_affinity.decision.overrides import Overrides
    from version_affinity.decision.request import Request
    from version_affinity.rollout.state import State

    from .explanation import Explanation
    from .finish import Finisher
    from .headers import Headers

PARAMETER: Final = "version-override"
SOURCE: Final = f"query:{PARAMETER}"

# An image or a frame in a page must not change what the browser shows in all of its tabs. A prefetch is refused; the
# browser asks again when the user opens the link.
_OPENED_BY: Final = frozenset((PAGE, OTHER))

# Two slashes at the start name another host, and so do a slash and a backslash. Browsers remove tabs and line ends from
# a URL first (WHATWG URL section 4.4).
_OWN_PATH: Final = re.compile(r"/(?!/)[^\x00-\x1f\x7f\\\ud800-\udfff]*\Z")
_BASE: Final = re.compile(r"(?:https?://[^\x00-\x20\x7f/?#\\]+(?:/[^\x00-\x20\x7f?#\\]*)?)?\Z", re.IGNORECASE)

# A longer path is not sent back in Location: some proxies would answer 502.
_LONGEST_PATH: Final = 4096

_SEE_OTHER: Final = "303 See Other"
_REDIRECT: Final = (
    *text_headers(b""),
    ("Referrer-Policy", "no-referrer"),
    PRIVATE_NO_STORE,
)


def override_link(
    version: str, *, name: str, secret: str | bytes, lifetime: float, path: str = "/", base: str = ""
) -> str:
    """Return a link that forces a version in a browser until it expires, for an application with ``override_secret``.

    Anybody who has the link can open it, any number of times.

    Args:
        version: The id of the version. It must be in the deployment when the link is opened.
        name: The application's name.
        secret: Its ``override_secret``.
        lifetime: Seconds until the link, and the cookie that it sets, expire.
        path: The target: a path of the application's host, with a query and a fragment if needed.
        base: Scheme and host, such as "https://shop.example"; "" for a link without a host.

    Raises:
        ConfigurationError: An argument cannot be used.

    >>> link = override_link("v2", name="storefront", secret="a long random text", lifetime=3600, path="/ink?size=m")
    >>> link.partition("=m&")[0], link.startswith("/ink?size=m&version-override=")
    ('/ink?size', True)
    """
    local, hash_sign, fragment = check_own_path(path).partition("#")
    local, _, query = local.partition("?")
    _, query = _taken_out(requoted_query(wsgi_text(query)))
    pair = f"{PARAMETER}={sign_override(version, name=name, secret=secret, lifetime=lifetime)}"
    query = f"{query}&{pair}" if query else pair
    anchor = requoted_query(wsgi_text(fragment))  # a second "#" is encoded
    return f"{check_base(base)}{requoted_path(wsgi_text(local))}?{query}{hash_sign}{anchor}"


class OverrideLinks:
    """Answers the requests of override links, and removes a cookie that is not valid any more."""

    __slots__ = ("_cookie", "_counters", "_finisher", "_overrides")

    def __init__(self, overrides: Overrides, cookie: OverrideCookie, finisher: Finisher, counters: Counters) -> None:
        self._overrides = overrides
        self._cookie = cookie
        self._finisher = finisher
        self._counters = counters

    def answer(self, state: State, request: Request, start_response: StartResponse) -> Iterable[bytes] | None:
        """Answer the request of a link; None for any other request.

        A link that cannot be applied removes the cookie, and the trace says why. A link that is not opened as a page
        gets a 404.
        """
        opened = self._open(state, request) if PARAMETER in request.environ.get("QUERY_STRING", "") else None
        if opened is None:
            return None
        decision = opened.decision
        decided = self._finisher.headers[request.kind][decision]
        if decision.refused:
            self._counters.refused[decision.refused].advance()
        if opened.query is None:
            return decided.start(text_answer(NOT_FOUND, request.method, decided.missing), start_response)
        headers = [
            *_REDIRECT,
            ("Location", _location(request.environ, opened.query)),
            *decided.private[1:],  # in place of its Cache-Control: that of _REDIRECT
            self._cookie.write(request.scheme, opened.signed, opened.seconds),
        ]
        return decided.start((_SEE_OTHER, headers, ()), start_response)

    def explained(self, state: State, request: Request, explanation: Explanation) -> Explanation:
        """Return the explanation of a link's request, given the one that it had without the link."""
        opened = None if explanation.answer == BY_NAME else self._open(state, request)
        if opened is None:
            return explanation
        return replace(
            explanation,
            decision=opened.decision,
            steps=(Step("link", opened.outcome, decided=True),),
            answer=NO_FILE if opened.query is None else REDIRECT,
            served=opened.decision.version,
            bucket="",
            scores=MappingProxyType({}),
        )

    def clearing(self, request: Request, start_response: StartResponse) -> StartResponse:
        """Return a ``start_response`` that removes the cookie with a page, if its value is not valid any more.

        The browser removes it when it expires, but the secret may have changed. The cookie of a version that is not in
        the deployment stays: the version may come back.
        """
        signed = self._cookie.read(request.environ) if request.kind == PAGE and request.method in READING else ""
        if not signed:
            return start_response
        try:
            self._overrides.verify(signed)
        except Refused:
            return partial(_start, start_response, self._cookie.write(request.scheme, "", 0))
        return start_response

    def _open(self, state: State, request: Request) -> _Opened | None:
        environ = request.environ
        if request.method not in READING or len(path_of(environ)) > _LONGEST_PATH:
            return None
        value, query = _taken_out(environ.get("QUERY_STRING", ""))
        if value is None:
            return None
        if request.kind not in _OPENED_BY:
            return _Opened(state.decider.decide(request), f"not opened: this is a {request.kind}", None)
        outcome = "the override is removed"
        if value:
            try:
                signed = value if len(value) > MAX_LENGTH else unquote(value)
                version, expires = self._overrides.verify(signed)
                checked(version, state.versions, state.deployment.percentages)
            except Refused as refusal:
                request.refused = str(refusal)
                outcome = f"refused: {refusal}"
            else:
                decision = Decision(version, OVERRIDE, SOURCE)
                return _Opened(decision, f"{version} ({SOURCE})", query, signed, expires - int(time.time()))
        return _Opened(state.decider.decide(request, may_be_forced=False), outcome, query)


class _Opened(NamedTuple):
    """The result of opening a link."""

    decision: Decision
    outcome: str
    query: str | None  # what remains of it; None if the link is not opened
    signed: str = ""  # the new value of the cookie
    seconds: int = 0  # its lifetime; 0 removes the cookie


def _taken_out(query: str) -> tuple[str | None, str]:
    """Return the first value of the parameter in a query, None without one, and the remaining query."""
    pairs = query.split("&")
    values = [value for name, _, value in (pair.partition("=") for pair in pairs) if name == PARAMETER]
    if not values:
        return None, query
    return values[0], "&".join(pair for pair in pairs if pair.partition("=")[0] != PARAMETER)


def _location(environ: WSGIEnvironment, query: str) -> str:
    """Return the URL of a request with another query, as a path of the same host."""
    # Two slashes at the start would name another host (RFC 3986 section 4.2).
    location = "/" + quoted_path(environ.get("SCRIPT_NAME", "") + path_of(environ)).lstrip("/")
    return f"{location}?{requoted_query(query)}" if query else location


def _start(
    start_response: StartResponse,
    cookie: tuple[str, str],
    status: str,
    headers: Headers,
    exc_info: OptExcInfo | None = None,
) -> Callable[[bytes], object]:
    """Start a response; add the cookie if the response has our trace, because then no shared cache keeps it."""
    if any(name == TRACE for name, _ in headers):
        headers = [*headers, cookie]
    return start_response(status, headers) if exc_info is None else start_response(status, headers, exc_info)


def check_own_path(path: object) -> str:
    """Return a path that leads to no other host, or raise ``ConfigurationError``."""
    if not isinstance(path, str) or not _OWN_PATH.match(path):
        raise ConfigurationError(
            f"path={path!r} is not a path of this host: write it with one '/' at its beginning and without "
            "backslashes, as in '/ink?size=m'",
        )
    return path


def check_base(base: object) -> str:
    """Return the part of a link before its path, without "/" at its end, or raise ``ConfigurationError``."""
    if not isinstance(base, str) or not _BASE.match(base):
        raise ConfigurationError(
            f"base={base!r} is not the beginning of a URL: write base='https://shop.example', or leave it out",
        )
    return base.rstrip("/")
