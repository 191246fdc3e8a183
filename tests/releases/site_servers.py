"""Servers of a site that follows releases, what their workers say of themselves, and load from another process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.releases.followed import PATH, until
from tests.servers.servers import HOST, Server, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.releases.followed import Site

#: How many browsers load a site.
BROWSERS = 4


@contextlib.contextmanager
def gunicorn(
    site: Site,
    directory: Path,
    *options: str,
    workers: int,
    factory: str = "tests.releases.followed:site()",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve a site by so many workers of four threads each; the log goes to a directory."""
    port = free_port()
    command = ["-m", "gunicorn", f"--workers={workers}", "--worker-class=gthread", "--threads=4", *options]
    environment = {**site.environment, "PYTHONPATH": PATH, **(environment or {})}
    command = [sys.executable, *command, f"--bind={HOST}:{port}", factory]
    with running(command, port, directory / "gunicorn.log", environment) as server:
        yield server


@contextlib.contextmanager
def load(server: Server) -> Iterator[dict[str, Any]]:
    """Load a site from another process until the block ends; what came of it is in the dict afterwards."""
    script = Path(__file__).with_name("load.py")
    command = [sys.executable, str(script), str(server.port), str(BROWSERS)]
    outcome: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield outcome
            written, _ = process.communicate(timeout=60)
            outcome.update(json.loads(written))
        finally:
            process.kill()


def workers(server: Server, number: int) -> dict[int, Any]:
    """Return what each worker says of itself, by process; so many of them."""
    found: dict[int, Any] = {}

    def ask(_: int) -> None:
        # One that was just killed may have taken the connection.
        with contextlib.suppress(OSError):
            told = json.loads(server.ask("/worker?seconds=0.02").body)
            found[told["process"]] = told

    def all_of_them() -> bool:
        found.clear()
        with ThreadPoolExecutor(2 * number) as pool:
            list(pool.map(ask, range(4 * number)))
        return len(found) >= number

    until(all_of_them, f"{number} workers have answered")
    return found
