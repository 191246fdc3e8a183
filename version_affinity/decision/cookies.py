"""The affinity cookie: ``<bucket>.<version>``, with a signature behind where there is a secret.

The bucket is the key that this package mints for a browser that has none: a random number below 2**20, shared by many
browsers and so not an identifier. The version is the page pin: the version of the page that this browser last loaded.
"""

from __future__ import annotations

from hashlib import sha256
from random import getrandbits
from typing import TYPE_CHECKING, Final

from itsdangerous import Signer

from version_affinity.errors import ConfigurationError

from .keys import AROUND, Cookie, odd_finder

if TYPE_CHECKING:
    from collections.abc import Iterable

_BUCKET_BITS = 20
_LAST_BUCKET = str((1 << _BUCKET_BITS) - 1)
_BUCKET_DIGITS = len(_LAST_BUCKET)
_NOTHING = ("", "")
# 96 bits in base64url: guessing one takes longer than any session.
_SIGNATURE: Final = 16


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
    """Reads and writes the affinity cookie of one application.

    Args:
        name: The cookie's name without a prefix.
        secure: As of ``HostCookie``.
        application: The application's name, which is signed together with the version.
        secrets: What signs pins, so that a browser cannot make one up; the last one signs, all of them verify. Without
            any, pins are not signed.
    """

    __slots__ = ("_around_framed", "_scans", "_signers")

    def __init__(
        self, name: str, *, secure: bool | None = None, application: str = "", secrets: Iterable[bytes] = ()
    ) -> None:
        super().__init__(name, secure=secure)
        self._scans = tuple((f"{full_name}=", odd_finder(full_name)) for full_name in self._names)
        # What a page of another site frames has a cookie jar of its own (CHIPS). Browsers take "Secure" on localhost.
        framed = "; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
        self._around_framed = tuple((before, framed) for before, _ in self._around)
        salt = f"version-affinity.pin.{application}"
        self._signers = tuple(Signer(secret, salt, digest_method=sha256) for secret in secrets)

    def signed(self, application: str, secrets: Iterable[bytes]) -> PinCookie:
        """Return this cookie of an application with secrets."""
        return PinCookie(self.name, secure=self._secure, application=application, secrets=secrets)

    def values(self, version: str) -> tuple[str, ...]:
        """Return what the cookie may say of a page's version, the last of which is written.

        >>> PinCookie("pin").values("v2"), len(PinCookie("pin", secrets=[b"old", b"new"]).values("v2"))
        (('v2',), 2)
        """
        if not self._signers:
            return (version,)
        return tuple(f"{version}.{signer.get_signature(version).decode()[:_SIGNATURE]}" for signer in self._signers)

    def read(self, header: str | None, scheme: str | None) -> tuple[str, str]:
        """Return bucket and pin of a request's cookie, "" for a part that is absent or malformed.

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

    def write(self, scheme: str | None, bucket: str, pin: str, *, framed: bool = False) -> tuple[str, str]:
        """Return the Set-Cookie header that makes a browser hold this bucket and pin for its session.

        Args:
            scheme: That of the request as it came, by which its cookie was read; an application may change the environ.
            bucket: The bucket.
            pin: What it says of the version of the page that is served.
            framed: Whether a page of another site shows that page in a frame.
        """
        tls = scheme == "https" if self._secure is None else self._secure
        before, after = (self._around_framed if framed else self._around)[tls]
        return "Set-Cookie", f"{before}{bucket}.{pin}{after}"
