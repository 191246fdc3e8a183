"""Which requests decide the next page: those of service workers, and polls for a new version.

A service worker keeps pages for later, and a page that polls reloads itself when the answer changes. The page pin must
not answer them: the browser would stay on its version for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.app_first import compiled
from version_affinity.wire import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.app_first import Patterns

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
    (
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
    )
)

_SCRIPTS: Final = frozenset(("script", "worker", "serviceworker"))


class ServiceWorkers:
    """Recognises the requests of service workers and the polls of pages. Immutable.

    Args:
        unpinned: The paths, as in ``PATH_INFO``, that the pin must not answer.
        listed: The paths of workers' scripts, by configuration; None: by ``USUAL_NAMES`` and ``found``.
        found: The paths of scripts in builds that handle a service worker's events.
    """

    __slots__ = ("_beginnings", "_end", "_endings", "_found", "_is_listed", "_is_unpinned", "_names", "_start")

    def __init__(self, unpinned: Patterns, listed: Patterns | None = None, found: Iterable[str] = ()) -> None:
        self._is_unpinned = unpinned.match
        # As many characters as the shortest has: a look-up for each end of a path tells that nearly none matches.
        start, end = (min(map(len, parts), default=0) for parts in (unpinned.prefixes, unpinned.endings))
        self._start, self._beginnings = slice(start), frozenset(prefix[:start] for prefix in unpinned.prefixes)
        self._end = slice(-end, None) if end else slice(0)
        self._endings = frozenset(ending[self._end] for ending in unpinned.endings)
        self._is_listed = None if listed is None else listed.match
        self._found = frozenset(found)
        self._names = USUAL_NAMES | {path[path.rfind("/") + 1 :] for path in self._found}

    def ask(self, environ: WSGIEnvironment, mode: str | None, destination: str | None, path: str) -> bool:
        """Tell whether a request that is not for a page decides the next page.

        Args:
            environ: The request.
            mode: Its Sec-Fetch-Mode.
            destination: Its Sec-Fetch-Dest.
            path: Its path, as in ``PATH_INFO``.
        """
        # First what nearly every request lacks.
        if (path[self._end] in self._endings or path[self._start] in self._beginnings) and self._is_unpinned(path):
            return True
        if destination == "serviceworker" or ("HTTP_SERVICE_WORKER" in environ and is_script_request(environ, None)):
            return True
        if "HTTP_REFERER" not in environ or (mode != "cors" and destination not in _SCRIPTS):
            return False
        referer = environ["HTTP_REFERER"]
        return ("js" in referer or "%" in referer or self._is_listed is not None) and self._is_worker(environ, referer)

    def _is_worker(self, environ: WSGIEnvironment, referer: str) -> bool:
        """Tell whether the Referer of a request is a service worker's script."""
        if self._is_listed is not None:
            return self._is_listed(referer_path(environ))
        name = referer.partition("?")[0].rpartition("/")[2]
        if name not in self._names and "%" not in name:  # nearly every script
            return False
        path = referer_path(environ)
        return path in self._found or path[path.rfind("/") + 1 :] in USUAL_NAMES


def is_script_request(environ: WSGIEnvironment, destination: str | None) -> bool:
    """Tell whether a request is for the script of a service worker itself."""
    return destination == "serviceworker" or environ.get("HTTP_SERVICE_WORKER") == "script"


def referer_path(environ: WSGIEnvironment) -> str:
    """Return the path that a request's Referer names, as ``PATH_INFO`` would have it here; "" where it has none."""
    # scheme://authority/path?query: everything but the path is left out without a parse that could raise.
    _, _, rest = environ.get("HTTP_REFERER", "").partition("#")[0].partition("?")[0].partition("://")
    path = unquoted(rest[rest.find("/") :]) if "/" in rest else ""
    return path.removeprefix(environ.get("SCRIPT_NAME", ""))


def configured(
    prefix: str, unpinned: Iterable[str] | None, service_workers: Iterable[str] | None
) -> Callable[[Iterable[str]], ServiceWorkers]:
    """Return the function from the workers' scripts that builds have to the ``ServiceWorkers``.

    Args:
        prefix: The path under which the versions are served, with "/" at both ends.
        unpinned: Patterns of paths that the pin must not answer; None: ``UNPINNED``, below the prefix.
        service_workers: Patterns of the paths of workers' scripts; None: ``USUAL_NAMES`` and what is found.

    Raises:
        ConfigurationError: a pattern that cannot be used.
    """
    polled = compiled(UNPINNED, "unpinned").below(prefix) if unpinned is None else compiled(unpinned, "unpinned")
    listed = None if service_workers is None else compiled(service_workers, "service_workers")
    return lambda found: ServiceWorkers(polled, listed, found)


#: As they are without configuration, and without builds.
DEFAULT: Final = ServiceWorkers(compiled(UNPINNED, "unpinned"))
