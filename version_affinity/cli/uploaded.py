"""Uploaded versions as builds, for what looks at their files: loaded from their manifests, no content held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from version_affinity.assets.static import StaticAssets

if TYPE_CHECKING:
    from version_affinity.releases.store.directory import ReleasesDirectory


def uploaded_build(directory: ReleasesDirectory, version: str) -> StaticAssets:
    """Return the build of an uploaded version.

    Raises:
        ConfigurationError: there is none, or it cannot be loaded.
    """
    directory.release(version)
    manifest: dict[str, Any] = json.loads(directory.manifest_path(version).read_bytes())
    return StaticAssets(directory.build_path(version), manifest=manifest, memory=0)
