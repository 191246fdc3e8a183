"""Steps 3 and 4 of the request path without sending: what answers a request under a decision.

The middleware sends the answer, ``explain`` reports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from version_affinity.assets.build import APP, FILE, NO_FILE, REDIRECT, Found
from version_affinity.assets.http.conditions import READING
from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.sending import ALL_METHODS, is_of_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.assets.build import Build, Leading
    from version_affinity.rollout.state import State

    #: What answers; the file, the redirect, the headers of a preflight or the allowed methods; the version that it is
    #: from, "" for none; and the path inside the version, None where no build could answer.
    Route: TypeAlias = tuple[str, "Asset | Leading | list[tuple[str, str]] | str | None", str, str | None]

RESCUE: Final = "rescue"
VERSION_APP: Final = "application of the version"
#: What ``Applications`` answer; ``FileServer`` answers all else.
APPLICATIONS: Final = frozenset((APP, VERSION_APP))
PREFLIGHT: Final = "preflight"
NOT_ALLOWED: Final = "not allowed"
ALLOWED_METHODS: Final = "allowed methods"


def route(
    state: State,
    path: str,
    version: str,
    environ: WSGIEnvironment,
    app_first: Callable[[str], object],
    has_app: bool,
) -> Route:
    """Return what answers a request under a decision, if it is not a file that is served by name.

    ``path`` is the path of the request below where the middleware is mounted.
    """
    known: Route | None = state.routes[version].get(path)
    if known is not None and environ["REQUEST_METHOD"] in READING:
        return known
    settings = state.settings
    local = path if settings.prefix == "/" else settings.local(path)
    if local is None or app_first(path):
        return (APP, None, "", None) if has_app else _refusal("", None, environ)
    build = state.builds[version]
    if build is None:
        return VERSION_APP, None, version, local
    if environ["REQUEST_METHOD"] not in READING:
        return _other_method(state, path, local, version, build, environ, has_app=has_app)
    at = build.find(local, environ)
    if at is None:
        catalog = state.catalog
        rescuer = catalog.rescues.get(local)
        if rescuer is not None:
            return RESCUE, catalog.builds[rescuer].index.assets[local], rescuer, local
        at = build.stand_in(local, environ, catalog.directories if has_app else None)
    what, target = at if isinstance(at, Found) else (FILE if isinstance(at, Asset) else REDIRECT, at)
    found = what, target, "" if what == APP else version, local
    if what == FILE and build.direct.get(local) is target:  # not by a rule, which may look at the request
        state.routes[version][path] = found
    return found


def page_answer(state: State, path: str, version: str, app_first: Callable[[str], object], has_app: bool) -> str:
    """Return what answers a browser that opens a path in a version."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8",
        "HTTP_SEC_FETCH_DEST": "document",
        "HTTP_SEC_FETCH_MODE": "navigate",
    }
    return route(state, path, version, environ, app_first, has_app)[0]


def _other_method(
    state: State, path: str, local: str, version: str, build: Build, environ: WSGIEnvironment, *, has_app: bool
) -> Route:
    """Return what answers another method than GET and HEAD at a path of a build."""
    headers = build.preflight(local, environ)
    if headers is not None:
        return PREFLIGHT, headers, version, local
    if has_app:
        return APP, None, "", None
    catalog = state.catalog
    rescued = local in catalog.rescues and not build.is_protected(local)
    if rescued or catalog.named_file(path, version) is not None:
        return _refusal(ALL_METHODS, local, environ)
    return _refusal(build.allowed(local, environ), local, environ)


def _refusal(allowed: str, local: str | None, environ: WSGIEnvironment) -> Route:
    """Return what answers where neither a file nor an application does."""
    if is_of_server(environ):
        allowed = ALL_METHODS
    if not allowed:
        return NO_FILE, "", "", local
    lists_methods = environ["REQUEST_METHOD"] == "OPTIONS" and allowed == ALL_METHODS
    return ALLOWED_METHODS if lists_methods else NOT_ALLOWED, allowed, "", local
