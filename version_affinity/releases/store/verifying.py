"""Reading an uploaded version again, to find files that were damaged or lost since the upload."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.inventory import InventoryError, parse
from version_affinity.assets.loading.tree import Skipped, UnservableError, read
from version_affinity.errors import ConfigurationError

from .contents import UNSERVED, content_of, contents_of
from .directory import Release, UploadError, is_release_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contents import SourceFile
    from .directory import ReleasesDirectory

_RULES: Final = "/_headers"


def uploaded_ids(releases: ReleasesDirectory) -> list[str]:
    """Return the ids of all versions of which there is a build or a manifest, also of those that cannot be used.

    Raises:
        OSError: the directory cannot be read.
    """
    with os.scandir(releases.uploads) as entries:
        names = {
            entry.name.removesuffix(".json") for entry in entries if entry.is_dir() or entry.name.endswith(".json")
        }
    return sorted(filter(is_release_id, names))


def verify(
    releases: ReleasesDirectory, version: str, progress: Callable[[int, int], object] | None = None
) -> tuple[Skipped, ...]:
    """Hash all files of a version; return those that are not as they were uploaded, and what is wrong with each.

    Args:
        releases: Where the version is.
        version: Its id.
        progress: Called after each file with how many are done, and how many there are.

    Raises:
        ConfigurationError: there is no such version.
    """
    root = os.path.realpath(releases.build_path(version))
    manifest = releases.manifest_path(version)
    if not os.path.isdir(root) and not manifest.exists():  # noqa: PTH112
        releases.release(version)  # which says so
    try:
        inventory = parse(manifest.read_bytes())
        contents = contents_of(root)
    except InventoryError as error:
        return (Skipped(manifest.name, f"the manifest cannot be used: {error}"),)
    except (OSError, UploadError, ConfigurationError) as error:
        return (Skipped("/", str(error)),)
    found = {file.path: file for file in contents.files}
    digests: dict[str, bytes] = {}
    damaged = []
    paths = sorted({*inventory.files, *found})
    for done, path in enumerate(paths, 1):
        fault = _fault(path, found.get(path), inventory.digest(path), digests)
        if fault:
            damaged.append(Skipped(path, fault))
        if progress is not None:
            progress(done, len(paths))
    content = Release.from_about(version, inventory.about).content
    if not damaged and content and content_of(contents.files, digests) != content:
        # The manifest lists served files only; the hash of the whole content covers these, too.
        names = ", ".join(sorted(UNSERVED & found.keys())) or _RULES
        damaged.append(Skipped(names, "a file of the server's is missing, or has other content than was uploaded"))
    return tuple(damaged)


def _fault(path: str, file: SourceFile | None, expected: bytes | None, digests: dict[str, bytes]) -> str:
    """Return what is wrong with a file, "" for nothing, and keep its digest."""
    if file is None:
        return "is missing"
    try:
        digests[path] = read(file.file, 0).digest
    except UnservableError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if expected is None:
        return "" if path in UNSERVED else "was not uploaded"
    return "" if expected == digests[path] else "has other content than was uploaded"
