"""Removing versions that are no longer known, one by one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from .directory import PruneError, ReleasesDirectory, explained, publishing
from .durable import sync_directory
from .retention import needed
from .workspace import PRUNE, sweep, workspace

if TYPE_CHECKING:
    from version_affinity.releases.log.entries import DeploymentLog

    from .retention import PrunePlan


def prune_versions(plan: PrunePlan, log: DeploymentLog | None = None) -> list[str]:
    """Remove versions, and return the ids of those that were removed.

    The ``log`` is read again for each version, once it cannot be deployed any more: a version that was deployed since
    the plan was made stays.

    Raises:
        PruneError: The directory cannot be written to. Earlier versions of the plan were removed.
        LogError: The log cannot be read.
    """
    sweep(plan.releases)
    return [release.id for release in plan.removed if _remove(plan.releases, release.id, log)]


def _remove(releases: ReleasesDirectory, version: str, log: DeploymentLog | None) -> bool:
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
