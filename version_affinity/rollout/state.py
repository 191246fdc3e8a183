"""The state that a request reads: the known versions, the deployment, and what follows from both.

A state never changes; ``deploy``, ``add`` and ``retire`` return the next one, and the middleware swaps it in with one
assignment under running requests.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from version_affinity.assets.static import StaticAssets
from version_affinity.counters import LimitedLog
from version_affinity.decision.decider import Decider
from version_affinity.deployment import Deployment
from version_affinity.errors import ConfigurationError
from version_affinity.responses.applications import EXCHANGE

from .catalog import Catalog
from .named_files import EVERYBODY
from .version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from version_affinity.assets.build import Build
    from version_affinity.counters import Tally
    from version_affinity.decision.cookies import PinCookie
    from version_affinity.decision.keys import KeySource
    from version_affinity.decision.overrides import Overrides
    from version_affinity.decision.service_workers import ServiceWorkers

    from .source import Snapshot


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same from state to state.

    Attributes:
        keys: The key sources.
        overrides: Reads the override headers.
        cookie: The affinity cookie, None when it is switched off.
        workers: From the paths of the service workers' scripts that builds have to what recognises their requests.
        prefix: The path under which the versions are served, with "/" at both ends.
        tally_by_name: From a version's id to the counters of what is served by name.
        log_key_error: Reports a key source that failed.
        faulty_tags: Reports a mistake in the use of a template's functions.
        late_tags: Reports, once, that they were used too late.
        exchange_key: Where the environ holds this front end's ``Exchange``. Two around one application differ in
            prefix.
    """

    keys: tuple[KeySource, ...]
    overrides: Overrides
    cookie: PinCookie | None
    workers: Callable[[Iterable[str]], ServiceWorkers]
    prefix: str
    tally_by_name: Callable[[str], Tally]
    log_key_error: Callable[[str, Exception], None]
    faulty_tags: LimitedLog = field(default_factory=lambda: LimitedLog(logging.ERROR))
    late_tags: LimitedLog = field(default_factory=lambda: LimitedLog(logging.WARNING, burst=1, seconds=math.inf))
    exchange_key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exchange_key", f"{EXCHANGE}:{self.prefix}")

    def local(self, path: str) -> str | None:
        """Return a request path as one inside a version, "" for the prefix without its last "/", None outside."""
        if path.startswith(self.prefix):
            return path[len(self.prefix) - 1 :]
        return "" if path == self.prefix[:-1] else None


@dataclass(frozen=True, slots=True)
class State:
    """The known versions under one deployment.

    Attributes:
        settings: What stays the same.
        versions: The known versions by id, in the order in which they became known; directories loaded.
        deployment: The percentages.
        complete: The version that last had 100 %, None when none had.
        published: The ids that have had a share or were retained at the start: their pages are out there. One that
            is known and not among them is staged: it rescues nobody, and templates name none of its files.
        builds: Version id to its build, None for a version that is a WSGI application.
        catalog: The files of all known versions.
        workers: Recognises requests that decide the next page.
        decider: Decides requests.
        pins: Version id to what our cookie says of a page of it.
        settled: The bits of the owners for which a file served by name is no rescue, whoever asks.
    """

    settings: Settings
    versions: Mapping[str, Version]
    deployment: Deployment
    complete: str | None
    published: frozenset[str]
    catalog: Catalog
    #: The version of the pages that were loaded before the split began.
    baseline: str = field(init=False)
    builds: Mapping[str, Build | None] = field(init=False)
    workers: ServiceWorkers = field(init=False)
    decider: Decider = field(init=False)
    pins: Mapping[str, str] = field(init=False)
    settled: int = field(init=False)

    def __post_init__(self) -> None:
        settings, catalog = self.settings, self.catalog
        object.__setattr__(self, "builds", _builds(self.versions))
        only = self.deployment.only
        object.__setattr__(self, "baseline", self.complete or _largest(self.deployment))
        object.__setattr__(self, "settled", EVERYBODY | (catalog.bits[only] if only is not None else 0))
        # A pin is honoured for every known version: a process that is behind knows less of the deployment than the
        # browser that brings it.
        cookie = settings.cookie
        values = {version: (version,) if cookie is None else cookie.values(version) for version in self.versions}
        object.__setattr__(self, "pins", {version: accepted[-1] for version, accepted in values.items()})
        object.__setattr__(self, "workers", settings.workers(self._worker_paths()))
        decider = Decider(
            self.deployment,
            known=frozenset(self.versions),
            pins={pin: version for version, accepted in values.items() for pin in accepted if cookie is not None},
            baseline=self.baseline,
            keys=settings.keys,
            overrides=settings.overrides,
            cookie_label="" if cookie is None else f"cookie:{cookie.name}",
            referer_version=catalog.referer_version,
            log=settings.log_key_error,
        )
        object.__setattr__(self, "decider", decider)

    def _worker_paths(self) -> Iterator[str]:
        """Yield the request paths of the service workers' scripts that builds have."""
        for build in self.builds.values():
            if build is not None:
                yield from (self.settings.prefix + path[1:] for path in build.index.workers)

    @classmethod
    def first(
        cls,
        settings: Settings,
        deployment: Deployment,
        versions: Mapping[str, Version],
        retained: frozenset[str],
    ) -> State:
        """Return the state that an application starts in."""
        published = retained | _live(deployment)
        catalog = _catalog(settings, versions, published, deployment)
        return cls(settings, versions, deployment, deployment.only, published, catalog)

    @classmethod
    def of(cls, settings: Settings, snapshot: Snapshot, before: State | None) -> State:
        """Return the state that a source's snapshot describes.

        Args:
            settings: What stays the same.
            snapshot: The versions and the deployment.
            before: The state until now, None at the start. Where the files are the same, its catalog is kept; else
                nothing follows from it.
        """
        versions, deployment, complete, published = snapshot
        if before is not None and list(before.versions.values()) == list(versions.values()):
            catalog = before.catalog.under(frozenset(versions) - published, _live(deployment))
        else:
            catalog = _catalog(settings, versions, published, deployment)
        return cls(settings, versions, deployment, complete, published, catalog)

    def deploy(self, percentages: Mapping[str, float | None]) -> State:
        """Return the state under other percentages. Opens no file.

        Raises:
            ConfigurationError: percentages that cannot be used, or an id that is not known.
        """
        deployment = Deployment(self.deployment.name, percentages, revision=self.deployment.revision + 1)
        for version in deployment.percentages:
            self._check_known(version, "add it first: affinity.add(Version(...))")
        published = self.published | _live(deployment)
        catalog = self.catalog.under(frozenset(self.versions) - published, _live(deployment))
        complete = deployment.only or self.complete
        return replace(self, deployment=deployment, complete=complete, published=published, catalog=catalog)

    def check_new(self, version: Version) -> None:
        """Check that a version may be added, before its directory is read.

        Raises:
            ConfigurationError: it is no version, its id is known already, or it asks for a share.
        """
        if not isinstance(version, Version):
            raise ConfigurationError(f"{version!r} is no Version: write add(Version('v3', 'builds/v3'))")
        if version.id in self.versions:
            raise ConfigurationError(
                f"version {version.id!r} is known already, and a version never changes: give the new build a new id",
            )
        if version.percentage is not None:
            raise ConfigurationError(
                f"percentage={version.percentage!r} of version {version.id!r} has no effect in add(): leave it out, "
                "and deploy() the percentages of all versions",
            )

    def add(self, version: Version) -> State:
        """Return the state in which one more version, whose directory is loaded, is known. It has no share yet."""
        versions = {**self.versions, version.id: version}
        catalog = _catalog(self.settings, versions, self.published, self.deployment)
        return replace(self, versions=versions, catalog=catalog)

    def refreshed(self) -> State:
        """Return the state after the directories of versions have changed, as they do in development."""
        return replace(self, catalog=_catalog(self.settings, self.versions, self.published, self.deployment))

    def retire(self, version: str) -> State:
        """Return the state in which a version is no longer known.

        Raises:
            ConfigurationError: it is not known, or is in the deployment.
        """
        self._check_known(version, "nothing is to be retired")
        if version in self.deployment.percentages:
            raise ConfigurationError(
                f"version {version!r} is in the deployment with {self.deployment.percentages[version]:g} %: "
                "deploy() without it before you retire it",
            )
        versions = {known: kept for known, kept in self.versions.items() if known != version}
        published = self.published - {version}
        complete = None if self.complete == version else self.complete
        catalog = _catalog(self.settings, versions, published, self.deployment)
        return replace(self, versions=versions, published=published, complete=complete, catalog=catalog)

    def _check_known(self, version: str, remedy: str) -> None:
        if not isinstance(version, str) or version not in self.versions:
            raise ConfigurationError(
                f"version {version!r} is not known (known are {', '.join(self.versions)}): {remedy}",
            )


def _builds(versions: Mapping[str, Version]) -> dict[str, Build | None]:
    return {
        version.id: version.app.build if isinstance(version.app, StaticAssets) else None
        for version in versions.values()
    }


def _catalog(
    settings: Settings, versions: Mapping[str, Version], published: frozenset[str], deployment: Deployment
) -> Catalog:
    return Catalog(
        _builds(versions),
        staged=frozenset(versions) - published,
        live=_live(deployment),
        prefix=settings.prefix,
        tallies=settings.tally_by_name,
    )


def _live(deployment: Deployment) -> frozenset[str]:
    return frozenset(version for version, percentage in deployment.percentages.items() if percentage > 0)


def _largest(deployment: Deployment) -> str:
    """Return the version with the largest share, the first listed on a tie."""
    return max(deployment.percentages, key=lambda version: deployment.percentages[version])
