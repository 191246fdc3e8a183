"""The changes while an application runs: each replaces the state that requests read, in one assignment.

Requests take no lock, except with ``autorefresh``. Changes by the application take a lock. With a source, all changes
are made in the source's thread.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from version_affinity.assets.static import StaticAssets
from version_affinity.deployment import DEFAULT_NAME
from version_affinity.errors import ConfigurationError

from .background import run
from .catalog import report
from .state import State
from .version import loaded_version

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping

    from version_affinity.assets.loading.memory import Memory
    from version_affinity.counters import Counts
    from version_affinity.deployment import Deployment
    from version_affinity.ramp.failing import FailureNotes

    from .version import Snapshot, Source, Version


logger = logging.getLogger("version_affinity")


class Rollout:
    """The current state of one ``VersionAffinity``, and the ways to the next one.

    Builds that ``load`` reads hold their files in ``memory``. ``forget`` are called with the known versions when one
    is not known any more. The source gets ``counts``, the counters of this process, and ``failures``, which notes who
    fails.
    """

    __slots__ = ("__weakref__", "_changing", "_forget", "_has_warned", "_load", "_memory", "_source", "state")

    def __init__(
        self,
        state: State,
        load: Callable[[str | os.PathLike[str]], StaticAssets],
        memory: Memory,
        source: Source | None,
        forget: Iterable[Callable[[Collection[str]], None]],
        counts: Callable[[], Counts],
        failures: FailureNotes,
    ) -> None:
        self.state = state
        self._load = load
        self._memory = memory
        self._source = source
        self._forget = tuple(forget)
        self._changing = threading.Lock()
        self._has_warned = False
        report(state.catalog)
        self._check_name()
        if source is not None:
            source.follow(self._take, counts, failures)

    def deploy(self, percentages: Mapping[str, float | None]) -> Deployment:
        """Replace the deployment; see ``VersionAffinity.deploy``."""
        self._check_own("deploy")
        with self._changing:
            before = self.state
            self.state = after = before.deploy(percentages)
        report(after.catalog, before.catalog)
        return after.deployment

    def add(self, version: Version) -> None:
        """Make a version known; see ``VersionAffinity.add``."""
        self._check_own("add")
        self.state.check_new(version)
        loaded = run(loaded_version, version, self._load)
        with self._changing:
            before = self.state
            try:
                before.check_new(version)  # another thread may have added it
            except ConfigurationError:
                self._release(loaded, before)
                raise
            self.state = after = before.add(loaded)
        report(after.catalog, before.catalog)
        self._check_name()

    def retire(self, version: str) -> None:
        """Forget a version; see ``VersionAffinity.retire``."""
        self._check_own("retire")
        with self._changing:
            before = self.state
            self.state = after = before.retire(version)
        self._release(before.versions[version], after)

    def refreshed(self) -> State:
        """Return the state after changes in the directories of versions were read."""
        with self._changing:
            builds = [version.app for version in self.state.versions.values() if isinstance(version.app, StaticAssets)]
            if True in {build.refresh() for build in builds}:  # each of them
                self.state = self.state.refreshed()
            return self.state

    def _take(self, snapshot: Snapshot) -> None:
        """Serve a source's snapshot from now on."""
        before = self.state
        self.state = state = State.of(before.settings, snapshot, before)
        if state.catalog is not before.catalog:
            report(state.catalog, before.catalog)
            self._check_name()
            for version in before.versions.values():
                if state.versions.get(version.id) != version:
                    self._release(version, state)

    def _check_name(self) -> None:
        """Warn, once, where several versions are known under the default name."""
        state = self.state
        if (
            not self._has_warned
            and len(state.versions) > 1
            and state.deployment.name == DEFAULT_NAME
            and state.settings.cookie is not None
        ):
            self._has_warned = True
            logger.warning(
                "several versions are known under the default name, %r: two applications with this name on one host "
                "would share the cookie and send each other's pages wrong files. Give the application a name of its "
                "own, as in VersionAffinity(..., name='storefront')",
                DEFAULT_NAME,
            )

    def _check_own(self, method: str) -> None:
        if self._source is not None:
            raise self._source.refusal(method)

    def _release(self, version: Version, state: State) -> None:
        """Free what was held for a version that the next state does not have."""
        if isinstance(version.app, StaticAssets) and version.app.memory is self._memory:
            version.app.release()
        if version.id not in state.versions:
            for forget in self._forget:
                forget(state.versions)
