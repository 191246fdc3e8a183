"""``serve``: serve builds, or the releases, on this machine."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.cli.context import current_place, place_options
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.groups import command
from version_affinity.cli.options import form
from version_affinity.cli.serving_options import middleware_options, serving_options
from version_affinity.cli.specs import Spec, deployment_of, parse_spec, parse_tag_spec
from version_affinity.cli.terminal.output import emit_line, json_option, say
from version_affinity.decision.keys import Header
from version_affinity.deployment import check_name
from version_affinity.middleware import VersionAffinity
from version_affinity.releases.releases import Releases
from version_affinity.rollout.version import Version

from .access import AccessLines, banner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from version_affinity.decision.keys import KeySource

_THREADS: Final = 8
_BACKLOG: Final = 128
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - what somebody has typed


@command()
@click.argument("builds", metavar="[BUILD[@PERCENTAGE]]...", nargs=-1)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes one that is free."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--name",
    default="serve",  # not an application's: the two would share the cookie on this host
    show_default=True,
    callback=form(check_name),
    help="The name of the application, where builds are given. It is part of the hash.",
)
@click.option("--autorefresh", is_flag=True, help="Look at every request whether a build has changed.")
@click.option("--allow-source", is_flag=True, help="Serve builds that look like a project's source directory.")
@serving_options
@place_options()
@json_option
def serve(
    builds: tuple[str, ...],
    port: int,
    host: str,
    name: str,
    autorefresh: bool,
    allow_source: bool,
    keys: tuple[KeySource, ...],
    spa: bool,
    app_first: tuple[str, ...],
    prefix: str,
    as_json: bool,
) -> None:
    """Serve builds on this machine, by percentage, as an application would; no application is needed.

      version-affinity serve dist/
      version-affinity serve builds/v1@90% builds/v2@10% --spa
      version-affinity serve --key cookie:session_id --port 0

    A build's id is its directory's name. Without a build, the releases are served, and followed: a deployment shows at
    once. Every request gets a line: when, the status, the version and why it got that, how long it took, and what was
    asked for.
    """
    try:
        from waitress import create_server  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
    except ImportError:
        raise RefusedError(missing_extra("serve", "serve")) from None
    # A page loads more at once than there are threads, and on a machine of one's own that is nothing to worry about.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    options = middleware_options(keys, spa=spa, app_first=app_first, prefix=prefix)
    options["allow_source"] = allow_source
    affinity, source = _made(builds, name, options, autorefresh=autorefresh)
    with _listening(host, port) as listener:
        where = listener.getsockname()[1]
        shown = "localhost" if host in _ANYWHERE else f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{where}{prefix.rstrip('/')}/"
        deployment = affinity.deployment
        if as_json:
            emit_line({"url": url, "name": deployment.name, "percentages": dict(deployment.percentages)})
        else:
            banner(url, deployment, keys or (Header("Version-Key"),))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of waitress, on sockets that it did not make
            server: Any = create_server(
                AccessLines(affinity, as_json=as_json), sockets=[listener], threads=_THREADS, ident=None
            )
        with _terminable():
            server.run()  # until KeyboardInterrupt, after which it ends its threads
        server.close()
        for channel in list(server.active_channels.values()):
            channel.handle_close()
    if source is not None:
        source.close()
    if not as_json:
        say()
        say("Ended.")


def _made(
    builds: Sequence[str], name: str, options: dict[str, Any], *, autorefresh: bool
) -> tuple[VersionAffinity, Releases | None]:
    """Return what is served, and what is followed, None for nothing."""
    if not builds:
        place = current_place()
        # Nobody else is served here: no deployment has to wait for what this host lacks.
        releases = Releases(place.path, log=place.url, reports=False)
        return VersionAffinity(None, releases, **options), releases
    directories: dict[str, str] = {}
    specs = []
    for text in builds:
        directory, share = parse_tag_spec(text)
        version = parse_spec(Path(directory).resolve().name).version
        directories.setdefault(version, directory)
        specs.append(Spec(version, share))
    versions = [
        Version(version, directories[version], percentage=share) for version, share in deployment_of(specs).items()
    ]
    return VersionAffinity(None, versions, name=name, autorefresh=autorefresh, **options), None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen while the block lasts.

    Raises:
        RefusedError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RefusedError(
                f"port {port} is taken by another program: choose another, as in --port {port + 1}, or --port 0 for "
                "one that is free",
            ) from None
        raise RefusedError(f"cannot listen at --host {host} --port {port}: {error.strerror or error}") from None
    with listener:
        yield listener


@contextmanager
def _terminable() -> Iterator[None]:
    """End the server on SIGTERM as on SIGINT."""

    def end(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
