"""Overrides: a request header that forces a version, for testing.

The value is a version's id, or an RFC 9651 structured field: an Item (a String), or a Dictionary of application name to
String, in which other applications' entries are ignored. What cannot be applied is no error: the request is decided as
if the header were absent, and the trace header says why.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import http_sf
from itsdangerous import BadSignature, URLSafeSerializer

from .deployment import check_name, check_version_id
from .errors import ConfigurationError
from .keys import Header, environ_key, wire_bytes

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

UNKNOWN_VERSION = "unknown-version"
NOT_DEPLOYED = "not-deployed"
BAD_SYNTAX = "bad-syntax"
BAD_SIGNATURE = "bad-signature"
OTHER_APP = "other-app"


# Its declared result is the union of all that any field may hold; the kind of field that is asked for says which.
_parse: Any = http_sf.parse


class Refused(Exception):  # noqa: N818 - a verdict, not an error
    """An override that cannot be applied; its text is the reason, as the trace header shows it."""


class Overrides:
    """Reads the version that a request's headers ask for.

    Args:
        name: This application's name: its key in a Dictionary.
        headers: The headers to read, in order; the first that can be applied counts.
        secret: With one, only values made by ``sign_override`` with it count. A list of secrets rotates: the last one
            signs, all of them verify.

    Raises:
        ConfigurationError: a header name or secret that cannot be used.
    """

    __slots__ = ("_headers", "_name", "_serializer", "environ_keys", "headers")

    def __init__(self, name: str, headers: Iterable[str], secret: str | bytes | Iterable[str | bytes] | None) -> None:
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

    def read(self, environ: WSGIEnvironment, known: Container[str], deployed: Container[str]) -> tuple[str, str]:
        """Return the id of the version that a request may force, and which header forced it.

        Args:
            environ: The request.
            known: The ids of all known versions.
            deployed: The ids in the deployment, those at 0 % included: only they can be forced.

        Raises:
            Refused: the headers that are there cannot be applied; the reason is that of the first one.
        """
        reason = ""
        for key, label, dictionary_only in self._headers:
            value = environ.get(key)
            if not value:
                continue
            try:
                version = self._version(value, dictionary_only=dictionary_only)
            except Refused as refusal:
                reason = reason or str(refusal)
                continue
            if version in deployed:
                return version, label
            reason = reason or (NOT_DEPLOYED if version in known else UNKNOWN_VERSION)
        raise Refused(reason)

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
        return asked if self._serializer is None else _verified(self._serializer, asked)

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
    return URLSafeSerializer(secrets, salt=f"version-affinity.override.{name}")


def _verified(serializer: URLSafeSerializer, signed: str) -> str:
    try:
        version, expires = serializer.loads(signed)
    except (BadSignature, TypeError, ValueError):
        raise Refused(BAD_SIGNATURE) from None
    if not isinstance(version, str) or not isinstance(expires, int) or expires < time.time():
        raise Refused(BAD_SIGNATURE)
    return version
