"""Which kind of request this is: what a browser tells about it, by the Fetch Metadata headers (W3C) above all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .pin import PinCookie

Kind: TypeAlias = Literal["page", "subresource", "prefetch", "service-worker", "other"]

#: What a top-level navigation shows.
PAGE: Final = "page"
#: What a browser's page then loads, and what it shows in a frame.
SUBRESOURCE: Final = "subresource"
#: Fetched or rendered ahead of a navigation that may never come.
PREFETCH: Final = "prefetch"
#: The script of a service worker.
SERVICE_WORKER: Final = "service-worker"
#: Anything that sends no Fetch Metadata: curl, API clients, old browsers' subresources.
OTHER: Final = "other"

KINDS: Final[tuple[Kind, ...]] = (PAGE, SUBRESOURCE, PREFETCH, SERVICE_WORKER, OTHER)

#: The kinds among which are requests for HTML to be shown.
SHOWING: Final = frozenset((PAGE, SUBRESOURCE, PREFETCH))

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1
#: The methods that a file answers with itself.
READING: Final = frozenset({"GET", "HEAD"})


def path_of(environ: WSGIEnvironment) -> str:
    """Return a request's path below where this middleware is mounted; "" for the mount without its slash."""
    return environ.get("PATH_INFO") or ("" if environ.get("SCRIPT_NAME") else "/")


def kind_of(environ: WSGIEnvironment) -> Kind:
    """Return the kind of a request.

    >>> kind_of({"REQUEST_METHOD": "GET", "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"})
    'page'
    """
    return Request(environ, None).kind


def is_of_server(environ: WSGIEnvironment) -> bool:
    """Tell whether a request asks for the methods of the server as a whole (RFC 9110 section 9.3.7)."""
    return environ["REQUEST_METHOD"] == "OPTIONS" and environ.get("PATH_INFO") == "*"


def is_for_html(request: Request) -> bool:
    """Tell whether a request of a kind in ``SHOWING`` is for HTML: for a tab, a frame, or a script that shows pages."""
    environ = request.environ
    return (
        request.kind != SUBRESOURCE
        or environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        or "text/html" in environ.get("HTTP_ACCEPT", "")
    )


class Request:
    """What of a request the decision and the response's headers look at, read once.

    Attributes:
        environ: The WSGI environ.
        method: Its method as it came. An application may change what the environ says.
        scheme: Its scheme as it came.
        kind: See ``kind_of``.
        bucket: The bucket of our cookie or, once one was drawn for this request, that; "" without.
        pin: The version that our cookie names; "" without. Not yet known to be a version's id.
        refused: Why something that the request brought could not be used; "" when nothing was refused.
    """

    __slots__ = ("bucket", "environ", "kind", "method", "pin", "refused", "scheme")

    kind: Kind

    def __init__(self, environ: WSGIEnvironment, cookie: PinCookie | None, kind: Kind | None = None) -> None:
        self.environ = environ
        self.method = environ["REQUEST_METHOD"]
        self.scheme = environ.get("wsgi.url_scheme")
        if kind is not None:
            self.kind = kind
        elif "HTTP_SERVICE_WORKER" in environ and environ["HTTP_SERVICE_WORKER"] == "script":
            self.kind = SERVICE_WORKER
        elif "HTTP_SEC_PURPOSE" in environ and environ["HTTP_SEC_PURPOSE"].startswith("prefetch"):
            self.kind = PREFETCH
        else:
            mode = environ.get("HTTP_SEC_FETCH_MODE")
            dest = environ.get("HTTP_SEC_FETCH_DEST")
            # "empty": a service worker's fetch of the page that a navigation asked it for.
            if mode == "navigate" and (dest == "document" or dest == "empty"):  # noqa: PLR1714 - this is faster
                self.kind = PAGE
            elif dest or mode or environ.get("HTTP_SEC_FETCH_SITE"):
                self.kind = SUBRESOURCE
            elif "text/html" in environ.get("HTTP_ACCEPT", "") and self.method in READING:
                self.kind = PAGE
            else:
                self.kind = OTHER
        self.bucket, self.pin = ("", "") if cookie is None else cookie.read(environ.get("HTTP_COOKIE"), self.scheme)
        self.refused = ""

    @property
    def safe(self) -> bool:
        """Whether the method is safe: it may mint a bucket and set the cookie."""
        return self.method in SAFE_METHODS
