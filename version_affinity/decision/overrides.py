"""Overrides: a request header that forces a version, for testing, or a cookie that an override link has set.

The header's value is a version's id, or an RFC 9651 structured field: an Item (a String), or a Dictionary of
application name to String, in which other applications' entries are ignored. The cookie's value is a signed override.
An override that cannot be applied is not an error: the request is decided without it, and the trace header says why.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import http_sf
from itsdangerous import BadSignature, URLSafeSerializer

from version_affinity.deployment import check_name, check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.wire import is_token, wire_bytes

from .keys import environ_key

if TYPE_CHECKING:
    from collections.abc import Container

    from _typeshed.wsgi import WSGIEnvironment

    from .cookies import OverrideCookie

DEFAULT_HEADERS = ("Version-Override", "Cloudflare-Workers-Version-Overrides")

# Cloudflare defines this header as a Dictionary; a bare id in it is a mistake, and is refused.
_DICTIONARY_ONLY = "cloudflare-workers-version-overrides"

#: Longer values are refused unread: a dictionary of 64 KiB takes 20 ms to parse.
MAX_LENGTH = 1024

# An id or a signed value as it stands. A git commit or a date is not an RFC 9651 Token, or reads as a number, so this
# is tested before the grammar.
_BARE = re.compile(r"[A-Za-z0-9._-]+\Z")

#: Characters of the shortest secret: a shorter one can be guessed.
SHORTEST_SECRET = 16

UNKNOWN_VERSION = "unknown-version"
NOT_DEPLOYED = "not-deployed"
BAD_SYNTAX = "bad-syntax"
BAD_SIGNATURE = "bad-signature"
OTHER_APP = "other-app"

# Declared to return the union of all that any field may hold.
_parse: Any = http_sf.parse


class Refused(Exception):  # noqa: N818 - a verdict, not an error
    """An override that cannot be applied; its text is the reason, as the trace header shows it."""


class Overrides:
    """Reads the version that a request asks for: the first of the headers, and then the cookie, that can be applied."""

    __slots__ = ("_headers", "_name", "_serializer", "cookie", "environ_keys", "headers", "secrets")

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
        self.headers = tuple(headers)
        for header in self.headers:
            if not is_token(header):
                raise ConfigurationError(
                    f"override_headers contains {header!r}, which cannot be the name of a header: write it as sent, "
                    "e.g. 'Version-Override'"
                )
        # Each header's name in an environ, its name in decisions, and whether only a Dictionary counts.
        self._headers = tuple(
            (environ_key(header), f"header:{header}", header.lower() == _DICTIONARY_ONLY) for header in self.headers
        )
        self.environ_keys = tuple(key for key, _, _ in self._headers)
        self._serializer = None if secret is None else _serializer(name, secret)
        self.cookie = None if secret is None else cookie  # without a secret, no link could set it
        self.secrets: tuple[bytes, ...] = () if self._serializer is None else tuple(self._serializer.secret_keys)

    def read(self, environ: WSGIEnvironment, known: Container[str], deployed: Container[str]) -> tuple[str, str]:
        """Return the id of the version that a request may force, and what forced it.

        Only versions in the deployment can be forced, those at 0 % included. If there is no override that can be
        applied, ``Refused`` is raised with the reason of the first one.
        """
        reason = ""
        for key, label, dictionary_only in self._headers:
            value = environ.get(key)
            if value:
                try:
                    return checked(self._version(value, dictionary_only=dictionary_only), known, deployed), label
                except Refused as refusal:
                    reason = reason or str(refusal)
        signed = "" if self.cookie is None else self.cookie.read(environ)
        if self.cookie is not None and signed:
            try:
                return checked(self.verify(signed)[0], known, deployed), f"cookie:{self.cookie.name}"
            except Refused as refusal:
                reason = reason or str(refusal)
        raise Refused(reason)

    def verify(self, signed: str) -> tuple[str, int]:
        """Return the version that a signed override names, and when it expires, in seconds since the epoch.

        Raises ``Refused`` if it was not signed with the secret for this application, has expired, or is too long.
        """
        if len(signed) > MAX_LENGTH:
            raise Refused(BAD_SYNTAX)
        # Base64 is decoded leniently: anything could follow its padding, and the value of a link goes into a header.
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
        asked: object = text
        if dictionary_only or not _BARE.match(text):
            try:
                asked = self._parsed(wire_bytes(text), dictionary_only=dictionary_only)
            except ValueError:
                raise Refused(BAD_SYNTAX) from None
        if not isinstance(asked, str):
            raise Refused(BAD_SYNTAX)
        return asked if self._serializer is None else self.verify(asked)[0]

    def _parsed(self, value: bytes, *, dictionary_only: bool) -> object:
        """Return what an Item holds, or the entry of a Dictionary for this application."""
        if not dictionary_only:
            with suppress(ValueError):
                return _parse(value, tltype="item")[0]
        entries = _parse(value, tltype="dictionary")
        if self._name not in entries:
            raise Refused(OTHER_APP)
        return entries[self._name][0]


def checked(version: str, known: Container[str], deployed: Container[str]) -> str:
    """Return a version that may be forced, or raise ``Refused`` if it is not in the deployment."""
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
        expires = int(time.time() + lifetime) if 0 < lifetime < math.inf else 0
    except (TypeError, OverflowError):
        expires = 0
    if not expires:
        raise ConfigurationError(
            f"lifetime={lifetime!r} is not a number of seconds from now: give one above 0, for example 3600"
        )
    signed = _serializer(check_name(name), secret).dumps([check_version_id(version), expires])
    return signed if isinstance(signed, str) else signed.decode()


def _serializer(name: str, secret: object) -> URLSafeSerializer:
    given = [secret] if isinstance(secret, str | bytes) else secret
    secrets = list(given) if isinstance(given, Iterable) else []
    if not secrets or not all(isinstance(part, str | bytes) and part for part in secrets):
        raise ConfigurationError("override_secret is empty or not text: give a long random text, or a list of them")
    if any(len(part) < SHORTEST_SECRET for part in secrets):
        raise ConfigurationError(
            f"override_secret is shorter than {SHORTEST_SECRET} characters, so it could be guessed: give a long random "
            'text, as `python -c "import secrets; print(secrets.token_urlsafe(32))"` prints one',
        )
    return URLSafeSerializer(secrets, salt=f"version-affinity.override.{name}")
