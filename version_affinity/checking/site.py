"""What answers at the paths of a version: its files as they are served, or what is not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.build import APP, MISSING, NO_FILE, Found
from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.loading.fingerprint import has_hash, is_fingerprinted
from version_affinity.assets.loading.media import is_media
from version_affinity.assets.routing import Redirect
from version_affinity.assets.rules.redirects import Redirected
from version_affinity.wire import quoted_components

from .references import EXTERNAL, Need, request_path, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from version_affinity.assets.build import At, Build

    from .origins import Origins

#: Redirects that browsers follow (Fetch standard, HTTP-redirect fetch).
_HOPS: Final = 20
_NOTHING: Final = "no file is there"
_LOADED: Final = {"HTTP_SEC_FETCH_MODE": "cors", "HTTP_SEC_FETCH_DEST": "script"}
_SHOWN: Final = {"HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}


class Answer(NamedTuple):
    """What answers at a path.

    Attributes:
        reason: Why it is not what is needed; "" where it is, or where something else than the version answers.
        asset: The file of the version that answers, if one does.
    """

    reason: str
    asset: Asset | None = None


class Site:
    """A version as browsers see it.

    Args:
        build: Its files.
        prefix: Where they are mounted, with "/" at both ends.
        is_apps: Whether a path goes to the application before any file is looked for.
        directories: The directories that the known versions have.
        origins: Those under which it is served.

    Attributes:
        root: The URL path of the mount.
        origins: Those under which it is served.
    """

    def __init__(
        self,
        build: Build,
        prefix: str,
        is_apps: Callable[[str], bool],
        directories: Collection[str],
        origins: Origins,
    ) -> None:
        self.origins: Final = origins
        self.root: Final = quoted_components(prefix)
        self._build = build
        self._prefix = prefix
        self._is_apps = is_apps
        self._directories = directories
        self._known: dict[tuple[str, Need], Answer] = {}
        self._above: dict[str, tuple[str, ...]] = {}
        self._pages = {
            asset.path: path
            for path, asset in reversed(build.routes.items())
            if isinstance(asset, Asset) and asset.is_html
        }

    def url_of(self, path: str) -> str:
        """Return the URL path of a file, or of the path at which a page is shown."""
        return self.root + quoted_components(self._pages.get(path, path))[1:]

    def has_directory(self, url: str) -> bool:
        """Tell whether a known version has files in the directory of a URL path, or in the one above."""
        path = self._below_mount(request_path(url))
        return path is not None and self._is_in_build(path)

    def above(self, text: str) -> tuple[str, ...]:
        """Return the URL paths from which a relative URL leads into a directory of a known version."""
        inner = "/" + text[: text.rfind("/") + 1]
        found = self._above.get(inner)
        if found is None:
            found = self._above[inner] = tuple(
                self.root + quoted_components(directory[: -len(inner)] + "/")[1:]
                for directory in sorted(self._directories, key=len)
                if len(inner) > 1 and directory.endswith(inner)
            )
        return found

    def _is_in_build(self, path: str) -> bool:
        directory = path[: path.rfind("/") + 1]
        above = directory[: directory.rfind("/", 0, -1) + 1]
        return directory in self._directories or (above != "/" and above in self._directories)

    def redirect(self, url: str) -> str:
        """Return the path to which the version redirects what loads a URL path; "" where it does not."""
        whole = request_path(url)
        path = self._below_mount(whole)
        if url == EXTERNAL or path is None or self._is_apps(whole):
            return ""
        at, _ = self._look_up(whole, path, _LOADED)
        if isinstance(at, Redirect):
            return self.root + quoted_components(at.path)[1:]
        return at.location if isinstance(at, Redirected) else ""

    def answer(self, url: str, need: Need) -> Answer:
        """Return what answers at a URL path, for a reference with a need."""
        found = self._known.get((url, need))
        if found is None:
            found = self._known[url, need] = self._answer(url, need)
        return found

    def _answer(self, url: str, need: Need) -> Answer:
        for _ in range(_HOPS):
            if url == EXTERNAL:
                return _OTHERS
            whole = request_path(url)
            path = self._below_mount(whole)
            if path is None or self._is_apps(whole):
                return _OTHERS
            at, answered = self._look_up(whole, path, _SHOWN if need is Need.PAGE else _LOADED)
            if isinstance(at, Redirect):
                url = self.root + quoted_components(at.path)[1:]
            elif isinstance(at, Redirected):
                url = resolve(self.origins.local(at.location), url)
            elif isinstance(at, Asset):
                is_page = need is Need.FILE and at.is_html
                return Answer("a page is there, no script or style sheet" if is_page else "", at)
            else:
                return self._missing(path, need, answered)
        return Answer("it redirects in a circle")

    def _below_mount(self, path: str) -> str | None:
        """Return a path of a request as the build knows it; None for one outside of the mount."""
        if path.startswith(self._prefix):
            return path[len(self._prefix) - 1 :]
        return "" if path + "/" == self._prefix else None

    def _look_up(self, whole: str, path: str, headers: dict[str, str]) -> tuple[At, str]:
        """Return what the build has at a path, and what answers where that is no file and no redirect."""
        environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": whole, **headers}
        at = self._build.find(path, environ)
        if at is None:
            # A rule for hosts, or a document in the place of what is missing, is no file.
            at = self._build.stand_in(path, environ, self._directories)
            if isinstance(at, Found):
                return (at.target if isinstance(at.target, Redirect) else None), at.what
        if isinstance(at, Found):
            return (None if at.what == NO_FILE else at.target), at.what
        return at, ""

    def _missing(self, path: str, need: Need, answered: str) -> Answer:
        """Return what is to be said of a path at which no file of the version is."""
        if need is Need.CHUNK:
            is_own = self._is_in_build(path)
        elif need is Need.NAMED:
            directory, slash, name = path.rpartition("/")
            # In a directory of a tool every name counts as fingerprinted; a text may just look like a name.
            is_own = directory + slash in self._directories and is_fingerprinted(path) and has_hash(name)
        elif need is Need.PAGE:
            is_own = answered in (MISSING, NO_FILE)
        else:
            is_own = need is Need.FILE or answered != APP or is_media(path)
        if not is_own:
            return _OTHERS
        why = self._build.why_not_served(path)
        return Answer(f"it is not served, because {why}" if why else _NOTHING)


_OTHERS: Final = Answer("")
