"""Counters, exact under threads, and the log that a crawler cannot flood."""

from __future__ import annotations

import gc
import json
import logging
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, create_environ, run_wsgi_app

from tests.budget import budget
from tests.builds import COLLISION, ENTRY, OWN, SHARED, Answer, key_of, pinned, rollout, write_builds
from tests.harness import NAVIGATION, SCRIPT, client
from version_affinity import Cookie, Counts, Version, VersionAffinity
from version_affinity import counters as module
from version_affinity.counters import (
    OTHER,
    Counter,
    CounterFamily,
    Counters,
    LimitedLog,
    RecentKeys,
    sum_counts,
    with_others,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

THREADS, TIMES = 8, 2000


def in_threads(work: Callable[[int], object]) -> None:
    """Do something in eight threads at once, over and over."""
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(lambda: [work(number) for number in range(TIMES)]) for _ in range(THREADS)]:
            done.result()


def test_counter_is_exact_under_threads() -> None:
    """Eight threads that advance and read one counter lose and gain nothing."""
    counter = Counter()
    in_threads(lambda number: (counter.advance(), number % 100 or counter.value()))
    assert counter.value() == THREADS * TIMES
    assert counter.value() == THREADS * TIMES


def test_family_is_exact_under_threads() -> None:
    """Eight threads that ask for new labels at once share the counters that they get."""
    families = [CounterFamily() for _ in range(40)]
    together = threading.Barrier(THREADS)

    def advance(_thread: int) -> None:
        for family in families:
            together.wait()
            for number in range(10):
                family[number].advance()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # a thread is interrupted at nearly every step
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(advance, range(THREADS)))
    finally:
        sys.setswitchinterval(interval)
    assert [family.values_by_label() for family in families] == [dict.fromkeys(range(10), THREADS)] * 40


#: How many versions may be known at the same time, and how many come in all.
KNOWN, ALL = 2, 12
#: How often versions may go while a request is being answered.
CHANGES = 7


def sum_of(counters: Counters) -> dict[str, int]:
    """Return the sums over all versions, by the family of counters."""
    counts = counters.read()
    families = {"requests": counts.requests, "app": counts.app, "new_keys": counts.new_keys, "rescues": counts.rescues}
    return {name: sum(numbers.values()) for name, numbers in families.items()}


@budget(100)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("begin"), st.integers(0, ALL)),
            st.tuples(st.just("end"), st.integers(0, 20)),
            st.tuples(st.just("forget"), st.integers(0, ALL)),
        ),
        max_size=60,
    )
)
def test_requests_that_end_after_their_version(steps: list[tuple[str, int]]) -> None:
    """A request counts once, whenever its version goes: for the version while that is known, and then for "other"."""
    counters, requests, ended, first, forgets = Counters(), [], 0, 0, 0
    for step, number in steps:
        if step == "begin":
            version = f"v{first + number % KNOWN}"
            tally = counters.tally(version, "page", "key", of_app=True)
            requests.append((tally, counters.new_keys[version], counters.rescues[version, f"v{first}"]))
        elif step == "end" and requests:
            tally, *others = requests.pop(number % len(requests))
            tally["2"].advance()
            tally.move("2", "5")
            for counter in others:
                counter.advance()
            ended += 1
        elif step == "forget" and forgets < CHANGES:
            first, forgets = number, forgets + 1
            counters.forget({f"v{first}": None, f"v{first + 1}": None})
            known = {f"v{first}", f"v{first + 1}", OTHER}
            assert {version for version, *_ in counters.read().requests} <= known
            assert {version for pair in counters.read().rescues for version in pair} <= known
        assert sum_of(counters) == dict.fromkeys(("requests", "app", "new_keys", "rescues"), ended)


def test_counting_while_versions_come_and_go() -> None:
    """Threads count while another forgets their versions: no sum goes down, and none is short at the end."""
    counters, first = Counters(), 0
    going = threading.Barrier(THREADS + 1)

    def count(thread: int) -> None:
        for _ in range(CHANGES):
            version = f"v{first + thread % KNOWN}"
            tally, new_keys = counters.tally(version, "page", "key"), counters.new_keys[version]
            going.wait()  # the version may be forgotten from now on
            for _ in range(200):
                tally["2"].advance()
                new_keys.advance()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            counting = [pool.submit(count, thread) for thread in range(THREADS)]
            sums = []
            for number in range(CHANGES):
                going.wait()
                first = number + 1
                counters.forget([f"v{first}", f"v{first + 1}"])
                sums += [sum_of(counters) for _ in range(5)]
            for done in counting:
                done.result()
    finally:
        sys.setswitchinterval(interval)
    for family in ("requests", "new_keys"):
        numbers = [each[family] for each in sums]
        assert numbers == sorted(numbers)
        assert sum_of(counters)[family] == THREADS * CHANGES * 200


def test_how_long_dropped_counters_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute, and no more than a few of them: memory is bounded. They are added up for good before they go."""
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    counters = Counters()
    kept = []
    for number in range(100):
        tally = counters.tally(f"v{number}", "page", "key")
        tally["2"].advance()
        kept.append(weakref.ref(tally))
        del tally
        counters.forget(())
    gc.collect()
    assert sum(ref() is not None for ref in kept) < 10
    assert kept[-1]() is not None
    now += 61
    counters.forget(())
    gc.collect()
    assert [ref() for ref in kept] == [None] * 100
    assert counters.read().requests == {(OTHER, "page", "2xx", "key"): 100}


def test_zero_is_left_out() -> None:
    """A label that was asked for and never advanced is not reported."""
    family = CounterFamily()
    assert family["a"].value() == 0
    assert family.values_by_label() == {}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds."""
    return write_builds(tmp_path_factory.mktemp("builds"))


def test_requests_are_exact_under_threads(builds: dict[str, Path]) -> None:
    """Eight threads of requests by name and by decision, to files and to the application, are all counted."""
    affinity = rollout(builds, Answer())
    paths = [SHARED, "/logo.svg", "/api", "/assets/index-N0tHere1.js"]
    times = 200

    def ask(_thread: int) -> None:
        for number in range(times):
            run_wsgi_app(affinity, create_environ(paths[number % 4], headers={"Version-Key": key_of("v2")}))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(THREADS)))
    counts, each = affinity.counters(), THREADS * times // 4
    assert counts.requests == {
        ("v1", "asset", "2xx", "name"): each,
        ("v2", "other", "2xx", "key"): 2 * each,
        ("v2", "other", "4xx", "key"): each,
    }
    assert counts.missing == {"v2": each}


def on_v1(**more: str) -> dict[str, str]:
    """Return the headers of a request whose key falls on v1."""
    return {"Version-Key": key_of("v1"), **more}


NONE: dict[str, object] = {}
COUNTED = [
    # path, headers, requests, rescues, missing, refused
    (ENTRY["v1"], {}, ("v1", "asset", "2xx", "name"), NONE, NONE, NONE),
    (ENTRY["v2"], {}, ("v2", "asset", "2xx", "name"), NONE, NONE, NONE),
    (ENTRY["v2"], on_v1(), ("v2", "asset", "2xx", "name"), {("v1", "v2"): 1}, NONE, NONE),
    (ENTRY["v1"], on_v1(), ("v1", "asset", "2xx", "name"), NONE, NONE, NONE),
    (ENTRY["v2"], pinned("v1"), ("v2", "asset", "2xx", "name"), {("v1", "v2"): 1}, NONE, NONE),
    (ENTRY["v2"], {**on_v1(), **pinned("v2")}, ("v2", "asset", "2xx", "name"), NONE, NONE, NONE),
    (ENTRY["v0"], on_v1(), ("v0", "asset", "2xx", "name"), {("v1", "v0"): 1}, NONE, NONE),
    (SHARED, pinned("v2"), ("v1", "asset", "2xx", "name"), NONE, NONE, NONE),
    (SHARED, {"If-None-Match": "*"}, ("v1", "asset", "3xx", "name"), NONE, NONE, NONE),
    (COLLISION, {**SCRIPT, **pinned("v2")}, ("v2", "subresource", "2xx", "pin"), NONE, NONE, NONE),
    (OWN["v0"], on_v1(), ("v1", "other", "2xx", "key"), {("v1", "v0"): 1}, NONE, NONE),
    (OWN["v1"], on_v1(), ("v1", "other", "2xx", "key"), NONE, NONE, NONE),
    ("/", on_v1(**NAVIGATION), ("v1", "page", "2xx", "key"), NONE, NONE, NONE),
    ("/index.html", on_v1(**NAVIGATION), ("v1", "page", "3xx", "key"), NONE, NONE, NONE),
    ("/", {**on_v1(**NAVIGATION), "If-None-Match": "*"}, ("v1", "page", "3xx", "key"), NONE, NONE, NONE),
    ("/api", on_v1(), ("v1", "other", "2xx", "key"), NONE, NONE, NONE),
    ("/assets/x-N0tHere1.js", {**SCRIPT, **pinned("v0")}, ("v0", "subresource", "4xx", "pin"), NONE, {"v0": 1}, NONE),
    ("/", {"Version-Override": "v2"}, ("v2", "other", "2xx", "override"), NONE, NONE, NONE),
    ("/", on_v1(**{"Version-Override": "v9"}), ("v1", "other", "2xx", "key"), NONE, NONE, {"unknown-version": 1}),
    ("/", on_v1(**{"Version-Override": "v0"}), ("v1", "other", "2xx", "key"), NONE, NONE, {"not-deployed": 1}),
]


@pytest.mark.parametrize(("path", "headers", "requests", "rescues", "missing", "refused"), COUNTED)
def test_what_is_counted(
    builds: dict[str, Path],
    path: str,
    headers: dict[str, str],
    requests: tuple[str, ...],
    rescues: dict[object, int],
    missing: dict[object, int],
    refused: dict[object, int],
) -> None:
    """A request is counted once, by version, kind, status class and reason; rescues, misses and refusals besides."""
    affinity = rollout(builds, Answer(), retained=["v0"])
    client(affinity).get(path, headers=headers)
    counts = affinity.counters()
    assert counts.requests == {requests: 1}
    assert (counts.rescues, counts.missing, counts.refused) == (rescues, missing, refused)


def test_by_name_is_no_rescue_with_one_version(builds: dict[str, Path]) -> None:
    """With one version at 100 %, its own file is no rescue even for a browser that is pinned to another one."""
    affinity = rollout(builds, Answer(), {"v2": 100}, retained=["v1"])
    client(affinity).get(ENTRY["v2"], headers=pinned("v1"))
    assert affinity.counters().rescues == {}
    client(affinity).get(ENTRY["v1"], headers=pinned("v1"))
    assert affinity.counters().rescues == {}


class Restarting:
    """An application that calls ``start_response`` as often as it has statuses, and may fail then."""

    def __init__(self, *statuses: str, fails: bool = False) -> None:
        self.statuses = statuses
        self.fails = fails

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer."""
        for number, status in enumerate(self.statuses):
            exc_info = (OSError, OSError(status), None) if number else None
            start_response(status, [("Content-Type", "text/plain")], exc_info)
        if self.fails:
            raise OSError("late")
        return [b"x"]


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (Restarting("200 OK"), {"2xx": 1}),
        (Restarting("200 OK", "500 Oh"), {"5xx": 1}),
        (Restarting("200 OK", "404 No", "503 Oh"), {"5xx": 1}),
        (Restarting("200 OK", "202 OK"), {"2xx": 1}),
        (Restarting("200 OK", "500 Oh", "200 OK"), {"2xx": 1}),
        (Restarting(fails=True), {"5xx": 1}),
        (Restarting("200 OK", fails=True), {"5xx": 1}),
        (Restarting("500 Oh", fails=True), {"5xx": 1}),
    ],
)
def test_repeated_start_response_moves(builds: dict[str, Path], app: Restarting, expected: dict[str, int]) -> None:
    """A response that is started again, or ends in an exception, counts once, under its last status."""
    affinity = rollout(builds, app, {"v1": 100})
    try:
        affinity(create_environ("/api"), lambda *started: lambda _data: None)
    except OSError:
        assert app.fails
    counts = affinity.counters()
    assert {status: number for (_, _, status, _), number in counts.requests.items()} == expected
    assert counts.app == {("v1", status): number for status, number in expected.items()}


def page_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page: by a list, ``write``, a generator, after an error, or not at all."""
    how = environ["PATH_INFO"].rpartition("/")[2]
    headers = [("Content-Type", "text/html")]
    if how == "raise":
        raise OSError(how)
    write = start_response("200 OK", headers)
    if how == "again":
        write = start_response("500 Oh", headers, (OSError, OSError(how), None))
    if how == "write":
        write(b"x")
        return []
    return (part for part in [b"x"]) if how == "generator" else [b"x"]


@pytest.mark.parametrize(
    ("how", "status"),
    [("list", "2xx"), ("write", "2xx"), ("generator", "2xx"), ("again", "5xx"), ("raise", "5xx")],
)
def test_answers_of_the_application(builds: dict[str, Path], how: str, status: str) -> None:
    """Answers of the application count apart too, by the version of the page that asked, and once among all."""
    affinity = rollout(builds, page_app)
    for headers in ({**SCRIPT, **pinned("v2")}, {**NAVIGATION, "Version-Key": key_of("v2")}):
        environ = create_environ(f"/api/{how}", headers=headers)
        with pytest.raises(OSError, match="raise") if how == "raise" else nullcontext():
            list(affinity(environ, lambda *started: lambda _data: None))
    client(affinity).get("/logo.svg", headers={**SCRIPT, **pinned("v2")})
    client(affinity).get("/assets/x-N0tHere1.js", headers={**SCRIPT, **pinned("v2")})
    client(affinity).get(SHARED)
    counts = affinity.counters()
    assert counts.app == {("v2", status): 2}
    assert sum(counts.requests.values()) == 5
    assert counts.decisions == {("v2", "pin"): 3, ("v2", "key"): 1}
    assert counts.new_keys == ({} if how == "raise" else {"v2": 1})  # a page that is started again is one page


def test_answers_of_a_version_are_not_of_the_application(builds: dict[str, Path]) -> None:
    """A version that is an application itself is not the wrapped application; outside its prefix, that one answers."""
    affinity = VersionAffinity(page_app, [Version("v1", page_app)], name="storefront", prefix="/shop/")
    for path in ("/shop/list", "/list", "/again"):
        affinity(create_environ(path), lambda *started: lambda _data: None)
    counts = affinity.counters()
    assert counts.app == {("v1", "2xx"): 1, ("v1", "5xx"): 1}
    assert counts.requests == {("v1", "other", "2xx", "only"): 2, ("v1", "other", "5xx", "only"): 1}


FRAMED = {
    **NAVIGATION,
    "Sec-Fetch-Dest": "iframe",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Storage-Access": "active",
}


@pytest.mark.parametrize("path", ["/", "/list"])
@pytest.mark.parametrize(
    ("headers", "method", "number"),
    [
        (NAVIGATION, "GET", 1),
        ({**NAVIGATION, "Version-Key": key_of("v2")}, "GET", 1),
        (FRAMED, "GET", 1),
        ({**FRAMED, "Version-Key": key_of("v1")}, "GET", 1),
        (NAVIGATION, "HEAD", 0),
        (NAVIGATION, "POST", 0),
        ({**NAVIGATION, "Version-Override": "v2"}, "GET", 0),
        ({**NAVIGATION, "Sec-Purpose": "prefetch"}, "GET", 0),
        (SCRIPT, "GET", 0),
        ({}, "GET", 0),
        ({**NAVIGATION, **pinned("v1")}, "GET", 0),
        ({**NAVIGATION, **pinned("v9")}, "GET", 0),
        ({**NAVIGATION, "Version-Key": key_of("v2"), **pinned("v1")}, "GET", 0),
        ({**NAVIGATION, "Cookie": "version-affinity-storefront=4711."}, "GET", 0),
        ({**NAVIGATION, "Version-Key": key_of("v2"), "Cookie": "version-affinity-storefront=4711."}, "GET", 0),
    ],
)
def test_what_is_a_new_key(
    builds: dict[str, Path], path: str, headers: dict[str, str], method: str, number: int
) -> None:
    """A new key is a page that gives its browser our cookie, from a file or from the application."""
    affinity = rollout(builds, page_app)
    client(affinity).open(path, method=method, headers=headers)
    counts = affinity.counters()
    (asked,) = {version for version, *_ in counts.requests}
    assert counts.new_keys == ({asked: 1} if number else {})


@pytest.mark.parametrize("path", ["/", "/list"])
@pytest.mark.parametrize("shares", [{"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}, {"v1": 20, "v2": 80}])
def test_new_keys_are_first_pages(builds: dict[str, Path], path: str, shares: dict[str, float]) -> None:
    """Each browser that keeps the cookie counts once, for the version that its key or bucket is assigned to."""
    affinity = rollout(builds, page_app, shares, keys=[Cookie("user")])
    expected = dict.fromkeys(shares, 0)
    for number in range(400):
        browser = Client(affinity)
        if number % 2:
            browser.set_cookie("user", str(number))
        versions = [browser.get(path, headers=NAVIGATION).headers["Version-Affinity"][:2] for _ in range(3)]
        expected[versions[0]] += 1
        assert len(set(versions)) == 1
    counts = affinity.counters()
    assert counts.new_keys == expected
    deviation = (400 * 0.01 * shares["v2"] * (1 - 0.01 * shares["v2"])) ** 0.5
    assert abs(counts.new_keys["v2"] - 4 * shares["v2"]) < 6 * deviation


@pytest.mark.parametrize("path", ["/", "/list"])
def test_a_key_is_new_once(builds: dict[str, Path], path: str) -> None:
    """A client with a key that never sends our cookie, such as a monitor, does not shift the observed shares."""
    affinity = rollout(builds, page_app, {"v1": 90, "v2": 10}, keys=[Cookie("user")])
    for number in (*range(20), *[19] * 50):
        client(affinity).get(path, headers={**NAVIGATION, "Cookie": f"user={number}"})
    assert sum(affinity.counters().new_keys.values()) == 20
    for _ in range(10):
        client(affinity).get(path, headers=NAVIGATION)
    assert sum(affinity.counters().new_keys.values()) == 30


def test_how_many_keys_are_remembered() -> None:
    """Thousands, and never more: a key that comes often is rarely forgotten, memory is bounded."""
    keys = RecentKeys()
    assert all(keys.is_new(b"%d" % number) for number in range(20_000))
    assert not keys.is_new(b"19999")
    assert 8_000 < sum(not keys.is_new(b"%d" % number) for number in reversed(range(20_000))) <= 16_384
    forgotten = 0
    for number in range(20_000, 40_000):
        assert keys.is_new(b"%d" % number)
        forgotten += keys.is_new(b"often")
    assert 1 <= forgotten < 30


def test_no_new_keys_without_a_split(builds: dict[str, Path]) -> None:
    """While a single version has a share, or without the cookie, no cookie is set and no key is new."""
    for affinity in (rollout(builds, page_app, {"v1": 100}), rollout(builds, page_app, cookie=None)):
        client(affinity).get("/", headers={**NAVIGATION, "Version-Key": key_of("v1")})
        assert affinity.counters().new_keys == {}


def test_counts_are_flat(builds: dict[str, Path]) -> None:
    """The counts by key go through JSON and back; those of two processes add up; unknown keys are left out."""
    affinity = rollout(builds, page_app, retained=["v0"])
    for path, headers, *_ in COUNTED:
        client(affinity).get(path, headers=headers)
    client(affinity).get("/list", headers=NAVIGATION)
    counts = affinity.counters()
    flat = json.loads(json.dumps(counts.flat()))
    assert {"requests|v1|asset|2xx|name", "app|v1|2xx", "missing|v0", "rescues|v1|v2", "refused|not-deployed"} <= set(
        flat
    )
    assert {key for key in flat if key.startswith("new_keys|")}
    assert Counts.from_flat(flat) == counts
    assert Counts.from_flat({**flat, "later|v1": 1, "missing|v1|x": 1, "": 1}) == counts
    assert sum_counts(flat, flat, {"missing|v0": 1}) == {
        key: 2 * number + (key == "missing|v0") for key, number in flat.items()
    }


def test_no_total_goes_down(builds: dict[str, Path]) -> None:
    """The series of a retired version go, and their numbers are those of "other" from then on."""
    affinity = rollout(builds, page_app, retained=["v0"])

    def ask_all() -> None:
        for path, headers, *_ in COUNTED:
            client(affinity).get(path, headers=headers)
        for version in ("v1", "v2"):
            client(affinity).get("/list", headers={**NAVIGATION, "Version-Key": key_of(version)})

    ask_all()
    for version in ("v0", "v1"):
        before = affinity.counters().flat()
        affinity.deploy({"v2": 100})
        affinity.retire(version)
        after = affinity.counters().flat()
        assert after == with_others(before, affinity.known)
        assert not [key for key in after if version in key.split("|")]
        assert sum(after.values()) == sum(before.values())
    assert affinity.counters().rescues == {(OTHER, OTHER): 2, (OTHER, "v2"): 2}
    ask_all()
    final = affinity.counters().flat()
    assert all(final[key] >= number for key, number in after.items())


def test_counts_are_json(builds: dict[str, Path]) -> None:
    """The counts as lists and objects go through JSON unchanged."""
    affinity = rollout(builds, Answer(), retained=["v0"])
    for path, headers, *_ in COUNTED:
        client(affinity).get(path, headers=headers)
    told = affinity.counters().as_dict()
    assert json.loads(json.dumps(told)) == told
    assert {"version": "v1", "kind": "asset", "status": "2xx", "reason": "name", "count": 3} in told["requests"]
    assert {"decided": "v1", "served": "v2", "count": 2} in told["rescues"]
    assert told["missing"] == {"v0": 1}
    assert told["refused"] == {"unknown-version": 1, "not-deployed": 1}


def test_counters_are_bounded(builds: dict[str, Path]) -> None:
    """No request, whatever it carries, adds a label that the configuration does not have."""
    affinity = rollout(builds, Answer(status="777 Odd"), retained=["v0"])
    asked = client(affinity)
    for number in range(300):
        noise = f"x{number}"
        headers = {
            "Version-Key": noise,
            "Version-Override": noise,
            "Cookie": f"version-affinity-storefront={number}.{noise}; a={noise}",
            "Referer": f"http://{noise}/{noise}",
            "Sec-Fetch-Dest": noise,
            "Sec-Fetch-Mode": noise,
        }
        asked.get(f"/{noise}", headers=headers)
        asked.get(f"/assets/index-N0tHere{number % 10}.js", headers=headers)
    counts = affinity.counters()
    assert set(counts.requests) == {("v1", "subresource", "7xx", "baseline"), ("v1", "subresource", "4xx", "baseline")}
    assert counts.refused == {"unknown-version": 600}
    assert set(counts.missing) == {"v1"}


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, all under the product's logger."""
    assert {record.name for record in caplog.records} <= {"version_affinity"}
    return [record.getMessage() for record in caplog.records]


def test_log_is_limited(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one span of time no more lines than the burst are logged; the next span says how many were left out."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log = LimitedLog(logging.WARNING, burst=3, seconds=3600)
    for number in range(10):
        log("line %d", number)
    assert messages(caplog) == ["line 0", "line 1", "line 2"]
    now[0] += 3600
    for number in range(10, 20):
        log("line %d", number)
    assert messages(caplog)[3:] == [
        "7 more messages like the next one were left out",
        "line 10",
        "line 11",
        "line 12",
    ]
    now[0] += 3600
    log("line 20")
    now[0] += 3600
    log("line 21")
    assert messages(caplog)[7:] == ["7 more messages like the next one were left out", "line 20", "line 21"]


def test_log_is_limited_under_threads(caplog: pytest.LogCaptureFixture) -> None:
    """Eight threads together log no more than the burst."""
    log = LimitedLog(logging.WARNING, burst=5, seconds=3600)
    in_threads(lambda number: log("line %d", number))
    assert len(messages(caplog)) == 5


def test_missing_asset_is_logged(builds: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """An asset that nobody has is a warning with path, decided version and reason; a crawler cannot flood it."""
    affinity = rollout(builds, Answer(), retained=["v0"])
    caplog.clear()
    asked = client(affinity)
    for number in range(100):
        asked.get(f"/assets/index-N0tHere{number % 10}.js", headers={**SCRIPT, **pinned("v2")})
    asked.get("/assets/index-" + "x" * 500 + "-N0tHere1.js", headers=SCRIPT)
    lines = messages(caplog)
    assert lines[0] == (
        "no known version can serve '/assets/index-N0tHere0.js' (decided: v2;reason=pin;"
        'source="cookie:version-affinity-storefront")'
    )
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert len(lines) == 10


def test_logged_path_is_short_and_escaped(builds: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """A path is logged with its line breaks escaped and cut: it cannot forge lines."""
    affinity = rollout(builds, None)
    caplog.clear()
    environ = create_environ("/", headers=SCRIPT)
    environ["PATH_INFO"] = "/assets/a\r\nERROR forged\n" + "x" * 500 + "-N0tHere1.js"
    run_wsgi_app(affinity, environ)
    (line,) = messages(caplog)
    assert "\n" not in line
    assert len(line) < 320


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (on_v1(), 'v1;reason=key;source="header:Version-Key"'),
        ({**SCRIPT, **pinned("v2")}, 'v2;reason=pin;source="cookie:version-affinity-storefront"'),
        ({**SCRIPT}, "v1;reason=baseline"),
        (on_v1(**{"Version-Override": "v9"}), 'v1;reason=key;source="header:Version-Key";refused=unknown-version'),
    ],
)
def test_missing_asset_is_logged_with_its_trace(
    builds: dict[str, Path], caplog: pytest.LogCaptureFixture, headers: dict[str, str], told: str
) -> None:
    """The line about a missing asset says what the response's trace says: version, reason and source."""
    affinity = rollout(builds, Answer())
    caplog.clear()
    response = client(affinity).get("/assets/index-N0tHere0.js", headers=headers)
    assert response.headers["Version-Affinity"] == told
    (line,) = messages(caplog)
    assert line.endswith(f"(decided: {told})")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rescue_that_is_not_sent_is_not_counted(tmp_path: Path, method: str) -> None:
    """A rescue is counted when it is sent: a file that is gone is missing, and nobody's rescue."""
    builds = write_builds(tmp_path)
    affinity = rollout(builds, None, retained=["v0"], memory=0)
    asked = client(affinity)
    assert asked.open(OWN["v0"], method=method, headers=on_v1()).status_code == 200
    assert affinity.counters().rescues == {("v1", "v0"): 1}
    etag = asked.get(OWN["v0"], headers=on_v1()).headers["ETag"]
    assert asked.open(OWN["v0"], method=method, headers=on_v1(**{"If-None-Match": etag})).status_code == 304
    (builds["v0"] / OWN["v0"][1:]).unlink()
    assert asked.open(OWN["v0"], method=method, headers=on_v1()).status_code == 404
    counts = affinity.counters()
    assert (counts.rescues, counts.missing) == ({("v1", "v0"): 3}, {"v1": 1})
    assert counts.requests == {("v1", "other", "2xx", "key"): 2, ("v1", "other", "3xx", "key"): 1} | {
        ("v1", "other", "4xx", "key"): 1
    }
