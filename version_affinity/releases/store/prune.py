"""Removing versions that are no longer known, one by one."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .directory import BusyError, PruneError, ReleasesDirectory, publishing
from .durable import sync_directory
from .retention import needed
from .workspace import PRUNE, sweep, workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from version_affinity.releases.log.entries import DeploymentLog

    from .retention import PrunePlan


def prune_versions(plan: PrunePlan, log: DeploymentLog | None = None) -> list[str]:
    """Remove versions, and return the ids of those that were removed.

    Args:
        plan: What to remove.
        log: Read again for each version, once nobody can deploy it any more: a version that was deployed since the plan
            was made stays.

    Raises:
        PruneError: The directory cannot be written to. Earlier versions of the plan were removed.
        LogError: The log cannot be read.
    """
    sweep(plan.releases)
    return [release.id for release in plan.removed if _remove(plan.releases, release.id, log)]


def _remove(releases: ReleasesDirectory, version: str, log: DeploymentLog | None) -> bool:
    """Remove a version: first its manifest, so that it disappears, then its files."""
    manifest, build = releases.manifest_path(version), releases.build_path(version)
    with _explained(releases, version), workspace(releases, PRUNE) as work:
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


@contextmanager
def _explained(releases: ReleasesDirectory, version: str) -> Iterator[None]:
    """Add the remedy to an error of the file system."""
    try:
        yield
    except BusyError as error:
        raise PruneError(f"version {version!r} is not removed: {error}") from None
    except OSError as error:
        raise PruneError(
            f"version {version!r} cannot be removed from {str(releases.uploads)!r}: {error.strerror}: prune as a user "
            "who may write there",
        ) from error
