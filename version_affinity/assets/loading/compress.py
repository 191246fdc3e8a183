"""Compressed siblings of a build's files, written once where the front end is built: ``app.js.br`` beside ``app.js``.

    python -c 'from version_affinity.assets import compress; print(compress("dist"))'

Compressing when the build is made costs nothing later, so it is done at the best levels. A sibling belongs to its
original: it is as old, has the same permissions, appears under its name only when it is complete, and is replaced when
it holds something else. Equal originals give equal siblings, on any day.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.errors import ConfigurationError
from version_affinity.wire import file_name

from .codings import codings
from .ignore import DEFAULT_IGNORE, DELIBERATE, Exclusions, matcher
from .media import content_type
from .siblings import compare, is_older
from .tree import File, Skipped, UnservableError, read, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .codings import Coding
    from .tree import Content

#: Bytes below which a file is left alone: with its headers it fits into one packet of a common network as it is.
MINIMUM_SIZE: Final = 1024

#: The part of a file that a sibling must save to be kept. Below it, the disk and memory that it takes, and the work of
#: decompressing it, are a poor bargain.
MINIMUM_SAVING: Final = 0.05

# What is compressible beside text; as the table mime-db has it. Images, sound, video, WOFF and archives are compressed.
_COMPRESSIBLE: Final = frozenset(
    (
        "application/rtf",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "font/collection",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "model/gltf-binary",
        "model/stl",
    )
)


class CompressedFile(NamedTuple):
    """One more file is done.

    Attributes:
        path: The file, as requests name it.
        size: Its length in bytes.
        sizes: The lengths in bytes of the siblings that it has now, by content coding.
        done: How many files are done, this one included.
        total: How many there are.
    """

    path: str
    size: int
    sizes: dict[str, int]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Compressed:
    """What ``compress`` did.

    Attributes:
        files: The files that were looked at: of a type and size that compression is for.
        written: The siblings that were written.
        skipped: The siblings that were not: there already, or not small enough to be worth having.
        removed: The siblings that were removed, because they were not worth having, or stale and no longer so.
        saved: The bytes that a client saves which asks for each file once and takes its smallest sibling.
        errors: What could not be done, and why; the rest was.
    """

    files: int = 0
    written: int = 0
    skipped: int = 0
    removed: int = 0
    saved: int = 0
    errors: tuple[Skipped, ...] = ()


class _Outcome(NamedTuple):
    """What became of one file."""

    path: str
    size: int
    sizes: dict[str, int]
    written: int
    skipped: int
    removed: int
    errors: list[Skipped]


def compress(
    directory: str | os.PathLike[str],
    *,
    encodings: Iterable[str] = ("br", "zstd", "gzip"),
    ignore: Iterable[str] = DEFAULT_IGNORE,
    jobs: int | None = None,
    progress: Callable[[CompressedFile], object] | None = None,
) -> Compressed:
    """Write compressed siblings of a build's files, for a build script.

    Files of a compressible type (text, WebAssembly, uncompressed fonts and the like) of at least ``MINIMUM_SIZE`` bytes
    get a sibling for each encoding that saves at least ``MINIMUM_SAVING``. A sibling that is there and holds the same
    content stays. Hidden files, rule files, and links out of the directory are left alone; so is a sibling's name that
    something other than a regular file has. A file may have several siblings: a client takes what it understands.

    Args:
        directory: The build.
        encodings: The content codings: "br" and "zstd", which the extra ``version_affinity[compress]`` is for, "gzip".
        ignore: Shell patterns (``*.map``, ``drafts/*``) of files that are left alone: those that are not served.
        jobs: How many files are compressed at a time, each in a thread; None: as many as there are processors.
        progress: Called in this thread after each file, the largest file first as a rule. What it raises ends the
            work, and leaves what is written.

    Raises:
        ConfigurationError: the directory is missing, an encoding is unknown or its library is not installed, or another
            argument cannot be used. What happens to a single file is no exception but one of the result's ``errors``.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as build:
    ...     _ = pathlib.Path(build, "app.js").write_text("const answer = 42;" * 1000)
    ...     result = compress(build, encodings=["gzip"])
    ...     sorted(file.name for file in pathlib.Path(build).iterdir())
    ['app.js', 'app.js.gz']
    >>> result.files, result.written, result.saved > 17_000, result.errors
    (1, 1, True, ())
    """
    root = _root(directory)
    chosen = codings(encodings)
    exclusions = Exclusions(root, matcher(ignore))
    workers = _workers(jobs)
    if progress is not None and not callable(progress):
        raise ConfigurationError(f"progress={progress!r} cannot be called: give a function that takes one value")
    errors: list[Skipped] = []
    files = _candidates(root, exclusions, errors)
    errors = [error for error in errors if error.reason not in DELIBERATE]
    outcomes: list[_Outcome] = []
    # Threads will do: zlib, brotli and zstandard let go of the interpreter while they compress.
    with ThreadPoolExecutor(workers, "compress") as pool:
        pending = [pool.submit(_compress, root, file, chosen) for file in files]
        try:
            for done, future in enumerate(as_completed(pending), 1):
                outcome = future.result()
                outcomes.append(outcome)
                if progress is not None:
                    progress(CompressedFile(outcome.path, outcome.size, outcome.sizes, done, len(files)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Compressed(
        files=len(files),
        written=sum(outcome.written for outcome in outcomes),
        skipped=sum(outcome.skipped for outcome in outcomes),
        removed=sum(outcome.removed for outcome in outcomes),
        saved=sum(outcome.size - min(outcome.sizes.values()) for outcome in outcomes if outcome.sizes),
        errors=tuple(sorted([*errors, *(error for outcome in outcomes for error in outcome.errors)])),
    )


def is_compressible(path: str) -> bool:
    """Tell by a file's name whether compression is for its content.

    >>> is_compressible("/app.js"), is_compressible("/photo.avif"), is_compressible("/app.js.br")
    (True, False, False)
    """
    kind, _, parameters = content_type(path).partition(";")
    return bool(parameters) or kind in _COMPRESSIBLE  # text is what has a charset


def is_worth_it(size: int, compressed: int) -> bool:
    """Tell whether a sibling of this many bytes saves enough of its original's.

    >>> is_worth_it(10_000, 9_500), is_worth_it(10_000, 9_501)
    (True, False)
    """
    return compressed <= size * (1 - MINIMUM_SAVING)


def _candidates(root: str, exclusions: Exclusions, skipped: list[Skipped]) -> list[File]:
    """Return the files to compress, the largest first: no thread is left with it when the others have finished."""
    sized: list[tuple[int, File]] = []
    for _, files in walk(root, exclusions, skipped):
        for file in starmap(File, files):
            if not is_compressible(file.path):
                continue
            try:
                size = Path(file.file).lstat().st_size
            except OSError as error:
                skipped.append(_failure(file.path, error))
                continue
            if size >= MINIMUM_SIZE:
                sized.append((-size, file))
    return [file for _, file in sorted(sized)]


def _compress(root: str, file: File, chosen: tuple[Coding, ...]) -> _Outcome:
    """Bring one file's siblings up to date."""
    sizes: dict[str, int] = {}
    errors: list[Skipped] = []
    counts = {"written": 0, "skipped": 0, "removed": 0}
    try:
        content = read(file.file, sys.maxsize)
        mode = Path(file.file).lstat().st_mode & 0o777  # never setuid: run by root, that would be root's
    except (OSError, MemoryError, UnservableError) as error:
        return _Outcome(file.path, 0, sizes, **counts, errors=[_failure(file.path, error)])
    for coding in chosen:
        # The sibling of a link lies beside the link, where requests look for it.
        path = file.path + coding.suffix
        name = root.rstrip(os.sep) + file_name(path)
        try:
            did, size = _update(name, content, mode, coding)
        except (OSError, MemoryError, UnservableError) as error:
            errors.append(_failure(path, error))
            continue
        counts[did] += 1
        if size:
            sizes[coding.name] = size
    return _Outcome(file.path, content.size, sizes, **counts, errors=errors)


def _update(name: str, content: Content, mode: int, coding: Coding) -> tuple[str, int]:
    """Write, keep or remove one sibling; return which, and the length of what is there now, 0 for nothing."""
    there = _held(name, content, coding)
    if there is not None and there and is_worth_it(content.size, there):
        return "skipped", there
    compressed = coding.encode(content.data or b"")
    if is_worth_it(content.size, len(compressed)):
        _write(name, compressed, content.mtime_ns, mode)
        return "written", len(compressed)
    if there is None:
        return "skipped", 0
    Path(name).unlink()
    return "removed", 0


def _held(name: str, content: Content, coding: Coding) -> int | None:
    """Return the length of a sibling that may stay, 0 for a stale one, None where there is none."""
    try:
        status = Path(name).lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise UnservableError("in the way of a compressed file, and not a regular file: remove it")
    held = read(name)
    if compare(name, held, coding.name, content):
        return 0
    if is_older(held, content):
        # A server that cannot read this coding goes by the time.
        with suppress(OSError):
            os.utime(name, ns=(content.mtime_ns, content.mtime_ns))
    return held.size


def _write(name: str, data: bytes, mtime_ns: int, mode: int) -> None:
    """Write a file that appears under its name when it is complete; it is hidden until then."""
    directory, base = os.path.split(name)
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        # As old as its original: younger would do, older would be taken for another content's.
        os.utime(temporary, ns=(mtime_ns, mtime_ns))
        Path(temporary).chmod(mode)
        Path(temporary).replace(Path(directory, base))
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _failure(path: str, error: Exception) -> Skipped:
    if isinstance(error, OSError) and error.strerror:
        return Skipped(path, error.strerror)
    return Skipped(path, str(error) or "it does not fit into memory")


def _root(directory: str | os.PathLike[str]) -> str:
    root = os.path.realpath(directory)
    if isinstance(root, str) and Path(root).is_dir():
        return root
    raise ConfigurationError(
        f"directory={os.fspath(directory)!r} is no directory: build the front end first, or name the directory "
        "that the build writes to"
    )


def _workers(jobs: int | None) -> int:
    if jobs is None:
        # What this process may use, which in a container is less than what the machine has.
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise ConfigurationError(f"jobs={jobs!r} is no number of threads: write jobs=4, or None for one per processor")
    return jobs
