"""A directory on disk, read without trusting it: which files there are, and what each one holds.

Only regular files below the root count. Links are followed to such files and to nothing else, except that a Kubernetes
volume's links to directories are followed too. Neither a pipe (it could
block) nor a link that takes a file's place between the look and the opening is opened. A directory on the way to the
file that is swapped for a link meanwhile is followed: who can do that decides what the build holds anyway.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_left
from hashlib import sha256
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from version_affinity.wire import wsgi_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .ignore import Exclusions

#: Bytes above which a file is hashed in blocks and never held in memory. Nearly every script, style sheet and font of a
#: build is smaller; above it, opening the file is a small part of sending it, and ``sendfile`` is the better way.
LARGE: Final = 256 * 1024

#: Bytes per read of a large file.
BLOCK: Final = 64 * 1024

#: Bytes of a content hash: SHA-256 cut to 128 bits, far beyond chance collisions. Processors compute SHA-256 in
#: hardware: for 4 KiB it was measured at 2.7 µs, BLAKE2b at 4.6 µs.
DIGEST_SIZE: Final = 16

#: How every file is opened, by its name with all links resolved. O_NONBLOCK: a pipe that took its place must not hang
#: the process. O_NOFOLLOW: nor must a link there lead out of the tree.
OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_MORE_ATTEMPTS = 2
_PROJECTED = "..data"
_NAME = attrgetter("name")
_SORTED_AT_ONCE = 2000
_SAMPLES = 20  # names of each part that tell how all are spread
_MOUNT_POINT = 0xA0000003  # stat.IO_REPARSE_TAG_MOUNT_POINT, which exists on Windows alone


class Skipped(NamedTuple):
    """A file or directory that is not served, and why."""

    path: str
    reason: str


class File(NamedTuple):
    """A servable file: where requests find it, and where the disk has it.

    Attributes:
        path: As in ``PATH_INFO``: a slash, then the relative path, whose bytes are decoded as latin-1 (PEP 3333).
        name: The last segment of ``path``.
        file: The absolute name for ``os.open``, all links resolved.
    """

    path: str
    name: str
    file: str


#: A ``File`` among thousands. Of plain tuples the garbage collector keeps no account once it has seen them.
FileFields: TypeAlias = "tuple[str, str, str]"


class Content(NamedTuple):
    """What a file held when it was read; ``data`` is None for a file above the limit."""

    size: int
    mtime_ns: int
    digest: bytes
    data: bytes | None


class Described(Protocol):
    """What a file holds, as far as it is known: read just now (``Content``), by an earlier load, or in an index."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    @property
    def mtime_ns(self) -> int:
        """When it was last modified, in nanoseconds."""

    @property
    def digest(self) -> bytes:
        """16 bytes of its SHA-256."""

    @property
    def data(self) -> bytes | None:
        """Its bytes, where they are at hand."""


class UnservableError(Exception):
    """A file cannot be served; the message says why."""


def walk(root: str, exclusions: Exclusions, skipped: list[Skipped]) -> Iterator[tuple[str, list[FileFields]]]:
    """Yield each directory's path and its servable files, in the order of their names.

    Names that begin with a dot are left out silently, except ``/.well-known/`` (RFC 8615) and what a build tool wrote.

    Args:
        root: The real, absolute name of the directory.
        exclusions: What else is to be left out.
        skipped: Gets what is left out and not named by a pattern.
    """
    pending = [("/", root)]
    while pending:
        parent, directory = pending.pop()
        try:
            with os.scandir(directory) as listing:
                parts = _parts(listing)
        except OSError as error:
            skipped.append(Skipped(parent, f"the directory cannot be read: {error.strerror}"))
            continue
        files: list[FileFields] = []
        dotted: list[FileFields] = []
        are_plain = exclusions.are_none and parent != "/"
        for entry in _merged(parts):
            name = wsgi_path(entry.name)
            path = parent + name
            try:
                # Nearly every entry needs no more than this look.
                is_usual = are_plain and name[0] != "." and entry.is_file(follow_symlinks=False)
                target, is_directory = (entry.path, False) if is_usual else _found(root, path, name, entry, exclusions)
            except UnservableError as error:
                skipped.append(Skipped(path, str(error)))
            except OSError as error:
                skipped.append(Skipped(path, f"it cannot be read: {error.strerror}"))
            else:
                if is_directory:
                    pending.append((path + "/", target))
                elif target:
                    hidden = name[0] == "." and path != "/.well-known"
                    (dotted if hidden else files).append((path, name, target))
        if dotted:
            names = [name for _, name, _ in files]
            files += [file for file in dotted if exclusions.shows(parent, file[1], names)]
            files.sort(key=itemgetter(1))
        yield parent, files


def _found(root: str, path: str, name: str, entry: os.DirEntry[str], exclusions: Exclusions) -> tuple[str, bool]:
    """Return the name of the file or directory that an entry stands for, and whether it is a directory.

    The name is "" where the entry is left out silently.

    Raises:
        UnservableError: it is left out for a reason that is reported.
        OSError: it cannot be looked at.
    """
    is_directory = entry.is_dir(follow_symlinks=False) and not _is_junction(entry)
    is_file = not is_directory and entry.is_file(follow_symlinks=False)
    control = exclusions.control(path) if path.rfind("/") == 0 else ""
    if exclusions.leaves_out(f"{path}/" if is_directory else path, name):
        return "", False
    if control:
        raise UnservableError(control)
    if name[0] == "." and path != "/.well-known" and not is_file:
        return "", False
    if is_file or is_directory:
        return entry.path, is_directory
    if not (entry.is_symlink() or _is_junction(entry)):
        raise UnservableError("not a regular file")
    target, is_directory = _target(root, entry)
    return ("", False) if is_directory and exclusions.leaves_out(f"{path}/", name) else (target, is_directory)


def _parts(listing: Iterable[os.DirEntry[str]]) -> list[list[os.DirEntry[str]]]:
    """Return entries in parts, each in the order of its names."""
    rest = iter(listing)
    return list(iter(lambda: sorted(islice(rest, _SORTED_AT_ONCE), key=_NAME), []))


def _merged(parts: list[list[os.DirEntry[str]]]) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of all parts in the order of their names, and leave nothing in the parts.

    Sorting 50,000 at once was measured to keep all other threads waiting for 30 ms, and forgetting them at once for 20.
    """
    sampled = sorted(entry.name for part in parts for entry in part[:: -(-_SORTED_AT_ONCE // _SAMPLES)])
    for bound in (*sampled[_SAMPLES::_SAMPLES], None):
        below = []
        for part in parts:
            end = len(part) if bound is None else bisect_left(part, bound, key=_NAME)
            below += part[:end]
            del part[:end]
        yield from sorted(below, key=_NAME)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is Windows' other kind of link to a directory, which passes for a directory."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _MOUNT_POINT


def _target(root: str, link: os.DirEntry[str]) -> tuple[str, bool]:
    """Return the name of what a link leads to and whether that is a directory; raise when it must not be served."""
    try:
        mode = link.stat().st_mode
    except OSError as error:
        reasons = {errno.ENOENT: "a dangling link", errno.ELOOP: "a link that leads to itself"}
        raise UnservableError(
            reasons.get(error.errno or 0, f"a link that cannot be followed: {error.strerror}")
        ) from None
    projected = through_projection(link.path)
    if projected != link.path and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        return projected, stat.S_ISDIR(mode)
    target = os.path.realpath(link.path)
    inside = root.rstrip(os.sep) + os.sep
    if not target.startswith(inside):
        raise UnservableError("a link that leads out of the directory")
    if stat.S_ISDIR(mode):
        raise UnservableError("a link to a directory, which is not followed")
    if not stat.S_ISREG(mode):
        raise UnservableError("a link to something that is no regular file")
    first, *rest = Path(target).relative_to(root).parts
    if (first[0] == "." and first != ".well-known") or any(part[0] == "." for part in rest):
        raise UnservableError("a link to a hidden file")
    return target, False


def through_projection(name: str) -> str:
    """Return where a link of a Kubernetes volume leads, through the volume's ``..data``; any other name as it is.

    A ConfigMap and a Secret are mounted as links ``env.js -> ..data/env.js`` beside ``..data -> ..2024_05_01_00_00``.
    The kubelet updates all files at once, by pointing ``..data`` to another directory beside it. The name that is
    returned goes through ``..data``, so that it stays right then.
    """
    directory = os.path.dirname(name)  # noqa: PTH120 - called for each link of a tree
    try:
        link = os.readlink(name)  # noqa: PTH115
        first, _, rest = link.partition("/")
        if first != _PROJECTED or not all(part and part[0] != "." for part in rest.split("/")):
            return name
        data = os.path.realpath(f"{directory}/{_PROJECTED}")
        if os.path.dirname(data) != directory or os.path.realpath(name) != f"{data}/{rest}":  # noqa: PTH120
            return name
    except (OSError, ValueError):
        return name
    return f"{directory}/{_PROJECTED}/{rest}"


def stamp_of(file: str) -> tuple[int, int] | None:
    """Return a file's size and time of modification, None when there is none; opens nothing."""
    try:
        status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - pathlib takes twice the time
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def is_unchanged(file: str, size: int, mtime_ns: int) -> bool:
    """Tell whether a file has a size and a time of modification; opens nothing."""
    try:
        status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - pathlib takes twice the time
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_mtime_ns == mtime_ns


def open_unchanged(file: str, size: int, mtime_ns: int) -> int | None:
    """Open a file that still has a size and a time of modification; None when it has not, or cannot be opened."""
    try:
        descriptor = os.open(file, OPEN_FLAGS)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
    except OSError:
        os.close(descriptor)
        return None
    if stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_mtime_ns == mtime_ns:
        return descriptor
    os.close(descriptor)
    return None


def digest_of(data: bytes) -> bytes:
    """Return the content hash of bytes.

    >>> digest_of(b"").hex()
    'e3b0c44298fc1c149afbf4c8996fb924'
    """
    return sha256(data).digest()[:DIGEST_SIZE]


def read(file: str, limit: int = LARGE) -> Content:
    """Read and hash a file; its content is returned up to ``limit`` bytes.

    The size is that of the bytes that were hashed, even while somebody writes to the file.

    Raises:
        OSError: it cannot be opened or read.
        UnservableError: it is no regular file, or changes all the time.
    """
    content = _read(file, limit)
    if content is not None:
        return content
    for _ in range(_MORE_ATTEMPTS):
        content = _read(file, limit)
        if content is not None:
            return content
    raise UnservableError("it changes while it is read")


def _read(file: str, limit: int) -> Content | None:
    """Read a file once; None when its length changed meanwhile."""
    descriptor = os.open(file, OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnservableError("not a regular file")
        size = status.st_size
        if size <= limit:
            data = os.read(descriptor, size + 1)  # one more: shows that it has grown
            if len(data) != size:
                return None
            return Content(size, status.st_mtime_ns, digest_of(data), data)
        digest = sha256()
        length = 0
        while block := os.read(descriptor, BLOCK):
            digest.update(block)
            length += len(block)
            if length > size:
                return None
        if length != size:
            return None
        return Content(size, status.st_mtime_ns, digest.digest()[:DIGEST_SIZE], None)
    finally:
        os.close(descriptor)
