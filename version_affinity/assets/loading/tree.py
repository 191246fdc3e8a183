"""Reading a directory on disk without trusting it: which files there are, and what each file holds.

Only regular files below the root are served. A link is followed if it leads to such a file; the links of a Kubernetes
volume are followed to directories, too. A pipe is never opened, because it could block, and neither is a link that
replaces a file between the look and the opening. A directory that is replaced by a link meanwhile is followed: who
can do that decides what the build holds anyway.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.errors import ConfigurationError
from version_affinity.wire import wsgi_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .ignore import Exclusions

#: Bytes above which a file is hashed in blocks and never held in memory. Nearly every script, style sheet and font of a
#: build is smaller. Above it, opening the file is a small part of sending it, and ``sendfile`` is better.
LARGE: Final = 256 * 1024

#: Bytes per read of a large file.
BLOCK: Final = 64 * 1024

#: Bytes of a content hash: SHA-256 cut to 128 bits, far beyond chance collisions. Processors compute SHA-256 in
#: hardware: for 4 KiB it was measured at 2.7 µs, BLAKE2b at 4.6 µs.
DIGEST_SIZE: Final = 16

#: How every file is opened, by its name with all links resolved. O_NONBLOCK: a pipe that took the file's place must not
#: block the process. O_NOFOLLOW: a link that took its place must not lead out of the tree.
OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_ATTEMPTS = 3
_PROJECTED = "..data"
_NAME = attrgetter("name")
_MOUNT_POINT = 0xA0000003  # stat.IO_REPARSE_TAG_MOUNT_POINT, which exists on Windows alone


class Skipped(NamedTuple):
    """A file or directory that is not served, and why."""

    path: str
    reason: str


class File(NamedTuple):
    """A servable file."""

    path: str  # as in ``PATH_INFO``: a slash, then the relative path, decoded as latin-1 (PEP 3333)
    name: str  # the last segment of the path
    file: str  # the absolute name, all links resolved


class Content(NamedTuple):
    """What a file held when it was read, now or by an earlier load, which also says what it concluded."""

    size: int
    mtime_ns: int
    digest: bytes
    data: bytes | None = None  # None for a file above the limit and after an earlier load
    content_type: str = ""
    fingerprinted: bool = False
    is_worker: bool | None = None
    why: str = ""


class UnservableError(Exception):
    """A file cannot be served; the message says why."""


def unread(error: Exception) -> str:
    """Return why a file is not read or not served."""
    return f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def build_directory(name: str | os.PathLike[str], option: str = "directory", *, may_be_missing: bool = False) -> str:
    """Return the real, absolute name of a build's directory; ``ConfigurationError`` names the option."""
    text = os.fspath(name) if isinstance(name, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise ConfigurationError(f"{option}={name!r} is not text: give the directory's name as str or pathlib.Path")
    if not text:
        raise ConfigurationError(f"{option}='' is empty: give the directory that the build writes to, such as 'dist'")
    try:
        root = Path(os.path.realpath(text))
        exists = root.exists()
        is_usable = root.is_dir() or (may_be_missing and not exists)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{option}={text!r} cannot be read: {error}") from None
    if root.parent == root:
        raise ConfigurationError(
            f"{option}={text!r} is the root of the file system: name the directory that the build writes to"
        )
    if is_usable:
        return str(root)
    if exists:
        raise ConfigurationError(f"{option}={text!r} is a file: name the directory that the build writes to")
    raise ConfigurationError(
        f"{option}={text!r} does not exist (it means {str(root)!r} here): build the front end first, or name the "
        "directory that the build writes to, such as 'dist'"
    )


def is_directory(name: str) -> bool:
    """Return whether a name that a person gave is that of a directory; False if it cannot be looked at."""
    return os.path.isdir(name)  # noqa: PTH112 - pathlib raises if the name is too long


def walk(root: str, exclusions: Exclusions, skipped: list[Skipped]) -> Iterator[tuple[str, list[File]]]:
    """Yield each directory's path and its servable files, in the order of their names.

    Names that begin with a dot are left out silently, except ``/.well-known/`` (RFC 8615) and what a build tool wrote;
    so is what ``exclusions`` name. ``skipped`` gets what else is left out.
    """
    pending = [("/", root)]
    while pending:
        parent, directory = pending.pop()
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=_NAME)
        except OSError as error:
            skipped.append(Skipped(parent, f"the directory cannot be read: {error.strerror}"))
            continue
        files: list[File] = []
        dotted: list[File] = []
        are_plain = exclusions.are_none and parent != "/"
        for entry in entries:
            name = wsgi_path(entry.name)
            path = parent + name
            try:
                # Nearly every entry needs no more than this look.
                is_usual = are_plain and name[0] != "." and entry.is_file(follow_symlinks=False)
                target, is_directory = (entry.path, False) if is_usual else _found(root, path, name, entry, exclusions)
            except (UnservableError, OSError) as error:
                skipped.append(Skipped(path, unread(error)))
            else:
                if is_directory:
                    pending.append((path + "/", target))
                elif target:
                    hidden = name[0] == "." and path != "/.well-known"
                    (dotted if hidden else files).append(File(path, name, target))
        if dotted:
            names = [file.name for file in files]
            files += [file for file in dotted if exclusions.shows(parent, file.name, names)]
            files.sort(key=_NAME)
        yield parent, files


def _found(root: str, path: str, name: str, entry: os.DirEntry[str], exclusions: Exclusions) -> tuple[str, bool]:
    """Return the name of the file or directory that an entry stands for, and whether it is a directory.

    The name is "" if the entry is left out silently. ``UnservableError`` carries a reason that is reported.
    """
    is_directory = entry.is_dir(follow_symlinks=False) and not _is_junction(entry)
    is_file = not is_directory and entry.is_file(follow_symlinks=False)
    if exclusions.leaves_out(f"{path}/" if is_directory else path, name):
        return "", False
    if control := exclusions.control(path):
        raise UnservableError(control)
    if name[0] == "." and path != "/.well-known" and not is_file:
        return "", False
    if is_file or is_directory:
        return entry.path, is_directory
    if not (entry.is_symlink() or _is_junction(entry)):
        raise UnservableError("not a regular file")
    target, is_directory = _target(root, entry)
    return ("", False) if is_directory and exclusions.leaves_out(f"{path}/", name) else (target, is_directory)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is Windows' other kind of link to a directory, which passes for a directory."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _MOUNT_POINT


def _target(root: str, link: os.DirEntry[str]) -> tuple[str, bool]:
    """Return the name of what a link leads to and whether that is a directory; raise if it must not be served."""
    try:
        mode = link.stat().st_mode
    except OSError as error:
        reasons = {errno.ENOENT: "a dangling link", errno.ELOOP: "a link that leads to itself"}
        reason = reasons.get(error.errno or 0, f"a link that cannot be followed: {error.strerror}")
        raise UnservableError(reason) from None
    projected = through_projection(link.path)
    if projected != link.path and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        return projected, stat.S_ISDIR(mode)
    target = os.path.realpath(link.path)
    if not target.startswith(root.rstrip(os.sep) + os.sep):
        raise UnservableError("a link that leads out of the directory")
    if stat.S_ISDIR(mode):
        raise UnservableError("a link to a directory, which is not followed")
    if not stat.S_ISREG(mode):
        raise UnservableError("a link to something that is not a regular file")
    first, *others = Path(target).relative_to(root).parts
    if (first[0] == "." and first != ".well-known") or any(part[0] == "." for part in others):
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
    """Return the size and the time of modification of a regular file or link, None if there is none; opens nothing."""
    try:
        status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - pathlib takes twice the time
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def is_unchanged(file: str, size: int, mtime_ns: int) -> bool:
    """Return whether a regular file still has a size and a time of modification; opens nothing."""
    try:
        status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - pathlib takes twice the time
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_mtime_ns == mtime_ns


def open_unchanged(file: str, size: int, mtime_ns: int) -> int | None:
    """Open a regular file that still has a size and a time of modification; return None otherwise."""
    try:
        descriptor = os.open(file, OPEN_FLAGS)
    except (OSError, ValueError):
        return None
    with suppress(OSError):
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_mtime_ns == mtime_ns:
            return descriptor
    os.close(descriptor)
    return None


def read(file: str, limit: int = LARGE) -> Content:
    """Read and hash a file; its content is returned up to ``limit`` bytes.

    The size is that of the bytes that were hashed, even if the file is written to meanwhile. ``OSError`` and
    ``UnservableError`` say why it cannot be read.
    """
    for _ in range(_ATTEMPTS):
        descriptor = os.open(file, OPEN_FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnservableError("not a regular file")
            size = status.st_size
            if size <= limit:
                data = os.read(descriptor, size + 1)  # one more: shows that it has grown
                if len(data) == size:
                    return Content(size, status.st_mtime_ns, sha256(data).digest()[:DIGEST_SIZE], data)
                continue
            digest = sha256()
            length = 0
            while length <= size and (block := os.read(descriptor, BLOCK)):
                digest.update(block)
                length += len(block)
            if length == size:
                return Content(size, status.st_mtime_ns, digest.digest()[:DIGEST_SIZE], None)
        finally:
            os.close(descriptor)
    raise UnservableError("it changes while it is read")


def replace_file(file: str, chunks: Iterable[bytes], *, mode: int | None = None, mtime_ns: int | None = None) -> None:
    """Write a file completely, or leave it as it was and raise ``OSError``. Readers never see a part of it."""
    target = Path(file)
    # Hidden: a build directory does not serve what a crash leaves behind. Short: the name may be as long as allowed.
    unfinished = target.with_name(f".{token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(unfinished, flags, 0o666 if mode is None else 0o600)
    try:
        with open(descriptor, "wb") as writer:  # noqa: PTH123 - a descriptor
            writer.writelines(chunks)
            writer.flush()
            os.fsync(writer.fileno())
        if mtime_ns is not None:
            os.utime(unfinished, ns=(mtime_ns, mtime_ns))
        if mode is not None:
            unfinished.chmod(mode)
        unfinished.replace(target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
