"""All known versions as one map: which file a path stands for, who has it, and where they disagree.

Made when the known versions change, never on a request, and immutable afterwards.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from .assets.response import IMMUTABLE
from .keys import wire_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.index import Asset
    from .assets.static import StaticAssets
    from .counters import Counter

logger = logging.getLogger("version_affinity")

#: In ``NamedFile.owners``, that every known version has the file. The versions' own bits follow.
EVERYBODY = 1


class NamedFile:
    """A fingerprinted file without collision: served by its name, to anyone, from whichever version has it.

    Attributes:
        copies: Its copies, all of equal bytes.
        owners: A bit for each version that has it, and ``EVERYBODY`` when all have.
        version: The version whose copy is served.
        asset: The copy whose content is sent: one that is held in memory, where there is one.
        headers: Those of a 200.
        not_modified_headers: Those of a 304.
        body: The content as a WSGI body, None for a file that is not in memory.
        count_ok: Counts a 200. ``count_not_modified`` counts a 304.
    """

    __slots__ = (
        "asset",
        "body",
        "copies",
        "count_not_modified",
        "count_ok",
        "headers",
        "not_modified_headers",
        "owners",
        "version",
    )

    def __init__(
        self,
        version: str,
        copies: tuple[Asset, ...],
        owners: int,
        counters: tuple[Counter, Counter],
    ) -> None:
        self.asset = next((copy for copy in copies if copy.data is not None), copies[0])
        self.copies = copies
        self.owners = owners
        self.version = version
        self.headers = [*self.asset.headers, IMMUTABLE]
        self.not_modified_headers = [("ETag", self.asset.etag), IMMUTABLE]
        self.body = None if self.asset.data is None else (self.asset.data,)
        served, not_modified = counters
        self.count_ok = served.advance
        self.count_not_modified = not_modified.advance


class Catalog:
    """The files of all known versions.

    Args:
        builds: Version id to its build; None for a version that is a WSGI application.
        staged: The ids that only an override reaches: they rescue nobody.
        prefix: The path under which the versions are served, with "/" at both ends.
        counters: From a version's id to the counters of a 200 and a 304 served by name.

    Attributes:
        named: Request path to the file that is served by that name.
        rescues: Path in a build to the version and file that serves those whose version lacks it.
        differing: The paths in builds under which known versions have different bytes.
        collisions: Those of them that carry a fingerprint.
        directories: The directories that builds have.
        bits: Version id to its bit in ``NamedFile.owners``.
    """

    __slots__ = ("_sole_owner", "bits", "collisions", "differing", "directories", "named", "rescues")

    def __init__(
        self,
        builds: Mapping[str, StaticAssets | None],
        *,
        staged: Collection[str],
        prefix: str,
        counters: Callable[[str], tuple[Counter, Counter]],
    ) -> None:
        self.bits = {version: 2 << position for position, version in enumerate(builds)}
        self._sole_owner = {bit: version for version, bit in self.bits.items()}
        copies = _copies_by_path(builds)
        self.differing = frozenset(path for path, owned in copies.items() if not _agree(owned.values()))
        self.directories = frozenset().union(
            *(build.index.directories for build in builds.values() if build is not None)
        )
        self.named: dict[str, NamedFile] = {}
        self.rescues: dict[str, tuple[str, Asset]] = {}
        collisions = []
        counters_by_version = {version: counters(version) for version in builds}
        for path, owned in copies.items():
            fingerprinted = any(asset.fingerprinted for asset in owned.values())
            if fingerprinted and path not in self.differing:
                version = next(iter(owned))
                everybody = EVERYBODY if len(owned) == len(builds) else 0
                self.named[prefix + path[1:]] = NamedFile(
                    version,
                    tuple(owned.values()),
                    sum(self.bits[owner] for owner in owned) | everybody,
                    counters_by_version[version],
                )
                continue
            if fingerprinted:
                collisions.append(path)
            if len(owned) < len(builds):
                able = {version: asset for version, asset in owned.items() if version not in staged}
                if able and _agree(able.values()) and not next(iter(able.values())).is_html:
                    self.rescues[path] = next(iter(able.items()))
        self.collisions = tuple(sorted(collisions))

    def referer_version(self, environ: WSGIEnvironment) -> str:
        """Return the version that a request's Referer proves: the one that has the fingerprinted file it names, or "".

        A nested import, an image in CSS and a font carry the importing file's URL as Referer, in every tab and without
        a cookie.
        """
        # scheme://authority/path?query: everything but the path is left out without a parse that could raise.
        _, _, rest = environ["HTTP_REFERER"].partition("#")[0].partition("?")[0].partition("://")
        path = rest[rest.find("/") :] if "/" in rest else ""
        if "%" in path:
            path = unquote_to_bytes(wire_bytes(path)).decode("latin-1")
        file = self.named.get(path.removeprefix(environ.get("SCRIPT_NAME", "")))
        return "" if file is None else self._sole_owner.get(file.owners & ~EVERYBODY, "")


def _copies_by_path(builds: Mapping[str, StaticAssets | None]) -> dict[str, dict[str, Asset]]:
    copies: dict[str, dict[str, Asset]] = {}
    for version, build in builds.items():
        if build is not None:
            for path, asset in build.index.assets.items():
                copies.setdefault(path, {})[version] = asset
    return copies


def _agree(copies: Collection[Asset]) -> bool:
    """Tell whether copies of a file have equal bytes."""
    return len(copies) == 1 or len({asset.digest for asset in copies}) == 1


def report_collisions(collisions: Iterable[str], reported: Collection[str] = ()) -> None:
    """Log, once, the fingerprinted names that stand for different bytes."""
    new = sorted(set(collisions).difference(reported))
    if new:
        logger.warning(
            "%d fingerprinted names stand for different bytes in known versions, so the page pin decides whose are "
            "served and no cache may keep them: %s%s",
            len(new),
            ", ".join(map(repr, new[:5])),
            " ..." if len(new) > 5 else "",  # noqa: PLR2004 - enough to find the cause
        )
