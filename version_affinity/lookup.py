"""What a path stands for in the decided version: step 4 of the request path, apart from the sending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from .assets.fingerprint import looks_like_asset
from .assets.index import Asset
from .assets.media import is_media
from .assets.routing import Redirect, merge_slashes, not_found
from .request import OTHER, PAGE

if TYPE_CHECKING:
    from .assets.static import StaticAssets
    from .catalog import Catalog
    from .request import Request

    Found: TypeAlias = tuple[str, Asset | Redirect | None, str]

FILE: Final = "file"
RESCUE: Final = "rescue"
DOCUMENT: Final = "single-page document"
REDIRECT: Final = "redirect"
MISSING: Final = "missing asset"
APP: Final = "wrapped application"
NO_FILE: Final = "not found"

SINGLE_PAGE: Final = "single-page-application"

_PAGES = frozenset({"document", "empty"})
_FRAMES = frozenset({"iframe", "frame"})


def look_up(  # noqa: PLR0911 - one return for each thing that a path can stand for
    path: str, version: str, build: StaticAssets, catalog: Catalog, request: Request, *, has_app: bool
) -> Found:
    """Return what answers a GET or HEAD, the file or redirect where it is one, and the version that it is from.

    Args:
        path: The path inside the version, beginning with "/"; "" for the prefix without its last "/".
        version: The decided version.
        build: Its files.
        catalog: The files of all known versions.
        request: The request.
        has_app: Whether an application is wrapped, which gets what no version claims.
    """
    target = build.routes.get(path)
    if target is not None:
        return (FILE if isinstance(target, Asset) else REDIRECT), target, version
    rescue = catalog.rescues.get(path)
    if rescue is not None:
        return RESCUE, rescue[1], rescue[0]
    single_page = build.not_found_handling == SINGLE_PAGE
    shows_page = single_page and _shows_page(path, request, has_app=has_app)
    if not path and ("/" in build.routes or shows_page):
        return REDIRECT, Redirect("/"), version
    if "//" in path:
        merged = merge_slashes(path)
        meant = build.routes.get(merged)
        if meant is not None:
            return REDIRECT, meant if isinstance(meant, Redirect) else Redirect(merged), version
    if shows_page:
        return DOCUMENT, build.index.assets["/index.html"], version
    if looks_like_asset(path, catalog.directories if has_app else None):
        return MISSING, None, version
    if has_app:
        return APP, None, version
    if single_page and request.kind == OTHER and not is_media(path):
        return DOCUMENT, build.index.assets["/index.html"], version
    page = not_found(build.index.assets, path) if build.not_found_handling == "404-page" else None
    return NO_FILE, page, version


def _shows_page(path: str, request: Request, *, has_app: bool) -> bool:
    """Tell whether a browser asks for a page: to show it, or ahead of showing it."""
    environ = request.environ
    if environ.get("HTTP_SEC_FETCH_MODE") == "navigate":
        destination = environ.get("HTTP_SEC_FETCH_DEST")
        # What a frame shows may well be a page of the application's own.
        return destination in _PAGES or (destination in _FRAMES and not has_app)
    # It does not tell: "text/html" among what it accepts may ask for any file.
    return request.kind == PAGE and not is_media(path)
