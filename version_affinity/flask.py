"""Flask: ``init_app``, ``flask_routes`` for ``app_first``, and the functions that Jinja pages use."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from flask import Flask, current_app, request
from markupsafe import Markup

from .app_first import check_rules, listed_rules
from .configuration import warn_of_session_cookie
from .decision.keys import check_keys
from .errors import ConfigurationError
from .middleware import VersionAffinity
from .rollout.version import Source
from .routes import flask_routes, warn_of_hidden_routes
from .templating import page_of
from .vite import check_vite

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Unpack  # type checkers have it, whether it is installed or not

    from .app_first import AppFirst
    from .assets.handover import HandOver
    from .assets.loading.placeholder import MissingBuild
    from .assets.routing import HtmlHandling, NotFoundHandling
    from .decision.keys import KeySource
    from .rollout.version import Version
    from .templating import Page

    RoutePatterns = Callable[[Flask], Iterable[str]]

__all__ = ["asset_tags", "asset_url", "current_version", "flask_routes", "init_app"]

_EXTENSION = "version_affinity"


class Options(TypedDict, total=False):
    """The options of ``VersionAffinity``, for type checkers."""

    retained: Iterable[Version]
    name: str
    keys: Iterable[KeySource]
    prefix: str
    app_first: Iterable[str | RoutePatterns] | RoutePatterns
    unpinned: Iterable[str] | None
    service_workers: Iterable[str] | None
    html_handling: HtmlHandling
    not_found_handling: NotFoundHandling
    cookie: str | None
    secure: bool | None
    override_headers: Iterable[str]
    override_secret: str | bytes | Iterable[str | bytes] | None
    fingerprinted: Callable[[str], bool | None] | str | re.Pattern[str] | None
    memory: int
    ignore: Iterable[str]
    content_types: Mapping[str, str] | None
    allow_all_origins: bool
    hand_over: HandOver | None
    allow_source: bool
    missing_build: MissingBuild
    vite: str | None
    react_refresh: bool
    autorefresh: bool


def init_app(app: Flask, versions: Iterable[Version] | Source, **options: Unpack[Options]) -> VersionAffinity:
    """Put the versions in front of a Flask application.

    Relative directories count from ``app.root_path``, those of versions that are added later too. Templates get
    ``current_version()``, ``asset_url(entry)`` and ``asset_tags(entry)``.

    The first request logs a warning if the single-page document hides routes of the application.

    Args:
        app: The application.
        versions: The versions of the first deployment, or a ``Releases``.
        **options: Those of ``VersionAffinity``. ``app_first`` may be ``flask_routes``, the application's own routes, or
            a list of patterns that has it. ``autorefresh`` is on in debug mode, unless ``versions`` is a ``Releases``.
            ``vite`` counts in debug mode only.

    Returns:
        The middleware, also in ``app.extensions["version_affinity"]``.

    Raises:
        ConfigurationError: anything that cannot be used.

    .. versionchanged:: 0.2.0
       ``app_first`` takes ``flask_routes``. ``autorefresh`` follows the debug mode.

    >>> from flask import Flask
    >>> from version_affinity import Version
    >>> app = Flask("shop")
    >>> affinity = init_app(app, [Version("v1", "builds/v1")])  # doctest: +SKIP
    """
    if not isinstance(app, Flask):
        raise ConfigurationError(
            f"app={app!r} is not a Flask application: give that itself, not its wsgi_app, or use VersionAffinity for "
            "another framework"
        )
    if _EXTENSION in app.extensions:
        raise ConfigurationError(
            f"init_app was called for {app.name!r} before: list all versions in one call, and deploy() or add() later",
        )
    settings: dict[str, Any] = {"autorefresh": app.debug and not isinstance(versions, Source), **options}
    if not app.debug:
        check_vite(options.get("vite"), react=options.get("react_refresh", False))
        settings["vite"] = None
    settings["app_first"] = _patterns(app, options.get("app_first", ()))
    if "keys" in options:
        keys = settings["keys"] = check_keys(options["keys"])
        warn_of_session_cookie(keys, app.config["SESSION_COOKIE_NAME"])
    with warnings.catch_warnings():
        # Warned of above, at the caller's line.
        warnings.filterwarnings("ignore", message=r"Cookie\('session'\)", category=UserWarning)
        affinity = VersionAffinity(app.wsgi_app, versions, root=app.root_path, **settings)
    affinity.first_paths.report_at_first_request(partial(warn_of_hidden_routes, app, affinity))
    app.wsgi_app = affinity  # type: ignore[method-assign]
    app.extensions[_EXTENSION] = affinity
    app.jinja_env.globals.update(current_version=current_version, asset_url=asset_url, asset_tags=asset_tags)
    return affinity


def _patterns(app: Flask, given: Iterable[str | RoutePatterns] | RoutePatterns) -> AppFirst:
    """Return the option ``app_first`` of ``VersionAffinity``; patterns beside ``flask_routes`` are checked now."""
    listed = (given,) if callable(given) else listed_rules(given)
    texts = [rule for rule in listed if not callable(rule)]
    if len(texts) == len(listed):
        return texts
    check_rules(texts)
    return lambda: [pattern for rule in listed for pattern in (rule(app) if callable(rule) else (rule,))]


def current_version() -> str:
    """Return the id of the version decided for the current request; the response then depends on it."""
    return _page().version()


def asset_url(path: str) -> str:
    """Return the URL of an entry or file in the current request's version; see ``VersionAffinity.asset_url``."""
    return _page().url(path)


def asset_tags(entry: str, **attributes: str | bool | None) -> Markup:
    """Return the tags that load an entry in the current request's version; see ``VersionAffinity.asset_tags``."""
    return Markup(_page().tags(entry, attributes))  # noqa: S704 - it is escaped


def _page() -> Page:
    affinity: VersionAffinity | None = current_app.extensions.get(_EXTENSION)
    if affinity is None:  # the application was wrapped by hand
        return page_of(request.environ, debug=current_app.debug)
    return affinity.page(request.environ, debug=current_app.debug)
