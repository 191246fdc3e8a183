"""Compressed siblings of a build's files, written once when the front end is built: ``app.js.br`` beside ``app.js``.

    version-affinity compress dist/

Compressing at build time costs requests nothing, so the best levels are used. A sibling is as old as its original, has
the same permissions, gets its name only when it is complete, and is replaced if it holds something else. Equal
originals give equal siblings.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.errors import ConfigurationError, install
from version_affinity.wire import file_name

from .ignore import DELIBERATE, Exclusions
from .media import SUFFIXES, content_type
from .tree import File, Skipped, UnservableError, build_directory, read, replace_file, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .tree import Content

#: Bytes below which a file is left alone: with its headers it fits into one packet of a common network.
MINIMUM_SIZE: Final = 1024

#: The part of a file that a sibling must save. Below it, the disk, memory and work of decompressing are not worth it.
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
_ZSTD_WINDOW: Final = 8 * 1024 * 1024  # the most that a browser takes (RFC 9659 section 3)


class Codec(NamedTuple):
    """A content coding (RFC 9110 section 8.4.1); ``decode`` raises an exception for what is not one stream."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


class CompressedFile(NamedTuple):
    """A file whose siblings are up to date; passed to ``progress``."""

    path: str  # as requests name it
    size: int  # in bytes
    sizes: Mapping[str, int]  # of its siblings, by content coding
    done: int  # how many files are done, this one included
    total: int


@dataclass(frozen=True, slots=True)
class Compressed:
    """The result of ``compress``."""

    files: int = 0  # of a type and a size that compression is for
    written: int = 0  # siblings
    skipped: int = 0  # siblings that exist or do not save enough
    removed: int = 0  # siblings that do not save enough
    saved: int = 0  # bytes of a client that asks for each file once and takes its smallest sibling
    errors: tuple[Skipped, ...] = ()  # what could not be done, and why


class _Outcome(NamedTuple):
    """The result for one file; ``steps`` are "written", "skipped" and "removed", one for each sibling."""

    path: str
    size: int = 0
    sizes: Mapping[str, int] = MappingProxyType({})
    steps: tuple[str, ...] = ()
    errors: tuple[Skipped, ...] = ()


def compress(
    directory: str | os.PathLike[str],
    *,
    encodings: Iterable[str] = ("br", "zstd", "gzip"),
    jobs: int | None = None,
    progress: Callable[[CompressedFile], object] | None = None,
) -> Compressed:
    """Write compressed siblings of a build's files.

    Files of a compressible type (text, WebAssembly, uncompressed fonts and the like) of at least ``MINIMUM_SIZE`` bytes
    get a sibling for each encoding that saves at least ``MINIMUM_SAVING``. An existing sibling with the same content
    stays. Hidden files, rule files, and links out of the directory are left alone; so is a sibling's name if something
    other than a regular file has it.

    Args:
        directory: The build.
        encodings: The content codings: "br" and "zstd", which need the extra ``version_affinity[compress]``, "gzip".
        jobs: How many files are compressed at a time, each in a thread; None: as many as there are processors.
        progress: Called in this thread after each file, usually the largest file first. An exception that it raises
            ends the work; what is written stays.

    Raises:
        ConfigurationError: the directory is missing, or the library of an encoding is not installed. A problem with a
            single file is not raised: it is one of the result's ``errors``.
    """
    root = build_directory(directory)
    chosen = codecs(encodings)
    skipped: list[Skipped] = []
    files = _candidates(root, Exclusions(root), skipped)
    outcomes: list[_Outcome] = []
    # Threads are enough: zlib, brotli and zstandard release the interpreter's lock while they compress.
    with ThreadPoolExecutor(jobs or _processors(), "compress") as pool:
        pending = [pool.submit(_compress, root, file, chosen) for file in files]
        try:
            for done, future in enumerate(as_completed(pending), 1):
                outcome = future.result()
                outcomes.append(outcome)
                if progress is not None:
                    progress(CompressedFile(*outcome[:3], done, len(files)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    steps = [step for outcome in outcomes for step in outcome.steps]
    errors = [error for error in skipped if error.reason not in DELIBERATE]
    return Compressed(
        files=len(files),
        written=steps.count("written"),
        skipped=steps.count("skipped"),
        removed=steps.count("removed"),
        saved=sum(outcome.size - min(outcome.sizes.values()) for outcome in outcomes if outcome.sizes),
        errors=tuple(sorted([*errors, *(error for outcome in outcomes for error in outcome.errors)])),
    )


def codecs(names: Iterable[str]) -> tuple[Codec, ...]:
    """Return content codings by their names, each at its best level, or raise ``ConfigurationError``."""
    chosen = list(dict.fromkeys(names))
    try:
        return tuple(_CODECS[name]() for name in chosen)
    except ImportError as error:
        raise ConfigurationError(
            f"encodings={chosen!r} needs a library that is not installed ({error}): "
            f"{install('compress')}, or write encodings=['gzip'], which needs none"
        ) from None


def _brotli() -> Codec:
    import brotli  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    # 11 is the best quality; every decoder takes its window of 4 MiB (RFC 7932 section 9.1).
    return Codec("br", lambda data: brotli.compress(data, quality=11), brotli.decompress)


def _zstandard() -> Codec:
    import zstandard  # noqa: PLC0415 - an extra

    # Level 19 is the last one whose window a browser takes. Each use has its own compressor: threads cannot share one.
    return Codec(
        "zstd",
        lambda data: zstandard.ZstdCompressor(level=19).compress(data),
        lambda data: _decoded(zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj(), data),
    )


def _gzip() -> Codec:
    def encode(data: bytes) -> bytes:
        # 31: in gzip's frame, into which zlib writes neither name nor time (RFC 1952 section 2.3); 9: the most memory.
        compressor = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
        return compressor.compress(data) + compressor.flush()

    return Codec("gzip", encode, lambda data: _decoded(zlib.decompressobj(31), data))


def _decoded(stream: Any, data: bytes) -> bytes:
    decoded: bytes = stream.decompress(data)
    # Browsers disagree on what follows the first member (RFC 1952 section 2.2).
    if not stream.eof or stream.unused_data:
        raise ValueError("not one stream")
    return decoded


_CODECS: Final = {"br": _brotli, "zstd": _zstandard, "gzip": _gzip}


def is_compressible(path: str) -> bool:
    """Return by a file's name whether compression is for its content."""
    kind, _, parameters = content_type(path).partition(";")
    return bool(parameters) or kind in _COMPRESSIBLE  # text is what has a charset


def is_worth_it(size: int, compressed: int) -> bool:
    """Return whether a sibling of this many bytes saves enough of its original's."""
    return compressed <= size * (1 - MINIMUM_SAVING)


def _candidates(root: str, exclusions: Exclusions, skipped: list[Skipped]) -> list[File]:
    """Return the files to compress, the largest first, so that no thread works on it after the others have finished."""
    sized: list[tuple[int, File]] = []
    for _, files in walk(root, exclusions, skipped):
        for file in files:
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


def _compress(root: str, file: File, chosen: tuple[Codec, ...]) -> _Outcome:
    """Bring one file's siblings up to date."""
    try:
        content = read(file.file, sys.maxsize)
        mode = Path(file.file).lstat().st_mode & 0o777  # never setuid: run by root, that would be root's
    except (OSError, MemoryError, UnservableError) as error:
        return _Outcome(file.path, errors=(_failure(file.path, error),))
    sizes: dict[str, int] = {}
    steps: list[str] = []
    errors: list[Skipped] = []
    for codec in chosen:
        # The sibling of a link is beside the link, where requests look for it.
        path = file.path + SUFFIXES[codec.name]
        try:
            step, size = _update(root.rstrip(os.sep) + file_name(path), content, mode, codec)
        except (OSError, MemoryError, UnservableError) as error:
            errors.append(_failure(path, error))
            continue
        steps.append(step)
        if size:
            sizes[codec.name] = size
    return _Outcome(file.path, content.size, sizes, tuple(steps), tuple(errors))


def _update(name: str, content: Content, mode: int, codec: Codec) -> tuple[str, int]:
    """Write, keep or remove one sibling; return which, and the length of what is there now, 0 for nothing."""
    held = _held(name, content, codec)
    if held and is_worth_it(content.size, held):
        return "skipped", held
    compressed = codec.encode(content.data or b"")
    if is_worth_it(content.size, len(compressed)):
        replace_file(name, [compressed], mode=mode, mtime_ns=content.mtime_ns)
        return "written", len(compressed)
    if held is None:
        return "skipped", 0
    Path(name).unlink()
    return "removed", 0


def _held(name: str, content: Content, codec: Codec) -> int | None:
    """Return the length of a sibling that may stay, 0 for one that may not, None if there is none."""
    try:
        status = Path(name).lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise UnservableError("in the way of a compressed file, and not a regular file: remove it")
    sibling = read(name, sys.maxsize)
    try:
        if codec.decode(sibling.data or b"") != content.data:
            return 0
    except Exception:  # noqa: BLE001 - each library has its own for what is not a stream
        return 0
    if sibling.mtime_ns < content.mtime_ns:
        # A server trusts a sibling only if it is not older than its original.
        with suppress(OSError):
            os.utime(name, ns=(content.mtime_ns, content.mtime_ns))
    return sibling.size


def _failure(path: str, error: Exception) -> Skipped:
    if isinstance(error, OSError) and error.strerror:
        return Skipped(path, error.strerror)
    return Skipped(path, str(error) or "it does not fit into memory")


def _processors() -> int:
    # What this process may use, which in a container is less than what the machine has.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
