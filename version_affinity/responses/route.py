"""What a path stands for under a decision: step 4 of the request path, apart from the sending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from version_affinity.assets.build import ALL_METHODS, FILE, REDIRECT, Found
from version_affinity.assets.loading.asset import Asset
from version_affinity.decision.request import is_of_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.assets.build import At, Build, Leading
    from version_affinity.rollout.catalog import Catalog

    #: What answers, the file or redirect where it is one, and the version that it is from.
    Answer: TypeAlias = tuple[str, Asset | Leading | None, str]

RESCUE: Final = "rescue"


def look_up(
    at: At, path: str, version: str, build: Build, catalog: Catalog, environ: WSGIEnvironment, *, has_app: bool
) -> Answer:
    """Return what answers a GET or HEAD.

    Args:
        at: What the build has at the path (``build.find``).
        path: The path inside the version, beginning with "/"; "" for the prefix without its last "/".
        version: The decided version.
        build: Its files.
        catalog: The files of all known versions.
        environ: The request.
        has_app: Whether an application is wrapped, which gets what no version claims.
    """
    if at is None:
        rescuer = catalog.rescues.get(path)
        if rescuer is not None:
            return RESCUE, catalog.builds[rescuer].index.assets[path], rescuer
        at = build.stand_in(path, environ, catalog.directories if has_app else None)
    if isinstance(at, Found):
        return at.what, at.target, version
    return (FILE if isinstance(at, Asset) else REDIRECT), at, version


def allowed(path: str, build: Build, catalog: Catalog, environ: WSGIEnvironment) -> str:
    """Return the methods that are allowed at a path; "" where nothing of a build answers a GET there.

    Args:
        path: The path inside the version.
        build: The files of the decided version.
        catalog: The files of all known versions.
        environ: The request, of another method.
    """
    if is_of_server(environ) or (path in catalog.rescues and not build.is_protected(path)):
        return ALL_METHODS
    return build.allowed(path, environ)
