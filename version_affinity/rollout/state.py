"""The state that a request reads: the known versions, the deployment, and what follows from both.

``deploy``, ``add`` and ``retire`` return the next state, and ``Rollout`` swaps it in with one assignment while requests
run.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from version_affinity.assets.static import StaticAssets
from version_affinity.counters import LimitedLog
from version_affinity.decision.decider import Decider
from version_affinity.deployment import Deployment
from version_affinity.errors import ConfigurationError

from .catalog import IN_ALL_VERSIONS, Catalog
from .version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from version_affinity.assets.build import Build
    from version_affinity.counters import Tally
    from version_affinity.decision.cookies import PinCookie
    from version_affinity.decision.keys import KeySource
    from version_affinity.decision.overrides import Overrides
    from version_affinity.decision.request import ServiceWorkers
    from version_affinity.vite import ViteServer

    from .version import Snapshot


#: Where the environ holds the ``Exchange`` while an application answers. Of two front ends around one application it is
#: the inner one's; each one's own is at ``Settings.exchange_key``.
EXCHANGE: Final = "version_affinity.exchange"


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration, which stays the same from state to state.

    Attributes:
        faulty_tags: Logs a mistake in the use of a template's functions; ``late_tags``, once, that they ran too late.
        exchange_key: Where the environ holds this middleware's ``Exchange``. Two around one application differ in
            prefix.
    """

    keys: tuple[KeySource, ...]
    overrides: Overrides
    cookie: PinCookie | None
    workers: Callable[[Iterable[str]], ServiceWorkers]
    prefix: str
    tally_by_name: Callable[[str], Tally]
    log_key_error: Callable[[str, Exception], None]
    vite: ViteServer | None = None
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


class State:
    """The known versions under one deployment. It never changes.

    Args:
        versions: The known versions by id, in the order in which they became known; their directories are loaded.
        complete: The version that last had 100 %, None if none had.
        published: The ids of versions that have had a share or were retained at the start. A known version that is not
            published is staged: it rescues no page, and templates name none of its files.
        catalog: A catalog of the same versions, if there is one already.

    Attributes:
        baseline: The version of pages that were loaded before the split began.
        builds: Version id to its build, None for a version that is a WSGI application.
        pins: Version id to what our cookie says of a page of that version.
        routes: Version id to the routes to its files that were requested so far, by request path.
        not_rescues: The bits of the owners whose files, served by name, are not a rescue for anybody.
    """

    def __init__(
        self,
        settings: Settings,
        versions: Mapping[str, Version],
        deployment: Deployment,
        complete: str | None,
        published: frozenset[str],
        catalog: Catalog | None = None,
    ) -> None:
        self.settings = settings
        self.versions = versions
        self.deployment = deployment
        self.complete = complete
        self.published = published
        self.builds: dict[str, Build | None] = {
            version.id: version.app.build if isinstance(version.app, StaticAssets) else None
            for version in versions.values()
        }
        self.routes: dict[str, dict[str, Any]] = {version: {} for version in versions}
        staged, live = versions.keys() - published, deployment.live
        self.catalog = (
            Catalog(self.builds, staged=staged, live=live, prefix=settings.prefix, tallies=settings.tally_by_name)
            if catalog is None
            else catalog.under(staged, live)
        )
        self.baseline = baseline_of(deployment, complete)
        only = deployment.only
        self.not_rescues = IN_ALL_VERSIONS | (0 if only is None else self.catalog.bits[only])
        # A pin is honoured for every known version: a process that is behind knows less of the deployment than the
        # browser that sends the pin.
        cookie = settings.cookie
        values = {version: (version,) if cookie is None else cookie.values(version) for version in versions}
        self.pins = {version: accepted[-1] for version, accepted in values.items()}
        builds = (build for build in self.builds.values() if build is not None)
        self.workers = settings.workers(settings.prefix + path[1:] for build in builds for path in build.index.workers)
        self.decider = Decider(
            deployment,
            known=frozenset(versions),
            pins={pin: version for version, accepted in values.items() for pin in accepted if cookie is not None},
            baseline=self.baseline,
            keys=settings.keys,
            overrides=settings.overrides,
            cookie_label="" if cookie is None else f"cookie:{cookie.name}",
            referer_version=self.catalog.referer_version,
            log=settings.log_key_error,
        )

    @classmethod
    def of(cls, settings: Settings, snapshot: Snapshot, before: State | None) -> State:
        """Return the state of a source's snapshot. Keeps the catalog of the state before if no version changed."""
        versions, deployment, complete, published = snapshot
        same = before is not None and list(before.versions.values()) == list(versions.values())
        return cls(settings, versions, deployment, complete, published, before.catalog if before and same else None)

    def deploy(self, percentages: Mapping[str, float | None]) -> State:
        """Return the state under other percentages. Opens no file."""
        deployment = Deployment(self.deployment.name, percentages, revision=self.deployment.revision + 1)
        for version in deployment.percentages:
            self._check_known(version, "add it first: affinity.add(Version(...))")
        complete = deployment.only or self.complete
        return State(self.settings, self.versions, deployment, complete, self.published | deployment.live, self.catalog)

    def check_new(self, version: Version) -> None:
        """Raise ``ConfigurationError`` if a version cannot be added, before its directory is read."""
        if not isinstance(version, Version):
            raise ConfigurationError(f"{version!r} is not a Version: write add(Version('v3', 'builds/v3'))")
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
        return self._with_versions({**self.versions, version.id: version})

    def refreshed(self) -> State:
        """Return the state after the directories of versions have changed, as they do in development."""
        return self._with_versions(self.versions)

    def retire(self, version: str) -> State:
        """Return the state in which a version is no longer known."""
        self._check_known(version, "nothing is to be retired")
        if version in self.deployment.percentages:
            raise ConfigurationError(
                f"version {version!r} is in the deployment with {self.deployment.percentages[version]:g} %: "
                "deploy() without it before you retire it",
            )
        return self._with_versions({known: kept for known, kept in self.versions.items() if known != version})

    def _with_versions(self, versions: Mapping[str, Version]) -> State:
        complete = self.complete if self.complete in versions else None
        return State(self.settings, versions, self.deployment, complete, self.published.intersection(versions))

    def _check_known(self, version: str, remedy: str) -> None:
        if not isinstance(version, str) or version not in self.versions:
            raise ConfigurationError(
                f"version {version!r} is not known (known are {', '.join(self.versions)}): {remedy}",
            )


def baseline_of(deployment: Deployment, complete: str | None) -> str:
    """Return the version that last had 100 %; if none had, the one with the largest share, the first on a tie."""
    return complete or max(deployment.percentages, key=deployment.percentages.__getitem__)
