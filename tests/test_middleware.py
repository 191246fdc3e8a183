"""The five steps of a request, end to end, over builds, applications as versions and a wrapped application."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import pytest
from werkzeug.test import create_environ

from tests.builds import (
    COLLISION,
    DIFFERING,
    ENTRY,
    EQUAL,
    OWN,
    SHARED,
    SPLIT,
    Answer,
    build_of,
    key_of,
    pinned,
    rollout,
    write_builds,
)
from tests.harness import NAVIGATION, SCRIPT, client, write_build
from version_affinity import Decision, StaticAssets, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOST = "/assets/index-N0tHere1.js"
SPA = {"not_found_handling": "single-page-application"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds."""
    return write_builds(tmp_path_factory.mktemp("builds"))


def on(version: str, **headers: str) -> dict[str, str]:
    """Return request headers with a key that falls on a version."""
    return {"Version-Key": key_of(version), **{name.replace("_", "-"): value for name, value in headers.items()}}


# Step 1: serve by name


@pytest.mark.parametrize("path", [SHARED, *ENTRY.values()])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        NAVIGATION,
        SCRIPT,
        on("v1"),
        on("v2"),
        pinned("v1"),
        pinned("v9"),
        {"Version-Override": "v1"},
        {"Version-Override": "v9"},
        {"Sec-Purpose": "prefetch"},
        {"Service-Worker": "script"},
        {"Referer": f"http://localhost{ENTRY['v1']}"},
    ],
)
@pytest.mark.parametrize("options", [{}, SPA, {"cookie": None}, {"app_first": ["/*"]}])
def test_by_name(builds: dict[str, Path], path: str, headers: dict[str, str], options: dict[str, Any]) -> None:
    """A fingerprinted file is the same to everyone: bytes and headers, without a word about the version."""
    affinity = rollout(builds, Answer(), retained=["v0"], **options)
    response = client(affinity).get(path, headers=headers)
    owner = next((version for version, entry in ENTRY.items() if entry == path), "v1")
    assert response.text == build_of(owner)[path[1:]]
    assert sorted(response.headers.keys()) == [
        "Accept-Ranges",
        "Cache-Control",
        "Content-Length",
        "Content-Type",
        "ETag",
        "Last-Modified",
        "X-Content-Type-Options",
    ]


@pytest.mark.parametrize(
    ("field", "status"),
    [("*", 304), ("{etag}", 304), ('"x", W/{etag}', 304), ('"x"', 200), ("", 200), ("{etag}x", 200)],
)
@pytest.mark.parametrize("path", [SHARED, EQUAL, DIFFERING, COLLISION, "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditional(builds: dict[str, Path], path: str, field: str, status: int, method: str) -> None:
    """Our own tags are checked by the rules of If-None-Match, by name and under a decision."""
    asked = client(rollout(builds, Answer()))
    etag = asked.get(path, headers=on("v1")).headers["ETag"]
    headers = {**on("v1"), "If-None-Match": field.format(etag=etag)}
    response = asked.open(path, method=method, headers=headers)
    assert (response.status_code, response.headers["ETag"]) == (status, etag)
    if status == 304:
        assert response.data == b""
        assert "Content-Length" not in response.headers
        assert "Content-Type" not in response.headers


def test_tag_of_another_version(builds: dict[str, Path]) -> None:
    """The tag of one version's file is never confirmed for another version's."""
    asked = client(rollout(builds, Answer()))
    for path in (DIFFERING, COLLISION, "/"):
        etag = asked.get(path, headers=on("v1")).headers["ETag"]
        response = asked.get(path, headers={**on("v2"), "If-None-Match": etag})
        assert (response.status_code, response.text) == (200, build_of("v2")[path[1:] or "index.html"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", [SHARED, EQUAL, "/", LOST, "/api"])
def test_other_methods_go_to_the_application(builds: dict[str, Path], method: str, path: str) -> None:
    """With an application behind, every other method is its own, on the path of a file too."""
    app = Answer()
    response = client(rollout(builds, app)).open(path, method=method)
    assert (response.text, app.environ["REQUEST_METHOD"]) == ("the app", method)


# Step 2: decide


@pytest.mark.parametrize("version", SPLIT)
def test_environ(builds: dict[str, Path], version: str) -> None:
    """The application reads the version and the decision from its environ."""
    app = Answer()
    client(rollout(builds, app)).get("/api", headers=on(version))
    assert app.environ["version_affinity.version"] == version
    assert app.environ["version_affinity.decision"] == Decision(version, "key", "header:Version-Key")


# Step 3: app_first


@pytest.mark.parametrize(
    ("app_first", "path", "by"),
    [
        ([], EQUAL, "file"),
        (["/*"], EQUAL, "app"),
        (["/*"], "/", "app"),
        (["/*", f"!{EQUAL}"], EQUAL, "file"),
        (["/robots.txt"], EQUAL, "app"),
        (["/*"], COLLISION, "app"),
        (["/*"], SHARED, "file"),
        (["/*"], LOST, "app"),
        (["/assets/*"], LOST, "app"),
        (["/api/*"], LOST, "missing"),
    ],
)
def test_app_first(builds: dict[str, Path], app_first: list[str], path: str, by: str) -> None:
    """A pattern gives a path to the application before a file is looked for; fingerprinted files come before it."""
    response = client(rollout(builds, Answer(), app_first=app_first)).get(path)
    told = {"the app": "app", "404 Not Found\n": "missing"}.get(response.text, "file")
    assert told == by


def test_app_first_without_app(builds: dict[str, Path]) -> None:
    """A path that is the application's is not found where there is none."""
    response = client(rollout(builds, None, app_first=["/*"], **SPA)).get("/", headers=NAVIGATION)
    assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")


# Step 4: serve


@pytest.mark.parametrize("version", SPLIT)
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/", NAVIGATION, (200, "index.html")),
        ("/", {}, (200, "index.html")),
        ("/about", NAVIGATION, (200, "about.html")),
        (DIFFERING, {}, (200, DIFFERING[1:])),
        (COLLISION, {}, (200, COLLISION[1:])),
        (EQUAL, {}, (200, EQUAL[1:])),
        (OWN["v0"], {}, (200, OWN["v0"][1:])),
        ("/route/x", NAVIGATION, (200, "index.html")),
        ("/route/x", {"Accept": "text/html"}, (200, "index.html")),
        ("/api", {}, (200, None)),
        ("/media/photo.jpg", {**SCRIPT, "Sec-Fetch-Dest": "image"}, (200, None)),
        (LOST, SCRIPT, (404, None)),
        (LOST, {}, (404, None)),
        ("/assets/lost.css", {**SCRIPT, "Sec-Fetch-Dest": "style"}, (404, None)),
    ],
)
def test_serve(
    builds: dict[str, Path], version: str, path: str, headers: dict[str, str], expected: tuple[int, str | None]
) -> None:
    """The decided version's file answers, else a rescue, the document for pages, 404 for assets, the application."""
    affinity = rollout(builds, Answer(), retained=["v0"], **SPA)
    response = client(affinity).get(path, headers={**headers, **on(version)})
    status, file = expected
    owner = "v0" if path == OWN["v0"] else version
    body = build_of(owner)[file] if file else {200: "the app", 404: "404 Not Found\n"}[status]
    assert (response.status_code, response.text) == (status, body)


@pytest.mark.parametrize(
    ("options", "path", "headers", "expected"),
    [
        ({}, "/route", {}, (404, "404 Not Found\n")),
        ({}, "/route", NAVIGATION, (404, "404 Not Found\n")),
        (SPA, "/route", {}, (200, "page of v1")),
        (SPA, "/route", NAVIGATION, (200, "page of v1")),
        (SPA, "/route", SCRIPT, (404, "404 Not Found\n")),
        (SPA, "/photo.jpg", {}, (404, "404 Not Found\n")),
        (SPA, LOST, {}, (404, "404 Not Found\n")),
        ({"not_found_handling": "404-page"}, "/route", NAVIGATION, (404, "404 Not Found\n")),
    ],
)
def test_without_app(
    builds: dict[str, Path], options: dict[str, Any], path: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    """Without an application the document also answers plain clients' paths; all else is not found, never kept."""
    response = client(rollout(builds, None, **options)).get(path, headers={**headers, **on("v1")})
    status, end = expected
    assert response.status_code == status
    assert response.text.endswith(end)
    if status == 404:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_not_found_page(tmp_path: Path) -> None:
    """The 404 page of the decided version answers without a tag, is never kept, and never answered with 304."""
    builds = write_builds(tmp_path)
    for version in SPLIT:
        write_build(builds[version], {"404.html": f"nothing in {version}"})
    asked = client(rollout(builds, None, not_found_handling="404-page"))
    for version in SPLIT:
        response = asked.get("/nothing", headers={**NAVIGATION, **on(version), "If-None-Match": "*"})
        assert (response.status_code, response.text) == (404, f"nothing in {version}")
        assert response.headers["Cache-Control"] == "no-store"
        assert "ETag" not in response.headers
        assert asked.head("/nothing", headers=on(version)).data == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("POST", EQUAL, 405),
        ("PUT", SHARED, 405),
        ("DELETE", "/about", 405),
        ("PATCH", "/about.html", 405),
        ("OPTIONS", EQUAL, 204),
        ("OPTIONS", "/", 204),
        ("OPTIONS", "/about.html", 204),
        # served by name from whichever version has it
        ("POST", ENTRY["v1"], 405),
        ("POST", ENTRY["v2"], 405),
        ("DELETE", ENTRY["v0"], 405),
        ("OPTIONS", ENTRY["v0"], 204),
        ("OPTIONS", SHARED, 204),
        # a rescue
        ("POST", OWN["v0"], 405),
        ("OPTIONS", OWN["v0"], 204),
        ("POST", "/route", 404),
        ("OPTIONS", "/route", 404),
        ("POST", LOST, 404),
    ],
)
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_methods_without_app(builds: dict[str, Path], method: str, path: str, status: int, prefix: str) -> None:
    """Without an application another method on a file is 405 with Allow, OPTIONS tells what is allowed."""
    affinity = rollout(builds, None, retained=["v0"], prefix=prefix)
    response = client(affinity).open(prefix + path[1:], method=method)
    told = {204: "allowed methods", 405: "not allowed", 404: "not found"}[status]
    assert affinity.explain(create_environ(prefix + path[1:], method=method)).answer == told
    assert response.status_code == status
    assert response.headers.get("Allow") == (None if status == 404 else "GET, HEAD, OPTIONS")
    assert response.headers["Cache-Control"] == "no-store"
    if status == 204:  # RFC 9110 section 8.6: without a Content-Length
        assert response.data == b""
        assert not {"Content-Length", "Content-Type"} & set(response.headers.keys())
    (counted,) = affinity.counters().requests
    assert counted[2] == f"{status // 100}xx"


@pytest.mark.parametrize(
    ("prefix", "script_name", "path", "location"),
    [
        ("/", "", "/index.html", "/"),
        ("/", "", "/about.html?a=b&c=%20d", "/about?a=b&c=%20d"),
        ("/", "", "/about/", "/about"),
        ("/", "/site", "", "/site/"),
        ("/", "/site", "?a=b", "/site/?a=b"),
        ("/", "/site", "/about.html", "/site/about"),
        ("/shop/", "", "/shop", "/shop/"),
        ("/shop/", "", "/shop?a=b", "/shop/?a=b"),
        ("/shop", "", "/shop/about.html", "/shop/about"),
        ("/shop/", "/site", "/shop", "/site/shop/"),
        ("/caf\xe9/", "", "/caf%C3%A9", "/caf%C3%A9/"),
    ],
)
@pytest.mark.parametrize("app", [None, Answer()])
def test_redirects(
    builds: dict[str, Path], app: Answer | None, prefix: str, script_name: str, path: str, location: str
) -> None:
    """Another spelling of a page leads to the page, on the same host, where it is mounted, with its query."""
    environ = {"SCRIPT_NAME": script_name}
    if path[:1] != "/":
        environ["PATH_INFO"], mark, query = path.partition("?")
        path = f"/{mark}{query}"
    response = client(rollout(builds, app, prefix=prefix)).get(path, environ_overrides=environ)
    assert (response.status_code, response.headers["Location"]) == (307, location)


@pytest.mark.parametrize(
    ("handling", "app", "expected"),
    [
        ({}, None, "404 Not Found"),
        ({}, Answer(status="203 Of the app"), "203 Of the app"),
        ({**SPA, "html_handling": "none"}, None, "307 Temporary Redirect"),
        ({**SPA, "html_handling": "none"}, Answer(), "307 Temporary Redirect"),
    ],
)
def test_prefix_without_its_slash(tmp_path: Path, handling: dict[str, str], app: Answer | None, expected: str) -> None:
    """The prefix without its "/" leads to the page there; where the build has none, it is the application's."""
    for version in SPLIT:
        write_build(tmp_path / version, {"a.txt": version, **({"index.html": version} if handling else {})})
    affinity = rollout({version: tmp_path / version for version in SPLIT}, app, prefix="/static/", **handling)
    response = client(affinity).get("/static", headers=NAVIGATION)
    assert response.status == expected
    assert response.headers.get("Location") == ("/static/" if handling else None)


# Where it is mounted


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("/shop/", "page of v1"),
        ("/shop/about", "about v1"),
        (f"/shop{ENTRY['v1']}", "// entry of v1"),
        (f"/shop{ENTRY['v2']}", "// entry of v2"),
        (f"/shop{OWN['v1']}", "of v1"),
        ("/shop/route", "page of v1"),
        (f"/shop{LOST}", "404 Not Found\n"),
        ("/", "the app"),
        ("/about", "the app"),
        ("/shopping", "the app"),
        ("/shop.txt", "the app"),
        (ENTRY["v1"], "the app"),
        (LOST, "the app"),
        ("/SHOP/", "the app"),
    ],
)
@pytest.mark.parametrize("prefix", ["/shop", "/shop/"])
def test_prefix(builds: dict[str, Path], prefix: str, path: str, by: str) -> None:
    """Below the prefix the versions are served, everything outside it goes to the application."""
    response = client(rollout(builds, Answer(), prefix=prefix, **SPA)).get(path, headers={**NAVIGATION, **on("v1")})
    if path == f"/shop{LOST}":
        response = client(rollout(builds, Answer(), prefix=prefix, **SPA)).get(path, headers=SCRIPT)
    assert response.text.endswith(by)


def test_outside_the_prefix_is_decided(builds: dict[str, Path]) -> None:
    """The application outside the prefix knows the decision too, and its pages are stamped."""
    app = Answer(headers=[("Content-Type", "text/html")])
    response = client(rollout(builds, app, prefix="/shop/")).get("/", headers={**NAVIGATION, **on("v2")})
    assert app.environ["version_affinity.version"] == "v2"
    assert response.headers["Set-Cookie"].partition(";")[0].endswith(".v2")
    assert "Path=/;" in response.headers["Set-Cookie"]


def test_outside_the_prefix_without_app(builds: dict[str, Path]) -> None:
    """Without an application, everything outside the prefix is not found."""
    asked = client(rollout(builds, None, prefix="/shop/", **SPA))
    for path in ("/", "/about", LOST, "/shopping"):
        assert asked.get(path, headers=NAVIGATION).status_code == 404


@pytest.mark.parametrize("script_name", ["", "/site", "/a/b"])
def test_script_name_is_left_alone(builds: dict[str, Path], script_name: str) -> None:
    """Mounted somewhere, the middleware leaves SCRIPT_NAME and PATH_INFO to the wrapped application as they are."""
    app = Answer()
    asked = client(rollout(builds, app, prefix="/shop/"))
    asked.get("/api/x", environ_overrides={"SCRIPT_NAME": script_name})
    assert (app.environ["SCRIPT_NAME"], app.environ["PATH_INFO"]) == (script_name, "/api/x")
    asked.get("/shop/nothing", environ_overrides={"SCRIPT_NAME": script_name})
    assert (app.environ["SCRIPT_NAME"], app.environ["PATH_INFO"]) == (script_name, "/shop/nothing")


@pytest.mark.parametrize("left_out", [["PATH_INFO"], ["SCRIPT_NAME"], ["QUERY_STRING"], ["PATH_INFO", "QUERY_STRING"]])
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
@pytest.mark.parametrize("kind", ["builds", "applications"])
def test_variables_that_a_server_may_leave_out(
    builds: dict[str, Path], left_out: list[str], prefix: str, kind: str
) -> None:
    """A variable that would be empty may be absent (PEP 3333): an empty path is the root."""
    versions = builds if kind == "builds" else {"v1": Answer(), "v2": Answer()}
    affinity = rollout(versions, None, prefix=prefix)
    environ = create_environ("/", headers=on("v1"))
    environ.update(SCRIPT_NAME="", PATH_INFO="", QUERY_STRING="")
    for name in left_out:
        del environ[name]
    started: list[str] = []
    affinity(environ, lambda status, headers, exc_info=None: started.append(status) or (lambda _data: None))
    assert started == ["200 OK" if prefix == "/" else "404 Not Found"]


# Applications as versions

MIXED = {"app": 50.0, "v2": 50.0}


def mixed(builds: dict[str, Path], own: Answer, wrapped: Any = None, **options: Any) -> VersionAffinity:
    """Return a rollout between an application and a build."""
    return rollout({**builds, "app": own}, wrapped, MIXED, **options)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/any", EQUAL, LOST])
def test_application_gets_every_method(builds: dict[str, Path], method: str, path: str) -> None:
    """An application that is a version gets every method and path, and its answer is final."""
    own, wrapped = Answer(b"own", "404 Not Found"), Answer()
    response = client(mixed(builds, own, wrapped)).open(
        path, method=method, headers={"Version-Key": key_of("app", MIXED)}
    )
    assert response.status_code == 404
    assert own.environ["REQUEST_METHOD"] == method
    assert wrapped.environ == {}
    assert own.environ["version_affinity.version"] == "app"


def test_mixed_with_a_build(builds: dict[str, Path]) -> None:
    """Beside an application a build is served as ever, its fingerprinted files to everyone."""
    own = Answer(b"own")
    asked = client(mixed(builds, own, Answer()))
    for_app, for_v2 = ({"Version-Key": key_of(version, MIXED)} for version in MIXED)
    assert asked.get("/", headers=for_app).text == "own"
    assert asked.get("/", headers=for_v2).text.endswith("page of v2")
    assert asked.get(ENTRY["v2"], headers=for_app).text == "// entry of v2"
    assert asked.get("/api", headers=for_v2).text == "the app"
    assert asked.post("/", headers=for_v2).text == "the app"
    assert asked.get("/", headers={"Version-Override": "app"}).text == "own"


@pytest.mark.parametrize(
    ("prefix", "script_name", "path", "expected"),
    [
        ("/", "", "/x", ("", "/x")),
        ("/", "/site", "/x", ("/site", "/x")),
        ("/shop/", "", "/shop/x", ("/shop", "/x")),
        ("/shop/", "", "/shop/", ("/shop", "/")),
        ("/shop/", "", "/shop", ("/shop", "")),
        ("/a/b/", "/site", "/a/b/c/d", ("/site/a/b", "/c/d")),
    ],
)
def test_application_is_mounted(
    builds: dict[str, Path], prefix: str, script_name: str, path: str, expected: tuple[str, str]
) -> None:
    """An application that is a version sees the prefix in SCRIPT_NAME; what it was is kept under our key."""
    own = Answer()
    headers = {"Version-Key": key_of("app", MIXED)}
    client(mixed(builds, own, prefix=prefix)).get(path, headers=headers, environ_overrides={"SCRIPT_NAME": script_name})
    assert (own.environ["SCRIPT_NAME"], own.environ["PATH_INFO"]) == expected
    kept = own.environ.get("version_affinity.original", {})
    assert kept == ({} if prefix == "/" else {"SCRIPT_NAME": script_name, "PATH_INFO": path})


CONDITIONS = {
    "If-None-Match": '"a"',
    "If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT",
    "If-Match": '"b"',
    "If-Unmodified-Since": "Tue, 02 Jan 2024 00:00:00 GMT",
    "If-Range": '"c"',
    "Range": "bytes=0-1",
}
TAKEN = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in CONDITIONS.items()}


def conditions(app: Answer) -> set[str]:
    """Return the conditional headers that an application saw."""
    return TAKEN.keys() & app.environ.keys()


@pytest.mark.parametrize(
    ("shares", "method", "taken"),
    [(MIXED, "GET", True), (MIXED, "HEAD", True), (MIXED, "PUT", False), ({"app": 100.0}, "GET", False)],
)
def test_conditions_of_an_application_as_version(
    builds: dict[str, Path], shares: dict[str, float], method: str, taken: bool
) -> None:
    """While others are known, such an application sees no conditional headers of a read: its tags know no versions."""
    own = Answer()
    affinity = rollout({**builds, "app": own}, None, shares)
    headers = {"Version-Key": key_of("app", shares), **CONDITIONS}
    client(affinity).open("/any", method=method, headers=headers)
    assert conditions(own) == (set() if taken else set(TAKEN))
    assert own.environ.get("version_affinity.original") == (TAKEN if taken else None)


def test_range_alone_is_left(builds: dict[str, Path]) -> None:
    """A range without If-Range is no condition and stays."""
    own = Answer()
    headers = {"Version-Key": key_of("app", MIXED), "Range": "bytes=0-1", "If-None-Match": '"a"'}
    client(mixed(builds, own)).get("/any", headers=headers)
    assert own.environ["HTTP_RANGE"] == "bytes=0-1"
    assert conditions(own) == {"HTTP_RANGE"}


def test_mounted_and_conditional(builds: dict[str, Path]) -> None:
    """What was changed and what was taken stand side by side under our key."""
    own = Answer()
    headers = {"Version-Key": key_of("app", MIXED), "If-None-Match": '"a"'}
    client(mixed(builds, own, prefix="/shop/")).get("/shop/x", headers=headers)
    assert own.environ["version_affinity.original"] == {
        "SCRIPT_NAME": "",
        "PATH_INFO": "/shop/x",
        "HTTP_IF_NONE_MATCH": '"a"',
    }


# The wrapped application


@pytest.mark.parametrize(
    ("headers", "method", "taken"),
    [
        ({**NAVIGATION, **on("v1")}, "GET", True),
        ({**NAVIGATION, **on("v1"), **pinned("v2")}, "GET", True),
        ({**NAVIGATION, **on("v1"), **pinned("v1")}, "GET", True),
        ({**NAVIGATION, **on("v1"), **pinned("v1"), "Version-Override": "v2"}, "GET", True),
        ({**SCRIPT, **pinned("v2")}, "GET", False),
        (on("v1"), "GET", False),
        (on("v1"), "PUT", False),
        ({**NAVIGATION, **on("v1"), "Sec-Purpose": "prefetch"}, "GET", True),
        ({**NAVIGATION, **on("v1"), "Sec-Fetch-Dest": "iframe"}, "GET", True),
        ({**NAVIGATION, **pinned("v2"), "Sec-Fetch-Dest": "frame"}, "GET", True),
        ({**NAVIGATION, **pinned("v2"), "Sec-Fetch-Dest": "object"}, "GET", True),
        # a script that shows pages itself
        ({**FETCH, **pinned("v2"), "Accept": "text/html, application/xhtml+xml"}, "GET", True),
        ({**FETCH, **pinned("v2"), "Accept": "*/*"}, "GET", False),
        ({**FETCH, **pinned("v2"), "Accept": "application/json"}, "GET", False),
        ({"Service-Worker": "script", **on("v1")}, "GET", False),
        # a page that a service worker keeps
        ({**FETCH, **on("v1"), "Referer": "http://localhost/sw.js"}, "GET", True),
    ],
)
def test_conditions_of_a_page(builds: dict[str, Path], headers: dict[str, str], method: str, taken: bool) -> None:
    """While several versions are known, the application cannot answer 304 for another version's page."""
    app = Answer()
    sent = {**headers, **CONDITIONS}
    client(rollout(builds, app)).open("/page", method=method, headers=sent)
    assert conditions(app) == (set() if taken else set(TAKEN))
    assert app.environ.get("version_affinity.original") == (TAKEN if taken else None)
    client(rollout(builds, app, {"v1": 100.0})).open("/page", method=method, headers=sent)
    assert conditions(app) == set(TAKEN)


@pytest.mark.parametrize("prefix", ["/", "/shop/"])
@pytest.mark.parametrize(
    ("method", "status", "answer"),
    [("OPTIONS", "204", "allowed methods"), ("POST", "404", "not found"), ("GET", "404", "not found")],
)
def test_the_server_as_a_whole(builds: dict[str, Path], method: str, status: str, answer: str, prefix: str) -> None:
    """``OPTIONS *`` is about no path (RFC 9110 section 9.3.7); servers pass it on, against PEP 3333."""
    affinity = rollout(builds, None, prefix=prefix)
    environ = {**create_environ("/", method=method), "PATH_INFO": "*"}
    started: list[str] = []
    [*affinity(environ, lambda status, _headers: started.append(status))]  # type: ignore[func-returns-value,arg-type]
    assert started[0][:3] == status
    assert affinity.explain(environ).answer == answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("handling", ["single-page-application", "404-page"])
@pytest.mark.parametrize("path", ["/orders", "/orders/7", "/photo.jpg"])
def test_methods_where_a_page_stands_in(builds: dict[str, Path], handling: str, path: str, method: str) -> None:
    """Where a page stands in for a file, another method is not allowed; OPTIONS is where what GET shows exists.

    A build that is served alone says the same.
    """
    for version in SPLIT:
        write_build(builds[version], {"404.html": "nothing"})
    affinity = rollout(builds, None, not_found_handling=handling)
    exists = handling == "single-page-application"
    told = exists and method == "OPTIONS"
    for app in (affinity, StaticAssets(builds["v1"], not_found_handling=handling)):
        response = client(app).open(path, method=method)
        allowed = "GET, HEAD, OPTIONS" if exists else "GET, HEAD"
        assert (response.status_code, response.headers["Allow"]) == (204 if told else 405, allowed)
    answer = "allowed methods" if told else "not allowed"
    assert affinity.explain(create_environ(path, method=method)).answer == answer
    wrapped = rollout(builds, Answer(), not_found_handling=handling)
    assert client(wrapped).open(path, method=method).text == "the app"


def call(affinity: VersionAffinity, path: str = "/api", **headers: str) -> tuple[Any, list[Any]]:
    """Call a middleware as a bare server would; return its iterable and what was started or written."""
    events: list[Any] = []

    def start_response(status: str, sent: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], None]:
        events.append((status, sent, *exc_info))
        return events.append

    return affinity(create_environ(path, headers=headers), start_response), events


class Body:
    """An iterable of an application that knows whether it was closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield nothing."""
        return iter(())

    def close(self) -> None:
        """Close."""
        self.closed = True


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("role", ["wrapped", "version", "version among others"])
def test_iterable_is_returned_unwrapped(builds: dict[str, Path], kind: str, role: str) -> None:
    """The application's own iterable is returned, so that a server can recognise its file wrapper."""
    body = Body()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", kind)])
        return body

    affinity = {
        "wrapped": lambda: rollout(builds, app),
        "version": lambda: rollout({"v1": app}, None, {"v1": 100}),
        "version among others": lambda: rollout({"v1": app, "v2": app}),
    }[role]()
    returned, _ = call(affinity)
    assert returned is body
    assert not body.closed


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("role", ["wrapped", "version among others"])
@pytest.mark.parametrize("headers", [{}, {"Version-Override": "v1"}, NAVIGATION])
def test_header_list_is_copied(builds: dict[str, Path], kind: str, role: str, headers: dict[str, str]) -> None:
    """The application's list of headers stays as it was and is not handed on; nor is one list handed out twice."""
    own = [("Content-Type", kind), ("Cache-Control", "max-age=5"), ("Vary", "Accept"), ("ETag", '"a"')]
    before = own.copy()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", own)
        return []

    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    (_, first), (_, second) = call(affinity, **headers), call(affinity, **headers)
    assert own == before
    first[0][1].append(("X-Server", "1"))
    assert own == before
    assert ("X-Server", "1") not in second[0][1]
    assert ("X-Server", "1") not in call(affinity, **headers)[1][0][1]


@pytest.mark.parametrize("path", [SHARED, "/", EQUAL, LOST, "/about.html"])
@pytest.mark.parametrize("field", ["", "*"])
def test_our_header_lists_are_fresh(builds: dict[str, Path], path: str, field: str) -> None:
    """A server may add to the list of headers that it gets, as many do: the next answer is not affected."""
    affinity = rollout(builds, None)
    for _ in range(3):
        _, events = call(affinity, path, **on("v1"), **{"If-None-Match": field})
        ((_, sent),) = events
        assert ("X-Server", "1") not in sent
        sent.append(("X-Server", "1"))


def test_write(builds: dict[str, Path]) -> None:
    """The ``write`` callable of the server reaches the application."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/html")])
        write(b"a")
        write(b"b")
        return [b"c"]

    returned, events = call(rollout(builds, app))
    assert [*events[1:], *returned] == [b"a", b"b", b"c"]
    assert client(rollout(builds, app)).get("/page").text == "abc"


@pytest.mark.parametrize("role", ["wrapped", "version among others"])
def test_late_start_response(builds: dict[str, Path], role: str) -> None:
    """An application may start its response while its iterable is read; the headers are completed all the same."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        yield b"late"

    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    returned, events = call(affinity, "/page", **on("v1"))
    assert events == []
    assert list(returned) == [b"late"]
    assert ("Cache-Control", "private, no-cache") in events[0][1]
    assert client(affinity).get("/page", headers={**NAVIGATION, **on("v1")}).text == "late"
    assert affinity.counters().requests[("v1", "other", "2xx", "key")] == 1


@pytest.mark.parametrize("role", ["wrapped", "version among others"])
def test_repeated_start_response(builds: dict[str, Path], role: str) -> None:
    """A response that is started again with ``exc_info`` is completed anew, and the server gets the ``exc_info``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        try:
            {}["x"]
        except KeyError:
            start_response("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    _, events = call(affinity, **NAVIGATION, **on("v1"))
    (first, first_headers), (second, second_headers, exc_info) = events
    assert (first, second, exc_info[0]) == ("200 OK", "500 Oh", KeyError)
    assert "Set-Cookie" in dict(first_headers)
    assert "Set-Cookie" not in dict(second_headers)
    assert affinity.counters().requests == {("v1", "page", "5xx", "key"): 1}


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize("role", ["wrapped", "version among others"])
def test_exceptions_of_the_application(builds: dict[str, Path], error: BaseException, role: str) -> None:
    """What the application raises reaches the server, and counts as a 5xx."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise error

    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    with pytest.raises(type(error)) as raised:
        call(affinity, **on("v2"))
    assert raised.value is error
    assert affinity.counters().requests == {("v2", "other", "5xx", "key"): 1}


def test_request_body_reaches_the_application(builds: dict[str, Path]) -> None:
    """The body of a request is left to the application, unread."""

    def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    assert client(rollout(builds, echo)).post("/", data=b"\0\xff" * 1000).data == b"\0\xff" * 1000
    assert client(rollout({"v1": echo, "v2": echo})).post("/", data=b"abc").data == b"abc"


@pytest.mark.parametrize("path", [SHARED, COLLISION, EQUAL, DIFFERING, "/", "/about", "/route", LOST, "/about.html"])
@pytest.mark.parametrize("app", [None, Answer(headers=[("Content-Type", "text/html")])])
@pytest.mark.parametrize("headers", [{}, NAVIGATION, SCRIPT, {"Version-Override": "v2"}, {"Accept": "text/html"}])
def test_head(builds: dict[str, Path], path: str, app: Answer | None, headers: dict[str, str]) -> None:
    """HEAD says what GET says, without a body; also a page that Accept alone tells."""
    asked = client(rollout(builds, app, **SPA))
    sent = {**headers, **on("v1"), **pinned("v1")}
    got, head = asked.get(path, headers=sent), asked.head(path, headers=sent)
    assert head.data == b""
    assert head.status == got.status
    assert dict(head.headers) == dict(got.headers)


# Files that are not in memory

#: A worker: fingerprinted, though Vite's manifest does not name it.
LARGE = "/assets/worker-Zq81LmX4.js"


@pytest.fixture
def on_disk(tmp_path: Path) -> tuple[dict[str, Path], bytes]:
    """Builds with a large fingerprinted file, and its content."""
    builds = write_builds(tmp_path)
    film = os.urandom(300_000)
    for version in SPLIT:
        write_build(builds[version], {LARGE[1:]: film})
    return builds, film


@pytest.mark.parametrize("wrapper", [FileWrapper, None])
@pytest.mark.parametrize("memory", [0, 64 * 1024 * 1024])
@pytest.mark.parametrize("path", [LARGE, EQUAL, "/", COLLISION, SHARED])
def test_from_disk(
    on_disk: tuple[dict[str, Path], bytes], wrapper: type[FileWrapper] | None, memory: int, path: str
) -> None:
    """A file that is not in memory goes through the server's file wrapper, or in blocks where it has none."""
    builds, film = on_disk
    affinity = rollout(builds, None, memory=memory)
    overrides = {} if wrapper is None else {"wsgi.file_wrapper": wrapper}
    response = client(affinity).get(path, headers=on("v1"), environ_overrides=overrides)
    expected = film if path == LARGE else build_of("v1")[path[1:] or "index.html"].encode()
    assert response.data == expected
    assert response.headers["Content-Length"] == str(len(expected))
    assert client(affinity).head(path, environ_overrides=overrides).data == b""
    if wrapper is not None and (memory == 0 or path == LARGE):
        environ = create_environ(path, headers=on("v1"))
        environ.update(overrides)
        body = affinity(environ, lambda *started: lambda _data: None)
        assert isinstance(body, FileWrapper)
        body.close()


def test_several_readers(on_disk: tuple[dict[str, Path], bytes]) -> None:
    """Each answer reads the file by itself."""
    builds, film = on_disk
    affinity = rollout(builds, None)
    (one, _), (other, _) = call(affinity, LARGE), call(affinity, LARGE)
    first = next(iter(one))
    assert b"".join(other) == film
    assert first + b"".join(one) == film
    for body in (one, other):
        body.close()


def change(file: Path) -> None:
    """Write other bytes into a file, later."""
    file.write_bytes(os.urandom(300_000))
    os.utime(file, ns=(1, 1))


def truncate(file: Path) -> None:
    """Cut a file."""
    os.truncate(file, 10)


def remove(file: Path) -> None:
    """Remove a file."""
    file.unlink()


def replace_by_directory(file: Path) -> None:
    """Put a directory in a file's place."""
    file.unlink()
    file.mkdir()


SPOIL = [change, truncate, remove, replace_by_directory]


@pytest.mark.parametrize("spoil", SPOIL)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_another_copy_steps_in(
    on_disk: tuple[dict[str, Path], bytes], spoil: Callable[[Path], None], method: str
) -> None:
    """When the copy of one version vanished or changed, another version's equal copy is served."""
    builds, film = on_disk
    affinity = rollout(builds, None)
    spoil(builds["v1"] / LARGE[1:])
    response = client(affinity).open(LARGE, method=method)
    assert (response.status_code, response.data) == (200, film if method == "GET" else b"")
    assert response.headers["Content-Length"] == "300000"


@pytest.mark.parametrize("spoil", SPOIL)
@pytest.mark.parametrize("app", [None, Answer()])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_vanished_or_changed(
    on_disk: tuple[dict[str, Path], bytes],
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    app: Answer | None,
    method: str,
) -> None:
    """A file that is no longer what was loaded is 404, not kept, counted and logged: never wrong bytes or a 500."""
    builds, _ = on_disk
    affinity = rollout(builds, app)
    for version in SPLIT:
        spoil(builds[version] / LARGE[1:])
    caplog.clear()
    response = client(affinity).open(LARGE, method=method, headers={**SCRIPT, **pinned("v2")})
    assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")
    counts = affinity.counters()
    assert counts.requests == {("v2", "subresource", "4xx", "pin"): 1}
    assert (counts.missing, counts.rescues) == ({"v2": 1}, {})
    told = [record.getMessage() for record in caplog.records]
    errors = [text for text in told if str(builds["v1"] / LARGE[1:]) in text or str(builds["v2"] / LARGE[1:]) in text]
    assert [text[:12] for text in errors] == ["version 'v1'", "version 'v2'"]
    assert [LARGE in text for text in told if text not in errors] == [True]


@pytest.mark.parametrize("spoil", SPOIL)
@pytest.mark.parametrize("path", [EQUAL, DIFFERING, COLLISION])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_vanished_under_a_decision(tmp_path: Path, spoil: Callable[[Path], None], path: str, method: str) -> None:
    """The same holds for a file that is served under a decision, without a page's cookie."""
    builds = write_builds(tmp_path)
    affinity = rollout(builds, None, memory=0)
    spoil(builds["v1"] / path[1:])
    response = client(affinity).open(path, method=method, headers=on("v1"))
    assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")
    assert "Set-Cookie" not in response.headers
    assert affinity.counters().missing == {"v1": 1}


def test_vanished_page_is_not_stamped(tmp_path: Path) -> None:
    """A page that could not be served is not pinned."""
    builds = write_builds(tmp_path)
    affinity = rollout(builds, None, memory=0)
    remove(builds["v1"] / "index.html")
    response = client(affinity).get("/", headers={**NAVIGATION, **on("v1")})
    assert (response.status_code, "Set-Cookie" in response.headers) == (404, False)


def test_in_memory_survives(tmp_path: Path) -> None:
    """A file in memory is served whatever becomes of the directory: the last good bytes."""
    builds = write_builds(tmp_path)
    affinity = rollout(builds, None)
    for path in (SHARED, COLLISION, EQUAL):
        change(builds["v1"] / path[1:])
        assert client(affinity).get(path, headers=on("v1")).text == build_of("v1")[path[1:]]


# explain

EXPLAINED = [
    (ENTRY["v2"], {}, "served by name", "v2"),
    ("/", on("v1"), "file", "v1"),
    (COLLISION, on("v1"), "file", "v1"),
    (OWN["v0"], on("v1"), "rescue", "v0"),
    ("/route", {**NAVIGATION, **on("v1")}, "single-page document", "v1"),
    ("/index.html", on("v1"), "redirect", "v1"),
    (LOST, on("v1"), "missing asset", "v1"),
    ("/api/x", on("v1"), "wrapped application", ""),
    ("/data", on("v1"), "wrapped application", ""),
]


@pytest.mark.parametrize(("path", "headers", "answer", "served"), EXPLAINED)
def test_explain(builds: dict[str, Path], path: str, headers: dict[str, str], answer: str, served: str) -> None:
    """An explanation says what answers and whose it is, as the answer itself shows; nothing is counted."""
    affinity = rollout(builds, Answer(), retained=["v0"], app_first=["/api/*"], **SPA)
    environ = create_environ(path, headers=headers)
    before = dict(environ)
    explained = affinity.explain(environ)
    assert (explained.answer, explained.served) == (answer, served)
    assert environ == before
    assert affinity.counters().requests == {}
    response = client(affinity).get(path, headers=headers)
    assert (response.text == "the app") is (answer == "wrapped application")
    assert (response.status_code == 404) is (answer == "missing asset")
    assert (response.status_code == 307) is (answer == "redirect")
    told = response.headers.get("Version-Affinity", "")
    assert not told or told.startswith(explained.decision.version)


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/", "file"),
        ("GET", "/route", "single-page document"),
        ("GET", "/api/x", "not found"),
        ("GET", "/photo.jpg", "not found"),
        ("POST", "/", "not allowed"),
        ("POST", "/route", "not allowed"),
        ("POST", "/api/x", "not found"),
    ],
)
def test_explain_without_app(builds: dict[str, Path], method: str, path: str, answer: str) -> None:
    """Where no application is wrapped, an explanation does not name one."""
    affinity = rollout(builds, None, app_first=["/api/*"], **SPA)
    assert affinity.explain(create_environ(path, method=method)).answer == answer


def test_explain_an_application(builds: dict[str, Path]) -> None:
    """An explanation tells an application that is a version from the wrapped one."""
    affinity = mixed(builds, Answer(), Answer(), prefix="/shop/")
    headers = {"Version-Key": key_of("app", MIXED)}
    inside = affinity.explain(create_environ("/shop/x", headers=headers, method="POST"))
    outside = affinity.explain(create_environ("/x", headers=headers))
    assert (inside.answer, inside.served) == ("application of the version", "app")
    assert (outside.answer, outside.served) == ("wrapped application", "")


def test_explain_needs_little(builds: dict[str, Path]) -> None:
    """An environ made by hand needs next to nothing."""
    explained = rollout(builds).explain({"PATH_INFO": "/", "HTTP_VERSION_KEY": key_of("v2")})
    assert (explained.decision.version, explained.kind, explained.answer) == ("v2", "other", "file")
    assert rollout(builds).explain({}).answer == "file"


def test_explain_a_request_that_was_decided(builds: dict[str, Path]) -> None:
    """From within the application, an explanation tells the decision that was made, not another draw."""
    app = Answer()
    affinity = rollout(builds, app)
    for _ in range(30):
        client(affinity).get("/api")
        assert affinity.explain(app.environ).decision == app.environ["version_affinity.decision"]


# Key sources that fail


def test_key_source_is_logged_and_limited(builds: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """A key source that raises never fails a request; it is logged as an error, rate-limited, and traced."""

    def store(environ: WSGIEnvironment) -> str:
        raise ConnectionError("session=s3cret\nCRITICAL forged")

    affinity = rollout(builds, Answer(headers=[("Content-Type", "text/html")]), keys=[store])
    caplog.clear()
    for _ in range(50):
        response = client(affinity).get("/page", headers=NAVIGATION)
        assert response.status_code == 200
        assert response.headers["Version-Affinity"].endswith(";refused=key-source")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 10
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert "callable:test_key_source_is_logged_and_limited.<locals>.store" in messages[0]
    assert messages[0].endswith("it raised ConnectionError")
    assert not [message for message in messages if "s3cret" in message or "\n" in message]
    assert affinity.counters().refused == {"key-source": 50}


def test_errors_stream_is_not_used(builds: dict[str, Path]) -> None:
    """Nothing is written to ``wsgi.errors``: the logger is the one place."""
    errors = io.StringIO()
    environ = create_environ(LOST, errors_stream=errors)
    rollout(builds)(environ, lambda *started: lambda _data: None)
    assert errors.getvalue() == ""
