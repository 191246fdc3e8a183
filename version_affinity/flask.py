"""Flask: ``init_app``, and for pages that Jinja renders ``current_version``, ``asset_url`` and ``asset_tags``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypedDict

from flask import current_app, request
from markupsafe import Markup

from .configuration import warn_of_session_cookie
from .decision.keys import check_keys
from .errors import ConfigurationError
from .middleware import VersionAffinity
from .templating import page_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

    from flask import Flask
    from typing_extensions import Unpack  # type checkers have it, whether it is installed or not

    from .assets.handover import HandOver
    from .assets.routing import HtmlHandling, NotFoundHandling
    from .decision.keys import KeySource
    from .rollout.version import Source, Version
    from .templating import Page

_EXTENSION = "version_affinity"


class Options(TypedDict, total=False):
    """The options of ``VersionAffinity``, for type checkers."""

    retained: Iterable[Version]
    name: str
    keys: Iterable[KeySource]
    prefix: str
    app_first: Iterable[str]
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
    autorefresh: bool


def init_app(app: Flask, versions: Iterable[Version] | Source, **options: Unpack[Options]) -> VersionAffinity:
    """Put the versions in front of a Flask application.

    Relative directories count from ``app.root_path``, those of versions that are added later too. Templates get
    ``current_version()``, ``asset_url(entry)`` and ``asset_tags(entry)``.

    Args:
        app: The application.
        versions: The versions of the first deployment, or a ``Releases``.
        **options: Those of ``VersionAffinity``.

    Returns:
        The middleware, also in ``app.extensions["version_affinity"]``.

    Raises:
        ConfigurationError: anything that cannot be used.

    >>> from flask import Flask
    >>> from version_affinity import Version
    >>> app = Flask("shop")
    >>> affinity = init_app(app, [Version("v1", "builds/v1")])  # doctest: +SKIP
    """
    if _EXTENSION in app.extensions:
        raise ConfigurationError(
            f"init_app was called for {app.name!r} before: list all versions in one call, and deploy() or add() later",
        )
    if "keys" in options:
        keys = check_keys(options["keys"])
        options["keys"] = keys
        warn_of_session_cookie(keys, app.config["SESSION_COOKIE_NAME"])
    with warnings.catch_warnings():
        # Warned of above, at the caller's line.
        warnings.filterwarnings("ignore", message=r"Cookie\('session'\)", category=UserWarning)
        affinity = VersionAffinity(app.wsgi_app, versions, root=app.root_path, **options)
    app.wsgi_app = affinity  # type: ignore[method-assign]
    app.extensions[_EXTENSION] = affinity
    app.jinja_env.globals.update(current_version=current_version, asset_url=asset_url, asset_tags=asset_tags)
    return affinity


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
