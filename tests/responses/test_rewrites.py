"""Rules that show a page at other paths: to those who ask for a page, and to nobody who asks for something else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import NAVIGATION, SCRIPT, client, write_build
from version_affinity import StaticAssets, Version, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
WORKER = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "empty"}
CURL: dict[str, str] = {}

ENTRY, GONE, LOGO = "/assets/i-BX4CeNGm.js", "/assets/old-Zz9kPq3L.js", "/logo.svg"
RULES = """
/entry.js       /assets/i-BX4CeNGm.js   200
/led/*          /page.html              200
/none/*         /nothing                200
/*              /page                   200
"""
FILES = {"_redirects": RULES, "page.html": "the page", ENTRY[1:]: "entry", "data.json": "data", "404.html": "missing"}
APP = "the application"


def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Stand for the application behind the files."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(APP)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [APP.encode()]


def alone(tree: Path, app: WSGIApplication | None) -> WSGIApplication:
    """Serve one build."""
    build = write_build(tree / "v1", {**FILES, LOGO[1:]: "logo"})
    return StaticAssets(build, app, not_found_handling="404-page")


def decided(tree: Path, app: WSGIApplication | None) -> WSGIApplication:
    """Serve two, of which the decided one lacks a file."""
    other = write_build(tree / "v0", {"index.html": "home", LOGO[1:]: "logo"})
    versions = [Version("v1", write_build(tree / "v1", FILES))]
    return VersionAffinity(app, versions, retained=[Version("v0", other)], not_found_handling="404-page")


#: Path and fields; the status and the body, or where it leads. "missing": the page, the plain text, or the application.
ASKED: list[tuple[str, dict[str, str], int, str]] = [
    ("/", NAVIGATION, 200, "the page"),
    ("/orders/7", NAVIGATION, 200, "the page"),
    ("/orders/7", FRAME, 200, "the page"),
    ("/orders/7", WORKER, 200, "the page"),
    ("/orders/7", CURL, 200, "the page"),
    ("/data.json", NAVIGATION, 200, "the page"),  # a rule comes before a file
    ("/led/x", NAVIGATION, 307, "/page"),
    ("/led/x", CURL, 307, "/page"),
    # what a page loads, whether it is there or not
    ("/data.json", FETCH, 200, "data"),
    ("/data.json", CURL, 200, "data"),
    (LOGO, IMAGE, 200, "logo"),
    (LOGO, CURL, 200, "logo"),
    ("/orders/7", FETCH, 404, "missing"),
    ("/orders/7", SCRIPT, 404, "missing"),
    ("/missing.svg", IMAGE, 404, "missing"),
    ("/robots.txt", CURL, 404, "missing"),
    ("/led/x", SCRIPT, 404, "missing"),
    # what looks like a build's asset, whoever asks
    (GONE, SCRIPT, 404, "404 Not Found\n"),
    (GONE, CURL, 404, "404 Not Found\n"),
    (GONE, NAVIGATION, 404, "404 Not Found\n"),
    (ENTRY, SCRIPT, 200, "entry"),
    # rules that show no page
    ("/entry.js", SCRIPT, 200, "entry"),
    ("/entry.js", NAVIGATION, 200, "entry"),
    ("/none/x", NAVIGATION, 404, "nothing"),
    ("/none/x.js", SCRIPT, 404, "nothing"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("app", [None, wrapped], ids=["alone", "in front"])
@pytest.mark.parametrize("make", [alone, decided])
@pytest.mark.parametrize(("path", "fields", "status", "body"), ASKED)
def test_rewrites(
    tmp_path: Path,
    make: Callable[[Path, WSGIApplication | None], WSGIApplication],
    path: str,
    fields: dict[str, str],
    status: int,
    body: str,
    app: WSGIApplication | None,
    method: str,
) -> None:
    """A rule shows a page to whoever asks for one; for all else the path means what it does without the rule."""
    answer = client(make(tmp_path, app)).open(path, method=method, headers=fields)
    if body == "missing" and app is not None:
        status, body = 200, APP
    body = {"nothing": "missing"}.get(body, body)
    if method == "HEAD":
        body = ""
    assert (answer.status_code, answer.headers.get("Location", answer.text)) == (
        status,
        f"/{'page'}" if status == 307 else body,
    )
    if status == 404:
        assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("app", [None, wrapped], ids=["alone", "in front"])
@pytest.mark.parametrize("make", [alone, decided])
def test_caches_are_told(
    tmp_path: Path, make: Callable[[Path, WSGIApplication | None], WSGIApplication], app: WSGIApplication | None
) -> None:
    """A page that is shown to those alone who ask for one says what that depends on; no cache gives it to others."""
    answer = client(make(tmp_path, app)).get("/orders/7", headers=NAVIGATION)
    assert {"Sec-Fetch-Mode", "Sec-Fetch-Dest"} <= set(answer.headers["Vary"].split(", "))


def test_a_target_that_leads_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A rule whose target is shown elsewhere redirects there: that is told with its line and what to write."""
    rules = "/a/* /page.html 200\n/b/* /page 200\n/c/:x /docs/index.html 200\n/d /gone.html 200\n/e/:x /:x.html 200\n"
    files = {**FILES, "docs/index.html": "docs", "_redirects": rules}
    build = write_build(tmp_path / "v1", files)
    with caplog.at_level(logging.WARNING, "version_affinity"):
        StaticAssets(build)
    (message,) = caplog.messages
    assert "_redirects: 2 " in message
    assert "line 1: '/page.html' is shown at '/page'" in message
    assert "write '/page' instead" in message
    assert "line 3: '/docs/index.html' is shown at '/docs/'" in message
    caplog.clear()
    StaticAssets(build, html_handling="none")
    assert caplog.messages == []


def document_of(tree: Path, **options: Any) -> WSGIApplication:
    """Serve a single-page application with a rule that leads to its document, as other platforms have it."""
    build = write_build(tree, {"index.html": "document", "_redirects": "/app/* / 200\n"})
    return StaticAssets(build, not_found_handling="single-page-application", **options)


@pytest.mark.parametrize("fields", [NAVIGATION, FRAME, CURL])
def test_the_document(tmp_path: Path, fields: dict[str, str]) -> None:
    """A rule may show the document of a single-page application, which is no other answer than it gives by itself."""
    app = document_of(tmp_path)
    ruled, itself = (client(app).get(path, headers=fields) for path in ("/app/x", "/other"))
    assert (ruled.text, dict(ruled.headers)) == ("document", dict(itself.headers))
