"""The decision: which version a request gets, and why.

The order in which things are tried is the constant ``ORDER``; each step is a method that gives a decision or None.
"""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from .cookies import bucket_key, draw_bucket
from .keys import Cookie, Header, key_bytes, label_of
from .overrides import Refused
from .request import COOKIELESS_FRAME, CROSS_ORIGIN, FRAME, OTHER, PAGE, PREFETCH, SERVICE_WORKER, SUBRESOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

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

#: What is tried for each kind of request, in this order; the first that applies decides.
ORDER: Final[dict[Kind, tuple[str, ...]]] = {
    PREFETCH: (OVERRIDE, PIN, ONLY, KEY, MINTED, RANDOM),
    PAGE: (OVERRIDE, ONLY, KEY, MINTED, RANDOM),
    FRAME: (OVERRIDE, PIN, ONLY, KEY, MINTED, BASELINE),
    # No cookie would tell the version to what the frame then loads.
    COOKIELESS_FRAME: (OVERRIDE, ONLY, BASELINE),
    # A draw on each update check would reload the worker's pages again and again.
    SERVICE_WORKER: (OVERRIDE, ONLY, KEY, BUCKET, BASELINE),
    SUBRESOURCE: (OVERRIDE, REFERER, PIN, ONLY, BASELINE),
    CROSS_ORIGIN: (OVERRIDE, REFERER, PIN, ONLY, KEY, BASELINE),
    OTHER: (OVERRIDE, PIN, ONLY, KEY, BUCKET, RANDOM),
}
# Without a cookie nothing pins a page's subresources; its key, where it has one, says the most about it.
ORDER_WITHOUT_COOKIE: Final[dict[Kind, tuple[str, ...]]] = {
    **ORDER,
    SUBRESOURCE: (OVERRIDE, REFERER, ONLY, KEY, BASELINE),
}

#: Where the environ holds the decision and its version, for the wrapped application.
DECISION: Final = "version_affinity.decision"
VERSION: Final = "version_affinity.version"

#: Shown as refused when a key source raised or yielded something that is no key.
BAD_KEY: Final = "key-source"


class Decision(NamedTuple):
    """The version that a request gets, and why.

    Attributes:
        version: Its id.
        reason: The step that decided, one of those in ``ORDER``.
        source: Where what decided was found, for example "cookie:session_id"; "" when that says nothing more.
        refused: Why an override or a key of the request was not used: "unknown-version", "not-deployed",
            "bad-syntax", "bad-signature", "other-app", "key-source"; "" when nothing was refused.
    """

    version: str
    reason: str
    source: str = ""
    refused: str = ""


class Step(NamedTuple):
    """One step of an explanation: its name, what came of it, and whether it decided."""

    name: str
    outcome: str
    decided: bool


class Decider:
    """Decides requests under one deployment. Made anew when that changes; it never changes itself.

    Args:
        deployment: The percentages.
        known: The ids of all known versions.
        pins: From what our cookie may say of a page's version to the id of that known version.
        baseline: The version of the pages that were loaded before the split began.
        keys: The key sources, in order.
        overrides: Reads the override headers.
        cookie_label: How decisions name the affinity cookie; "" when it is switched off.
        referer_version: From a request to the id of the one version that its Referer proves, or "".
        log: Says that a key source failed, rate-limited.
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
        # Every decision that this deployment can come to is made now; a step looks its own up.
        self._only_one = None if deployment.only is None else Decision(deployment.only, ONLY)
        self._by_baseline = Decision(baseline, BASELINE)
        pinned = _decisions(known, PIN, cookie_label)
        self._by_pin = {pin: pinned[version] for pin, version in pins.items()}
        self._by_referer = _decisions(known, REFERER, "header:Referer")
        self._by_key = [
            # The method itself: calling an instance looks it up each time.
            (
                source.__call__ if isinstance(source, Cookie | Header) else source,
                label_of(source),
                _decisions(live, KEY, label_of(source)),
            )
            for source in keys
        ]
        self._by_drawn_bucket = _decisions(live, MINTED)
        self._by_minted = _decisions(live, MINTED, cookie_label)
        self._by_bucket = _decisions(live, BUCKET, cookie_label)
        self._by_random = tuple(_decisions(live, RANDOM).values())
        self._cumulative = list(accumulate(deployment.percentages[version] for version in live))
        order = ORDER if cookie_label else ORDER_WITHOUT_COOKIE
        # The plain functions: methods that are bound would hold this decider, and all that it knows, in a circle.
        self._named_steps = {
            kind: tuple((name, cast("_Step", getattr(Decider, f"_{name}"))) for name in names)
            for kind, names in order.items()
        }
        # Steps that cannot apply under this deployment are left out once instead of tried on each request.
        self._steps = {kind: tuple(self._useful(steps)) for kind, steps in self._named_steps.items()}

    def _useful(self, steps: Iterable[tuple[str, _Step]]) -> Iterator[_Step]:
        idle = {
            OVERRIDE: True,  # the first of every order: ``decide`` itself looks whether there is one
            PIN: not self._by_pin,
            KEY: not self._by_key,
            MINTED: not self._cookie_label,
            BUCKET: not self._cookie_label,
            ONLY: self._only_one is None,
        }
        for name, step in steps:
            if not idle.get(name, False):
                yield step
                if name == ONLY:  # it always applies
                    return

    def decide(self, request: Request) -> Decision:
        """Return the version that a request gets, and why. May draw a bucket into ``request``."""
        environ = request.environ
        cookie = self._override_cookie
        asked = cookie and "HTTP_COOKIE" in environ and cookie in environ["HTTP_COOKIE"]
        for key in self._override_keys:
            if key in environ:
                asked = True
                break
        if asked:
            decision = self._override(request)
            if decision is not None:
                return decision
        for step in self._steps[request.kind]:
            decision = step(self, request)
            if decision is not None:
                return decision if not request.refused else decision._replace(refused=request.refused)
        raise AssertionError("the last step of every order applies")

    def decide_without_override(self, request: Request) -> Decision:
        """Return the version that a request would get without an override. May draw a bucket into ``request``."""
        decisions = (step(self, request) for step in self._steps[request.kind])
        decision = next(decision for decision in decisions if decision is not None)
        return decision._replace(refused=request.refused)

    def explain(self, request: Request, made: Decision | None = None) -> tuple[Decision, tuple[Step, ...]]:
        """Return the decision with every step on the way to it, tried one by one.

        Args:
            request: The request.
            made: The decision that was made for it already, where it was: a draw is not drawn again.
        """
        steps = []
        for name, step in self._named_steps[request.kind]:
            known = request.refused
            decision = made if made is not None and made.reason == name else step(self, request)
            if decision is not None:
                steps.append(Step(name, f"{decision.version} ({decision.source or _APPLIES[name]})", decided=True))
                return decision._replace(refused=request.refused), tuple(steps)
            refused = "" if request.refused == known else f"refused: {request.refused}"
            steps.append(Step(name, refused or _ABSENT[name], decided=False))
        raise AssertionError("the last step of every order applies")

    def scores(self, request: Request, decision: Decision) -> dict[str, float]:
        """Return the scores of the versions for the key or bucket that decided a request; none where none did.

        Args:
            request: The request.
            decision: What was decided for it. Where that was by a key that the request does not show, such as a bucket
                that was drawn, there are no scores either.
        """
        key = self._deciding_key(request, decision)
        if key is None or self._assign(key) != decision.version:
            return {}
        return self._deployment.scores(key)

    def _deciding_key(self, request: Request, decision: Decision) -> bytes | None:
        if decision.reason in (MINTED, BUCKET):
            return bucket_key(request.bucket) if request.bucket else None
        if decision.reason == KEY:
            for source, label, _ in self._by_key:
                with suppress(Exception):  # the step has told of it
                    key = key_bytes(source(request.environ))
                    if key and label == decision.source:
                        return key
        return None

    def expected(self, request: Request) -> str:
        """Return the version that the pin or the key of a request names; "" when it carries neither."""
        decision = self._pin(request) or self._key(request)
        return "" if decision is None else decision.version

    # The steps. Each returns None when it does not apply.

    def _override(self, request: Request) -> Decision | None:
        environ = request.environ
        try:
            version, label = self._overrides.read(environ, self._known, self._deployment.percentages)
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

    def _only(self, request: Request) -> Decision | None:  # noqa: ARG002 - a step like the others
        return self._only_one

    def _key(self, request: Request) -> Decision | None:
        environ = request.environ
        for source, label, decisions in self._by_key:
            try:
                key = source(environ)
                if key is not None and type(key) is not bytes:
                    key = key_bytes(key)
            except Exception as error:  # noqa: BLE001 - somebody's callable: whatever it raises, the key is absent
                request.refused = request.refused or BAD_KEY
                self._log(label, error)
                continue
            if key:
                return decisions[self._assign(key)]
        return None

    def _minted(self, request: Request) -> Decision | None:
        if request.bucket:
            return self._by_minted[self._assign(bucket_key(request.bucket))]
        # Our Lax cookie does not come with a cross-site POST: what looks like a first visit may be none.
        if not self._cookie_label or not request.safe:
            return None
        request.bucket = draw_bucket()
        request.pin = ""  # one that came without a bucket must not keep the response from carrying this one back
        return self._by_drawn_bucket[self._assign(bucket_key(request.bucket))]

    def _bucket(self, request: Request) -> Decision | None:
        return self._by_bucket[self._assign(bucket_key(request.bucket))] if request.bucket else None

    def _random(self, request: Request) -> Decision | None:  # noqa: ARG002 - a step like the others
        (decision,) = random.choices(self._by_random, cum_weights=self._cumulative)
        return decision

    def _baseline(self, request: Request) -> Decision | None:  # noqa: ARG002 - a step like the others
        return self._by_baseline


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
    BASELINE: "nothing tells which version's page asks: as if loaded before the split began",
}


def _decisions(versions: Iterable[str], reason: str, source: str = "") -> dict[str, Decision]:
    return {version: Decision(version, reason, source) for version in versions}
