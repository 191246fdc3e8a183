"""Overrides: a request header that forces a version, for testing, or a cookie that an override link has set.

The header's value is a version's id, or an RFC 9651 structured field: an Item (a String), or a Dictionary of
application name to String, in which other applications' entries are ignored. The cookie's is a signed override as it
stands. What cannot be applied is no error: the request is decided as if it were absent, and the trace header says why.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import http_sf
from itsdangerous import BadSignature, URLSafeSerializer

from version_affinity.deployment import check_name, check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.wire import wire_bytes

from .cookies import HostCookie
from .keys import Header, cookie_finder, environ_key

if TYPE_CHECKING:
    from collections.abc import Container

    from _typeshed.wsgi import WSGIEnvironment

DEFAULT_HEADERS = ("Version-Override", "Cloudflare-Workers-Version-Overrides")

# Cloudflare defines this header as a Dictionary; a bare id in it is somebody's mistake that should be seen.
_DICTIONARY_ONLY = "cloudflare-workers-version-overrides"

#: Longer values are refused unread: a dictionary of 64 KiB takes 20 ms to parse.
MAX_LENGTH = 1024

# An id or a signed value as it stands. A git commit or a date is no RFC 9651 Token, or reads as a number, so this is
# recognised before the grammar.
_BARE = re.compile(r"[A-Za-z0-9._-]+\Z")

#: Characters of the shortest secret that is taken: a shorter one can be guessed.
SHORTEST_SECRET = 16

UNKNOWN_VERSION = "unknown-version"
NOT_DEPLOYED = "not-deployed"
BAD_SYNTAX = "bad-syntax"
BAD_SIGNATURE = "bad-signature"
OTHER_APP = "other-app"


# Its declared result is the union of all that any field may hold; the kind of field that is asked for says which.
_parse: Any = http_sf.parse


class Refused(Exception):  # noqa: N818 - a verdict, not an error
    """An override that cannot be applied; its text is the reason, as the trace header shows it."""


class OverrideCookie(HostCookie):
    """Holds a signed override in a browser, for as long as its signature counts."""

    __slots__ = ("_find", "label")

    def __init__(self, name: str, *, secure: bool | None = None) -> None:
        super().__init__(name, secure=secure)
        #: How decisions name it.
        self.label = f"cookie:{name}"
        self._find = tuple(map(cookie_finder, self._names))

    def read(self, environ: WSGIEnvironment) -> str:
        """Return the signed override of a request's cookie, not yet verified; "" without one."""
        header = environ.get("HTTP_COOKIE")
        if not header:
            return ""
        secure = self._secure
        return self._find[environ.get("wsgi.url_scheme") == "https" if secure is None else secure](header)

    def write(self, scheme: str | None, signed: str, seconds: int) -> tuple[str, str]:
        """Return the Set-Cookie header that makes a browser hold a signed override.

        Args:
            scheme: That of the request as it came, by which its cookie was read.
            signed: The override.
            seconds: For how long; 0 takes the cookie away.
        """
        tls = scheme == "https" if self._secure is None else self._secure
        before, after = self._around[tls]
        return "Set-Cookie", f"{before}{signed}; Max-Age={seconds}{after}"


class Overrides:
    """Reads the version that a request asks for.

    Args:
        name: This application's name: its key in a Dictionary.
        headers: The headers to read, in order; the first that can be applied counts.
        secret: With one, of at least 16 characters, only values made by ``sign_override`` with it count. A list of
            secrets rotates: the last one signs, all of them verify.
        cookie: Read after the headers, where there is a secret.

    Raises:
        ConfigurationError: a header name or secret that cannot be used.
    """

    __slots__ = ("_headers", "_name", "_serializer", "cookie", "environ_keys", "headers")

    def __init__(
        self,
        name: str,
        headers: Iterable[str],
        secret: str | bytes | Iterable[str | bytes] | None,
        cookie: OverrideCookie | None = None,
    ) -> None:
        if isinstance(headers, str) or not isinstance(headers, Iterable):
            raise ConfigurationError(
                f"override_headers={headers!r} is not a list of names: write override_headers=('Version-Override',), "
                "or () to switch overrides off",
            )
        self._name = check_name(name)
        #: The names of the headers, as configured.
        self.headers = tuple(headers)
        self._headers = tuple(
            (environ_key(Header(header).name), f"header:{header}", header.lower() == _DICTIONARY_ONLY)
            for header in self.headers
        )
        #: Where the headers stand in an environ.
        self.environ_keys = tuple(key for key, _, _ in self._headers)
        self._serializer = None if secret is None else _serializer(name, secret)
        #: The cookie that is read; None without a secret: nobody could set it by a link.
        self.cookie = None if secret is None else cookie

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets, the last of which signs; none without any."""
        return () if self._serializer is None else tuple(self._serializer.secret_keys)

    @property
    def secret(self) -> bytes | None:
        """The secret that signs, None without one."""
        return None if self._serializer is None else self._serializer.secret_keys[-1]

    def read(self, environ: WSGIEnvironment, known: Container[str], deployed: Container[str]) -> tuple[str, str]:
        """Return the id of the version that a request may force, and what forced it.

        Args:
            environ: The request.
            known: The ids of all known versions.
            deployed: The ids in the deployment, those at 0 % included: only they can be forced.

        Raises:
            Refused: what is there cannot be applied; the reason is that of the first header, else of the cookie.
        """
        reason = ""
        for key, label, dictionary_only in self._headers:
            value = environ.get(key)
            if not value:
                continue
            try:
                version = self._version(value, dictionary_only=dictionary_only)
                return checked(version, known, deployed), label
            except Refused as refusal:
                reason = reason or str(refusal)
        signed = "" if self.cookie is None else self.cookie.read(environ)
        if self.cookie is not None and signed:
            try:
                version, _ = self.verify(signed)
                return checked(version, known, deployed), self.cookie.label
            except Refused as refusal:
                reason = reason or str(refusal)
        raise Refused(reason)

    def verify(self, signed: str) -> tuple[str, int]:
        """Return the version that a signed override names, and when it expires, in seconds since the epoch.

        Raises:
            Refused: it was not signed with the secret for this application, it has expired, or it is too long.
        """
        if len(signed) > MAX_LENGTH:
            raise Refused(BAD_SYNTAX)
        # Base64 is read leniently: what follows its padding could be anything, and a link's value goes into a header.
        if self._serializer is None or not _BARE.match(signed):
            raise Refused(BAD_SIGNATURE)
        try:
            version, expires = self._serializer.loads(signed)
        except (BadSignature, TypeError, ValueError):
            raise Refused(BAD_SIGNATURE) from None
        if not isinstance(version, str) or not isinstance(expires, int) or expires < time.time():
            raise Refused(BAD_SIGNATURE)
        return version, expires

    def _version(self, value: str, *, dictionary_only: bool) -> str:
        text = value.strip(" \t")
        if len(text) > MAX_LENGTH:
            raise Refused(BAD_SYNTAX)
        if dictionary_only:
            asked = self._from_dictionary(text)
        elif _BARE.match(text):
            asked = text
        else:
            asked = self._from_item(text)
        return asked if self._serializer is None else self.verify(asked)[0]

    def _from_item(self, text: str) -> str:
        try:
            item, _ = _parse(wire_bytes(text), tltype="item")
        except ValueError:
            return self._from_dictionary(text)
        if isinstance(item, str):
            return item
        raise Refused(BAD_SYNTAX)

    def _from_dictionary(self, text: str) -> str:
        try:
            entries = _parse(wire_bytes(text), tltype="dictionary")
        except ValueError:
            raise Refused(BAD_SYNTAX) from None
        if self._name not in entries:
            raise Refused(OTHER_APP)
        version, _ = entries[self._name]
        if not isinstance(version, str):
            raise Refused(BAD_SYNTAX)
        return version


def checked(version: str, known: Container[str], deployed: Container[str]) -> str:
    """Return a version that may be forced.

    Raises:
        Refused: it is not in the deployment.
    """
    if version in deployed:
        return version
    raise Refused(NOT_DEPLOYED if version in known else UNKNOWN_VERSION)


def sign_override(version: str, *, name: str, secret: str | bytes, lifetime: float) -> str:
    """Return a header value that forces a version until it expires, for an application with ``override_secret``.

    Args:
        version: The id of the version.
        name: The application's name.
        secret: Its ``override_secret``.
        lifetime: Seconds from now until the value expires.

    Raises:
        ConfigurationError: any of these that cannot be used.

    >>> value = sign_override("v2", name="storefront", secret="a long random text", lifetime=3600)
    """
    try:
        usable = 0 < lifetime < math.inf
    except TypeError:
        usable = False
    if not usable:
        raise ConfigurationError(f"lifetime={lifetime!r} is no number of seconds from now, for example 3600")
    expires = int(time.time() + lifetime)
    signed = _serializer(check_name(name), secret).dumps([check_version_id(version), expires])
    return signed if isinstance(signed, str) else signed.decode()


def _serializer(name: str, secret: object) -> URLSafeSerializer:
    given = [secret] if isinstance(secret, str | bytes) else secret
    secrets = list(given) if isinstance(given, Iterable) else []
    if not secrets or not all(isinstance(part, str | bytes) and part for part in secrets):
        raise ConfigurationError("override_secret is empty or no text: give a long random text, or a list of them")
    if any(len(part) < SHORTEST_SECRET for part in secrets):
        raise ConfigurationError(
            f"override_secret is shorter than {SHORTEST_SECRET} characters, so it could be guessed: give a long random "
            'text, as `python -c "import secrets; print(secrets.token_urlsafe(32))"` prints one',
        )
    return URLSafeSerializer(secrets, salt=f"version-affinity.override.{name}")
