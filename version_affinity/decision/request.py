"""Which kind of request this is: what a browser tells about it, by the Fetch Metadata headers (W3C) above all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from version_affinity.assets.http.fetch_metadata import is_framed_by_other_site, is_shown_in_tab

from .service_workers import DEFAULT, is_script_request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .cookies import PinCookie
    from .service_workers import ServiceWorkers

Kind: TypeAlias = Literal[
    "prefetch", "page", "frame", "cookieless-frame", "service-worker", "subresource", "cross-origin", "other"
]

#: Fetched or rendered ahead of a navigation that may never come.
PREFETCH: Final = "prefetch"
#: What a top-level navigation shows.
PAGE: Final = "page"
#: What a page of another site shows in a frame, in a browser that keeps a partitioned cookie for it.
FRAME: Final = "frame"
#: The same in a browser that keeps no cookie there.
COOKIELESS_FRAME: Final = "cookieless-frame"
#: What decides the next page: a service worker's script, what that fetches, and polls for a new version.
SERVICE_WORKER: Final = "service-worker"
#: What a browser's page loads, and what it shows in a frame.
SUBRESOURCE: Final = "subresource"
#: What a page of another origin loads, such as ``remoteEntry.js`` and embedded scripts.
CROSS_ORIGIN: Final = "cross-origin"
#: Anything that sends no Fetch Metadata: curl, API clients, old browsers' subresources.
OTHER: Final = "other"

KINDS: Final[tuple[Kind, ...]] = (
    PREFETCH,
    PAGE,
    FRAME,
    COOKIELESS_FRAME,
    SERVICE_WORKER,
    SUBRESOURCE,
    CROSS_ORIGIN,
    OTHER,
)

#: The kinds that are documents to be shown now, in a tab or in a frame of another site.
PAGES: Final = frozenset((PAGE, FRAME, COOKIELESS_FRAME))
#: The kinds whose page our cookie then names.
STAMPED: Final = frozenset((PAGE, FRAME))
#: The kinds among which are requests for HTML.
SHOWING: Final = frozenset(KINDS) - {OTHER}
_LOADED: Final = frozenset((SUBRESOURCE, CROSS_ORIGIN))
#: Of another origin: ``navigate`` is left out, because what such a frame then loads is of the same origin.
_OTHER_ORIGINS: Final = frozenset(("cross-site", "same-site"))

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


def is_for_html(request: Request) -> bool:
    """Tell whether a request of a kind in ``SHOWING`` may be for HTML: for a tab, a frame, or a service worker."""
    environ = request.environ
    if request.kind == SERVICE_WORKER:
        return not is_script_request(environ, environ.get("HTTP_SEC_FETCH_DEST"))
    return (
        request.kind not in _LOADED
        or environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        or "text/html" in environ.get("HTTP_ACCEPT", "")
    )


def _kind(environ: WSGIEnvironment, mode: str | None, destination: str | None, workers: ServiceWorkers) -> Kind:
    """Return the kind of a request: the first one whose signs it has."""
    if "HTTP_SEC_PURPOSE" in environ and environ["HTTP_SEC_PURPOSE"].startswith("prefetch"):
        return PREFETCH
    path = environ.get("PATH_INFO", "")
    site = environ.get("HTTP_SEC_FETCH_SITE")
    kind: Kind = OTHER
    if mode or destination or site:
        # Nearly all requests have another mode: what a page loads.
        if mode == "navigate" or mode == "same-origin":  # noqa: PLR1714 - faster
            if is_shown_in_tab(environ, mode, destination, path):
                return PAGE
            if is_framed_by_other_site(environ, mode, destination):
                return FRAME if "HTTP_SEC_FETCH_STORAGE_ACCESS" in environ else COOKIELESS_FRAME
        kind = CROSS_ORIGIN if site in _OTHER_ORIGINS and mode != "navigate" else SUBRESOURCE
    elif "text/html" in environ.get("HTTP_ACCEPT", "") and environ["REQUEST_METHOD"] in READING:
        return PAGE
    return SERVICE_WORKER if workers.ask(environ, mode, destination, path) else kind


class Request:
    """What of a request the decision and the response's headers look at, read once.

    Attributes:
        environ: The WSGI environ.
        method: Its method as it came. An application may change what the environ says.
        scheme: Its scheme as it came.
        kind: See ``kind_of``.
        bucket: The bucket of our cookie or, once one was drawn for this request, that; "" without.
        pin: What our cookie says of the version of the page that was loaded last (``PinCookie.values``); "" without.
            It is not checked yet.
        refused: Why something that the request brought could not be used; "" when nothing was refused.
    """

    __slots__ = ("bucket", "environ", "kind", "method", "pin", "refused", "scheme")

    kind: Kind

    def __init__(
        self,
        environ: WSGIEnvironment,
        cookie: PinCookie | None,
        workers: ServiceWorkers = DEFAULT,
        kind: Kind | None = None,
    ) -> None:
        self.environ = environ
        self.method = environ["REQUEST_METHOD"]
        self.scheme = environ.get("wsgi.url_scheme")
        if kind is not None:
            self.kind = kind
        else:
            mode, destination = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
            if mode == "navigate" and destination == "document" and "HTTP_SEC_PURPOSE" not in environ:
                self.kind = PAGE  # as below; nearly every page
            else:
                self.kind = _kind(environ, mode, destination, workers)
        self.bucket, self.pin = ("", "") if cookie is None else cookie.read(environ.get("HTTP_COOKIE"), self.scheme)
        self.refused = ""

    @property
    def safe(self) -> bool:
        """Whether the method is safe: it may mint a bucket and set the cookie."""
        return self.method in SAFE_METHODS
