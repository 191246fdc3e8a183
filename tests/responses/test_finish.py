"""What each response carries: the table of the response policy, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import http_sf
import pytest

from tests.builds import (
    COLLISION,
    DIFFERING,
    ENTRY,
    EQUAL,
    OWN,
    SHARED,
    SPLIT,
    Answer,
    bucket_of,
    key_of,
    pinned,
    rollout,
    write_builds,
)
from tests.harness import NAVIGATION, SCRIPT, client
from version_affinity import Cookie, Decision, Deployment, Header, current_version
from version_affinity.responses.finish import joined_before
from version_affinity.responses.headers import trace

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Response

COOKIE = "version-affinity-storefront"
FOREVER = "public, max-age=31536000, immutable"
REVALIDATED = "public, max-age=0, must-revalidate"
PRIVATE, UNSTORED, NO_STORE = "private, no-cache", "private, no-store", "no-store"
VARY = (
    "Cookie, Version-Key, Cloudflare-Workers-Version-Key, Version-Override, Cloudflare-Workers-Version-Overrides, "
    "Sec-Fetch-Mode, Sec-Fetch-Dest"
)
LOST = "/assets/index-N0tHere1.js"
KEY = {"Version-Key": key_of("v1")}
PAGE = {**NAVIGATION, **KEY}
FORCED = {"Version-Override": "v2"}
BY_KEY, BY_FORCE = 'v1;reason=key;source="header:Version-Key"', 'v2;reason=override;source="header:Version-Override"'
BY_PIN = f'v2;reason=pin;source="cookie:{COOKIE}"'

ONE, ALONE = {"v1": 100.0}, ()


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds."""
    return write_builds(tmp_path_factory.mktemp("builds"))


def html(body: bytes = b"<p>app", status: str = "200 OK", **headers: str) -> Answer:
    """Return an application that renders a page."""
    more = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answer(body, status, [("Content-Type", "text/html; charset=utf-8"), *more])


def stamped(response: Response) -> str:
    """Return what our cookie was set to, its bucket as "*" where it is drawn."""
    cookies = [value for value in response.headers.getlist("Set-Cookie") if value.startswith((COOKIE, "__Host-"))]
    assert len(cookies) <= 1
    return cookies[0].partition(";")[0].partition("=")[2] if cookies else ""


# path, request headers, status, Cache-Control, Vary, trace
OF_BUILDS = [
    # a fingerprinted file without collision: whoever asks, under an override too
    (SHARED, {}, 200, FOREVER, None, None),
    (ENTRY["v0"], SCRIPT, 200, FOREVER, None, None),
    (ENTRY["v1"], PAGE, 200, FOREVER, None, None),
    (ENTRY["v1"], FORCED, 200, FOREVER, None, None),
    (ENTRY["v2"], pinned("v1"), 200, FOREVER, None, None),
    (SHARED, {"If-None-Match": "*"}, 304, FOREVER, None, None),
    # any other file of a build, during a split
    ("/", PAGE, 200, PRIVATE, VARY, BY_KEY),
    ("/", KEY, 200, PRIVATE, VARY, BY_KEY),
    ("/", {**KEY, "If-None-Match": "*"}, 304, PRIVATE, VARY, BY_KEY),
    (DIFFERING, KEY, 200, PRIVATE, VARY, BY_KEY),
    (EQUAL, KEY, 200, PRIVATE, VARY, BY_KEY),
    (COLLISION, KEY, 200, PRIVATE, VARY, BY_KEY),
    (COLLISION, {**SCRIPT, **pinned("v2")}, 200, PRIVATE, VARY, BY_PIN),
    (COLLISION, {**KEY, "If-None-Match": "*"}, 304, PRIVATE, VARY, BY_KEY),
    (OWN["v0"], KEY, 200, PRIVATE, VARY, f"{BY_KEY};served=v0"),
    ("/index.html", KEY, 307, PRIVATE, VARY, BY_KEY),
    # anything under an override that was applied
    ("/", FORCED, 200, UNSTORED, VARY, BY_FORCE),
    (EQUAL, FORCED, 200, UNSTORED, VARY, BY_FORCE),
    (COLLISION, FORCED, 200, UNSTORED, VARY, BY_FORCE),
    (OWN["v0"], FORCED, 200, UNSTORED, VARY, f"{BY_FORCE};served=v0"),
    ("/index.html", FORCED, 307, UNSTORED, VARY, BY_FORCE),
    ("/", {**FORCED, "If-None-Match": "*"}, 304, UNSTORED, VARY, BY_FORCE),
    # an override that was not applied
    ("/", {**KEY, "Version-Override": "v9"}, 200, PRIVATE, VARY, f"{BY_KEY};refused=unknown-version"),
    # a missing asset
    (LOST, {**SCRIPT, **KEY}, 404, NO_STORE, None, "v1;reason=baseline"),
    (LOST, KEY, 404, NO_STORE, None, BY_KEY),
    (LOST, FORCED, 404, UNSTORED, None, BY_FORCE),
]


@pytest.mark.parametrize("app", [None, Answer(), html()])
@pytest.mark.parametrize(("path", "headers", "status", "cache_control", "vary", "told"), OF_BUILDS)
def test_builds_during_a_split(
    builds: dict[str, Path],
    app: Answer | None,
    path: str,
    headers: dict[str, str],
    status: int,
    cache_control: str,
    vary: str | None,
    told: str | None,
) -> None:
    """Each answer from a build is kept where the table says, and by nobody that it could harm."""
    affinity = rollout(builds, app, retained=["v0"], not_found_handling="single-page-application")
    response = client(affinity).get(path, headers=headers)
    assert (response.status_code, response.headers["Cache-Control"]) == (status, cache_control)
    assert (response.headers.get("Vary"), response.headers.get("Version-Affinity")) == (vary, told)
    assert ("Last-Modified" in response.headers) is (cache_control == FOREVER and status == 200)
    if status == 200:
        assert response.headers["ETag"].startswith('"')
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    if status == 404:
        assert response.headers["Content-Type"].startswith("text/plain")
    if "public" in cache_control:
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("retained", "path", "cache_control"),
    [
        ([], "/", REVALIDATED),
        ([], DIFFERING, REVALIDATED),
        ([], EQUAL, REVALIDATED),
        ([], COLLISION, FOREVER),
        (["v0"], "/", PRIVATE),
        (["v0"], DIFFERING, PRIVATE),
        (["v0"], COLLISION, PRIVATE),
        (["v0"], EQUAL, REVALIDATED),
        (["v0"], OWN["v1"], REVALIDATED),
        (["v0"], OWN["v0"], REVALIDATED),
    ],
)
@pytest.mark.parametrize("headers", [NAVIGATION, {}])
def test_builds_with_one_version(
    builds: dict[str, Path], retained: list[str], path: str, cache_control: str, headers: dict[str, str]
) -> None:
    """With one version at 100 % a file is shared by caches, unless a known version has other bytes under its name."""
    response = client(rollout(builds, None, ONE, retained)).get(path, headers=headers)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, cache_control)
    assert ("Vary" in response.headers) is (cache_control == PRIVATE)
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", ["/", DIFFERING, EQUAL, OWN["v1"]])
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Version-Override": "nope"}, "v1;reason=only;refused=unknown-version"),
        ({**NAVIGATION, "Version-Override": "v0"}, "v1;reason=only;refused=not-deployed"),
        ({"Cloudflare-Workers-Version-Overrides": "?"}, "v1;reason=only;refused=bad-syntax"),
        ({"Service-Worker": "script"}, "v1;reason=only"),
    ],
)
def test_not_shared_with_one_version(builds: dict[str, Path], path: str, headers: dict[str, str], told: str) -> None:
    """At 100 %, too, a refused override is told, and a service worker's script is asked for anew each time."""
    response = client(rollout(builds, None, ONE, ["v0"])).get(path, headers=headers)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, PRIVATE)
    assert (response.headers["Version-Affinity"], response.headers["Vary"]) == (told, VARY)
    assert "Set-Cookie" not in response.headers


def test_equal_bytes_equal_tag(builds: dict[str, Path]) -> None:
    """A file has the same ETag in every version that has the same bytes, and another one for other bytes."""
    affinity = rollout(builds)
    for path, equal in ((EQUAL, True), (DIFFERING, False), ("/", False), (COLLISION, False)):
        tags = {
            client(affinity).get(path, headers={"Version-Key": key_of(version)}).headers["ETag"] for version in SPLIT
        }
        assert (len(tags) == 1) is equal


BARE = [("Content-Type", "text/plain")]
# the application, request headers, what it says: Cache-Control, Vary, trace, whether our cookie is set
OF_THE_APP = [
    # untouched: no page, and not ours
    (Answer(), KEY, None, None, None),
    (Answer(), PAGE, None, None, None),
    (Answer(headers=[*BARE, ("Cache-Control", "max-age=60"), ("Vary", "Accept")]), KEY, "max-age=60", "Accept", None),
    (Answer(headers=[*BARE, ("X-Content-Type", "text/html")]), KEY, None, None, None),
    # a page
    (html(), KEY, PRIVATE, VARY, BY_KEY),
    (html(), PAGE, PRIVATE, VARY, BY_KEY),
    (Answer(headers=[("content-TYPE", "TEXT/HTML")]), KEY, PRIVATE, VARY, BY_KEY),
    (Answer(headers=[("Content-Type", "application/xhtml+xml")]), KEY, PRIVATE, VARY, BY_KEY),
    (html(Cache_Control="no-cache"), KEY, "no-cache, private", VARY, BY_KEY),
    (html(Cache_Control="no-store"), PAGE, "no-store", VARY, BY_KEY),
    (html(Cache_Control="private, max-age=5"), PAGE, "private, max-age=5", VARY, BY_KEY),
    # the qualified form speaks of a field alone (RFC 9111 section 5.2.2.7)
    (html(Cache_Control='private="X-A"'), PAGE, 'private="X-A", private', VARY, BY_KEY),
    (html(Cache_Control='max-age=60, private="X-A"'), PAGE, 'max-age=60, private="X-A", private', VARY, BY_KEY),
    (html(Cache_Control='private="X-A", private'), PAGE, 'private="X-A", private', VARY, BY_KEY),
    # it says how long and not for whom: with our cookie in it, for nobody else
    (html(Cache_Control="max-age=60"), PAGE, "max-age=60, private", VARY, BY_KEY),
    (html(Cache_Control="no-cache"), PAGE, "no-cache, private", VARY, BY_KEY),
    (html(Cache_Control="max-age=60"), KEY, "max-age=60, private", VARY, BY_KEY),
    (html(Cache_Control="max-age=60"), {**PAGE, **pinned("v1")}, "max-age=60, private", VARY, BY_KEY),
    # declared public: as it is, and without our cookie
    (html(Cache_Control="public, max-age=60"), PAGE, "public, max-age=60", None, None),
    (html(Cache_Control="max-age=60,PUBLIC"), PAGE, "max-age=60,PUBLIC", None, None),
    (html(Cache_Control="s-maxage=60"), PAGE, "s-maxage=60", None, None),
    (html(Cache_Control="public", Vary="Accept"), PAGE, "public", "Accept", None),
    (html(Cache_Control="x-public"), KEY, "x-public, private", VARY, BY_KEY),
    # to CDNs, which then ignore Cache-Control (RFC 9213)
    (html(CDN_Cache_Control="max-age=600"), PAGE, None, None, None),
    (html(cdn_cache_control="MAX-AGE=600"), PAGE, None, None, None),
    (html(Cloudflare_CDN_Cache_Control="max-age=600"), PAGE, None, None, None),
    (html(Surrogate_Control="max-age=600", Vary="Accept"), PAGE, None, "Accept", None),
    (html(Cache_Control="private", CDN_Cache_Control="max-age=600"), PAGE, "private", None, None),
    (html(CDN_Cache_Control='max-age=600, private="X-A"'), PAGE, None, None, None),
    # to CDNs, that they keep it for nobody
    (html(CDN_Cache_Control="no-store"), PAGE, PRIVATE, VARY, BY_KEY),
    (html(CDN_Cache_Control="private"), PAGE, PRIVATE, VARY, BY_KEY),
    (html(Surrogate_Control="no-store", Cache_Control="max-age=60"), PAGE, "max-age=60, private", VARY, BY_KEY),
    # in the words of nginx and of Akamai
    (html(X_Accel_Expires="60"), PAGE, None, None, None),
    (html(x_accel_expires="@2037000000"), PAGE, None, None, None),
    (html(X_Accel_Expires="0"), PAGE, PRIVATE, VARY, BY_KEY),
    (html(Edge_Control="max-age=60"), PAGE, None, None, None),
    (html(Edge_Control="!no-store, max-age=60"), PAGE, None, None, None),
    (html(Edge_Control="no-store"), PAGE, PRIVATE, VARY, BY_KEY),
    (html(Edge_Control="bypass-cache"), PAGE, PRIVATE, VARY, BY_KEY),
    # Vary is joined
    (html(Vary="Accept-Encoding"), KEY, PRIVATE, f"{VARY}, Accept-Encoding", BY_KEY),
    (html(Vary="cookie"), KEY, PRIVATE, VARY, BY_KEY),
    (html(Vary="COOKIE, Accept-Language,sec-fetch-mode"), KEY, PRIVATE, f"{VARY}, Accept-Language", BY_KEY),
    (html(Vary="*"), KEY, PRIVATE, "*", BY_KEY),
    (html(Vary="Accept, *"), KEY, PRIVATE, "*", BY_KEY),
    (html(Vary=" , "), KEY, PRIVATE, VARY, BY_KEY),
    # an override that was applied
    (Answer(), FORCED, UNSTORED, VARY, BY_FORCE),
    (html(Cache_Control="public, max-age=60", Vary="Accept"), FORCED, UNSTORED, f"{VARY}, Accept", BY_FORCE),
    (html(Expires="Thu, 01 Jan 2037 00:00:00 GMT", Pragma="x"), FORCED, UNSTORED, VARY, BY_FORCE),
    (html(CDN_Cache_Control="max-age=600", Surrogate_Control="max-age=600"), FORCED, UNSTORED, VARY, BY_FORCE),
    (Answer(headers=[*BARE, ("cdn-cache-control", "max-age=600")]), FORCED, UNSTORED, VARY, BY_FORCE),
    (html(X_Accel_Expires="60", Edge_Control="max-age=60"), FORCED, UNSTORED, VARY, BY_FORCE),
    (Answer(headers=[*BARE, ("x-accel-expires", "60")]), FORCED, UNSTORED, VARY, BY_FORCE),
]


@pytest.mark.parametrize(("app", "headers", "cache_control", "vary", "told"), OF_THE_APP)
def test_app(
    builds: dict[str, Path],
    app: Answer,
    headers: dict[str, str],
    cache_control: str | None,
    vary: str | None,
    told: str | None,
) -> None:
    """The application's answer is untouched unless it is a page or forced; then it is kept from shared caches."""
    response = client(rollout(builds, app)).get("/api", headers=headers)
    assert response.headers.get("Cache-Control") == cache_control
    assert ", ".join(response.headers.getlist("Vary")) == (vary or "")
    assert len(response.headers.getlist("Vary")) <= 1
    assert response.headers.get("Version-Affinity") == told
    assert bool(stamped(response)) is (headers is PAGE and told is not None)
    if headers is FORCED:
        assert "Expires" not in response.headers
        assert "Pragma" not in response.headers
    for name, value in app.headers:
        if headers is FORCED and name.lower().endswith(("-control", "-expires")):
            assert name == "Cache-Control" or name not in response.headers
        elif name.lower() not in ("cache-control", "vary", "expires", "pragma"):
            assert response.headers[name] == value


def test_app_headers_come_once(builds: dict[str, Path]) -> None:
    """Cache-Control and Vary that the application sends in several lines are read as one."""
    app = Answer(headers=[("Content-Type", "text/html"), ("Vary", "A"), ("Vary", "B"), ("Cache-Control", "max-age=5")])
    app.headers.append(("Cache-Control", "private"))
    response = client(rollout(builds, app)).get("/api", headers=PAGE)
    assert response.headers.getlist("Vary") == [f"{VARY}, A, B"]
    assert response.headers.getlist("Cache-Control") == ["max-age=5", "private"]
    app.headers[-1] = ("Cache-Control", "public")
    response = client(rollout(builds, app)).get("/api", headers=PAGE)
    assert response.headers.getlist("Vary") == ["A", "B"]
    assert stamped(response) == ""


# the application that is the version, method, Cache-Control, whether validators and Expires are kept
OF_A_VERSION = [
    (html(ETag='"a"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT"), "GET", PRIVATE, False),
    (html(Cache_Control="public, max-age=60", Expires="Thu, 01 Jan 2037 00:00:00 GMT"), "GET", PRIVATE, False),
    (html(CDN_Cache_Control="max-age=600", Surrogate_Control="max-age=600"), "GET", PRIVATE, False),
    (html(cloudflare_cdn_cache_control="max-age=600"), "POST", PRIVATE, False),
    (html(X_Accel_Expires="60", Edge_Control="max-age=60"), "GET", PRIVATE, False),
    (html(Cache_Control="no-store", ETag='"a"'), "GET", UNSTORED, False),
    (html(Cache_Control="private, NO-STORE"), "HEAD", UNSTORED, False),
    (Answer(headers=[*BARE, ("ETag", '"a"')]), "GET", PRIVATE, False),
    (Answer(headers=[*BARE, ("ETag", '"a"')]), "HEAD", PRIVATE, False),
    (Answer(headers=[*BARE, ("ETag", '"a"')]), "POST", PRIVATE, True),
]


@pytest.mark.parametrize(("app", "method", "cache_control", "kept"), OF_A_VERSION)
def test_application_as_version(
    builds: dict[str, Path], app: Answer, method: str, cache_control: str, kept: bool
) -> None:
    """While others are known, a version's own application is kept from shared caches and has no validators."""
    affinity = rollout({**builds, "app": app}, shares={"app": 50.0, "v2": 50.0})
    headers = {"Version-Key": key_of("app", {"app": 50.0, "v2": 50.0})}
    response = client(affinity).open("/any", method=method, headers=headers)
    assert response.headers.getlist("Cache-Control") == [cache_control]
    assert response.headers.getlist("Vary") == [VARY]
    assert response.headers["Version-Affinity"] == 'app;reason=key;source="header:Version-Key"'
    names = {"ETag", "Last-Modified", "Expires", "X-Accel-Expires"} & set(response.headers.keys())
    assert names == ({"ETag"} if kept else set())
    assert [name for name, _ in response.headers if name.lower().endswith("-control")] == ["Cache-Control"]


def test_application_as_version_forced(builds: dict[str, Path]) -> None:
    """Under an override an application that is a version is not stored anywhere, and its Vary is joined."""
    affinity = rollout({**builds, "app": html(Cache_Control="public", Vary="Accept")}, shares={"app": 50, "v2": 50})
    response = client(affinity).get("/any", headers={"Version-Override": "app"})
    assert response.headers["Cache-Control"] == UNSTORED
    assert response.headers.getlist("Vary") == [f"{VARY}, Accept"]


def test_application_as_version_alone(builds: dict[str, Path]) -> None:
    """An application that is the only known version is a wrapped one: its validators and caching are its own."""
    affinity = rollout(
        {"app": Answer(headers=[*BARE, ("ETag", '"a"'), ("Cache-Control", "public")])}, None, {"app": 100}
    )
    response = client(affinity).get("/any")
    assert (response.headers["ETag"], response.headers["Cache-Control"]) == ('"a"', "public")
    assert "Version-Affinity" not in response.headers


@pytest.mark.parametrize(
    ("keys", "override_headers", "cookie", "vary"),
    [
        ([Cookie("user_id")], (), "{name}", "Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([Header("X-User")], ["X-Try"], "{name}", "Cookie, X-User, X-Try, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([Header("X-A"), Header("X-A")], ["X-A"], "{name}", "Cookie, X-A, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([lambda _environ: "a"], (), "{name}", "Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        # without our cookie, it is named where a key source reads one or may read one
        ([Header("X-User")], ["X-Try"], None, "X-User, X-Try, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([], (), None, "Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([Cookie("user_id")], (), None, "Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([Header("X-User"), Cookie("user_id")], (), None, "Cookie, X-User, Sec-Fetch-Mode, Sec-Fetch-Dest"),
        ([lambda _environ: "a"], (), None, "Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest"),
    ],
)
def test_vary_follows_the_configuration(
    builds: dict[str, Path], keys: list[Any], override_headers: list[str], cookie: str | None, vary: str
) -> None:
    """Vary is one constant: everything that this configuration may consult, each named once."""
    affinity = rollout(builds, None, keys=keys, override_headers=override_headers, cookie=cookie)
    for path, headers in (("/", {}), (DIFFERING, {}), (COLLISION, SCRIPT)):
        assert client(affinity).get(path, headers=headers).headers["Vary"] == vary


V1, V2 = bucket_of("v1"), bucket_of("v2")
# shares, request headers, then our cookie in the answer: "*" stands for a drawn bucket, "" for none
STAMPS = [
    # minted, keyed, changed
    (SPLIT, {**NAVIGATION, **KEY}, "*.v1"),
    (SPLIT, {**NAVIGATION, **pinned("v1", V1)}, ""),
    (SPLIT, {**NAVIGATION, **pinned("v2", V1)}, f"{V1}.v1"),
    (SPLIT, {**NAVIGATION, **pinned("v9", V2)}, f"{V2}.v2"),
    (SPLIT, {**NAVIGATION, **pinned("", V2)}, f"{V2}.v2"),
    (SPLIT, {**NAVIGATION, **KEY, **pinned("v1", "")}, "*.v1"),
    (SPLIT, {**NAVIGATION, **KEY, **pinned("v1", "x")}, "*.v1"),
    (SPLIT, {**NAVIGATION, **KEY, **pinned("v2", V2)}, f"{V2}.v1"),
    (SPLIT, {**NAVIGATION, **KEY, **pinned("v1", V2)}, ""),
    (SPLIT, {"Accept": "text/html", **KEY}, "*.v1"),
    (SPLIT, {**NAVIGATION, "Sec-Fetch-Dest": "empty", **KEY}, "*.v1"),
    # at 100 % only a stale pin is corrected
    ({"v1": 100.0}, NAVIGATION, ""),
    ({"v1": 100.0}, {**NAVIGATION, **pinned("v1", V1)}, ""),
    ({"v1": 100.0}, {**NAVIGATION, **pinned("v1", "")}, ""),
    ({"v1": 100.0}, {**NAVIGATION, **pinned("", V1)}, ""),
    ({"v1": 100.0}, {**NAVIGATION, **pinned("v2", V2)}, f"{V2}.v1"),
    ({"v1": 100.0}, {**NAVIGATION, **pinned("v9", "")}, "*.v1"),
    # never: an override, or what is no page that a browser shows
    (SPLIT, {**NAVIGATION, **FORCED}, ""),
    (SPLIT, {**NAVIGATION, **FORCED, **pinned("v1", V1)}, ""),
    (SPLIT, {**NAVIGATION, **KEY, "Sec-Purpose": "prefetch"}, ""),
    (SPLIT, {**NAVIGATION, **KEY, "Sec-Fetch-Dest": "iframe"}, ""),
    (SPLIT, {**SCRIPT, **KEY, **pinned("v2", V2)}, ""),
    (SPLIT, {"Service-Worker": "script", **KEY}, ""),
    (SPLIT, {**KEY, **pinned("v2", V2)}, ""),
    (SPLIT, KEY, ""),
]


@pytest.mark.parametrize("kind", ["build", "application", "version"])
@pytest.mark.parametrize(("shares", "headers", "stamp"), STAMPS)
def test_cookie(
    builds: dict[str, Path], kind: str, shares: dict[str, float], headers: dict[str, str], stamp: str
) -> None:
    """The cookie names the version served, keeps the bucket, and is set only on a page when that changes something."""
    if kind == "version":
        affinity = rollout({"v0": builds["v0"], "v1": html(), "v2": html()}, None, shares, ["v0"])
    else:
        affinity = rollout(builds, html(), shares)
    response = client(affinity).get("/" if kind == "build" else "/page", headers=headers)
    assert response.status_code == 200
    was = stamped(response)
    assert was == stamp or (stamp[:1] == "*" and was.partition(".")[0].isdecimal() and was.endswith(stamp[1:]))
    if was:
        assert "public" not in response.headers["Cache-Control"]


@pytest.mark.parametrize("version", SPLIT)
def test_pin_without_bucket(builds: dict[str, Path], version: str) -> None:
    """A pin that came without a bucket is stamped anew with the bucket that was drawn, whichever version that gives."""
    for path in ("/", "/page"):
        for _ in range(10):
            response = client(rollout(builds, html())).get(path, headers={**NAVIGATION, **pinned(version, "")})
            bucket, _, stamp = stamped(response).partition(".")
            assert stamp == response.headers["Version-Affinity"].partition(";")[0]
            assert Deployment("storefront", SPLIT).assign(f"bucket:{bucket}") == stamp


@pytest.mark.parametrize(
    ("app", "set_cookie"),
    [
        (html(), True),
        (html(status="404 Not Found"), True),
        (html(status="500 Oh"), True),
        (html(status="302 Found", Location="http://localhost/"), False),
        (html(status="303 See Other", Location="http://localhost/"), False),
        (Answer(b"", "304 Not Modified", [("ETag", '"a"')]), False),
        (Answer(b"", "204 No Content", [("X-A", "b")]), False),
        (html(b"", "205 Reset Content"), False),
        (html(Content_Disposition="attachment"), False),
        (html(Content_Disposition='Attachment; filename="a.html"'), False),
        (html(Content_Disposition="inline"), True),
        (Answer(), False),
        (Answer(headers=[("Content-Type", "image/svg+xml")]), False),
    ],
)
@pytest.mark.parametrize("kind", ["application", "version"])
def test_cookie_by_answer(builds: dict[str, Path], kind: str, app: Answer, set_cookie: bool) -> None:
    """Only an answer that a browser shows as a page is stamped: no redirect, 304, 204, 205 or attachment."""
    affinity = rollout(builds, app) if kind == "application" else rollout({"v1": app, "v2": app})
    assert bool(stamped(client(affinity).get("/page", headers=PAGE))) is set_cookie


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("headers", [PAGE, NAVIGATION, {**NAVIGATION, **pinned("v2", V1)}])
def test_unsafe_methods_set_no_cookie(builds: dict[str, Path], method: str, headers: dict[str, str]) -> None:
    """The answer to an unsafe method never sets the cookie: the Lax one may not have come with the request."""
    for affinity in (rollout(builds, html()), rollout({"v1": html(), "v2": html()})):
        assert stamped(client(affinity).open("/page", method=method, headers=headers)) == ""


@pytest.mark.parametrize(
    ("path", "headers", "status", "stamp"),
    [
        ("/", {"If-None-Match": "*", **pinned("v2", V1)}, 304, f"{V1}.v1"),
        ("/", {"If-None-Match": "*", **pinned("v1", V1)}, 304, ""),
        ("/about", pinned("v2", V1), 200, f"{V1}.v1"),
        ("/index.html", pinned("v2", V1), 307, ""),
        ("/route/x", pinned("v2", V1), 200, f"{V1}.v1"),
        (DIFFERING, pinned("v2", V1), 200, ""),
        (LOST, {**pinned("v2", V1), "Sec-Fetch-Dest": "script"}, 404, ""),
        (OWN["v2"], pinned("v2", V1), 200, ""),
    ],
)
def test_cookie_of_builds(builds: dict[str, Path], path: str, headers: dict[str, str], status: int, stamp: str) -> None:
    """Of a build's answers only documents are stamped, our own 304 for one too."""
    affinity = rollout(builds, None, not_found_handling="single-page-application")
    response = client(affinity).get(path, headers={**NAVIGATION, **headers})
    assert (response.status_code, stamped(response)) == (status, stamp)


def test_head_is_as_get(builds: dict[str, Path]) -> None:
    """HEAD of a page says what GET says, without a body; nothing is shown, so that the cookie stays as it is."""
    for asked in (client(rollout(builds, html())), client(rollout({"v1": html(), "v2": html()}))):
        for headers in ({**NAVIGATION, **pinned("v2", V1)}, {"Accept": "text/html", **pinned("v2", V1)}):
            for path in ("/", "/page", DIFFERING, SHARED, COLLISION):
                got, head = asked.get(path, headers=headers), asked.head(path, headers=headers)
                shown = [header for header in got.headers if header[0] != "Set-Cookie"]
                assert (head.status, [*head.headers], head.data) == (got.status, shown, b"")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookie_by_scheme(builds: dict[str, Path], scheme: str) -> None:
    """On https the cookie is Secure and prefixed; the plain one is not read there."""
    response = client(rollout(builds)).get("/", base_url=f"{scheme}://localhost", headers={**PAGE, **pinned("v1", V1)})
    if scheme == "http":
        assert stamped(response) == ""
    else:
        assert response.headers["Set-Cookie"].startswith(f"__Host-{COOKIE}=")
        assert "; Secure" in response.headers["Set-Cookie"]


def test_cookie_switched_off(builds: dict[str, Path]) -> None:
    """With ``cookie=None`` nothing is minted, pinned or set, whatever the request carries."""
    affinity = rollout(builds, html(), cookie=None)
    for path in ("/", "/page"):
        response = client(affinity).get(path, headers={**NAVIGATION, **pinned("v1", V1)})
        assert response.headers["Version-Affinity"].partition(";")[2] == "reason=random"
        assert stamped(response) == ""


@pytest.mark.parametrize(
    ("cookie", "name"), [("version-affinity-{name}", COOKIE), ("{name}.v", "storefront.v"), ("pin", "pin")]
)
def test_cookie_name(builds: dict[str, Path], cookie: str, name: str) -> None:
    """The cookie's name is configured, with the deployment's name in it where it says so."""
    response = client(rollout(builds, cookie=cookie)).get("/", headers=PAGE)
    assert response.headers["Set-Cookie"].partition("=")[0] == name


@pytest.mark.parametrize(
    ("decision", "served", "token", "parameters"),
    [
        (Decision("v2", "only"), "", "v2", {"reason": "only"}),
        (Decision("v2", "only"), "v2", "v2", {"reason": "only"}),
        (Decision("v2", "key", "cookie:a"), "", "v2", {"reason": "key", "source": "cookie:a"}),
        (Decision("v2", "only"), "v1", "v2", {"reason": "only", "served": "v1"}),
        (
            Decision("v2", "pin", "cookie:a", "bad-syntax"),
            "1.4.2",
            "v2",
            {"reason": "pin", "source": "cookie:a", "refused": "bad-syntax", "served": "1.4.2"},
        ),
        (Decision("20240601", "only"), "", "20240601", {"reason": "only"}),
        (Decision("1.4.2", "only"), "", "1.4.2", {"reason": "only"}),
        (Decision("1a2b3c4", "random"), "2a", "1a2b3c4", {"reason": "random", "served": "2a"}),
        (Decision("x" * 64, "only"), "", "x" * 64, {"reason": "only"}),
    ],
)
def test_trace_is_structured(decision: Decision, served: str, token: str, parameters: dict[str, str]) -> None:
    """The trace is an RFC 9651 Item with parameters, whatever the ids: a Token, or a String where it cannot be one."""
    item, found = http_sf.parse(trace(decision, served).encode("ascii"), tltype="item")
    assert str(item) == token
    assert {name: str(value) for name, value in found.items()} == parameters


@pytest.mark.parametrize(
    ("path", "headers", "timed"),
    [
        ("/", PAGE, True),
        ("/page", PAGE, True),
        ("/", {**NAVIGATION, **FORCED}, True),
        ("/page", {**NAVIGATION, **FORCED}, True),
        ("/", {"Accept": "text/html", **KEY}, True),
        ("/", KEY, False),
        (DIFFERING, {**SCRIPT, **KEY}, False),
        ("/", {**PAGE, "Sec-Purpose": "prefetch"}, False),
        (SHARED, PAGE, False),
    ],
)
def test_server_timing(builds: dict[str, Path], path: str, headers: dict[str, str], timed: bool) -> None:
    """A page says its version in Server-Timing, beside the application's own timings; nothing else does."""
    app = html(Server_Timing="db;dur=1")
    response = client(rollout(builds, app)).get(path, headers=headers)
    version = "v2" if "Version-Override" in headers else "v1"
    timings = response.headers.getlist("Server-Timing")
    assert (f'version;desc="{version}"' in timings) is timed
    assert ("db;dur=1" in timings) is (path == "/page")


def test_never_the_key(builds: dict[str, Path]) -> None:
    """No header of any answer shows a key."""
    affinity = rollout(builds, html(), keys=[Cookie("user_id"), Header("X-User-Id"), lambda _environ: "s3cret-c"])
    for headers in ({"Cookie": "user_id=s3cret-a"}, {"X-User-Id": "s3cret-b"}, {}):
        for path in ("/", "/page", DIFFERING, LOST, SHARED):
            response = client(affinity).get(path, headers={**NAVIGATION, **headers})
            assert "s3cret" not in str(response.headers)


def test_public_page_that_depends_on_the_version_is_reported(
    builds: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A page that declares itself public and depends on the version stays as declared, and is logged."""

    def marked(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        version = current_version(environ)
        start_response("200 OK", [("Content-Type", "text/html"), ("Cache-Control", "public, max-age=60")])
        return [version.encode()]

    pages = [client(rollout(builds, app)) for app in (html(Cache_Control="public, max-age=60"), marked)]
    caplog.clear()
    pages[0].get("/page", headers=NAVIGATION)
    assert not caplog.messages
    response = pages[1].get("/page", headers=NAVIGATION)
    assert (response.headers["Cache-Control"], stamped(response)) == ("public, max-age=60", "")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'/page' depends on the version and declares itself 'public, max-age=60'" in caplog.text


def test_what_is_remembered_of_vary_is_short(builds: dict[str, Path]) -> None:
    """However many and however long the values of an application's Vary are, little of them is kept."""
    kept = joined_before.cache_info().currsize
    for number in range(5):
        names = ", ".join(f"X-{number}-{other}" for other in range(50))
        affinity = rollout(builds, html(Vary=names))
        assert client(affinity).get("/api", headers=KEY).headers["Vary"] == f"{VARY}, {names}"
    assert joined_before.cache_info().currsize == kept
