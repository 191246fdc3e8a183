"""Collisions, told from the manifests alone: fingerprinted names that stand for different bytes in two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from version_affinity.assets.loading.inventory import InventoryError, parse
from version_affinity.assets.loading.media import is_source_map

from .terminal.text import local_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from version_affinity.releases.store.directory import ReleasesDirectory


class Collision(NamedTuple):
    """A fingerprinted name, and the versions in which it stands for other bytes."""

    path: str
    versions: tuple[str, ...]


def collisions(directory: ReleasesDirectory, version: str, others: Iterable[str]) -> list[Collision]:
    """Return the collisions of an uploaded version with others, in the order of their names.

    A version that is not here, or was removed a moment ago, has none.

    Args:
        directory: The uploaded versions.
        version: The version.
        others: The ids of those that it is compared with.
    """
    own = _files(directory, version)
    found: dict[str, list[str]] = {}
    for other in others:
        if other == version:
            continue
        for path, (digest, fingerprinted) in _files(directory, other).items():
            if is_source_map(path):
                continue  # pages do not load it, and it is served with no-cache where it differs
            mine = own.get(path)
            if mine is not None and mine[0] != digest and (fingerprinted or mine[1]):
                found.setdefault(path, []).append(other)
    return [Collision(local_path(path), tuple(versions)) for path, versions in sorted(found.items())]


def _files(directory: ReleasesDirectory, version: str) -> dict[str, tuple[bytes, bool]]:
    """Return the content hash of each file, and whether its name carries it."""
    try:
        inventory = parse(directory.manifest_path(version).read_bytes())
    except (FileNotFoundError, InventoryError):
        return {}
    return {path: (entry[2], entry[4]) for path, entry in inventory.files.items() if isinstance(entry, tuple)}
