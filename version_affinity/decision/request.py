"""The kind of a request, by which it is decided: what a browser says of it in Fetch Metadata headers (W3C).

Service workers are a kind of their own. A worker keeps pages for later, and a page that polls for a new version reloads
itself when the answer changes. The page pin must not answer either: the browser would stay on its version for ever.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from version_affinity.app_first import compile_patterns
from version_affinity.assets.http.conditions import READING
from version_affinity.assets.http.negotiation import is_framed_by_other_site, is_shown_in_tab
from version_affinity.wire import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import WSGIEnvironment

    from .cookies import PinCookie

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
#: A service worker's script, what the worker fetches, and polls for a new version: they decide the next page.
SERVICE_WORKER: Final = "service-worker"
#: What a page loads, and what it shows in a frame.
SUBRESOURCE: Final = "subresource"
#: What a page of another origin loads, such as ``remoteEntry.js`` and embedded scripts.
CROSS_ORIGIN: Final = "cross-origin"
#: Requests without Fetch Metadata: curl, API clients, subresources of old browsers.
OTHER: Final = "other"

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

#: The kinds that are documents to be shown now, in a tab or in a frame of another site.
PAGES: Final = frozenset((PAGE, FRAME, COOKIELESS_FRAME))
#: The kinds after which our cookie names the page's version.
STAMPED: Final = frozenset((PAGE, FRAME))
#: The kinds that may ask for HTML.
SHOWING: Final = frozenset(KINDS) - {OTHER}
#: ``navigate`` from another origin is not among them: what such a frame then loads is of the same origin.
_OTHER_ORIGINS: Final = frozenset(("cross-site", "same-site"))

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1

#: The version files that frameworks poll, below the prefix.
UNPINNED: Final = (
    "/version.json",  # Flutter, and many applications
    "/version.txt",
    "/VERSION.txt",  # ember-cli-new-version
    "/_app/version.json",  # SvelteKit
    "/*/_app/version.json",
    "/_nuxt/builds/*",  # Nuxt
    "/ngsw.json",  # Angular; one for each language
    "/*/ngsw.json",
    "/pluginWebUpdateNotice/web_version_by_plugin.json",  # plugin-web-update-notification
)

#: The file names of service workers that tools write or document.
USUAL_NAMES: Final = frozenset(
    [
        "sw.js",
        "sw.mjs",
        "service-worker.js",
        "service-worker.mjs",
        "serviceworker.js",
        "serviceWorker.js",
        "service_worker.js",
        "custom-sw.js",
        "dev-sw.js",
        "firebase-messaging-sw.js",
        "flutter_service_worker.js",
        "ngsw-worker.js",
        "OneSignalSDKWorker.js",
        "OneSignalSDK.sw.js",
        "pwabuilder-sw.js",
        "safety-worker.js",
        "worker-basic.min.js",
    ]
)
_LONG: Final = 256
_SCRIPTS: Final = frozenset(("script", "worker", "serviceworker"))


class ServiceWorkers:
    """Recognises the requests of service workers and the polls of pages. It never changes.

    Args:
        is_unpinned: Whether the pin must not answer a path, as in ``PATH_INFO``.
        is_listed: Whether a path is a worker's script, by configuration; None: by ``USUAL_NAMES`` and ``found``.
        found: The paths of scripts in builds that handle a service worker's events.
    """

    __slots__ = ("_found", "_is_listed", "_is_unpinned")

    def __init__(
        self,
        is_unpinned: Callable[[str], bool],
        is_listed: Callable[[str], bool] | None = None,
        found: Iterable[str] = (),
    ) -> None:
        self._is_unpinned = is_unpinned
        self._is_listed = is_listed
        self._found = frozenset(found)

    def ask(self, environ: WSGIEnvironment, mode: str | None, destination: str | None, path: str) -> bool:
        """Return whether a request that is not for a page decides the next page."""
        if destination == "serviceworker" or environ.get("HTTP_SERVICE_WORKER") == "script" or self._is_unpinned(path):
            return True
        if "HTTP_REFERER" not in environ or (mode != "cors" and destination not in _SCRIPTS):
            return False
        referer = environ["HTTP_REFERER"]
        if self._is_listed is None and "js" not in referer and "%" not in referer:  # nearly always a page
            return False
        path = referer_path(environ)
        if self._is_listed is not None:
            return self._is_listed(path)
        return path in self._found or path[path.rfind("/") + 1 :] in USUAL_NAMES


def service_workers_by(
    prefix: str, unpinned: Iterable[str] | None, service_workers: Iterable[str] | None
) -> Callable[[Iterable[str]], ServiceWorkers]:
    """Return the function from the paths of the workers that builds have to ``ServiceWorkers``.

    ``unpinned`` are patterns of paths that the pin must not answer; None: ``UNPINNED``, below the prefix.
    ``service_workers`` are patterns of the paths of workers' scripts; None: ``USUAL_NAMES`` and what builds have.
    """
    is_polled = compile_patterns(UNPINNED if unpinned is None else unpinned, "unpinned")
    mount = "" if unpinned is not None else prefix[:-1]
    is_unpinned = (lambda path: path.startswith(prefix) and is_polled(path.removeprefix(mount))) if mount else is_polled
    is_listed = None if service_workers is None else compile_patterns(service_workers, "service_workers")
    return lambda found: ServiceWorkers(is_unpinned, is_listed, found)


_UNCONFIGURED: Final = ServiceWorkers(compile_patterns(UNPINNED))


class Request:
    """What the decision and the response's headers need of a request, read once.

    Attributes:
        method: Its method as it came. An application may change what the environ says.
        scheme: Its scheme as it came.
        bucket: The bucket of our cookie, or the one that was drawn for this request; "" without.
        key: The version key that decided, in bytes. Set by such a decision only.
        pin: What our cookie says of the version of the page that was loaded last, not yet checked; "" without.
        refused: Why something that the request sent could not be used; "" when nothing was refused.

    >>> Request({"REQUEST_METHOD": "GET", "HTTP_SEC_FETCH_MODE": "no-cors", "HTTP_SEC_FETCH_DEST": "image"}, None).kind
    'subresource'
    """

    __slots__ = ("bucket", "environ", "key", "kind", "method", "pin", "refused", "scheme")

    key: bytes
    kind: Kind

    def __init__(
        self,
        environ: WSGIEnvironment,
        cookie: PinCookie | None,
        workers: ServiceWorkers = _UNCONFIGURED,
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
                self.kind = PAGE  # as in ``_kind``; nearly every page
            else:
                self.kind = _kind(environ, mode, destination, workers)
        self.bucket, self.pin = ("", "") if cookie is None else cookie.read(environ.get("HTTP_COOKIE"), self.scheme)
        self.refused = ""

    @property
    def safe(self) -> bool:
        """Whether the method is safe: it may mint a bucket and set the cookie."""
        return self.method in SAFE_METHODS


def _kind(environ: WSGIEnvironment, mode: str | None, destination: str | None, workers: ServiceWorkers) -> Kind:
    """Return the first kind that fits, in the order of the design's table."""
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


def referer_path(environ: WSGIEnvironment) -> str:
    """Return the path that a request's Referer names, as ``PATH_INFO`` would have it here; "" if there is none."""
    referer: str = environ.get("HTTP_REFERER", "")
    # A longer URL is not worth remembering.
    path = _path_before(referer) if len(referer) < _LONG else path_of_url(referer)
    return path.removeprefix(environ.get("SCRIPT_NAME", ""))


def path_of_url(url: str) -> str:
    """Return the path of a URL, percent-decoded; "" if there is none."""
    # scheme://authority/path?query: everything but the path is left out without a parse that could raise.
    _, _, rest = url.partition("#")[0].partition("?")[0].partition("://")
    return unquoted(rest[rest.find("/") :]) if "/" in rest else ""


#: Remembers URLs: all that a page loads carries the same one.
_path_before: Final = lru_cache(maxsize=512)(path_of_url)


def is_script_request(environ: WSGIEnvironment) -> bool:
    """Return whether a request is for the script of a service worker itself."""
    return environ.get("HTTP_SEC_FETCH_DEST") == "serviceworker" or environ.get("HTTP_SERVICE_WORKER") == "script"


def is_for_html(request: Request) -> bool:
    """Return whether a request of a kind in ``SHOWING`` may be for HTML: for a tab, a frame, or a service worker."""
    environ = request.environ
    if request.kind == SERVICE_WORKER:
        return not is_script_request(environ)
    return (
        request.kind not in (SUBRESOURCE, CROSS_ORIGIN)
        or environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        or "text/html" in environ.get("HTTP_ACCEPT", "")
    )
