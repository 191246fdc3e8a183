"""The affinity cookie: ``<bucket>.<version>``.

The bucket is the key that this package mints for a browser that has none: a random number below 2**20, shared by many
browsers and so not an identifier. The version is the page pin: the version of the page that this browser last loaded.
"""

from __future__ import annotations

from random import getrandbits

from .errors import ConfigurationError
from .keys import AROUND, Cookie, odd_finder

_BUCKET_BITS = 20
_LAST_BUCKET = str((1 << _BUCKET_BITS) - 1)
_BUCKET_DIGITS = len(_LAST_BUCKET)
_NOTHING = ("", "")


def draw_bucket() -> str:
    """Return a random bucket in decimal. CPython reseeds the generator after a fork, so workers draw differently."""
    return str(getrandbits(_BUCKET_BITS))


def bucket_key(bucket: str) -> bytes:
    """Return the version key that a bucket stands for."""
    return b"bucket:" + bucket.encode()


class HostCookie:
    """A cookie of one application: what the affinity cookie and that of an override link have in common.

    On https the cookie has the ``__Host-`` prefix and ``Secure``, so no other host and no plain-http response can have
    set it, and only that name is read there. Browsers accept it for the path ``/`` only.

    Args:
        name: The cookie's name without a prefix.
        secure: True where a TLS proxy in front does not tell (``wsgi.url_scheme`` stays "http"); False for plain http
            always; None to go by the request's scheme.
    """

    __slots__ = ("_around", "_names", "_secure", "name")

    def __init__(self, name: str, *, secure: bool | None = None) -> None:
        Cookie(name)  # the same grammar
        if secure not in (None, True, False):
            raise ConfigurationError(f"secure={secure!r} is none of True, False and None (by the request's scheme)")
        self.name = name
        self._secure = secure
        # Indexed by whether the request came over TLS, as is what follows from it.
        self._names = names = (name, f"__Host-{name}")
        # SameSite=Lax: with Strict, an arrival from another site lacks the cookie on the page and has it on its assets.
        self._around = (
            (f"{names[False]}=", "; Path=/; HttpOnly; SameSite=Lax"),
            (f"{names[True]}=", "; Path=/; Secure; HttpOnly; SameSite=Lax"),
        )


class PinCookie(HostCookie):
    """Reads and writes the affinity cookie of one application."""

    __slots__ = ("_scans",)

    def __init__(self, name: str, *, secure: bool | None = None) -> None:
        super().__init__(name, secure=secure)
        self._scans = tuple((f"{full_name}=", odd_finder(full_name)) for full_name in self._names)

    def read(self, header: str | None, scheme: str | None) -> tuple[str, str]:
        """Return bucket and version of a request's cookie, "" for a part that is absent or malformed.

        Args:
            header: The request's Cookie field, None without one.
            scheme: The request's.

        >>> read = PinCookie("pin").read
        >>> read("pin=4711.v1.2", "http"), read("pin=9999999.v1", "http")
        (('4711', 'v1.2'), ('', 'v1'))
        """
        if not header:
            return _NOTHING
        secure = self._secure
        pair, find_oddly = self._scans[scheme == "https" if secure is None else secure]
        before, found, rest = header.partition(pair)  # as in ``cookie_finder``
        if not found:
            return _NOTHING
        if before and not before.endswith("; "):
            rest = find_oddly(header)
        bucket, _, version = rest.partition(";")[0].strip(AROUND).partition(".")
        # Texts of one length compare like the numbers they stand for.
        if bucket.isdecimal() and (
            (length := len(bucket)) < _BUCKET_DIGITS or (length == _BUCKET_DIGITS and bucket <= _LAST_BUCKET)
        ):
            return bucket, version
        return "", version

    def write(self, scheme: str | None, bucket: str, version: str) -> tuple[str, str]:
        """Return the Set-Cookie header that makes a browser hold this bucket and version for its session.

        Args:
            scheme: That of the request as it came, by which its cookie was read; an application may change the environ.
            bucket: The bucket.
            version: The version of the page that is served.
        """
        tls = scheme == "https" if self._secure is None else self._secure
        before, after = self._around[tls]
        return "Set-Cookie", f"{before}{bucket}.{version}{after}"
