"""``affinity.json``: the settings of a releases directory, for its applications and for the command line.

    {"name": "storefront", "layout": 1, "prefix": "/shop/", "retention": {"keep": 20, "younger_than": "30d"}}

Missing keys have their defaults. Unknown keys are those of a later release, and are kept. If the retention cannot be
used, all versions stay known until a person mends the file. How builds are served is what commands assume; an
application has its own options, which ``Releases`` compares with these settings.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.app_first import compile_patterns
from version_affinity.assets.routing import NotFoundHandling, check_handling
from version_affinity.configuration import check_prefix
from version_affinity.deployment import check_name
from version_affinity.errors import ConfigurationError

from .durable import remedy, written_beside
from .retention import KEEP_ALL, Retention

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The file's name.
SETTINGS: Final = "affinity.json"
_LAYOUT: Final = 1
_RETENTION: Final = "retention"
_ORIGIN: Final = re.compile(r"https?://[\w.:\[\]-]+/?", re.IGNORECASE)
_LISTS: Final = ("app_first", "origins")
_HANDLING: Final[dict[str, str]] = {"none": "--no-spa", "404-page": "--404-page", "single-page-application": "--spa"}


def check_app_first(patterns: object) -> None:
    """Raise ``ConfigurationError`` unless these are patterns such as "/api/*"."""
    compile_patterns(patterns if isinstance(patterns, list | tuple) else str(patterns))


def check_origins(origins: object) -> None:
    """Raise ``ConfigurationError`` unless these are origins such as "https://cdn.example"."""
    if not isinstance(origins, list | tuple):
        raise ConfigurationError(f"origins={origins!r:.100} is not a list: write origins=['https://cdn.example']")
    for origin in origins:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f"{origin!r:.100} is not an origin: write one such as 'https://shop.example', without a path"
            )


class Serving(NamedTuple):
    """How builds are served. None: it is not said here."""

    prefix: str | None = None
    app_first: tuple[str, ...] | None = None
    not_found_handling: NotFoundHandling | None = None
    origins: tuple[str, ...] | None = None

    def otherwise(self, other: Serving) -> Serving:
        """Return these settings, completed by those of another source."""
        return self._replace(**{key: value for key, value in other._said().items() if getattr(self, key) is None})

    def differences(self, other: Serving) -> Serving:
        """Return what the other settings say differently. What one of them does not say does not differ."""
        said, others = self._said(), other._said()
        both = [key for key in self._fields if key in said and key in others]
        return Serving(**{key: others[key] for key in both if _compared(key, said) != _compared(key, others)})

    def as_dict(self) -> dict[str, Any]:
        """Return what is said as a JSON object."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self._said().items()}

    def as_text(self) -> str:
        """Return what is said for a message, such as "prefix='/shop/', app_first=['/api/*']"."""
        return ", ".join(f"{key}={value!r}" for key, value in self.as_dict().items())

    def as_options(self) -> str:
        """Return what is said as options of the command line, such as "--prefix /shop/ --app-first '/api/*'"."""
        found: list[str] = [] if self.prefix is None else ["--prefix", self.prefix]
        for option, values in (("--app-first", self.app_first), ("--origin", self.origins)):
            for value in values or ([] if values is None else ["none"]):
                found += [option, value]
        if self.not_found_handling is not None:
            found.append(_HANDLING[self.not_found_handling])
        return shlex.join(found)

    def _said(self) -> dict[str, Any]:
        return {key: value for key, value in self._asdict().items() if value is not None}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Serving:
        """Return what a JSON object says, or raise ``ConfigurationError``. Other keys are ignored."""
        given = cls(*(settings.get(key) for key in cls._fields))
        said = given._said()
        check_prefix(said.get("prefix", "/"))
        check_app_first(said.get("app_first", ()))
        check_handling("none", said.get("not_found_handling", "none"))
        check_origins(said.get("origins", ()))
        lists: dict[str, Any] = {key: tuple(value) for key, value in said.items() if isinstance(value, list)}
        return given._replace(**lists)


def _compared(key: str, said: Mapping[str, Any]) -> object:
    """Return a value in a form in which equal settings are equal: neither order nor outer slashes count."""
    return said[key].strip("/") if key == "prefix" else frozenset(said[key]) if key in _LISTS else said[key]


#: What holds where nothing is said.
DEFAULT_SERVING: Final = Serving("/", (), "none", ())


class ReleasesSettings(NamedTuple):
    """The settings of a releases directory."""

    name: str
    # ``KEEP_ALL`` if the setting cannot be used.
    retention: Retention
    # Why the retention cannot be used, and which unknown key of it is ignored; "" for no error, and no warning.
    error: str = ""
    warning: str = ""
    # How builds are served, and why these settings cannot be used; "" for no error.
    serving: Serving = Serving()
    serving_error: str = ""


def read_settings(directory: Path) -> ReleasesSettings:
    """Return the settings of a releases directory. If even the name cannot be used, raise ``ConfigurationError``."""
    settings = _read(directory)
    file = str(directory / SETTINGS)
    try:
        found = ReleasesSettings(check_name(settings.get("name")), KEEP_ALL)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file!r}: {error}") from None
    try:
        found = found._replace(serving=Serving.from_dict(settings))
    except ConfigurationError as error:
        found = found._replace(serving_error=f"{file!r}: {error}")
    given = _given_retention(settings)
    try:
        found = found._replace(retention=Retention.from_dict(given))
    except ConfigurationError as error:
        return found._replace(error=f"{file!r}: {error}")
    unknown = sorted(set(given) - set(found.retention.as_dict()))
    if not unknown:
        return found
    warning = (
        f"{file!r}: retention has the unknown key {unknown[0]!r:.100}, which is ignored: write keep or younger_than"
    )
    return found._replace(warning=warning)


def _given_retention(settings: dict[str, Any]) -> Any:
    given = settings.get(_RETENTION)
    return {} if given is None else given


def make_settings(directory: Path, name: str, serving: Serving, retention: Retention | None) -> None:
    """Write the settings of a new directory, atomically. Settings that another process writes meanwhile are kept."""
    given = {} if retention is None else {_RETENTION: retention.as_dict()}
    final = directory / SETTINGS
    document = {"name": name, "layout": _LAYOUT, **serving.as_dict(), **given}
    with written_beside(final, [json.dumps(document), "\n"]) as unfinished:
        try:
            os.link(unfinished, final)  # unlike rename, it does not replace a file
        except FileExistsError:
            return
        except OSError:
            unfinished.rename(final)  # a file system without hard links


def change_retention(directory: Path, retention: Retention) -> None:
    """Replace the retention in the settings, atomically."""
    settings = _read(directory)
    given = _given_retention(settings)
    others = given if isinstance(given, dict) else {}
    _write(directory, {**settings, _RETENTION: {**others, **retention.as_dict()}})


def change_serving(directory: Path, serving: Serving) -> None:
    """Replace those settings that are given, atomically, or raise ``ConfigurationError``."""
    settings = {**_read(directory), **serving.as_dict()}
    try:
        Serving.from_dict(settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"nothing is changed: {str(directory / SETTINGS)!r}: {error}") from None
    _write(directory, settings)


def _write(directory: Path, settings: dict[str, Any]) -> None:
    final = (directory / SETTINGS).resolve()  # a symbolic link stays one
    with written_beside(final, [json.dumps(settings), "\n"]) as unfinished:
        status = final.stat()
        unfinished.chmod(status.st_mode & 0o777)  # never setuid: the new file may have another owner
        if hasattr(os, "chown"):
            with suppress(OSError):  # the file of another user, whose application must be able to read it
                os.chown(unfinished, status.st_uid, status.st_gid)
        unfinished.replace(final)


def _read(directory: Path) -> dict[str, Any]:
    file = directory / SETTINGS
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(
            f"releases={str(directory)!r} is not a releases directory (it has no {SETTINGS}): make one there with "
            f"`version-affinity --releases {directory} init --name storefront`, or name an existing one",
        ) from None
    except OSError as error:
        what = remedy(error, f"let this user read {str(directory)!r}")
        raise ConfigurationError(f"{str(file)!r} cannot be read: {error.strerror}: {what}") from None
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{str(file)!r} is not JSON ({error!s:.100}): restore it, for example "
            f'{{"name": "storefront", "layout": {_LAYOUT}}}, with the name that the deployments were made under',
        ) from None
    layout = settings.get("layout") if isinstance(settings, dict) else None
    if layout != _LAYOUT:
        raise ConfigurationError(
            f"{str(file)!r} has layout {layout!r:.20}, and this release of version_affinity reads layout {_LAYOUT}: "
            "install a release that reads it",
        )
    return dict(settings)
