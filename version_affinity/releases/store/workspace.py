"""Hidden directories in which a version is put together before it appears, or taken apart after it has gone.

    versions/.upload-<random>/     build/   <id>.json   lock
    versions/.prune-<random>/      the same, in the reverse order

The process at work holds the lock. ``sweep`` removes what a crash leaves; nothing of it is a version.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .directory import BusyError, PruneError, explained, is_release_id, publishing
from .durable import UNFINISHED, FileLock, sync_directory
from .retention import needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from version_affinity.releases.log.entries import DeploymentLog

    from .directory import ReleasesDirectory
    from .retention import PrunePlan

logger = logging.getLogger("version_affinity")

UPLOAD: Final = ".upload-"
PRUNE: Final = ".prune-"

# Seconds after which a workspace counts as abandoned if nobody holds its lock; no upload takes this long where a file
# system has no locks.
_ABANDONED: Final = 86_400
_LOCK: Final = "lock"


class Workspace:
    """A hidden directory below ``versions/``, from which its ``build`` can be renamed to become a version."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.build: Final = path / "build"

    def manifest(self, version: str) -> Path:
        """Return where a version's manifest is meanwhile."""
        return self.path / f"{version}.json"


@contextmanager
def workspace(releases: ReleasesDirectory, kind: str) -> Iterator[Workspace]:
    """Make a workspace of a kind, ``UPLOAD`` or ``PRUNE``. Its contents are removed at the end."""
    path = releases.uploads / f"{kind}{secrets.token_hex(8)}"
    path.mkdir()
    try:
        with FileLock.acquire(path / _LOCK):
            yield Workspace(path)
    finally:
        _remove(path)


def sweep(releases: ReleasesDirectory) -> None:
    """Remove what interrupted uploads, prunings and writings left more than a day ago. Never raises."""
    with suppress(OSError), os.scandir(releases.path) as files:
        for file in files:
            if UNFINISHED.fullmatch(file.name) and abs(time.time() - file.stat().st_mtime) >= _ABANDONED:
                os.unlink(file.path)  # noqa: PTH108
    try:
        with os.scandir(releases.uploads) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.startswith((UPLOAD, PRUNE))]
    except OSError:
        return
    for path in found:
        try:
            # abs: the clock may have been wrong then.
            if path.is_symlink() or abs(time.time() - path.stat().st_mtime) < _ABANDONED:
                continue
            lock = FileLock.try_acquire(path / _LOCK)
            if lock is not None:
                with lock:
                    _retract_build(releases, Workspace(path))
                    _remove(path)
        except BusyError:
            pass  # the next upload or pruning does it
        except OSError as error:
            logger.warning("%r, which an interrupted upload left, cannot be removed: %s", str(path), error.strerror)


def _retract_build(releases: ReleasesDirectory, left: Workspace) -> None:
    """Take back a build without a manifest, whose process was killed between the renames of both."""
    if left.build.exists():
        return
    for manifest in left.path.glob("*.json"):
        if is_release_id(manifest.stem):
            with publishing(releases):
                build = releases.build_path(manifest.stem)
                if build.exists() and not releases.manifest_path(manifest.stem).exists():
                    build.rename(left.path / f"build-{manifest.stem}")
                    sync_directory(releases.uploads)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        logger.warning("%r cannot be removed completely: it is not a version, so you can remove it", str(path))


def prune_versions(plan: PrunePlan, log: DeploymentLog | None = None) -> list[str]:
    """Remove versions, and return the ids of those that were removed. One that was deployed since the plan stays.

    So the ``log`` is read again for each version, once it cannot be deployed any more.
    """
    sweep(plan.releases)
    return [release.id for release in plan.removed if _prune(plan.releases, release.id, log)]


def _prune(releases: ReleasesDirectory, version: str, log: DeploymentLog | None) -> bool:
    """Remove a version: first its manifest, so that it disappears, then its files."""
    outcome = f"version {version!r} is not removed"
    manifest, build = releases.manifest_path(version), releases.build_path(version)
    with explained(releases.uploads, PruneError, outcome), workspace(releases, PRUNE) as work:
        aside = work.manifest(version)
        with publishing(releases):
            try:
                manifest.rename(aside)
            except FileNotFoundError:
                return False
            try:
                sync_directory(releases.uploads)
                if log is not None and version in needed(log.read()):
                    aside.rename(manifest)
                    return False
                with suppress(FileNotFoundError):
                    build.rename(work.build)
            except BaseException:
                with suppress(OSError):
                    aside.rename(manifest)
                raise
    return True
