"""``python -m benchmarks --http``: a small file over real sockets, next to nginx and to what one server can do at all.

One granian worker with one thread against one nginx worker whose ``split_clients`` chooses between the same two
directories. ``wrk`` asks on kept connections, each request with another session's cookie. All servers run all the time
and are asked in turns; where there are two processors, the servers have one and ``wrk`` the other.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from .environs import Visitors
from .report import machine, table
from .served import BUILDS
from .timing import WrongAnswerError
from .trees import grow, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OURS: Final = "version_affinity, split, granian"
NGINX: Final = "nginx, split_clients"
#: The aim: this part of nginx's requests per second.
AIM: Final = 0.8

# By contestant, what its granian worker makes; nginx has none.
_FACTORIES: Final = {
    OURS: "split",
    "StaticAssets alone, granian": "alone",
    "WhiteNoise, granian": "whitenoise",
    "null app, granian": "null",
}
_GRANIAN: Final = (
    "--interface=wsgi",
    "--workers=1",
    "--blocking-threads=1",
    "--runtime-threads=1",
    "--http=1",
    "--no-ws",
    "--no-log",
    "--factory",
)
_HOST: Final = "127.0.0.1"
_BYTES: Final = 4096
_CONNECTIONS: Final = 32
_COOKIES: Final = 1000
_START, _STOP = 30.0, 10.0  # seconds that a server may take
_NGINX_CONFIGURATION: Final = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
%(user)s
events { worker_connections 256; }
http {
    access_log off;
    types { text/javascript js; }
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=10000;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    split_clients "storefront$cookie_session_id" $version { 50%% v1; * v2; }
    server {
        listen %(host)s:%(port)d;
        root %(builds)s/$version;
        location /assets/ {
            add_header Cache-Control "public, max-age=31536000, immutable";
            add_header X-Content-Type-Options nosniff;
        }
    }
}
"""
# All requests are made before the first is sent: wrk's processor must not be what is measured.
_SCRIPT: Final = """
local requests, number = {}, 0
function init(arguments)
    for session in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("GET", nil, {["Cookie"] = "theme=dark; session_id=" .. session})
    end
end
function request()
    number = number % #requests + 1
    return requests[number]
end
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a contestant did.

    Attributes:
        per_second: Requests, the median of rounds.
        of_nginx: The median of the rounds' ratios to nginx.
        lowest: The lowest of these ratios.
        highest: The highest.
    """

    per_second: float
    of_nginx: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class HttpResults:
    """All that was measured: the rates by contestant, how many rounds, of how many seconds each."""

    rates: Mapping[str, Rate]
    rounds: int
    seconds: int
    pinned: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the results as objects that JSON can carry."""
        return {"machine": machine(), "components": _components(), **asdict(self)}


def measure(root: Path, *, rounds: int, seconds: int) -> HttpResults:
    """Measure in rounds, in each of which every contestant has its turn, in a new order.

    Args:
        root: An empty directory for the builds and the servers' files.
        rounds: How many, after one that warms up.
        seconds: How long a turn takes.

    Raises:
        WrongAnswerError: a contestant's answer is not the file.
    """
    _check_components()
    directories = grow(root / "builds", versions=2, files=1_000)
    content = random.Random(1).randbytes(_BYTES)
    (path,) = {"/" + write_file(directory, "assets/Measured", "js", content) for directory in directories}
    sessions = Visitors(_COOKIES).sessions
    (root / "sessions").write_text("\n".join(sessions) + "\n")
    (root / "wrk.lua").write_text(_SCRIPT)
    processors = _processors()
    with contextlib.ExitStack() as stack:
        ports = {NGINX: stack.enter_context(_nginx(root, processors[:1]))}
        for name, factory in _FACTORIES.items():
            ports[name] = stack.enter_context(_granian(root, factory, processors[:1]))
        for name, port in ports.items():
            _check_answers(name, port, path, b"ok" if "null" in name else content, sessions[:20])
        turns: dict[str, list[float]] = {name: [] for name in ports}
        order, names = random.Random(1), list(ports)
        for turn in range(rounds + 1):
            order.shuffle(names)
            for name in names:
                _say(f"  {turn}/{rounds} {name}")
                rate = _wrk(root, f"http://{_HOST}:{ports[name]}{path}", seconds if turn else 1, processors[1:])
                if turn:  # the first turn warms up
                    turns[name].append(rate)
    return HttpResults(_rates(turns), rounds, seconds, pinned=bool(processors))


def _rates(turns: Mapping[str, Sequence[float]]) -> dict[str, Rate]:
    rates = {}
    for name, values in turns.items():
        ratios = [value / reference for value, reference in zip(values, turns[NGINX], strict=True)]
        rates[name] = Rate(median(values), median(ratios), min(ratios), max(ratios))
    return rates


def markdown(results: HttpResults) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"Measured on: {machine()}; {_components()}."
    yield ""
    yield f"## Over HTTP: a fingerprinted file of {_BYTES // 1024} KiB"
    yield ""
    where = "servers on one processor, wrk on another" if results.pinned else "nothing bound to a processor"
    yield (
        f"Requests per second on {_CONNECTIONS} kept connections, one worker each: medians of {results.rounds} rounds "
        f"of {results.seconds} s in turns; {where}. The ratio to nginx is that of the same round: the median, and in "
        f"brackets the lowest and the highest. The aim for version_affinity is {AIM}."
    )
    yield ""
    yield from table(
        ("", "requests per second", "÷ nginx", "aim met"),
        (
            (
                name,
                f"{rate.per_second:,.0f}",
                f"{rate.of_nginx:.2f} ({rate.lowest:.2f} to {rate.highest:.2f})",
                ("yes" if rate.of_nginx >= AIM else "**no**") if name == OURS else "",
            )
            for name, rate in results.rates.items()
        ),
    )


# The components.


def _find(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def _check_components() -> None:
    lacking = [command for command in ("wrk", "nginx") if _find(command) is None]
    if lacking:
        sys.exit(f"{' and '.join(lacking)}: not found. --http needs wrk and nginx (on Debian: apt install wrk nginx)")
    if importlib.util.find_spec("granian") is None:
        sys.exit("granian: not found. It comes with the extra: pip install '.[bench]'")


def _components() -> str:
    commands = {"nginx": (_find("nginx") or "nginx", "-v"), "granian": (sys.executable, "-m", "granian", "--version")}
    said = (
        subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        for command in (*commands.values(), (_find("wrk") or "wrk", "-v"))
    )
    versions = (re.search(r"\d+\.\d+(?:\.\d+)?", ran.stderr + ran.stdout) for ran in said)
    names = (*commands, "wrk")
    return ", ".join(f"{name} {found[0]}" for name, found in zip(names, versions, strict=True) if found)


def _processors() -> list[int]:
    """Return two processors to bind the servers and wrk to; none where that cannot be done."""
    if not hasattr(os, "sched_getaffinity") or _find("taskset") is None:
        return []
    usable = sorted(os.sched_getaffinity(0))
    return usable[:2] if len(usable) > 1 else []


def _bound(command: Sequence[str], processors: Sequence[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, processors)), *command] if processors else list(command)


@contextlib.contextmanager
def _nginx(root: Path, processors: Sequence[int]) -> Iterator[int]:
    port = _free_port()
    directory = root / "nginx"
    directory.mkdir()
    values = {"host": _HOST, "port": port, "builds": root / "builds", "user": "user root;" if _is_root() else ""}
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX_CONFIGURATION % values)
    command = [_find("nginx") or "nginx", "-p", f"{directory}/", "-e", "stderr", "-c", str(configuration)]
    with _running(_bound(command, processors), port, directory / "log", {}):
        yield port


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


@contextlib.contextmanager
def _granian(root: Path, factory: str, processors: Sequence[int]) -> Iterator[int]:
    port = _free_port()
    place = (f"--host={_HOST}", f"--port={port}", f"benchmarks.served:{factory}")
    command = [sys.executable, "-m", "granian", *_GRANIAN, *place]
    with _running(_bound(command, processors), port, root / f"{factory}.log", {BUILDS: str(root / "builds")}):
        yield port


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a server until the block ends, which begins when the server answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its group has its workers and no other process
        )
    try:
        until = time.monotonic() + _START
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"{command[0]} does not serve; its log:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)  # a foreign process does not report when it listens
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        return _ask(port, "/", {})[0] > 0
    except (OSError, http.client.HTTPException):
        return False


def _ask(port: int, path: str, fields: Mapping[str, str]) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(_HOST, port, timeout=10)) as connection:
        connection.request("GET", path, headers=dict(fields))
        response = connection.getresponse()
        return response.status, response.read()


def _check_answers(name: str, port: int, path: str, expected: bytes, sessions: Sequence[str]) -> None:
    for session in sessions:
        status, body = _ask(port, path, {"Cookie": f"theme=dark; session_id={session}"})
        if status != http.client.OK or body != expected:
            raise WrongAnswerError(f"{name} answers {path} with {status} and {len(body)} bytes, not with the file")


def _wrk(root: Path, url: str, seconds: int, processors: Sequence[int]) -> float:
    """Return the requests per second.

    Raises:
        WrongAnswerError: some answers were errors, or none.
    """
    options = ("--threads=1", f"--connections={_CONNECTIONS}", f"--duration={seconds}s", f"--script={root / 'wrk.lua'}")
    command = [_find("wrk") or "wrk", *options, url, "--", str(root / "sessions")]
    ran = subprocess.run(_bound(command, processors), capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s*([0-9.]+)", ran.stdout)
    if rate is None or "Non-2xx" in ran.stdout or "Socket errors" in ran.stdout:
        raise WrongAnswerError(f"{url}: {ran.stdout}{ran.stderr}")
    return float(rate[1])


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)
