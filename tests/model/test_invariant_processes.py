"""Invariants 1 and 1c over several processes: some are behind, some have just started, and none sends a wrong file.

Each process knows the builds, and has a state of its own: it started with one deployment of a history and has followed
it to a later one. A browser is answered by any of them at any time.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, example, given
from hypothesis import strategies as st

from tests.budget import budget
from tests.builds import COLLISION, DIFFERING, ENTRY, EQUAL, OWN, SHARED, build_of
from tests.harness import state_of, write_build
from tests.model.browser_model import environ_of, send
from version_affinity import Cookie, Header, Version, VersionAffinity
from version_affinity.decision import decider as decisions
from version_affinity.decision.decider import Decider
from version_affinity.decision.request import FRAME, PAGE, SERVICE_WORKER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDS = ("v0", "v1", "v2")
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
FRAMED = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "iframe",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Storage-Access": "none",
}
BEHIND_A_WORKER = {"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty", "Accept": "text/html,*/*;q=0.8"}
SUBRESOURCE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-origin"}
WORKER_SCRIPT = {"Service-Worker": "script", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "serviceworker"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
PRECACHE = {**FETCH, "Referer": "http://localhost/sw.js"}

SHARES = st.sampled_from((0.0, 1.0, 10.0, 50.0, 90.0, 100.0))


@st.composite
def deployments(draw: st.DrawFn) -> dict[str, float]:
    """Draw the percentages of two versions, or of one."""
    first, second = draw(st.permutations(IDS))[:2]
    share = draw(SHARES)
    return {first: share, second: 100.0 - share} if draw(st.booleans()) or share == 0 else {second: 100.0}


HISTORIES = st.lists(deployments(), min_size=1, max_size=5)
SPANS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=3)
SECRETS = st.sampled_from((None, "the secret of this year", ("the secret of last year", "the secret of this year")))


@functools.cache
def directories(root: Path) -> dict[str, Path]:
    """Write the builds, once. Each has a worker and a file that pages poll."""
    return {
        id_: write_build(
            root / id_, {**build_of(id_), "sw.js": f"// worker of {id_}", "version.json": f'{{"version": "{id_}"}}'}
        )
        for id_ in IDS
    }


def process(builds: dict[str, Path], history: list[dict[str, float]], span: tuple[int, int], secret: Any) -> Any:
    """Return a process that started with one deployment of a history and has followed it to another."""
    start, end = sorted(min(place, len(history) - 1) for place in span)
    first = history[start]
    affinity = VersionAffinity(
        None,
        [Version(id_, builds[id_], percentage=share) for id_, share in first.items()],
        # Known and without a share that this process has heard of: staged, as far as it knows.
        retained=(),
        name="storefront",
        keys=[Cookie("user_id"), Header("X-User-Id")],
        cookie="pin",
        override_secret=secret,
    )
    for id_ in IDS:
        if id_ not in first:
            affinity.add(Version(id_, builds[id_]))
    for deployment in history[start + 1 : end + 1]:
        affinity.deploy(deployment)
    return affinity


class Jar:
    """A browser's requests, with its cookies."""

    def __init__(self, key: str, bucket: str) -> None:
        self.cookies = {name: value for name, value in (("user_id", key), ("pin", bucket and f"{bucket}.")) if value}

    def get(self, affinity: Any, path: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Return status, body and decided version."""
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        environ = environ_of("GET", path, {**headers, **(cookie if self.cookies else {})})
        response = send(affinity, environ)
        for line in response.cookies:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        decision = environ.get("version_affinity.version", "")
        return response.status, response.body, decision


def check_pages(
    builds: dict[str, Path],
    history: list[dict[str, float]],
    spans: list[tuple[int, int]],
    secret: Any,
    key: str,
    kind: dict[str, str],
) -> None:
    """Load a page from each process, and all of its files from every process."""
    fleet = [process(builds, history, span, secret) for span in spans]
    browser = Jar(key, "")
    for served_by in fleet:
        status, body, _ = browser.get(served_by, "/", kind)
        assert status == 200
        version = body.decode().rpartition("page of ")[2]
        files = build_of(version)
        pinned = browser.cookies.get("pin", "").partition(".")[2].partition(".")[0]
        for asked in fleet:
            always = (ENTRY[version], SHARED, EQUAL)
            for path in always:
                status, body, _ = browser.get(asked, path, SUBRESOURCE)
                assert (status, body.decode()) == (200, files[path[1:]]), f"1a: {path} of {version}"
            if not pinned:
                assert served_by.deployment.only is not None, "the page was not stamped"
                continue  # all users had one version, and this browser needed no cookie
            assert pinned == version, "the pin names the page"
            for path in (DIFFERING, COLLISION, OWN[version]):
                status, body, _ = browser.get(asked, path, SUBRESOURCE)
                assert (status, body.decode()) == (200, files[path[1:]]), f"1b: {path} of {version}"


KEYS = st.sampled_from(("", "alice", "bob", "carol", "dave", "erin"))
KINDS_OF_PAGES = st.sampled_from((NAVIGATION, FRAMED, BEHIND_A_WORKER))
PAGES = {
    "history": HISTORIES,
    "spans": SPANS,
    "secret": SECRETS,
    "key": KEYS,
    "kind": KINDS_OF_PAGES,
}


def check_workers(
    builds: dict[str, Path], history: list[dict[str, float]], secret: Any, key: str, bucket: str, kind: dict[str, str]
) -> None:
    """Follow a history, with an update check of a worker after each deployment and each rollback."""
    affinity = process(builds, history, (0, 0), secret)
    browser = Jar(key, bucket)
    browser.get(affinity, "/", kind)
    for deployment in [*history[1:], *history[::-1]]:
        affinity.deploy(deployment)
        stale = dict(browser.cookies)
        versions = set()
        for path, headers, mark in (
            ("/sw.js", WORKER_SCRIPT, "worker of "),
            ("/", PRECACHE, "page of "),
            (DIFFERING, PRECACHE, "<title>"),
            ("/version.json", FETCH, '"version": "'),
        ):
            for _ in range(3):
                status, body, decided = browser.get(affinity, path, headers)
                assert status == 200
                found = body.decode().rpartition(mark)[2][:2]
                assert found == decided
                versions.add(found)
        assert len(versions) == 1, "1c: the worker, its files and the poll come from one version"
        assert browser.cookies == stale, "none of them is a page"
        (version,) = versions
        if key or stale.get("pin", "").partition(".")[0] or affinity.deployment.only:
            _, body, _ = browser.get(affinity, "/", NAVIGATION)
            assert body.decode().endswith(f"page of {version}"), "1c: the next page is the one that the worker keeps"
        else:
            assert version == state_of(affinity).baseline


WORKERS = {
    "history": HISTORIES,
    "secret": SECRETS,
    "key": KEYS,
    "bucket": st.sampled_from(("", "4711", "77", "1000000")),
    "kind": KINDS_OF_PAGES,
}


#: A browser without key and bucket that has a page from before a split: drawn histories rarely have it.
BEFORE_A_SPLIT = {
    "history": [{"v1": 100.0}, {"v1": 50.0, "v2": 50.0}],
    "secret": None,
    "key": "",
    "bucket": "",
    "kind": NAVIGATION,
}

#: One whose bucket, and nothing else, decides, for the version that is new.
WITH_A_BUCKET = {**BEFORE_A_SPLIT, "bucket": "4711"}


def run(root: Path, check: Callable[..., None], drawn: dict[str, Any], examples: int, **options: Any) -> None:
    """Run a property over drawn arguments."""
    builds = directories(root)

    @budget(examples, **options)
    @given(st.fixed_dictionaries(drawn))
    def held(arguments: dict[str, Any]) -> None:
        check(builds, **arguments)

    for given_first in (BEFORE_A_SPLIT, WITH_A_BUCKET) if drawn is WORKERS else ():
        held = example(given_first)(held)
    held()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="version_affinity")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the builds are written."""
    return tmp_path_factory.mktemp("builds")


def test_any_process_at_any_time(root: Path) -> None:
    """A page gets its own files from every process, whichever deployment that one has heard of."""
    run(root, check_pages, PAGES, 100)


def test_a_worker_is_of_one_version(root: Path) -> None:
    """A worker's script, what it precaches and what is polled come from one version, which each deployment moves."""
    run(root, check_workers, WORKERS, 100)


def _only_live_pins(patch: pytest.MonkeyPatch) -> None:
    make = Decider.__init__

    def made(self: Decider, deployment: Any, *, pins: Any, **options: Any) -> None:
        live = {version for version, share in deployment.percentages.items() if share > 0}
        make(self, deployment, pins={pin: id_ for pin, id_ in pins.items() if id_ in live}, **options)

    patch.setattr(Decider, "__init__", made)


def _frames_are_not_stamped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("version_affinity.responses.headers.STAMPED", frozenset((PAGE,)))
    patch.setitem(decisions.ORDER, FRAME, ("override", "only", "key", "minted", "baseline"))


def _order(*order: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setitem(decisions.ORDER, SERVICE_WORKER, order)


def _polls_are_pinned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("version_affinity.decision.request.UNPINNED", ("/other.json",))


def _precache_is_pinned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("version_affinity.decision.request.referer_path", lambda environ: "")


MUTATIONS = {
    "pins of live versions alone": (_only_live_pins, check_pages, PAGES),
    "frames are not stamped": (_frames_are_not_stamped, check_pages, {**PAGES, "kind": st.just(FRAMED)}),
    "a worker by the pin": (_order("override", "pin", "only", "key", "bucket", "baseline"), check_workers, WORKERS),
    "a draw per update check": (_order("override", "only", "key", "bucket", "random"), check_workers, WORKERS),
    "a worker without bucket": (_order("override", "only", "key", "baseline"), check_workers, WORKERS),
    "polls by the pin": (_polls_are_pinned, check_workers, WORKERS),
    "precache by the pin": (_precache_is_pinned, check_workers, WORKERS),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutation_is_seen(mutation: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken in one place, the package fails the property."""
    change, check, drawn = MUTATIONS[mutation]
    change(monkeypatch)
    with pytest.raises(AssertionError):
        run(root, check, drawn, 200, phases=[Phase.explicit, Phase.generate], database=None, report_multiple_bugs=False)
