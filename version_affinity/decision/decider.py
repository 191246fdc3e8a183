"""The order of evidence: which version a request gets, and why.

``ORDER`` names the steps for each kind of request; ``Decider.STEPS`` holds the step of each name, a method that returns
a decision, or None if the step does not apply.
"""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, TypeAlias

from .cookies import bucket_key, draw_bucket
from .keys import Cookie, Header, key_bytes, label_of
from .overrides import Refused
from .request import COOKIELESS_FRAME, CROSS_ORIGIN, FRAME, OTHER, PAGE, PREFETCH, SERVICE_WORKER, SUBRESOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.deployment import Deployment

    from .keys import KeySource
    from .overrides import Overrides
    from .request import Kind, Request

    _Step: TypeAlias = Callable[["Decider", Request], "Decision | None"]

OVERRIDE: Final = "override"
REFERER: Final = "referer"
PIN: Final = "pin"
ONLY: Final = "only"
KEY: Final = "key"
MINTED: Final = "minted"
BUCKET: Final = "bucket"
RANDOM: Final = "random"
BASELINE: Final = "baseline"

#: The steps for each kind of request, in order; the first that applies decides.
ORDER: Final[dict[Kind, tuple[str, ...]]] = {
    PREFETCH: (OVERRIDE, PIN, ONLY, KEY, MINTED, RANDOM),
    PAGE: (OVERRIDE, ONLY, KEY, MINTED, RANDOM),
    FRAME: (OVERRIDE, PIN, ONLY, KEY, MINTED, BASELINE),
    # Without a cookie, what the frame loads could not get the frame's version.
    COOKIELESS_FRAME: (OVERRIDE, ONLY, BASELINE),
    # A draw on each update check would reload the worker's pages again and again.
    SERVICE_WORKER: (OVERRIDE, ONLY, KEY, BUCKET, BASELINE),
    SUBRESOURCE: (OVERRIDE, REFERER, PIN, ONLY, BASELINE),
    CROSS_ORIGIN: (OVERRIDE, REFERER, PIN, ONLY, KEY, BASELINE),
    OTHER: (OVERRIDE, PIN, ONLY, KEY, BUCKET, RANDOM),
}
#: Where the cookie is switched off, nothing pins a page's subresources; their key is the best evidence.
ORDER_WITHOUT_COOKIE: Final[dict[Kind, tuple[str, ...]]] = {
    **ORDER,
    SUBRESOURCE: (OVERRIDE, REFERER, ONLY, KEY, BASELINE),
}

#: Where the environ holds the decision and its version, for the wrapped application.
DECISION: Final = "version_affinity.decision"
VERSION: Final = "version_affinity.version"

#: ``Decision.refused`` when a key source raised, or returned something that is not a key.
BAD_KEY: Final = "key-source"


class Decision(NamedTuple):
    """The version that a request gets, and why.

    Attributes:
        version: Its id.
        reason: The step that decided: "override", "referer", "pin", "only", "key", "minted", "bucket", "random" or
            "baseline".
        source: Where the evidence was found, for example "cookie:session_id"; "" if the reason says it all.
        refused: Why an override or a key of the request was not used: "unknown-version", "not-deployed",
            "bad-syntax", "bad-signature", "other-app", "key-source"; "" if nothing was refused.
    """

    version: str
    reason: str
    source: str = ""
    refused: str = ""


class Step(NamedTuple):
    """One step of an explanation: its name, its outcome, and whether it decided."""

    name: str
    outcome: str
    decided: bool


class Decider:
    """Decides requests under one deployment. It never changes; a new deployment gets a new one.

    ``pins`` leads from what our cookie may say of a page's version to that known version. ``cookie_label`` is "" where
    the cookie is switched off.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        known: Collection[str],
        pins: Mapping[str, str],
        baseline: str,
        keys: Iterable[KeySource],
        overrides: Overrides,
        cookie_label: str,
        referer_version: Callable[[WSGIEnvironment], str],
        log: Callable[[str, Exception], None],
    ) -> None:
        live = [version for version, percentage in deployment.percentages.items() if percentage > 0]
        self._deployment = deployment
        self._assign = deployment.assign_bytes
        self._known = known
        self._overrides = overrides
        self._override_keys = overrides.environ_keys
        self._override_cookie = "" if overrides.cookie is None else overrides.cookie.name
        self._cookie_label = cookie_label
        self._referer_version = referer_version
        self._log = log
        # Every decision of this deployment is made now; a step looks it up.
        self._only_one = None if deployment.only is None else Decision(deployment.only, ONLY)
        self._by_baseline = Decision(baseline, BASELINE)
        pinned = _decisions(known, PIN, cookie_label)
        self._by_pin = {pin: pinned[version] for pin, version in pins.items()}
        self._by_referer = _decisions(known, REFERER, "header:Referer")
        self._by_key = [
            # The bound method, because calling an instance looks it up each time.
            (source.__call__ if isinstance(source, Cookie | Header) else source, label, _decisions(live, KEY, label))
            for source, label in ((source, label_of(source)) for source in keys)
        ]
        self._by_drawn_bucket = _decisions(live, MINTED)
        self._by_minted = _decisions(live, MINTED, cookie_label)
        self._by_bucket = _decisions(live, BUCKET, cookie_label)
        self._by_random = tuple(_decisions(live, RANDOM).values())
        self._cumulative = list(accumulate(deployment.percentages[version] for version in live))
        self._order = ORDER if cookie_label else ORDER_WITHOUT_COOKIE
        # Steps that cannot apply under this deployment are left out once, instead of tried on each request.
        idle = {
            OVERRIDE: True,  # ``decide`` itself looks for an override
            PIN: not self._by_pin,
            ONLY: self._only_one is None,
            KEY: not self._by_key,
            MINTED: not cookie_label,
            BUCKET: not cookie_label,
        }
        self._steps = {
            kind: tuple(self.STEPS[name] for name in names if not idle.get(name)) for kind, names in self._order.items()
        }

    def decide(self, request: Request, may_be_forced: bool = True) -> Decision:
        """Return the version that a request gets, and why. May draw a bucket into ``request``."""
        if may_be_forced:
            environ, cookie = request.environ, self._override_cookie
            is_asked = not environ.keys().isdisjoint(self._override_keys)
            if (is_asked or (cookie and cookie in environ.get("HTTP_COOKIE", ""))) and (
                forced := self._override(request)
            ):
                return forced
        for step in self._steps[request.kind]:
            decision = step(self, request)
            if decision is not None:
                return decision if not request.refused else decision._replace(refused=request.refused)
        raise AssertionError("the last step of every order applies")

    def explain(self, request: Request, made: Decision | None = None) -> tuple[Decision, tuple[Step, ...]]:
        """Return the decision with every step on the way to it.

        With ``made``, the decision that was made for the request already, a bucket is not drawn again.
        """
        steps = []
        for name in self._order[request.kind]:
            known = request.refused
            decision = made if made is not None and made.reason == name else self.STEPS[name](self, request)
            if decision is not None:
                steps.append(Step(name, f"{decision.version} ({decision.source or _APPLIES[name]})", decided=True))
                return decision._replace(refused=request.refused), tuple(steps)
            refused = "" if request.refused == known else f"refused: {request.refused}"
            steps.append(Step(name, refused or _ABSENT[name], decided=False))
        raise AssertionError("the last step of every order applies")

    def scores(self, request: Request, decision: Decision) -> dict[str, float]:
        """Return the scores of the versions for the key or bucket that decided; none if it is not in the request."""
        key: bytes | None = None
        if decision.reason in (MINTED, BUCKET) and request.bucket:
            key = bucket_key(request.bucket)
        elif decision.reason == KEY:
            for source, label, _ in self._by_key:
                with suppress(Exception):  # the step has reported it
                    key = key or (key_bytes(source(request.environ)) if label == decision.source else None)
        return self._deployment.scores(key) if key and self._assign(key) == decision.version else {}

    def returning_unit(self, request: Request, environ: WSGIEnvironment) -> bytes | None:
        """Return the key that assigns the user of a request to a version; None unless the user has come back.

        It is the version key, or the bucket where no key source yields a key. A user has come back if the request
        carries our cookie, with a bucket and the pin of a known version: this browser keeps cookies and was given a
        page before. So a client without cookies never counts, which would have another bucket with each request, or
        may send any number of keys. Where the cookie is switched off, nothing shows this, and each key counts.

        ``environ`` is that of the request, which may not hold it any more.
        """
        if self._cookie_label and (not request.bucket or request.pin not in self._by_pin):
            return None  # a bucket that was drawn for this request comes without a pin
        for source, _, _ in self._by_key:
            with suppress(Exception):  # the step has reported it
                key = source(environ)
                if key is not None and (found := key_bytes(key)):
                    return found
        return bucket_key(request.bucket) if request.bucket else None

    def expected(self, request: Request) -> str:
        """Return the version that the pin or the key of a request names; "" without either."""
        decision = self._pin(request) or self._key(request)
        return "" if decision is None else decision.version

    # The steps.

    def _override(self, request: Request) -> Decision | None:
        try:
            version, label = self._overrides.read(request.environ, self._known, self._deployment.percentages)
        except Refused as refusal:
            request.refused = str(refusal)
            return None
        return Decision(version, OVERRIDE, label)

    def _referer(self, request: Request) -> Decision | None:
        if "HTTP_REFERER" not in request.environ:
            return None
        return self._by_referer.get(self._referer_version(request.environ))

    def _pin(self, request: Request) -> Decision | None:
        return self._by_pin.get(request.pin)

    def _only(self, _request: Request) -> Decision | None:
        return self._only_one

    def _key(self, request: Request) -> Decision | None:
        environ = request.environ
        for source, label, decisions in self._by_key:
            try:
                key = source(environ)
                if key is not None and type(key) is not bytes:
                    key = key_bytes(key)
            except Exception as error:  # noqa: BLE001 - a callable of the application may raise anything
                request.refused = request.refused or BAD_KEY
                self._log(label, error)
                continue
            if key:
                request.key = key
                return decisions[self._assign(key)]
        return None

    def _minted(self, request: Request) -> Decision | None:
        if request.bucket:
            return self._by_minted[self._assign(bucket_key(request.bucket))]
        # A cross-site POST comes without our Lax cookie: it may only look like a first visit.
        if not self._cookie_label or not request.safe:
            return None
        request.bucket = draw_bucket()
        request.pin = ""  # a pin that came without a bucket must not keep the response from carrying this bucket
        return self._by_drawn_bucket[self._assign(bucket_key(request.bucket))]

    def _bucket(self, request: Request) -> Decision | None:
        return self._by_bucket[self._assign(bucket_key(request.bucket))] if request.bucket else None

    def _random(self, _request: Request) -> Decision | None:
        (decision,) = random.choices(self._by_random, cum_weights=self._cumulative)
        return decision

    def _baseline(self, _request: Request) -> Decision | None:
        return self._by_baseline

    #: The steps by name. Plain functions: bound methods would hold this decider in a reference cycle.
    STEPS: ClassVar[dict[str, _Step]] = {
        OVERRIDE: _override,
        REFERER: _referer,
        PIN: _pin,
        ONLY: _only,
        KEY: _key,
        MINTED: _minted,
        BUCKET: _bucket,
        RANDOM: _random,
        BASELINE: _baseline,
    }


_ABSENT = {
    OVERRIDE: "no override",
    REFERER: "the Referer is not a file that exactly one version has",
    PIN: "no pin of a known version",
    ONLY: "more than one version has a share",
    KEY: "no key source yields a key",
    MINTED: "no bucket, and none may be drawn",
    BUCKET: "no bucket",
}
_APPLIES = {
    ONLY: "the only version that has a share",
    MINTED: "a bucket drawn for this request",
    RANDOM: "drawn by percentage, and again on the next request",
    BASELINE: "no evidence of the page's version: as if loaded before the split began",
}


def _decisions(versions: Iterable[str], reason: str, source: str = "") -> dict[str, Decision]:
    return {version: Decision(version, reason, source) for version in versions}
