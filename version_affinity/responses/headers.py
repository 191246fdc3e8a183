"""Response headers and counters, computed once per decision, and the trace.

``private`` keeps one user's version out of shared caches: several CDNs ignore Vary.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from version_affinity.assets.http.response import NO_STORE, REVALIDATE
from version_affinity.assets.sending import VARY_ENCODING
from version_affinity.decision.decider import KEY, ONLY, OVERRIDE
from version_affinity.decision.request import PAGES, SERVICE_WORKER, STAMPED
from version_affinity.wire import TCHAR

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from _typeshed.wsgi import StartResponse

    from version_affinity.assets.sending import Sent
    from version_affinity.counters import Counters
    from version_affinity.decision.decider import Decision
    from version_affinity.decision.request import Kind, Request

    Headers = list[tuple[str, str]]

PRIVATE: Final = ("Cache-Control", "private, no-cache")
PRIVATE_NO_STORE: Final = ("Cache-Control", "private, no-store")

#: The trace: the decision, on every response that is not publicly cacheable.
TRACE: Final = "Version-Affinity"
_TIMING = "Server-Timing"

# RFC 9651 section 3.3.4; other text is written as a String.
_TOKEN: Final = re.compile(rf"[A-Za-z*][:/{TCHAR}]*\Z")


class DecisionHeaders:
    """The headers and counters of one decision for one kind of request. Made once for each pair.

    Attributes:
        version: The version decided. Reading it here takes a third of the time that a field of a named tuple takes.
        forced: Whether an override decided.
        only: Whether the decision is that a single version has a share.
        stamped: Whether our cookie names the page's version after a page that is decided so.
        private: For a response that depends on the decision.
        shared: For a file of a build that is the same for all users; equals ``private`` if the decision rules that out.
        private_negotiated: ``private`` at a URL where a navigation gets a page, other requests the application.
        document: For the page that a navigation gets there.
        private_variants: ``private`` for a file with compressed forms; likewise ``shared_variants`` and
            ``document_variants``.
        tally: Counts its responses; ``app_tally`` counts those of the wrapped application, in its place.
    """

    __slots__ = (
        "_count_new_key",
        "_drawn",
        "_is_new",
        "app_tally",
        "count_success",
        "decision",
        "document",
        "document_variants",
        "forced",
        "missing",
        "only",
        "private",
        "private_negotiated",
        "private_variants",
        "shared",
        "shared_variants",
        "stamped",
        "tally",
        "version",
    )

    def __init__(self, decision: Decision, kind: Kind, vary: str, counters: Counters, *, has_app: bool) -> None:
        self.decision = decision
        self.version = decision.version
        self.forced = decision.reason == OVERRIDE
        self.only = decision.reason == ONLY
        self.stamped = kind in STAMPED and not self.forced
        traced = [(TRACE, trace(decision))]
        if kind in PAGES:
            # Scripts of the page can read Server-Timing (W3C), for example real-user monitoring.
            traced.append(_server_timing(decision.version))
        caching = PRIVATE_NO_STORE if self.forced else PRIVATE
        self.private = [caching, ("Vary", vary), *traced]
        self.private_variants = [caching, ("Vary", f"{vary}, Accept-Encoding"), *traced]
        # A frame of another site gets the document, a frame of the same origin does not. Clients that send no
        # Sec-Fetch-* are recognised by Accept.
        negotiated = f"{vary}, Sec-Fetch-Site, Accept"
        self.private_negotiated = [caching, ("Vary", negotiated), *traced]
        shown = [(TRACE, f"{traced[0][1]};answer=document"), *traced[1:]] if has_app else traced
        self.document = [caching, ("Vary", negotiated), *shown]
        self.document_variants = [caching, ("Vary", f"{negotiated}, Accept-Encoding"), *shown]
        # A refused override must be traced, and a service worker must revalidate what it keeps.
        alike = self.only and not decision.refused and kind != SERVICE_WORKER
        self.shared = [REVALIDATE] if alike else self.private
        self.shared_variants = [REVALIDATE, VARY_ENCODING] if alike else self.private_variants
        self.missing = [PRIVATE_NO_STORE if self.forced else NO_STORE, *traced]
        self.tally = counters.tally(decision.version, kind, decision.reason)
        self.app_tally = counters.tally(decision.version, kind, decision.reason, of_app=True)
        self.count_success = self.tally.count_success
        self._drawn = not decision.source  # only a bucket that was drawn for the request has no source
        self._is_new = counters.keys.is_new if decision.reason == KEY else None
        self._count_new_key = counters.new_keys[decision.version].advance

    def count(self, status: str) -> None:
        """Count a response by its status line."""
        self.tally[status[0]].advance()

    def count_page_with_cookie(self, request: Request) -> None:
        """Count a page whose response sets the cookie as the first one of its key, if the request had no cookie."""
        if request.pin or (request.bucket and not self._drawn):
            return
        if self._is_new is None or self._is_new(request.key):
            self._count_new_key()

    def start(self, sent: Sent, start_response: StartResponse) -> Iterable[bytes]:
        """Count and start a response, and return its body."""
        status, headers, body = sent
        self.count(status)
        start_response(status, headers)
        return body


class HeadersByDecision(dict["Decision", DecisionHeaders]):
    """The headers of one kind of request, made when first needed.

    Bounded, because decisions consist of configured names and known versions only.
    """

    def __init__(self, make: Callable[[Decision], DecisionHeaders]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, decision: Decision) -> DecisionHeaders:
        return self.setdefault(decision, self._make(decision))

    def forget(self, known: Container[str]) -> None:
        """Drop the headers of all versions but the known ones."""
        for decision in list(self):
            if decision.version not in known:
                self.pop(decision, None)


def trace(decision: Decision, served: str = "") -> str:
    """Return the value of the trace header, an RFC 9651 Item without the key.

    >>> from version_affinity import Decision
    >>> trace(Decision("v2", "key", "cookie:session_id"))
    'v2;reason=key;source="cookie:session_id"'
    """
    text = f"{_token(decision.version)};reason={decision.reason}"
    if decision.source:
        text += f';source="{decision.source}"'
    if decision.refused:
        text += f";refused={decision.refused}"
    if served and served != decision.version:
        text += f";served={_token(served)}"
    return text


def retraced(headers: Headers, decision: Decision, served: str) -> Headers:
    """Return headers whose trace names the version that was served, if it is not the decided one."""
    replaced = {TRACE: (TRACE, trace(decision, served)), _TIMING: _server_timing(served or decision.version)}
    return [replaced.get(header[0], header) for header in headers]


def _server_timing(version: str) -> tuple[str, str]:
    return _TIMING, f'version;desc="{version}"'


def _token(text: str) -> str:
    return text if _TOKEN.match(text) else f'"{text}"'
