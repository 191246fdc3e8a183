"""``affinity.json``: the settings of a releases directory, for its applications and for the command line.

    {"name": "storefront", "layout": 1, "retention": {"keep": 20, "younger_than": "30d"}}

Missing keys of the retention have their defaults. Unknown keys are those of a later release, and are kept. If the
retention cannot be used, all versions stay known until a person mends the file.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.deployment import check_name
from version_affinity.errors import ConfigurationError

from .durable import written_beside
from .retention import KEEP_ALL, Retention

if TYPE_CHECKING:
    from pathlib import Path

#: The file's name.
SETTINGS: Final = "affinity.json"
_LAYOUT: Final = 1
_RETENTION: Final = "retention"


class ReleasesSettings(NamedTuple):
    """The settings of a releases directory."""

    name: str
    # ``KEEP_ALL`` if the setting cannot be used.
    retention: Retention
    # Why the retention cannot be used, and which unknown key of it is ignored; "" for no error, and no warning.
    error: str = ""
    warning: str = ""


def read_settings(directory: Path) -> ReleasesSettings:
    """Return the settings of a releases directory. If even the name cannot be used, raise ``ConfigurationError``."""
    settings = _read(directory)
    file = str(directory / SETTINGS)
    try:
        name = check_name(settings.get("name"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{file!r}: {error}") from None
    given = _given_retention(settings)
    try:
        retention = Retention.from_dict(given)
    except ConfigurationError as error:
        return ReleasesSettings(name, KEEP_ALL, f"{file!r}: {error}")
    unknown = sorted(set(given) - set(retention.as_dict()))
    if not unknown:
        return ReleasesSettings(name, retention)
    warning = (
        f"{file!r}: retention has the unknown key {unknown[0]!r:.100}, which is ignored: write keep or younger_than"
    )
    return ReleasesSettings(name, retention, warning=warning)


def _given_retention(settings: dict[str, Any]) -> Any:
    given = settings.get(_RETENTION)
    return {} if given is None else given


def make_settings(directory: Path, name: str, retention: Retention | None) -> None:
    """Write the settings of a new directory, atomically. Settings that another process writes meanwhile are kept."""
    given = {} if retention is None else {_RETENTION: retention.as_dict()}
    final = directory / SETTINGS
    with written_beside(final, [json.dumps({"name": name, "layout": _LAYOUT, **given}), "\n"]) as unfinished:
        try:
            os.link(unfinished, final)  # unlike rename, it does not replace a file
        except FileExistsError:
            return
        except OSError:
            unfinished.rename(final)  # a file system without hard links


def change_retention(directory: Path, retention: Retention) -> None:
    """Replace the retention in the settings, atomically."""
    final = (directory / SETTINGS).resolve()  # a symbolic link stays one
    settings = _read(directory)
    given = _given_retention(settings)
    others = given if isinstance(given, dict) else {}
    text = json.dumps({**settings, _RETENTION: {**others, **retention.as_dict()}})
    with written_beside(final, [text, "\n"]) as unfinished:
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
        raise ConfigurationError(
            f"{str(file)!r} cannot be read: {error.strerror}: let this user read {str(directory)!r}"
        ) from None
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
