"""Uploading a build: it becomes a version completely or not at all, and never changes afterwards.

Everything is put together in a hidden directory, goes to the disk, and gets its names last. Files that an earlier
version has are shared by hard link. All files are read-only, since a change would affect every version that shares
them.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable  # noqa: TC003 - of a public alias
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from version_affinity.assets.loading.inventory import Inventory, InventoryError, inventory_lines, parse_inventory
from version_affinity.assets.loading.loader import Loader
from version_affinity.assets.loading.media import ENDINGS
from version_affinity.assets.loading.tree import DIGEST_SIZE, OPEN_FLAGS, Content, Skipped, UnservableError, read
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import NEVER, format_time, parse_time, utc_now
from version_affinity.wire import file_name

from .contents import (
    content_hash,
    contents_of,
    read_digest,
    source_changed,
    source_root,
    verify_version,
    with_stale_siblings,
)
from .directory import Release, UploadError, check_release_id, explained, publishing, read_head
from .durable import sync, sync_directory, write_all, write_new
from .settings import SETTINGS
from .workspace import UPLOAD, sweep, workspace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from .contents import SourceFile
    from .directory import ReleasesDirectory
    from .workspace import Workspace

#: Called with the number of steps done, the number of all steps, and a file's name. Each file takes two steps: it is
#: written, and it is on the disk.
UploadProgress: TypeAlias = "Callable[[int, int, str], object]"

_ID_LENGTH: Final = 12
# On Windows a read-only file could not be removed.
_MODE: Final = 0o444 if os.name == "posix" else 0o666
# A time before 1981 does not show that a file is unchanged (assets/loading/inventory.py). Such a file gets the present.
_TELLING_NS: Final = 11 * 365 * 86_400 * 1_000_000_000
_MOMENT: Final = timedelta(microseconds=1)
_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Uploaded(Release):
    """A release, and what its upload did. ``is_new`` says whether this content is new under this id."""

    is_new: bool = True
    # Whether the version existed with damaged files, which were replaced.
    is_mended: bool = False
    # How many of its files are shared with earlier versions.
    linked: int = 0
    # The files of the build directory that were left out or will not be used, and why.
    skipped: tuple[Skipped, ...] = ()
    # Why the directory may not be a build, "" for no doubt.
    doubt: str = ""


def upload(
    releases: ReleasesDirectory,
    source: str | os.PathLike[str],
    *,
    id: str | None = None,  # noqa: A002 - the word of the vocabulary
    tag: str = "",
    message: str = "",
    author: str = "",
    allow_source: bool = False,
    progress: UploadProgress | None = None,
) -> Uploaded:
    """Upload a build as a version. All that follow the directory know the version from now on. It is not deployed.

    The build must not change meanwhile. Left out: links out of it, pipes, hidden files (except Vite's manifest and
    chunks of a build tool), and files in ``.assetsignore``. If this content exists under this id, that version is
    returned: its files are hashed, and replaced if one is damaged.

    Without an ``id``, it is derived from the content: the same build gets the same id. The source directory of a
    project is refused unless ``allow_source`` is set. Raises ``ConfigurationError`` or ``UploadError``.
    """
    version = None if id is None else check_release_id(id)
    root = source_root(source, releases.uploads)
    contents = contents_of(root, allow_source=allow_source)
    digests = {file.path: read_digest(file) for file in contents.files}
    content = content_hash(contents.files, digests)
    size = sum(file.size for file in contents.files)
    id = version or content[:_ID_LENGTH]  # noqa: A001
    release = Release(id, "", author, tag, message, len(contents.files), size, content)
    with explained(releases.uploads, UploadError, "nothing was uploaded"):
        sweep(releases)
        existing = _existing(releases, release)
        is_damaged = existing is not None and bool(verify_version(releases, existing.id))
        if existing is not None and not is_damaged:
            return Uploaded(**asdict(existing), is_new=False, skipped=contents.skipped, doubt=contents.doubt)
        release = existing or replace(release, created=_time_after(releases))
        with workspace(releases, UPLOAD) as work:
            linked = _place(releases, work, contents.files, digests, progress or (lambda _done, _steps, _name: None))
            inventory, unused = _load(work, contents.files, digests)
            if contents_of(root) != contents:
                raise source_changed(root)
            published = _publish(releases, work, release, inventory, mends=is_damaged)
    is_first = published is release  # otherwise another process has uploaded the same
    return Uploaded(
        **asdict(published),
        is_new=is_first and not is_damaged,
        is_mended=is_first and is_damaged,
        linked=linked if is_first else 0,
        skipped=(*contents.skipped, *unused),
        doubt=contents.doubt,
    )


def unreadable_by_others(releases: ReleasesDirectory, version: str) -> str:
    """Return which part of an uploaded version a worker of another user may not read, and the remedy; "" if it may.

    The group's permission is enough if the releases directory is for that group alone, too.
    """
    if os.name != "posix":
        return ""
    own = releases.path.stat()
    build = str(releases.build_path(version))
    paths = [str(releases.path), str(releases.path / SETTINGS), str(releases.uploads)]
    manifest = str(releases.manifest_path(version))
    paths += [manifest]
    for directory, _, files in os.walk(build):
        paths += [directory, *(os.path.join(directory, file) for file in files)]  # noqa: PTH118 - as in os.walk
    for path in paths:
        status = os.stat(path)  # noqa: PTH116 - a str stays what it is
        needed = 0o005 if stat.S_ISDIR(status.st_mode) else 0o004
        of_group = needed << 3 if status.st_gid == own.st_gid and not own.st_mode & 0o005 else 0
        if status.st_mode & needed != needed and (not of_group or status.st_mode & of_group != of_group):
            where = [str(releases.path)] if path in paths[:3] else [manifest, build]
            return (
                f"a worker of another user cannot read {path!r} (mode {status.st_mode & 0o777:03o}): upload with umask "
                f"022, and run chmod -R a+rX {shlex.join(where)}"
            )
    return ""


def _existing(releases: ReleasesDirectory, release: Release) -> Release | None:
    """Return the existing version of this id and content."""
    file = releases.manifest_path(release.id)
    try:
        existing = Release.from_about(release.id, read_head(file))
    except FileNotFoundError:
        return None
    except InventoryError as error:
        raise ConfigurationError(
            f"version {release.id!r} has a manifest {str(file)!r} that cannot be used ({error}): upload under another "
            "id, or remove it first",
        ) from None
    if existing.content != release.content:
        raise ConfigurationError(
            f"version {release.id!r} exists with other content, and versions never change: upload under another id, or "
            "without one, to derive the id from the content",
        )
    return existing if releases.build_path(release.id).is_dir() else None


def _time_after(releases: ReleasesDirectory) -> str:
    """Return the present or, if the clock has gone back, the moment after the newest upload, so that order is kept."""
    newest = max((parse_time(release.created) for release in releases.versions().values()), default=NEVER)
    with suppress(OverflowError):
        newest += _MOMENT
    return format_time(max(utc_now(), newest), "microseconds")


def _place(
    releases: ReleasesDirectory,
    work: Workspace,
    files: Sequence[SourceFile],
    digests: Mapping[str, bytes],
    progress: UploadProgress,
) -> int:
    """Put all files into the workspace, on the disk, and return how many of them are links."""
    shared = _find_shared(releases, {(file.size, digests[file.path]) for file in files})
    stale = with_stale_siblings(files)
    for directory in {(work.build / file.name).parent for file in files}:
        directory.mkdir(parents=True, exist_ok=True)
    copies = []
    done, steps = 0, 2 * len(files)
    for file in files:
        target = work.build / file.name
        key = file.size, digests[file.path]
        earlier = None if file.path in stale else shared.get(key)
        if earlier is None or not _link(earlier, target, key):
            _copy(file, digests[file.path], target)
            # A build tool that makes equal archives writes equal times, which would not show a change.
            if file.mtime_ns >= _TELLING_NS or file.path in stale:
                mtime_ns = file.mtime_ns if file.path in stale else max(file.mtime_ns, _time_of_original(target))
                os.utime(target, ns=(mtime_ns, mtime_ns))
            copies.append(target)
            done += 1
        else:
            done += 2
        progress(done, steps, file.name)
    # All at the end: one by one, while they are written, was measured to take twice the time.
    for done, target in enumerate(copies, steps - len(copies) + 1):
        sync(target)
        progress(done, steps, target.relative_to(work.build).as_posix())
    for name, _, _ in os.walk(work.build):
        sync_directory(name)
    return len(files) - len(copies)


def _time_of_original(file: Path) -> int:
    """Return when the original of a compressed file was modified, 0 for any other file.

    An original that is shared may have a later time than in this build, and an older compressed file is not used.
    """
    original = file.with_name(file.stem)
    return original.stat().st_mtime_ns if file.name.endswith(ENDINGS) and original.exists() else 0


def _find_shared(releases: ReleasesDirectory, wanted: Collection[tuple[int, bytes]]) -> dict[tuple[int, bytes], str]:
    """Return files of uploaded versions by size and content hash. Of several files, the newest version's is taken."""
    found: dict[tuple[int, bytes], str] = {}
    for version in reversed(releases.versions()):
        if len(found) == len(wanted):
            break
        try:
            inventory = parse_inventory(releases.manifest_path(version).read_bytes())
        except (OSError, InventoryError):
            continue  # it has just been removed, or was logged already
        build = str(releases.build_path(version))
        for path, entry in inventory.entries():
            key = entry.size, entry.digest
            if key in wanted and key not in found and ".." not in path.split("/"):
                found[key] = build + file_name(path)
    return found


def _link(earlier: str, file: Path, expected: tuple[int, bytes]) -> bool:
    """Make a hard link to a file that still has the expected size and content hash. Return whether there is one.

    Otherwise the file is copied: file systems refuse links for many reasons, and a damaged file must not spread.
    """
    try:
        os.link(earlier, file)
    except OSError:
        return False
    try:
        # The link is hashed, not the name that was linked: that may be another file by now.
        content = read(str(file), 0)
    except (OSError, UnservableError):
        content = None
    if content is not None and (content.size, content.digest) == expected:
        return True
    file.unlink()
    return False


def _copy(file: SourceFile, digest: bytes, target: Path) -> None:
    """Copy a file, read-only, and check that it still has the content that was hashed."""
    hashed = sha256()
    try:
        source = os.open(file.file, OPEN_FLAGS)
    except OSError:
        raise source_changed(file.file) from None
    with (
        open(source, "rb", buffering=0) as reader,  # noqa: PTH123 - a descriptor
        open(target, "xb", buffering=0, opener=_read_only) as writer,
    ):
        while block := reader.read(_BLOCK):
            hashed.update(block)
            write_all(writer, block)
    if hashed.digest()[:DIGEST_SIZE] != digest:
        raise source_changed(file.file)


def _read_only(name: str, flags: int) -> int:
    return os.open(name, flags, _MODE)


def _load(
    work: Workspace, files: Iterable[SourceFile], digests: Mapping[str, bytes]
) -> tuple[Inventory, tuple[Skipped, ...]]:
    """Load the build as a server will, from the known digests. Return its manifest, and the files that are not used."""
    root = os.path.realpath(work.build)
    known = {}
    for file in files:
        if file.is_served:
            status = os.stat(f"{root}{os.sep}{file.name}")  # noqa: PTH116 - pathlib takes twice the time
            known[file.path] = Content(status.st_size, status.st_mtime_ns, digests[file.path])
    loader = Loader(root)
    loaded = loader.load(Inventory(known, rules=0))  # the names are not judged yet
    for path, entry in known.items():
        asset = loaded.assets.get(path)
        if asset is None or asset.digest != entry.digest:
            raise UploadError(f"{root + path!r} does not hold what was written there: the disk may be faulty")
    rules = {file.path for file in files if not file.is_served}
    unused = tuple(skipped for skipped in loaded.skipped if skipped.path not in rules)
    return Inventory(loaded.assets, loaded.vite), unused


def _publish(
    releases: ReleasesDirectory, work: Workspace, release: Release, inventory: Inventory, *, mends: bool
) -> Release:
    """Give the build and its manifest their names: with ``mends``, those of a damaged version.

    Return the version, which another process may have uploaded first.
    """
    build, manifest = releases.build_path(release.id), releases.manifest_path(release.id)
    unfinished = work.manifest(release.id)
    write_new(unfinished, inventory_lines(inventory._replace(about=release.about())))
    sync_directory(work.path)
    renamed: list[tuple[Path, Path]] = []
    with publishing(releases):
        existing = _existing(releases, release)
        if existing is not None and not mends:
            return existing
        try:
            if build.exists():
                build.rename(work.path / "abandoned")  # damaged, or of an upload that was killed right here
            for before, after in ((work.build, build), (unfinished, manifest)):
                os.replace(before, after)  # noqa: PTH105 - also over a manifest whose build is gone
                renamed.append((before, after))
                sync_directory(releases.uploads)
        except BaseException:
            for before, after in reversed(renamed):
                with suppress(OSError):
                    after.rename(before)
            raise
    return release
