"""``serve``: serve builds, or the releases, on this machine."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
import time
import warnings
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.cli.context import current_target, target_options
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.groups import command
from version_affinity.cli.options import form, middleware_options, serving_options
from version_affinity.cli.specs import Spec, deployment_of, parse_spec, parse_tag_spec
from version_affinity.cli.terminal.output import aligned, emit_line, json_option, say, styled
from version_affinity.cli.terminal.text import shares
from version_affinity.decision.decider import BUCKET, DECISION
from version_affinity.decision.keys import Cookie, Header
from version_affinity.deployment import check_name
from version_affinity.middleware import VersionAffinity
from version_affinity.releases.releases import Releases
from version_affinity.responses.headers import TRACE
from version_affinity.rollout.version import Version
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.decision.keys import KeySource
    from version_affinity.deployment import Deployment

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
@target_options()
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
        target = current_target()
        # Nobody else is served here: no deployment has to wait for what this host lacks.
        releases = Releases(target.path, log=target.url, reports=False)
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


_COLOURS: Final = {"2": "good", "3": "strong", "4": "warning", "5": "bad"}

_WIDTH: Final = 34

_ID_WIDTH: Final = 8

_MILLISECONDS: Final = 1000


class AccessLines:
    """A WSGI application that prints a line for each request to another one.

    Args:
        affinity: The application.
        as_json: Whether the lines are JSON.
    """

    def __init__(self, affinity: VersionAffinity, *, as_json: bool) -> None:
        self._affinity = affinity
        self._write = _line_of_json if as_json else self._line
        # The longest reason of a browser's ordinary request.
        self._width = max(_WIDTH, len(f"{BUCKET} cookie:version-affinity-{affinity.deployment.name}"))
        self._printing = threading.Lock()  # a line at a time

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, and print its line when the answer was sent."""
        began = time.perf_counter()
        # Before it is changed by whoever answers.
        asked = {"method": environ["REQUEST_METHOD"], "target": _target(environ)}
        told: dict[str, Any] = {"status": 0, "served": ""}

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
        ) -> Callable[[bytes], object]:
            told["status"] = int(status[:3])
            told["served"] = next((_served(value) for name, value in headers if name == TRACE), "")
            return (
                start_response(status, headers, exc_info) if exc_info is not None else start_response(status, headers)
            )

        body = self._affinity(environ, start)
        return _Body(body, lambda: self._tell(environ, asked, told, time.perf_counter() - began))

    def _tell(self, environ: WSGIEnvironment, asked: dict[str, str], told: dict[str, Any], seconds: float) -> None:
        decision = environ.get(DECISION)
        if decision is None:
            # A fingerprinted file: nothing was decided.
            served = self._affinity.explain(environ).served
            version, reason, source, refused = served, "name", "", ""
        else:
            version, reason, source, refused = decision
        line = {
            "time": datetime.now().astimezone().isoformat(timespec="milliseconds"),
            **asked,
            "status": told["status"],
            "version": version,
            "served": told["served"] or version,
            "reason": reason,
            "source": source,
            "refused": refused,
            "milliseconds": round(seconds * _MILLISECONDS, 2),
        }
        with self._printing:
            self._write(line)

    def _line(self, line: dict[str, Any]) -> None:
        why = line["reason"] + (f" {line['source']}" if line["source"] else "")
        if line["served"] != line["version"]:
            why += f", rescued by {line['served']}"
        if line["refused"]:
            why += f", refused {line['refused']}"
        status = str(line["status"])
        longest = max(map(len, self._affinity.deployment.percentages))
        say(
            "  ".join(
                (
                    styled(line["time"][11:19], "faint"),
                    styled(status, _COLOURS.get(status[0], "bad")),
                    styled(f"{line['version']:<{max(longest, _ID_WIDTH)}}", "version"),
                    f"{why:<{self._width}}",
                    styled(f"{line['milliseconds']:>7.1f} ms", "faint"),
                    f"{line['method']} {printable(line['target'])}",
                )
            )
        )


def _target(environ: WSGIEnvironment) -> str:
    target: str = environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
    return target


def _served(trace: str) -> str:
    """Return the version that a trace says was served in place of the decided one; "" where it was that."""
    return next(
        (part.removeprefix("served=").strip('"') for part in trace.split(";") if part.startswith("served=")), ""
    )


def _line_of_json(line: dict[str, Any]) -> None:
    emit_line(line)


class _Body:
    """The body of an answer; calls back when it was sent."""

    def __init__(self, body: Iterable[bytes], sent: Callable[[], None]) -> None:
        self._body = body
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._sent()


def banner(url: str, deployment: Deployment, keys: Iterable[KeySource]) -> None:
    """Print where it listens, and how to get one version or another.

    Args:
        url: Where.
        deployment: Who gets what.
        keys: Where version keys are.
    """
    say(f"{styled(deployment.name, 'strong')}: {shares(deployment.percentages)}")
    say()
    say(f"  {styled(url, 'strong')}")
    say()
    version = list(deployment.percentages)[-1]
    rows = [[f"curl -i {url} -H 'Version-Override: {version}'", "forces a version"]]
    for source in keys:
        if isinstance(source, Cookie | Header):
            header = f"Cookie: {source.name}=alice" if isinstance(source, Cookie) else f"{source.name}: alice"
            rows.append([f"curl -i {url} -H '{header}'", "is the same user each time"])
    for line in aligned(rows, indent="  "):
        say(line)
    say()
    say(styled("Ctrl+C ends it.", "faint"))
