"""Files that uploaded versions have already: a new version gets them as hard links, which take no space and no time.

A link shares everything with the file, its time of modification too, so a manifest's entry holds for it unchanged.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from version_affinity.assets.inventory import InventoryError, parse
from version_affinity.assets.tree import is_unchanged

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from .directory import ReleasesDirectory


class Shared(NamedTuple):
    """A file of an uploaded version, as that version's manifest has it."""

    file: str
    size: int
    mtime_ns: int


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
        for path in inventory.files:
            entry = inventory.known(path)
            if entry is None:
                continue
            key = entry.size, entry.digest
            if key in wanted and key not in found and ".." not in path.split("/"):
                file = os.fsdecode(build + path.encode("latin-1"))
                found[key] = Shared(file, entry.size, entry.mtime_ns)
    return found


def link(shared: Shared, file: Path) -> bool:
    """Make a hard link to a file that is still what its manifest says; False when there is none afterwards.

    File systems refuse it for many reasons: another device (EXDEV), too many links (EMLINK), another owner (EPERM),
    no links at all. Each time a copy does.
    """
    try:
        os.link(shared.file, file)
    except OSError:
        return False
    if is_unchanged(str(file), shared.size, shared.mtime_ns):
        return True
    file.unlink()
    return False
