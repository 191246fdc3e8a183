"""Override links: opened in a browser, a link forces a version on everything that this browser asks for, for a while.

A link is any URL of the application with ``version-override`` in its query, signed as the value of an override header
is. The answer is a redirect to the same URL without it, and a cookie that holds the signed value: it is verified on
each request, and lives no longer than the signature counts. Pages and their files are then decided alike, which no
header does that a browser sends with pages only. An empty ``version-override=`` takes the cookie away.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote

from .assets.build import NO_FILE, REDIRECT
from .assets.spelling import canonical, spelling, wire_bytes
from .decision import OVERRIDE, Decision, Step
from .errors import ConfigurationError
from .overrides import BAD_SIGNATURE, BAD_SYNTAX, MAX_LENGTH, Refused, checked, sign_override
from .policy import PRIVATE_NO_STORE, TRACE
from .request import OTHER, PAGE, PREFETCH, READING, path_of
from .wsgi import no_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .counters import Counters
    from .explanation import Explanation
    from .overrides import OverrideCookie, Overrides
    from .policy import Headers, Policy
    from .request import Request
    from .state import State

#: What a link carries in its query.
PARAMETER: Final = "version-override"
SOURCE: Final = f"query:{PARAMETER}"

# A page's request for a picture or a frame must not change what the browser shows in all of its tabs.
_OPENING: Final = frozenset((PAGE, OTHER))

# RFC 3986 sections 3.3 and 3.4, and the percent sign of what is encoded already.
_PATH_SAFE: Final = "/%!$&'()*+,-.:;=@_~"
_QUERY_SAFE: Final = f"{_PATH_SAFE}?"

# One slash: two, or a backslash, which browsers take for a slash, would name another host (WHATWG URL section 4.4).
# Browsers drop tabs and line ends from a URL before they read it.
_OWN_PATH: Final = re.compile(r"/(?!/)[^\x00-\x1f\x7f\\\ud800-\udfff]*\Z")
_BASE: Final = re.compile(r"https?://[^\x00-\x20\x7f/?#\\]+(?:/[^\x00-\x20\x7f?#\\]*)?\Z", re.IGNORECASE)

# A link tells of the redirect alone; of the URL that carries the signed value, nothing goes to other sites.
_FIXED: Final = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", "0"),
    ("Referrer-Policy", "no-referrer"),
    PRIVATE_NO_STORE,
)


def override_link(
    version: str, *, name: str, secret: str | bytes, lifetime: float, path: str = "/", base: str = ""
) -> str:
    """Return a link that shows a version in a browser until it expires, for an application with ``override_secret``.

    Args:
        version: The id of the version; it must be in the deployment when the link is opened.
        name: The application's name.
        secret: Its ``override_secret``.
        lifetime: Seconds from now until the link, and the cookie that it sets, expire.
        path: Where the link leads: a path on the application's host, with a query and a fragment if need be.
        base: What stands before the path, for example "https://shop.example"; "" for a link within the host.

    Raises:
        ConfigurationError: any of these that cannot be used.

    >>> override_link("v2", name="storefront", secret="a long random text", lifetime=3600, path="/ink?size=m")
    '/ink?size=m&version-override=...'
    """
    local, hash_sign, fragment = _checked_path(path).partition("#")
    local, _, query = local.partition("?")
    _, query = _taken_out(quote(query, _QUERY_SAFE))
    signed = sign_override(version, name=name, secret=secret, lifetime=lifetime)
    asked = f"{query}&{PARAMETER}={signed}" if query else f"{PARAMETER}={signed}"
    return f"{_checked_base(base)}{quote(local, _PATH_SAFE)}?{asked}{hash_sign}{quote(fragment, _QUERY_SAFE)}"


class OverrideLinks:
    """Answers the requests that come by a link, and takes away a cookie that no longer counts.

    Args:
        overrides: Verifies what is signed.
        cookie: Holds it in the browser.
        policy: What each response carries.
        counters: Where it is counted.
    """

    __slots__ = ("_cookie", "_counters", "_overrides", "_policy")

    def __init__(self, overrides: Overrides, cookie: OverrideCookie, policy: Policy, counters: Counters) -> None:
        self._overrides = overrides
        self._cookie = cookie
        self._policy = policy
        self._counters = counters

    def answer(self, state: State, request: Request, start_response: StartResponse) -> Iterable[bytes] | None:
        """Answer a request that comes by a link; None where it does not, or loads but a part of a page.

        A link that cannot be applied takes the cookie away and leads to the same URL too: the trace says why.
        """
        opened = self._open(state, request)
        if opened is None:
            return None
        decision, cookie, location = opened
        treatment = self._policy.treatments[request.kind][decision]
        if decision.refused:
            self._counters.refused[decision.refused].advance()
        if request.kind == PREFETCH:
            # Nobody has opened it yet. A browser that cannot fetch it ahead asks again when somebody does.
            return no_file(request.environ, treatment, start_response)
        treatment.tally["3"].advance()
        start_response("303 See Other", [*_FIXED, ("Location", location), *treatment.private[1:], cookie])
        return ()

    def explained(self, state: State, request: Request, explanation: Explanation) -> Explanation:
        """Return an explanation of a request that comes by a link; that of any other as it is."""
        opened = self._open(state, request) if explanation.answer != "served by name" else None
        if opened is None:
            return explanation
        decision = opened.decision
        outcome = decision.version if decision.source == SOURCE else f"refused: {decision.refused}"
        return replace(
            explanation,
            decision=decision,
            steps=(Step("link", outcome, decided=True),),
            answer=NO_FILE if request.kind == PREFETCH else REDIRECT,
            served=decision.version,
            bucket="",
            scores=MappingProxyType({}),
        )

    def clearing(self, request: Request, start_response: StartResponse) -> StartResponse:
        """Return a ``start_response`` that takes the request's cookie away with a page, where it no longer counts.

        A browser lets it go when it expires; but the secret may have changed. One whose version is not in the
        deployment stays: it may come back.
        """
        signed = self._cookie.read(request.environ) if request.kind == PAGE and request.method in READING else ""
        if not signed:
            return start_response
        try:
            self._overrides.verify(signed)
        except Refused:
            return partial(_start_clearing, start_response, self._cookie.write(request.scheme, "", 0))
        return start_response

    def _open(self, state: State, request: Request) -> _Opened | None:
        ...
