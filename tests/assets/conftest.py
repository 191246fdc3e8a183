"""What the tests of the static files share: trees on disk and checked WSGI calls."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from werkzeug.middleware.lint import LintMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Tree = Callable[[Mapping[str, bytes | str]], Path]


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


class ServerFile(FileWrapper):
    """A server's ``wsgi.file_wrapper`` that remembers that it was used, and closed."""

    made: list[ServerFile]

    def __init__(self, file: Any, block: int) -> None:
        super().__init__(file, block)
        self.file = file
        self.made.append(self)


@pytest.fixture
def file_wrapper(monkeypatch: pytest.MonkeyPatch) -> type[ServerFile]:
    """Give a file wrapper whose uses are counted."""
    monkeypatch.setattr(ServerFile, "made", [], raising=False)
    return ServerFile


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Give a maker of build directories from relative names to content."""
    made = 0

    def make(files: Mapping[str, bytes | str]) -> Path:
        nonlocal made
        made += 1
        root = tmp_path / f"build{made}"
        root.mkdir()
        for name, content in files.items():
            file = root / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


def conformance(name: str) -> Any:
    """Return the cases of a conformance file, none where the folder is not named."""
    folder = os.environ.get("VERSION_AFFINITY_CONFORMANCE")
    return json.loads(Path(folder, name).read_text("utf-8")) if folder else None


needs_conformance = pytest.mark.skipif(
    "VERSION_AFFINITY_CONFORMANCE" not in os.environ,
    reason="the environment variable VERSION_AFFINITY_CONFORMANCE does not name the folder of conformance data",
)
