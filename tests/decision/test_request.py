"""Which kind of request this is, and what may follow from it."""

from __future__ import annotations

import pytest
from werkzeug.test import create_environ

from tests.harness import NAVIGATION, SCRIPT
from version_affinity.decision.cookies import PinCookie
from version_affinity.decision.request import (
    OTHER,
    PAGE,
    PREFETCH,
    SERVICE_WORKER,
    SUBRESOURCE,
    Kind,
    Request,
)
from version_affinity.wire import path_of

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


WORKER = {"Referer": "http://localhost/sw.js"}
OTHER_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Storage-Access": "none"}


def fetch(mode: str, dest: str, **more: str) -> dict[str, str]:
    """Return a browser's headers."""
    return {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Sec-Fetch-Site": "same-origin", **more}


KINDS: list[tuple[str, dict[str, str], Kind]] = [
    ("GET", NAVIGATION, "page"),
    ("HEAD", NAVIGATION, "page"),
    ("POST", NAVIGATION, "page"),
    ("GET", fetch("navigate", "empty"), "page"),  # a service worker's fetch of the page
    ("GET", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, "page"),
    ("GET", HTML, "page"),
    ("GET", {"Accept": "text/html"}, "page"),
    ("HEAD", HTML, "page"),
    ("HEAD", {"Accept": "*/*"}, "other"),
    ("OPTIONS", HTML, "other"),
    ("POST", HTML, "other"),
    ("GET", SCRIPT, "subresource"),
    ("GET", {**SCRIPT, **HTML}, "subresource"),
    ("GET", fetch("no-cors", "image"), "subresource"),
    ("GET", fetch("cors", "empty"), "subresource"),
    ("GET", fetch("same-origin", "worker"), "subresource"),
    ("GET", fetch("navigate", "iframe"), "subresource"),
    ("GET", fetch("navigate", "frame"), "subresource"),
    ("GET", fetch("navigate", "object"), "subresource"),
    ("GET", fetch("navigate", "embed"), "subresource"),
    ("GET", {"Sec-Fetch-Mode": "navigate"}, "subresource"),
    ("GET", {"Sec-Fetch-Dest": "document"}, "subresource"),
    ("GET", {"Sec-Fetch-Site": "cross-site", **HTML}, "cross-origin"),
    # Firefox behind a service worker that passes requests through.
    ("GET", fetch("same-origin", "empty", **HTML), "page"),
    ("GET", fetch("same-origin", "empty"), "subresource"),
    ("GET", fetch("cors", "empty", **HTML), "subresource"),
    # WebKit names the worker as Referer of typed navigations, too.
    ("GET", {**NAVIGATION, **WORKER}, "page"),
    ("GET", fetch("navigate", "empty", **WORKER), "page"),
    ("GET", fetch("navigate", "iframe", **{"Sec-Fetch-Site": "cross-site"}), "cookieless-frame"),
    ("GET", fetch("navigate", "iframe", **OTHER_SITE), "frame"),
    ("GET", fetch("navigate", "frame", **OTHER_SITE), "frame"),
    ("GET", fetch("navigate", "object", **OTHER_SITE), "frame"),
    ("GET", fetch("navigate", "embed", **OTHER_SITE), "frame"),
    ("POST", fetch("navigate", "iframe", **OTHER_SITE), "frame"),
    ("GET", fetch("navigate", "document", **OTHER_SITE), "page"),
    ("GET", fetch("cors", "iframe", **OTHER_SITE), "cross-origin"),
    # What such a frame loads is of the same origin.
    ("GET", fetch("navigate", "iframe", **{"Sec-Fetch-Site": "same-site"}), "subresource"),
    ("GET", fetch("navigate", "iframe", **{"Sec-Fetch-Storage-Access": "active"}), "subresource"),
    ("GET", fetch("no-cors", "script", **{"Sec-Fetch-Site": "cross-site"}), "cross-origin"),
    ("GET", fetch("cors", "script", **{"Sec-Fetch-Site": "same-site"}), "cross-origin"),
    ("GET", fetch("no-cors", "script", **{"Sec-Fetch-Site": "none"}), "subresource"),
    # A service worker's own requests name its script as Referer.
    ("GET", fetch("cors", "empty", **WORKER), "service-worker"),
    ("GET", fetch("no-cors", "script", **WORKER), "service-worker"),
    ("GET", fetch("same-origin", "worker", **WORKER), "service-worker"),
    ("GET", fetch("same-origin", "serviceworker"), "service-worker"),
    ("GET", fetch("no-cors", "image", **WORKER), "subresource"),
    ("GET", fetch("same-origin", "empty", **WORKER), "subresource"),
    ("GET", fetch("cors", "empty", Referer="http://localhost/sw.js?v=3"), "service-worker"),
    ("GET", fetch("cors", "empty", Referer="http://localhost/sw%2Ejs"), "service-worker"),
    ("GET", fetch("cors", "empty", Referer="http://localhost/admin/ngsw-worker.js"), "service-worker"),
    ("GET", fetch("cors", "empty", Referer="http://localhost/?next=/sw.js"), "subresource"),
    ("GET", fetch("cors", "empty", Referer="http://localhost/sw.js/page"), "subresource"),
    ("GET", fetch("cors", "empty", Referer="http://localhost/assets/my-sw.js"), "subresource"),
    ("GET", fetch("cors", "empty", Referer="sw.js"), "subresource"),
    ("GET", {"Accept": "*/*", **WORKER}, "other"),
    ("GET", fetch("navigate", "document", **{"Sec-Purpose": "prefetch"}), "prefetch"),
    ("GET", fetch("navigate", "document", **{"Sec-Purpose": "prefetch;prerender"}), "prefetch"),
    ("GET", fetch("no-cors", "script", **{"Sec-Purpose": "prefetch;anonymous-client-ip"}), "prefetch"),
    ("GET", {**NAVIGATION, "Sec-Purpose": "other"}, "page"),
    ("GET", fetch("same-origin", "serviceworker", **{"Service-Worker": "script"}), "service-worker"),
    ("GET", {"Service-Worker": "script"}, "service-worker"),
    ("GET", {**NAVIGATION, "Service-Worker": "navigation-preload"}, "page"),
    ("GET", {}, "other"),
    ("GET", {"Accept": "*/*"}, "other"),
    ("GET", {"Accept": "application/json"}, "other"),
    ("GET", {"Accept": "image/webp,*/*"}, "other"),
    ("POST", {}, "other"),
]


@pytest.mark.parametrize("path", ["/version.json", "/_app/version.json", "/_nuxt/builds/latest.json", "/de/ngsw.json"])
@pytest.mark.parametrize("headers", [fetch("cors", "empty"), SCRIPT, {"Accept": "*/*"}])
def test_polls_for_a_version(path: str, headers: dict[str, str]) -> None:
    """The files that frameworks poll are asked for like a worker's script, unless a tab or a frame shows them."""
    assert Request(create_environ(path, headers=headers), None).kind == "service-worker"
    assert Request(create_environ(path, headers=NAVIGATION), None).kind == "page"


@pytest.mark.parametrize(
    "path", ["/data/version.json", "/conversion.json", "/version.json/", "/_nuxt/builds", "/x.json"]
)
def test_other_data_is_not_polled(path: str) -> None:
    """Other data belongs to the page that asks for it."""
    assert Request(create_environ(path, headers=fetch("cors", "empty")), None).kind == "subresource"


@pytest.mark.parametrize("mode", ["navigate", "same-origin"])
@pytest.mark.parametrize(
    ("path", "is_page"),
    [("/export.csv", False), ("/a/report.PDF", False), ("/about", True), ("/about.html", True), ("/jane.doe", True)],
)
def test_downloads_are_not_pages(path: str, is_page: bool, mode: str) -> None:
    """``<a download>`` looks like a worker's fetch of a page: a media type's extension tells them apart."""
    assert Request(create_environ(path, headers=fetch(mode, "empty", **HTML)), None).kind == (
        "page" if is_page else "subresource"
    )
    assert Request(create_environ(path, headers=NAVIGATION), None).kind == "page"


@pytest.mark.parametrize(("method", "headers", "kind"), KINDS)
def test_kind(method: str, headers: dict[str, str], kind: Kind) -> None:
    """The first kind of the table that fits counts; without Fetch Metadata, a GET or HEAD for HTML is a page."""
    assert Request(create_environ(method=method, headers=headers), None).kind == kind


@pytest.mark.parametrize(
    ("method", "headers", "safe", "kind"),
    [
        ("GET", NAVIGATION, True, PAGE),
        ("HEAD", NAVIGATION, True, PAGE),
        ("POST", NAVIGATION, False, PAGE),
        ("PUT", NAVIGATION, False, PAGE),
        ("DELETE", NAVIGATION, False, PAGE),
        ("BREW", NAVIGATION, False, PAGE),
        ("OPTIONS", {}, True, OTHER),
        ("TRACE", {}, True, OTHER),
        ("GET", SCRIPT, True, SUBRESOURCE),
        ("GET", {**NAVIGATION, "Sec-Purpose": "prefetch"}, True, PREFETCH),
        ("GET", {"Service-Worker": "script"}, True, SERVICE_WORKER),
        ("GET", {}, True, OTHER),
    ],
)
def test_may_be_minted(method: str, headers: dict[str, str], safe: bool, kind: Kind) -> None:
    """A safe method may mint, whatever is asked for."""
    request = Request(create_environ(method=method, headers=headers), None)
    assert (request.safe, request.kind) == (safe, kind)


def test_reads_the_cookie_once() -> None:
    """A request knows its bucket and pin, and neither when the cookie is switched off."""
    environ = create_environ(headers={"Cookie": "version-affinity-app=4711.v1"})
    request = Request(environ, PinCookie("version-affinity-app"))
    assert (request.bucket, request.pin, request.refused) == ("4711", "v1", "")
    assert (Request(environ, None).bucket, Request(environ, None).pin) == ("", "")


def test_keeps_what_came() -> None:
    """Method and scheme are those of the request as it came, whatever an application makes of the environ."""
    environ = create_environ(method="POST", base_url="https://localhost", headers=NAVIGATION)
    request = Request(environ, None)
    environ.update({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"})
    assert (request.method, request.scheme, request.safe) == ("POST", "https", False)


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"PATH_INFO": "/a"}, "/a"),
        ({"PATH_INFO": "/a", "SCRIPT_NAME": "/app"}, "/a"),
        ({"PATH_INFO": "", "SCRIPT_NAME": "/app"}, ""),
        ({"SCRIPT_NAME": "/app"}, ""),
        ({"PATH_INFO": "", "SCRIPT_NAME": ""}, "/"),
        ({}, "/"),
    ],
)
def test_path(environ: dict[str, str], path: str) -> None:
    """An empty path is the root, or, where it is mounted, the mount without its slash."""
    assert path_of(environ) == path
