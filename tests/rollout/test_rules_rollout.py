"""``_headers`` and ``_redirects`` of builds under ``VersionAffinity``: what a rollout leaves of them, as tables."""

from __future__ import annotations

import gc
import gzip
import itertools
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builds import NAME, SPLIT, Answer, key_of, pinned, rollout
from tests.harness import NAVIGATION, SCRIPT, client, state_of, write_build
from version_affinity import StaticAssets, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.test import TestResponse

    from version_affinity import VersionAffinity

PUBLIC, MINUTE = "public, max-age=60", "private, max-age=60"
PRIVATE, UNSTORED, NO_STORE = "private, no-cache", "private, no-store", "no-store"
REVALIDATED, FOREVER = "public, max-age=0, must-revalidate", "public, max-age=31536000, immutable"
SHARED = "/assets/worker-BX4CeNGm.js"
COLLISION = "/assets/chunk-C0liD3sX.js"
ONE = {"v1": 100.0}
FORCED = {"Version-Override": "v2"}
FRAME = {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}
SPA = {"not_found_handling": "single-page-application"}
COOKIE = f"version-affinity-{NAME}"


def on(version: str) -> dict[str, str]:
    """Return the header that decides for a version during the split."""
    return {"Version-Key": key_of(version)}


class Builds:
    """Writes builds below a directory, and rolls them out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(
        self,
        builds: Mapping[str, Mapping[str, str | bytes]],
        shares: Mapping[str, float] = SPLIT,
        app: Answer | None = None,
        retained: Iterable[str] = (),
        **options: object,
    ) -> VersionAffinity:
        """Return the middleware over builds by id, each given by its files."""
        written = {version: write_build(self.directory / version, files) for version, files in builds.items()}
        return rollout(written, app, shares, retained, **options)


@pytest.fixture
def of(tmp_path: Path) -> Builds:
    """Return what rolls builds out."""
    return Builds(tmp_path)


# --- _headers ---------------------------------------------------------------------------------------------------------

CACHING = f"""/*
  Cache-Control: {PUBLIC}
  CDN-Cache-Control: max-age=60
  X-Accel-Expires: 60
  Expires: Thu, 01 Jan 2037 00:00:00 GMT
  ETag: "of-all-versions"
  Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT
  X-Rule: yes
  Set-Cookie: theme=dark
"""
# path, request headers, status, Cache-Control: of two versions that differ in all but a worker and robots.txt
RULED = [
    ("/", {**NAVIGATION, **on("v1")}, 200, PRIVATE),
    ("/", {**NAVIGATION, **on("v2"), **pinned("v2")}, 200, PRIVATE),
    ("/", {**on("v1"), "If-None-Match": "*"}, 304, PRIVATE),
    ("/", {**on("v1"), "If-Match": '"another"'}, 412, NO_STORE),
    ("/", FORCED, 200, UNSTORED),
    ("/", {**FORCED, "If-None-Match": "*"}, 304, UNSTORED),
    ("/", {**FORCED, "If-Match": '"another"'}, 412, UNSTORED),
    ("/", {**FORCED, "Range": "bytes=99-"}, 416, UNSTORED),
    ("/index.html", on("v1"), 307, PRIVATE),
    ("/index.html", FORCED, 307, UNSTORED),
    ("/logo.svg", on("v1"), 200, PRIVATE),
    ("/logo.svg", {**on("v1"), "Range": "bytes=0-1"}, 206, PRIVATE),
    ("/logo.svg", {**on("v1"), "Range": "bytes=99-"}, 416, NO_STORE),
    ("/robots.txt", on("v1"), 200, PRIVATE),
    (COLLISION, {**SCRIPT, **pinned("v2")}, 200, PRIVATE),
    ("/only.txt", on("v2"), 200, PRIVATE),  # v1's
    ("/nothing", {**NAVIGATION, **on("v1")}, 404, NO_STORE),  # the 404 page
    ("/old", on("v1"), 302, PRIVATE),
    ("/old", FORCED, 302, UNSTORED),
]


@pytest.mark.parametrize(("path", "headers", "status", "cache_control"), RULED)
@pytest.mark.parametrize(
    "rule", [CACHING, CACHING.replace("*", ":any\n  X-A: b\n/*"), CACHING.replace("/*", "https://:host/*")]
)
def test_no_rule_makes_public_what_is_decided(
    of: Builds, rule: str, path: str, headers: dict[str, str], status: int, cache_control: str
) -> None:
    """Whatever rules say of caching, an answer under a decision is for nobody else, and keeps the tag of its bytes."""
    files = {
        version: {
            "_headers": rule,
            "_redirects": "/old /about",
            "index.html": version,
            "404.html": version,
            "logo.svg": f"<svg>{version}",
            "robots.txt": "",
            COLLISION[1:]: version,
        }
        for version in SPLIT
    }
    files["v1"]["only.txt"] = "v1"
    response = client(of(files, not_found_handling="404-page")).get(path, headers=headers)
    assert (response.status_code, response.headers.getlist("Cache-Control")) == (status, [cache_control])
    assert response.headers["X-Rule"] == "yes"
    assert response.headers.getlist("Version-Affinity") != []
    names = {name.lower() for name, _ in response.headers}
    assert names.isdisjoint({"cdn-cache-control", "x-accel-expires", "expires", "last-modified"})
    assert response.headers.get("ETag") != '"of-all-versions"'
    assert "theme=dark" in response.headers.getlist("Set-Cookie")


def test_a_rule_may_be_stricter(of: Builds) -> None:
    """What a rule says of a browser's own cache holds under a decision, but not over an override."""
    files = {version: {"_headers": f"/*\n  Cache-Control: {MINUTE}", "index.html": version} for version in SPLIT}
    asked = client(of(files))
    for path, status in (("/", 200), ("/index.html", 307)):
        for headers, cache_control in ((on("v1"), MINUTE), (FORCED, UNSTORED)):
            response = asked.get(path, headers=headers)
            assert (response.status_code, response.headers["Cache-Control"]) == (status, cache_control)


RULE = {"_headers": f"/*\n  Cache-Control: {PUBLIC}"}
OTHERS = f"/*\n  Cache-Control: {PUBLIC}\n/page\n  X-A: b\n/data.json\n  X-A: b"
HOSTS = f"{RULE['_headers']}\nhttps://a.example/*\n  X-A: b"
INDEX, PAGE, DATA = {"index.html": "all"}, {"page.html": "page"}, {"data.json": "1"}
# the files of v1, which has 100 %, and of v0, which is retained; path, and the status that v1 and the pinned v0 give
DECIDED = {
    "a page that the other lacks": ({**INDEX, **PAGE}, INDEX, "/page", 200, None),
    "a page that the other shows elsewhere": (
        {"x.html": "x", "x/index.html": "another"},
        {"x.html": "x"},
        "/x/",
        200,
        307,
    ),
    "a page that is a file there": ({"x.html": "same"}, {"x": "same", "x.txt": ""}, "/x", 200, 200),
    "a page of other bytes": (PAGE, {"page.html": "of v0"}, "/page", 200, 200),
    "a file that is a page there": ({"x": "1"}, {"x.html": "2"}, "/x", 200, 200),
    "a file of other bytes": (DATA, {"data.json": "0"}, "/data.json", 200, 200),
    "a file that a rule of the other leads away from": (
        DATA,
        {**DATA, "_redirects": "/data.json /new"},
        "/data.json",
        200,
        302,
    ),
    "a file of other fields": (DATA, {**DATA, "_headers": OTHERS}, "/data.json", 200, 200),
    "a file of other fields, by host": (DATA, {**DATA, "_headers": HOSTS}, "/data.json", 200, 200),
    "a page of other fields": (PAGE, {**PAGE, "_headers": OTHERS}, "/page", 200, 200),
    "a rewrite": ({**PAGE, "_redirects": "/short /page 200"}, PAGE, "/short", 200, None),
    "a rewrite over a file": ({**PAGE, **DATA, "_redirects": "/data.json /page 200"}, DATA, "/data.json", 200, 200),
}


@pytest.mark.parametrize("case", DECIDED)
def test_only_what_all_answer_alike_is_public(of: Builds, case: str) -> None:
    """With one version at 100 % a rule's public caching holds only where every known version answers the same."""
    new, old, path, status, other = DECIDED[case]
    old = {"other.txt": "", **old}
    asked = client(of({"v1": {**RULE, **new}, "v0": {**RULE, **old}}, ONE, Answer(), ["v0"]))
    response = asked.get(path, headers=NAVIGATION)
    assert (response.status_code, response.headers["Cache-Control"]) == (status, PRIVATE)
    of_old = asked.get(path, headers={**FRAME, **pinned("v0")})
    assert (of_old.status_code, of_old.text == "the app") == (other or 200, other is None)
    # A version that has never had a share counts, too: an override reaches it.
    staged = client(of({"v1": {**RULE, **new}, "v0": {**RULE, **old}}, {"v1": 100, "v0": 0}, Answer()))
    assert staged.get(path, headers=NAVIGATION).headers["Cache-Control"] == PRIVATE


ALIKE = {
    "a page of both": (PAGE, PAGE, "/page"),
    "the first page": (INDEX, INDEX, "/"),
    "a file of both": (DATA, DATA, "/data.json"),
    "a file of one, which serves both": (DATA, INDEX, "/data.json"),
    "a file of the other, which serves both": (INDEX, DATA, "/data.json"),
    "other fields elsewhere": (PAGE, {**PAGE, "_headers": f"{RULE['_headers']}\n/b\n  X-A: b"}, "/page"),
    "a rule elsewhere": (PAGE, {**PAGE, "_redirects": "/old /page"}, "/page"),
}


@pytest.mark.parametrize("headers", [NAVIGATION, SCRIPT, {}])
@pytest.mark.parametrize("case", ALIKE)
def test_what_all_answer_alike_is_public(of: Builds, case: str, headers: dict[str, str]) -> None:
    """With one version at 100 % the rule for what every known version answers alike holds as it stands."""
    new, old, path = ALIKE[case]
    old = {"other.txt": "", **RULE, **old}
    affinity = of({"v1": {**RULE, **new}, "v0": old}, ONE, Answer(), ["v0"])
    response = client(affinity).get(path, headers=headers)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, PUBLIC)
    assert "Vary" not in response.headers
    alone = client(of({"v1": {**RULE, **new, **old}}, ONE)).get(path, headers=headers)
    assert (alone.status_code, alone.headers["Cache-Control"]) == (200, PUBLIC)


def test_no_file_is_public_beside_an_application(of: Builds, tmp_path: Path) -> None:
    """A version that is an application may answer anything anywhere, so that nothing is answered alike."""
    build = write_build(tmp_path / "v1", {**RULE, **INDEX, **DATA})
    affinity = rollout({"v1": build, "v0": Answer()}, None, ONE, ["v0"])
    for path in ("/", "/data.json"):
        assert client(affinity).get(path).headers["Cache-Control"] == PRIVATE
    affinity.retire("v0")
    for path in ("/", "/data.json"):
        assert client(affinity).get(path).headers["Cache-Control"] == PUBLIC


@pytest.mark.parametrize("app", [None, Answer()])
@pytest.mark.parametrize("variants", [False, True])
@pytest.mark.parametrize(
    ("rule", "shares", "cache_control"),
    [
        ("", ONE, PRIVATE),
        (f"/*\n  Cache-Control: {PUBLIC}", ONE, PRIVATE),
        (f"/*\n  Cache-Control: {PUBLIC}", SPLIT, PRIVATE),
        (f"/*\n  Cache-Control: {MINUTE}", ONE, MINUTE),
    ],
)
def test_single_page_document(
    of: Builds, rule: str, shares: dict[str, float], cache_control: str, variants: bool, app: Answer | None
) -> None:
    """A page's document is for no other kind of request at its path: no shared cache keeps it, and Vary says so."""
    document = "<h1>document</h1>" * 20
    files: dict[str, str | bytes] = {"index.html": document, "_redirects": "/rewritten /orders 200", "_headers": rule}
    if variants:
        files["index.html.gz"] = gzip.compress(document.encode(), mtime=0)
    files["rewritten.html"] = "shadowed"
    affinity = of(dict.fromkeys(shares, files), shares, app, **SPA)
    for path in ("/orders", "/rewritten"):
        response = client(affinity).get(path, headers=NAVIGATION)
        assert (response.text, response.headers["Cache-Control"]) == (document, cache_control)
        vary = response.headers["Vary"].split(", ")
        assert {"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Accept"} <= {*vary}
        assert ("Accept-Encoding" in vary) is variants
    fetched = client(affinity).get("/orders", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"})
    assert fetched.text != document
    at_home = client(affinity).get("/", headers=NAVIGATION)
    assert at_home.headers["Cache-Control"].startswith("public") is (shares is ONE and cache_control is not MINUTE)


# --- URLs that a navigation and other requests are answered differently at -------------------------------------------

NEGOTIATED = {"sec-fetch-mode", "sec-fetch-dest", "accept"}
#: Requests that reach the application at a path at which a navigation is shown the document.
OTHERS: list[dict[str, str]] = [
    {},
    {"Accept": "*/*"},
    SCRIPT,
    FRAME,
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
]
#: How a build comes to show a page where no file is.
SHOWING: list[tuple[dict[str, str], dict[str, str]]] = [(SPA, {}), ({}, {"_redirects": "/orders* / 200"})]


class Says:
    """An application that gives one answer to everybody."""

    status = "404 Not Found"
    fields = (("Content-Type", "application/json"),)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Give it."""
        start_response(self.status, [("Content-Length", "0"), *self.fields])
        return []


def words(response: TestResponse, name: str) -> list[str]:
    """Return the words of a list field in lower case."""
    return [word.strip().lower() for word in response.headers.get(name, "").split(",") if word.strip()]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("options", "rules"), SHOWING)
def test_both_halves_say_so(
    of: Builds, tmp_path: Path, alone: bool, options: dict[str, str], rules: dict[str, str]
) -> None:
    """Both answers of a negotiated URL name in Vary what chose between them; an error is kept only if it says so."""
    app, build = Says(), {**INDEX, **rules}
    served: WSGIApplication
    if alone:
        served = StaticAssets(write_build(tmp_path / "alone", build), app, **options)  # type: ignore[arg-type]
    else:
        served = of({"v1": build, "v2": build}, ONE, app, ["v2"], **options)
    ours = client(served)
    shown = ours.get("/orders", headers=NAVIGATION)
    assert (shown.status_code, shown.text) == (200, INDEX["index.html"])
    assert set(words(shown, "Vary")) >= NEGOTIATED
    for status, kind, caching, vary in itertools.product(
        ("200 OK", "301 Moved Permanently", "404 Not Found", "500 Internal Server Error"),
        ("application/json", "text/html"),
        ("", "max-age=60", "public, max-age=60", "private"),
        ("", "Origin, accept"),
    ):
        app.status = status
        to = "/login" if status[0] == "3" else ""
        named = (("Content-Type", kind), ("Location", to), ("Cache-Control", caching), ("vary", vary))
        app.fields = tuple(field for field in named if field[1])
        for other in OTHERS:
            answer = ours.get("/orders", headers=other)
            told = (app.status, app.fields, other, answer.headers)
            if rules and answer.text:
                continue  # a rule shows the page in frames and to clients without Sec-Fetch-*, too
            varying = words(answer, "Vary")
            assert set(varying) >= NEGOTIATED | ({"origin"} if vary else set()), told
            assert len(varying) == len(set(varying)), told
            assert len(answer.headers.getlist("Vary")) == 1, told
            assert ("no-store" in words(answer, "Cache-Control")) is (status[0] in "45" and not caching), told
            assert set(words(answer, "Cache-Control")) >= set(filter(None, caching.split(", "))), told


def test_one_answer_for_all(of: Builds, tmp_path: Path) -> None:
    """Where a navigation reaches the application too, its answers stay as they are."""
    kept = {"Content-Length": "0", "Content-Type": "application/json"}
    app = Says()
    rules = {"_redirects": "/shown / 200"}
    files = {**INDEX, "data.json": "{}"}
    asked = [
        (of({"v1": files}, ONE, app, app_first=["/api/*"], **SPA), "GET", "/api/orders"),
        (of({"v1": files}, ONE, app, prefix="/shop/", **SPA), "GET", "/orders"),
        (of({"v1": files}, ONE, app), "GET", "/orders"),
        (of({"v1": {**files, **rules}}, ONE, app), "GET", "/orders"),
        (StaticAssets(write_build(tmp_path / "alone", files), app), "GET", "/orders"),
        (
            StaticAssets(tmp_path / "alone", app, prefix="/shop/", not_found_handling="single-page-application"),
            "GET",
            "/o",
        ),
    ]
    for served, method, path in asked:
        assert dict(client(served).open(path, method=method).headers) == kept


@pytest.mark.parametrize(("options", "rules"), SHOWING)
def test_the_document_in_place_of_the_application(of: Builds, options: dict[str, str], rules: dict[str, str]) -> None:
    """The trace says when a build's page answered in place of the application, and only then."""
    build = {**INDEX, **rules}
    for app, says in ((Answer(), True), (None, False)):
        ours = client(of({"v1": build, "v2": build}, SPLIT, app, **options))
        shown = ours.get("/orders", headers=NAVIGATION)
        assert shown.text == INDEX["index.html"]
        assert shown.headers["Version-Affinity"].endswith(";answer=document") is says
        assert "answer=" not in ours.get("/", headers=NAVIGATION).headers["Version-Affinity"]


# --- how long a page is kept at a path that is not its own ------------------------------------------------------------


@pytest.mark.parametrize(("options", "rules"), [(SPA, {}), ({}, {"_redirects": "/static/* / 200"})])
@pytest.mark.parametrize(
    ("home", "here", "expected"),
    [
        # The rule for the path allows more than the document's own.
        ("", f"Cache-Control: {FOREVER}", ""),
        ("", "Cache-Control: private, max-age=31536000", ""),
        ("", "Cache-Control: private, max-age=31536000, max-age=0", ""),
        ("", "Cache-Control: public", ""),
        ("", "Cache-Control: max-age=0, stale-while-revalidate=600", ""),
        ("", "Cache-Control: max-age=0, s-maxage=600", ""),
        ("", "CDN-Cache-Control: max-age=600", ""),
        ("", "Expires: Thu, 01 Jan 2037 00:00:00 GMT", ""),
        ("", "Surrogate-Control: max-age=600\n  Cache-Control: no-cache", ""),
        ("", "! Cache-Control", ""),
        ("", "! Vary", ""),
        ("Cache-Control: private, max-age=60", f"Cache-Control: {FOREVER}", "private, max-age=60"),
        ("Cache-Control: no-store", f"Cache-Control: {FOREVER}", "no-store"),
        ("Cache-Control: private, max-age=60", "Cache-Control: private, max-age=61", "private, max-age=60"),
        # It allows less.
        ("Cache-Control: public, max-age=60", "", ""),
        ("", "Cache-Control: no-store", "no-store"),
        ("", "Cache-Control: private, no-cache", "private, no-cache"),
        ("Cache-Control: private, max-age=60", "Cache-Control: private, max-age=59", "private, max-age=59"),
        ("Cache-Control: private, max-age=60", f"Cache-Control: no-store\n  CDN-Cache-Control: {FOREVER}", "no-store"),
    ],
)
def test_a_page_elsewhere_is_not_kept_longer(
    of: Builds, tmp_path: Path, options: dict[str, str], rules: dict[str, str], home: str, here: str, expected: str
) -> None:
    """A page at a path that is not its own is never kept longer than at its own path; other fields of rules hold."""
    at_home = f"/\n  X-Home: 1\n  {home}\n"
    build = {**INDEX, **rules, "_headers": f"{at_home}/static/*\n  X-Here: 1\n  {here}\n"}
    of_file = StaticAssets(write_build(tmp_path / "alone", build), **options)  # type: ignore[arg-type]
    for served, usual in (
        (of_file, REVALIDATED),
        (StaticAssets(tmp_path / "alone", Answer(), **options), REVALIDATED),  # type: ignore[arg-type]
        (of({"v1": build}, ONE, **options), PRIVATE),
        (of({"v1": build, "v2": build}, SPLIT, Answer(), **options), PRIVATE),
    ):
        answer = client(served).get("/static/page", headers=NAVIGATION)
        assert answer.text == INDEX["index.html"]
        assert answer.headers.getlist("Cache-Control") == [expected or usual]
        assert (answer.headers.get("X-Here"), answer.headers.get("X-Home")) == ("1", None)
        assert {"Sec-Fetch-Mode", "Sec-Fetch-Dest"} <= set(answer.headers["Vary"].split(", "))
        assert not {"CDN-Cache-Control", "Expires", "Surrogate-Control"} & set(answer.headers.keys())


# --- _headers of fingerprinted files ----------------------------------------------------------------------------------


def test_no_cookie_with_what_everybody_keeps(of: Builds) -> None:
    """A rule's cookie is left out of a file that is served by name: many caches keep nothing that sets one."""
    rule = "/*\n  Set-Cookie: theme=dark\n  X-Rule: yes"
    response = client(of({version: {"_headers": rule, SHARED[1:]: ""} for version in SPLIT})).get(SHARED)
    assert (response.headers["Cache-Control"], response.headers["X-Rule"]) == (FOREVER, "yes")
    assert "Set-Cookie" not in response.headers


ISOLATED = "/*\n  Cross-Origin-Embedder-Policy: require-corp"
BOTH = {"v1": 90.0, "v2": 10.0}


def policy(response: TestResponse) -> str | None:
    """Return the field that v2 adds to all answers."""
    return response.headers.get("Cross-Origin-Embedder-Policy")


@pytest.mark.parametrize(
    ("shares", "retained", "expected"),
    [
        (BOTH, [], "v2"),
        ({"v2": 10.0, "v1": 90.0}, [], "v1"),  # the newest is the last one listed
        ({"v1": 100.0}, ["v2"], "v1"),
        ({"v2": 100.0}, ["v1"], "v2"),
        ({"v1": 100.0, "v2": 0.0}, [], "v1"),
        ({"v1": 0.0, "v2": 100.0}, [], "v2"),
        ({"v3": 100.0}, ["v1", "v2"], "v2"),
        ({"v3": 100.0, "v2": 0.0}, ["v1"], "v1"),
    ],
)
def test_the_newest_live_owner_decides(
    of: Builds, caplog: pytest.LogCaptureFixture, shares: dict[str, float], retained: list[str], expected: str
) -> None:
    """A file that versions share carries the fields of the newest of them with a share, and that is reported once."""
    files = {
        "v1": {SHARED[1:]: "worker", "own-BX4CeNGm.js": ""},
        "v2": {SHARED[1:]: "worker", "_headers": ISOLATED},
        "v3": {"a": ""},
    }
    affinity = of({id_: files[id_] for id_ in (*shares, *retained)}, shares, None, retained)
    for version in ("v1", "v2"):
        response = client(affinity).get(SHARED, headers={**SCRIPT, **pinned(version)})
        assert (response.text, response.headers["Cache-Control"]) == ("worker", FOREVER)
        assert policy(response) == ("require-corp" if expected == "v2" else None)
    (report,) = [record for record in caplog.records if "different header fields" in record.getMessage()]
    assert (report.levelno, "own-" in report.getMessage()) == (logging.WARNING, False)
    assert report.getMessage().startswith("1 fingerprinted name has different header fields in the _headers")
    assert report.getMessage().endswith(f": {SHARED!r}")


def test_the_newest_live_owner_follows_deployments(of: Builds, caplog: pytest.LogCaptureFixture) -> None:
    """The fields of a shared file follow the rollout and its rollback, and nothing is reported again."""
    versions = {"v1": {SHARED[1:]: "worker", "index.html": "1"}, "v2": {SHARED[1:]: "worker", "_headers": ISOLATED}}
    affinity = of({"v1": versions["v1"]}, ONE)
    asked = client(affinity)
    affinity.add(Version("v2", write_build(of.directory / "v2", versions["v2"])))
    assert len(caplog.records) == 1
    for shares, expected in (
        ({"v1": 100, "v2": 0}, None),
        ({"v1": 90, "v2": 10}, "require-corp"),
        ({"v2": 20, "v1": 80}, "require-corp"),
        ({"v2": 100}, "require-corp"),
        ({"v1": 100}, None),
    ):
        affinity.deploy(shares)
        assert policy(asked.get(SHARED)) == expected
        assert policy(asked.get(SHARED, headers={"If-None-Match": "*"})) == expected
        catalog = state_of(affinity).catalog
        affinity.deploy(dict(reversed(shares.items())))
        assert state_of(affinity).catalog is catalog
    assert len(caplog.records) == 1
    affinity.deploy({"v2": 100})
    affinity.retire("v1")
    assert policy(asked.get(SHARED)) == "require-corp"


def test_a_staged_version_decides_nothing(of: Builds) -> None:
    """Of versions without a share those that have had one decide before one that only testers see."""
    affinity = of({"v3": {"a": ""}, "v1": {SHARED[1:]: "worker"}}, {"v3": 100.0}, None, ["v1"])
    affinity.add(Version("v2", write_build(of.directory / "v2", {SHARED[1:]: "worker", "_headers": ISOLATED})))
    assert policy(client(affinity).get(SHARED)) is None
    affinity.retire("v1")
    assert policy(client(affinity).get(SHARED)) == "require-corp"


@pytest.mark.parametrize("first", ["v1", "v2"])
def test_all_origins_of_the_newest(of: Builds, tmp_path: Path, first: str) -> None:
    """Whether other origins may use a shared file is the newest live owner's word, too."""
    builds = {
        version: StaticAssets(
            write_build(tmp_path / version, {SHARED[1:]: "worker"}), allow_all_origins=version == "v2"
        )
        for version in SPLIT
    }
    shares = dict.fromkeys((first, *({*SPLIT} - {first})), 50.0)
    response = client(rollout(builds, None, shares)).get(SHARED)
    assert response.headers.get("Access-Control-Allow-Origin") == ("*" if first == "v1" else None)


# --- the pin ----------------------------------------------------------------------------------------------------------

# what a rule says of /report, request headers, status, whether the pin follows
SHOWN = [
    ("X-A: b", {}, 200, True),
    ("X-A: b", {"If-None-Match": "*"}, 304, True),
    ("X-A: b", {"If-Match": '"another"'}, 412, False),
    ("X-A: b", {"Range": "bytes=99-"}, 416, False),
    ("Content-Disposition: inline", {}, 200, True),
    ('Content-Disposition: attachment; filename="a.html"', {}, 200, False),
    ('content-disposition: Attachment; filename="a.html"', {}, 200, False),
    ('Content-Disposition: attachment; filename="a.html"', {"If-None-Match": "*"}, 304, False),
    ("Content-Type: text/plain", {}, 200, False),
    ("Content-Type: Text/HTML", {}, 200, True),
]


@pytest.mark.parametrize(("field", "headers", "status", "stamped"), SHOWN)
def test_the_pin_follows_what_is_shown(
    of: Builds, field: str, headers: dict[str, str], status: int, stamped: bool
) -> None:
    """A build's page that rules make a download, and an error that shows nothing of it, leave the pin as it was."""
    files = {version: {"report.html": version, "_headers": f"/report\n  {field}"} for version in SPLIT}
    sent = {**NAVIGATION, **on("v2"), **pinned("v1", "7"), **headers}
    response = client(of(files)).get("/report", headers=sent)
    assert response.status_code == status
    cookies = response.headers.getlist("Set-Cookie")
    assert [cookie.partition(";")[0] for cookie in cookies] == ([f"{COOKIE}=7.v2"] if stamped else [])


# --- what the application answers -------------------------------------------------------------------------------------

JSON = Answer(b"{}")


def told(affinity: VersionAffinity, path: str, headers: dict[str, str]) -> str | None:
    """Return the Cache-Control of the application's answer."""
    response = client(affinity).get("/", headers=headers, environ_overrides={"PATH_INFO": path})
    assert response.text == "{}"
    assert ("Version-Affinity" in response.headers) is ("Cache-Control" in response.headers)
    return response.headers.get("Cache-Control")


@pytest.mark.parametrize(
    ("of_v1", "path", "expected"),
    [
        ({"page.html": "1"}, "/page", PRIVATE),
        ({"_redirects": "/old /new"}, "/old", PRIVATE),
        ({"_redirects": "/old /new"}, "/other", None),
        ({"page.html": "1"}, "//page", "private, no-cache"),
        # a rule that shows a page, and one that shows a file
        ({"page.html": "1", "_redirects": "/old /page 200"}, "/old", PRIVATE),
        ({"data.txt": "1", "_redirects": "/old /data.txt 200"}, "/old", PRIVATE),
        # longer than any path for which rules are tried
        ({"_redirects": "/old/* /new"}, f"/old/{'x' * 3000}", None),
    ],
)
def test_where_another_version_answers(of: Builds, of_v1: dict[str, str], path: str, expected: str | None) -> None:
    """What the application says where another version would answer is private."""
    affinity = of({"v1": {"a": "", **of_v1}, "v2": {"b": ""}}, app=JSON)
    assert told(affinity, path, on("v2")) == expected


def test_beside_an_application_everything_is_answered_elsewhere(of: Builds, tmp_path: Path) -> None:
    """A version that is an application answers at every path: what the wrapped one says depends on the decision."""
    build = write_build(tmp_path / "v1", INDEX)
    shares = {"v1": 50.0, "own": 50.0}
    affinity = rollout({"v1": build, "own": Answer(b"[]")}, JSON, shares)
    assert told(affinity, "/api", {"Version-Key": key_of("v1", shares)}) == PRIVATE


def test_beside_a_single_page_application_everything_is_answered_elsewhere(of: Builds, tmp_path: Path) -> None:
    """Beside a build that shows its document at every path, what the application says depends on the decision."""
    builds = {
        version: StaticAssets(
            write_build(tmp_path / version, INDEX),
            not_found_handling="single-page-application" if version == "v1" else "none",
        )
        for version in SPLIT
    }
    assert told(rollout(builds, JSON), "/orders", {**NAVIGATION, **on("v2")}) == PRIVATE
    assert told(rollout({"v2": builds["v2"]}, JSON, {"v2": 100.0}), "/orders", NAVIGATION) is None


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_a_deployment_makes_nothing_anew_that_does_not_depend_on_it(of: Builds) -> None:
    """Whatever is deployed, the files that are served by name stay what they are; rescues follow."""
    files = {
        "v1": {SHARED[1:]: "", "a.txt": "1"},
        "v2": {SHARED[1:]: "", "assets/own-Cw4gUh6j.js": "", "b.txt": "2"},
    }
    affinity = of(files, {"v1": 100.0, "v2": 0.0}, Answer())
    first = state_of(affinity).catalog
    asked = client(affinity)
    assert asked.get("/b.txt").text == "the app"
    for percentages in ({"v1": 90, "v2": 10}, {"v2": 100}, {"v1": 100}, {"v1": 50, "v2": 50}):
        affinity.deploy(percentages)
        catalog = state_of(affinity).catalog
        for kept in ("named", "directories", "app_in_some_versions", "different_bytes", "builds", "bits"):
            assert getattr(catalog, kept) is getattr(first, kept), kept
        assert asked.get("/b.txt", headers={"Version-Key": "a"}).text == "2"
        assert asked.get("/a.txt", headers={"Version-Key": "a"}).text == "1"
    published = catalog
    affinity.deploy({"v1": 20, "v2": 80})
    assert state_of(affinity).catalog is published


def test_what_the_collector_walks(of: Builds) -> None:
    """A file that is served by name costs the garbage collector, which requests wait for, one object and its copy."""
    count = 200
    files = {f"assets/{number}-BX4CeNGm.js": str(number) for number in range(count)}
    plain = {f"{number}.txt": str(number) for number in range(count)}
    affinity = of({"v1": {**files, **plain, **RULE}, "v2": INDEX}, {"v1": 100.0, "v2": 0.0}, Answer())
    affinity.deploy({"v1": 50.0, "v2": 50.0})
    catalog = state_of(affinity).catalog
    assert catalog.named == {}
    for name in catalog.names:
        catalog.make_named(name)
    for _ in range(3):  # it finds out what need not be walked from the inside outwards
        gc.collect()
    assert len(catalog.named) == count
    # Python 3.14 walks every dict; what the dict holds is not walked.
    assert not gc.is_tracked(catalog.names) or sys.version_info >= (3, 14)
    copies = {id(file.copy) for file in catalog.named.values()}
    walked = {
        id(held): held
        for file in catalog.named.values()
        for held in gc.get_referents(file)
        if gc.is_tracked(held) and id(held) not in copies
    }
    assert len(walked) < 10, [type(held) for held in walked.values()]
    assert len(catalog.rescues) == count
    assert not any(gc.is_tracked(held) for held in gc.get_referents(catalog.rescues))
