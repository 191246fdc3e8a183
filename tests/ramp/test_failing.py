"""Failing units: whose failures a process notes during a ramp, for which version, and what the reports keep of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builds import SPLIT, pinned
from tests.harness import NAVIGATION, SCRIPT, client
from tests.ramp.running import STILL, RampSite, came_back, failing_api
from tests.releases.followed import until
from version_affinity import Cookie, Deployment, VersionAffinity
from version_affinity.ramp.evidence import UNITS
from version_affinity.ramp.failing import Failures, failures_of, merged
from version_affinity.ramp.plan import SIGNALS
from version_affinity.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
BACK = came_back()
PREFETCH = {**NAVIGATION, "Sec-Purpose": "prefetch", **pinned("v1")}
GONE = "/assets/gone-Zz81xKpQ.js"


@pytest.fixture
def site(tmp_path: Path) -> RampSite:
    """A site that can start a ramp."""
    return RampSite(tmp_path)


@pytest.fixture
def affinity(site: RampSite) -> Iterator[VersionAffinity]:
    """An application in a ramp at 50 %."""
    with site.followed(failing_api) as (made, _):
        site.ramp(**STILL)
        until(lambda: made.deployment.percentages == SPLIT)
        yield made


def ask(affinity: VersionAffinity, path: str, headers: dict[str, str], method: str = "GET") -> None:
    """Send a request; an application that raises does so."""
    try:
        client(affinity).open(path, method=method, headers=headers)
    except RuntimeError:
        assert path.endswith("?raise")


def noted(site: RampSite) -> dict[str, int]:
    """Return how many units the workers have reported, by signal."""
    found = [failures for failures in map(Failures.decoded, site.workers.failing) if failures is not None]
    total = failures_of(max((it.key for it in found), default=""), found)
    return {signal: len(total.units[signal]) for signal in SIGNALS if total.units[signal]}


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/api?500", BACK, {"app-errors": 1}),
        ("/api?503", BACK, {"app-errors": 1}),
        ("/api?raise", BACK, {"app-errors": 1}),
        ("/api?500", came_back(user="ada"), {"app-errors": 1}),
        ("/api?500", {**NAVIGATION, **pinned("v2")}, {"app-errors": 1}),
        (GONE, {**SCRIPT, **pinned("v1")}, {"missing-assets": 1}),
        ("/api?404", BACK, {}),
        ("/api?200", BACK, {}),
        # It may be a client that keeps no cookies: it would be another unit with each request.
        ("/api?500", NAVIGATION, {}),
        ("/api?500", FETCH, {}),
        (GONE, SCRIPT, {}),
        # A key that was never given a page.
        ("/api?500", {**FETCH, "Cookie": "user=ada"}, {}),
        ("/api?500", {**FETCH, **pinned("v9")}, {}),
        ("/api?500", {**FETCH, **pinned("v1", "made-up")}, {}),
        ("/api?500", {**BACK, "Version-Override": "v2"}, {}),
        ("/api?500", PREFETCH, {}),
        # Not a name that a build could have.
        ("/wp-content/gone-Zz81xKpQ.js", {**SCRIPT, **pinned("v1")}, {}),
        ("/favicon.ico?404", {**SCRIPT, **pinned("v1")}, {}),
    ],
)
def test_whose_failures_are_noted(
    affinity: VersionAffinity, site: RampSite, path: str, headers: dict[str, str], expected: dict[str, int]
) -> None:
    """Users who came back count at their first failure; clients that keep no cookies and forced versions never do."""
    for _ in range(3):
        ask(affinity, path, headers)
    ask(affinity, "/api?500", came_back("v1", "1"))
    expected = {**expected, "app-errors": expected.get("app-errors", 0) + 1}
    until(lambda: noted(site).get("app-errors", 0) >= expected["app-errors"])
    assert noted(site) == expected


def test_client_errors_are_noted_on_request(site: RampSite) -> None:
    """With 4xx among the signals, they are noted apart, and only the signals of the plan are noted."""
    with site.followed(failing_api) as (affinity, _):
        site.ramp(**STILL, guard=("client-errors", "missing-assets"))
        until(lambda: affinity.deployment.percentages == SPLIT)
        for path in ("/api?500", "/api?404", "/api?403", "/api?200"):
            ask(affinity, path, BACK)
        ask(affinity, "/api?401", came_back("v1", "1"))
        until(lambda: noted(site).get("client-errors") == 2)
        assert noted(site) == {"client-errors": 2}


def test_units_belong_to_the_version_that_they_are_assigned_to(affinity: VersionAffinity, site: RampSite) -> None:
    """The page of the request does not matter: an old tab of v1 counts for v2 if its key is assigned to v2."""
    buckets, users = range(200), [f"user-{number}" for number in range(200)]
    for bucket in buckets:
        ask(affinity, "/api/cart?500", came_back("v1", str(bucket)))
    for user in users:
        ask(affinity, "/api/cart?500", came_back("v1", "7", user), "POST")
    until(lambda: noted(site) == {"app-errors": 400})
    deployment = Deployment("storefront", SPLIT)
    keys = [f"bucket:{bucket}" for bucket in buckets] + users
    of_v2 = sum(deployment.assign(key) == "v2" for key in keys)
    first = site.history[0].first
    (text,) = filter(None, site.workers.failing)
    failures = Failures.decoded(text)
    assert failures is not None
    (counted,) = failures.units["app-errors"].counted({site.log.read()[-1].revision - first: 0.5})
    assert (counted.new, counted.base) == (of_v2, 400 - of_v2)
    assert list(failures.examples["app-errors"]) == ["/api/cart"]


def test_another_ramp_begins_with_nothing(affinity: VersionAffinity, site: RampSite) -> None:
    """What failed stays in the reports when a ramp ends, and goes when another one starts."""
    ask(affinity, "/api?500", BACK)
    until(lambda: noted(site) == {"app-errors": 1})
    site.command("abort")
    until(lambda: affinity.deployment.percentages == {"v1": 100.0})
    ask(affinity, "/api?500", came_back("v1", "12"))
    assert noted(site) == {"app-errors": 1}
    site.ramp(**STILL)
    until(lambda: affinity.deployment.percentages == SPLIT)
    for bucket in "123":
        ask(affinity, "/api?500", came_back("v1", bucket))
    until(lambda: noted(site) == {"app-errors": 3})


def test_what_a_process_noted_outlives_it(site: RampSite) -> None:
    """The failing units of processes that have ended stay in the total."""
    with site.followed(failing_api):
        with site.followed(failing_api) as (affinity, _):
            site.ramp(**STILL)
            until(lambda: affinity.deployment.percentages == SPLIT)
            ask(affinity, "/api?500", BACK)
        until(lambda: len(site.workers.live) == 1)
        assert noted(site) == {"app-errors": 1}
        until(lambda: len(list((site.directory.path / "workers").glob("????????????????.*"))) == 1)  # it is folded
    assert noted(site) == {"app-errors": 1}


def test_a_ramp_without_failures_drops_the_units_of_the_ramp_before(site: RampSite) -> None:
    """The total of ended processes has the units of the newest ramp alone, also if none failed in it."""
    for bucket in ("4711", ""):
        with site.followed(failing_api) as (affinity, _):
            site.ramp(**STILL)
            until(lambda it=affinity: it.deployment.percentages == SPLIT)
            if bucket:
                ask(affinity, "/api?500", came_back("v1", bucket))
                until(site.observed_failing)
        site.command("abort")
    with site.followed(failing_api):  # it adds up the reports of the two that have ended
        until(lambda: not site.observed_failing())


def test_a_key_counts_alone_where_the_cookie_is_off(site: RampSite) -> None:
    """Without our cookie nothing shows that a user has come back, so a key is enough; a request without one is not."""
    releases = Releases(site.directory.path, interval=0.02)
    affinity = VersionAffinity(failing_api, releases, keys=[Cookie("user")], cookie=None)
    with contextlib.closing(releases):
        site.ramp(**STILL)
        until(lambda: affinity.deployment.percentages == SPLIT)
        ask(affinity, "/api?500", FETCH)
        ask(affinity, "/api?500", {**FETCH, "Cookie": "user=ada"})
        until(lambda: noted(site) == {"app-errors": 1})


# What reports say together.

REPORTS = st.lists(
    st.tuples(
        st.sampled_from(["2026-01-01 ramp-1", "2026-01-02 ramp-1", "2026-01-02 ramp-5"]),
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 9), st.booleans()), max_size=8),
    ),
    max_size=4,
)


def report(key: str, units: list[Any]) -> str:
    """Return the text of one process."""
    failures = Failures(key)
    for number, entry, look, is_new in units:
        failures.units["app-errors"].note(b"%d" % number, entry=entry, look=look, is_new=is_new)
    return failures.encoded()


@given(REPORTS, st.randoms(use_true_random=False))
def test_the_order_of_reports_does_not_matter(reports: list[Any], source: Any) -> None:
    """Reports may be merged in any order, in any groups and again and again; those of the newest ramp stay."""
    texts = [text for text in (report(*one) for one in reports) if text]
    total = merged(texts)
    for _ in range(3):
        source.shuffle(texts)
        cut = source.randint(0, len(texts))
        assert merged([merged(texts[:cut]), merged(texts[cut:]), *texts[:1]]) == total


def test_the_text_is_bounded() -> None:
    """A process notes a bounded number of units, and many processes together carry a bounded number."""
    texts = []
    for process in range(6):
        failures = Failures("key")
        for number in range(UNITS + 100):
            unit = b"%d/%d" % (process, number)
            failures.units["app-errors"].note(unit, entry=process, look=number, is_new=False)
        assert len(failures.units["app-errors"]) == UNITS
        texts.append(failures.encoded())
    assert max(map(len, texts)) < 66 * 1024
    total = Failures.decoded(merged(texts))
    assert total is not None
    assert len(total.units["app-errors"]) == 4 * UNITS
    by_entry = [total.units["app-errors"].counted({entry: 0.5}) for entry in range(6)]
    assert [bool(counted) for counted in by_entry] == [True, True, True, True, True, False]  # the earliest ones


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"ramp": "a", "app-errors": []}', '{"app-errors": {}}'])
def test_damaged_texts_count_as_nothing(text: str) -> None:
    """A report that cannot be read fails nothing and counts nothing."""
    assert Failures.decoded(text) is None
    assert merged([text, report("2026", [(1, 0, 0, True)])]) == report("2026", [(1, 0, 0, True)])
