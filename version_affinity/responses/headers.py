"""What follows from a decision for a response: the fields and counters that are made once for each, and the trace.

``private`` is what keeps one user's version out of a shared cache: several CDNs ignore Vary.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from version_affinity.assets.http.response import NO_STORE, REVALIDATE
from version_affinity.assets.sending import VARY_ENCODING
from version_affinity.decision.decider import ONLY, OVERRIDE
from version_affinity.decision.request import PAGES, SERVICE_WORKER
from version_affinity.wire import TCHAR

if TYPE_CHECKING:
    from collections.abc import Container

    from version_affinity.counters import Counters, Tally
    from version_affinity.decision.decider import Decision
    from version_affinity.decision.request import Kind

    Headers = list[tuple[str, str]]

PRIVATE: Final = ("Cache-Control", "private, no-cache")
PRIVATE_NO_STORE: Final = ("Cache-Control", "private, no-store")

#: Tells the decision, on whatever is not publicly cacheable.
TRACE: Final = "Version-Affinity"
_TIMING = "Server-Timing"

# RFC 9651 section 3.3.4; what is no Token is written as a String.
_TOKEN: Final = re.compile(rf"[A-Za-z*][:/{TCHAR}]*\Z")


class DecisionHeaders:
    """The headers and counters that follow from one decision for one kind of request. Made once for each of those.

    Attributes:
        decision: The decision.
        private: For what depends on the decision.
        shared: For a file of a build that is the same whoever asks, or the same as ``private`` where it is not.
        private_negotiated: ``private`` at a URL at which a navigation is shown a page and other requests reach the
            application.
        document: For the page that is shown there.
        private_variants: ``private`` for a file that has variants; likewise ``shared_variants``, ``document_variants``.
        missing: For an asset that nobody has.
        tally: Counts the responses; ``count_success`` counts a 2xx.
        forced: Whether an override was applied.
    """

    __slots__ = (
        "_count_redirection",
        "count_success",
        "decision",
        "document",
        "document_variants",
        "forced",
        "missing",
        "private",
        "private_negotiated",
        "private_variants",
        "shared",
        "shared_variants",
        "tally",
    )

    def __init__(self, decision: Decision, kind: Kind, vary: str, tally: Tally, *, has_app: bool) -> None:
        self.decision = decision
        self.forced = decision.reason == OVERRIDE
        told = [(TRACE, trace(decision))]
        if kind in PAGES:
            # Server-Timing (W3C): real-user monitoring reads it next to the page's own timings.
            told.append(_server_timing(decision.version))
        caching = PRIVATE_NO_STORE if self.forced else PRIVATE
        self.private = [caching, ("Vary", vary), *told]
        self.private_variants = [caching, ("Vary", f"{vary}, Accept-Encoding"), *told]
        # A page in another site's frame is shown the document, one in a frame of the same origin is not. A client that
        # does not send Sec-Fetch-* is recognised by the types that it accepts.
        negotiated = f"{vary}, Sec-Fetch-Site, Accept"
        self.private_negotiated = [caching, ("Vary", negotiated), *told]
        shown = [(TRACE, f"{told[0][1]};answer=document"), *told[1:]] if has_app else told
        self.document = [caching, ("Vary", negotiated), *shown]
        self.document_variants = [caching, ("Vary", f"{negotiated}, Accept-Encoding"), *shown]
        # A refused override is reported, and what a service worker keeps is asked for anew each time.
        alike = decision.reason == ONLY and not decision.refused and kind != SERVICE_WORKER
        self.shared = [REVALIDATE] if alike else self.private
        self.shared_variants = [REVALIDATE, VARY_ENCODING] if alike else self.private_variants
        self.missing = [PRIVATE_NO_STORE if self.forced else NO_STORE, *told]
        self.tally = tally
        self.count_success = tally["2"].advance
        self._count_redirection = tally["3"].advance

    def count(self, status: str) -> None:
        """Count a response by its status line."""
        digit = status[0]
        if digit == "2":
            self.count_success()
        elif digit == "3":
            self._count_redirection()
        else:
            self.tally[digit].advance()


class HeadersByDecision(dict["Decision", DecisionHeaders]):
    """The headers of one kind of request, made when first asked for.

    Bounded: decisions are made of configured names and known versions only.
    """

    def __init__(self, kind: Kind, vary: str, counters: Counters, *, has_app: bool) -> None:
        super().__init__()
        self._kind = kind
        self._vary = vary
        self._counters = counters
        self._has_app = has_app

    def __missing__(self, decision: Decision) -> DecisionHeaders:
        tally = self._counters.tally(decision.version, self._kind, decision.reason)
        return self.setdefault(
            decision, DecisionHeaders(decision, self._kind, self._vary, tally, has_app=self._has_app)
        )

    def forget(self, known: Container[str]) -> None:
        """Drop the headers of all versions but the known ones."""
        for decision in list(self):
            if decision.version not in known:
                self.pop(decision, None)


def trace(decision: Decision, served: str = "") -> str:
    """Return the trace header's value: an RFC 9651 Item. Never the key.

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
    """Return headers whose trace names the version that was served, where it is not the decided one."""
    retold = {TRACE: (TRACE, trace(decision, served)), _TIMING: _server_timing(served or decision.version)}
    return [retold.get(header[0], header) for header in headers]


def _server_timing(version: str) -> tuple[str, str]:
    return _TIMING, f'version;desc="{version}"'


def _token(text: str) -> str:
    return text if _TOKEN.match(text) else f'"{text}"'
