"""The interface of a source: versions and deployments that change while the application runs.

A source looks for changes in its own thread and hands over whole snapshots. ``releases.Releases`` is a source: a
directory of uploaded versions, and a log of deployments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from version_affinity.assets.loading.inventory import Inventory
    from version_affinity.assets.static import StaticAssets
    from version_affinity.deployment import Deployment
    from version_affinity.errors import ConfigurationError

    from .version import Version


class Snapshot(NamedTuple):
    """The versions and the deployment of a source at one moment, as far as this host has them.

    It follows from the history of deployments and the versions that are here alone, so a worker that has just started
    gets the same snapshot as one that ran all along.

    Attributes:
        versions: The known versions by id, in their order, with their directories loaded.
        deployment: The percentages of some of them. At least one version has a share.
        complete: The version that last had 100 %; None if none had, or if it is not known any more.
        published: The ids of known versions that have had a share.
    """

    versions: Mapping[str, Version]
    deployment: Deployment
    complete: str | None
    published: frozenset[str]


class Load(Protocol):
    """Loads the build in a directory, with the settings of the application that serves it."""

    def __call__(self, directory: str, *, manifest: Inventory) -> StaticAssets:
        """Return the build. A file that its manifest describes is not read again."""


@runtime_checkable
class Source(Protocol):
    """Where the versions and deployments of one application come from."""

    def open(self, root: str) -> str:
        """Return the name of the deployments, or raise ``ConfigurationError``. Relative names count from ``root``."""

    def load(self, load: Load) -> Snapshot:
        """Return the first snapshot, or raise ``ConfigurationError`` if this host can serve no deployment."""

    def follow(self, take: Callable[[Snapshot], None]) -> None:
        """Hand over a snapshot whenever something has changed, in a thread. ``take`` is a method, held weakly."""

    def look(self) -> None:
        """Look for a new version, for a request that misses a fingerprinted file. Returns after moments at most."""

    def refusal(self, method: str) -> ConfigurationError:
        """Return the error for ``deploy``, ``add`` or ``retire``, which a source replaces."""
