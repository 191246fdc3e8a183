"""What an application's response depends on, noted in the environ."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from builds import rollout, write_builds
from harness import NAVIGATION
from werkzeug.test import create_environ

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def page(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer with a page, and keep nothing."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<p>page"]


@pytest.mark.parametrize("path", ["/", "/page", "/own"])
def test_no_request_waits_for_garbage_collection(tmp_path: Path, path: str) -> None:
    """A request leaves no cycle behind: its socket and its upload go when the server lets go of the environ."""
    affinity = rollout({**write_builds(tmp_path), "v2": page}, page, app_first=["/page"])
    environs = [create_environ(path, headers={**NAVIGATION, "Version-Key": str(number)}) for number in range(50)]
    gc.collect()
    gc.disable()
    try:
        while environs:
            affinity(environs.pop(), lambda *_: lambda _data: None)
        assert not [kept for kept in gc.get_objects() if isinstance(kept, dict) and kept.get("PATH_INFO") == path]
    finally:
        gc.enable()
