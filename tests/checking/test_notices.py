"""Traps that are not broken references, each with what helps; and builds that do not run into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.checking.sites import PAGE, checked, loaded
from version_affinity.checking import check_build

if TYPE_CHECKING:
    from pathlib import Path

WORKBOX = """define(["./workbox-9c191d2f"],function(e){e.precacheAndRoute([{url:"index.html",revision:"5b21"},
{url:"a.js",revision:null},{url:"docs/index.html",revision:"1a2b"}],{})})"""
BOTH = [("/index.html", "/", 1), ("/docs/index.html", "/docs/", 2)]
SITE = {"index.html": PAGE, "docs/index.html": PAGE, "a.js": "", "workbox-9c191d2f.js": ""}
REGISTERS = f"{PAGE}<script>navigator.serviceWorker.register('/worker.js')</script>"
SINGLE_PAGE = {"not_found_handling": "single-page-application"}


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        (WORKBOX, []),  # it copies redirected responses before it caches them
        ("caches.open('v1').then(c => c.addAll(['/index.html',\n'/docs/index.html']))", BOTH),
        ("caches.open('v1').then(c => c.addAll(['/', './a.js', '/index.html']))", [("/index.html", "/", 1)]),
        ("caches.open('v1').then(c => c.add('/docs/index.html'))", [("/docs/index.html", "/docs/", 1)]),
        ("caches.open('v1').then(c => c.addAll(['/', '/docs/', 'a.js']))", []),
    ],
)
def test_precached_redirect(script: str, kept: list[tuple[str, str, int]], tmp_path: Path) -> None:
    """A worker that caches a path which the server redirects breaks all pages."""
    files = {**SITE, "sw.js": script}
    report = checked(tmp_path, files)
    assert report.ok
    assert [(notice.file, notice.line) for notice in report.notices] == [("/sw.js", line) for _, _, line in kept]
    for notice, (path, target, _) in zip(report.notices, kept, strict=True):
        assert f"caches {path}, which is redirected to {target}:" in notice.text
    assert checked(tmp_path, files, {"html_handling": "none"}).notices == ()


def test_precached_redirect_by_rule(tmp_path: Path) -> None:
    """A rule of the build may redirect what a worker caches, and so may the mode of HTML under a prefix."""
    files = {**SITE, "sw.js": "caches.open('v1').then(c => c.addAll(['/old.js']))", "_redirects": "/old.js /a.js 302"}
    (notice,) = checked(tmp_path, files).notices
    assert "caches /old.js, which is redirected to /a.js" in notice.text
    script = "caches.open('v1').then(c => c.add('./index.html'))"
    (notice,) = checked(tmp_path, {**SITE, "sw.js": script}, prefix="/shop/").notices
    assert "caches /shop/index.html, which is redirected to /shop/:" in notice.text


@pytest.mark.parametrize(
    ("policy", "hides"),
    [
        *((policy, True) for policy in ("no-referrer", "origin", "strict-origin", "unsafe-url, No-Referrer")),
        ("same-origin", False),
        ("strict-origin-when-cross-origin", False),
        ("no-referrer, same-origin", False),
    ],
)
@pytest.mark.parametrize(
    "files",
    [
        {"sw.js": ""},
        {"own.js": "self.addEventListener('fetch', e => {})"},
        {"worker.js": "", "a.html": REGISTERS},
        {"worker.js": "caches.open('a').then(c=>c.add('/'))"},
    ],
)
def test_hidden_worker(files: dict[str, str], policy: str, hides: bool, tmp_path: Path) -> None:
    """A worker that does not name itself in its requests gets the page's version: browsers stay on it."""
    report = checked(tmp_path, {**SITE, **files, "_headers": f"/*\n  Referrer-Policy: {policy}"})
    assert [notice.file for notice in report.notices] == [f"/{next(iter(files))}"] * hides
    assert all(policy.rpartition(", ")[2].lower() in notice.text for notice in report.notices)
    rules = f"/*\n  Referrer-Policy: {policy}\n/*.js\n  ! Referrer-Policy"
    assert checked(tmp_path, {**SITE, **files, "_headers": rules}).notices == ()


@pytest.mark.parametrize("page", ["<script src='./assets/a.js'></script>", "<link rel=stylesheet href='assets/a.css'>"])
def test_relative_base(page: str, tmp_path: Path) -> None:
    """A single-page application whose page refers to files relative to it breaks at deep links."""
    files = {"index.html": f"{PAGE}\n{page}", "assets/a.js": "", "assets/a.css": ""}
    (notice,) = checked(tmp_path, files, SINGLE_PAGE).notices
    assert (notice.file, notice.line) == ("/index.html", 2)
    assert "at /a/b, the browser asks for /a/assets/a." in notice.text
    assert checked(tmp_path, files).notices == ()
    based = {**files, "index.html": f'{PAGE}<base href="/">{page}'}
    assert checked(tmp_path, based, SINGLE_PAGE).notices == ()
    links = {**files, "index.html": f"{PAGE}<link rel=icon href='a.ico'><a href='about'>a</a><script src=/assets/a.js>"}
    assert checked(tmp_path, links, SINGLE_PAGE).notices == ()


def test_no_entries(tmp_path: Path) -> None:
    """A build without HTML and without a manifest says nothing about what pages load."""
    (notice,) = checked(tmp_path, {"a.js": "", "b.css": ""}).notices
    assert (notice.file, notice.line, notice.text.startswith("it has no HTML page and no build manifest")) == (
        "",
        0,
        True,
    )
    assert checked(tmp_path, {"a.js": "", "about.html": PAGE}).notices == ()
    manifest = '{"src/a.js": {"file": "a.js", "isEntry": true}}'
    assert checked(tmp_path, {"a.js": "", ".vite/manifest.json": manifest}).notices == ()


@pytest.mark.parametrize(
    ("made_for", "served", "said"),
    [
        ("/app/", "/", "/app/"),
        ("/a/b/", "/", "/a/b/"),
        ("/app/", "/shop/", "/app/"),
        ("/", "/shop/", "/"),
        ("/", "/", ""),
    ],
)
def test_prefix(made_for: str, served: str, said: str, tmp_path: Path) -> None:
    """A build that is made for another prefix says for which."""
    page = PAGE + "".join(f"<script src='{made_for}assets/{name}.js'></script>" for name in ("a", "b", "gone"))
    build = loaded(tmp_path, {"index.html": page, "assets/a.js": "", "assets/b.js": ""})
    assert check_build(build, prefix=served).prefix == said
    assert check_build(build, prefix=made_for).prefix == ""


def test_prefix_beside_icons(tmp_path: Path) -> None:
    """Icons and a web manifest that are missing, and which pages do without, hide no prefix."""
    links = "<link rel=icon href=/a.ico><link rel=apple-touch-icon href=/b.png><link rel=manifest href=/c.json>"
    build = loaded(tmp_path, {"index.html": f"{PAGE}{links}<script src=/app/assets/a.js></script>", "assets/a.js": ""})
    assert check_build(build).prefix == "/app/"


def test_not_served(tmp_path: Path) -> None:
    """What of a directory is not served is said, and is the reason for a reference that leads there."""
    names = ("netlify.toml", "assets/.theme.css", ".env.js", "drafts/a.js", "gone.js")
    files = {
        "index.html": PAGE + "".join(f'<script src="/{name}"></script>' for name in names),
        **dict.fromkeys(names[:4], ""),
        "package.json": "{}",
        "_worker.js": "",
        "_headers": "/*\n  X-A: b",
        "vendor/x.js": "",
    }
    report = checked(tmp_path, files, {"ignore": ["drafts/*"]})
    reasons = {one.path: one.reason for one in report.broken}
    assert reasons["/netlify.toml"].startswith("it is not served, because it configures a hosting platform")
    assert reasons["/assets/.theme.css"] == "it is not served, because it is hidden: a name begins with a dot"
    assert reasons["/.env.js"] == reasons["/assets/.theme.css"]
    assert reasons["/drafts/a.js"] == "it is not served, because ignore= or .assetsignore leaves it out"
    assert reasons["/gone.js"] == "the file does not exist"
    notices = {notice.file: notice.text for notice in report.notices}
    assert set(notices) == {"/netlify.toml", "/_worker.js", ""}
    assert notices["/_worker.js"].startswith("it is not served: it configures a hosting platform")
    assert notices[""].startswith("/package.json is served like any other file")
