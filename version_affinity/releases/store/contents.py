"""What of a build directory is uploaded: the files that can be served, and those that say how they are served."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.ignore import Exclusions, check_is_build, doubt_of
from version_affinity.assets.loading.inventory import InventoryError, parse_inventory
from version_affinity.assets.loading.siblings import ENDINGS
from version_affinity.assets.loading.tree import Skipped, UnservableError, read, walk
from version_affinity.errors import ConfigurationError
from version_affinity.wire import file_name, wire_bytes

from .directory import Release, UploadError, is_release_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from version_affinity.assets.loading.tree import Content

    from .directory import ReleasesDirectory

#: Vite's manifest, which is hidden and not served, but read when a version is loaded.
_VITE: Final = "/.vite/manifest.json"
_RULE_FILES: Final = frozenset(f"/{name}{ending}" for name in ("_headers", "_redirects") for ending in ("", *ENDINGS))
#: The files of a build that are for the server, not for browsers: a version's manifest does not list them.
UNSERVED: Final = frozenset((_VITE, *_RULE_FILES))


class SourceFile(NamedTuple):
    """A file that is to be uploaded.

    Attributes:
        path: As in ``PATH_INFO``: a slash, then the relative path, whose bytes are decoded as latin-1 (PEP 3333).
        file: The absolute name, all links resolved.
        size: Its length in bytes.
        mtime_ns: When it was last modified, in nanoseconds.
    """

    path: str
    file: str
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """The relative path as the file system has it."""
        return file_name(self.path[1:])

    @property
    def is_served(self) -> bool:
        """Whether it is for browsers, not for the server."""
        return self.path not in UNSERVED


class Contents(NamedTuple):
    """What a build directory holds at one time.

    Attributes:
        files: What is uploaded; a directory's files in the order of their names.
        skipped: What is not, and why. Hidden files and those that ``.assetsignore`` names are left out silently.
        doubt: What casts doubt on its being a build, "" for nothing.
    """

    files: tuple[SourceFile, ...]
    skipped: tuple[Skipped, ...]
    doubt: str = ""


def source_root(source: str | os.PathLike[str], uploads: Path) -> str:
    """Return the real name of a build directory.

    Args:
        source: Its name.
        uploads: The directory of all uploaded versions, which is no build, nor in one.

    Raises:
        ConfigurationError: there is no such directory, or it is not a build's.
    """
    try:
        root = Path(os.path.realpath(os.fspath(source)))
        is_directory, exists = root.is_dir(), root.exists()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"source={source!r} cannot be looked at: {error}") from None
    if not is_directory:
        raise ConfigurationError(
            f"source={os.fspath(source)!r} {'is a file' if exists else 'does not exist'}: "
            "name the directory that the build writes to, such as 'dist'",
        )
    if Path(os.path.realpath(uploads)).is_relative_to(root):
        raise ConfigurationError(
            f"source={os.fspath(source)!r} holds the uploaded versions themselves: name the directory of one build",
        )
    return str(root)


def contents_of(root: str, *, allow_source: bool = True) -> Contents:
    """List a build directory; no file of it is opened, but for those that say what it is.

    Args:
        root: The real, absolute name of the directory.
        allow_source: Whether it may be a project's source directory.

    Raises:
        UploadError: a directory in it cannot be read, or it changes meanwhile.
        ConfigurationError: it holds no file to serve, or is no build.
    """
    skipped: list[Skipped] = []
    exclusions = Exclusions(root)
    if not allow_source:
        check_is_build(root, f"source={root!r}", exclusions)
    found = [(path, file) for _, files in walk(root, exclusions, skipped) for path, _, file in files]
    for path, reason in skipped:
        if path.endswith("/"):
            raise UploadError(f"{root + path!r}: {reason}: let this user read the whole build")
    vite = f"{root}{_VITE}"
    if os.path.lexists(vite):
        if os.path.realpath(vite) == vite and Path(vite).is_file():
            found.append((_VITE, vite))
        else:
            skipped.append(Skipped(_VITE, "not a regular file"))
    try:
        files = tuple(_source_file(path, file) for path, file in found)
    except OSError as error:
        raise source_changed(str(error.filename)) from None
    if not any(file.is_served for file in files):
        raise ConfigurationError(
            f"source={root!r} holds no file to serve: build the front end first, or name the directory that the build "
            "writes to",
        )
    return Contents(files, tuple(skipped), doubt_of(root))


def _source_file(path: str, file: str) -> SourceFile:
    status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - pathlib takes twice the time
    return SourceFile(path, file, status.st_size, status.st_mtime_ns)


def source_changed(file: str) -> UploadError:
    """Return the error of a build that is written to while it is read."""
    return UploadError(f"{file!r} has changed while it was uploaded: upload the build once it is finished")


def read_digests(files: Iterable[SourceFile]) -> dict[str, bytes]:
    """Read all files; return each one's path and the hash of its content.

    Raises:
        UploadError: one cannot be read, or has changed since it was listed.
    """
    return {file.path: _read(file).digest for file in files}


def _read(file: SourceFile) -> Content:
    try:
        content = read(file.file)
    except (FileNotFoundError, UnservableError):
        raise source_changed(file.file) from None
    except OSError as error:
        raise UploadError(
            f"{file.file!r} cannot be read: {error.strerror}: let this user read the whole build"
        ) from None
    if (content.size, content.mtime_ns) != (file.size, file.mtime_ns):
        raise source_changed(file.file)
    return content


def content_hash(files: Iterable[SourceFile], digests: Mapping[str, bytes]) -> str:
    """Return the hash of all names and contents in hexadecimal. Times are not in it: a build made again is the same."""
    total = sha256()
    for file in sorted(files):
        total.update(b"%b\0%d\0%b\n" % (wire_bytes(file.path), file.size, digests[file.path]))
    return total.hexdigest()


def with_stale_siblings(files: Iterable[SourceFile]) -> set[str]:
    """Return the paths of compressed files that are older than their originals, and of these originals.

    That they are older is what tells that they may be compressed forms of something else. So their times matter.

    >>> files = [SourceFile("/a.js", "", 9, 7), SourceFile("/a.js.br", "", 5, 6), SourceFile("/a.js.gz", "", 5, 8)]
    >>> sorted(with_stale_siblings(files))
    ['/a.js', '/a.js.br']
    """
    by_path = {file.path: file for file in files}
    found: set[str] = set()
    for path, file in by_path.items():
        if path.endswith(ENDINGS):
            original = by_path.get(path[: path.rindex(".")])
            if original is not None and file.mtime_ns < original.mtime_ns:
                found.update((path, original.path))
    return found


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


def verify_version(
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
        inventory = parse_inventory(manifest.read_bytes())
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
    if not damaged and content and content_hash(contents.files, digests) != content:
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
