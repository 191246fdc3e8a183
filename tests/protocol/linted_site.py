"""Two builds whose files are what their names say, and the applications of them that linters look at."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from version_affinity import Cookie, Header, StaticAssets, Version, VersionAffinity

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

VERSIONS = ("v1", "v2")
#: A fingerprinted file of each version, and one that both have.
ENTRY = {"v1": "/assets/index-BX4CeNGm.js", "v2": "/assets/index-Qz81xKpL.js"}
SHARED = "/assets/vendor-Dx81xKpQ.js"
#: A fingerprinted name that stands for other bytes in each version.
COLLISION = "/assets/chunk-C0liD3sX.js"
#: A fingerprinted file that is too large to be held in memory, and one with a compressed sibling.
LARGE, COMPRESSED = "/assets/licences-DRxGYfBy.txt", "/assets/theme-DGNnl0sh.css"
PAGE = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Orders</title><p>None yet.</p></html>\n'
_TAG = '"orders-1"'


def write_site(root: Path) -> Path:
    """Write both builds below a directory, and return it."""
    for version in VERSIONS:
        for path, content in _files(version).items():
            file = root / version / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def _files(version: str) -> dict[str, str | bytes]:
    page = (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{}</title>'
        f'<script type="module" src="{ENTRY[version]}"></script><p>{{}}</p></html>\n'
    )
    style = ":root { color-scheme: light dark; }\n" * 60
    files: dict[str, str | bytes] = {
        "/index.html": page.format("Shop", f"Version {version}. " * 40),
        "/about.html": page.format("About", version),
        "/docs/index.html": page.format("Documents", "The same in both." * 20),
        "/404.html": page.format("Nothing here", version),
        "/robots.txt": "User-agent: *\n",
        "/logo.svg": f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><title>{version}</title></svg>\n',
        "/dot.png": _png(),
        "/data.json": json.dumps({"version": version}),
        "/app.webmanifest": json.dumps({"name": "Shop"}),
        "/empty.txt": "",
        ENTRY[version]: f"export const version = {version!r};\n" * 30,
        COLLISION: f"export const chunk = {version!r};\n",
        SHARED: "export const shared = true;\n" * 30,
        LARGE: "Permission is hereby granted, free of charge.\n" * 30_000,
        COMPRESSED: style,
        f"{COMPRESSED}.gz": gzip.compress(style.encode(), mtime=0),
    }
    document = str(files["/index.html"])
    return files | {"/index.html.gz": gzip.compress(document.encode(), mtime=0)}


def _png() -> bytes:
    """Return a picture of one pixel (PNG specification, section 5.3: length, type, data, check sum)."""
    chunks = [(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]
    parts = (
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer as a well-behaved application: pages that it does not say how to cache, and data that nobody keeps."""
    method = environ["REQUEST_METHOD"]
    if environ["PATH_INFO"].startswith("/api/"):
        status, kind, body, extra = "200 OK", "application/json", b"[]", [("Cache-Control", "no-store")]
    elif method not in ("GET", "HEAD"):
        status, kind, body, extra = (
            "405 Method Not Allowed",
            "text/plain; charset=utf-8",
            b"No.\n",
            [("Allow", "GET, HEAD")],
        )
    elif environ["PATH_INFO"] != "/orders":
        status, kind, body, extra = "404 Not Found", "text/html; charset=utf-8", PAGE.encode(), []
    elif environ.get("HTTP_IF_NONE_MATCH") == _TAG:
        start_response("304 Not Modified", [("ETag", _TAG), ("Cache-Control", "private, no-cache")])
        return []
    else:
        headers = [("ETag", _TAG), ("Cache-Control", "private, no-cache")]
        status, kind, body, extra = "200 OK", "text/html; charset=utf-8", PAGE.encode(), headers
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *extra])
    return [] if method == "HEAD" else [body]


#: By name, every way to serve the site.
LAYOUTS = (
    "alone",
    "404 page",
    "single page",
    "from disk",
    "before an application",
    "one version",
    "split",
    "split, single page, before an application",
    "versions are applications",
)


def make(layout: str, root: Path) -> WSGIApplication:
    """Return the site in one of the layouts."""
    build = root / "v1"
    alone: dict[str, dict[str, object]] = {
        "alone": {},
        "404 page": {"not_found_handling": "404-page"},
        "single page": {"not_found_handling": "single-page-application"},
        "from disk": {"memory": 0},
        "before an application": {"app": application},
    }
    if layout in alone:
        return StaticAssets(build, **alone[layout])  # type: ignore[arg-type]
    if layout == "one version":
        return VersionAffinity(None, [Version("v1", build)])
    if layout == "versions are applications":
        return VersionAffinity(None, [Version(version, application, percentage=50) for version in VERSIONS])
    versions = [Version(version, root / version, percentage=50) for version in VERSIONS]
    keys = [Cookie("session_id"), Header("Version-Key")]
    if layout == "split":
        return VersionAffinity(None, versions, keys=keys)
    return VersionAffinity(
        application, versions, keys=keys, app_first=["/api/*"], not_found_handling="single-page-application"
    )


def served() -> WSGIApplication:
    """Return the site in the layout and from the directory that the environment names, for a server's process."""
    return make(os.environ["LINTED_LAYOUT"], Path(os.environ["LINTED_SITE"]))
