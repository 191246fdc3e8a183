"""Removing versions that are not known any longer, one by one."""

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
    """Remove versions, and return the ids of those that are gone.

    Args:
        plan: What to remove.
        log: Asked again about each version, once nobody can find it any longer: one that was deployed since the plan
            was made stays.

    Raises:
        PruneError: the directory cannot be written to. The versions before are gone.
        LogError: the log cannot be read.
    """
    sweep(plan.releases)
    return [release.id for release in plan.removed if _remove(plan.releases, release.id, log)]


def _remove(releases: ReleasesDirectory, version: str, log: DeploymentLog | None) -> bool:
    """Remove a version: its manifest, which makes it invisible, then all of its files."""
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
    """Turn an error of the file system into one that says what helps."""
    try:
        yield
    except BusyError as error:
        raise PruneError(f"version {version!r} is not removed: {error}") from None
    except OSError as error:
        raise PruneError(
            f"version {version!r} cannot be removed from {str(releases.uploads)!r}: {error.strerror}: prune as a user "
            "who may write there",
        ) from error
