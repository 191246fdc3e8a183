"""How many files of the package a request crosses: the path of a request stays short enough to be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import create_environ, run_wsgi_app

import version_affinity
from tests.builds import SHARED, bucket_of, pinned, rollout, write_builds
from tests.harness import NAVIGATION, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


PACKAGE = Path(version_affinity.__file__).parent
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}


def api(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer as the wrapped application."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds."""
    return write_builds(tmp_path_factory.mktemp("builds"))


def crossed(ask: Callable[[], Any]) -> set[str]:
    """Return the files of the package in which something is called."""
    files: set[str] = set()

    def note(frame: Any, event: str, _argument: object) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    ask()  # what is made on the first request alone does not count
    sys.setprofile(note)
    try:
        ask()
    finally:
        sys.setprofile(None)
    return {name for file in files if (name := file.removeprefix(f"{PACKAGE}/")) != file}


@pytest.mark.parametrize(
    ("path", "headers", "app_first", "most"),
    [
        pytest.param(SHARED, SCRIPT, [], 2, id="by name"),
        pytest.param("/", {**NAVIGATION, **pinned("v1", bucket_of("v1"))}, [], 8, id="page"),
        pytest.param("/api/cart", {**FETCH, **pinned("v1")}, ["/api/*"], 9, id="application"),
    ],
)
def test_files_crossed(
    builds: dict[str, Path], path: str, headers: dict[str, str], app_first: list[str], most: int
) -> None:
    """A request crosses few files, once what is made for the first one is there."""
    affinity = rollout(builds, api, app_first=app_first)
    files = crossed(lambda: run_wsgi_app(affinity, create_environ(path, headers=headers)))
    assert "middleware.py" in files
    assert len(files) <= most, sorted(files)
