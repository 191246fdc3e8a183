"""Who takes part, on the same files: a null app, WhiteNoise, Werkzeug's SharedDataMiddleware and this package.

``StaticAssets`` takes part alone too, as the static server of one build that the others are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from werkzeug.middleware.shared_data import SharedDataMiddleware
from whitenoise import WhiteNoise

from version_affinity import Cookie, Header, Releases, StaticAssets, Version, VersionAffinity
from version_affinity.assets.loading.memory import Memory
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

from .trees import FILMS, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity.assets.loading.asset import Asset

NULL = "null app"
WHITENOISE = "WhiteNoise"
SHARED_DATA = "SharedDataMiddleware"
ALONE = "StaticAssets alone"
#: This package with two versions that it follows in a releases directory.
FOLLOWING = "version_affinity, 2 versions, Releases"
#: The same two directories, each file with its own memory as there, given as a list.
LISTED = "version_affinity, 2 versions, the same as a list"

NAME = "storefront"
#: The affinity cookie of an application of that name, over plain http.
PIN_COOKIE = f"version-affinity-{NAME}"
#: The key header.
KEY_HEADER = "HTTP_X_USER_ID"
KEYS = (Cookie("session_id"), Header("X-User-Id"))
APP_FIRST = ("/api/*", "/account/*")

# Bytes of content that this package holds: more than the builds have, so no requested file is read from the disk.
_MEMORY = 1 << 30
# How many files of about 4 KiB a page loads. The requests of most rows cycle through them.
_FILES_OF_A_PAGE = 64
_ABOUT_4_KIB = range(2048, 8192)

PAGE = b"<!doctype html><title>Account</title><p>Rendered by the application."
DATA = b'{"items": [], "total": 0}'
_PAGE_LENGTH = str(len(PAGE))
_DATA_LENGTH = str(len(DATA))


def null_app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with next to nothing: the floor below every other time."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return (b"ok",)


def html_app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page, in no time."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", _PAGE_LENGTH)])
    return (PAGE,)


def json_app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with data, in no time."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", _DATA_LENGTH)])
    return (DATA,)


def ours(versions: int) -> str:
    """Return the name of this package as a contestant with a number of versions."""
    return f"version_affinity, {versions} version{'s' if versions > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """One application, bare and behind each contestant; the static servers have the files of "v1".

    Attributes:
        app: The application itself.
        lengths: The length of its body.
        others: Those that serve one build, by name: WhiteNoise, SharedDataMiddleware and ``StaticAssets`` alone.
        live: This package by its number of versions, of which one has 100 % and the others are retained.
        split: The same while two versions have 50 % each.
        even: The same while all versions have equal shares.
        disk: The same with one version, whose content stays on the disk like that of the others.
        followed: The one of ``split`` with two versions, but that it follows them in a releases directory, and one that
            has the same two directories listed, by name; none where there is no such directory.
    """

    app: WSGIApplication
    lengths: frozenset[int]
    others: dict[str, WSGIApplication]
    live: dict[int, VersionAffinity]
    split: dict[int, VersionAffinity]
    even: dict[int, VersionAffinity]
    disk: dict[int, VersionAffinity]
    followed: dict[str, VersionAffinity]


class Builds:
    """Builds in memory, and the contestants that serve them.

    Args:
        directories: The builds.
        numbers: How many of them take part, each number in a contestant of its own.
        releases: A directory to make, where two of them are uploaded and followed; None to leave that out.

    Attributes:
        versions: Version id to its build.
        numbers: As given.
    """

    def __init__(self, directories: Sequence[Path], numbers: Sequence[int], releases: Path | None = None) -> None:
        self._memory = Memory(_MEMORY)
        self.numbers = numbers
        self.versions = {
            directory.name: StaticAssets(directory, memory=self._memory) for directory in directories[: max(numbers)]
        }
        self._first = directories[0]
        self._unheld = StaticAssets(directories[0], memory=0)
        self._releases = releases
        self._followed: list[Releases] = []
        if releases is not None:
            uploads = ReleasesDirectory.init(releases, name=NAME)
            for directory in directories[:2]:
                upload(uploads, directory, id=directory.name)
            open_log(uploads).append({"v1": 50, "v2": 50}, expected=0)

    def close(self) -> None:
        """Follow nothing any more."""
        for releases in self._followed:
            releases.close()

    def wrap(self, app: WSGIApplication, length: int) -> Wrapped:
        """Return an application, whose body has this length, behind every contestant."""
        others: dict[str, WSGIApplication] = {
            WHITENOISE: WhiteNoise(app, root=str(self._first), index_file=True, immutable_file_test=r"/assets/"),
            SHARED_DATA: SharedDataMiddleware(app, {"/": str(self._first)}),
            ALONE: StaticAssets(self._first, app, memory=self._memory),
        }
        return Wrapped(
            app,
            frozenset({length}),
            others,
            {number: self._affinity(app, number, live=1) for number in self.numbers},
            {number: self._affinity(app, number, live=2) for number in self.numbers if number > 1},
            {number: self._affinity(app, number, live=number) for number in self.numbers if number > 1},
            dict.fromkeys(self.numbers, VersionAffinity(app, [Version("v1", self._unheld)], name=NAME)),
            {} if self._releases is None else self._following(app, self._releases),
        )

    def _following(self, app: WSGIApplication, directory: Path) -> dict[str, VersionAffinity]:
        """Return this package, following a releases directory, and with the same directories listed."""
        releases = Releases(directory)
        self._followed.append(releases)
        listed = [Version(version, directory / "versions" / version, 50) for version in ("v1", "v2")]
        return {
            FOLLOWING: VersionAffinity(app, releases, keys=KEYS, app_first=APP_FIRST, memory=_MEMORY),
            LISTED: VersionAffinity(app, listed, name=NAME, keys=KEYS, app_first=APP_FIRST, memory=_MEMORY),
        }

    def _affinity(self, app: WSGIApplication, number: int, *, live: int) -> VersionAffinity:
        """Return this package with a number of versions; some of them share the users, the others are retained."""
        known = [Version(version, build) for version, build in islice(self.versions.items(), number)]
        return VersionAffinity(
            app,
            known[:live],
            retained=known[live:],
            name=NAME,
            keys=KEYS,
            app_first=APP_FIRST,
        )

    def page_files(self, *, shared: bool) -> list[str]:
        """Return the paths of the fingerprinted files of a page of "v1": those that all versions share, or its own."""
        paths = (
            path for path, asset in self._fingerprinted() if asset.size in _ABOUT_4_KIB and self._shared(path) is shared
        )
        return list(islice(paths, _FILES_OF_A_PAGE))

    def shared_files(self) -> list[str]:
        """Return the paths of all fingerprinted files that all versions share."""
        return [path for path, _ in self._fingerprinted() if self._shared(path)]

    def texts(self) -> dict[str, int]:
        """Return the paths of files that have a compressed sibling, and the sibling's length."""
        folder = self._first / TEXTS
        return {f"/{TEXTS}/{file.stem}": file.stat().st_size for file in sorted(folder.glob("*.gz"))}

    def films(self) -> dict[str, int]:
        """Return the paths of files that are too large to be held in memory, and their lengths."""
        return {f"/{FILMS}/{file.name}": file.stat().st_size for file in sorted((self._first / FILMS).iterdir())}

    def _shared(self, path: str) -> bool:
        return all(path in build.index.assets for build in self.versions.values())

    def _fingerprinted(self) -> Iterator[tuple[str, Asset]]:
        assets = self.versions["v1"].index.assets
        rare = (f"/{TEXTS}/", f"/{FILMS}/")
        return (
            (path, asset)
            for path, asset in assets.items()
            if asset.fingerprinted and asset.data is not None and not path.startswith(rare)
        )

    def length(self, version: str, path: str) -> int:
        """Return the length of a version's file."""
        return self.versions[version].index.assets[path].size
