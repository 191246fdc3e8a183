"""What is served behind a front server: applications that a server process makes for itself, from its environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity.assets.handover import HandOver
    from version_affinity.assets.loading.asset import Asset

#: The wrapped application's answers that name no version: path to content type and Cache-Control, "" for none.
PLAIN = {
    "/page": ("text/html; charset=utf-8", ""),
    "/page/kept": ("text/html; charset=utf-8", "max-age=600"),
    "/api/plain": ("application/json", ""),
    "/api/public": ("application/json", "public, max-age=600"),
}
#: What it answers where a single-page application shows its document.
ROUTED = {"/orders": ("application/json", "private")}
#: There, too, and a cache may keep it.
KEPT_THERE = {"/orders/public": ("application/json", "public, max-age=600")}
#: Those that depend on the version, and say so by asking for it.
DEPENDING = {"/page/version": "text/html; charset=utf-8", "/api/version": "application/json"}


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as an application behind the versions does: pages and an interface, some of which name the version."""
    from version_affinity.templating import asset_url  # noqa: PLC0415 - in the server's process only

    path = environ["PATH_INFO"]
    if path in DEPENDING:
        body, headers = asset_url(environ, "src/main.ts").encode(), [("Content-Type", DEPENDING[path])]
    elif path in PLAIN or path in ROUTED or path in KEPT_THERE:
        body, (kind, caching) = b"the same for everybody", (PLAIN | ROUTED | KEPT_THERE)[path]
        headers = [("Content-Type", kind), *([("Cache-Control", caching)] if caching else [])]
    else:
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def storefront() -> WSGIApplication:
    """Return the versions v1 and v2 of ``FRONTED_TREE`` at the shares of ``FRONTED_SHARES`` over the shop."""
    from tests.builds import NAME  # noqa: PLC0415 - in the server's process only
    from version_affinity import Cookie, Version, VersionAffinity  # noqa: PLC0415

    root = Path(os.environ["FRONTED_TREE"])
    shares = zip(("v1", "v2"), map(float, os.environ["FRONTED_SHARES"].split("/")), strict=True)
    return VersionAffinity(
        shop,
        [Version(version, root / version, percentage=share) for version, share in shares],
        name=NAME,
        keys=[Cookie("session_id")],
    )


def ruled_storefront() -> WSGIApplication:
    """Return v1 of ``FRONTED_TREE`` at 100 % and v2 retained, single-page applications over the shop."""
    from tests.builds import NAME  # noqa: PLC0415 - in the server's process only
    from version_affinity import Cookie, Version, VersionAffinity  # noqa: PLC0415

    root = Path(os.environ["FRONTED_TREE"])
    return VersionAffinity(
        shop,
        [Version("v1", root / "v1", percentage=100)],
        retained=[Version("v2", root / "v2")],
        name=NAME,
        keys=[Cookie("session_id")],
        app_first=["/api/*", "/page/*"],
        not_found_handling="single-page-application",
    )


def single_page() -> WSGIApplication:
    """Return v1 of ``FRONTED_TREE`` as a single-page application over the shop, without versions."""
    from version_affinity import StaticAssets  # noqa: PLC0415 - in the server's process only

    return StaticAssets(Path(os.environ["FRONTED_TREE"], "v1"), shop, not_found_handling="single-page-application")


def handing_storefront() -> WSGIApplication:
    """Return v1 and v2 of ``FRONTED_TREE``, nothing in memory; ``FRONTED_HAND_OVER`` says who sends the files."""
    from tests.builds import NAME  # noqa: PLC0415 - in the server's process only
    from version_affinity import Cookie, Version, VersionAffinity  # noqa: PLC0415

    root = Path(os.environ["FRONTED_TREE"])
    return VersionAffinity(
        None,
        [Version(version, root / version, percentage=50) for version in ("v1", "v2")],
        name=NAME,
        keys=[Cookie("session_id")],
        not_found_handling="404-page",
        memory=0,
        hand_over=hand_over_of(root),
    )


def static() -> WSGIApplication:
    """Return the files of ``FRONTED_TREE``; where ``FRONTED_HAND_OVER`` says who sends them, nothing is in memory."""
    from version_affinity import StaticAssets  # noqa: PLC0415 - in the server's process only

    tree = os.environ["FRONTED_TREE"]
    if "FRONTED_HAND_OVER" not in os.environ:
        return StaticAssets(tree)
    return StaticAssets(tree, not_found_handling="404-page", memory=0, hand_over=hand_over_of(tree))


def hand_over_of(root: str | Path) -> HandOver | None:
    """Return what ``FRONTED_HAND_OVER`` names."""
    from version_affinity.assets.handover import XAccelRedirect, XSendfile  # noqa: PLC0415 - in the server's process

    ways = {
        "nginx": lambda: XAccelRedirect(root, headers=["X-Robots-Tag"]),
        "lighttpd": lambda: XSendfile(root),
        "apache2": lambda: XSendfile(root),
    }
    way = ways.get(os.environ["FRONTED_HAND_OVER"])
    return way() if way else None


#: What every answer of ``handing`` carries beside what describes the file.
CARRIED = (
    ("Cache-Control", "public, max-age=31536000, immutable"),
    ("Vary", "Accept-Encoding"),
    ("Set-Cookie", "first=1; Path=/"),
    ("Set-Cookie", "second=2; Path=/"),
    ("Version-Affinity", "v1;reason=only"),
    ("Server-Timing", 'version;desc="v1"'),
    ("Access-Control-Allow-Origin", "*"),
)


def handing() -> WSGIApplication:
    """Return the files of ``FRONTED_TREE``, handed over as ``FRONTED_HAND_OVER`` says, with all kinds of headers."""
    from version_affinity.assets.loading.index import scan  # noqa: PLC0415 - in the server's process only

    tree = os.environ["FRONTED_TREE"]
    hand_over = hand_over_of(tree)
    assert hand_over is not None
    assets = scan(tree).assets

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asset: Asset | None = assets.get(environ["PATH_INFO"])
        if asset is None:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        dated = [("Last-Modified", asset.last_modified)] if asset.last_modified else []
        asked = [(name, "asked") for name in environ["QUERY_STRING"].split("&") if name]
        headers = [*asset.headers, *CARRIED, *dated, *asked]
        handed = hand_over(asset, headers)
        start_response("200 OK", headers if handed is None else handed)
        if handed is not None or environ["REQUEST_METHOD"] == "HEAD":
            return []
        return [Path(asset.file).read_bytes()]

    return application
