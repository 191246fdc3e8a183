"""Complete the headers of responses: what depends on the application's own headers, and the cookie.

A response that a shared cache may keep never depends on the cookie, the key or an override, and never sets the cookie.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from version_affinity.assets.http.conditions import READING
from version_affinity.assets.rules.changes import CACHING, VALIDATORS, is_targeted, joined_vary, negotiated, without
from version_affinity.counters import LimitedLog
from version_affinity.decision.cookies import draw_bucket
from version_affinity.decision.request import FRAME, KINDS

from .headers import PRIVATE, PRIVATE_NO_STORE, DecisionHeaders, HeadersByDecision, retraced

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.counters import Counters
    from version_affinity.decision.cookies import PinCookie
    from version_affinity.decision.request import Request

    from .applications import Exchange
    from .headers import Headers

_HTML: Final = ("text/html", "application/xhtml+xml")
_READ: Final = frozenset(("content-type", "cache-control", "vary", "content-disposition"))
_TARGETED: Final = "targeted"
_REPLACED: Final = frozenset((*CACHING, "vary"))
# Cache-Control directives that keep a response out of shared caches, and that admit it (RFC 9111 section 5.2.2).
_UNSHARED: Final = re.compile(r"(?:^|[\s,])(?:private|no-store)(?:$|[\s,])", re.IGNORECASE)
# The same in headers for CDNs: Akamai has "bypass-cache", nginx has "0".
_UNSHARED_BY_CDN: Final = re.compile(
    rf"{_UNSHARED.pattern}|(?:^|[\s,])bypass-cache(?:$|[\s,])|^\s*0\s*$", re.IGNORECASE
)
_PUBLIC: Final = re.compile(r"(?:^|[\s,])(?:public|s-maxage)(?:$|[\s,=])", re.IGNORECASE)
# The beginnings of statuses whose body a browser does not show as the page.
_NOT_SHOWN: Final = ("3", "204", "205")
_LONG: Final = 256
#: Remembers values of Vary that were joined.
joined_before: Final = lru_cache(maxsize=256)(joined_vary)


class Finisher:
    """Completes the responses of one ``VersionAffinity``. ``headers`` are those of each kind and decision.

    ``vary`` names every request header that a decision may depend on.
    """

    __slots__ = ("_cookie", "_public_log", "headers")

    def __init__(
        self, vary: Iterable[str], cookie: PinCookie | None, counters: Counters, app: WSGIApplication | None = None
    ) -> None:
        names = ", ".join(dict.fromkeys(vary))
        self._cookie = cookie
        self._public_log = LimitedLog(logging.WARNING)
        make = partial(DecisionHeaders, vary=names, counters=counters, has_app=app is not None)
        self.headers = {kind: HeadersByDecision(partial(make, kind=kind)) for kind in KINDS}

    def stamp(self, request: Request, decided: DecisionHeaders, pin: str) -> tuple[str, str] | None:
        """Return the Set-Cookie header for a page that was served to GET or HEAD; None if the cookie need not change.

        ``pin`` is that of the version that was served (``State.pins``), which need not be the decided one.
        """
        if self._cookie is None or not decided.stamped:
            return None
        if request.pin == pin:
            if request.bucket or decided.only:
                return None
        elif decided.only and not request.pin:
            # With a single version no cookie is needed. A stale pin is corrected: the page's files would follow it.
            return None
        return self._cookie.write(request.scheme, request.bucket or draw_bucket(), pin, request.kind == FRAME)

    def finish(
        self, environ: WSGIEnvironment, exchange: Exchange, decided: DecisionHeaders, status: str, headers: Headers
    ) -> Headers:
        """Return the completed headers of an application's response; the given ones are not changed.

        The wrapped application's headers stay as they are, unless the response is HTML, depends on the version, or an
        override was applied.
        """
        page, cache_control, vary = read = _read(headers)
        if exchange.own:
            return self._finish_own(exchange, decided, status, headers, read)
        private = decided.private_negotiated if exchange.negotiated else decided.private
        if decided.forced:
            forced = retraced(private, decided.decision, exchange.served)
            return [*_uncached(headers), *_varying(vary, forced)]
        public = cache_control and _PUBLIC.search(cache_control)
        if public and exchange.depends:
            self._public_log(
                "the response to %.200r depends on the version and declares itself %r: a shared cache may give one "
                "version's page to users of another; let the application leave Cache-Control to VersionAffinity",
                environ.get("PATH_INFO", ""),
                cache_control,
            )
        if public or not (page or exchange.depends):
            return negotiated(status, headers) if exchange.negotiated else headers.copy()
        version = exchange.served or decided.version
        stamp = self._stamp_of(exchange, decided, version, status) if page else None
        added = private if version == decided.version else retraced(private, decided.decision, version)
        if cache_control:
            added = added[1:]
            if not _UNSHARED.search(cache_control):
                # The application allows caching and does not say to whom: then only to the browser.
                headers = without(headers, ("cache-control",))
                added = [("Cache-Control", f"{cache_control}, private"), *added]
        elif exchange.negotiated and status[0] in "45":
            added = [PRIVATE_NO_STORE, *added[1:]]
        if vary:
            headers = without(headers, ("vary",))
            added = _varying(vary, added)
        return [*headers, *added] if stamp is None else [*headers, *added, stamp]

    def _finish_own(
        self, exchange: Exchange, decided: DecisionHeaders, status: str, headers: Headers, read: tuple[bool, str, str]
    ) -> Headers:
        """Return the completed headers of a version that is a WSGI application, while other versions are known.

        Its validators and its caching headers do not take other versions into account.
        """
        page, cache_control, vary = read
        replaced = _REPLACED.union(VALIDATORS) if exchange.method in READING else _REPLACED
        finished = _uncached(headers, replaced)
        finished.append(PRIVATE_NO_STORE if decided.forced or "no-store" in cache_control.lower() else PRIVATE)
        finished += _varying(vary, decided.private)[1:]
        stamp = self._stamp_of(exchange, decided, decided.version, status) if page else None
        return finished if stamp is None else [*finished, stamp]

    def _stamp_of(
        self, exchange: Exchange, decided: DecisionHeaders, version: str, status: str
    ) -> tuple[str, str] | None:
        """Return the Set-Cookie header for a page of an application; None if the cookie need not change."""
        pin = exchange.state.pins[version]
        if (exchange.pin == pin and exchange.bucket) or exchange.method != "GET" or status.startswith(_NOT_SHOWN):
            return None  # an unsafe method may come without our cookie
        stamp = self.stamp(exchange, decided, pin)
        if stamp is not None and not exchange.counted:  # a response that is started again is the same page
            decided.count_page_with_cookie(exchange)
        return stamp


def _read(headers: Headers) -> tuple[bool, str, str]:
    """Return whether a response is a page that a browser shows, and its Cache-Control and Vary.

    A header for CDNs that lets them keep the response counts as ``public``.
    """
    html = attachment = False
    cache_control = vary = ""
    for name, value in headers:
        role = _role_of(name)
        if not role:
            continue
        if role == "content-type":
            html = _is_html(value)
        elif role == "cache-control":
            cache_control = f"{cache_control}, {value}" if cache_control else value
        elif role == "vary":
            vary = f"{vary}, {value}" if vary else value
        elif role == "content-disposition":
            attachment = _is_attachment(value)
        elif not _UNSHARED_BY_CDN.search(value):
            cache_control = f"{cache_control}, public" if cache_control else "public"
    return html and not attachment, cache_control, vary


@lru_cache(maxsize=256)
def _role_of(name: str) -> str:
    """Return a header's name in lower case, "targeted" for one that speaks to CDNs, and "" for one without meaning."""
    lowered = name.lower()
    if lowered in _READ:
        return lowered
    return _TARGETED if is_targeted(lowered) else ""


def _varying(vary: str, headers: Headers) -> Headers:
    """Return our headers with the application's own Vary joined to ours."""
    if not vary:
        return headers
    # An application repeats itself; a longer value is not worth remembering.
    join = joined_before if len(vary) < _LONG else joined_vary
    return [(name, join(value, vary)) if name == "Vary" else (name, value) for name, value in headers]


def _uncached(headers: Headers, names: Container[str] = _REPLACED) -> Headers:
    """Return headers without some names (in lower case) and without those that speak to CDNs."""
    return [header for header in without(headers, names) if not is_targeted(header[0].lower())]


def is_page(changes: HeaderChanges) -> bool:
    """Return whether a browser still shows an HTML file as a page after the rules of ``_headers`` were applied."""
    fields = [(name.lower(), value) for name, value in changes.added]
    if any(name == "content-disposition" and _is_attachment(value) for name, value in fields):
        return False
    return "content-type" not in changes.removed or any(
        name == "content-type" and _is_html(value) for name, value in fields
    )


@lru_cache(maxsize=256)
def _is_html(content_type: str) -> bool:
    return content_type.lower().startswith(_HTML)


def _is_attachment(disposition: str) -> bool:
    return disposition.lower().startswith("attachment")
