"""All known versions as one map: which file a path stands for, who has it, and where they disagree.

Made when the known versions change. Afterwards requests add to it what they ask for first (``Catalog.named``), which
changes no answer: the catalogs of several deployments share it. A deployment changes little (``Catalog.under``). The
garbage collector walks all of it while requests wait, so it is kept in few containers.
"""

from __future__ import annotations

import logging
from collections import Counter
from copy import copy
from functools import reduce
from heapq import nsmallest
from operator import or_
from typing import TYPE_CHECKING

from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.loading.media import is_source_map
from version_affinity.assets.rules.redirects import REWRITE, RedirectRules
from version_affinity.decision.service_workers import referer_path
from version_affinity.wire import merge_slashes

from .agreement import Agreement, agree, agreement, have_equal_rules
from .named_files import EVERYBODY, NamedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.assets.build import Build
    from version_affinity.assets.loading.asset import HeaderField
    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.counters import Tally

    #: What a version's fingerprinted files carry besides what describes them.
    Fields = tuple[tuple[HeaderField, ...], HeaderChanges | None]

logger = logging.getLogger("version_affinity")

_REPORTED = 5  # paths that a log line names, which is enough to find the cause


class Catalog:
    """The files of all known versions.

    Args:
        builds: Version id to its build, the newest last; None for a version that is a WSGI application.
        staged: The ids of versions that never had a share: they rescue nobody.
        live: The ids that have a share.
        prefix: The path under which the versions are served, with "/" at both ends.
        tallies: From a version's id to the counters of what is served by name.

    Attributes:
        builds: Version id to its build, applications left out.
        names: Request path of each file that is served by that name, to the bits of its owners.
        named: Of those, the files that have been asked for: made in advance, tens of thousands would hold requests up
            while a version becomes known, and at each garbage collection.
        guarded: Request path of each file that would be in ``names`` if a staged version did not have other bytes under
            that name, to the bits of the versions that have the same bytes as those with a share. A request that gets
            the staged version gets its file; all other requests are served by name.
        contested: The paths in builds of those of them to which the ``_headers`` of their owners give different fields:
            those of the newest live owner go to everybody.
        rescues: Path in a build to the version whose file serves those whose version lacks it.
        alike: The paths in builds at which every known version answers with a file of the same bytes and fields, rules
            of ``_redirects`` and what is served by name apart.
        differing: The paths in builds under which known versions have different bytes.
        collisions: The fingerprinted ones of them that differ between versions that have or had a share, without source
            maps: no page loads them.
        directories: The directories that builds have.
        disputed: The paths in builds at which some versions answer, and others leave it to the wrapped application.
        bits: Version id to its bit in ``NamedFile.owners``.
        ruled: Where several versions are known, the rules of all their ``_redirects`` as one; None without any.
    """

    __slots__ = (
        "_agreement",
        "_contested",
        "_deciding",
        "_guarded_files",
        "_lacking",
        "_prefix",
        "_ruled_differently",
        "_sole_owner",
        "_staged",
        "_tallies",
        "_uneven",
        "_voices",
        "alike",
        "bits",
        "builds",
        "collisions",
        "contested",
        "differing",
        "directories",
        "disputed",
        "guarded",
        "named",
        "names",
        "rescues",
        "ruled",
    )

    alike: Collection[str]

    def __init__(
        self,
        builds: Mapping[str, Build | None],
        *,
        staged: Collection[str],
        live: Collection[str],
        prefix: str,
        tallies: Callable[[str], Tally],
    ) -> None:
        self.bits = {version: 2 << position for position, version in enumerate(builds)}
        self.builds = {version: build for version, build in builds.items() if build is not None}
        self._sole_owner = {bit: version for version, bit in self.bits.items()}
        self._prefix = prefix
        self._tallies = {version: tallies(version) for version in builds}
        loaded = tuple(self.builds.values())
        self.directories = frozenset().union(*(build.index.directories for build in loaded))
        owners, self.differing = self._owners()
        fingerprinted = {path for build in loaded for path, asset in build.index.assets.items() if asset.fingerprinted}
        divided = fingerprinted & self.differing
        guarded, collisions = self._divide({path: owners[path] for path in divided}, staged)
        self.collisions = {path for path in collisions if not is_source_map(path)}
        # What serves by name asks for no version, and so for no version's protection. A staged version withholds
        # nothing from the others.
        protecting = [version for version, build in self.builds.items() if build.protection is not None]
        guards = [self.builds[version] for version in protecting if version not in staged]
        withheld = {path for path in fingerprinted for build in guards if build.is_protected(path)}
        by_name = fingerprinted - self.differing - withheld
        guarded = {path: held for path, held in guarded.items() if path not in withheld}
        self._contested = self._contests({path: owners[path] for path in by_name} | guarded)
        self.contested = self._contested.keys()
        everybody = sum(self.bits.values())
        self.names = {
            self._name(path): held | EVERYBODY if held == everybody else held
            for path, held in owners.items()
            if path in by_name
        }
        self.named: dict[str, NamedFile] = {}
        self.guarded = {self._name(path): held for path, held in guarded.items()}
        self._guarded_files: dict[str, NamedFile] = {}
        # What is served by name depends on whether these versions are staged.
        dividing = self._held_by(reduce(or_, (owners[path] for path in divided), 0))
        self._deciding = frozenset(protecting).union(dividing)
        self._lacking = {path: held for path, held in owners.items() if held != everybody and path not in by_name}
        if len(loaded) < len(builds):
            self._agreement = Agreement(frozenset(), frozenset())  # an application answers as it likes
        else:
            others = (path for path in owners if path not in by_name and path not in self.differing)
            self._agreement = agreement(loaded, others)
        answering = Counter(path for build in loaded for path in build.routes)
        disputed = {path for path, answers in answering.items() if answers < len(builds) and path not in by_name}
        # The mount without its slash redirects to its page.
        self.disputed = frozenset(disputed | {""} if "/" in disputed else disputed)
        ruled = [build for build in loaded if build.redirects is not None] if len(builds) > 1 else []
        every = [rule for build in ruled if build.redirects for rule in build.redirects.rules]
        rules = {(rule.source, rule.target): rule for rule in every}
        self.ruled = RedirectRules(rules.values()) if rules else None
        self._ruled_differently = tuple({_by_rules(build): build for build in ruled}.values())
        # A version that is an application answers at every path, and a single-page application every page.
        self._uneven = 0 < len(loaded) < len(builds) or len({build.document is None for build in loaded}) > 1
        self._uneven = self._uneven or (len(loaded) > 1 and bool(protecting))
        self._voices = self._heard(staged, live)
        self._settle(frozenset(staged))

    def under(self, staged: Collection[str], live: Collection[str]) -> Catalog:
        """Return the catalog under another deployment. What does not depend on that is not made anew.

        Args:
            staged: The ids of versions that never had a share.
            live: The ids that have a share.
        """
        if not self._deciding.isdisjoint(self._staged.symmetric_difference(staged)):
            versions = {version: self.builds.get(version) for version in self.bits}
            tallies = self._tallies.__getitem__
            return Catalog(versions, staged=staged, live=live, prefix=self._prefix, tallies=tallies)
        voices = self._heard(staged, live)
        if self._staged == frozenset(staged) and (self._voices == voices or not self._contested):
            return self
        other = copy(self)
        if self._contested and self._voices != voices:
            other.named = {}
            other._guarded_files = {}  # noqa: SLF001
        other._voices = voices  # noqa: SLF001 - of the same class, and not yet anybody's
        other._settle(frozenset(staged))  # noqa: SLF001
        return other

    def named_file(self, path: str, version: str = "") -> NamedFile | None:
        """Return the file that is served by a name to a request that gets a version; None where there is none.

        Args:
            path: The name, as in ``PATH_INFO``.
            version: The decided version, for which there are the ``guarded`` names too; "" before the decision.
        """
        named = self.named.get(path) or (self.make(path) if path in self.names else None)
        return self.guarded_file(path, version) if named is None and version else named

    def guarded_file(self, name: str, version: str) -> NamedFile | None:
        """Return the file that is served by one of ``guarded``; None for a version that has other bytes there."""
        owners = self.guarded.get(name)
        if owners is None:
            return None
        build = None if owners & self.bits.get(version, 0) else self.builds.get(version)
        if build is not None and f"/{name.removeprefix(self._prefix)}" in build.index.assets:
            return None
        made = self._guarded_files.get(name)
        if made is None:
            self._guarded_files[name] = made = self._made(name, owners)
        return made

    def make(self, name: str) -> NamedFile:
        """Return the file that is served by one of ``names``, made for good.

        Of two threads that make it at once, either's is right.
        """
        self.named[name] = made = self._made(name, self.names[name])
        return made

    def _made(self, name: str, owners: int) -> NamedFile:
        path = f"/{name.removeprefix(self._prefix)}"
        versions = self._held_by(owners)
        kept, changes = self._fields(next(voice for voice in self._voices if voice in versions), path)
        copies = [self.builds[version].index.assets[path] for version in versions]
        return NamedFile(versions[0], copies, owners, kept, changes, self._tallies[versions[0]])

    def _name(self, path: str) -> str:
        """Return the request path of a path in a build."""
        return path if self._prefix == "/" else self._prefix + path[1:]

    def _settle(self, staged: frozenset[str]) -> None:
        """Find out what depends on the deployment."""
        self._staged = staged
        self.rescues = self._rescues()
        always, rescued = self._agreement
        self.alike = frozenset().union(always, rescued.intersection(self.rescues)) if rescued else always

    def _heard(self, staged: Collection[str], live: Collection[str]) -> tuple[str, ...]:
        """Return the versions, first those whose ``_headers`` count where several have a fingerprinted file."""
        return tuple(
            sorted(
                self.builds,
                key=lambda version: (version in live, version not in staged, self.bits[version]),
                reverse=True,
            )
        )

    def _owners(self) -> tuple[dict[str, int], frozenset[str]]:
        """Return the bits of those who have the file at each path, and the paths at which its bytes differ."""
        owners: dict[str, int] = {}
        first: dict[str, Asset] = {}
        differing = set()
        for version, build in self.builds.items():
            bit = self.bits[version]
            for path, asset in build.index.assets.items():
                owners[path] = owners.get(path, 0) | bit
                if first.setdefault(path, asset).digest != asset.digest:
                    differing.add(path)
        return owners, frozenset(differing)

    def _divide(self, owners: Mapping[str, int], staged: Collection[str]) -> tuple[dict[str, int], list[str]]:
        """Return what differs from staged versions alone, to the bits of those that agree; and what collides.

        Args:
            owners: The fingerprinted names that stand for different bytes, to the bits of their owners.
            staged: The staged versions.
        """
        guarded = {}
        collisions = []
        for path, held in owners.items():
            copies = {version: self.builds[version].index.assets[path] for version in self._held_by(held)}
            shown = [asset for version, asset in copies.items() if version not in staged]
            if not any(asset.fingerprinted for asset in shown):
                continue
            if agree(shown):
                digest = shown[0].digest
                guarded[path] = sum(self.bits[version] for version, asset in copies.items() if asset.digest == digest)
            else:
                collisions.append(path)
        return guarded, collisions

    def _held_by(self, held: int) -> list[str]:
        """Return the versions of some bits, in their order."""
        return [version for version in self.builds if held & self.bits[version]]

    def _fields(self, version: str, path: str) -> Fields:
        build = self.builds[version]
        changes = build.changes_at(path, {})
        # A shared cache keeps what is served by name, and gives a cookie to everybody.
        return build.kept, None if changes is None else changes.cookieless

    def _contests(self, owners: Mapping[str, int]) -> dict[str, int]:
        """Return those of the files that carry other fields from one owner than from another."""
        builds = self.builds.values()
        if have_equal_rules(builds) and len({build.kept for build in builds}) <= 1:
            return {}
        contested = {}
        for path, held in owners.items():
            first, *others = (self._fields(version, path) for version in self._held_by(held))
            if any(fields != first for fields in others):
                contested[path] = held
        return contested

    def _rescues(self) -> dict[str, str]:
        able = sum(bit for version, bit in self.bits.items() if version not in self._staged)
        rescues = {}
        for path, held in self._lacking.items():
            versions = self._held_by(held & able)
            copies = [self.builds[version].index.assets[path] for version in versions]
            if copies and agree(copies) and not copies[0].is_html:
                rescues[path] = versions[0]
        return rescues

    def is_disputed(self, path: str, environ: WSGIEnvironment) -> bool:
        """Tell whether a path that the decided version leaves to the wrapped application is answered by another one.

        What the application answers there depends on the decision, so that no cache may give it to everybody.
        """
        if "//" in path:
            path = merge_slashes(path)
        if path in self.disputed or self._uneven:
            return True
        return self.is_ruled(path) and any(build.find(path, environ) is not None for build in self._ruled_differently)

    def is_ruled(self, path: str) -> bool:
        """Tell whether a rule of ``_redirects``, perhaps of one version alone, says what a path leads to."""
        return self.ruled is not None and self.ruled.match(path) is not None

    def referer_version(self, environ: WSGIEnvironment) -> str:
        """Return the version that a request's Referer proves: the one that has the fingerprinted file it names, or "".

        A nested import, an image in CSS and a font carry the importing file's URL as Referer, in every tab and without
        a cookie.
        """
        owners = self.names.get(referer_path(environ), 0)
        return self._sole_owner.get(owners & ~EVERYBODY, "")


def _by_rules(build: Build) -> Hashable:
    """Return a key that is equal for builds whose rules are for the same paths and show files of the same kind."""
    rules = build.redirects
    if rules is None:
        return None
    shown = [build.routes.get(path) for _, path in rules.shown()]
    if sum(rule.status == REWRITE for rule in rules.rules) > len(shown):
        return build.index.directory  # the request says which file is shown
    return rules.rules, tuple(at is not None and (not isinstance(at, Asset) or at.is_html) for at in shown)


def report(catalog: Catalog, before: Catalog | None = None) -> None:
    """Log, once, where known versions are at odds; what was so before was reported then."""
    _report(
        "%d fingerprinted names stand for different bytes in known versions, so the page pin decides whose are "
        "served and no cache may keep them: %s",
        catalog.collisions,
        () if before is None else before.collisions,
    )
    _report(
        "%d fingerprinted files have other fields in the _headers of one known version than of another; caches give "
        "one answer to everybody, so the newest version with a share decides: %s",
        catalog.contested,
        () if before is None else before.contested,
    )


def _report(message: str, paths: Collection[str], reported: Collection[str]) -> None:
    new = [path for path in paths if path not in reported]
    if new:
        told = ", ".join(map(repr, nsmallest(_REPORTED, new)))
        logger.warning(message, len(new), f"{told} ..." if len(new) > _REPORTED else told)
