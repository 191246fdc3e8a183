"""Which releases and which log a command is about: the options ``--releases`` and ``--log`` of all commands."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from version_affinity.releases.directory import ReleasesDirectory
from version_affinity.releases.last_known import LastKnown
from version_affinity.releases.log import open_log
from version_affinity.releases.source import COPY, LOG, RELEASES, Releases

from .commands import Commands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from version_affinity.middleware import VersionAffinity
    from version_affinity.releases.log import DeploymentLog, Entry

    _Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

#: Where releases are unless something else is said.
DEFAULT: Final = "releases"
_KEY: Final = "version_affinity.place"


class Place:
    """Where the releases are: as the command line says, else the environment, else the application, else ``releases/``.

    Attributes:
        releases: The directory that the command line or the environment names, None for none.
        log: The URL of the log, likewise.
        application: Loads the application that the command is part of (``flask affinity``), None without one.
    """

    def __init__(self) -> None:
        self.releases: str | None = None
        self.log: str | None = None
        self.application: Callable[[], VersionAffinity] | None = None
        self._found: tuple[str, str | None] | None = None
        self._directory: ReleasesDirectory | None = None

    @property
    def path(self) -> str:
        """The directory's name."""
        return self._find()[0]

    @property
    def url(self) -> str | None:
        """The log's URL, None for the file in the directory."""
        return self._find()[1]

    def _find(self) -> tuple[str, str | None]:
        if self._found is None:
            path, url = self.releases, self.log
            if path is None and self.application is not None:
                source = self.application().source
                if isinstance(source, Releases):
                    path, url = source.path, url or source.log
            self._found = path or DEFAULT, url
        return self._found

    def directory(self) -> ReleasesDirectory:
        """Return the releases directory.

        Raises:
            ConfigurationError: there is none.
        """
        if self._directory is None:
            self._directory = ReleasesDirectory(self.path)
        return self._directory

    def open_log(self) -> DeploymentLog:
        """Return the log of deployments, which is closed when the command ends.

        Raises:
            ConfigurationError: there are no releases, or the log's URL cannot be used.
        """
        log = open_log(self.directory(), self.url)
        click.get_current_context().call_on_close(log.close)
        return log

    def copy(self) -> LastKnown:
        """Return this host's copy of the log that an application follows here."""
        return LastKnown(self.directory().path / COPY)

    def is_followed_elsewhere(self, entries: Sequence[Entry]) -> bool:
        """Tell whether an application here follows another log than the one that these deployments are from."""
        followed = self.copy().load()
        return bool(followed) and followed != list(entries[: len(followed)])


def place_of(context: click.Context) -> Place:
    """Return the place that a command is about: the same for a group and its commands."""
    place: Place = context.meta.setdefault(_KEY, Place())
    return place


def current_place() -> Place:
    """Return the place that the running command is about."""
    return place_of(click.get_current_context())


def command_line(command: str) -> str:
    """Return another command as it is to be typed, for the releases that the running one is about."""
    context = click.get_current_context()
    place = place_of(context)
    # The outermost group of ours: "flask affinity" is one of another's.
    while context.parent is not None and isinstance(context.parent.command, Commands):
        context = context.parent
    given = []
    if place.releases is not None and os.environ.get(RELEASES) != place.releases:
        given += ["--releases", shlex.quote(place.releases)]
    if place.log is not None and os.environ.get(LOG) != place.log:
        given += ["--log", "..."]  # there may be a password in it
    return " ".join([context.command_path, *given, command])


def _set_releases(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        place_of(context).releases = value


def _set_log(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        place_of(context).log = value


def place_options(*, environment: bool = False) -> Callable[[_Decorated], _Decorated]:
    """Return the decorator that gives a command the options ``--releases`` and ``--log``.

    They may stand before the command's name or after it.

    Args:
        environment: Whether they are read from the environment too, as the group does. Its commands, which do not, have
            the last word.
    """

    def decorate(command: _Decorated) -> _Decorated:
        releases = click.option(
            "--releases",
            metavar="DIRECTORY",
            envvar=RELEASES if environment else None,
            show_envvar=True,
            type=click.Path(),
            expose_value=False,
            callback=_set_releases,
            help=f"The releases directory.  [default: {DEFAULT}]" if environment else "The releases directory.",
        )
        log = click.option(
            "--log",
            metavar="URL",
            envvar=LOG if environment else None,
            show_envvar=True,
            expose_value=False,
            callback=_set_log,
            help="The log of deployments, such as redis://host; without it, the file in the directory."
            if environment
            else "The log of deployments.",
        )
        return releases(log(command))

    return decorate
