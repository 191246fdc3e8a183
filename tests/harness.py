"""What tests share: builds on disk, a checked way to ask a WSGI application, components that may be missing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.validate import validator

import pytest
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response

from version_affinity import middleware
from version_affinity.responses.finish import Finisher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity import VersionAffinity
    from version_affinity.rollout.state import State

#: The headers of a browser's top-level navigation.
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
#: Those of a script that its page loads.
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "script", "Sec-Fetch-Site": "same-origin"}


def state_of(affinity: VersionAffinity) -> State:
    """Return the state that requests read now."""
    return affinity.exchange({}).state


def finishers(monkeypatch: pytest.MonkeyPatch) -> list[Finisher]:
    """Return a list that gets the ``Finisher`` of each middleware that is made from now on."""
    made: list[Finisher] = []

    def make(*arguments: Any) -> Finisher:
        made.append(Finisher(*arguments))
        return made[-1]

    monkeypatch.setattr(middleware, "Finisher", make)
    return made


def write_build(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files of a build below a directory, and return it."""
    for path, content in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def checked(app: WSGIApplication) -> WSGIApplication:
    """Return the application with both sides of every call checked against PEP 3333.

    Both checkers warn or raise; pytest turns every warning into an error. Werkzeug's takes a HEAD answer's
    Content-Length for a fault (RFC 9110 section 8.6 wants it), so HEAD goes through the other one alone.
    """
    strict, linted = validator(app), validator(LintMiddleware(app))

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return (strict if environ["REQUEST_METHOD"] == "HEAD" else linted)(environ, start_response)

    return call


class _Reading(Client):
    """Reads every body to its end and closes it, as a server does, also where a test looks at the headers alone."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        response = super().open(*args, **kwargs)
        response.make_sequence()
        response.close()
        return response


def client(app: WSGIApplication) -> Client:
    """Return a client that keeps no cookies and asks a checked application."""
    return _Reading(checked(app), Response, use_cookies=False)


def missing(component: str, reason: str) -> None:
    """Skip the test for a component that this machine lacks; under CI=true that is a failure."""
    message = f"{component} is missing: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{message} (CI installs every component)")
    pytest.skip(message)


#: Marks a test of the conformance data, which is no part of the project: without it, the test is skipped, in CI too.
needs_conformance = pytest.mark.skipif(
    not os.environ.get("VERSION_AFFINITY_CONFORMANCE"),
    reason="VERSION_AFFINITY_CONFORMANCE names no folder of conformance data",
)


def conformance(name: str) -> Any:
    """Return a file of the conformance data, parsed; None without the data, for tests that are not run then."""
    folder = os.environ.get("VERSION_AFFINITY_CONFORMANCE")
    return json.loads(Path(folder, name).read_text("utf-8")) if folder else None
