"""``affinity.json``: what is settled for a whole releases directory, for the application and for the command line.

    {"name": "storefront", "layout": 1, "retention": {"keep": 20, "younger_than": "30d"}}

What it does not say of the retention is as by default. Other keys are a later release's, and stay. Where it cannot be
used, the name still can: all versions stay known until somebody mends it.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.deployment import check_name
from version_affinity.errors import ConfigurationError

from .durable import sync_directory, write_new
from .retention import KEEP_ALL, Retention

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The file's name.
SETTINGS: Final = "affinity.json"
_LAYOUT: Final = 1
_RETENTION: Final = "retention"


class ReleasesSettings(NamedTuple):
    """What a releases directory's settings say.

    Attributes:
        name: The deployment's name.
        retention: How long its versions stay known: ``KEEP_ALL`` where what they say of it cannot be used.
        error: Why it cannot, with the file, the key and what to write; "" where it can.
        warning: Which keys of the retention are left out, since this release does not know them; "" for none.
    """

    name: str
    retention: Retention
    error: str = ""
    warning: str = ""


def read_settings(directory: Path) -> ReleasesSettings:
    """Return the settings of a releases directory.

    Raises:
        ConfigurationError: there are none, they cannot be read, or their name cannot be used.
    """
    settings = _read(directory)
    file = str(directory / SETTINGS)
    try:
        name = check_name(settings.get("name"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{file!r}: {error}") from None
    said = _said_of_retention(settings)
    try:
        retention = Retention.from_dict(said)
    except ConfigurationError as error:
        return ReleasesSettings(name, KEEP_ALL, f"{file!r}: {error}")
    unknown = sorted(set(said) - set(retention.as_dict()))
    if not unknown:
        return ReleasesSettings(name, retention)
    warning = f"{file!r}: retention has {unknown[0]!r:.100}, which is left out: is keep or younger_than meant?"
    return ReleasesSettings(name, retention, warning=warning)


def _said_of_retention(settings: dict[str, Any]) -> Any:
    said = settings.get(_RETENTION)
    return {} if said is None else said


def make_settings(directory: Path, name: str, retention: Retention | None) -> None:
    """Write the settings at once; those that somebody else writes at the same time are left.

    Args:
        directory: The releases directory.
        name: The deployment's name.
        retention: How long versions stay known; None for nothing said of it.

    Raises:
        OSError: they cannot be written.
    """
    said = {} if retention is None else {_RETENTION: retention.as_dict()}
    final = directory / SETTINGS
    with _written(final, {"name": name, "layout": _LAYOUT, **said}) as unfinished:
        try:
            os.link(unfinished, final)  # unlike a renamed file, a link replaces none
        except FileExistsError:
            return
        except OSError:
            unfinished.rename(final)  # a file system without hard links


def change_retention(directory: Path, retention: Retention) -> None:
    """Replace the retention in the settings at once: nobody ever finds a part of it.

    Args:
        directory: The releases directory.
        retention: How long versions stay known.

    Raises:
        ConfigurationError: the settings cannot be read.
        OSError: they cannot be written.
    """
    final = (directory / SETTINGS).resolve()  # a link stays one
    settings = _read(directory)
    said = _said_of_retention(settings)
    others = said if isinstance(said, dict) else {}
    with _written(final, {**settings, _RETENTION: {**others, **retention.as_dict()}}) as unfinished:
        status = final.stat()
        unfinished.chmod(status.st_mode & 0o777)  # never setuid: the new file may have another owner
        if hasattr(os, "chown"):
            with suppress(OSError):  # of another user, whose application must be able to read them after all
                os.chown(unfinished, status.st_uid, status.st_gid)
        unfinished.replace(final)


def unfinished_settings(directory: Path) -> list[Path]:
    """Return the files of settings that are being written, or whose writer was killed.

    Raises:
        OSError: the directory cannot be read.
    """
    final = (directory / SETTINGS).resolve()
    start = f".{final.name}."
    with os.scandir(final.parent) as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith(start)]


@contextmanager
def _written(final: Path, settings: dict[str, Any]) -> Iterator[Path]:
    """Write settings beside the file that they are to become; the block gives them its name."""
    unfinished = final.with_name(f".{final.name}.{secrets.token_hex(8)}")
    try:
        write_new(unfinished, [json.dumps(settings), "\n"])
        yield unfinished
        sync_directory(final.parent)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _read(directory: Path) -> dict[str, Any]:
    """Return what the file says, of this layout."""
    file = directory / SETTINGS
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(
            f"releases={str(directory)!r} is no releases directory (it has no {SETTINGS}): make one there with "
            f"`version-affinity --releases {directory} init --name storefront`, or name the one that is there",
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
            f"{str(file)!r} is of layout {layout!r:.20}, and this release of version_affinity reads {_LAYOUT}: "
            "install one that reads it",
        )
    return dict(settings)
