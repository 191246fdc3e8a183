"""The shop without version_affinity, for comparison. The switch on the rollout page turns it on for one browser."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from werkzeug.exceptions import NotFound
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

COOKIE = "without_version_affinity"


def is_chosen(environ: WSGIEnvironment) -> bool:
    """Return whether the browser that sent this request chose the shop without version_affinity."""
    return f"{COOKIE}=on" in map(str.strip, environ.get("HTTP_COOKIE", "").split(";"))


class Unprotected:
    """Serves the files of the visitor's current version, and of no other version.

    This is plain version affinity, as a load balancer or a few lines of Python provide it: the same user gets the same
    version as long as the percentages do not change. Users get the same versions as in the protected shop. The only
    difference is that an open tab does not keep the files of its version.

    Args:
        app: The protected application. It answers all other browsers, and the paths of ``own``.
        builds: The directory that contains a build for each version.
        assigned: Returns the version that a page load would get now.
        own: Prefixes of the paths that are not part of the front end.
    """

    def __init__(
        self, app: WSGIApplication, builds: Path, assigned: Callable[[WSGIEnvironment], str], own: tuple[str, ...]
    ) -> None:
        self.app = app
        self.builds = builds
        self.assigned = assigned
        self.own = own
        #: The number of requests for missing files.
        self.missing = 0
        self._numbers = count(1)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request for the front end from a browser that chose this mode; pass on all others."""
        path = environ.get("PATH_INFO", "")
        reads = environ["REQUEST_METHOD"] in {"GET", "HEAD"}
        if not reads or path.startswith(self.own) or not is_chosen(environ):
            return self.app(environ, start_response)
        response = self.respond(Request(environ))
        # A file in the browser's cache would hide the fault the second time.
        response.headers["Cache-Control"] = "no-store"
        return response(environ, start_response)

    def respond(self, request: Request) -> Response:
        """Return the file, the document for a path of the single-page application, or 404 for a missing asset."""
        version = self.assigned(request.environ)
        build, path = self.builds / version, request.path.lstrip("/")
        try:
            return send_from_directory(build, path or "index.html", request.environ)
        except NotFound:
            if not path.startswith("assets/"):
                return send_from_directory(build, "index.html", request.environ)
        self.missing = next(self._numbers)
        return Response(f"{version} does not have this file.\n", 404)
