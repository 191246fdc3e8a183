"""The files of all known versions: who has which file, where versions differ, and which file stands in for another.

A catalog is made when the known versions change; a new deployment changes little of it (``Catalog.under``). Requests
add to ``Catalog.named`` only, which changes no answer. The garbage collector walks all of a catalog while requests
wait, so a catalog consists of few containers.
"""

from __future__ import annotations

import logging
from collections import Counter
from copy import copy
from functools import reduce
from heapq import nsmallest
from operator import or_
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.rules.redirects import RedirectRules
from version_affinity.assets.sending import VARY_ENCODING, Prepared
from version_affinity.decision.request import referer_path
from version_affinity.wire import merge_slashes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.assets.build import Build
    from version_affinity.assets.loading.asset import HeaderField
    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.counters import Tally

logger = logging.getLogger("version_affinity")

_REPORTED = 5  # paths that a log line names
#: The bit in ``NamedFile.owners`` of a file that every known version has. The versions' own bits follow.
IN_ALL_VERSIONS: Final = 1


class NamedFile(Prepared):
    """A fingerprinted file without collision: served by its name, to anyone, from any version that has it.

    There are tens of thousands of these, and the garbage collector walks them while requests wait, so each holds as few
    containers as possible.

    Attributes:
        copy: The copy that is prepared: one with compressed forms if there is any, else one in memory.
        others: The other versions' copies, all of equal bytes, in the same order.
        owners: A bit for each version that has it, and ``IN_ALL_VERSIONS`` when all have it.
        version: The version whose copy is served.
    """

    __slots__ = ("copy", "count_ok", "others", "owners", "tally", "version")

    def __init__(
        self,
        version: str,
        copies: Iterable[Asset],
        owners: int,
        kept: tuple[HeaderField, ...],
        changes: HeaderChanges | None,
        tally: Tally,
    ) -> None:
        self.copy, *others = sorted(copies, key=lambda copy: (not copy.variants, copy.data is None))
        self.others = tuple(others)
        super().__init__(self.copy, (*kept, VARY_ENCODING) if self.copy.variants else kept, changes)
        self.owners = owners
        self.version = version
        self.tally = tally
        self.count_ok = tally.count_success

    @property
    def copies(self) -> tuple[Asset, ...]:
        """All copies, the prepared one first."""
        return self.copy, *self.others


class Catalog:
    """The files of all known versions under one deployment. "Path" is a path in a build, "name" a request path.

    Attributes:
        bits: Version id to its bit in ``NamedFile.owners``.
        names: Name of each file that is served by that name to anyone, to the bits of the versions that have it.
        named: The files of ``names`` that were requested so far. Making all of them in advance would hold up requests.
        guarded: Names that would be in ``names`` if a staged version did not have other bytes there, to the bits of the
            versions with the common bytes. Requests that get the staged version get its file.
        collisions: Paths of fingerprinted files with different bytes in versions that have or had a share. Source maps
            are left out: no page loads them.
        conflicting_headers: Paths of files served by name for which the ``_headers`` of versions set different fields.
        rescues: Path to the version whose file is served to requests whose own version lacks the file.
        same_everywhere: Paths at which all versions answer with the same bytes and fields, apart from ``_redirects``.
        app_in_some_versions: Paths that some versions answer and others leave to the wrapped application.
        with_redirects: The rules of all ``_redirects`` as one, where several versions are known; None without any.
    """

    same_everywhere: Collection[str]

    def __init__(
        self,
        builds: Mapping[str, Build | None],  # the newest last; None for a version that is a WSGI application
        *,
        staged: Collection[str],  # never had a share
        live: Collection[str],
        prefix: str,
        tallies: Callable[[str], Tally],
    ) -> None:
        self.builds = {version: build for version, build in builds.items() if build is not None}
        self.bits = {version: 2 << position for position, version in enumerate(builds)}
        self._sole_owner = {bit: version for version, bit in self.bits.items()}
        self._prefix = prefix
        self._tallies = {version: tallies(version) for version in builds}
        self.directories = frozenset().union(*(build.index.directories for build in self.builds.values()))
        self.named: dict[str, NamedFile] = {}
        self._guarded_files: dict[str, NamedFile] = {}
        files = compare_files(self.builds, self.bits)
        self.different_bytes = files.different_bytes
        by_name = self._serve_by_name(files, staged)
        self._compare_answers(files, by_name)
        self._apply(frozenset(staged), self._by_preference(staged, live))

    def under(self, staged: Collection[str], live: Collection[str]) -> Catalog:
        """Return the catalog under another deployment. What the deployment does not change is shared."""
        if not self._deciding.isdisjoint(self._staged.symmetric_difference(staged)):
            builds = {version: self.builds.get(version) for version in self.bits}
            return Catalog(builds, staged=staged, live=live, prefix=self._prefix, tallies=self._tallies.__getitem__)
        preferred = self._by_preference(staged, live)
        if self._staged == frozenset(staged) and (self._preferred == preferred or not self.conflicting_headers):
            return self
        other = copy(self)
        other._apply(frozenset(staged), preferred)  # noqa: SLF001 - of the same class, and not in use yet
        return other

    # The steps of the constructor.

    def _serve_by_name(self, files: ComparedFiles, staged: Collection[str]) -> set[str]:
        """Find the files that are served by name; return the paths of ``names``."""
        # A file that is served by name needs no version, and so no version's password.
        protecting = [version for version, build in self.builds.items() if build.protection is not None]
        guards = [self.builds[version] for version in protecting if version not in staged]
        protected = {path for path in files.fingerprinted for build in guards if build.is_protected(path)}
        by_name = files.fingerprinted - self.different_bytes - protected
        divided = files.fingerprinted & self.different_bytes
        guarded: dict[str, int] = {}
        self.collisions: set[str] = set()
        for path in divided:
            copies = {
                version: self.builds[version].index.assets[path] for version in self._versions(files.owners[path])
            }
            shared = [asset for version, asset in copies.items() if version not in staged]
            if not any(asset.fingerprinted for asset in shared):
                continue
            if _have_equal_bytes(shared):
                if path not in protected:
                    same = (version for version, asset in copies.items() if asset.digest == shared[0].digest)
                    guarded[path] = sum(self.bits[version] for version in same)
            elif not path.endswith(".map"):  # only development tools load source maps
                self.collisions.add(path)
        all_bits = sum(self.bits.values())
        self.names = {
            self._name(path): held | IN_ALL_VERSIONS if held == all_bits else held
            for path, held in files.owners.items()
            if path in by_name
        }
        self.guarded = {self._name(path): held for path, held in guarded.items()}
        self.conflicting_headers = self._conflicts({path: files.owners[path] for path in by_name} | guarded)
        # What is served by name depends on whether these versions are staged.
        self._deciding = frozenset(protecting).union(
            self._versions(reduce(or_, (files.owners[path] for path in divided), 0))
        )
        return by_name

    def _compare_answers(self, files: ComparedFiles, by_name: Collection[str]) -> None:
        """Find where the answer does not depend on the version, and where only some versions answer."""
        builds = tuple(self.builds.values())
        has_applications = len(builds) < len(self.bits)
        all_bits = sum(self.bits.values())
        self._lacking = {path: held for path, held in files.owners.items() if held != all_bits and path not in by_name}
        others = (path for path in files.owners if path not in by_name and path not in self.different_bytes)
        self._same = (frozenset[str](), frozenset[str]()) if has_applications else same_answers(builds, others)
        answering = Counter(path for build in builds for path in build.routes)
        some = {path for path, answers in answering.items() if answers < len(self.bits) and path not in by_name}
        # The mount without its slash redirects to its page.
        self.app_in_some_versions = frozenset(some | {""} if "/" in some else some)
        self._redirecting = {build.redirect_key(): build for build in builds if build.redirects and len(self.bits) > 1}
        rules = [rule for build in self._redirecting.values() if build.redirects for rule in build.redirects.rules]
        once = {(rule.source, rule.target): rule for rule in rules}
        self.with_redirects = RedirectRules(once.values()) if once else None
        # An application as a version answers at every path, a single-page application every page.
        self._app_anywhere = (
            (has_applications and bool(builds))
            or len({build.document is None for build in builds}) > 1
            or (len(builds) > 1 and any(build.protection is not None for build in builds))
        )

    def _apply(self, staged: frozenset[str], preferred: Sequence[str]) -> None:
        """Find what depends on the deployment."""
        if self.conflicting_headers:
            self.named, self._guarded_files = {}, {}
        self._staged = staged
        self._preferred = preferred
        able = sum(bit for version, bit in self.bits.items() if version not in staged)
        self.rescues: dict[str, str] = {}
        for path, held in self._lacking.items():
            versions = self._versions(held & able)
            copies = [self.builds[version].index.assets[path] for version in versions]
            if copies and _have_equal_bytes(copies) and not copies[0].is_html:
                self.rescues[path] = versions[0]
        always, if_rescued = self._same
        self.same_everywhere = frozenset(always).union(if_rescued.intersection(self.rescues)) if if_rescued else always

    def _by_preference(self, staged: Collection[str], live: Collection[str]) -> list[str]:
        """Return the versions; of those that have a named file, the first decides on the fields of ``_headers``."""
        return sorted(
            self.builds,
            key=lambda version: (version in live, version not in staged, self.bits[version]),
            reverse=True,
        )

    def _conflicts(self, owners: Mapping[str, int]) -> set[str]:
        builds = list(self.builds.values())
        if have_equal_rules(builds) and len({build.kept for build in builds}) <= 1:
            return set()
        return {
            path
            for path, held in owners.items()
            if not _all_equal(self._header_fields(version, path) for version in self._versions(held))
        }

    # Files that are served by name.

    def named_file(self, name: str, version: str = "") -> NamedFile | None:
        """Return the file that is served by a name to a request that gets a version, "" before the decision."""
        named = self.named.get(name) or (self.make_named(name) if name in self.names else None)
        return self.guarded_file(name, version) if named is None and version else named

    def guarded_file(self, name: str, version: str) -> NamedFile | None:
        """Return the file of a name in ``guarded``; None if there is none, or the version has other bytes there."""
        owners = self.guarded.get(name)
        if owners is None:
            return None
        build = None if owners & self.bits.get(version, 0) else self.builds.get(version)
        if build is not None and self._path(name) in build.index.assets:
            return None
        made = self._guarded_files.get(name)
        if made is None:
            self._guarded_files[name] = made = self._made(name, owners)
        return made

    def make_named(self, name: str) -> NamedFile:
        """Return the file of a name in ``names``, and keep it. Two threads may both make it; either file is right."""
        self.named[name] = made = self._made(name, self.names[name])
        return made

    def _made(self, name: str, owners: int) -> NamedFile:
        path = self._path(name)
        versions = self._versions(owners)
        kept, changes = self._header_fields(next(version for version in self._preferred if version in versions), path)
        copies = [self.builds[version].index.assets[path] for version in versions]
        return NamedFile(versions[0], copies, owners, kept, changes, self._tallies[versions[0]])

    def _header_fields(self, version: str, path: str) -> tuple[tuple[HeaderField, ...], HeaderChanges | None]:
        build = self.builds[version]
        changes = build.changes_at(path, {})
        # A shared cache keeps what is served by name, and would give one user's cookie to all users.
        return build.kept, None if changes is None else changes.cookieless

    def _name(self, path: str) -> str:
        return path if self._prefix == "/" else self._prefix + path[1:]

    def _path(self, name: str) -> str:
        return f"/{name.removeprefix(self._prefix)}"

    def _versions(self, held: int) -> list[str]:
        return [version for version in self.builds if held & self.bits[version]]

    # Questions of requests.

    def is_answered_elsewhere(self, path: str, environ: WSGIEnvironment) -> bool:
        """Return whether some version answers a path that the decided version leaves to the wrapped application.

        The application's answer depends on the decision then, so no shared cache may keep it.
        """
        if "//" in path:
            path = merge_slashes(path)
        if path in self.app_in_some_versions or self._app_anywhere:
            return True
        if self.with_redirects is None or self.with_redirects.match(path) is None:
            return False
        return any(build.find(path, environ) is not None for build in self._redirecting.values())

    def has_redirect(self, path: str) -> bool:
        """Return whether a rule in the ``_redirects`` of any version matches a path."""
        return self.with_redirects is not None and self.with_redirects.match(path) is not None

    def referer_version(self, environ: WSGIEnvironment) -> str:
        """Return the only version that has the fingerprinted file that the Referer names; "" if there is none.

        Nested imports, images in CSS and fonts carry the importing file's URL as Referer, also without a cookie.
        """
        owners = self.names.get(referer_path(environ), 0)
        return self._sole_owner.get(owners & ~IN_ALL_VERSIONS, "")


class ComparedFiles(NamedTuple):
    """The files of several builds: path to the bits of the versions that have it, and the paths of some files."""

    owners: dict[str, int]
    different_bytes: frozenset[str]
    fingerprinted: set[str]


def compare_files(builds: Mapping[str, Build], bits: Mapping[str, int]) -> ComparedFiles:
    """Return the files of all builds, compared by their bytes."""
    owners: dict[str, int] = {}
    first: dict[str, Asset] = {}
    different = set()
    fingerprinted = set()
    for version, build in builds.items():
        bit = bits[version]
        for path, asset in build.index.assets.items():
            owners[path] = owners.get(path, 0) | bit
            if first.setdefault(path, asset).digest != asset.digest:
                different.add(path)
            if asset.fingerprinted:
                fingerprinted.add(path)
    return ComparedFiles(owners, frozenset(different), fingerprinted)


def same_answers(builds: Sequence[Build], files: Iterable[str]) -> tuple[Collection[str], frozenset[str]]:
    """Return the paths at which all builds answer alike, apart from ``_redirects``.

    Every build answers at the first of them; some do at the second, and a rescue answers for the others. ``files`` are
    the paths of files whose bytes are equal in all builds that have them.
    """
    if len(builds) == 1:
        return builds[0].routes, frozenset()
    rules_differ = not have_equal_rules(builds)
    if any(
        build.protection is not None  # a 404 in one version, a file in another
        or (rules_differ and build.header_rules is not None and build.header_rules.host_bound)
        for build in builds
    ):
        return frozenset(), frozenset()
    # Where a build shows a page, or redirects to one.
    pages = {path for build in builds for path, at in build.routes.items() if build.index.assets.get(path) is not at}
    always = {path for path in pages if _answer_alike(builds, path, rules_differ=rules_differ)}
    if_rescued: set[str] = set()
    for path in files:
        if path not in pages:
            owners = [build for build in builds if path in build.index.assets]
            if _answer_alike(owners, path, rules_differ=rules_differ):
                (always if len(owners) == len(builds) else if_rescued).add(path)
    return frozenset(always), frozenset(if_rescued)


def _answer_alike(builds: Sequence[Build], path: str, *, rules_differ: bool) -> bool:
    answers = (build.routes.get(path) for build in builds)
    shown = {(at.digest, at.content_type) if isinstance(at, Asset) else None for at in answers}
    if len(shown) > 1 or None in shown:
        return False
    return not rules_differ or _all_equal(build.changes_at(path, {}) for build in builds)


def have_equal_rules(builds: Iterable[Build]) -> bool:
    """Return whether the ``_headers`` of builds are the same."""
    return len({() if build.header_rules is None else build.header_rules.rules for build in builds}) <= 1


def _have_equal_bytes(copies: Collection[Asset]) -> bool:
    return len({asset.digest for asset in copies}) == 1


def _all_equal(values: Iterable[object]) -> bool:
    first, *others = values
    return all(value == first for value in others)


def report(catalog: Catalog, before: Catalog | None = None) -> None:
    """Log where known versions conflict, except what the catalog before reported."""
    collisions = (
        "%d fingerprinted %s different bytes in known versions, so each page gets its own version's file and "
        "no shared cache may keep it: %s"
    )
    conflicts = (
        "%d fingerprinted %s different header fields in the _headers of known versions. A shared cache gives "
        "one answer to everybody, so the newest version with a share decides: %s"
    )
    found = (collisions, catalog.collisions), (conflicts, catalog.conflicting_headers)
    reported = (set[str](), set[str]()) if before is None else (before.collisions, before.conflicting_headers)
    for (message, paths), known in zip(found, reported, strict=True):
        if new := paths - known:
            listed = ", ".join(map(repr, nsmallest(_REPORTED, new)))
            have = "name has" if len(new) == 1 else "names have"
            logger.warning(message, len(new), have, f"{listed} ..." if len(new) > _REPORTED else listed)
