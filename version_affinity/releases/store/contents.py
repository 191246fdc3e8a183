"""The files of a build that are uploaded: those that browsers get, and those that say how they are served."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.ignore import Exclusions, check_is_build, doubt_of
from version_affinity.assets.loading.inventory import InventoryError, parse_inventory
from version_affinity.assets.loading.media import ENDINGS
from version_affinity.assets.loading.tree import Skipped, UnservableError, build_directory, read, walk
from version_affinity.errors import ConfigurationError
from version_affinity.wire import file_name, wire_bytes

from .directory import Release, UploadError
from .durable import remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .directory import ReleasesDirectory

#: Vite's manifest, which is hidden and not served, but read when a version is loaded.
_VITE: Final = "/.vite/manifest.json"
_RULE_FILES: Final = frozenset(f"/{name}{ending}" for name in ("_headers", "_redirects") for ending in ("", *ENDINGS))
#: The files of a build that are for the server, not for browsers. The manifest of a version does not list them.
UNSERVED: Final = frozenset((_VITE, *_RULE_FILES))
_RULES: Final = "/_headers"


class SourceFile(NamedTuple):
    """A file to upload: its request path as WSGI text (``wire.py``), and its absolute name, all links resolved."""

    path: str
    file: str
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """The relative path on disk."""
        return file_name(self.path[1:])

    @property
    def is_served(self) -> bool:
        """Whether browsers can get the file."""
        return self.path not in UNSERVED


class Contents(NamedTuple):
    """The contents of a build directory at one time."""

    files: tuple[SourceFile, ...]
    # The files that are left out, and why. Hidden files, and files in ``.assetsignore``, are not listed.
    skipped: tuple[Skipped, ...]
    # Why the directory may not be a build, "" for no doubt.
    doubt: str


def source_root(source: str | os.PathLike[str], uploads: Path) -> str:
    """Return the name of a build directory, all links resolved. It must not contain ``uploads``."""
    root = build_directory(source, "source")
    if Path(os.path.realpath(uploads)).is_relative_to(root):
        raise ConfigurationError(
            f"source={os.fspath(source)!r} holds the uploaded versions themselves: name the directory of one build",
        )
    return root


def contents_of(root: str, *, allow_source: bool = True) -> Contents:
    """List a build directory, or raise ``UploadError`` or ``ConfigurationError``. Few of its files are opened."""
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
    files = []
    try:
        for path, file in found:
            status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - pathlib takes twice the time
            files.append(SourceFile(path, file, status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise source_changed(str(error.filename)) from None
    if not any(file.is_served for file in files):
        raise ConfigurationError(
            f"source={root!r} holds no file to serve: build the front end first, or name the directory that the build "
            "writes to",
        )
    return Contents(tuple(files), tuple(skipped), doubt_of(root))


def source_changed(file: str) -> UploadError:
    """Return the error for a build that changes while it is read."""
    return UploadError(f"{file!r} has changed while it was uploaded: upload the build once it is finished")


def read_digest(file: SourceFile) -> bytes:
    """Return the hash of a file's content. The file must not have changed since it was listed."""
    try:
        content = read(file.file)
    except (FileNotFoundError, UnservableError):
        raise source_changed(file.file) from None
    except OSError as error:
        what = remedy(error, "let this user read the whole build")
        raise UploadError(f"{file.file!r} cannot be read: {error.strerror}: {what}") from None
    if (content.size, content.mtime_ns) != (file.size, file.mtime_ns):
        raise source_changed(file.file)
    return content.digest


def content_hash(files: Iterable[SourceFile], digests: Mapping[str, bytes]) -> str:
    """Return the hash of all names and contents in hexadecimal. Times do not count: a build made again is the same."""
    total = sha256()
    for file in sorted(files):
        total.update(b"%b\0%d\0%b\n" % (wire_bytes(file.path), file.size, digests[file.path]))
    return total.hexdigest()


def with_stale_siblings(files: Iterable[SourceFile]) -> set[str]:
    """Return the paths of compressed files that are older than their originals, and of these originals.

    An older file may be the compressed form of other content. So the upload must keep the times of both files.
    """
    times = {file.path: file.mtime_ns for file in files}
    found: set[str] = set()
    for path, time in times.items():
        original = path.rpartition(".")[0]
        if path.endswith(ENDINGS) and original in times and time < times[original]:
            found.update((path, original))
    return found


def verify_version(
    releases: ReleasesDirectory, version: str, progress: Callable[[int, int], object] | None = None
) -> tuple[Skipped, ...]:
    """Hash all files of a version, and return the files that differ from the upload, with what is wrong with each."""
    root = os.path.realpath(releases.build_path(version))
    manifest = releases.manifest_path(version)
    if not os.path.isdir(root) and not manifest.exists():  # noqa: PTH112
        releases.release(version)  # raises ConfigurationError
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
        # The manifest lists only served files. The hash of the whole content covers the other files, too.
        names = ", ".join(sorted(UNSERVED & found.keys())) or _RULES
        damaged.append(Skipped(names, "a file for the server is missing, or has other content than was uploaded"))
    return tuple(damaged)


def _fault(path: str, file: SourceFile | None, expected: bytes | None, digests: dict[str, bytes]) -> str:
    """Return what is wrong with a file, "" for nothing, and note its digest."""
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
