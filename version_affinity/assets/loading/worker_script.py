"""Recognising the script of a service worker: it handles events that only a service worker gets.

The text is searched, not parsed, because all scripts of a build are searched when it is loaded. A mistake costs the
page pin for the modules that the script imports without a fingerprint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of Service Workers, Push, Notifications, Background Sync and Background Fetch. Not "message": pages get messages, too.
_EVENTS: Final = (
    rb"(?:install|activate|fetch|push|pushsubscriptionchange|notificationclick|notificationclose|sync|periodicsync"
    rb"|backgroundfetchsuccess|backgroundfetchfail|backgroundfetchabort|backgroundfetchclick)"
)
# Each pattern begins with literal text, so that the engine finds it quickly, and repeats nothing twice in a row. With
# "\b" in front, the same patterns took twenty times as long.
_LISTENER: Final = re.compile(rb"addEventListener\s*\(\s*[\"'`]" + _EVENTS + rb"[\"'`]")
_HANDLER: Final = re.compile(rb"on" + _EVENTS + rb"\s*=(?!=)")
_RECEIVER: Final = re.compile(rb"(?:\A|[^\w$])([\w$]+)\s*\.\s*\Z")
_RECEIVER_LENGTH: Final = 40
_GLOBAL: Final = (b"self", b"globalThis")
# Methods that only a service worker's events have. They decide if the receiver is not named like the global object:
# ``this.scope`` (Angular) or a minified ``e``.
_EXTENDABLE: Final = re.compile(rb"\.(?:waitUntil|respondWith)\s*\(")
# Workbox, and functions that only a worker may call.
_CALLS: Final = (b"precacheAndRoute", b"clientsClaim", b"clients.claim", b"self.skipWaiting")
_CALL: Final = re.compile(rb"\b(?:" + b"|".join(map(re.escape, _CALLS)) + rb")\s*\(")
_IMPORT: Final = re.compile(rb"importScripts\s*\(([^)]{0,1000})")
_IMPORTED: Final = re.compile(rb"(?:workbox|service-?worker|\bsw\b|-sw\b|ngsw)[\w./-]{0,80}\.m?js", re.IGNORECASE)


def handles_worker_events(script: bytes) -> bool:
    """Return whether a script handles a service worker's events.

    >>> handles_worker_events(b"self.onfetch = answer"), handles_worker_events(b"self.onload = show")
    (True, False)
    """
    if any(call in script for call in _CALLS) and _CALL.search(script) is not None:
        return True
    receivers = [*_receivers(script, _LISTENER, bare=b"self"), *_receivers(script, _HANDLER, bare=b"")]
    if not receivers:
        return any(_IMPORTED.search(match[1]) for match in _IMPORT.finditer(script))
    return any(receiver in _GLOBAL for receiver in receivers) or _EXTENDABLE.search(script) is not None


def _receivers(script: bytes, pattern: re.Pattern[bytes], *, bare: bytes) -> Iterable[bytes]:
    """Yield the objects whose events are handled, ``bare`` if none is named."""
    for match in pattern.finditer(script):
        before = script[max(match.start() - _RECEIVER_LENGTH, 0) : match.start()]
        if before.rstrip().endswith(b"."):
            receiver = _RECEIVER.search(before)
            yield b"" if receiver is None else receiver[1]
        elif not re.search(rb"[\w$]\Z", before):
            yield bare
