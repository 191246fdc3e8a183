"""Which kind of request this is, and what may follow from it."""

from __future__ import annotations

import pytest
from harness import NAVIGATION, SCRIPT
from werkzeug.test import create_environ

from version_affinity.pin import PinCookie
from version_affinity.request import OTHER, PAGE, PREFETCH, SERVICE_WORKER, SUBRESOURCE, Kind, Request, kind_of, path_of

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


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
    ("GET", {"Sec-Fetch-Site": "cross-site", **HTML}, "subresource"),
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


@pytest.mark.parametrize(("method", "headers", "kind"), KINDS)
def test_kind(method: str, headers: dict[str, str], kind: Kind) -> None:
    """A request's kind follows from Fetch Metadata; without it, a GET or HEAD that accepts HTML is a page."""
    assert kind_of(create_environ(method=method, headers=headers)) == kind


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
