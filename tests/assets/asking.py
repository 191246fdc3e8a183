"""Checked WSGI calls of static files."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from werkzeug.middleware.lint import LintMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass
class Answer:
    """A response as a server would send it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    _fields: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._fields = {name.lower(): value for name, value in self.headers}

    def __getitem__(self, name: str) -> str | None:
        return self._fields.get(name.lower())


def environ_of(
    path: str, method: str = "GET", headers: Mapping[str, str] | None = None, **extra: Any
) -> dict[str, Any]:
    """Return the environ of a request; ``path`` as in PATH_INFO."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    environ["SERVER_PROTOCOL"] = "HTTP/1.1"
    environ["wsgi.input"] = BytesIO()
    environ["wsgi.errors"] = sys.stderr
    environ.update({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()})
    environ.update(extra)
    return environ


def ask(app: Any, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, **extra: Any) -> Answer:
    """Send one request through ``wsgiref.validate`` and werkzeug's ``LintMiddleware``.

    Werkzeug's takes a Content-Length in the answer to HEAD for a fault (RFC 9110 section 8.6 wants it), so HEAD goes
    through the other one alone. It also takes a relative Location for one, which RFC 9110 section 10.2.2 allows, and a
    204 without Content-Length, which section 8.6 forbids to have one.
    """
    app = app if method == "HEAD" else LintMiddleware(app)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Absolute URLs required for location header")
        warnings.filterwarnings("ignore", "204 responses must have an empty content length")
        return ask_raw(validator(app), environ_of(path, method, headers, **extra))


def ask_raw(app: Any, environ: dict[str, Any]) -> Answer:
    """Send one request that no checker would let through."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        started.append((status, headers))
        return lambda _data: None

    body = app(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    ((status, headers),) = started
    return Answer(int(status[:3]), headers, content)
