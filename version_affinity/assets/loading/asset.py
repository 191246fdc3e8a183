"""One file of a build, with everything that a response needs computed once."""

from __future__ import annotations

import time
from binascii import b2a_base64
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from .memory import Memory
    from .tree import Content

HeaderField: TypeAlias = "tuple[str, str]"

#: A file as it was read, or as an asset of an earlier load.
Described: TypeAlias = "Content | Asset"

#: A browser must not guess another type than the one given (WHATWG Fetch).
NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")

#: Parts of every file may be asked for (RFC 9110 section 14.3).
ACCEPT_RANGES: Final = ("Accept-Ranges", "bytes")

#: Where these stand in ``Representation.headers``.
CONTENT_LENGTH: Final = 1
ETAG: Final = 2

_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")


class Representation:
    """One form of a file's content (RFC 9110 section 8): the file itself, or the file compressed beforehand."""

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
        self.file: Final = file  # the absolute name, all links resolved
        self.size: Final[int] = content.size
        self.mtime_ns: int = content.mtime_ns
        self.digest: Final[bytes] = content.digest
        self.encoding: Final = encoding  # "br", "zstd", "gzip" (RFC 9110 section 8.4.1); "" for none
        self.etag: Final = etag_of(content.digest, encoding)
        #: The bytes where they are held in memory. Once set, they stay.
        self.data: bytes | None = None if memory is None else memory.keep(content.digest, content.data)
        self.memory = memory  # holds the bytes or may come to hold them
        #: The size and the time of the file that was last found in this one's place and has other content.
        self.changed_to: tuple[int, int] | None = None
        self.is_lost = False  # whether it was logged that the file is gone or has other content
        headers = (content_type, _content_length(content.size), ("ETag", self.etag), NOSNIFF, ACCEPT_RANGES)
        self.headers: Final[tuple[HeaderField, ...]] = (
            (*headers, ("Content-Encoding", encoding)) if encoding else headers
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.file!r} {self.size} bytes {self.etag}>"


class Asset(Representation):
    """One file of a build, as read when the build was loaded; equal only to itself."""

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
        self.path: Final = path  # as in ``PATH_INFO``: a slash, then the relative path, decoded as latin-1 (PEP 3333)
        self.content_type: Final = content_type[1]
        self.is_html: Final = is_html  # or XHTML
        self.fingerprinted: Final = fingerprinted
        #: Whether it handles a service worker's events; None for a file that is fingerprinted or not a script.
        self.is_worker: Final = is_worker
        self.why: Final = why  # it is fingerprinted; "configured" also if the configuration says that it is not
        self.variants: Final = variants  # the same content compressed beforehand, the smallest first

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
    """Return the strong entity tag (RFC 9110 section 8.8.3) of content: its hash as base64url, and its encoding.

    Equal bytes have equal tags, on any host and in any version.
    """
    tag = b2a_base64(digest, newline=False).translate(_URLSAFE, b"=").decode("ascii")
    return f'"{tag}.{encoding}"' if encoding else f'"{tag}"'
