"""Cookies: the scan of a Cookie header, the affinity cookie, and the cookie of an override link.

The affinity cookie is ``<bucket>.<version>``, followed by a signature if there is a secret. The bucket is the key that
this package mints for a browser without one: a random number below 2**20, shared by many browsers, so it does not
identify a user. The version is the page pin: the version of the page that this browser loaded last.
"""

from __future__ import annotations

import re
from hashlib import sha256
from random import getrandbits
from typing import TYPE_CHECKING, Final

from itsdangerous import Signer

from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import WSGIEnvironment

_BUCKET_BITS: Final = 20
# Numbers in decimal compare as their lengths and then their digits do.
_LAST_BUCKET: Final = (7, "1048575")
# 96 bits in base64url: guessing one takes longer than any session.
_SIGNATURE: Final = 16
# SameSite=Lax: with Strict, an arrival from another site lacks the cookie on the page and has it on the page's assets.
_ATTRIBUTES: Final = ("; Path=/; HttpOnly; SameSite=Lax", "; Path=/; Secure; HttpOnly; SameSite=Lax")
# A page that another site frames has a cookie jar of its own (CHIPS). Browsers accept "Secure" on localhost.
_FRAMED: Final = "; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"


def cookie_finder(name: str) -> Callable[[str], str]:
    """Return the function from a raw Cookie header to one cookie's value, "" if it is absent or empty.

    The header is scanned, not parsed: a full parse takes several microseconds on each request and raises on bytes that
    are not UTF-8. Of duplicates the first wins; surrounding blanks and double quotes are stripped.

    >>> cookie_finder("session_id")('a=1; session_id="x"; b=2')
    'x'
    """
    pair = f"{name}="
    # Only needed for what browsers do not send: other blanks between cookies, and text such as "xname=".
    search = re.compile(rf"(?:\A|;)[ \t]*{re.escape(name)}=").search

    def find(header: str) -> str:
        before, found, rest = header.partition(pair)
        if not found:
            return ""
        if before and before[-2:] != "; ":  # half the time of endswith
            match = search(header)
            rest = header[match.end() :] if match else ""
        return rest.partition(";")[0].strip(' \t"')

    return find


def draw_bucket() -> str:
    """Return a random bucket in decimal. CPython reseeds the generator after a fork, so workers draw differently."""
    return str(getrandbits(_BUCKET_BITS))


def bucket_key(bucket: str) -> bytes:
    """Return the version key that a bucket stands for."""
    return b"bucket:" + bucket.encode()


class HostCookie:
    """A cookie of one application.

    On https the cookie has the ``__Host-`` prefix and ``Secure``, and only that name is read there, so no other host
    and no plain-http response can have set it. Browsers accept that prefix for the path ``/`` only.
    ``secure``: whether requests come by https; None follows ``wsgi.url_scheme``.
    """

    __slots__ = ("_finders", "_secure", "_starts", "name")

    def __init__(self, name: str, *, secure: bool | None = None) -> None:
        if secure not in (None, True, False):
            raise ConfigurationError(
                f"secure={secure!r} cannot be used: give True, False, or None to follow wsgi.url_scheme"
            )
        self.name = name
        self._secure = None if secure is None else bool(secure)
        self._starts = (f"{name}=", f"__Host-{name}=")
        self._finders = (cookie_finder(name), cookie_finder(f"__Host-{name}"))


class PinCookie(HostCookie):
    """Reads and writes the affinity cookie of one application.

    ``secrets`` sign pins, together with the application's name, so that a browser cannot forge one. The last one signs,
    all of them verify. Without secrets, pins are not signed.
    """

    __slots__ = ("_signers",)

    def __init__(
        self, name: str, *, secure: bool | None = None, application: str = "", secrets: Iterable[bytes] = ()
    ) -> None:
        super().__init__(name, secure=secure)
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

        >>> read = PinCookie("pin").read
        >>> read("pin=4711.v1.2", "http"), read("pin=9999999.v1", "http")
        (('4711', 'v1.2'), ('', 'v1'))
        """
        if not header or self.name not in header:
            return "", ""
        find = self._finders[scheme == "https" if self._secure is None else self._secure]
        value = find(header)
        if not value:
            return "", ""
        bucket, _, version = value.partition(".")
        if bucket.isdecimal() and (len(bucket), bucket) <= _LAST_BUCKET:
            return bucket, version
        return "", version

    def write(self, scheme: str | None, bucket: str, pin: str, framed: bool = False) -> tuple[str, str]:
        """Return the Set-Cookie header that makes a browser keep this bucket and pin for its session.

        ``framed``: a page of another site shows the page in a frame.
        """
        tls = scheme == "https" if self._secure is None else self._secure
        return "Set-Cookie", f"{self._starts[tls]}{bucket}.{pin}{_FRAMED if framed else _ATTRIBUTES[tls]}"


class OverrideCookie(HostCookie):
    """Holds a signed override in a browser, for as long as its signature counts."""

    __slots__ = ()

    def read(self, environ: WSGIEnvironment) -> str:
        """Return the signed override of a request's cookie, not yet verified; "" without one."""
        tls = environ.get("wsgi.url_scheme") == "https" if self._secure is None else self._secure
        return self._finders[tls](environ.get("HTTP_COOKIE") or "")

    def write(self, scheme: str | None, signed: str, seconds: int) -> tuple[str, str]:
        """Return the Set-Cookie header that makes a browser keep a signed override; 0 seconds remove the cookie."""
        tls = scheme == "https" if self._secure is None else self._secure
        return "Set-Cookie", f"{self._starts[tls]}{signed}; Max-Age={seconds}{_ATTRIBUTES[tls]}"
