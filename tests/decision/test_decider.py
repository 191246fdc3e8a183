"""The decision: every row of the order table, with each piece of evidence present, absent or out of place."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import create_environ

from tests.builds import SPLIT, bucket_of, key_of
from tests.harness import NAVIGATION, SCRIPT
from version_affinity import Cookie, Decision, Deployment, Header
from version_affinity.decision.cookies import PinCookie
from version_affinity.decision.decider import Decider
from version_affinity.decision.overrides import DEFAULT_HEADERS, Overrides
from version_affinity.decision.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# As the design's table has it.
WITH_COOKIE = {
    "prefetch": ["override", "pin", "only", "key", "minted"],
    "page": ["override", "only", "key", "minted"],
    "frame": ["override", "pin", "only", "key", "minted"],
    "cookieless-frame": ["override", "only", "baseline"],
    "service-worker": ["override", "only", "key", "bucket", "baseline"],
    "subresource": ["override", "referer", "pin", "only", "baseline"],
    "cross-origin": ["override", "referer", "pin", "only", "key", "baseline"],
    "other": ["override", "pin", "only", "key", "bucket", "random"],
}
WITHOUT_COOKIE = {
    "prefetch": ["override", "only", "key", "random"],
    "page": ["override", "only", "key", "random"],
    "frame": ["override", "only", "key", "baseline"],
    "cookieless-frame": ["override", "only", "baseline"],
    "service-worker": ["override", "only", "key", "baseline"],
    "subresource": ["override", "referer", "only", "key", "baseline"],
    "cross-origin": ["override", "referer", "only", "key", "baseline"],
    "other": ["override", "only", "key", "random"],
}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
HEADERS = {
    "page": NAVIGATION,
    "subresource": SCRIPT,
    "prefetch": {**NAVIGATION, "Sec-Purpose": "prefetch"},
    "frame": {**FRAME, "Sec-Fetch-Storage-Access": "none"},
    "cookieless-frame": FRAME,
    "cross-origin": {**SCRIPT, "Sec-Fetch-Site": "cross-site"},
    "service-worker": {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin"},
    "other": {},
}

# v0 is retained, v3 staged, v4 known and never deployed; v5 is the baseline. Each piece of evidence names another one.
KNOWN = ["v0", "v1", "v2", "v3", "v4", "v5"]
SHARES = {"v1": 50.0, "v2": 50.0, "v3": 0.0}
COOKIE = PinCookie("affinity")
KEY_V1, BUCKET_V2 = key_of("v1", SHARES), bucket_of("v2", SHARES)


def decider(
    shares: dict[str, float] = SHARES,
    keys: Iterable[Any] = (Cookie("user_id"), Header("X-User-Id")),
    cookie: PinCookie | None = COOKIE,
    log: Callable[[str, Exception], None] = lambda label, error: None,
) -> Decider:
    """Return a decider in which the Referer's last segment names the version that it proves."""
    return Decider(
        Deployment("storefront", shares),
        known=KNOWN,
        pins={version: version for version in KNOWN if cookie is not None},
        baseline="v5",
        keys=keys,
        overrides=Overrides("storefront", DEFAULT_HEADERS, None),
        cookie_label="" if cookie is None else f"cookie:{cookie.name}",
        referer_version=lambda environ: environ["HTTP_REFERER"].rpartition("/")[2],
        log=log,
    )


def request(
    headers: dict[str, str], method: str = "GET", cookies: Iterable[str] = (), cookie: PinCookie | None = COOKIE
) -> Request:
    """Return a request."""
    sent = {"Cookie": "; ".join(cookies)} if cookies else {}
    return Request(create_environ(method=method, headers={**headers, **sent}), cookie)


def evidence(kind: str, present: set[str], cookie: PinCookie | None) -> Request:
    """Return a request of a kind that carries pieces of evidence, each for another version."""
    headers = dict(HEADERS[kind])
    cookies = []
    if "override" in present:
        headers["Version-Override"] = "v3"
    if "referer" in present:
        headers["Referer"] = "http://localhost/v0"
    if "key" in present:
        cookies.append(f"user_id={KEY_V1}")
    if present & {"pin", "bucket"}:
        bucket = BUCKET_V2 if "bucket" in present else ""
        cookies.append(f"affinity={bucket}.{'v5' if 'pin' in present else ''}")
    return request(headers, cookies=cookies, cookie=cookie)


NAMED = {"override": "v3", "referer": "v0", "pin": "v5", "key": "v1", "minted": "v2", "bucket": "v2", "baseline": "v5"}
ALL = {"override", "referer", "pin", "only", "key", "bucket"}
ROWS = [
    pytest.param(kind, ALL - set(order[:step]), step, order, cookie, id=f"{kind}-{reason}{'' if cookie else '-off'}")
    for cookie, orders in ((COOKIE, WITH_COOKIE), (None, WITHOUT_COOKIE))
    for kind, order in orders.items()
    for step, reason in enumerate(order)
]


@pytest.mark.parametrize(("kind", "present", "step", "order", "cookie"), ROWS)
def test_order(kind: str, present: set[str], step: int, order: list[str], cookie: PinCookie | None) -> None:
    """The first step of a kind's order that has evidence decides; evidence that is no step of it counts nothing."""
    reason = order[step]
    shares = {"v1": 0.0, "v2": 100.0, "v3": 0.0} if "only" in present else SHARES
    decided = decider(shares, cookie=cookie)
    decision = decided.decide(evidence(kind, present, cookie))
    assert decision.reason == reason
    assert decision.version == (("v2" if reason == "only" else NAMED.get(reason)) or decision.version)
    assert decision.version in KNOWN


@pytest.mark.parametrize(("kind", "present", "step", "order", "cookie"), ROWS)
def test_explain_tells_decide(
    kind: str, present: set[str], step: int, order: list[str], cookie: PinCookie | None
) -> None:
    """An explanation comes to the same decision, over the steps before it, each of which did not apply."""
    shares = {"v1": 0.0, "v2": 100.0, "v3": 0.0} if "only" in present else SHARES
    decided = decider(shares, cookie=cookie)
    random.seed(step)
    decision = decided.decide(evidence(kind, present, cookie))
    random.seed(step)
    explained, steps = decided.explain(evidence(kind, present, cookie))
    assert explained == decision
    told = [told.name for told in steps if told.name in order]
    assert told == order[: step + 1]
    assert [told.decided for told in steps] == [False] * (len(steps) - 1) + [True]
    assert all(told.outcome for told in steps)


@pytest.mark.parametrize(
    ("headers", "cookies", "source"),
    [
        ({"Version-Override": "v3"}, [], "header:Version-Override"),
        (
            {"Cloudflare-Workers-Version-Overrides": 'storefront="v3"'},
            [],
            "header:Cloudflare-Workers-Version-Overrides",
        ),
        ({**SCRIPT, "Referer": "http://localhost/v0"}, [], "header:Referer"),
        (SCRIPT, ["affinity=1.v0"], "cookie:affinity"),
        ({}, ["user_id=42"], "cookie:user_id"),
        ({"X-User-Id": "42"}, [], "header:X-User-Id"),
        ({"X-User-Id": "42"}, ["user_id=43"], "cookie:user_id"),
        ({"X-User-Id": "42"}, ["user_id="], "header:X-User-Id"),
        (NAVIGATION, ["affinity=1."], "cookie:affinity"),
        ({}, ["affinity=1."], "cookie:affinity"),
        (NAVIGATION, [], ""),
        (SCRIPT, [], ""),
        ({}, [], ""),
    ],
)
def test_source(headers: dict[str, str], cookies: list[str], source: str) -> None:
    """A decision says where its evidence was found, the first key source that yields something above all."""
    assert decider().decide(request(headers, cookies=cookies)).source == source


@pytest.mark.parametrize(
    ("pin", "reason"),
    [("v0", "pin"), ("v1", "pin"), ("v3", "pin"), ("v4", "pin"), ("v9", "baseline"), ("", "baseline")],
)
@pytest.mark.parametrize("carrier", ["pin", "referer"])
def test_pages_of_every_known_version(pin: str, reason: str, carrier: str) -> None:
    """A pin or a Referer is honoured for every known version, whatever its share is here."""
    if carrier == "pin":
        decision = decider().decide(request(SCRIPT, cookies=[f"affinity=1.{pin}"]))
    else:
        decision = decider().decide(request({**SCRIPT, "Referer": f"http://localhost/{pin}"}))
    assert (decision.reason, decision.version) == ((carrier, pin) if reason == "pin" else ("baseline", "v5"))


@pytest.mark.parametrize(
    ("method", "cookies", "reason", "drawn"),
    [
        ("GET", [], "minted", True),
        ("HEAD", [], "minted", True),
        ("POST", [], "random", False),
        ("PUT", [], "random", False),
        ("DELETE", [], "random", False),
        ("POST", [f"affinity={BUCKET_V2}."], "minted", False),
        ("POST", [f"user_id={KEY_V1}"], "key", False),
        ("GET", [f"affinity={BUCKET_V2}."], "minted", False),
        ("GET", [f"user_id={KEY_V1}"], "key", False),
    ],
)
def test_unsafe_methods_never_mint(method: str, cookies: list[str], reason: str, drawn: bool) -> None:
    """A page asked for with a safe method draws a bucket; an unsafe one, which lacks our Lax cookie, draws none."""
    asked = request(NAVIGATION, method, cookies)
    before = asked.bucket
    assert decider().decide(asked).reason == reason
    assert (asked.bucket != before) is drawn


def test_minted_bucket_decides() -> None:
    """The version of a first page is that of the bucket which is handed back, so the next page gets it again."""
    decided = decider()
    for _ in range(50):
        first = request(NAVIGATION)
        version = decided.decide(first).version
        again = decided.decide(request(NAVIGATION, cookies=[f"affinity={first.bucket}."]))
        assert (again.version, again.reason) == (version, "minted")


@pytest.mark.parametrize("kind", sorted(set(HEADERS) - {"page", "prefetch", "frame"}))
def test_bucket_is_only_drawn_for_pages(kind: str) -> None:
    """No other request than a page's draws a bucket: nothing would carry it back."""
    asked = request(HEADERS[kind])
    decider().decide(asked)
    assert asked.bucket == ""


def raising(environ: dict[str, Any]) -> str:
    """Fail."""
    raise RuntimeError("the session store is down")


@pytest.mark.parametrize(
    ("yielded", "reason", "refused"),
    [
        (KEY_V1, "key", ""),
        (KEY_V1.encode(), "key", ""),
        ("\udcff", "key", ""),
        (b"\xff\xfe", "key", ""),
        ("", "random", ""),
        (b"", "random", ""),
        (None, "random", ""),
        (42, "random", "key-source"),
        (["a"], "random", "key-source"),
        (raising, "random", "key-source"),
    ],
)
def test_key_source_failures(yielded: object, reason: str, refused: str) -> None:
    """A key source that raises or yields no key counts as absent, is told in the decision and reported."""
    reported = []
    source = raising if yielded is raising else lambda _environ: yielded
    decided = decider(keys=[source], log=lambda label, error: reported.append((label, type(error))))
    decision = decided.decide(request({}))
    assert (decision.reason, decision.refused) == (reason, refused)
    assert len(reported) == bool(refused)
    assert decided.explain(request({}))[0].refused == refused


def test_next_key_source_steps_in() -> None:
    """After a source that failed, the next one decides, and the failure is told all the same."""
    reported = []
    decided = decider(
        keys=[raising, Header("X-User-Id")], log=lambda label, error: reported.append((label, str(error)))
    )
    decision = decided.decide(request({"X-User-Id": KEY_V1}))
    assert decision == Decision("v1", "key", "header:X-User-Id", "key-source")
    assert reported == [("callable:raising", "the session store is down")]


@pytest.mark.parametrize(
    ("value", "refused"),
    [("v9", "unknown-version"), ("v4", "not-deployed"), ("v0", "not-deployed"), ("?", "bad-syntax"), ("", "")],
)
@pytest.mark.parametrize(("kind", "reason"), [("page", "minted"), ("subresource", "baseline"), ("other", "random")])
def test_refused_override(value: str, refused: str, kind: str, reason: str) -> None:
    """An override that cannot be applied leaves the decision as it is and is told in it."""
    headers = {**HEADERS[kind], "Version-Override": value}
    decision = decider().decide(request(headers))
    assert (decision.reason, decision.refused) == (reason, refused)
    explained, steps = decider().explain(request(headers))
    assert explained.refused == refused
    assert (steps[0].outcome == f"refused: {refused}") is bool(refused)


def test_first_refusal_is_told() -> None:
    """When an override and a key source both fail, the override's reason is told."""
    decision = decider(keys=[raising]).decide(request({"Version-Override": "v9"}))
    assert decision.refused == "unknown-version"


@pytest.mark.parametrize(
    ("override", "keys", "told"),
    [
        ("v9", [Header("X-User-Id")], {"override": "refused: unknown-version"}),
        ("v9", [], {"override": "refused: unknown-version"}),
        ("v9", [raising], {"override": "refused: unknown-version"}),
        ("", [raising], {"key": "refused: key-source"}),
        ("", [Header("X-User-Id")], {}),
    ],
)
@pytest.mark.parametrize("kind", ["page", "other", "prefetch", "service-worker"])
def test_refusal_is_told_of_its_step(kind: str, override: str, keys: list[Any], told: dict[str, str]) -> None:
    """An explanation tells a refusal of the step that refused, and of no other; of two, the first."""
    headers = {**HEADERS[kind], **({"Version-Override": override} if override else {})}
    _, steps = decider(keys=keys).explain(request(headers))
    assert {step.name: step.outcome for step in steps if "refused" in step.outcome} == told


def test_random_follows_the_percentages() -> None:
    """Random decisions follow the percentages; a staged version gets none."""
    decided = decider({"v1": 75.0, "v2": 25.0, "v3": 0.0})
    random.seed(7)
    drawn = [decided.decide(request({})).version for _ in range(4000)]
    assert set(drawn) == {"v1", "v2"}
    assert drawn.count("v2") == pytest.approx(1000, abs=5 * (4000 * 0.25 * 0.75) ** 0.5)


@pytest.mark.parametrize(
    ("headers", "cookies", "expected"),
    [
        ({}, [], ""),
        ({}, ["affinity=1.v0"], "v0"),
        ({}, ["affinity=1.v9"], ""),
        ({}, [f"user_id={KEY_V1}"], "v1"),
        ({}, ["affinity=1.v0", f"user_id={KEY_V1}"], "v0"),
        ({"Version-Override": "v3"}, [], ""),
    ],
)
def test_expected(headers: dict[str, str], cookies: list[str], expected: str) -> None:
    """A request expects the version of its pin, else of its key; without either it expects none."""
    assert decider().expected(request(headers, cookies=cookies)) == expected


def test_same_key_for_a_user_everywhere() -> None:
    """A cookie and a header with the same value fall on the same version, as does ``Deployment.assign``."""
    deployment = Deployment("storefront", SPLIT)
    for number in range(100):
        by_cookie = decider().decide(request({}, cookies=[f"user_id=user{number}"]))
        by_header = decider().decide(request({"X-User-Id": f"user{number}"}))
        assert by_cookie.version == by_header.version == deployment.assign(f"user{number}")
