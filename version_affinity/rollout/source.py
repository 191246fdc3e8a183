"""What the middleware knows of releases: a source of versions and deployments that change while the application runs.

A source looks for changes in a thread of its own and hands over whole snapshots; a request reads the state that was
made of the last one. ``releases.Releases`` is a source: a directory of uploaded versions, and a log of deployments.
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
    """What a source knows at one moment, as far as it is on this host.

    It follows from the history of deployments and the versions that are here, and from nothing else: a worker that has
    just started comes to the same as one that ran all along.

    Attributes:
        versions: The known versions by id, in their order; directories loaded. Those of the deployment are among them.
        deployment: The percentages. At least one of its versions has a share.
        complete: The version that last had 100 %, None when none had, or when it is not known any more.
        published: The ids of known versions that have had a share: their pages are out there.
    """

    versions: Mapping[str, Version]
    deployment: Deployment
    complete: str | None
    published: frozenset[str]


class Load(Protocol):
    """Loads the build in a directory, with the settings of the application that serves it."""

    def __call__(self, directory: str, *, manifest: Inventory) -> StaticAssets:
        """Return the build; what its manifest knows of a file is not read again."""


@runtime_checkable
class Source(Protocol):
    """Where the versions and deployments of one application come from."""

    def open(self, root: str) -> str:
        """Return the name of the deployments, which salts the hash.

        Args:
            root: The directory from which relative names count, "" for the working directory.

        Raises:
            ConfigurationError: there is nothing to be opened, or another application has it.
        """

    def load(self, load: Load) -> Snapshot:
        """Return the first snapshot.

        Args:
            load: Loads a build.

        Raises:
            ConfigurationError: there is no deployment that this host can serve.
        """

    def follow(self, take: Callable[[Snapshot], None]) -> None:
        """Hand over a snapshot whenever something has changed since the first one, in a thread.

        Args:
            take: A method, which is held weakly: when its object is gone, nothing is followed any more.
        """

    def look(self) -> None:
        """Look for a new version, for a request that misses a file as builds have them.

        Bounded: a source that cannot answer within moments, or was asked a moment ago, leaves it at that.
        """

    def refusal(self, method: str) -> ConfigurationError:
        """Return the error for ``deploy``, ``add`` or ``retire``: here, something else has the last word."""
