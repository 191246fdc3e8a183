"""Flask: ``init_app``, and for pages that Jinja renders ``current_version``, ``asset_url`` and ``asset_tags``."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import current_app, request
from markupsafe import Markup

from . import tags
from .keys import Cookie
from .middleware import VersionAffinity
from .version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from .request import Request

_EXTENSION = "version_affinity"


def init_app(app: Flask, versions: Iterable[Version], **options: Any) -> VersionAffinity:
    """Put the versions in front of a Flask application.

    Relative directories count from ``app.root_path``. Templates get ``current_version()``, ``asset_url(entry)`` and
    ``asset_tags(entry)``.

    Args:
        app: The application.
        versions: The versions of the first deployment.
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
    if "retained" in options:
        options["retained"] = _from_root(app, options["retained"])
    affinity = VersionAffinity(app.wsgi_app, _from_root(app, versions), **options)
    session = app.config["SESSION_COOKIE_NAME"]
    if session != "session" and Cookie(session) in options.get("keys", ()):
        warnings.warn(
            f"Cookie({session!r}) is Flask's own session, whose value changes whenever the session does: name a cookie "
            "that stays the same, or give a callable that reads a user id",
            UserWarning,
            stacklevel=2,
        )
    app.wsgi_app = affinity  # type: ignore[method-assign]
    app.extensions[_EXTENSION] = affinity
    app.jinja_env.globals.update(current_version=current_version, asset_url=asset_url, asset_tags=asset_tags)
    return affinity


def current_version() -> str:
    """Return the id of the version decided for the current request; the response then depends on it."""
    return tags.version_of(_request())


def asset_url(entry: str) -> str:
    """Return the URL of an entry or file in the current request's version."""
    return tags.url_of(_request(), entry)


def asset_tags(entry: str) -> Markup:
    """Return the tags that load an entry in the current request's version: stylesheets, script, preloads."""
    return Markup(tags.tags_of(_request(), entry))  # noqa: S704 - its parts are escaped


def _request() -> Request:
    # A request context of a test has not come through the middleware: then the middleware decides now.
    affinity: VersionAffinity = current_app.extensions[_EXTENSION]
    return affinity.decided_request(request.environ)


def _from_root(app: Flask, versions: Iterable[Version]) -> list[Version]:
    return [
        replace(version, app=os.path.join(app.root_path, version.app))  # noqa: PTH118 - keeps a str a str
        if isinstance(version, Version) and isinstance(version.app, str | os.PathLike)
        else version
        for version in versions
    ]
