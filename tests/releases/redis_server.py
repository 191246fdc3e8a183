"""A real Redis of the test's own: an empty directory, a free port, and ways to take it away."""

from __future__ import annotations

import contextlib
import importlib.util
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch
from urllib.parse import quote

from tests.harness import missing
from tests.servers.servers import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

#: How long a server may take to answer first, and to end, in seconds.
START: Final = 30.0


class RedisServer:
    """One redis-server: started, killed, stopped and continued as a test wants it.

    Attributes:
        url: Where it listens, with the password.
        directory: Its data, its log, its certificate ``server.pem`` and its socket ``redis.sock``.
    """

    def __init__(self, directory: Path, *, password: str = "", tls: bool = False, keeps: bool = True) -> None:
        self.directory = directory
        self.port = free_port()
        self.password = password
        self.tls = tls
        self.keeps = keeps
        self._process: subprocess.Popen[bytes] | None = None
        if tls:
            _certificate(directory)

    @property
    def url(self) -> str:
        """Its URL, with all that a client needs."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        ca = f"?ssl_ca_certs={quote(str(self.directory / 'server.pem'))}" if self.tls else ""
        return f"{'rediss' if self.tls else 'redis'}://{secret}{HOST}:{self.port}/0{ca}"

    @property
    def socket_url(self) -> str:
        """The URL of its Unix socket."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"unix://{secret}{self.directory / 'redis.sock'}"

    def client(self) -> Redis:
        """Return a client of the test's own."""
        from redis import Redis  # noqa: PLC0415 - an extra

        return Redis.from_url(self.url, socket_timeout=START)

    def start(self) -> None:
        """Start it, with the data that it was ended with; return when it answers."""
        port = ("--port", "0", "--tls-port", str(self.port)) if self.tls else ("--port", str(self.port))
        options = [*port, "--bind", HOST, "--unixsocket", "redis.sock", "--dir", str(self.directory), "--save", ""]
        options += ["--appendonly", "yes" if self.keeps else "no", "--appendfsync", "always"]
        if self.password:
            options += ["--requirepass", self.password]
        if self.tls:
            options += ["--tls-cert-file", "server.pem", "--tls-key-file", "server.key"]
            options += ["--tls-ca-cert-file", "server.pem", "--tls-auth-clients", "no"]
        from redis import RedisError  # noqa: PLC0415 - an extra

        with (self.directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([find(), *options], cwd=self.directory, stdout=log, stderr=log)
        until = time.monotonic() + START
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(RedisError), self.client() as client:
                client.ping()
                return
            time.sleep(0.02)  # nothing tells when it begins to listen
        text = (self.directory / "redis.log").read_text(errors="replace")
        if self.tls and "tls-" in text:
            missing("redis-server with TLS", "this one was built without")
        raise RuntimeError(f"redis-server does not answer; its log:\n{text}")

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Remove the data of a server that is not running."""
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it answer nobody within the block, while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server(
    *, password: str = "", tls: bool = False, keeps: bool = True, grace: float = 0.0
) -> Iterator[RedisServer]:
    """Run a Redis for as long as the block lasts.

    Args:
        password: What it asks for.
        tls: Whether it speaks TLS, with a certificate of its own.
        keeps: Whether it writes its data to the disk.
        grace: Seconds that the first deployment of this process waits after its start for what hosts say.
    """
    find()
    from version_affinity.releases.log import redis as redis_log  # noqa: PLC0415 - an extra

    # A directory with a short name: that of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True) as directory:
        server = RedisServer(Path(directory), password=password, tls=tls, keeps=keeps)
        try:
            server.start()
            with patch.object(redis_log, "GRACE", grace):
                yield server
        finally:
            server.kill()


def find() -> str:
    """Return the path of redis-server, or skip the test without it, or without a client."""
    path = shutil.which("redis-server")
    if path is None:
        missing("redis-server", "install the package redis-server")
    if importlib.util.find_spec("redis") is None:
        missing("redis", "it comes with the extra 'redis'")
    return str(path)


def _certificate(directory: Path) -> None:
    """Write a certificate for this address that is its own authority."""
    if shutil.which("openssl") is None:
        missing("openssl", "install the package openssl")
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=redis", "-addext", f"subjectAltName=IP:{HOST}"]
    files = ["-keyout", "server.key", "-out", "server.pem"]
    subprocess.run(["openssl", "req", *options, *names, *files], cwd=directory, check=True, capture_output=True)


class Wire:
    """A line to a Redis that can lose an answer, be slow, or be cut so that neither side notices.

    Attributes:
        url: Where to connect instead of to Redis itself.
        lose: How many of the next replies to a script get lost: the line breaks before the reply.
        meanwhile: What happens when one is lost, before the other side notices.
        delay: Seconds that each reply takes.
        connections: How many there were.
    """

    def __init__(self, server: RedisServer) -> None:
        self.lose = 0
        self.meanwhile: Callable[[], object] = int
        self.delay = 0.0
        self.connections = 0
        self._is_cut = False
        self._target = server.port
        self._listener = socket.create_server((HOST, 0))
        secret = f":{quote(server.password, safe='')}@" if server.password else ""
        self.url = f"redis://{secret}{HOST}:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Let every byte vanish within the block. Connections of this time stay dead after it, as through a router."""
        self._is_cut = True
        try:
            yield
        finally:
            self._is_cut = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the end of the block
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._carry, args=(peer,), daemon=True).start()

    def _carry(self, peer: socket.socket) -> None:
        losing = is_dead = False
        with contextlib.suppress(OSError), peer, socket.create_connection((HOST, self._target)) as server:
            while True:
                for end in select.select([peer, server], [], [])[0]:
                    if not (block := end.recv(1 << 20)):
                        return
                    is_dead = is_dead or self._is_cut
                    if is_dead:
                        continue
                    if end is peer:
                        losing = self.lose > 0 and b"EVAL" in block
                        server.sendall(block)
                    elif losing:
                        self.lose -= 1
                        self.meanwhile()
                        return
                    else:
                        time.sleep(self.delay)
                        peer.sendall(block)
