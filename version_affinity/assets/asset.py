"""One file of a build, with everything that a response needs computed once."""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from .tree import Content

Header: TypeAlias = "tuple[str, str]"

#: A browser must not guess another type than the one given (WHATWG Fetch).
NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")

_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")


class Asset:
    """One file of a build, as read when the build was loaded. Not changed afterwards; equal only to itself.

    Attributes:
        path: As in ``PATH_INFO``: a slash, then the relative path, whose bytes are decoded as latin-1 (PEP 3333).
        file: The absolute name for ``os.open``, all links resolved.
        size: The length in bytes.
        mtime_ns: When the file was last modified, in nanoseconds.
        digest: 16 bytes of the SHA-256 of the content.
        etag: The strong entity tag, made of the digest alone: equal bytes, equal tag, on any host and in any version.
        content_type: The complete Content-Type.
        is_html: Whether it is a document.
        fingerprinted: Whether its name carries its content's hash.
        data: The content where it is held in memory, else None.
        headers: Content-Type, Content-Length, ETag and X-Content-Type-Options, in this order.
    """

    __slots__ = (
        "content_type",
        "data",
        "digest",
        "etag",
        "file",
        "fingerprinted",
        "headers",
        "is_html",
        "mtime_ns",
        "path",
        "size",
    )

    def __init__(
        self,
        path: str,
        file: str,
        content: Content,
        *,
        content_type: Header,
        content_length: Header,
        fingerprinted: bool,
        is_html: bool,
        data: bytes | None,
    ) -> None:
        self.path: Final = path
        self.file: Final = file
        self.size: Final = content.size
        self.mtime_ns: Final = content.mtime_ns
        self.digest: Final = content.digest
        self.etag: Final = etag_of(content.digest)
        self.content_type: Final = content_type[1]
        self.is_html: Final = is_html
        self.fingerprinted: Final = fingerprinted
        self.data: Final = data
        self.headers: Final[tuple[Header, ...]] = (content_type, content_length, ("ETag", self.etag), NOSNIFF)

    def __repr__(self) -> str:
        return f"<Asset {self.path!r} {self.size} bytes {self.etag}>"


def etag_of(digest: bytes) -> str:
    """Return the strong entity tag (RFC 9110 section 8.8.3) of a content hash: base64url without padding, quoted.

    >>> etag_of(bytes(16))
    '"AAAAAAAAAAAAAAAAAAAAAA"'
    """
    return '"' + b2a_base64(digest, newline=False).translate(_URLSAFE, b"=").decode("ascii") + '"'
