"""``Basic-Auth`` in ``_headers``: what it names is answered with 404, by every way that leads there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import SPLIT, key_of, pinned, rollout
from tests.harness import NAVIGATION, SCRIPT, client, write_build
from version_affinity import StaticAssets, Version, VersionAffinity
from version_affinity.assets.rules.headers import Protection
from version_affinity.checking import check_build

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SECRET = "the secret"  # noqa: S105 - of no one
AUTH = "\n  Basic-Auth: alice:wonderland bob:builder\n"


def answering(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the wrapped application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application"] if environ["REQUEST_METHOD"] != "HEAD" else []


FILES = {
    "index.html": "page",
    "404.html": "none",
    "secret/index.html": SECRET,
    "secret/page.html": SECRET,
    "secret/404.html": SECRET,
    "secret/assets/app-BX4CeNGm.js": SECRET,
    "secret/report.pdf": SECRET,
    "secret/report.pdf.gz": SECRET,
    "admin.html": SECRET,
    "docs/index.html": SECRET,
    "one.txt": SECRET,
    "one.txt.gz": SECRET,
    "public.txt": "public",
}
RULES = f"/secret/*{AUTH}/admin{AUTH}/docs/{AUTH}/one.txt{AUTH}"
REDIRECTS = "/shown /secret/page 200\n/also /one.txt 200\n/secret/old /public.txt 301\n/old /secret/page 301\n"
ASKED = ["/secret", "/secret/", "/secret/index.html", "/secret/index", "/secret/page", "/secret/page.html"]
ASKED += [
    "/secret/none",
    "/secret/404.html",
    "/secret/assets/app-BX4CeNGm.js",
    "/secret/report.pdf",
    "/secret/report.pdf.gz",
]
ASKED += ["/admin", "/admin.html", "/admin/", "/docs", "/docs/", "/docs/index.html", "/docs/index", "/one.txt"]
ASKED += ["/one.txt.gz", "/shown", "/also", "/secret/old", "//secret/page", "/secret%2fpage", "/secret/./page"]
MODES = ("auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none")


@pytest.mark.parametrize("app", [None, answering])
@pytest.mark.parametrize("not_found", ["none", "404-page", "single-page-application"])
@pytest.mark.parametrize("html", MODES)
@pytest.mark.parametrize("kind", ["alone", "rollout"])
def test_every_way(tmp_path: Path, app: Any, not_found: str, html: str, kind: str) -> None:
    """No path, method, encoding or mode leads to a protected file; the paths that are named are 404."""
    options = {"not_found_handling": not_found, "html_handling": html}
    write_build(tmp_path, {**FILES, "_headers": RULES, "_redirects": REDIRECTS})
    site: Any = (
        StaticAssets(tmp_path, app, **options)
        if kind == "alone"
        else VersionAffinity(app, [Version("v1", tmp_path)], **options)
    )
    asked = client(site)
    for path in ASKED:
        for headers in ({}, NAVIGATION, SCRIPT, {"Accept-Encoding": "gzip"}, {"Range": "bytes=0-3"}):
            answer = asked.get(path, headers=headers)
            assert SECRET not in answer.text
            assert "Basic-Auth" not in answer.headers
            if html == "none" and path == "/docs/index":
                continue  # not a path of the build
            if path.startswith(("/secret/", "/admin", "/docs", "/one.txt")) and "%" not in path and path[8:9] != ".":
                assert answer.status_code == 404
                assert answer.headers["Cache-Control"] in ("no-store", "private, no-store")
        assert SECRET not in asked.head(path).text
        assert asked.post(path).status_code in ((404, 405) if app is None else (200,))
    assert asked.get("/public.txt").text == "public"


@pytest.mark.parametrize(
    ("rules", "covered", "free"),
    [
        ("/a" + AUTH, ["/a", "/a/"], ["/", "/ab", "/a/b"]),
        ("/*" + AUTH, ["", "/", "/a", "/a/b"], []),
        ("/a/*" + AUTH, ["/a", "/a/", "/a/b/c"], ["/ab", "/"]),
        ("/a/* # staff only" + AUTH, ["/a", "/a/", "/a/b/c"], ["/ab", "/"]),
        ("https://example.com/s/*\t# x" + AUTH, ["/s/x"], ["/x"]),
        ("/*.pdf" + AUTH, ["/x.pdf", "/a/x.pdf"], ["/x.txt", "/"]),
        ("/user/:id/private" + AUTH, ["/user/7/private", "/user/7/private/"], ["/user/7", "/user/7/public"]),
        ("https://staging.example.com/s/*" + AUTH, ["/s/x"], ["/x"]),
        ("https://example.com:8080/s/*" + AUTH, ["/s/x"], ["/x"]),
        ("http://example.com/s/*" + AUTH, ["/s/x"], ["/x"]),
        ("/s/*/x/*" + AUTH, ["/s/a/x/b", "/s/a"], ["/x"]),
        ("/:a/:a" + AUTH, ["/x/x", "/x/y"], ["/x"]),
        ("/caf\xe9/*" + AUTH, ["/caf\xc3\xa9/x"], ["/x"]),
        ("/caf%C3%A9/*" + AUTH, ["/caf\xc3\xa9/x"], ["/x"]),
        ("/a\n  BASIC-AUTH: x", ["/a"], ["/b"]),
        ("/a\n  basic-auth :", ["/a"], ["/b"]),
        ("/a\n  Basic-Auth", ["/a"], ["/b"]),
        ("/a\n  Basic-Auth:http://x", ["/a"], ["/b"]),
        ("/a\n  Basic-Auth: " + "x" * 3000, ["/a"], ["/b"]),
        ("/a\n  X-A: 1\n  # Basic-Auth: x\n/b" + AUTH, ["/b"], ["/a"]),
        ("/a" + AUTH + "/a\n  ! Basic-Auth\n", ["/a"], ["/b"]),
        ("".join(f"/x{number}\n  X-A: 1\n" for number in range(150)) + "/a" + AUTH, ["/a"], ["/x1"]),
        ("  Basic-Auth: x\n/a\n  X-A: 1", [], ["/a", "/"]),
    ],
)
def test_named_paths(rules: str, covered: list[str], free: list[str]) -> None:
    """What a rule names is covered, also where the rule could set no header; nothing else is."""
    protection = Protection(rules)
    assert [path for path in covered if not protection.covers(path)] == []
    assert [path for path in free if protection.covers(path)] == []


def test_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The build is reported, without the passwords; the reason of a missing file can be asked for."""
    write_build(tmp_path, {**FILES, "_headers": RULES})
    site = StaticAssets(tmp_path)
    assert "Basic-Auth is not implemented, so '/secret/*' is answered with 404" in caplog.text
    assert "wonderland" not in caplog.text
    assert "not used" not in caplog.text
    assert "Basic-Auth" in site.build.why_not_served("/secret/page.html")
    assert site.build.why_not_served("/public.txt") == ""


def test_checked(tmp_path: Path) -> None:
    """A reference to a protected file is broken, and the check says why."""
    page = '<!doctype html><title>x</title><script type="module" src="/secret/assets/app-BX4CeNGm.js"></script>'
    write_build(tmp_path, {**GUARDED, "index.html": page})
    (broken,) = check_build(StaticAssets(tmp_path)).broken
    assert "Basic-Auth" in broken.reason


def test_other_headers_of_the_rule(tmp_path: Path) -> None:
    """Rules without ``Basic-Auth`` are as before, beside and below it."""
    write_build(tmp_path, {**FILES, "_headers": f"/one.txt{AUTH}/*\n  X-A: 1\n"})
    assert client(StaticAssets(tmp_path)).get("/public.txt").headers["X-A"] == "1"


def test_whole_site(tmp_path: Path) -> None:
    """A build that protects everything loads, and answers 404, also as a single-page application."""
    write_build(tmp_path, {**FILES, "_headers": f"/*{AUTH}"})
    for handling in ("none", "404-page", "single-page-application"):
        site = VersionAffinity(None, [Version("v1", tmp_path)], not_found_handling=handling)
        for path in ("/", "/public.txt", "/none", "/index.html"):
            assert client(site).get(path, headers=NAVIGATION).status_code == 404


def test_autorefresh(tmp_path: Path) -> None:
    """A rule that is added or removed counts with the next request; nothing is read again without a change."""
    write_build(tmp_path, FILES)
    site = StaticAssets(tmp_path, autorefresh=True)
    asked = client(site)
    assert asked.get("/one.txt").text == SECRET
    (tmp_path / "_headers").write_text(RULES)
    assert asked.get("/one.txt").status_code == 404
    build = site.build
    assert asked.get("/one.txt").status_code == 404
    assert site.build is build
    (tmp_path / "_headers").unlink()
    assert asked.get("/one.txt").text == SECRET


FINGERPRINTED = "/secret/assets/app-BX4CeNGm.js"
OPEN = {"index.html": "page", FINGERPRINTED[1:]: SECRET, "secret/report.pdf": SECRET, "assets/a-Qz81xKpL.js": "1"}
GUARDED = {**OPEN, "_headers": f"/secret/*{AUTH}"}


@pytest.fixture
def builds(tmp_path: Path) -> dict[str, Path]:
    """v1 without the rule, v2 with it, v3 without the files."""
    write_build(tmp_path / "v1", OPEN)
    write_build(tmp_path / "v2", GUARDED)
    write_build(tmp_path / "v3", {"index.html": "page"})
    return {version: tmp_path / version for version in ("v1", "v2", "v3")}


@pytest.mark.parametrize("path", [FINGERPRINTED, "/secret/report.pdf"])
def test_other_versions(builds: dict[str, Path], path: str) -> None:
    """A request that is decided for a protecting version gets the file from no other; another version's user does."""
    asked = client(rollout(builds, None, SPLIT, ["v3"]))
    for headers in ({"Version-Key": key_of("v2")}, {**SCRIPT, **pinned("v2")}, {"Version-Override": "v2"}):
        assert asked.get(path, headers=headers).status_code == 404
        assert asked.options("/secret/report.pdf", headers=headers).status_code == 404
    for headers in ({"Version-Key": key_of("v1")}, {**SCRIPT, **pinned("v1")}):
        answer = asked.get(path, headers=headers)
        assert (answer.status_code, answer.text) == (200, SECRET)
        assert answer.headers["Cache-Control"] == "private, no-cache"
    assert "immutable" in asked.get("/assets/a-Qz81xKpL.js").headers["Cache-Control"]


def test_a_protecting_version_rescues_nobody(builds: dict[str, Path]) -> None:
    """A protected file of one version stands in for no other version's, however it is asked for."""
    asked = client(rollout(builds, None, {"v2": 50.0, "v3": 50.0}))
    for path in (FINGERPRINTED, "/secret/report.pdf"):
        for version in ("v2", "v3"):
            assert asked.get(path, headers={**SCRIPT, **pinned(version)}).status_code == 404
            assert asked.get(path, headers={"Version-Override": version}).status_code == 404


def test_retained_version_without_the_rule(builds: dict[str, Path]) -> None:
    """Once the protecting version has everybody, a retained one without the rule does not give the file away."""
    asked = client(rollout(builds, None, {"v2": 100.0}, ["v1"]))
    assert asked.get(FINGERPRINTED).status_code == 404
    assert asked.get("/secret/report.pdf", headers=NAVIGATION).status_code == 404


def test_staged_version(builds: dict[str, Path]) -> None:
    """A staged version protects its own files, and takes nothing from the live one until it has a share."""
    affinity = rollout(builds, None, {"v1": 100.0, "v2": 0.0})
    asked = client(affinity)
    assert "immutable" in asked.get(FINGERPRINTED).headers["Cache-Control"]
    affinity.deploy({"v1": 0, "v2": 100})
    assert asked.get(FINGERPRINTED).status_code == 404


def test_application_at_a_protected_path(builds: dict[str, Path]) -> None:
    """What one version answers with 404 and another leaves to the application is kept by no shared cache."""

    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        del environ
        start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "max-age=60")])
        return [b"{}"]

    asked = client(rollout(builds, page, {"v2": 50.0, "v3": 50.0}))
    shares = {"v2": 50.0, "v3": 50.0}
    assert asked.get("/secret/x", headers={"Version-Key": key_of("v2", shares)}).status_code == 404
    answer = asked.get("/secret/x", headers={"Version-Key": key_of("v3", shares)})
    assert (answer.text, answer.headers["Cache-Control"]) == ("{}", "max-age=60, private")
