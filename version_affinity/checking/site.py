"""The paths of a version as browsers see them: what answers at each."""

from __future__ import annotations

from dataclasses import dataclass
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
_LOADED: Final = {"HTTP_SEC_FETCH_MODE": "cors", "HTTP_SEC_FETCH_DEST": "script"}
_SHOWN: Final = {"HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}
#: The reason where a file is missing.
NO_SUCH_FILE: Final = "the file does not exist"


class Answer(NamedTuple):
    """What answers at a path: the file of the version, if one does, and why it is not what a reference needs."""

    reason: str
    asset: Asset | None = None


_NOT_OURS: Final = Answer("")


@dataclass(eq=False)
class Site:
    """A version as browsers see it."""

    build: Build
    prefix: str  # with "/" at both ends
    is_apps: Callable[[str], bool]  # whether a path goes to the application before files
    directories: Collection[str]  # of all known versions
    origins: Origins

    def __post_init__(self) -> None:
        self.files = self.build.index.assets
        #: The prefix, percent-encoded.
        self.root = quoted_components(self.prefix)
        self._answers: dict[tuple[str, Need], Answer] = {}
        self._above: dict[str, tuple[str, ...]] = {}
        routes = reversed(self.build.routes.items())
        self._pages = {asset.path: path for path, asset in routes if isinstance(asset, Asset) and asset.is_html}

    def url_of(self, path: str) -> str:
        """Return the URL path of a file, or the one at which a page is shown."""
        return self._url(self._pages.get(path, path))

    def has_directory(self, url: str) -> bool:
        """Return whether a known version has files in the directory of a URL path, or in its parent."""
        path = self._below_prefix(request_path(url))
        return path is not None and self._is_in_build(path)

    def above(self, text: str) -> tuple[str, ...]:
        """Return the URL paths from which a relative URL leads into a directory of a known version."""
        inner = "/" + text[: text.rfind("/") + 1]
        if inner not in self._above:
            self._above[inner] = tuple(
                self._url(directory[: -len(inner)] + "/")
                for directory in sorted(self.directories, key=len)
                if len(inner) > 1 and directory.endswith(inner)
            )
        return self._above[inner]

    def redirect(self, url: str) -> str:
        """Return the path to which the version redirects requests for a URL path; "" if it does not."""
        found = self._look_up(url, _LOADED)
        return "" if found is None else self._target(found[1])

    def answer(self, url: str, need: Need) -> Answer:
        """Return what answers at a URL path, for a reference with a need."""
        if (url, need) not in self._answers:
            self._answers[url, need] = self._answer(url, need)
        return self._answers[url, need]

    def _answer(self, url: str, need: Need) -> Answer:
        for _ in range(_HOPS):
            found = self._look_up(url, _SHOWN if need is Need.PAGE else _LOADED)
            if found is None:
                return _NOT_OURS
            path, at, answered = found
            if isinstance(at, Asset):
                is_page = need is Need.FILE and at.is_html
                return Answer("an HTML page is there, not a script or style sheet" if is_page else "", at)
            target = self._target(at)
            if not target:
                return self._missing(path, need, answered)
            url = resolve(self.origins.local(target), url)
        return Answer("it redirects in a loop")

    def _target(self, at: At) -> str:
        """Return the URL to which a redirect leads; "" for anything else."""
        if isinstance(at, Redirect):
            return self._url(at.path)
        return at.location if isinstance(at, Redirected) else ""

    def _url(self, path: str) -> str:
        return self.root + quoted_components(path)[1:]

    def _below_prefix(self, path: str) -> str | None:
        """Return a path of a request as the build has it; None for one outside of the prefix."""
        if path.startswith(self.prefix):
            return path[len(self.prefix) - 1 :]
        return "" if path + "/" == self.prefix else None

    def _is_in_build(self, path: str) -> bool:
        directory = path[: path.rfind("/") + 1]
        above = directory[: directory.rfind("/", 0, -1) + 1]
        return directory in self.directories or (above != "/" and above in self.directories)

    def _look_up(self, url: str, headers: dict[str, str]) -> tuple[str, At, str] | None:
        """Return a URL path as the build has it, the file or redirect there, and what answers if there is neither.

        None if something other than the version answers.
        """
        whole = request_path(url)
        path = self._below_prefix(whole)
        if url == EXTERNAL or path is None or self.is_apps(whole):
            return None
        environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": whole, **headers}
        at = self.build.find(path, environ)
        if at is None:
            # A rule for hosts, or a document in place of a missing file, is not a file.
            at = self.build.stand_in(path, environ, self.directories)
            if isinstance(at, Found):
                return path, (at.target if isinstance(at.target, Redirect) else None), at.what
        if isinstance(at, Found):
            return path, (None if at.what == NO_FILE else at.target), at.what
        return path, at, ""

    def _missing(self, path: str, need: Need, answered: str) -> Answer:
        """Return the answer at a path without a file of the version."""
        if need is Need.CHUNK:
            is_own = self._is_in_build(path)
        elif need is Need.NAMED:
            directory, slash, name = path.rpartition("/")
            # In a directory of a tool every name counts as fingerprinted; a text may only look like a name.
            is_own = directory + slash in self.directories and is_fingerprinted(path) and has_hash(name)
        elif need is Need.PAGE:
            is_own = answered in (MISSING, NO_FILE)
        else:
            is_own = need is Need.FILE or answered != APP or is_media(path)
        if not is_own:
            return _NOT_OURS
        why = self.build.why_not_served(path)
        return Answer(f"it is not served, because {why}" if why else NO_SUCH_FILE)
