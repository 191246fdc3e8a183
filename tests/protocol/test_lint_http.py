"""Linters of HTTP find nothing in our answers: ``httplint`` in process, REDbot over a socket.

``lint_plugin.py`` lets ``httplint`` look at the answers of all other tests too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import NAVIGATION, SCRIPT, client, missing
from tests.protocol.linted_site import COLLISION, COMPRESSED, ENTRY, LARGE, LAYOUTS, SHARED, make, write_site
from tests.protocol.linting import Exchange, Note, is_accepted, lint, notes_of, warnings_of
from tests.servers.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed.wsgi import WSGIApplication

pytestmark = pytest.mark.slow

ASSET = ENTRY["v1"]
#: A user of version v1, so that the same request has the same answer; and what a browser says of its requests.
KEY = {"Version-Key": "8"}
PREFETCH = {**NAVIGATION, "Sec-Purpose": "prefetch"}
WORKER = {"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "serviceworker", "Service-Worker": "script"}

#: Path, method, header fields, and the statuses with which a layout may answer: one that serves files alone first.
REQUESTS: list[tuple[str, str, dict[str, str], tuple[int, ...]]] = [
    ("/", "GET", {}, (200,)),
    ("/", "HEAD", {}, (200,)),
    ("/", "GET", NAVIGATION, (200,)),
    ("/", "GET", PREFETCH, (200,)),
    ("/", "GET", {**NAVIGATION, "Version-Override": "v2"}, (200,)),
    ("/", "GET", {**NAVIGATION, "Cookie": "session_id=1; version-affinity-app=7.v2"}, (200,)),
    ("/", "GET", {"Accept-Encoding": "gzip, br"}, (200,)),
    ("/", "GET", {"If-None-Match": "*"}, (304,)),
    ("/", "GET", {"Range": "bytes=0-9"}, (206,)),
    ("/about", "GET", {}, (200,)),
    ("/about.html", "GET", {}, (307,)),
    ("/about.html?next=%2F", "GET", NAVIGATION, (307,)),
    ("/docs", "GET", {}, (307,)),
    ("/docs/", "GET", {}, (200,)),
    ("/index.html", "HEAD", {}, (307,)),
    ("/robots.txt", "GET", {}, (200,)),
    ("/robots.txt", "GET", WORKER, (200,)),
    ("/robots.txt", "GET", {"If-None-Match": "*"}, (304,)),
    ("/robots.txt", "GET", {"If-Match": '"other"'}, (412,)),
    ("/robots.txt", "GET", {"Range": "bytes=0-3"}, (206,)),
    ("/robots.txt", "GET", {"Range": "bytes=99-"}, (416,)),
    ("/logo.svg", "GET", SCRIPT, (200,)),
    ("/logo.svg", "GET", {"Version-Override": "v2"}, (200,)),
    ("/dot.png", "GET", {}, (200,)),
    ("/data.json", "GET", {}, (200,)),
    ("/app.webmanifest", "GET", {}, (200,)),
    ("/empty.txt", "GET", {}, (200,)),
    (ASSET, "GET", SCRIPT, (200,)),
    (ASSET, "HEAD", {}, (200,)),
    (ASSET, "GET", {"If-None-Match": "*"}, (304,)),
    (ASSET, "GET", {"Range": "bytes=0-99"}, (206,)),
    (ASSET, "GET", {"Range": "bytes=-9"}, (206,)),
    (ASSET, "GET", {"Range": "bytes=0-9,100-109"}, (206,)),
    (ASSET, "GET", {"Range": "bytes=99999-"}, (416,)),
    (ASSET, "GET", {"If-Match": '"other"'}, (412,)),
    (SHARED, "GET", SCRIPT, (200,)),
    (COLLISION, "GET", SCRIPT, (200,)),
    (LARGE, "GET", {}, (200,)),
    (LARGE, "GET", {"Range": "bytes=1000000-1000099"}, (206,)),
    (COMPRESSED, "GET", {}, (200,)),
    (COMPRESSED, "GET", {"Accept-Encoding": "gzip"}, (200,)),
    (COMPRESSED, "HEAD", {"Accept-Encoding": "gzip"}, (200,)),
    (COMPRESSED, "GET", {"Accept-Encoding": "gzip", "If-None-Match": "*"}, (304,)),
    (COMPRESSED, "GET", {"Accept-Encoding": "gzip", "Range": "bytes=0-9"}, (206,)),
    (ASSET, "POST", {}, (405,)),
    (ASSET, "OPTIONS", {}, (204, 405)),
    ("/", "DELETE", {}, (405,)),
    ("/nothing", "GET", {}, (404, 200)),
    ("/nothing", "GET", NAVIGATION, (404, 200)),
    ("/nothing", "POST", {}, (404, 405)),
    ("/assets/gone-BX4CeNGx.js", "GET", SCRIPT, (404,)),
    ("/assets/gone-BX4CeNGx.js", "HEAD", {}, (404,)),
    ("/orders", "GET", NAVIGATION, (404, 200)),
    ("/orders", "GET", {"If-None-Match": '"orders-1"'}, (404, 200, 304)),
    ("/api/cart", "GET", SCRIPT, (404, 200)),
    ("/api/cart", "POST", {}, (404, 200, 405)),
    ("/nothing//docs", "GET", {}, (404, 307, 200)),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two builds."""
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    """One of the ways to serve the site."""
    return str(request.param)


@pytest.fixture(scope="module")
def application(layout: str, site: Path) -> WSGIApplication:
    """The site in that layout."""
    return make(layout, site)


def exchanged(
    application: WSGIApplication, target: str, method: str = "GET", fields: Mapping[str, str] | None = None
) -> Exchange:
    """Return a request that was asked through the checkers of PEP 3333, and its answer."""
    fields = {**KEY, **(fields or {})}
    answer = client(application).open(target, method=method, headers=fields)
    return Exchange(method, target, list(fields.items()), answer.status, list(answer.headers), answer.data)


@pytest.mark.parametrize(
    ("target", "method", "fields", "statuses"),
    REQUESTS,
    ids=[f"{method} {target} {' '.join(fields)}" for target, method, fields, _ in REQUESTS],
)
def test_httplint(
    layout: str,
    application: WSGIApplication,
    target: str,
    method: str,
    fields: dict[str, str],
    statuses: tuple[int, ...],
) -> None:
    """Each kind of answer, in each way to serve, is free of errors and of warnings that are ours."""
    exchange = exchanged(application, target, method, fields)
    if layout != "versions are applications":  # the applications' statuses are their own
        assert int(exchange.status[:3]) in statuses
    assert lint(exchange) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"Content-Length": "3"}, "CL_INCORRECT"),
        ({"Cache-Control": "max-age=1, max-age=2"}, "CC_DUP"),
        ({"Cache-Control": None, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, "FRESHNESS_HEURISTIC"),
        ({"Cache-Control": "no-cache", "ETag": None, "Last-Modified": None}, "FRESHNESS_NO_CACHE_NO_VALIDATOR"),
        ({"ETag": "unquoted"}, "BAD_SYNTAX"),
        ({"Vary": "*"}, "VARY_ASTERISK"),
        ({"Vary": "A, B, C, D, E"}, "VARY_COMPLEX"),
        ({"Content-Type": "image/png"}, "CONTENT_TYPE_MISMATCH"),
    ],
)
def test_httplint_finds_faults(site: Path, change: dict[str, str | None], name: str) -> None:
    """A fault that is put into an answer of ours is found, although some notes of its name are accepted elsewhere."""
    exchange = exchanged(make("alone", site), "/robots.txt")
    kept = [(known, value) for known, value in exchange.headers if known not in change]
    wrong = [*kept, *((known, value) for known, value in change.items() if value is not None)]
    found = lint(Exchange(exchange.method, exchange.target, (), exchange.status, wrong, exchange.body))
    assert name in [note.name for note in found]


def test_every_accepted_note_is_given(site: Path) -> None:
    """What is accepted for our own answers is still said of some: a reason that nothing needs any more must go."""
    given = {
        note.name
        for application in [make(layout, site) for layout in LAYOUTS]
        for target, method, fields, _ in REQUESTS
        for exchange in [exchanged(application, target, method, fields)]
        if exchange.is_ours
        for note in warnings_of(notes_of(exchange))
    }
    assert given == {
        "CC_CONFLICTING",
        "FRESHNESS_NO_CACHE_NO_VALIDATOR",
        "PARTIAL_WITHOUT_RANGE",
        "STORE_PUBLIC_UNNECESSARY",
        "VARY_COMPLEX",
    }


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ([("Content-Type", "text/html; charset=utf-8")], "1 passed"),
        ([("Content-Type", "text/html; charset=utf-8"), ("ETag", "unquoted")], "1 failed"),
    ],
)
def test_answers_of_other_tests_are_linted(headers: list[tuple[str, str]], outcome: str, tmp_path: Path) -> None:
    """With the plugin, a test whose answer has a fault fails, although it asserts nothing."""
    test = tmp_path / "test_it.py"
    test.write_text(
        "from tests.harness import client\n"
        "from version_affinity import VersionAffinity, Version\n"
        "def test_it():\n"
        "    def app(environ, start_response):\n"
        f"        start_response('200 OK', {headers!r})\n"
        "        return [b'<!doctype html>']\n"
        "    client(VersionAffinity(app, [Version('v1', app)])).get('/')\n"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.protocol.lint_plugin", "-c", root / "pyproject.toml", test],
        env={**os.environ, "PYTHONPATH": str(root), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in ran.stdout, ran.stdout


# REDbot.

#: What REDbot is sent to: path, header fields, and the status.
RESOURCES: list[tuple[str, dict[str, str], str]] = [
    ("/", {}, "200"),
    ("/", NAVIGATION, "200"),
    ("/about", {}, "200"),
    ("/about.html", {}, "307"),
    ("/docs/", {}, "200"),
    ("/robots.txt", {}, "200"),
    ("/logo.svg", SCRIPT, "200"),
    ("/dot.png", {}, "200"),
    ("/empty.txt", {}, "200"),
    ("/data.json", {}, "200"),
    (ASSET, {}, "200"),
    (SHARED, SCRIPT, "200"),
    (COLLISION, SCRIPT, "200"),
    (LARGE, {}, "200"),
    (COMPRESSED, {}, "200"),
    ("/nothing.txt", {}, "404"),
    ("/assets/gone-BX4CeNGx.js", {}, "404"),
]
#: Of the example: a page and a file of its build, pages and data of its application.
EXAMPLE = ["/", "/rollout", "/favicon.svg", "/release.json", "/missing.js", "/api/products", "/about"]


@pytest.fixture
def redbot(tmp_path: Path) -> Callable[[list[tuple[str, dict[str, str]]]], list[dict[str, Any]]]:
    """Give a way to ask REDbot about resources."""
    if importlib.util.find_spec("redbot") is None:
        if sys.version_info < (3, 11):
            pytest.skip("REDbot needs Python 3.11")
        missing("redbot", "it comes with the extra 'test'")

    def ask(resources: list[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
        script = Path(__file__).with_name("redbot_client.py")
        ran = subprocess.run(
            [sys.executable, str(script)],
            input=json.dumps(resources),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return list(json.loads(ran.stdout))

    return ask


def exchanges_of(
    url: str, fields: Mapping[str, str], result: dict[str, Any]
) -> Iterator[tuple[str, Exchange, list[Note]]]:
    """Yield the name of each request that REDbot made for a resource, the exchange, and what it says of that."""
    for check, said in result.items():
        if said["asked"]:
            assert not said["error"], (url, check, said["error"])
            headers = [(name, value) for name, value in said["headers"]]
            exchange = Exchange("GET", url, list(fields.items()), f"{said['status']} Status", headers, None)
            yield check, exchange, [Note(*note) for note in said["notes"]]


@pytest.mark.parametrize("layout", ["alone", "from disk", "split"])
def test_redbot_on_a_build(layout: str, site: Path, redbot: Callable[..., Any], tmp_path: Path) -> None:
    """REDbot, which revalidates, asks for ranges and negotiates, has no complaint about pages and assets."""
    environment = {"LINTED_LAYOUT": layout, "LINTED_SITE": str(site)}
    with serving("granian", "tests.protocol.linted_site:served()", tmp_path, environment) as server:
        results = redbot([(server.url + path, {**KEY, **fields}) for path, fields, _ in RESOURCES])
    supported = set()
    for (path, fields, status), result in zip(RESOURCES, results, strict=True):
        assert result["resource"]["status"] == status, path
        for check, exchange, notes in exchanges_of(path, fields, result):
            assert [note for note in warnings_of(notes) if not is_accepted(note, exchange)] == [], (path, check)
            supported |= {note.name for note in notes}
    assert {"INM_304", "RANGE_CORRECT", "CONNEG_GZIP_GOOD"} <= supported


def test_redbot_on_the_example(redbot: Callable[..., Any], tmp_path: Path) -> None:
    """REDbot has no complaint about what the example's pages and files get from this package."""
    with serving("granian", "tests.served:example()", tmp_path) as server:
        results = redbot([(server.url + path, {"Cookie": "session_id=test123", **NAVIGATION}) for path in EXAMPLE])
    for path, result in zip(EXAMPLE, results, strict=True):
        for check, exchange, notes in exchanges_of(path, {}, result):
            assert [note for note in warnings_of(notes) if not is_accepted(note, exchange)] == [], (path, check)
