"""Compressed forms that vanish or change after they were loaded: the file that they are forms of is still served."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import NAVIGATION, client, write_build
from version_affinity import StaticAssets, Version, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed.wsgi import WSGIApplication

TEXT = b"const answer = 42;\n" * 100
NAMED, OTHER, PAGE, LACKED = "/assets/app-BX4CeNGm.js", "/app.js", "/about", "/only.js"
FILES = {NAMED: NAMED, OTHER: OTHER, PAGE: "/about.html", LACKED: LACKED}


def build(directory: Path, *without: str) -> Path:
    """Write a build whose files have a compressed form each."""
    kept = [file[1:] for file in FILES.values() if file not in without]
    files = {name: content for file in kept for name, content in ((file, TEXT), (file + ".gz", gzip.compress(TEXT)))}
    return write_build(directory, {"index.html": "home", **files})


def alone(tree: Path) -> WSGIApplication:
    """Return an application that serves one build from the disk."""
    return StaticAssets(build(tree / "v1"), memory=0)


def decided(tree: Path) -> WSGIApplication:
    """Return one that serves two builds, of which one lacks a file; each request is decided as v1's or as v2's."""
    write_build(build(tree / "v2", LACKED), {"about.html": TEXT[1:]})
    versions = [Version("v1", build(tree / "v1")), Version("v2", tree / "v2")]
    return VersionAffinity(None, versions, memory=0)


def asked(app: WSGIApplication, path: str, method: str, **headers: str) -> tuple[int, bytes, Any]:
    """Ask for a file as a page of v1 does, or, where v1 alone has it, as one of v2."""
    version = "v2" if path == LACKED else "v1"
    fields = {"Cookie": f"version-affinity-app=1.{version}", "Accept-Encoding": "gzip", **headers}
    if path == PAGE:
        fields |= {**NAVIGATION, "Version-Override": "v1"}
    else:
        fields |= {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    answer = client(app).open(path, method=method, headers=fields)
    return answer.status_code, answer.data, answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("make", [alone, decided])
def test_a_form_that_vanishes(tmp_path: Path, make: Callable[[Path], WSGIApplication], path: str, method: str) -> None:
    """Where a compressed form is gone or has changed, the file is sent as it is; where that is gone, it is a 404."""
    app = make(tmp_path)
    status, body, before = asked(app, path, method)
    assert (status, before["Content-Encoding"]) == (200, "gzip")
    assert body == (gzip.compress(TEXT) if method == "GET" else b"") or gzip.decompress(body) == TEXT
    form, file = (tmp_path / "v1" / f"{FILES[path][1:]}{ending}" for ending in (".gz", ""))
    for vanish in (lambda: form.write_bytes(b"other"), form.unlink):
        vanish()
        if path == NAMED and make is decided:
            (tmp_path / "v2" / form.relative_to(tmp_path / "v1")).unlink(missing_ok=True)
        status, body, after = asked(app, path, method)
        assert (status, body) == (200, TEXT if method == "GET" else b"")
        assert "Content-Encoding" not in after
        assert after["Content-Length"] == str(len(TEXT))
        assert after["Cache-Control"] == before["Cache-Control"]
        assert "Accept-Encoding" in after["Vary"]
        assert after["ETag"] != before["ETag"]
    part = asked(app, path, "GET", Range="bytes=1-3")
    assert part[:2] == (206, TEXT[1:4])
    file.unlink()
    if path == NAMED and make is decided:
        (tmp_path / "v2" / NAMED[1:]).unlink()
    status, body, gone = asked(app, path, method)
    assert (status, "no-store" in gone["Cache-Control"]) == (404, True)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_form_of_another_version(tmp_path: Path, method: str) -> None:
    """A file that several versions have is sent in the form that one of them still has."""
    app = decided(tmp_path)
    (tmp_path / "v1" / f"{NAMED[1:]}.gz").unlink()
    status, body, headers = asked(app, NAMED, method)
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert method == "HEAD" or gzip.decompress(body) == TEXT
