"""The uploaded versions that this process has loaded, each whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from version_affinity.errors import ConfigurationError
from version_affinity.version import Version

from .settling import Loading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.assets.index import Index
    from version_affinity.source import Load

    from .directory import Release, ReleasesDirectory

    #: A directory and the upload that it is of: file systems give numbers again.
    Place: TypeAlias = tuple[int, int, Release]

logger = logging.getLogger("version_affinity")

# Seconds until a version that could not be loaded is tried again: its files may be arriving one by one.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0


class IncompleteError(Exception):
    """A version is not, or not yet, what was uploaded."""


class Failure(NamedTuple):
    """A version that could not be loaded: why, and when it is tried again (``time.monotonic``)."""

    reason: str
    pause: float
    due: float


class Holdings:
    """The versions that are loaded.

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
        self._places: dict[str, Place] = {}
        self.versions: dict[str, Version] = {}
        self.failures: dict[str, Failure] = {}
        self.loadings: dict[str, Loading] = {}

    def is_due(self) -> bool:
        """Tell whether it is time to try again to load a version."""
        now = time.monotonic()
        return any(failure.due <= now for failure in self.failures.values())

    def load(self, known: Iterable[Release]) -> None:
        """Load the versions of these that are not, and forget all others. What fails is tried again later."""
        releases = list(known)
        for release in releases:
            version = release.id
            failure = self.failures.get(version)
            place = self._place(release)
            if place is None:
                continue  # it has just been removed, which the next look shows, or cannot be looked at just now
            if self._places.get(version) == place or (failure is not None and failure.due > time.monotonic()):
                continue
            self.versions.pop(version, None)  # another one under its id, after it was pruned
            began = time.monotonic()
            try:
                self.versions[version] = self._loaded(version)
                done = time.monotonic()
                self.loadings[version] = Loading(done, done - began)
                self._places[version] = place
                self.failures.pop(version, None)
            except Exception as error:  # noqa: BLE001 - a callable given as fingerprinted may raise anything
                self._fail(version, error)
        self._keep([release.id for release in releases])

    def _keep(self, order: list[str]) -> None:
        """Forget the versions that are not among these; the others take their order."""
        self.versions = {version: self.versions[version] for version in order if version in self.versions}
        self.failures = {version: self.failures[version] for version in order if version in self.failures}
        self._places = {version: self._places[version] for version in self.versions}
        self.loadings = {version: self.loadings[version] for version in self.versions}

    def _loaded(self, version: str) -> Version:
        document = json.loads(self._directory.manifest_path(version).read_bytes())
        build = str(self._directory.build_path(version))
        _check_count(build, document)
        assets = self._load(build, manifest=document)
        try:
            _check_files(assets.index, document["files"])
        except BaseException:
            assets.release()
            raise
        return Version(version, assets)

    def _place(self, release: Release) -> Place | None:
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
        self.failures[version] = Failure(reason, pause, time.monotonic() + pause)
        if before is None or before.reason != reason:
            logger.error("version %r cannot be loaded, and is tried again: %s", version, reason)


def _check_count(build: str, document: Mapping[str, object]) -> None:
    """Check that as many files are there as were uploaded, those that are not served among them."""
    uploaded = document.get("file_count")
    found = sum(len(files) for _, _, files in os.walk(build))
    if isinstance(uploaded, int) and found < uploaded:
        raise IncompleteError(f"{found} of its {uploaded} files are here")


def _check_files(index: Index, listed: Mapping[str, Mapping[str, object]]) -> None:
    """Check that the files are those that were uploaded."""
    for path, asset in index.assets.items():
        name = path[1:]
        if not name.isascii():
            name = name.encode("latin-1").decode("utf-8", "surrogateescape")
        entry = listed.get(name)
        if entry is not None and entry["digest"] != asset.digest.hex():
            raise IncompleteError(f"{path!r} holds other bytes than were uploaded")
