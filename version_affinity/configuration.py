"""Checks of the options of ``VersionAffinity``. The errors name the option, the value and the remedy."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from .assets.loading.placeholder import NOT_DEPLOYED
from .assets.static import StaticAssets, mounted
from .counters import LimitedLog
from .decision.cookies import OverrideCookie, PinCookie
from .decision.keys import Cookie, Header
from .deployment import DEFAULT_NAME, Deployment
from .errors import ConfigurationError
from .rollout.state import State
from .rollout.version import NothingDeployedError, Version, loaded_version
from .wire import is_token

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from .decision.keys import KeySource
    from .decision.overrides import Overrides
    from .rollout.state import Settings
    from .rollout.version import Source


logger = logging.getLogger("version_affinity")

# Where middleware commonly keeps the application that it wraps.
_WRAPPED: Final = ("_app", "app", "wsgi_app", "application", "wrapped")
_DEEPEST: Final = 100  # middleware around one application; a mock has any attribute, without end


def check_app(app: object) -> WSGIApplication | None:
    """Return the wrapped application, None without one, or raise ``ConfigurationError``."""
    if app is None:
        return None
    # Of its class: middleware may keep the application that it wraps in an attribute of this name.
    if callable(getattr(app.__class__, "wsgi_app", None)):
        raise ConfigurationError(
            f"app={app!r} would call itself: give its wsgi_app, as in app.wsgi_app = VersionAffinity(app.wsgi_app, ...)"
            ", or call version_affinity.flask.init_app(app, ...)",
        )
    if not callable(app):
        raise ConfigurationError(f"app={app!r} is not a WSGI application: give a callable, or None to go without one")
    return cast("WSGIApplication", app)


def wrapped(app: object) -> Iterator[Any]:
    """Yield an application, the one that it wraps, and so on."""
    for _ in range(_DEEPEST):
        if app is None:
            return
        yield app
        app = next((inner for inner in (getattr(app, field, None) for field in _WRAPPED) if callable(inner)), None)


def check_wrapped_once(app: object, kind: type[Any], name: str, prefix: str) -> None:
    """Raise ``ConfigurationError`` if a ``VersionAffinity`` (``kind``) with this name or prefix is around the app."""
    for around in wrapped(app):
        if isinstance(around, kind) and (name == around.deployment.name or prefix == around.prefix):
            raise ConfigurationError(
                f"the application has a VersionAffinity already, with name={around.deployment.name!r} and "
                f"prefix={around.prefix!r}: either assign app.wsgi_app or call init_app, and only once; two front "
                "ends of one application need different names and prefixes",
            )


def first_state(
    settings: Settings,
    name: str,
    versions: Iterable[Version],
    retained: Iterable[Version],
    load: Callable[[str | os.PathLike[str]], StaticAssets],
) -> State:
    """Return the first state of listed versions. Everything is checked before a directory is read."""
    deployed = _listed(versions, "versions")
    kept = _listed(retained, "retained")
    known: dict[str, Version] = {}
    for version in (*deployed, *kept):
        if version.id in known:
            raise ConfigurationError(f"version {version.id!r} is listed twice: every version needs an id of its own")
        known[version.id] = version
    for version in kept:
        if version.percentage is not None:
            raise ConfigurationError(
                f"percentage={version.percentage!r} of retained version {version.id!r} has no effect: leave it out, "
                "or list the version among the versions",
            )
    deployment = Deployment(name, {version.id: version.percentage for version in deployed})
    loaded = {version.id: loaded_version(version, load) for version in known.values()}
    published = deployment.live.union(version.id for version in kept)
    return State(settings, loaded, deployment, deployment.only, published)


def followed_name(source: Source, root: str, name: str, *, retained: Iterable[Version], autorefresh: bool) -> str:
    """Return the name of a source, or raise ``ConfigurationError`` for options that have no effect with a source."""
    if _listed(retained, "retained"):
        raise ConfigurationError(
            "retained has no effect with releases, whose retention says how long a version stays known: leave it out",
        )
    if autorefresh:
        raise ConfigurationError(
            "autorefresh has no effect with releases, because an uploaded version never changes: leave it out",
        )
    followed = source.open(root)
    if name not in (DEFAULT_NAME, followed):
        raise ConfigurationError(
            f"name={name!r} is not the name of the releases, {followed!r}, which is part of the hash: leave it out",
        )
    return followed


def undeployed(error: NothingDeployedError, *, stands_in: bool) -> list[Version]:
    """Return the version in place of a source without a deployment, or raise the error."""
    if not stands_in:
        raise error
    logger.warning("%s. A placeholder is served until the application starts again", error)
    return [Version(NOT_DEPLOYED, NOT_DEPLOYED)]


def _listed(versions: object, field: str) -> list[Version]:
    if not isinstance(versions, Iterable) or isinstance(versions, str | bytes):
        raise ConfigurationError(f"{field}={versions!r} is not a list of versions: write {field}=[Version('v1', ...)]")
    listed = list(versions)
    for version in listed:
        if not isinstance(version, Version):
            raise ConfigurationError(f"{field} contains {version!r}, which is not a Version: write Version('v1', path)")
    return listed


def check_root(root: object) -> str:
    """Return the directory from which relative ones count, or raise ``ConfigurationError``."""
    if not isinstance(root, str | os.PathLike) or not isinstance(os.fspath(root), str):
        raise ConfigurationError(f"root={root!r} is not the name of a directory: give a str or pathlib.Path")
    return str(os.fspath(root))


def load_build(root: str, directory: str | os.PathLike[str], **options: Any) -> StaticAssets:
    """Return the build in a directory, which counts from a root where it is relative."""
    name = os.path.join(root, directory) if directory else directory  # noqa: PTH118 - a str stays what it is
    return StaticAssets(name, **options)


def check_prefix(prefix: object) -> str:
    """Return the prefix as a WSGI path with "/" at both ends, or raise ``ConfigurationError``."""
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise ConfigurationError(f"prefix={prefix!r} is not a path: begin it with '/', as in '/shop/'")
    return mounted(prefix)


def pin_cookie(cookie: object, name: str, *, secure: bool | None, keys: Iterable[KeySource]) -> PinCookie | None:
    """Return the affinity cookie, None where it is switched off, or raise ``ConfigurationError``."""
    if cookie is None:
        return None
    if not isinstance(cookie, str):
        raise ConfigurationError(f"cookie={cookie!r} is not a name: give a str, or None for no cookie")
    cookie_name = cookie.replace("{name}", name)
    if not is_token(cookie_name):
        raise ConfigurationError(f"cookie={cookie!r} cannot be a cookie's name: write letters, digits, '-' and '_'")
    if cookie_name.startswith(("__Host-", "__Secure-")):
        raise ConfigurationError(
            f"cookie={cookie!r} has a prefix that browsers accept on https only: leave it out, it is added on https",
        )
    if Cookie(cookie_name) in keys:
        raise ConfigurationError(
            f"keys contains {Cookie(cookie_name)!r}, which is the affinity cookie itself, whose value changes with the "
            "version: leave it out; its bucket is used anyway when no key is found",
        )
    return PinCookie(cookie_name, secure=secure)


def override_cookie(cookie: PinCookie | None, name: str, *, secure: bool | None) -> OverrideCookie:
    """Return the cookie that an override link sets, where the affinity cookie is switched off too."""
    affinity = f"version-affinity-{name}" if cookie is None else cookie.name
    # A name has no dots, so no application's affinity cookie has this name.
    return OverrideCookie(f"{affinity}.override", secure=secure)


def consulted(cookie: PinCookie | None, keys: Iterable[KeySource], overrides: Overrides) -> tuple[str, ...]:
    """Return the request headers that a decision may consult, for Vary."""
    fields = [source.name for source in keys if isinstance(source, Header)]
    # A callable may read anything; most likely it reads a cookie.
    cookieless = cookie is None and overrides.cookie is None and all(isinstance(source, Header) for source in keys)
    cookies = () if cookieless else ("Cookie",)
    return (*cookies, *fields, *overrides.headers, "Sec-Fetch-Mode", "Sec-Fetch-Dest")


def key_error_log() -> Callable[[str, Exception], None]:
    """Return the function that logs that a key source failed, without the error's text, which may hold the key."""
    log = LimitedLog(logging.ERROR)
    return lambda label, error: log("key source %s counts as absent: it raised %s", label, type(error).__qualname__)


def warn_of_session_cookie(keys: Iterable[KeySource], name: str = "session") -> None:
    """Warn the caller's caller when Flask's own session cookie, whose name may be configured, is a key source."""
    if Cookie(name) in keys:
        warnings.warn(
            f"Cookie({name!r}) is the name of Flask's own session, whose value changes whenever the session does: its "
            "users would move from version to version. Name a cookie that stays the same, such as a user id, or give "
            "a callable that reads one from the session",
            UserWarning,
            stacklevel=3,
        )
