"""Versions, and the interface of a source of versions and deployments that change while the application runs.

A source looks for changes in its own thread and hands over whole snapshots. ``releases.Releases`` is a source: a
directory of uploaded versions, and a log of deployments.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from version_affinity.assets.static import StaticAssets
from version_affinity.deployment import check_percentage, check_version_id
from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import WSGIApplication

    from version_affinity.assets.loading.inventory import Inventory
    from version_affinity.assets.routing import NotFoundHandling
    from version_affinity.counters import Counts
    from version_affinity.deployment import Deployment
    from version_affinity.ramp.failing import FailureNotes


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable build, or any WSGI application, with an id.

    Args:
        id: 1 to 64 letters, digits, ".", "_" or "-"; the first one a letter or a digit.
        app: A directory that a front-end build wrote, a ``StaticAssets``, or a WSGI application. An application gets
            every method under the prefix, and its answer is final.
        percentage: Its share of the users, 0 to 100. 0 stages the version: only an override reaches it. None: an equal
            part of what the other versions leave, 100 for a single version.

    Raises:
        ConfigurationError: an id, app or percentage that cannot be used. ``VersionAffinity`` checks the directory.

    >>> Version("v2", "builds/v2", percentage=10).id
    'v2'
    """

    id: str
    app: str | os.PathLike[str] | StaticAssets | WSGIApplication
    percentage: float | None = None

    def __post_init__(self) -> None:
        check_version_id(self.id)
        check_percentage(self.id, self.percentage)
        if not isinstance(self.app, str | os.PathLike) and not callable(self.app):
            raise ConfigurationError(
                f"app={self.app!r} of version {self.id!r} is neither a directory nor a WSGI application: "
                "give the path of a build, a StaticAssets, or a callable (environ, start_response)",
            )
        if isinstance(self.app, StaticAssets) and (self.app.app is not None or self.app.prefix != "/"):
            raise ConfigurationError(
                f"the StaticAssets of version {self.id!r} has an app or a prefix of its own: leave both out there, "
                "and give them to VersionAffinity",
            )


def loaded_version(version: Version, load: Callable[[str | os.PathLike[str]], StaticAssets]) -> Version:
    """Return a version with its directory read, or raise ``ConfigurationError``."""
    if isinstance(version.app, StaticAssets) and (version.app.autorefresh or version.app.hand_over is not None):
        raise ConfigurationError(
            f"the StaticAssets of version {version.id!r} has autorefresh or hand_over of its own: leave both out "
            "there, and give them to VersionAffinity",
        )
    if not isinstance(version.app, str | os.PathLike):
        return version
    try:
        return replace(version, app=load(version.app))
    except ConfigurationError as error:
        raise ConfigurationError(f"version {version.id!r}: {error}") from error


class Snapshot(NamedTuple):
    """The versions and the deployment of a source at one moment, as far as this host has them.

    It follows from the history of deployments and the versions that are here alone, so a worker that has just started
    gets the same snapshot as one that ran all along. The fields are the arguments of ``State``.
    """

    versions: Mapping[str, Version]
    deployment: Deployment
    complete: str | None
    published: frozenset[str]


class NothingDeployedError(ConfigurationError):
    """A source has no version that this host can serve, because nothing was made, deployed or copied here yet."""

    #: The directory and the URL of the log, for commands; None if they are unknown.
    location: tuple[str, str | None] | None = None


class Load(Protocol):
    """Loads the build in a directory, with the settings of the application that serves it."""

    def __call__(self, directory: str, *, manifest: Inventory) -> StaticAssets:
        """Return the build. A file that its manifest describes is not read again."""


@runtime_checkable
class Source(Protocol):
    """Where the versions and deployments of one application come from."""

    def open(self, root: str) -> str:
        """Return the name of the deployments, or raise ``ConfigurationError``. Relative names count from ``root``."""

    def compare(self, *, prefix: str, app_first: tuple[str, ...] | None, not_found_handling: NotFoundHandling) -> None:
        """Warn if the source says otherwise how builds are served: the application's options count.

        ``app_first`` is None where the patterns are not known before the first request.
        """

    def load(self, load: Load) -> Snapshot:
        """Return the first snapshot, or raise ``ConfigurationError`` if this host can serve no deployment."""

    def follow(self, take: Callable[[Snapshot], None], counts: Callable[[], Counts], failures: FailureNotes) -> None:
        """Hand over a snapshot whenever something has changed, in a thread. ``take`` is a method, held weakly.

        ``counts`` returns the counters of this process; ``failures`` notes failures while a ramp runs.
        """

    def refusal(self, method: str) -> ConfigurationError:
        """Return the error for ``deploy``, ``add`` or ``retire``, which a source replaces."""
