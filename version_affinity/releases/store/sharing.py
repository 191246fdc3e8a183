"""Files that uploaded versions have already: a new version gets them as hard links, which take no space.

A file is hashed before it is shared: one that was damaged since its upload must not spread into another version.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from version_affinity.assets.loading.inventory import InventoryError, parse
from version_affinity.assets.loading.tree import UnservableError, read

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from .directory import ReleasesDirectory


class Shared(NamedTuple):
    """A file of an uploaded version: its name, and the size and the content hash that the version's manifest gives."""

    file: str
    size: int
    digest: bytes


def find_shared(releases: ReleasesDirectory, wanted: Collection[tuple[int, bytes]]) -> dict[tuple[int, bytes], Shared]:
    """Return files of uploaded versions by size and content hash; of several, the newest version's.

    Args:
        releases: Where the versions are.
        wanted: The sizes and content hashes that are asked for.
    """
    found: dict[tuple[int, bytes], Shared] = {}
    for version in reversed(releases.versions()):
        if len(found) == len(wanted):
            break
        try:
            inventory = parse(releases.manifest_path(version).read_bytes())
        except (OSError, InventoryError):
            continue  # it has just been removed, or was reported already
        build = os.fsencode(releases.build_path(version))
        for path, (size, _, digest, *_) in inventory.entries():
            key = size, digest
            if key in wanted and key not in found and ".." not in path.split("/"):
                found[key] = Shared(os.fsdecode(build + path.encode("latin-1")), size, digest)
    return found


def link(shared: Shared, file: Path) -> bool:
    """Make a hard link to a file that still holds what its manifest says; False when there is none afterwards.

    File systems refuse it for many reasons: another device (EXDEV), too many links (EMLINK), another owner (EPERM),
    no links at all. Each time a copy does.
    """
    try:
        os.link(shared.file, file)
    except OSError:
        return False
    try:
        # The link is hashed, not the name that was linked: that may stand for another file by now.
        content = read(str(file), 0)
    except (OSError, UnservableError):
        content = None
    if content is not None and (content.size, content.digest) == (shared.size, shared.digest):
        return True
    file.unlink()
    return False
