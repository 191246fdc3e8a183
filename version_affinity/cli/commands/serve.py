"""``serve``: serve builds or releases on this machine, and print a line for each request."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
import time
import warnings
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from werkzeug.wsgi import ClosingIterator

from version_affinity.cli.context import command, current_target
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.options import checked_by, key_option, serving_options
from version_affinity.cli.output import emit, say, say_rows, shares, short_id, styled
from version_affinity.cli.specs import Spec, deployment_of, parse_directory_spec, parse_spec
from version_affinity.decision.decider import BUCKET, DECISION
from version_affinity.decision.keys import Cookie, Header, KeySource
from version_affinity.deployment import Deployment, check_name
from version_affinity.middleware import VersionAffinity
from version_affinity.releases.releases import Releases
from version_affinity.responses.headers import TRACE
from version_affinity.rollout.version import Version
from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.releases.store.settings import Serving


# It differs from an application's name, with which it would share the cookie on this host.
_NAME: Final = "serve"
_COLOURS: Final = {"2": "good", "3": "strong", "4": "warning", "5": "bad"}


@command()
@click.argument("builds", metavar="[BUILD[@PERCENTAGE]]...", nargs=-1, type=click.Path())
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port. 0: any free port.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--name",
    callback=checked_by(check_name),
    help=f"The name of the front end, if builds are given. It is part of the hash.  [default: {_NAME}]",
)
@click.option("--autorefresh", is_flag=True, help="Check at each request whether the files of a build have changed.")
@click.option("--allow-source", is_flag=True, help="Serve directories that look like a project's source directory.")
@key_option
@serving_options(has_origin=False)
def serve(
    builds: tuple[str, ...],
    port: int,
    host: str,
    name: str | None,
    autorefresh: bool,
    allow_source: bool,
    keys: tuple[KeySource, ...],
    serving: Serving,
    as_json: bool,
) -> None:
    """Serve builds or releases on this machine, by percentage, without an application. Not for production.

      version-affinity serve dist/
      version-affinity serve builds/v1@90% builds/v2@10% --spa
      version-affinity serve --key cookie:session_id --port 0

    The id of a build is the name of its directory. Without BUILD, it serves the releases and follows deployments.
    Options that you leave out have the values in affinity.json (see "version-affinity settings").

    It prints a line for each request: time, status, version, the reason for the version, duration, method and path.
    """
    try:
        from waitress import create_server  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
    except ImportError:
        raise RefusedError(missing_extra("serve", "serve")) from None
    # A page loads more files at once than there are threads: no reason for warnings on a developer's machine.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    options = current_target().build_options(serving).of_application()
    if keys:
        options["keys"] = keys
    options["allow_source"] = allow_source
    if name is not None and not builds:
        raise click.UsageError("--name is for builds: releases have their own name. Leave it out, or name builds")
    affinity = _middleware(builds, name or _NAME, options, autorefresh=autorefresh)
    with _listen(host, port) as listener:
        actual_port = listener.getsockname()[1]
        is_anywhere = host in ("0.0.0.0", "::")  # noqa: S104 - the user's choice
        shown = "localhost" if is_anywhere else f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{actual_port}{options['prefix'].rstrip('/')}/"
        deployment = affinity.deployment
        if as_json:
            emit({"url": url, "name": deployment.name, "percentages": dict(deployment.percentages)}, indent=None)
        else:
            _say_banner(url, deployment, options.get("keys", (Header("Version-Key"),)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # waitress warns about a socket that it did not create
            logged = RequestLog(affinity, as_json=as_json)
            server: Any = create_server(logged, sockets=[listener], threads=8, ident=None)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C
        server.run()  # returns after KeyboardInterrupt, when its threads have ended
        server.close()
        for channel in list(server.active_channels.values()):
            channel.handle_close()
    if isinstance(affinity.source, Releases):
        affinity.source.close()
    if not as_json:
        say("\nStopped.")


def _middleware(builds: Sequence[str], name: str, options: dict[str, Any], *, autorefresh: bool) -> VersionAffinity:
    if not builds:
        path, log = current_target().location
        # This is not a production host: deployments must not wait for versions that it lacks.
        releases = Releases(path, log=log, reports=False)
        return VersionAffinity(None, releases, **options)
    directories: dict[str, str] = {}
    specs = []
    for text in builds:
        directory, share = parse_directory_spec(text)
        version = parse_spec(Path(directory).resolve().name).version
        directories.setdefault(version, directory)
        specs.append(Spec(version, share))
    versions = [
        Version(version, directories[version], percentage=share) for version, share in deployment_of(specs).items()
    ]
    return VersionAffinity(None, versions, name=name, autorefresh=autorefresh, **options)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = f"Choose another one, as in --port {port + 1}, or --port 0 for any free port"
            raise RefusedError(f"port {port} is in use by another program. {remedy}") from None
        raise RefusedError(f"cannot listen at --host {host} --port {port}: {error.strerror or error}") from None


def _say_banner(url: str, deployment: Deployment, keys: Iterable[KeySource]) -> None:
    """Print the URL, and commands that request one version or another."""
    say(f"{styled(deployment.name, 'strong')}: {shares(deployment.percentages)}")
    say(f"\n  {styled(url, 'strong')}\n")
    version = list(deployment.percentages)[-1]
    rows = [[f"curl -i {url} -H 'Version-Override: {version}'", f"forces {version}"]]
    for source in keys:
        if isinstance(source, Cookie | Header):
            header = f"Cookie: {source.name}=alice" if isinstance(source, Cookie) else f"{source.name}: alice"
            rows.append([f"curl -i {url} -H '{header}'", "always the same user"])
    say_rows(rows)
    say(f"\n{styled('Press Ctrl+C to stop.', 'faint')}")


class RequestLog:
    """A WSGI application that passes requests on, and prints a line for each one when its response has been sent."""

    def __init__(self, affinity: VersionAffinity, *, as_json: bool) -> None:
        self._affinity = affinity
        self._write = partial(emit, indent=None) if as_json else self._say_line
        # The longest reason of an ordinary request from a browser.
        self._width = max(34, len(f"{BUCKET} cookie:version-affinity-{affinity.deployment.name}"))
        self._printing = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        began = time.perf_counter()
        # The application may change the environ.
        target = environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
        line: dict[str, Any] = {"method": environ["REQUEST_METHOD"], "target": target, "status": 0, "served": ""}

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
        ) -> Callable[[bytes], object]:
            line["status"] = int(status[:3])
            for part in ";".join(value for name, value in headers if name == TRACE).split(";"):
                if part.startswith("served="):  # a rescue
                    line["served"] = part.removeprefix("served=").strip('"')
            return start_response(status, headers, exc_info)

        return ClosingIterator(self._affinity(environ, start), lambda: self._finish(environ, line, began))

    def _finish(self, environ: WSGIEnvironment, line: dict[str, Any], began: float) -> None:
        decision = environ.get(DECISION)
        if decision is None:  # a fingerprinted file needs no decision
            decision = self._affinity.explain(environ).served, "name", "", ""
        version, reason, source, refused = decision
        line = {
            "time": datetime.now().astimezone().isoformat(timespec="milliseconds"),
            **line,
            "version": version,
            "served": line["served"] or version,
            "reason": reason,
            "source": source,
            "refused": refused,
            "milliseconds": round((time.perf_counter() - began) * 1000, 2),
        }
        with self._printing:
            self._write(line)

    def _say_line(self, line: dict[str, Any]) -> None:
        why = line["reason"] + (f" {line['source']}" if line["source"] else "")
        if line["served"] != line["version"]:
            why += f", rescued by {short_id(line['served'])}"
        if line["refused"]:
            why += f", refused {line['refused']}"
        status = str(line["status"])
        ids = list(map(short_id, (line["version"], *self._affinity.deployment.percentages)))
        id_width = max(8, *map(len, ids))
        cells = (
            styled(line["time"][11:19], "faint"),
            styled(status, _COLOURS.get(status[0], "bad")),
            styled(f"{ids[0]:<{id_width}}", "version"),
            f"{why:<{self._width}}",
            styled(f"{line['milliseconds']:>7.1f} ms", "faint"),
            f"{line['method']} {printable(line['target'])}",
        )
        say("  ".join(cells))
