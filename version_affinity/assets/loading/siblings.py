"""Files compressed beforehand, ``app.js.gz`` beside ``app.js``: whether one holds what its original does.

A client that is sent another file's content under this one's name keeps it, for a year if the name is fingerprinted.
So a sibling's name is not believed, its content is: it is decompressed and compared. Of a coding whose library is not
installed (gzip needs none), only the beginning is looked at: that it can be of this coding and, where it tells the
content's length, as nearly every stream does, that the length is the original's.
"""

from __future__ import annotations

import os
import zlib
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from .codings import SUFFIXES
from .media import GZIPPED
from .tree import BLOCK, DIGEST_SIZE, open_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .tree import Described

#: By what its name ends in: a compressed file's coding.
CODINGS: Final = {suffix: coding for coding, suffix in SUFFIXES.items()}

#: What the names of compressed files end in.
ENDINGS: Final = tuple(CODINGS)

# The most that a browser takes (RFC 9659 section 3).
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
_GZIPPED: Final = f".{GZIPPED}"
_GZIP_MAGIC: Final = b"\x1f\x8b"  # RFC 1952 section 2.3.1
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_HEAD: Final = 18  # the longest frame header of Zstandard (RFC 8878 section 3.1.1); brotli's part is shorter
# Each four bytes of Zstandard can stand for 128 KiB: the pieces keep what is decompressed at a time to 32 MiB.
_ZSTD_PIECE: Final = 1024


class Verdict(NamedTuple):
    """What came of comparing a sibling with its original.

    Attributes:
        original: The digest of the original's content.
        fault: Why the sibling is not its compressed form; "" when it is.
    """

    original: bytes
    fault: str


class _Decoder(NamedTuple):
    """How a stream is decompressed: block by block, to the end of its blocks, or raising an error."""

    decompress: Callable[[Iterable[bytes]], Iterator[bytes]]
    error: type[Exception]


class _NotOneStreamError(Exception):
    """The stream is cut short, or more follows it."""


def coding_of(name: str) -> str | None:
    """Return the coding that a file's name tells, None for an ordinary file.

    >>> coding_of("app.js.zst"), coding_of("app.js"), coding_of(".gz")
    ('zstd', None, None)
    """
    dot = name.rfind(".")
    return CODINGS.get(name[dot:]) if dot > 0 else None


def own_coding(path: str, file: str, content: Described) -> str:
    """Return the coding in which a file itself lies there: "gzip" for an ``.svgz`` that is gzipped, "" for any other.

    Args:
        path: The file's path.
        file: Its name, as ``os.open`` takes it.
        content: What it holds.
    """
    if path[-len(_GZIPPED) :].lower() != _GZIPPED:
        return ""
    try:
        head = next(_blocks(file, content), b"")
    except OSError:
        return ""
    return "gzip" if head.startswith(_GZIP_MAGIC) else ""


def uncompressed(name: str) -> str:
    """Return what a file's name is without the endings of compressed files.

    >>> uncompressed("app.js.map.gz"), uncompressed("app.js")
    ('app.js.map', 'app.js')
    """
    while name.endswith(ENDINGS):
        name = name[: name.rindex(".")]
    return name


def is_older(sibling: Described, original: Described) -> bool:
    """Tell whether a sibling was written before its original: where they cannot be compared, it is not trusted then."""
    return sibling.mtime_ns < original.mtime_ns


def can_compare(coding: str) -> bool:
    """Tell whether the library of a coding is installed, so that files are compared to the last byte."""
    return _decoder(coding) is not None


def compare(file: str, sibling: Described, coding: str, original: Described) -> str:
    """Return why a file is not another one's compressed form, "" when it is. Holds a few blocks at a time.

    Args:
        file: The sibling, as ``os.open`` takes it.
        sibling: What was read from it.
        coding: Its content coding.
        original: What the other file holds.
    """
    try:
        blocks = _blocks(file, sibling)
        head = next(blocks, b"")
        if not head:
            return "it is empty"
        fault = _HEADS[coding](head[:_HEAD], original.size) if coding in _HEADS else ""
        if fault:
            return fault
        decoder = _decoder(coding)
        if decoder is not None and not _decompresses_to(decoder, _chained(head, blocks), original):
            return "it holds other content"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return ""


def _blocks(file: str, content: Described) -> Iterator[bytes]:
    if content.data is not None:
        yield content.data
        return
    descriptor = open_unchanged(file, content.size, content.mtime_ns)
    if descriptor is None:
        raise OSError(0, "it changes while it is read")
    try:
        while block := os.read(descriptor, BLOCK):
            yield block
    finally:
        os.close(descriptor)


def _chained(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _decompresses_to(decoder: _Decoder, blocks: Iterator[bytes], original: Described) -> bool:
    digest, length = sha256(), 0
    try:
        for piece in decoder.decompress(blocks):
            length += len(piece)
            if length > original.size:
                return False
            digest.update(piece)
    except (decoder.error, _NotOneStreamError):
        return False
    return length == original.size and digest.digest()[:DIGEST_SIZE] == original.digest


@cache
def _decoder(coding: str) -> _Decoder | None:
    try:
        return _DECODERS[coding]()
    except ImportError:
        return None


def _gzip() -> _Decoder:
    def decompress(blocks: Iterable[bytes]) -> Iterator[bytes]:
        stream = zlib.decompressobj(31)  # in gzip's frame
        for block in blocks:
            rest = block
            while piece := stream.decompress(rest, BLOCK):
                yield piece
                rest = stream.unconsumed_tail
        # Browsers disagree on what follows the first member (RFC 1952 section 2.2).
        if not stream.eof or stream.unused_data:
            raise _NotOneStreamError

    return _Decoder(decompress, zlib.error)


def _brotli() -> _Decoder:
    import brotli  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    if not hasattr(brotli.Decompressor, "can_accept_more_data"):
        raise ImportError("before 1.2, brotli cannot bound what it decompresses at a time")

    def decompress(blocks: Iterable[bytes]) -> Iterator[bytes]:
        stream = brotli.Decompressor()
        for block in blocks:
            piece = stream.process(block, output_buffer_limit=BLOCK)
            yield piece
            # What a limit held back comes without further input.
            while not stream.is_finished() and (piece or not stream.can_accept_more_data()):
                piece = stream.process(b"", output_buffer_limit=BLOCK)
                yield piece
        if not stream.is_finished():
            raise _NotOneStreamError

    return _Decoder(decompress, brotli.error)


def _zstandard() -> _Decoder:
    import zstandard  # noqa: PLC0415 - an extra

    def decompress(blocks: Iterable[bytes]) -> Iterator[bytes]:
        stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        for block in blocks:
            for start in range(0, len(block), _ZSTD_PIECE):
                yield stream.decompress(block[start : start + _ZSTD_PIECE])  # an error once the frame has ended
        if not stream.eof or stream.unused_data:
            raise _NotOneStreamError

    return _Decoder(decompress, zstandard.ZstdError)


_DECODERS: Final = {"br": _brotli, "zstd": _zstandard, "gzip": _gzip}


def _zstd_fault(head: bytes, size: int) -> str:
    """Look at a frame's header (RFC 8878 section 3.1.1.1)."""
    if head[:4] != _ZSTD_MAGIC or len(head) < _HEAD - 12:
        return "it is no Zstandard frame"
    descriptor = head[4]
    single = descriptor >> 5 & 1
    if descriptor & 0b1011:
        return "it needs a dictionary, or a decoder that does not exist yet"
    window = 0
    if not single:
        exponent, mantissa = head[5] >> 3, head[5] & 7
        window = (1 << 10 + exponent) * (8 + mantissa) // 8
    length = (single, 2, 4, 8)[descriptor >> 6]
    if length:
        start = 5 if single else 6
        content = int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)  # noqa: PLR2004
        if content != size:
            return "it holds other content"
        window = window or content
    if window > _ZSTD_WINDOW:
        return "its window is larger than browsers take (RFC 9659)"
    return ""


def _brotli_fault(head: bytes, size: int) -> str:
    """Look at a stream's header and its first meta-block's (RFC 7932 sections 9.1 and 9.2)."""
    bits = int.from_bytes(head[:8], "little")
    # How many bits tell the window: 1, 4 or 7.
    bits >>= 1 if not bits & 1 else 4 if bits & 0b1110 else 7
    last = bits & 1
    bits >>= 1
    if last:
        if bits & 1:
            return "it holds other content" if size else ""
        bits >>= 1
    nibbles = (bits & 3) + 4
    if nibbles == 7:  # noqa: PLR2004 - a meta-block of metadata, which tells nothing of the content
        return ""
    length = (bits >> 2 & (1 << 4 * nibbles) - 1) + 1
    return "it holds other content" if length > size or (last and length < size) else ""


_HEADS: Final[dict[str, Callable[[bytes, int], str]]] = {"br": _brotli_fault, "zstd": _zstd_fault}
