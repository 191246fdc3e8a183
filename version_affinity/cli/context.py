"""Which releases and which log a command is about: the options ``--releases`` and ``--log`` of all commands."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import click

from version_affinity.app_first import compile_patterns
from version_affinity.configuration import check_prefix
from version_affinity.errors import ConfigurationError
from version_affinity.releases.log.entries import LogUnavailableError, is_continued
from version_affinity.releases.log.local_copy import COPY, LocalCopy
from version_affinity.releases.releases import LOG, RELEASES, Releases, open_log
from version_affinity.releases.store.directory import ReleasesDirectory

from .errors import RefusedError
from .groups import Commands
from .options import check_given, form
from .terminal.output import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from version_affinity.middleware import VersionAffinity
    from version_affinity.releases.log.entries import DeploymentLog, Entry

    _Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

#: Where releases are unless something else is said.
DEFAULT: Final = "releases"

_KEY: Final = "version_affinity.place"


class BuildOptions(NamedTuple):
    """How an application serves a build, which decides where its references lead.

    Attributes:
        prefix: The path under which it is served.
        app_first: The patterns of paths that are the application's own.
        origins: The origins under which it is served, besides paths.
    """

    prefix: str = "/"
    app_first: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        """The options that say so, as they are to be typed: "" where none is needed.

        >>> BuildOptions("/shop/", ("/api/*",), ("https://cdn.example",)).options
        "--prefix /shop/ --app-first '/api/*' --origin https://cdn.example"
        """
        given = [("--prefix", self.prefix)] if self.prefix != "/" else []
        given += [("--app-first", pattern) for pattern in self.app_first]
        given += [("--origin", origin) for origin in self.origins]
        return " ".join(f"{option} {shlex.quote(value)}" for option, value in given)


class Target:
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
        """Return the releases directory. What is wrong with its retention is told, once.

        Raises:
            ConfigurationError: there is none.
        """
        if self._directory is None:
            self._directory = ReleasesDirectory(self.path)
            if self._directory.retention_error:
                warn(f"{self._directory.retention_error}. Until that is mended, all uploaded versions stay known")
            elif self._directory.retention_warning:
                warn(self._directory.retention_warning)
        return self._directory

    def open_log(self) -> DeploymentLog:
        """Return the log of deployments, which is closed when the command ends.

        Raises:
            ConfigurationError: there are no releases, or the log's URL cannot be used.
        """
        log = open_log(self.directory(), self.url)
        click.get_current_context().call_on_close(log.close)
        return log

    def last_known(self) -> list[Entry] | None:
        """Return the deployments, for what needs them to show how versions stand and changes nothing.

        Where the log cannot be reached, that is told, and they are those of this host's copy; None without one.

        Raises:
            LogError: the log is damaged.
        """
        try:
            return self.open_log().read()
        except LogUnavailableError as error:
            entries = self.copy().load()
            if not entries:
                warn(f"{error}. Nor is there a copy of the log here, so that it is not known how the versions stand")
                return None
            warn(f"{error}. The versions stand as this host knew it last, at revision {entries[-1].revision}")
            return entries

    def build(self, prefix: str | None, app_first: Sequence[str], origins: Sequence[str]) -> BuildOptions:
        """Return how builds are served: as the command line says, else the application that the command is part of.

        Args:
            prefix: The option ``--prefix``.
            app_first: The options ``--app-first``.
            origins: The options ``--origin``, of which the application knows nothing.
        """
        affinity = None
        if self.application is not None and (prefix is None or not app_first):
            if self.releases is None:
                affinity = self.application()
            elif self.releases == os.environ.get(RELEASES):
                with suppress(RefusedError):  # it may not start before the first deployment
                    affinity = self.application()
        if affinity is not None:
            prefix, app_first = prefix or affinity.prefix, app_first or affinity.app_first
        return BuildOptions(prefix or "/", tuple(app_first), tuple(origins))

    def copy(self) -> LocalCopy:
        """Return this host's copy of the log that an application follows here."""
        return LocalCopy(self.directory().path / COPY)

    def is_followed_elsewhere(self, log: DeploymentLog, entries: Sequence[Entry]) -> bool:
        """Tell whether an application here follows another log.

        Args:
            log: The log.
            entries: What was read from it, be it a while ago.

        Raises:
            LogError: it cannot be read again.
        """
        followed = self.copy().load()
        if is_continued(followed, entries):
            return False
        # What goes beyond the entries may have been deployed since they were read.
        return not is_continued(followed, log.read())


def _check_origins(origins: Sequence[str]) -> None:
    if origins:
        try:
            from version_affinity.checking.origins import Origins  # noqa: PLC0415 - an extra
        except (ImportError, ConfigurationError):
            return  # nothing is checked without it
        Origins(origins)


def _check_log(url: str) -> None:
    try:
        from version_affinity.releases.log.connection import RedisConnection  # noqa: PLC0415 - an extra
    except ConfigurationError:
        return  # that it is not installed is told when the log is opened
    RedisConnection(url)  # connects to nothing


def build_options(command: _Decorated) -> _Decorated:
    """Give a command ``--prefix``, ``--app-first`` and ``--origin``, which ``Target.build`` takes."""
    prefix = click.option(
        "--prefix",
        metavar="PATH",
        callback=form(check_prefix),
        help="The path under which the application serves versions.  [default: the application's, else /]",
    )
    app_first = click.option(
        "--app-first",
        metavar="PATTERN",
        multiple=True,
        callback=form(compile_patterns),
        help="Paths of the application's own, such as '/api/*'.",
    )
    origins = click.option(
        "--origin",
        "origins",
        metavar="URL",
        multiple=True,
        callback=form(_check_origins),
        help="Where it is served, such as https://cdn.example: URLs of it are checked as paths are.",
    )
    return prefix(app_first(origins(command)))


def target_of(context: click.Context) -> Target:
    """Return the target that a command is about: the same for a group and its commands."""
    target: Target = context.meta.setdefault(_KEY, Target())
    return target


def current_target() -> Target:
    """Return the target that the running command is about."""
    return target_of(click.get_current_context())


def command_line(command: str) -> str:
    """Return another command as it is to be typed, for the releases that the running one is about."""
    context = click.get_current_context()
    target = target_of(context)
    # The outermost group of ours: "flask affinity" is one of another's.
    while context.parent is not None and isinstance(context.parent.command, Commands):
        context = context.parent
    given = []
    if target.releases is not None and os.environ.get(RELEASES) != target.releases:
        given += ["--releases", shlex.quote(target.releases)]
    if target.log is not None and os.environ.get(LOG) != target.log:
        given += ["--log", "..." if _has_password(target.log) else shlex.quote(target.log)]
    return " ".join([context.command_path, *given, command])


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return True  # nobody knows
    return parts.password is not None or "password" in parts.query


def _set_releases(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        target_of(context).releases = form(check_given)(context, option, value)


def _set_log(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        target_of(context).log = form(_check_log)(context, option, value)


def target_options(*, environment: bool = False) -> Callable[[_Decorated], _Decorated]:
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


#: Says who it is where that cannot be found out, as on a build server.
VARIABLE: Final = "VERSION_AFFINITY_AUTHOR"

_PATIENCE: Final = 5.0


def author() -> str:
    """Return who runs this command: as the environment says, else Git, else the system; "" where nobody knows."""
    named = os.environ.get(VARIABLE, "").strip() or _in_git()
    if named:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in a container
        return ""


def _in_git() -> str:
    try:
        found = subprocess.run(
            ["git", "config", "--get", "user.name"],  # noqa: S607 - the user's own
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.decode("utf-8", "replace").strip() if found.returncode == 0 else ""
