"""One file of a build, with everything that a response needs computed once."""

from __future__ import annotations

import time
from binascii import b2a_base64
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from .inventory import KnownFile
    from .memory import Memory
    from .tree import Content

HeaderField: TypeAlias = "tuple[str, str]"

#: A file as it was read just now, by an earlier load, or as an asset.
Described: TypeAlias = "Content | KnownFile | Asset"

#: A browser must not guess another type than the one given (WHATWG Fetch).
NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")

#: Parts of every file may be asked for (RFC 9110 section 14.3).
ACCEPT_RANGES: Final = ("Accept-Ranges", "bytes")

#: Where these stand in ``Representation.headers``.
CONTENT_LENGTH: Final = 1
ETAG: Final = 2

_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")


class Representation:
    """One form of a file's content (RFC 9110 section 8): the file itself, or the file compressed beforehand.

    Attributes:
        file: The absolute name for ``os.open``, all links resolved.
        size: The length in bytes.
        mtime_ns: When the file was last modified, in nanoseconds.
        digest: 16 bytes of the SHA-256 of these bytes.
        encoding: The content coding (RFC 9110 section 8.4.1): "br", "zstd", "gzip"; "" for none.
        etag: The strong entity tag, made of the digest and the encoding: equal bytes, equal tag, on any host and in any
            version.
        data: The bytes where they are held in memory, else None. Once set, they stay.
        memory: What holds the bytes or may come to hold them (``memory.content_of``); None: nothing.
        changed_to: The size and the time of modification of the file that was last found in this one's place and has
            other content; None for none.
        is_lost: Whether it was logged that the file is gone or has other content.
        headers: What describes them: Content-Type, Content-Length, ETag, X-Content-Type-Options, Accept-Ranges and,
            where there is an encoding, Content-Encoding, in this order.
    """

    __slots__ = (
        "changed_to",
        "data",
        "digest",
        "encoding",
        "etag",
        "file",
        "headers",
        "is_lost",
        "memory",
        "mtime_ns",
        "size",
    )

    def __init__(
        self,
        file: str,
        content: Described,
        *,
        content_type: HeaderField,
        encoding: str = "",
        memory: Memory | None = None,
    ) -> None:
        self.file: Final = file
        self.size: Final[int] = content.size
        self.mtime_ns: int = content.mtime_ns
        self.digest: Final[bytes] = content.digest
        self.encoding: Final = encoding
        self.etag: Final = etag_of(content.digest, encoding)
        self.data: bytes | None = None if memory is None else memory.keep(content.digest, content.data)
        self.memory = memory
        self.changed_to: tuple[int, int] | None = None
        self.is_lost = False
        headers = (content_type, _content_length(content.size), ("ETag", self.etag), NOSNIFF, ACCEPT_RANGES)
        self.headers: Final[tuple[HeaderField, ...]] = (
            (*headers, ("Content-Encoding", encoding)) if encoding else headers
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.file!r} {self.size} bytes {self.etag}>"


class Asset(Representation):
    """One file of a build, as read when the build was loaded; equal only to itself.

    Attributes:
        path: As in ``PATH_INFO``: a slash, then the relative path, whose bytes are decoded as latin-1 (PEP 3333).
        content_type: The complete Content-Type.
        is_html: Whether it is HTML or XHTML.
        fingerprinted: Whether its name carries its content's hash.
        is_worker: Whether it is a script that handles a service worker's events; None for a file that is fingerprinted
            or not a script.
        why: Why it is fingerprinted, such as "manifest"; "configured" also if the configuration says that it is not.
        variants: The same content compressed beforehand, the smallest first.
    """

    __slots__ = ("content_type", "fingerprinted", "is_html", "is_worker", "path", "variants", "why")

    def __init__(
        self,
        path: str,
        file: str,
        content: Described,
        *,
        content_type: HeaderField,
        fingerprinted: bool,
        is_html: bool,
        is_worker: bool | None = None,
        encoding: str = "",
        why: str = "",
        memory: Memory | None = None,
        variants: tuple[Representation, ...] = (),
    ) -> None:
        super().__init__(file, content, content_type=content_type, encoding=encoding, memory=memory)
        self.path: Final = path
        self.content_type: Final = content_type[1]
        self.is_html: Final = is_html
        self.fingerprinted: Final = fingerprinted
        self.is_worker: Final = is_worker
        self.why: Final = why
        self.variants: Final = variants

    @property
    def last_modified(self) -> str:
        """When the file was modified, as an HTTP-date (RFC 9110 section 5.6.7); "" for none.

        HTML has none: a rollback changes it, and a date cannot tell that an older build replaced a newer one. Neither
        has a file from the future or from before 1970.
        """
        return "" if self.is_html else _http_date(self.mtime_ns // 1_000_000_000)


@lru_cache(maxsize=4096)  # files of one size share it
def _content_length(size: int) -> HeaderField:
    return "Content-Length", str(size)


@lru_cache(maxsize=1024)  # the files of a build were written within seconds
def _http_date(seconds: int) -> str:
    # RFC 9110 section 8.8.2.1: not later than now. File systems also hold years that a date cannot express.
    return formatdate(seconds, usegmt=True) if 0 <= seconds <= time.time() else ""


def etag_of(digest: bytes, encoding: str = "") -> str:
    """Return the strong entity tag (RFC 9110 section 8.8.3) of a content hash: base64url without padding, quoted.

    >>> etag_of(bytes(16)), etag_of(bytes(16), "br")
    ('"AAAAAAAAAAAAAAAAAAAAAA"', '"AAAAAAAAAAAAAAAAAAAAAA.br"')
    """
    tag = b2a_base64(digest, newline=False).translate(_URLSAFE, b"=").decode("ascii")
    return f'"{tag}.{encoding}"' if encoding else f'"{tag}"'
