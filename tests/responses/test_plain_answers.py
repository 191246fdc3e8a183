"""Answers without a file: what ``_headers`` adds to a plain 404, and preflights of fingerprinted files."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import SPLIT, key_of
from tests.harness import NAVIGATION, SCRIPT, client, write_build
from version_affinity import StaticAssets, Version, VersionAffinity
from version_affinity.assets.loading.compress import compress
from version_affinity.assets.loading.index import scan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

RULES = """\
/*
  Content-Security-Policy: default-src 'self'
  X-Frame-Options: DENY
  Cache-Control: public, max-age=60
  Content-Type: text/html
  ETag: "x"
  CDN-Cache-Control: max-age=60
/assets/*
  Cache-Control: public, max-age=31536000, immutable
"""


def site_of(kind: str, build: Path, app: Any = None, **options: Any) -> Any:
    """Return a build alone, as the only version, or as one of two."""
    if kind == "alone":
        return StaticAssets(build, app, **options)
    versions = [Version("v1", build)]
    if kind == "two":
        versions = [Version("v1", build, percentage=50), Version("v2", build, percentage=50)]
    return VersionAffinity(app, versions, name="storefront", **options)


def answering(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the wrapped application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application"] if environ["REQUEST_METHOD"] != "HEAD" else []


@pytest.mark.parametrize("kind", ["alone", "one", "two"])
@pytest.mark.parametrize("handling", ["none", "single-page-application", "404-page"])
@pytest.mark.parametrize("path", ["/none", "/assets/none-BX4CeNGm.js", "/assets/none.css", "/secret/x"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_plain_404(tmp_path: Path, kind: str, handling: str, path: str, method: str) -> None:
    """A plain 404 carries what ``_headers`` says of its path, but for what says how long it is kept, and its type."""
    auth = "/secret/*\n  Basic-Auth: a:b\n"
    write_build(tmp_path, {"index.html": "page", "assets/a-Qz81xKpL.js": "1", "_headers": RULES + auth})
    answer = client(site_of(kind, tmp_path, not_found_handling=handling)).open(path, method=method, headers=SCRIPT)
    if answer.status_code == 405:
        assert (handling, method) == ("single-page-application", "POST")
        return
    assert answer.status_code == 404
    assert answer.headers.getlist("Content-Security-Policy") == ["default-src 'self'"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers.getlist("Cache-Control") == ["no-store"]
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "ETag" not in answer.headers
    assert "CDN-Cache-Control" not in answer.headers
    assert (b"404" in answer.data) is (method != "HEAD")


def test_plain_404_of_the_decided_version(tmp_path: Path) -> None:
    """The rules are those of the decided version."""
    for version in SPLIT:
        write_build(tmp_path / version, {"index.html": "page", "_headers": f"/*\n  X-Version: {version}"})
    affinity = VersionAffinity(
        None, [Version(id_, tmp_path / id_, percentage=share) for id_, share in SPLIT.items()], name="storefront"
    )
    for version in SPLIT:
        answer = client(affinity).get("/none", headers={"Version-Key": key_of(version)})
        assert (answer.status_code, answer.headers["X-Version"]) == (404, version)


def test_vanished_file(tmp_path: Path) -> None:
    """The 404 of a file that is gone carries them too."""
    write_build(tmp_path, {"index.html": "page", "a.txt": "a", "_headers": RULES})
    for kind in ("alone", "one"):
        asked = client(site_of(kind, tmp_path, memory=0))
        (tmp_path / "a.txt").unlink()
        answer = asked.get("/a.txt")
        assert (answer.status_code, answer.headers["X-Frame-Options"]) == (404, "DENY")
        (tmp_path / "a.txt").write_text("a")


PREFLIGHT = {
    "Origin": "https://other.example",
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "range",
    "Sec-Fetch-Mode": "cors",
}
FILE = "/assets/font-BX4CeNGm.woff2"


@pytest.mark.parametrize("app", [None, answering])
@pytest.mark.parametrize("kind", ["alone", "one", "two"])
def test_preflight(tmp_path: Path, app: Any, kind: str) -> None:
    """``allow_all_origins`` answers the preflight of a file that it covers, before the application."""
    write_build(tmp_path, {"index.html": "page", FILE[1:]: "font", "plain.txt": "1"})
    asked = client(site_of(kind, tmp_path, app, allow_all_origins=True))
    answer = asked.options(FILE, headers=PREFLIGHT)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert answer.headers["Access-Control-Allow-Headers"] == "*"
    assert "Set-Cookie" not in answer.headers
    assert asked.get(FILE, headers=SCRIPT).headers["Access-Control-Allow-Origin"] == "*"
    # What is not covered is answered as before.
    without = {name: value for name, value in PREFLIGHT.items() if "Method" not in name}
    for path, headers in (
        ("/plain.txt", PREFLIGHT),
        (FILE, {**PREFLIGHT, "Access-Control-Request-Method": "PUT"}),
        (FILE, without),
    ):
        other = asked.options(path, headers=headers)
        assert "Access-Control-Allow-Methods" not in other.headers
        assert other.text == ("application" if app else "")
    off = client(site_of(kind, tmp_path, app)).options(FILE, headers=PREFLIGHT)
    assert "Access-Control-Allow-Origin" not in off.headers


def test_preflight_of_a_collision(tmp_path: Path) -> None:
    """A fingerprinted name with two contents is covered too: it carries the field."""
    for version in SPLIT:
        write_build(tmp_path / version, {"index.html": "page", FILE[1:]: version})
    versions = [Version(id_, tmp_path / id_, percentage=share) for id_, share in SPLIT.items()]
    asked = client(VersionAffinity(answering, versions, allow_all_origins=True))
    assert asked.options(FILE, headers=PREFLIGHT).headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("! Access-Control-Allow-Origin", None),
        ("Access-Control-Allow-Origin: https://a.example", "https://a.example"),
        ("X-A: 1", "*"),
    ],
)
@pytest.mark.parametrize("kind", ["alone", "one"])
def test_preflight_and_rules(tmp_path: Path, kind: str, rule: str, expected: str | None) -> None:
    """A preflight is answered as the file itself: as ``_headers`` says."""
    write_build(tmp_path, {"index.html": "page", FILE[1:]: "font", "_headers": f"{FILE}\n  {rule}"})
    asked = client(site_of(kind, tmp_path, allow_all_origins=True))
    assert asked.options(FILE, headers=PREFLIGHT).headers.get("Access-Control-Allow-Origin") == expected
    assert asked.get(FILE).headers.get("Access-Control-Allow-Origin") == expected


# A client that asks for no coding gets one all the same: there is no other form of such a file.
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 50


@pytest.mark.parametrize("kind", ["alone", "one", "two"])
@pytest.mark.parametrize("path", ["/logo.svgz", "/assets/logo-BX4CeNGm.svgz"])
@pytest.mark.parametrize("memory", [0, 1 << 20])
@pytest.mark.unlinted
def test_svgz(tmp_path: Path, kind: str, path: str, memory: int) -> None:
    """A gzipped SVG is sent as it is, with its coding, to every client; nothing compresses it again."""
    packed = gzip.compress(SVG)
    write_build(tmp_path, {"index.html": "page", path[1:]: packed, f"{path[1:]}.br": b"not used"})
    asked = client(site_of(kind, tmp_path, memory=memory))
    for accepted in ("gzip", "br", "identity", ""):
        answer = asked.get(path, headers={"Accept-Encoding": accepted, **NAVIGATION})
        assert (answer.status_code, answer.data) == (200, packed)
        assert answer.headers.getlist("Content-Encoding") == ["gzip"]
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.headers["Content-Length"] == str(len(packed))
    again = asked.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert compress(tmp_path, encodings=["gzip"]).written == 0


def test_svgz_that_is_not_gzipped(tmp_path: Path) -> None:
    """An SVG that is called so by mistake is sent without a coding; a manifest changes nothing."""
    write_build(tmp_path, {"plain.svgz": SVG, "packed.svgz": gzip.compress(SVG), "index.html": "page"})
    for _ in range(2):
        assets = scan(tmp_path, manifest=tmp_path.parent / f"{tmp_path.name}.json").assets
        assert [assets[path].encoding for path in ("/plain.svgz", "/packed.svgz")] == ["", "gzip"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chair.usdz", "model/vnd.usdz+zip"),
        ("map.pmtiles", "application/vnd.pmtiles"),
        ("rows.ndjson", "application/x-ndjson; charset=utf-8"),
        ("shader.wgsl", "text/wgsl; charset=utf-8"),
        ("film.3gp", "video/3gpp"),
    ],
)
def test_types(tmp_path: Path, name: str, expected: str) -> None:
    """Types of the web beyond pages and their images are known."""
    write_build(tmp_path, {name: "x"})
    assert client(StaticAssets(tmp_path)).get(f"/{name}").headers["Content-Type"] == expected


def test_other_method_of_another_versions_file(tmp_path: Path) -> None:
    """A file that is served by name allows GET, also while a staged version has other bytes at another name."""
    collision = "assets/chunk-C0liD3sX.js"
    versions = [
        Version(
            version, write_build(tmp_path / version, {f"assets/main-{name}.js": version, collision: content}), share
        )
        for version, name, content, share in (
            ("v1", "BX4CeNGa", "same", 100),
            ("v2", "Qz81xKpL", "same", 0),
            ("v3", "Wc5vN8bM", "other", 0),
        )
    ]
    for path in ("/assets/main-BX4CeNGa.js", "/assets/main-Qz81xKpL.js", f"/{collision}"):
        response = client(VersionAffinity(None, versions)).post(path)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS"), path
