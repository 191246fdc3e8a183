"""The releases directory: where uploaded versions are, and what is known of each without opening its files.

    releases/
      affinity.json            the name, how builds are served, and the retention (settings.py)
      versions/<id>/           a build as uploaded; it never changes
      versions/<id>.json       its manifest (assets/loading/inventory.py): files, and when and by whom it was uploaded
      deployments.jsonl        the file log
      workers/                 the worker reports (releases/reports/files.py)

A version exists if both its manifest and its directory do: an upload writes the manifest last, ``prune`` removes it
first.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.inventory import Inventory, InventoryError, is_size, parse_inventory
from version_affinity.deployment import check_name, check_version_id
from version_affinity.errors import ConfigurationError

from .durable import DISK_FULL, LOCK_PATIENCE, FileLock, LockedError, remedy
from .settings import SETTINGS, Serving, change_retention, change_serving, make_settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .retention import Retention
    from .settings import ReleasesSettings

logger = logging.getLogger("version_affinity")

_VERSIONS: Final = "versions"
_LOG: Final = "deployments.jsonl"
#: The directory of the worker reports.
WORKERS: Final = "workers"
_MANIFEST: Final = ".json"
# How many ids a message proposes.
_SIMILAR: Final = 3
#: Bytes of the longest first line that is read of a manifest. Vite's own manifest is in that line.
_HEAD: Final = 64 * 1024 * 1024
# The names of a release's attributes in its manifest, where they differ.
_ABOUT: Final = {"files": "file_count", "size": "total_size"}


class ReleasesError(Exception):
    """The releases directory could not be changed. The message names the reason and the remedy."""


class RetentionConflictError(ReleasesError):
    """Another process has changed the retention since it was read. Its change stays."""


class BusyError(ReleasesError):
    """Another process changes the versions for too long. Nothing was changed."""


class UploadError(ReleasesError):
    """A version could not be uploaded. Nothing of it was kept."""


class PruneError(ReleasesError):
    """A version could not be removed. It is still there."""


@contextmanager
def explained(path: Path, kind: type[ReleasesError], outcome: str) -> Iterator[None]:
    """Raise an error of the file system as another one, with the outcome and the remedy."""
    try:
        yield
    except BusyError as error:
        raise kind(f"{outcome}: {error}") from None
    except OSError as error:
        what = remedy(error, "do it as a user who may write there")
        if error.errno in DISK_FULL and kind is not PruneError:
            what = "make room (version-affinity prune)"
        raise kind(f"{outcome}, {str(path)!r} cannot be written to: {error.strerror}: {what}") from error


@dataclass(frozen=True, slots=True)
class Release:
    """An uploaded version. Texts that are unknown are ""."""

    id: str
    # RFC 3339, UTC, such as "2026-11-24T05:00:00.123456Z".
    created: str
    author: str = ""
    tag: str = ""
    message: str = ""
    files: int = 0
    # Bytes of all files, including those that it shares with other versions.
    size: int = 0
    # The SHA-256 of its files' names and contents in hexadecimal.
    content: str = ""

    def about(self) -> dict[str, object]:
        """Return what the head of the manifest says of it."""
        return {_ABOUT.get(key, key): value for key, value in asdict(self).items() if key != "id"}

    @classmethod
    def from_about(cls, version: str, about: Mapping[str, object]) -> Release:
        """Return the release that the head of a manifest describes. Missing values are empty."""
        created, author, tag, message, content = (
            value if isinstance(value := about.get(key), str) else ""
            for key in ("created", "author", "tag", "message", "content")
        )
        files, size = (value if is_size(value := about.get(key)) else 0 for key in ("file_count", "total_size"))
        return cls(version, created, author, tag, message, files, size, content)


class ReleasesDirectory:
    """An existing releases directory; ``ConfigurationError`` if there is none, or one of a later layout.

    ``path`` is its absolute name, all links resolved. The other attributes are those of ``ReleasesSettings``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = _resolved(path)
        self.uploads: Final = self.path / _VERSIONS
        settings = read_settings(self.path)
        self.name: Final = settings.name
        self._take(settings)
        # The settings' file when ``refresh_settings`` read it, by its inode, size and time.
        self._stamp: tuple[int, int, int] | None = None
        # Version id to its manifest's inode, size and time, and what was read there; None for an unusable manifest.
        self._heads: dict[str, tuple[tuple[int, int, int], Release | None]] = {}

    def _take(self, settings: ReleasesSettings) -> None:
        self.retention = settings.retention
        self.retention_error = settings.error
        self.retention_warning = settings.warning
        self.serving = settings.serving
        self.serving_error = settings.serving_error

    @classmethod
    def init(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str,
        retention: Retention | None = None,
        serving: Serving = Serving(),  # noqa: B008 - it never changes
    ) -> ReleasesDirectory:
        """Make a releases directory in a new or empty directory, or open an existing one with these settings."""
        check_name(name)
        directory = _resolved(path)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            others = {entry for entry in os.listdir(directory) if not entry.startswith(".")}  # noqa: PTH208
            if others - {SETTINGS, _VERSIONS, _LOG, WORKERS}:
                raise ConfigurationError(
                    f"releases={str(directory)!r} holds something else ({min(others)!r:.100}): name a new directory",
                )
            (directory / _VERSIONS).mkdir(exist_ok=True)
            (directory / WORKERS).mkdir(exist_ok=True)
            if SETTINGS not in others:
                make_settings(directory, name, serving, retention)
        except OSError as error:
            what = remedy(error, "name a directory that this user may write to", "name a new directory")
            raise ConfigurationError(f"releases={str(directory)!r} cannot be made: {error.strerror}: {what}") from None
        releases = cls(directory)
        if releases.name != name:
            raise ConfigurationError(
                f"releases={str(directory)!r} has the name {releases.name!r}, not {name!r}. The name is part of the "
                "hash, so it cannot be changed: leave it, or name another directory",
            )
        if retention is not None and releases.retention_error:
            raise ConfigurationError(releases.retention_error)
        if retention is not None and retention != releases.retention:
            raise ConfigurationError(
                f"releases={str(directory)!r} exists already, with another retention "
                f"({releases.retention.in_words()}): to change it, `version-affinity --releases {directory} retention "
                f"{retention.as_options()}`",
            )
        if serving.otherwise(releases.serving) != releases.serving:
            raise ConfigurationError(
                f"releases={str(directory)!r} exists already, with other settings: to change them, "
                f"`version-affinity --releases {directory} settings {serving.as_options()}`",
            )
        return releases

    def refresh_settings(self) -> str:
        """Read the settings again if they have changed. If they cannot be used, return why, and change nothing."""
        try:
            status = (self.path / SETTINGS).stat()
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if stamp == self._stamp:
                return ""
            self._stamp = None  # a file that becomes readable keeps its time
            settings = read_settings(self.path)
        except (OSError, ConfigurationError) as error:
            return str(error)
        if settings.name != self.name:
            return (
                f"the name in {str(self.path / SETTINGS)!r} was changed from {self.name!r} to {settings.name!r}, which "
                f"would give many users another version. This process keeps {self.name!r}: write {self.name!r} again"
            )
        if settings.error:
            return settings.error
        self._stamp = stamp
        self._take(settings)
        if settings.warning:
            logger.warning("%s", settings.warning)
        return ""

    def change_retention(self, retention: Retention, *, expected: Retention | None = None) -> None:
        """Change how long versions stay known. All processes that follow the directory notice within a moment.

        ``expected`` is the retention that the new one is based on; None is any. If there is another one by now,
        ``RetentionConflictError`` is raised, and the attribute has that one.
        """
        with explained(self.path / SETTINGS, ReleasesError, "the retention is not changed"), publishing(self):
            self._take(read_settings(self.path))
            if expected is not None and self.retention != expected:
                raise RetentionConflictError(f"the retention is {self.retention.in_words()} now")
            change_retention(self.path, retention)
        self.retention = retention
        self.retention_error = ""

    def change_serving(self, serving: Serving) -> None:
        """Change how builds are served; a setting that is None stays as it is."""
        with explained(self.path / SETTINGS, ReleasesError, "nothing is changed"), publishing(self):
            change_serving(self.path, serving)
            self._take(read_settings(self.path))

    def versions(self) -> dict[str, Release]:
        """Return the uploaded versions by id, the oldest first. A manifest that has not changed is not read again."""
        heads: dict[str, tuple[tuple[int, int, int], Release | None]] = {}
        releases = []
        with os.scandir(self.uploads) as entries:
            for entry in entries:
                version = entry.name.removesuffix(_MANIFEST)
                if version == entry.name or not is_release_id(version):
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    continue  # it has just been removed
                if not stat.S_ISREG(status.st_mode):
                    continue  # opening a pipe would hang
                stamp = status.st_ino, status.st_size, status.st_mtime_ns
                known = self._heads.get(version)
                head = known if known is not None and known[0] == stamp else (stamp, _head(version, entry.path))
                heads[version] = head
                if head[1] is not None and os.path.isdir(entry.path.removesuffix(_MANIFEST)):  # noqa: PTH112
                    releases.append(head[1])
        self._heads = heads
        releases.sort(key=lambda release: (release.created, release.id))
        return {release.id: release for release in releases}

    def release(self, version: str) -> Release:
        """Return an uploaded version, or raise ``ConfigurationError``."""
        file = self.manifest_path(version)
        release = _head(version, str(file)) if file.is_file() and self.build_path(version).is_dir() else None
        if release is None:
            raise ConfigurationError(
                f"version {version!r} is not in {str(self.path)!r}: upload it (version-affinity versions upload), or "
                f"choose an uploaded one (version-affinity versions list){self.meant(version)}",
            )
        return release

    def inventory(self, version: str) -> Inventory:
        """Return the files in the manifest of an uploaded version, or raise ``ConfigurationError``."""
        self.release(version)
        try:
            return parse_inventory(self.manifest_path(version).read_bytes())
        except (OSError, InventoryError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"the manifest of version {version!r} cannot be used: {reason}: upload the build again "
                f"(version-affinity versions upload DIRECTORY --id {version})",
            ) from None

    def meant(self, version: str) -> str:
        """Return a question that names uploaded ids like this one, such as ". Did you mean v2?"; "" without any."""
        # Of the same length: a mistake at the beginning of a long id counts as in a short one.
        beginnings = {other[: len(version)].lower(): other for other in self.all_ids()}
        similar = [beginnings[text] for text in get_close_matches(version.lower(), beginnings, n=_SIMILAR)]
        return f". Did you mean {' or '.join(similar)}?" if similar else ""

    def all_ids(self) -> list[str]:
        """Return the ids of all versions that have a build or a manifest, including those that cannot be used."""
        with os.scandir(self.uploads) as entries:
            found = [entry.name for entry in entries if entry.is_dir() or entry.name.endswith(_MANIFEST)]
        return sorted(filter(is_release_id, {name.removesuffix(_MANIFEST) for name in found}))

    def build_path(self, version: str) -> Path:
        """Return the directory of a version's build, which may not exist."""
        return self.uploads / check_release_id(version)

    def manifest_path(self, version: str) -> Path:
        """Return the file of a version's manifest, which may not exist."""
        return self.uploads / f"{check_release_id(version)}{_MANIFEST}"


def publishing(releases: ReleasesDirectory, *, patience: float = LOCK_PATIENCE) -> FileLock:
    """Return the lock that every change of the versions or the retention holds, or raise ``BusyError``."""
    try:
        return FileLock.acquire(releases.uploads / ".lock", patience=patience, guards=releases.uploads)
    except LockedError as error:
        raise BusyError(f"another process changes the versions in {str(releases.uploads)!r}: {error}") from None


def check_release_id(version: object) -> str:
    """Return an id that a version in a releases directory can have, or raise ``ConfigurationError``."""
    checked = check_version_id(version)
    if checked.lower().endswith(_MANIFEST):
        raise ConfigurationError(
            f"version id {checked!r} cannot be used: {_MANIFEST!r} at the end is for the manifests; write another id"
        )
    return checked


def is_release_id(version: str) -> bool:
    """Return whether a version in a releases directory can have this id."""
    try:
        check_release_id(version)
    except ConfigurationError:
        return False
    return True


def read_head(file: str | os.PathLike[str]) -> Mapping[str, object]:
    """Return what a manifest says besides its files. Its first line is enough, as this package writes it."""
    with open(file, "rb") as reader:  # noqa: PTH123
        first = reader.readline(_HEAD)
        try:
            return parse_inventory(first + b"}}").about
        except InventoryError:
            return parse_inventory(first + reader.read()).about


def _resolved(path: str | os.PathLike[str]) -> Path:
    try:
        text = os.fspath(path)
        if isinstance(text, str) and text:
            return Path(os.path.realpath(text))
    except (OSError, ValueError, TypeError):
        pass
    raise ConfigurationError(f"releases={path!r} cannot be a directory: write its name, such as 'releases/'")


def _head(version: str, file: str) -> Release | None:
    try:
        return Release.from_about(version, read_head(file))
    except FileNotFoundError:
        return None
    except (OSError, InventoryError) as error:
        reason = f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        logger.warning("version %r is left out: of its manifest %r: %s", version, file, reason)
        return None
