"""The content codings (RFC 9110 section 8.4.1) that files are compressed with beforehand, at their best levels."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.errors import ConfigurationError, install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: By coding: what its files end in.
SUFFIXES: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


class Coding(NamedTuple):
    """One way to compress.

    Attributes:
        name: As in Content-Encoding.
        suffix: What its files end in.
        encode: Compresses bytes into one stream; equal bytes always to equal bytes.
    """

    name: str
    suffix: str
    encode: Callable[[bytes], bytes]


def codings(names: Iterable[str]) -> tuple[Coding, ...]:
    """Return codings by their names.

    Args:
        names: "br" and "zstd", which the extra ``version_affinity[compress]`` is for, and "gzip".

    Raises:
        ConfigurationError: a name is unknown, there is none, or a library is not installed.

    >>> (gzip,) = codings(["gzip"])
    >>> gzip.suffix, len(gzip.encode(b"const answer = 42;" * 1000)) < 500
    ('.gz', True)
    """
    chosen = [] if isinstance(names, str) else list(dict.fromkeys(names))
    if not chosen or not set(chosen) <= set(_MAKERS):
        raise ConfigurationError(f"encodings={names!r} names no list of encodings: choose from {list(_MAKERS)}")
    try:
        return tuple(Coding(name, SUFFIXES[name], _MAKERS[name]()) for name in chosen)
    except ImportError as error:
        raise ConfigurationError(
            f"encodings={chosen!r} needs a library that is not installed ({error}): "
            f"{install('compress')}, or write encodings=['gzip'], which needs none"
        ) from None


def _brotli() -> Callable[[bytes], bytes]:
    import brotli  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    # 11 is the best quality; its window of 4 MiB is one that every decoder takes (RFC 7932 section 9.1).
    return lambda data: brotli.compress(data, quality=11)


def _zstandard() -> Callable[[bytes], bytes]:
    import zstandard  # noqa: PLC0415 - an extra

    # Level 19 is the last whose window is 8 MiB, the most that a browser takes (RFC 9659 section 3). A compressor is
    # made for each use: threads cannot share one.
    return lambda data: zstandard.ZstdCompressor(level=19).compress(data)


def _gzip() -> Callable[[bytes], bytes]:
    def encode(data: bytes) -> bytes:
        # 31: in gzip's frame, into which zlib writes neither name nor time (RFC 1952 section 2.3); 9: the most memory.
        compressor = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
        return compressor.compress(data) + compressor.flush()

    return encode


_MAKERS: Final = {"br": _brotli, "zstd": _zstandard, "gzip": _gzip}
