"""Real servers in processes of their own, and a client that speaks to them over sockets."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.harness import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
#: How long a server may take to answer its first request, and how long to end, in seconds.
START, STOP = 60.0, 15.0

#: By server: its command for an application "module:name", or "module:name()" for one that is made by calling it.
COMMANDS: dict[str, tuple[str, ...]] = {
    "gunicorn": ("--workers=2", "--threads=4", "--worker-class=gthread", "--keep-alive=60", "--bind={host}:{port}"),
    "granian": ("--workers=2", "--interface=wsgi", "--host={host}", "--port={port}"),
    "waitress": ("--listen={host}:{port}",),
}
FACTORY = {"granian": ("--factory",), "waitress": ("--call",)}  # gunicorn understands the parentheses


class Answer(NamedTuple):
    """A response as it came over the wire."""

    status: int
    headers: Message
    body: bytes


class Connection(http.client.HTTPConnection):
    """A kept connection to a server. It sends the headers that it is given, and Host, and no others."""

    def ask(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """Send a request and read its response to the end."""
        self.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            self.putheader(name, value)
        self.endheaders()
        response = self.getresponse()
        return Answer(response.status, response.headers, response.read())


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @contextlib.contextmanager
    def connection(self, timeout: float = 30) -> Iterator[Connection]:
        """Give one connection, kept open from request to request; it waits this many seconds for bytes."""
        with contextlib.closing(Connection(HOST, self.port, timeout=timeout)) as connection:
            yield connection

    def ask(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """Send one request on a connection of its own."""
        with self.connection() as connection:
            return connection.ask(path, {**(headers or {}), "Connection": "close"}, method)

    def send(self, request: bytes) -> bytes:
        """Send bytes as they are, and return every byte that comes back before the server hangs up."""
        received = bytearray()
        with socket.create_connection((HOST, self.port), timeout=30) as peer:
            with contextlib.suppress(ConnectionError):  # a server may refuse a request before it has read it
                peer.sendall(request)
            with contextlib.suppress(ConnectionError):
                while block := peer.recv(65536):
                    received += block
        return bytes(received)


@contextlib.contextmanager
def serving(name: str, target: str, directory: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run one of the servers for as long as the block lasts.

    Args:
        name: The server, one of ``COMMANDS``.
        target: The application, "module:name" or "module:name()".
        directory: Where the log goes.
        environment: Variables for the server's process, added to this one's.
    """
    if importlib.util.find_spec(name) is None:
        missing(name, "it comes with the extra 'test'")
    port = free_port()
    options = [option.format(host=HOST, port=port) for option in COMMANDS[name]]
    if target.endswith("()") and name in FACTORY:
        options += FACTORY[name]
        target = target.removesuffix("()")
    with running(
        [sys.executable, "-m", name, *options, target], port, directory / f"{name}.log", environment
    ) as server:
        yield server


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a command until the block ends, which begins when the command's port answers HTTP.

    Raises:
        RuntimeError: it ended or did not answer in time; the message has its log.
    """
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its workers are in its group, and nobody else is
        )
    try:
        server = Server(port, log)
        _wait(process, server)
        yield server
    finally:
        end(process)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], server: Server) -> None:
    """Wait until the server answers; a process that forks its workers listens long before."""
    until = time.monotonic() + START
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.ask("/")
            return
        time.sleep(0.05)  # nothing tells when a foreign process begins to listen
    ended = f"ended with {process.returncode}" if process.returncode is not None else f"silent for {START:g} s"
    raise RuntimeError(f"{process.args!r} {ended}; its log:\n{server.log.read_text(errors='replace')}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, gently at first."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
