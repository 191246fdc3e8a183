"""An application with its metrics beside it, for a server process: it answers with the status that the query names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from version_affinity import Cookie, Releases, VersionAffinity
from version_affinity.metrics import metrics_app

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a status, and say which process it was."""
    body = str(os.getpid()).encode()
    status = f"{environ['QUERY_STRING'] or 200} Status"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def measured() -> WSGIApplication:
    """Return the application that the environment's releases are for, with /metrics."""
    affinity = VersionAffinity(answer, Releases(host=os.environ.get("FOLLOWED_HOST")), keys=[Cookie("user")])
    return DispatcherMiddleware(affinity, {"/metrics": metrics_app(affinity)})
