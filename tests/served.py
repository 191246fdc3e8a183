"""What the tests' servers serve besides the example itself: applications that a server process makes for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def example() -> WSGIApplication:
    """Return the example, with a header that says which process answered."""
    from example_app.app import create_app  # noqa: PLC0415 - in the server's process only

    app, process = create_app(), ("Worker", str(os.getpid()))

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info) -> Callable[[bytes], object]:
            return start_response(status, [*headers, process], *exc_info)

        return app(environ, start)

    return application


def builds() -> WSGIApplication:
    """Return the versions v1 and v2 below the directory that the environment names, at 50 % each, without an app."""
    from version_affinity import Cookie, Header, Version, VersionAffinity  # noqa: PLC0415 - in the server's process only

    root = Path(os.environ["SERVED_BUILDS"])
    return VersionAffinity(
        None,
        [Version("v1", root / "v1", percentage=50), Version("v2", root / "v2", percentage=50)],
        keys=[Cookie("session_id"), Header("Version-Key")],
    )
