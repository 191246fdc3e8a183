"""What each response carries besides what follows from the decision alone: the application's own word, and the cookie.

A response that a shared cache may keep never depends on the cookie, the key or an override, and never sets the cookie.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from version_affinity.assets.rules.changes import CACHING, NEGOTIATED, is_targeted, negotiated
from version_affinity.counters import LimitedLog
from version_affinity.decision.cookies import draw_bucket
from version_affinity.decision.decider import ONLY, OVERRIDE
from version_affinity.decision.request import FRAME, KINDS, READING, STAMPED

from .headers import PRIVATE, PRIVATE_NO_STORE, HeadersByDecision, retraced

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.counters import Counters
    from version_affinity.decision.cookies import PinCookie
    from version_affinity.decision.decider import Decision
    from version_affinity.decision.request import Request

    from .applications import Exchange
    from .headers import DecisionHeaders, Headers

_HTML = ("text/html", "application/xhtml+xml")
# RFC 9111 section 5.2.2: what keeps a response out of shared caches, and what invites them.
_UNSHARED = re.compile(r"(?:^|[\s,])(?:private|no-store)(?:$|[\s,])", re.IGNORECASE)
# To CDNs: Akamai's word, and nginx's "0" as well.
_UNSHARED_BY_CDN = re.compile(rf"{_UNSHARED.pattern}|(?:^|[\s,])bypass-cache(?:$|[\s,])|^\s*0\s*$", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:^|[\s,])(?:public|s-maxage)(?:$|[\s,=])", re.IGNORECASE)


class Finisher:
    """Says what each response of one ``VersionAffinity`` carries.

    Args:
        vary: Every request header that a decision may consult.
        cookie: The affinity cookie, None when it is switched off.
        counters: Where responses are counted.
        app: The wrapped application, None where there is none.
    """

    __slots__ = ("_cookie", "_public_log", "headers")

    def __init__(
        self, vary: Iterable[str], cookie: PinCookie | None, counters: Counters, app: WSGIApplication | None = None
    ) -> None:
        names = ", ".join(dict.fromkeys(vary))
        self._cookie = cookie
        self._public_log = LimitedLog(logging.WARNING)
        #: By kind and decision.
        self.headers = {kind: HeadersByDecision(kind, names, counters, has_app=app is not None) for kind in KINDS}

    def forget(self, known: Container[str]) -> None:
        """Drop what was made for versions that are not known any more."""
        for headers in self.headers.values():
            headers.forget(known)

    def stamp(self, request: Request, decision: Decision, pin: str) -> tuple[str, str] | None:
        """Return the Set-Cookie header for a page that was served, None where the cookie stays as it is.

        Args:
            request: A GET or HEAD. The answer to HEAD leaves the header out: the page is not shown.
            decision: What was decided.
            pin: What the cookie says of the version that was served (``State.pins``). That is the version whose page
                the browser got, not the one that was decided.
        """
        if self._cookie is None or request.kind not in STAMPED:
            return None
        reason = decision.reason
        if reason == ONLY:
            # With one version alone no cookie is needed; a stale pin would lead the page's files astray.
            if not request.pin or request.pin == pin:
                return None
        elif reason == OVERRIDE or (request.pin == pin and request.bucket):
            return None
        return self._cookie.write(request.scheme, request.bucket or draw_bucket(), pin, framed=request.kind == FRAME)

    def finish(  # noqa: C901, PLR0912 - the headers are gone through once, here: on each response a call less
        self, environ: WSGIEnvironment, exchange: Exchange, decided: DecisionHeaders, status: str, headers: Headers
    ) -> Headers:
        """Return the headers of an application's response, completed.

        The wrapped application's are untouched, unless the response is HTML, depends on the version, or is forced by an
        override.

        Args:
            environ: The request.
            exchange: What was read of it, and what the response depends on.
            decided: What follows from its decision.
            status: The application's status line.
            headers: The application's headers; they are not changed.
        """
        html = attachment = False
        cache_control = vary = ""
        for name, value in headers:
            role = _role_of(name)
            if role is None:
                role = _role_of(name.lower(), "targeted" if is_targeted(name.lower()) else "")
            if not role:
                continue
            if role == "content-type":
                html = value.startswith(_HTML) or _is_html(value)
            elif role == "cache-control":
                cache_control = f"{cache_control}, {value}" if cache_control else value
            elif role == "vary":
                vary = f"{vary}, {value}" if vary else value
            elif role == "content-disposition":
                attachment = _is_attachment(value)
            elif not _UNSHARED_BY_CDN.search(value):
                cache_control = f"{cache_control}, public" if cache_control else "public"
        page = html and not attachment
        if exchange.own:
            return self._finish_own(exchange, decided, status, headers, page, cache_control, vary)
        private = decided.private_negotiated if exchange.negotiated else decided.private
        if decided.forced:
            forced = retraced(private, decided.decision, exchange.served)
            return [*_unkept(headers), *_varying(vary, forced)]
        public = cache_control and _PUBLIC.search(cache_control)
        if public and exchange.depends:
            self._report_public(environ, cache_control)
        if public or not (page or exchange.depends):
            if not exchange.negotiated:
                return headers.copy()
            if status[0] in "45":
                return negotiated(status, headers)
            return [*_without(headers, ("vary",)), *_varying(vary, [NEGOTIATED])] if vary else [*headers, NEGOTIATED]
        decision = decided.decision
        version = exchange.served or decision.version
        stamp = self._stamp_of(exchange, decision, version, status) if page else None
        added = private if version == decision.version else retraced(private, decision, version)
        if cache_control:
            added = added[1:]
            if not _UNSHARED.search(cache_control):
                # The application allows caching without a word on whose: then it is the browser's own.
                headers = _without(headers, ("cache-control",))
                added = [("Cache-Control", f"{cache_control}, private"), *added]
        elif exchange.negotiated and status[0] in "45":
            added = [PRIVATE_NO_STORE, *added[1:]]
        if vary:
            headers = _without(headers, ("vary",))
            added = _varying(vary, added)
        return [*headers, *added] if stamp is None else [*headers, *added, stamp]

    def _report_public(self, environ: WSGIEnvironment, cache_control: str) -> None:
        self._public_log(
            "the response to %.200r depends on the version and declares itself %r: a shared cache may give one "
            "version's page to users of another; let the application leave Cache-Control to VersionAffinity",
            environ.get("PATH_INFO", ""),
            cache_control,
        )

    def _finish_own(
        self,
        exchange: Exchange,
        decided: DecisionHeaders,
        status: str,
        headers: Headers,
        page: bool,
        cache_control: str,
        vary: str,
    ) -> Headers:
        """Return the headers of a version that is a WSGI application, completed, while others are known.

        Its validators and its word on caching know nothing of versions.
        """
        finished = _unkept(headers, _VALIDATORS if exchange.method in READING else ())
        finished.append(PRIVATE_NO_STORE if decided.forced or "no-store" in cache_control.lower() else PRIVATE)
        finished += _varying(vary, decided.private)[1:]
        decision = decided.decision
        stamp = self._stamp_of(exchange, decision, decision.version, status) if page else None
        return finished if stamp is None else [*finished, stamp]

    def _stamp_of(self, exchange: Exchange, decision: Decision, version: str, status: str) -> tuple[str, str] | None:
        """Return the Set-Cookie header for a page of an application, None where the cookie stays as it is."""
        pin = exchange.state.pins[version]
        if (exchange.pin == pin and exchange.bucket) or exchange.method != "GET" or not _shows(status):
            return None  # an unsafe method may come without our cookie
        return self.stamp(exchange, decision, pin)


# The headers that are looked at, also as they are commonly written, and common ones that are not: most names are found
# at once.
_UNREAD = (
    "Access-Control-Allow-Origin",
    "Allow",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Date",
    "ETag",
    "Last-Modified",
    "Link",
    "Location",
    "Permissions-Policy",
    "Referrer-Policy",
    "Server-Timing",
    "Set-Cookie",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-Request-ID",
)
_ROLES = {
    spelled: name
    for name in ("content-type", "cache-control", "vary", "content-disposition")
    for spelled in (name, name.title())
} | dict.fromkeys(_UNREAD, "")
_role_of = _ROLES.get
_LONG = 256
_REPLACED = frozenset((*CACHING, "vary"))
_VALIDATORS = ("etag", "last-modified")


def _joined(ours: str, theirs: str) -> str:
    """Return two values of Vary as one, each name once.

    >>> _joined("Cookie, Version-Override", "Accept, cookie"), _joined("Cookie", "*")
    ('Cookie, Version-Override, Accept', '*')
    """
    known = {name.strip() for name in ours.lower().split(",")}
    own = [name for name in map(str.strip, theirs.split(",")) if name and name.lower() not in known]
    return "*" if "*" in own else ", ".join([ours, *own])


_joined_before = lru_cache(maxsize=256)(_joined)


def _varying(vary: str, headers: Headers) -> Headers:
    """Return our headers with the application's own Vary joined to ours."""
    if not vary:
        return headers
    # An application repeats itself; a longer value is not worth remembering.
    join = _joined_before if len(vary) < _LONG else _joined
    return [(name, join(value, vary)) if name == "Vary" else (name, value) for name, value in headers]


def _without(headers: Headers, names: tuple[str, ...]) -> Headers:
    return [header for header in headers if header[0].lower() not in names]


def _unkept(headers: Headers, names: tuple[str, ...] = ()) -> Headers:
    """Return headers without those that tell a cache whether it may keep the response, and without these names."""
    replaced = _REPLACED.union(names)
    return [header for header in headers if (lowered := header[0].lower()) not in replaced and not is_targeted(lowered)]


def is_page(changes: HeaderChanges) -> bool:
    """Tell whether HTML is still a page that a browser shows when the rules of ``_headers`` have changed its answer."""
    fields = [(name.lower(), value) for name, value in changes.added]
    if any(name == "content-disposition" and _is_attachment(value) for name, value in fields):
        return False
    return "content-type" not in changes.removed or any(
        name == "content-type" and _is_html(value) for name, value in fields
    )


def _is_html(content_type: str) -> bool:
    return content_type.lower().startswith(_HTML)


def _is_attachment(disposition: str) -> bool:
    return disposition.lower().startswith("attachment")


def _shows(status: str) -> bool:
    """Tell whether a browser shows a response's body as the page: not that of a redirect, 204 or 205."""
    return status[0] != "3" and status[:3] not in ("204", "205")
