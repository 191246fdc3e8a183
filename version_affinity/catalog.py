"""All known versions as one map: which file a path stands for, who has it, and where they disagree.

Made when the known versions change, never on a request, and immutable afterwards.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from .assets.prepared import Prepared
from .assets.sending import VARY_ENCODING
from .assets.spelling import canonical
from .keys import wire_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.asset import Asset, Header
    from .assets.build import Build
    from .assets.header_changes import HeaderChanges
    from .counters import Tally

logger = logging.getLogger("version_affinity")

#: In ``NamedFile.owners``, that every known version has the file. The versions' own bits follow.
EVERYBODY = 1


class NamedFile(Prepared):
    """A fingerprinted file without collision: served by its name, to anyone, from whichever version has it.

    Attributes:
        copies: Its copies, all of equal bytes, first those with compressed forms, then those in memory. What is
            prepared is of the first one.
        owners: A bit for each version that has it, and ``EVERYBODY`` when all have.
        version: The version whose copy is served.
        tally: Counts the answers by the first digit of their status. ``count_ok`` counts a 200.
    """

    __slots__ = ("copies", "count_ok", "owners", "tally", "version")

    def __init__(
        self,
        version: str,
        copies: tuple[Asset, ...],
        owners: int,
        kept: tuple[Header, ...],
        changes: HeaderChanges | None,
        tally: Tally,
    ) -> None:
        self.copies = tuple(sorted(copies, key=_preference))
        varying = (VARY_ENCODING,) if any(copy.variants for copy in copies) else ()
        super().__init__(self.copies[0], (*kept, *varying), changes)
        self.owners = owners
        self.version = version
        self.tally = tally
        self.count_ok = tally["2"].advance


def _preference(copy: Asset) -> tuple[bool, bool]:
    return not copy.variants, copy.data is None


class Catalog:
    """The files of all known versions.

    Args:
        builds: Version id to its build; None for a version that is a WSGI application.
        staged: The ids that only an override reaches: they rescue nobody.
        prefix: The path under which the versions are served, with "/" at both ends.
        tallies: From a version's id to the counters of what is served by name.

    Attributes:
        named: Request path to the file that is served by that name.
        rescues: Path in a build to the version and file that serves those whose version lacks it.
        differing: The paths in builds under which known versions have different bytes.
        collisions: Those of them that carry a fingerprint.
        directories: The directories that builds have.
        disputed: The paths in builds at which some versions answer, and others leave it to the wrapped application.
        bits: Version id to its bit in ``NamedFile.owners``.
        ruled: Where several versions are known, the builds that have rules of ``_redirects``.
    """

    __slots__ = (
        "_builds",
        "_respelt",
        "_sole_owner",
        "_uneven",
        "bits",
        "collisions",
        "differing",
        "directories",
        "disputed",
        "named",
        "rescues",
        "ruled",
    )

    def __init__(
        self,
        builds: Mapping[str, Build | None],
        *,
        staged: Collection[str],
        prefix: str,
        tallies: Callable[[str], Tally],
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
        tally_of = {version: tallies(version) for version in builds}
        for path, owned in copies.items():
            fingerprinted = any(asset.fingerprinted for asset in owned.values())
            if fingerprinted and path not in self.differing:
                version = next(iter(owned))
                build = builds[version]
                assert build is not None  # noqa: S101 - it has the file
                everybody = EVERYBODY if len(owned) == len(builds) else 0
                changes = build.changes_at(path, {})
                self.named[prefix + path[1:]] = NamedFile(
                    version,
                    tuple(owned.values()),
                    sum(self.bits[owner] for owner in owned) | everybody,
                    build.kept,
                    # A shared cache keeps it, and gives a cookie to everybody.
                    None if changes is None else changes.cookieless,
                    tally_of[version],
                )
                continue
            if fingerprinted:
                collisions.append(path)
            if len(owned) < len(builds):
                able = {version: asset for version, asset in owned.items() if version not in staged}
                if able and _agree(able.values()) and not next(iter(able.values())).is_html:
                    self.rescues[path] = next(iter(able.items()))
        self.collisions = tuple(sorted(collisions))
        loaded = [build for build in builds.values() if build is not None]
        answering = Counter(path for build in loaded for path in build.routes)
        disputed = {
            path for path, answers in answering.items() if answers < len(builds) and prefix + path[1:] not in self.named
        }
        # The mount without its slash redirects to its page.
        self.disputed = frozenset(disputed | {""} if "/" in disputed else disputed)
        # A segment that is no percent-encoded UTF-8 may stand for a name with a percent sign in it.
        self._respelt = any("%" in path for path in disputed)
        self._builds = tuple(loaded)
        self.ruled = tuple(build for build in loaded if build.redirects is not None) if len(builds) > 1 else ()
        # A version that is an application answers at every path, and a single-page application every page.
        self._uneven = 0 < len(loaded) < len(builds) or len({build.document is None for build in loaded}) > 1

    def is_disputed(self, path: str, environ: WSGIEnvironment) -> bool:
        """Tell whether a path that the decided version leaves to the wrapped application is answered by another one.

        What the application answers there depends on the decision, so that no cache may give it to everybody.
        """
        if path in self.disputed or self._uneven:
            return True
        # Where a rule may lead, or another spelling.
        if self.ruled or self._respelt or "//" in path:
            return any(build.find(path, environ) is not None for build in self._builds)
        return False

    def is_ruled(self, path: str) -> bool:
        """Tell whether a rule of ``_redirects``, perhaps of one version alone, says what a path leads to."""
        spelt = canonical(path)
        return any(build.redirects and build.redirects.match(spelt) is not None for build in self.ruled)

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


def _copies_by_path(builds: Mapping[str, Build | None]) -> dict[str, dict[str, Asset]]:
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
