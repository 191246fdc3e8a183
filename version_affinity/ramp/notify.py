"""Notices of a ramp's entries: to a webhook, as signed CloudEvents, and to a command.

Each entry is sent at least once, in the order of the log: by the process that wrote it, or after some seconds by
another one. The position in the log is kept beside the worker reports, so a crash or a receiver that is away loses
nothing. A receiver may get an entry twice: its id is the same then.

A person who may write the log chooses where notices go. So a command that comes from a log in Redis runs only where the
environment of the application allows it (``EXEC``), and redirects of a webhook are not followed.
"""

from __future__ import annotations

import hmac
import http.client
import json
import logging
import os
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import parse_time, utc_now

from .plan import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from version_affinity.releases.log.entries import Entry

logger = logging.getLogger("version_affinity")

#: The environment variables of the application: the secret that signs, and "1" to run commands from a log in Redis.
WEBHOOK_SECRET: Final = "VERSION_AFFINITY_WEBHOOK_SECRET"  # noqa: S105 - a name
EXEC: Final = "VERSION_AFFINITY_EXEC"
#: The header with the HMAC-SHA256 of the body.
SIGNATURE: Final = "Version-Affinity-Signature"
#: Seconds that a receiver, and a command, may take.
WEBHOOK_TIMEOUT: Final = 10.0
COMMAND_TIMEOUT: Final = 60.0
#: An entry that could not be sent for this long is given up.
GIVEN_UP: Final = timedelta(days=1)

# CDEvents, "Custom Event Types": the release of CDEvents, the subject (tool-name), and the type of an event.
_CDEVENTS: Final = "0.4.1"
_SUBJECT: Final = "versionaffinity-ramp"
_TYPE: Final = f"dev.cdeventsx.{_SUBJECT}.{{}}.0.1.0"
# Settings of a plan that may contain secrets.
_RECEIVERS: Final = ("webhook", "exec")
# By the event of an entry. One that completes the ramp is "completed", whatever its event.
_PREDICATES: Final = {
    "start": "started",
    "step due": "stepped",
    "approve": "stepped",
    "advance": "stepped",
    "promote": "stepped",
    "approval due": "waiting",
    "halt: hold": "held",
    "share mismatch": "held",
    "reports unknown": "held",
    "workers behind": "held",
    "halt: rollback": "rolledback",
    "halt: warn": "warned",
    "pause": "paused",
    "resume": "resumed",
    "abort": "aborted",
}


class Claim(Protocol):
    """The right to send the notices of a log, which one process has at a time.

    Attributes:
        sent: The revision that was sent last, 0 for none.
    """

    sent: int

    def extend(self) -> bool:
        """Keep the right for one more notice. Return False if it has expired, so that another process may have it."""

    def advance(self, revision: int) -> bool:
        """Note that the entries up to a revision were sent. Return False, and note nothing, if the right is lost."""


class Position(Protocol):
    """How far the notices of a log have been sent: in a file or in Redis (``releases/reports/positions.py``)."""

    def claim(self, log_id: str) -> AbstractContextManager[Claim | None]:
        """Become the process that sends; None if another one sends."""


class RampNotice(NamedTuple):
    """An entry that is to be sent.

    Attributes:
        entry: The entry.
        event: The CloudEvent as JSON data.
        webhook, command: Where it goes; "" for nowhere.
    """

    entry: Entry
    event: dict[str, Any]
    webhook: str
    command: str


def check_webhook(url: str) -> None:
    """Raise ``ConfigurationError`` for a URL that notices cannot be sent to."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not (url.isascii() and url.isprintable()) or " " in url:
        raise ConfigurationError(f"webhook={url!r} is not an http or https URL: write https://host/path")


def check_command(command: str) -> None:
    """Raise ``ConfigurationError`` for a command that cannot be split into words."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"exec={command!r} cannot be split into words: {error}") from None
    if not words:
        raise ConfigurationError("exec is empty: write a command")


def notices_of(entries: Sequence[Entry]) -> list[RampNotice]:
    """Return the notices of the newest ramp, and of earlier ones of the last day, with the deployments that ended them.

    An earlier ramp may have notices that its receiver has not got yet.
    """
    found: list[RampNotice] = []
    newest, oldest = None, utc_now() - GIVEN_UP
    for number in range(len(entries) - 1, -1, -1):
        entry, before = entries[number], entries[number - 1].ramp if number else None
        if entry.ramp is not None:
            ramp, predicate = entry.ramp, _predicate(entry)
        elif before is not None and before.get("state") in ACTIVE:
            ramp, predicate = {**before, "state": "superseded"}, "superseded"
        else:
            continue
        newest = newest or ramp.get("id")
        if ramp.get("id") != newest and parse_time(entry.created) < oldest:
            break
        found.append(_notice(entry, ramp, predicate))
    return [notice for notice in reversed(found) if notice.webhook or notice.command]


def _predicate(entry: Entry) -> str:
    if entry.ramp is not None and entry.ramp.get("state") == "completed":
        return "completed"
    return _PREDICATES.get(entry.ramp_event, "changed")


def _notice(entry: Entry, ramp: Mapping[str, Any], predicate: str) -> RampNotice:
    """Return a CDEvents custom event in a CloudEvent."""
    plan = ramp.get("plan")
    plan = plan if isinstance(plan, Mapping) else {}  # the log may hold any JSON
    context = {
        "version": _CDEVENTS,
        "id": f"{entry.log_id}-{entry.revision}",
        "source": f"/version-affinity/{entry.name}",
        "type": _TYPE.format(predicate),
        "timestamp": entry.created,
    }
    content = {"version": plan.get("version"), "state": ramp.get("state"), "step": ramp.get("step")}
    event = {
        "specversion": "1.0",
        "id": context["id"],
        "source": context["source"],
        "type": context["type"],
        "subject": ramp.get("id"),
        "time": entry.created,
        "datacontenttype": "application/json",
        "data": {
            "context": context,
            "subject": {"id": ramp.get("id"), "type": _SUBJECT, "content": content},
            "customData": {**entry.as_document(), "ramp": without_receivers(ramp)},
            "customDataContentType": "application/json",
        },
    }
    return RampNotice(entry, event, str(plan.get("webhook") or ""), str(plan.get("exec") or ""))


def shown_document(entry: Entry) -> dict[str, Any]:
    """Return an entry as a JSON object for people and programs that read the output of a command."""
    document = entry.as_document()
    return {**document, "ramp": without_receivers(entry.ramp)} if entry.ramp is not None else document


def without_receivers(ramp: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON data of a ramp without the receivers of its notices: a URL or a command may contain a secret."""
    plan = ramp.get("plan")
    if not isinstance(plan, Mapping):
        return dict(ramp)
    return {**ramp, "plan": {name: value for name, value in plan.items() if name not in _RECEIVERS}}


class Sender:
    """Sends notices. It waits for their receivers, so call it in a thread of its own.

    Args:
        position: How far they were sent.
        may_execute: Whether commands may run.
    """

    def __init__(self, position: Position, *, may_execute: bool) -> None:
        self.position = position
        self._may_execute = may_execute or os.environ.get(EXEC) == "1"
        #: The revision up to which nothing is left to send, by whichever process.
        self.sent = 0
        #: Why the last attempt failed; "" if it did not.
        self.error = ""

    def send(self, notices: Sequence[RampNotice]) -> None:
        """Send what was not sent yet, in order, up to the first failure."""
        log_id = notices[-1].entry.log_id
        with self.position.claim(log_id) as claim:
            if claim is None:
                return
            for notice in notices:
                revision = notice.entry.revision
                if revision > claim.sent:
                    if not claim.extend():
                        return  # this process was stopped for long, and another one may send by now
                    error = self._send(notice)
                    if error and utc_now() - parse_time(notice.entry.created) < GIVEN_UP:
                        self._fail(f"the notice of revision {revision} cannot be sent, and is tried again: {error}")
                        return
                    if error:
                        logger.error("the notice of revision %d is given up: %s", revision, error)
                    if not claim.advance(revision):
                        return
                self.sent = max(self.sent, revision)
        self.error = ""

    def _fail(self, error: str) -> None:
        if error != self.error:
            logger.warning("%s", error)
        self.error = error

    def _send(self, notice: RampNotice) -> str:
        """Send a notice; return why it cannot be sent, "" if it was."""
        body = json.dumps(notice.event).encode()
        error = _post(notice.webhook, body) if notice.webhook else ""
        if notice.command and not error:
            if self._may_execute:
                return _execute(notice.command, body)
            logger.warning("%s is not 1, so the command of the ramp is not run: its log is in Redis", EXEC)
        return error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: a redirect could lead to another host, and would not repeat the body."""


def _post(url: str, body: bytes) -> str:
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", "User-Agent": "version-affinity"}
    secret = os.environ.get(WEBHOOK_SECRET, "")
    if secret:
        headers[SIGNATURE] = f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"
    try:
        check_webhook(url)
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - its scheme is checked
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=WEBHOOK_TIMEOUT) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        return f"the webhook answers {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"the webhook cannot be reached: {getattr(error, 'reason', None) or error}"
    return ""


def _execute(command: str, body: bytes) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - which a person has chosen
            shlex.split(command), input=body, capture_output=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"the command cannot be run: {error}"
    return f"the command ends with {done.returncode}: {done.stderr[-200:]!r}" if done.returncode else ""
