"""The releases, the log and the states of the versions for a command, and the options that commands share."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
from contextlib import suppress
from functools import cache, cached_property
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from version_affinity.errors import ConfigurationError
from version_affinity.releases.log.entries import DeploymentLog, Entry, LogUnavailableError, is_continued
from version_affinity.releases.log.local_copy import COPY, LocalCopy
from version_affinity.releases.releases import LOG, RELEASES, Releases, open_log
from version_affinity.releases.store.directory import Release, ReleasesDirectory
from version_affinity.releases.store.retention import prune_plan
from version_affinity.releases.store.settings import DEFAULT_SERVING, SETTINGS, Serving
from version_affinity.rollout.version import NothingDeployedError

from .errors import RefusedError
from .options import OwnCommand, checked_by
from .output import AS_JSON, MIN_PREFIX, as_typed, listed, percent, set_ids, styled, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from version_affinity.assets.routing import NotFoundHandling
    from version_affinity.middleware import VersionAffinity

#: The releases directory, unless an option, the environment or the application names another one.
DEFAULT: Final = "releases"
#: Names the author of uploads and deployments, for example on a build server.
AUTHOR: Final = "VERSION_AFFINITY_AUTHOR"
#: The state of a version that is no longer needed.
PRUNABLE: Final = "prunable"
_COMMAND_LINE: Final = click.core.ParameterSource.COMMANDLINE
#: How all commands and groups read their arguments and print their help.
CLICK_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class BuildOptions(NamedTuple):
    """How builds are served; the fields are those of ``Serving``."""

    prefix: str
    app_first: tuple[str, ...]
    not_found_handling: NotFoundHandling
    origins: tuple[str, ...]

    def of_check(self) -> dict[str, Any]:
        """Return the arguments of ``check_build``."""
        return {"prefix": self.prefix, "app_first": self.app_first, "origins": self.origins}

    def of_application(self) -> dict[str, Any]:
        """Return the arguments of ``VersionAffinity``."""
        return {key: value for key, value in self._asdict().items() if key != "origins"}


class Target:
    """The releases of a command: from its options, else the environment, else the application, else ``releases/``."""

    releases: str | None = None  # the directory from the command line or the environment
    log: str | None = None  # the URL of the log from there
    application: Callable[[], VersionAffinity] | None = None  # loads the application of "flask affinity"

    @cached_property
    def location(self) -> tuple[str, str | None]:
        """The name of the directory, and the URL of the log; None for the file in the directory."""
        path, url = self.releases, self.log
        if path is None and self.application is not None:
            path, url = self._followed(self.application, url)
        return path or DEFAULT, url

    @staticmethod
    def _followed(application: Callable[[], VersionAffinity], url: str | None) -> tuple[str | None, str | None]:
        """Return what an application follows; before the first deployment it does not start, and its error says it."""
        try:
            source = application().source
        except RefusedError as error:
            if not isinstance(error.__cause__, NothingDeployedError) or error.__cause__.location is None:
                raise
            path, log = error.__cause__.location
            return path, url or log
        return (source.path, url or source.log) if isinstance(source, Releases) else (None, url)

    @cached_property
    def directory(self) -> ReleasesDirectory:
        """The releases directory. The first use warns if its retention settings have an error."""
        directory = ReleasesDirectory(self.location[0])
        set_ids(cache(directory.all_ids))
        if directory.retention_error:
            warn(f"{directory.retention_error}. Until this is fixed, all uploaded versions stay known")
        elif directory.retention_warning:
            warn(directory.retention_warning)
        return directory

    def version_id(self, text: str, more: Iterable[str] = ()) -> str:
        """Return the id that an argument means: itself, or the only id that begins with it; unknown ones stay.

        ``more`` are ids of versions that may not be uploaded here.
        """
        if len(text) < MIN_PREFIX:
            return text
        ids = set(more)
        with suppress(ConfigurationError, RefusedError, OSError):  # some commands need no releases
            ids.update(self.directory.all_ids())
        found = [text] if text in ids else sorted(other for other in ids if other.startswith(text))
        if len(found) > 1:
            raise click.UsageError(
                f"{text!r} is the beginning of several ids: {listed(found)}. Write more of one of them"
            )
        return found[0] if found else text

    def version_ids(self, percentages: Mapping[str, float], more: Iterable[str] = ()) -> dict[str, float]:
        """Return percentages by the ids that their keys mean; see ``version_id``."""
        found = {self.version_id(text, more): share for text, share in percentages.items()}
        if len(found) < len(percentages):
            raise click.UsageError(f"two of {listed(percentages)} mean the same version. Write each version once")
        return found

    def open_log(self) -> DeploymentLog:
        """Return the log of deployments, which is closed when the command ends."""
        log = open_log(self.directory, self.location[1])
        click.get_current_context().call_on_close(log.close)
        return log

    def last_known_entries(self) -> list[Entry] | None:
        """Return the deployments. If the log is unreachable, warn and return those of this host's copy, or None."""
        try:
            return self.open_log().read()
        except LogUnavailableError as error:
            entries, warning = self.copied_entries(error)
            warn(warning)
            return entries

    def copied_entries(self, error: LogUnavailableError) -> tuple[list[Entry] | None, str]:
        """Return the deployments of this host's copy of a log that is unreachable, or None, and a warning."""
        entries = self.copy().load()
        if not entries:
            return None, f"{error}. This host has no copy of the log either: the states of the versions are unknown"
        copied = f"The states are those of revision {entries[-1].revision}, from this host's copy of the log"
        return entries, f"{error}. {copied}"

    def build_options(self, given: Serving) -> BuildOptions:
        """Return how builds are served: by the options, else the application, else ``affinity.json``, else default."""
        found = given.otherwise(self.application_serving) if None in given[:3] else given
        if None in found:
            found = found.otherwise(self.saved_serving())
        return BuildOptions(*found.otherwise(DEFAULT_SERVING))  # type: ignore[arg-type] # nothing is None now

    @cached_property
    def application_serving(self) -> Serving:
        """How the application serves builds; nothing without one. The first use warns if ``affinity.json`` differs."""
        if self.application is None or self.releases not in (None, os.environ.get(RELEASES)):
            return Serving()
        try:
            affinity = self.application()
        except RefusedError as error:  # it may not start before the first deployment
            if self.releases is None and not isinstance(error.__cause__, NothingDeployedError):
                raise
            return Serving()
        own = Serving(affinity.prefix, affinity.app_first, affinity.not_found_handling)
        with suppress(ConfigurationError):  # an application with a list of versions has no releases
            saved = self.directory.serving
            differing = saved.differences(own)
            if differing != Serving():
                has = own.differences(saved).as_text()
                correct = command_line(f"settings {differing.as_options()}")
                file = str(self.directory.path / SETTINGS)
                warn(
                    f"{file!r} has {has}, and the application has {differing.as_text()}, which decides. To correct the "
                    f"file: {correct}"
                )
        return own

    def saved_serving(self) -> Serving:
        """Return what ``affinity.json`` says on how builds are served; nothing without releases."""
        try:
            directory = self.directory
        except ConfigurationError:
            if self.releases is not None:
                raise
            return Serving()  # builds can be checked and served without releases
        if directory.serving_error:
            raise RefusedError(
                f"{directory.serving_error}. Correct the file, or replace the value: {command_line('settings --help')}"
            )
        return directory.serving

    def copy(self) -> LocalCopy:
        """Return this host's copy of the log that its application follows."""
        return LocalCopy(self.directory.path / COPY)

    def other_log(self, log: DeploymentLog, entries: Sequence[Entry]) -> str:
        """Return an error message if the application on this host follows another log; "" if it does not."""
        followed = self.copy().load()
        # The log may be longer by now than these entries of it.
        if is_continued(followed, entries) or is_continued(followed, log.read()):
            return ""
        copy = self.copy().path
        if not is_continued(entries, followed):
            return (
                f"the application on this host follows another log than {log.description} (the application has read "
                f"{copy}): name the application's log, as in --log redis://host"
            )
        state = f"ends with revision {entries[-1].revision}" if entries else "is empty"
        restore = f"copy {copy} to it" if self.location[1] is None else command_line("deployments restore")
        return (
            f"{log.description} {state}, and the application on this host follows revision {followed[-1].revision} "
            f"({copy}). If the application's log is another one, name it, as in --log redis://host. If this log has "
            f"lost deployments, restore them: {restore}"
        )


class VersionState(NamedTuple):
    """The state of an uploaded version.

    ``state`` is "deployed", "staged" (at 0 %), "known" (to open pages), "prunable" (no longer needed), or "unknown" (if
    the log is unreachable).
    """

    release: Release
    state: str
    percentage: float | None = None  # in the current deployment; None if it is not in it
    reason: str = ""  # why it stays known

    def in_words(self) -> str:
        """Return the state for a terminal."""
        if self.percentage is not None:
            return styled(percent(self.percentage), "good") if self.percentage else "0 %, staged"
        return self.state if self.state != PRUNABLE else styled("can be pruned", "faint")

    def as_dict(self) -> dict[str, Any]:
        """Return the version and its state for JSON."""
        return {**release_dict(self.release), "state": self.state, "percentage": self.percentage, "reason": self.reason}


def release_dict(release: Release) -> dict[str, Any]:
    """Return an uploaded version for JSON."""
    names = ("id", "created", "author", "tag", "message", "files", "size", "content")
    return {name: getattr(release, name) for name in names}


def version_states(directory: ReleasesDirectory, entries: Sequence[Entry] | None) -> dict[str, VersionState]:
    """Return the states of the uploaded versions by id, oldest first. ``entries`` is None if the log is unreachable."""
    releases = directory.versions()
    if entries is None:
        return {version: VersionState(release, "unknown") for version, release in releases.items()}
    kept = prune_plan(directory, entries, directory.retention).kept
    current = entries[-1].percentages if entries else {}
    states = {}
    for version, release in releases.items():
        percentage = current.get(version)
        state = "known" if version in kept else PRUNABLE
        if percentage is not None:
            state = "deployed" if percentage > 0 else "staged"
        states[version] = VersionState(release, state, percentage, kept.get(version, ""))
    return states


def known_versions(directory: ReleasesDirectory, entries: Sequence[Entry] | None) -> list[str]:
    """Return the uploaded versions that are still needed, or that may be, oldest first."""
    return [version for version, state in version_states(directory, entries).items() if state.state != PRUNABLE]


def target_of(context: click.Context) -> Target:
    """Return the target, which a group and its commands share."""
    target: Target = context.meta.setdefault("version_affinity.target", Target())
    return target


def current_target() -> Target:
    """Return the target of the running command."""
    return target_of(click.get_current_context())


def command_line(command: str) -> str:
    """Return a command to type next, with the ``--releases`` and ``--log`` of the running one."""
    target = current_target()
    given = []
    if target.releases is not None and os.environ.get(RELEASES) != target.releases:
        given += ["--releases", shlex.quote(target.releases)]
    if target.log is not None and os.environ.get(LOG) != target.log:
        has_secret = "@" in target.log or "password" in target.log
        given += ["--log", "..." if has_secret else shlex.quote(target.log)]
    return as_typed(" ".join(["version-affinity", *given, command]))


def author() -> str:
    """Return the user, for the log and the manifests: from the environment, else Git, else the system, else ""."""
    name = os.environ.get(AUTHOR, "").strip()
    if not name:
        with suppress(OSError, subprocess.SubprocessError):
            git = ["git", "config", "--get", "user.name"]
            found = subprocess.run(git, capture_output=True, check=True, timeout=5)  # noqa: S603 - the user's own Git
            name = found.stdout.decode("utf-8", "replace")
    if not name.strip():
        with suppress(OSError, KeyError, ImportError):  # a user without a name, as in a container
            name = getpass.getuser()
    return name.strip()


def _check_log(url: str) -> None:
    try:
        from version_affinity.releases.log.connection import RedisConnection  # noqa: PLC0415 - an extra
    except ConfigurationError:
        return  # opening the log reports the missing extra
    RedisConnection(url)  # does not connect yet


def _groups(context: click.Context) -> Iterator[click.Context]:
    """Yield the contexts of the groups of a command, the innermost first."""
    while context.parent is not None:
        context = context.parent
        yield context


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Check the value of ``--releases`` or ``--log``, and keep it in the target."""
    if value is not None:
        name = str(option.name)
        checked = checked_by(_check_log)(context, option, value) if name == "log" else value
        is_given = any(it.get_parameter_source(name) is _COMMAND_LINE for it in _groups(context))
        if is_given and getattr(target_of(context), name) != checked:
            raise click.UsageError(f"--{name} is given twice, before the command and after it: write it once", context)
        setattr(target_of(context), name, checked)


def target_parameters(*, of_group: bool = False, default: str = DEFAULT) -> list[click.Parameter]:
    """Return the options ``--releases`` and ``--log``, which a group and its commands have."""
    directory, log = "The releases directory.", "The log of deployments, such as redis://host."
    if of_group:  # only the group's read the environment, so that an option of the command wins
        directory += f"  [default: {default}]"
        log += " Without it: the file in the releases directory."
    path, url = (RELEASES, LOG) if of_group else (None, None)
    shared: dict[str, Any] = {
        "show_envvar": True,
        "allow_from_autoenv": False,
        "expose_value": False,
        "callback": _keep,
    }
    return [
        click.Option(["--releases"], metavar="DIRECTORY", type=click.Path(), envvar=path, help=directory, **shared),
        click.Option(["--log"], metavar="URL", envvar=url, help=log, **shared),
    ]


def _json_parameter() -> click.Parameter:
    """Return the option ``--json``, which all commands have: their argument ``as_json``."""

    def remember(context: click.Context, _option: click.Parameter, value: bool) -> bool:
        context.meta[AS_JSON] = value
        return value

    return click.Option(["--json", "as_json"], is_flag=True, callback=remember, help="Print JSON.")


def help_text(text: str) -> str:
    r"""Return a help text in which click keeps the lines of paragraphs that contain an indented line (``\b``)."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"\b\n{paragraph}" if "  " in paragraph else paragraph for paragraph in paragraphs)


def command(name: str | None = None, *, has_target: bool = True) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a function a command; its docstring is the help text.

    All commands have ``--json``; those that ``has_target`` also have ``--releases`` and ``--log``.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        text = help_text(dedent(f"    {function.__doc__}").strip())
        own_name = function.__name__.removesuffix("_command").replace("_", "-")
        made = click.command(name or own_name, cls=OwnCommand, help=text, context_settings=CLICK_SETTINGS)(function)
        made.params += [*(target_parameters() if has_target else []), _json_parameter()]
        return made

    return decorate
