"""Which versions are known on this host, and which of them this process has loaded."""

from __future__ import annotations

import logging
import math
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from version_affinity.assets.loading.ignore import DELIBERATE
from version_affinity.assets.loading.inventory import InventoryError, parse_inventory
from version_affinity.assets.loading.loader import OTHER_BYTES
from version_affinity.assets.loading.media import content_type, is_html
from version_affinity.errors import ConfigurationError
from version_affinity.releases.store.contents import UNSERVED
from version_affinity.releases.store.retention import prune_plan
from version_affinity.releases.store.settings import read_settings
from version_affinity.releases.times import format_time, parse_time, time_before, utc_now
from version_affinity.rollout.background import run
from version_affinity.rollout.version import Version
from version_affinity.wire import plain_text, wsgi_path

from .readiness import Loading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from version_affinity.assets.loading.index import Index
    from version_affinity.assets.loading.inventory import Inventory
    from version_affinity.releases.store.directory import Release, ReleasesDirectory
    from version_affinity.rollout.version import Load

    from .reading import LogReader

    #: A directory, and the upload that it is of: file systems reuse inode numbers.
    Identity: TypeAlias = tuple[int, int, Release]

T = TypeVar("T")

logger = logging.getLogger("version_affinity")

#: Seconds until the retention, which may go by age, is applied again.
AGEING: Final = 60.0
#: Seconds until a version that could not be loaded is tried again; then twice as long, up to the longest pause. Its
#: files may still be arriving.
FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
# A version that was uploaded this long before the log was last read may be in a deployment that cannot be read yet.
_UNREAD: Final = timedelta(hours=1)
# Seconds after its last change in which a file may still be arriving.
_ARRIVING: Final = 10.0
# Damaged files that a message names.
_NAMED: Final = 5


class KnownVersions:
    """The versions in a releases directory, as of the last look at it."""

    def __init__(self, directory: ReleasesDirectory, reader: LogReader) -> None:
        self._directory = directory
        self._reader = reader
        self._aged = -math.inf
        # The state of the log that the known versions follow from.
        self._seen: tuple[object, ...] = ()
        self._settings_error = self._uploads_error = ""
        # All versions.
        self.uploaded: dict[str, Release] = {}
        # The known versions, in the order of their uploads, which changes of percentages do not change.
        self.releases: list[Release] = []

    @property
    def error(self) -> str:
        """Why the directory or its settings cannot be read; "" if they can."""
        return self._uploads_error or self._settings_error

    def refresh(self) -> bool:
        """Look at the directory. Return False if nothing has changed, or the directory cannot be read."""
        return run(self._refresh)

    def _refresh(self) -> bool:
        self._refresh_retention()
        seen = self._reader.revision, self._reader.is_away
        try:
            uploaded = self._directory.versions()
            if uploaded == self.uploaded and seen == self._seen and time.monotonic() - self._aged < AGEING:
                known = None
            else:
                if len(uploaded) < len(self.uploaded):
                    read_settings(self._directory.path)  # raises if the directory is only not mounted
                known = {*prune_plan(self._directory, self._reader.entries, self._directory.retention).kept}
        except (OSError, ConfigurationError) as error:
            if not self._uploads_error:
                logger.error("the releases cannot be looked at, and all stays as it is: %s", error)  # noqa: TRY400
            self._uploads_error = str(error)
            return False
        if self._uploads_error:
            logger.warning("the releases can be looked at again")
            self._uploads_error = ""
        if known is None:
            return False
        if self._reader.is_away:
            # A deployment that cannot be read now may have the newest of them, and other processes send its pages.
            since = time_before(self._reader.confirmed, _UNREAD)
            known.update(version for version, release in uploaded.items() if parse_time(release.created) > since)
        self.releases = [release for version, release in uploaded.items() if version in known]
        self.uploaded = uploaded
        self._seen = seen
        self._aged = time.monotonic()
        return True

    def _refresh_retention(self) -> None:
        """Follow a change of the settings. Settings that cannot be used change nothing."""
        before = self._directory.retention
        error = self._directory.refresh_settings()
        if error and error != self._settings_error:
            logger.error(
                "the settings of the releases cannot be used, and the retention stays as it is (%s): %s",
                before.in_words(),
                error,
            )
        elif self._settings_error and not error:
            logger.warning("the settings of the releases can be used again")
        self._settings_error = error
        after = self._directory.retention
        if after != before:
            logger.info("the retention is changed from %s to %s", before.in_words(), after.in_words())
            self._aged = -math.inf


class IncompleteError(Exception):
    """A version is not, or not yet, what was uploaded."""


class Failure(NamedTuple):
    """A version that could not be loaded: why, and when it is tried again (``time.monotonic``)."""

    reason: str
    pause: float
    due: float


class LoadedVersion(NamedTuple):
    """A version that is loaded completely."""

    version: Version
    identity: Identity
    loading: Loading


class LoadedVersions:
    """The known versions that are loaded. Other threads may read the attributes, which are replaced whole."""

    def __init__(self, directory: ReleasesDirectory, load: Load) -> None:
        self._directory = directory
        self._load = load
        self._loaded: dict[str, LoadedVersion] = {}
        self.failures: dict[str, Failure] = {}
        #: The versions that are being loaded, or will be next, and since when.
        self.loading: dict[str, str] = {}

    @property
    def versions(self) -> dict[str, Version]:
        """The loaded versions, in the order of their uploads."""
        return {version: loaded.version for version, loaded in self._loaded.items()}

    @property
    def loadings(self) -> dict[str, Loading]:
        """How the loaded versions were loaded."""
        return {version: loaded.loading for version, loaded in self._loaded.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """The known versions that could not be loaded, and why."""
        return {version: failure.reason for version, failure in self.failures.copy().items()}

    def is_due(self) -> bool:
        """Return whether it is time to try again to load a version."""
        now = time.monotonic()
        return any(failure.due <= now for failure in self.failures.values())

    def load(self, known: Iterable[Release], *, first: Collection[str] = ()) -> None:
        """Load the known versions that are not loaded yet, and forget all others. A failure is tried again later."""
        releases = list(known)
        due = {
            release.id: identity
            for release in sorted(releases, key=lambda release: release.id not in first)
            # None: it has just been removed, which the next look shows, or cannot be read just now
            if (identity := self._identity(release)) is not None and self._is_wanted(release.id, identity)
        }
        self.loading = dict.fromkeys(due, format_time(utc_now()))
        try:
            for version, identity in due.items():
                self._load_one(version, identity)
                self.loading = _without(self.loading, version)
        finally:
            self.loading = {}
        order = [release.id for release in releases]
        self._loaded = {version: self._loaded[version] for version in order if version in self._loaded}
        self.failures = {version: self.failures[version] for version in order if version in self.failures}

    def _is_wanted(self, version: str, identity: Identity) -> bool:
        """Return whether it is time to load a version."""
        loaded, failure = self._loaded.get(version), self.failures.get(version)
        is_loaded = loaded is not None and loaded.identity == identity
        return not is_loaded and (failure is None or failure.due <= time.monotonic())

    def _load_one(self, version: str, identity: Identity) -> None:
        started = time.monotonic()
        try:
            made = self._load_version(version)
        except Exception as error:  # noqa: BLE001 - a callable given as fingerprinted may raise anything
            self._loaded = _without(self._loaded, version)  # another version that had its id before
            self._fail(version, error)
            return
        done = time.monotonic()
        self._loaded = {**self._loaded, version: LoadedVersion(made, identity, Loading(done, done - started))}
        self.failures = _without(self.failures, version)

    def _load_version(self, version: str) -> Version:
        manifest = _parsed(self._directory.manifest_path(version).read_bytes())
        build = str(self._directory.build_path(version))
        _check_paths(_paths(build), manifest)
        assets = self._load(build, manifest=manifest._replace(is_binding=True))
        try:
            _check_files(version, assets.index, manifest)
        except BaseException:
            assets.release()
            raise
        return Version(version, assets)

    def _identity(self, release: Release) -> Identity | None:
        """Return what distinguishes this version from an earlier one with its id."""
        try:
            status = os.stat(self._directory.build_path(release.id))  # noqa: PTH116
        except OSError:
            return None
        return status.st_dev, status.st_ino, release

    def _fail(self, version: str, error: Exception) -> None:
        expected = isinstance(error, IncompleteError | ConfigurationError | OSError)
        reason = str(error) if expected else f"{type(error).__qualname__}: {error}"
        before = self.failures.get(version)
        pause = min(_LONGEST_PAUSE, before.pause * 2) if before else FIRST_PAUSE
        self.failures = {**self.failures, version: Failure(reason, pause, time.monotonic() + pause)}
        if before is None or before.reason != reason:
            logger.error("version %r cannot be loaded, and is tried again: %s", version, reason)


def _without(mapping: dict[str, T], version: str) -> dict[str, T]:
    return {other: value for other, value in mapping.items() if other != version}


def _parsed(text: bytes) -> Inventory:
    try:
        manifest = parse_inventory(text)
    except InventoryError as error:
        raise IncompleteError(f"its manifest cannot be used: {error}") from None
    unusable = manifest.listed - len(manifest.files)
    if unusable:
        raise IncompleteError(f"its manifest cannot be used: it does not describe {unusable} of its files")
    return manifest


def _paths(build: str) -> set[str]:
    """Return the request paths of all files of a build, as if all were served."""
    paths: set[str] = set()
    for directory, _, files in os.walk(build):
        above = wsgi_path(directory[len(build) :].replace(os.sep, "/"))
        paths.update(f"{above}/{wsgi_path(name)}" for name in files)
    return paths


def _check_paths(here: set[str], manifest: Inventory) -> None:
    """Check by their names that all uploaded files are here. A copy that is going on may leave temporary files."""
    listed = manifest.files
    missing = [path for path in listed if path not in here]
    uploaded = manifest.about.get("file_count")
    whole = uploaded if isinstance(uploaded, int) else len(listed)
    found = len(listed) - len(missing) + len(here & UNSERVED)
    if missing or found < whole:
        example = f": {plain_text(min(missing)[1:])!r} is missing" if missing else ""
        raise IncompleteError(f"{found} of its {whole} files are here{example}")


def _check_files(version: str, index: Index, manifest: Inventory) -> None:
    """Check that the files are those that were uploaded, and can be served.

    A damaged file is not served. A damaged page, or one that may still be arriving, keeps the version from loading.
    """
    damaged = []
    for path, reason in index.skipped:
        # Earlier releases uploaded some files that are not served any more.
        if path in index.assets or path not in manifest.files or reason in DELIBERATE:
            continue
        if reason != OTHER_BYTES or is_html(content_type(path)) or _is_new(f"{index.directory}/{plain_text(path[1:])}"):
            what = reason.removeprefix("it ") if reason == OTHER_BYTES else f"cannot be served: {reason}"
            raise IncompleteError(f"{path!r} {what}")
        damaged.append(path)
    if damaged:
        logger.error(
            "version %r: files that hold other bytes than were uploaded are not served (%d): %s. "
            "`version-affinity versions verify %s` names them all. Upload the same build under this id to repair it",
            version,
            len(damaged),
            ", ".join(map(repr, damaged[:_NAMED])),
            version,
        )


def _is_new(file: str) -> bool:
    try:
        return abs(time.time() - os.stat(file).st_mtime) < _ARRIVING  # noqa: PTH116
    except OSError:
        return True
