"""The uploaded versions that this process has loaded, each whole or not at all."""

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
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import known_versions
from version_affinity.releases.times import parse_time, time_before
from version_affinity.rollout.background import run
from version_affinity.rollout.version import Version
from version_affinity.wire import plain_text, wsgi_path

from .readiness import Loading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from version_affinity.assets.loading.index import Index
    from version_affinity.assets.loading.inventory import Inventory
    from version_affinity.releases.store.directory import Release
    from version_affinity.rollout.source import Load

    #: A directory and the upload that it is of: file systems give numbers again.
    Identity: TypeAlias = tuple[int, int, Release]
    from version_affinity.releases.store.directory import Release

    from .in_force import RetentionInForce
    from .reading import LogReader

T = TypeVar("T")

logger = logging.getLogger("version_affinity")

# Seconds until a version that could not be loaded is tried again: its files may be arriving one by one.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
# Seconds since a file was written in which it may still be arriving.
_ARRIVING: Final = 10.0
# Damaged files that a message names.
_NAMED: Final = 5


class IncompleteError(Exception):
    """A version is not, or not yet, what was uploaded."""


class Failure(NamedTuple):
    """A version that could not be loaded: why, and when it is tried again (``time.monotonic``)."""

    reason: str
    pause: float
    due: float


class LoadedVersions:
    """The versions that are loaded. While one thread loads, others may look: what they see of it never changes.

    Args:
        directory: Where they are.
        load: Loads a build.

    Attributes:
        versions: Those that are known and loaded, by id, in their order.
        failures: Those that are known and could not be loaded.
        loadings: How those were loaded that are.
    """

    __slots__ = ("_directory", "_load", "_places", "failures", "loadings", "versions")

    def __init__(self, directory: ReleasesDirectory, load: Load) -> None:
        self._directory = directory
        self._load = load
        self._places: dict[str, Identity] = {}
        self.versions: dict[str, Version] = {}
        self.failures: dict[str, Failure] = {}
        self.loadings: dict[str, Loading] = {}

    def is_due(self) -> bool:
        """Tell whether it is time to try again to load a version."""
        now = time.monotonic()
        return any(failure.due <= now for failure in self.failures.values())

    def load(self, known: Iterable[Release], *, first: Collection[str] = ()) -> None:
        """Load the versions that are not loaded yet, and forget all that are not known. A failure is tried again later.

        Args:
            known: The versions, in their order.
            first: The ids of those for which a deployment waits.
        """
        releases = list(known)
        for release in sorted(releases, key=lambda release: release.id not in first):
            version = release.id
            failure = self.failures.get(version)
            place = self._place(release)
            if place is None:
                continue  # it has just been removed, which the next look shows, or cannot be looked at just now
            if self._places.get(version) == place or (failure is not None and failure.due > time.monotonic()):
                continue
            began = time.monotonic()
            try:
                loaded = self._loaded(version)
            except Exception as error:  # noqa: BLE001 - a callable given as fingerprinted may raise anything
                self.versions = _without(self.versions, version)  # another one under its id, before it was pruned
                self._fail(version, error)
                continue
            done = time.monotonic()
            self.loadings = {**self.loadings, version: Loading(done, done - began)}  # first: a version has one
            self.versions = {**self.versions, version: loaded}
            self._places[version] = place
            self.failures = _without(self.failures, version)
        self._keep([release.id for release in releases])

    def _keep(self, order: list[str]) -> None:
        """Forget the versions that are not among these; the others take their order."""
        self.versions = {version: self.versions[version] for version in order if version in self.versions}
        self.failures = {version: self.failures[version] for version in order if version in self.failures}
        self._places = {version: self._places[version] for version in self.versions}
        self.loadings = {version: self.loadings[version] for version in self.versions}

    def _loaded(self, version: str) -> Version:
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

    def _place(self, release: Release) -> Identity | None:
        """Return what tells this version from another one that had its id before."""
        try:
            status = os.stat(self._directory.build_path(release.id))  # noqa: PTH116
        except OSError:
            return None
        return status.st_dev, status.st_ino, release

    def _fail(self, version: str, error: Exception) -> None:
        told = isinstance(error, IncompleteError | ConfigurationError | OSError)
        reason = str(error) if told else f"{type(error).__qualname__}: {error}"
        before = self.failures.get(version)
        pause = min(_LONGEST_PAUSE, before.pause * 2) if before else _FIRST_PAUSE
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
        raise IncompleteError(f"its manifest cannot be used: it does not tell what {unusable} of its files hold")
    return manifest


def _paths(build: str) -> set[str]:
    """Return the request paths that all files of a build would have, those that are not served included."""
    paths: set[str] = set()
    for directory, _, files in os.walk(build):
        above = wsgi_path(directory[len(build) :].replace(os.sep, "/"))
        paths.update(f"{above}/{wsgi_path(name)}" for name in files)
    return paths


def _check_paths(here: set[str], manifest: Inventory) -> None:
    """Check that all files are there that were uploaded.

    Each by its name: what a copy that is going on leaves beside them for a while makes up for none.
    """
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

    A file that was damaged is not served, and does not keep the version from being loaded. A damaged page does: users
    get another version then. So does a file that was just written, which may still be arriving.
    """
    damaged = []
    for path, reason in index.skipped:
        # An earlier release uploaded files that are not served any more.
        if path in index.assets or path not in manifest.files or reason in DELIBERATE:
            continue
        if reason != OTHER_BYTES or is_html(content_type(path)) or _is_new(f"{index.directory}/{plain_text(path[1:])}"):
            what = reason.removeprefix("it ") if reason == OTHER_BYTES else f"cannot be served: {reason}"
            raise IncompleteError(f"{path!r} {what}")
        damaged.append(path)
    if damaged:
        logger.error(
            "version %r: %d of its files hold other bytes than were uploaded, and are not served: %s. "
            "`version-affinity versions verify %s` names them all. Upload the same build under this id to mend it",
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


logger = logging.getLogger("version_affinity")

# Seconds until the retention is applied again, which may go by age.
_AGEING: Final = 60.0
# A version that was uploaded so long before the log was read last may be in a deployment that could not be read yet.
_UNREAD: Final = timedelta(hours=1)


class KnownVersions:
    """The versions in a releases directory, as of the last look at it.

    Args:
        directory: The directory.
        reader: The log.
        retention: How long versions stay known.

    Attributes:
        uploaded: All versions, by id.
        releases: The known versions, in the order of their uploads: it stays the same when percentages change, and so
            does what is made of the files.
        error: Why the directory cannot be looked at; "" when it can.
    """

    __slots__ = ("_aged", "_directory", "_reader", "_retention", "_seen", "error", "releases", "uploaded")

    def __init__(self, directory: ReleasesDirectory, reader: LogReader, retention: RetentionInForce) -> None:
        self._directory = directory
        self._reader = reader
        self._retention = retention
        self._aged = -math.inf
        # What of the log the answer goes by.
        self._seen: tuple[object, ...] = ()
        self.uploaded: dict[str, Release] = {}
        self.releases: list[Release] = []
        self.error = ""

    def refresh(self) -> bool:
        """Look at the directory; return False when all is as before, or it cannot be looked at."""
        return run(self._refresh)

    def _refresh(self) -> bool:
        if self._retention.refresh():
            self._aged = -math.inf
        seen = self._reader.revision, self._reader.is_away
        try:
            uploaded = self._directory.versions()
            if uploaded == self.uploaded and seen == self._seen and time.monotonic() - self._aged < _AGEING:
                known = None
            else:
                if len(uploaded) < len(self.uploaded):
                    ReleasesDirectory(self._directory.path)  # is it there, or just not mounted?
                known = {*known_versions(self._directory, self._reader.entries, self._retention.value)}
        except (OSError, ConfigurationError) as error:
            if not self.error:
                logger.error("the releases cannot be looked at, and all stays as it is: %s", error)  # noqa: TRY400
            self.error = str(error)
            return False
        if self.error:
            logger.warning("the releases can be looked at again")
            self.error = ""
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
