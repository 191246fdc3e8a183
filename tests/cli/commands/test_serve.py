"""``serve``: a real server for builds and for releases, its lines, its end, and what keeps it from starting."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if os.environ.get("CI") != "true":  # there the tests fail instead
    pytest.importorskip("waitress", reason="it comes with the extra 'serve'")

from tests.cli.commanding import ENTRY, Site, environment, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.servers

PAGE = {"Accept": "text/html"}
PATIENCE = 60.0


class Served:
    """A server, and the lines that it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""
        self.lines: list[str] = []

    def line(self) -> str:
        """Wait for the next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.lines
        self.lines.append(line.rstrip("\n"))
        return self.lines[-1]

    def ask(
        self, path: str, headers: Mapping[str, str] = PAGE, method: str = "GET"
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request."""
        parts = urlsplit(self.url)
        with contextlib.closing(
            http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
        ) as connection:
            connection.request(method, path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()

    def end(self, by: signal.Signals) -> str:
        """End it, and return what it still says."""
        self.process.send_signal(by)
        rest, _ = self.process.communicate(timeout=PATIENCE)
        return rest


@contextlib.contextmanager
def served(cwd: Path, *arguments: str, as_json: bool = False) -> Iterator[Served]:
    """Run ``serve`` until the block ends; it listens when the block begins."""
    options = ("--json",) if as_json else ()
    with subprocess.Popen(
        program("serve", "--port", "0", *arguments, *options),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            server = Served(process)
            while not server.url:
                line = server.line()
                if as_json:
                    server.url = json.loads(line)["url"]
                elif line.startswith("  http://"):
                    server.url = line.strip()
            while not as_json and server.line() != "Press Ctrl+C to stop.":
                pass
            yield server
        finally:
            process.kill()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with two builds."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy({"v1": 100.0})
    return site


def test_builds(site: Site) -> None:
    """Builds are served by percentage, each request has a line with version and reason, and Ctrl+C ends it cleanly."""
    with served(
        site.root, "builds/v1@90%", "builds/v2@10", "--spa", "--name", "shop", "--key", "cookie:user"
    ) as server:
        assert server.lines[0] == "shop: v1 90 %, v2 10 %"
        assert any("Version-Override: v2" in line for line in server.lines)
        status, headers, body = server.ask("/checkout", {**PAGE, "Cookie": "user=alice"})
        assert (status, headers["Version-Affinity"]) == (200, 'v1;reason=key;source="cookie:user"')
        assert body.endswith(b"v1")
        words = server.line().split()
        assert words[1:5] == ["200", "v1", "key", "cookie:user"]
        assert words[-4:] == [words[-4], "ms", "GET", "/checkout"]
        assert server.ask("/", {"Version-Override": "v2"})[2].endswith(b"v2")
        assert server.line().split()[1:5] == ["200", "v2", "override", "header:Version-Override"]
        assert server.ask(ENTRY["v2"])[0] == 200
        assert server.line().split()[1:4] == ["200", "v2", "name"]
        assert server.ask("/", {**PAGE, "Version-Override": "v7"})[0] == 200
        assert "refused unknown-version" in server.line()
        assert server.ask("/", method="POST")[0] == 405
        assert server.line().split()[1] == "405"
        assert server.end(signal.SIGINT) == "\nStopped.\n"
    assert server.process.returncode == 0


def test_settings(site: Site) -> None:
    """Releases and builds are served as affinity.json says; options win."""
    site.run("settings", "--prefix", "/shop/", "--spa")
    for arguments in ((), ("builds/v1",)):
        with served(site.root, *arguments) as server:
            assert server.url.endswith("/shop/")
            assert server.ask("/shop/checkout")[2].endswith(b"v1")
    with served(site.root, "--prefix", "/", "--no-spa") as server:
        assert server.ask("/checkout")[0] == 404


def test_lines_are_aligned(site: Site) -> None:
    """The columns are as wide as what stands in them: a version's id, and the reason with the cookie's name."""
    site.run("versions", "upload", str(site.build("v3")), "--id", "128db5012d84")
    site.deploy({"v1": 50.0, "128db5012d84": 50.0})
    with served(site.root) as server:
        _, headers, _ = server.ask("/")
        cookie = headers["Set-Cookie"].partition(";")[0]
        for more in ({}, {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}):
            server.ask("/logo.svg", {"Cookie": cookie, **more})
        server.ask("/", {**PAGE, "Cookie": cookie})
        server.ask("/", {"Version-Override": "v1"})
        lines = [server.line() for _ in range(5)]
    assert any("pin cookie:version-affinity-storefront " in line for line in lines)
    assert len({line.index(" ms  ") for line in lines}) == 1


def test_json_lines(site: Site) -> None:
    """With --json, the first line says where it listens, and each request is a line of JSON."""
    with served(site.root, "builds/v1", as_json=True) as server:
        first = json.loads(server.lines[0])
        assert (first["name"], first["percentages"]) == ("serve", {"v1": 100.0})
        server.ask("/logo.svg?x=%20")
        told: dict[str, Any] = json.loads(server.line())
        assert {name: told[name] for name in ("method", "target", "status", "version", "served", "reason")} == {
            "method": "GET",
            "target": "/logo.svg?x=%20" if "?" in told["target"] else "/logo.svg",
            "status": 200,
            "version": "v1",
            "served": "v1",
            "reason": "only",
        }
        assert told["milliseconds"] >= 0
        assert server.end(signal.SIGTERM) == ""
    assert server.process.returncode == 0


def test_rescue(site: Site) -> None:
    """A file that another version has is told as what it is."""
    (site.root / "builds" / "v2" / "only.txt").write_text("of v2")
    with served(site.root, "builds/v1@50", "builds/v2@50", as_json=True) as server:
        server.ask("/only.txt", {"Version-Override": "v1"})
        told = json.loads(server.line())
        assert (told["version"], told["served"], told["reason"]) == ("v1", "v2", "override")
    with served(site.root, "builds/v1@50", "builds/v2@50") as server:
        server.ask("/only.txt", {"Version-Override": "v1"})
        assert "rescued by v2" in server.line()


def test_releases(site: Site) -> None:
    """Without builds, the releases are followed: a deployment shows at once."""
    with served(site.root, as_json=True) as server:
        assert json.loads(server.lines[0])["percentages"] == {"v1": 100.0}
        assert server.ask("/")[2].endswith(b"v1")
        site.deploy({"v2": 100.0})
        until = time.monotonic() + PATIENCE
        while not server.ask("/")[2].endswith(b"v2"):
            assert time.monotonic() < until
            time.sleep(0.05)
        server.end(signal.SIGINT)
    assert server.process.returncode == 0


def test_nobody_waits_for_this_host(tmp_path: Path) -> None:
    """Who serves the releases on a machine of their own is no host that deployments wait for."""
    if os.environ.get("CI") != "true":
        pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    from tests.releases.redis_server import redis_server  # noqa: PLC0415 - of an extra

    with redis_server() as redis:
        site = Site(tmp_path, redis.url)
        site.upload("v1", "v2")
        site.deploy({"v1": 100.0})
        with served(site.root, "--log", redis.url) as server:
            site.deploy({"v2": 100.0})
            until = time.monotonic() + PATIENCE
            while not server.ask("/")[2].endswith(b"v2"):
                assert time.monotonic() < until
                time.sleep(0.05)
            assert site.json("deployments", "status")["workers"] == []


def test_changes_of_a_build(site: Site) -> None:
    """With --autorefresh, a build that is written anew is served anew."""
    with served(site.root, "builds/v1", "--autorefresh", as_json=True) as server:
        assert server.ask("/new.txt")[0] == 404
        (site.root / "builds" / "v1" / "new.txt").write_text("new")
        assert server.ask("/new.txt")[2] == b"new"


def test_taken_port(site: Site) -> None:
    """A port that is taken is named, with what helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = site.run("serve", str(site.root / "builds" / "v1"), "--port", str(port), code=1)
    assert f"port {port} is in use by another program. Choose another one, as in --port {port + 1}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["builds/v1@60", "builds/v2@60"], 2, "sum to 120 %"),
        (["builds/v1", "other/v1"], 2, "v1 appears twice"),
        (["nowhere"], 1, "nowhere"),
        (["builds/v1", "--name", "Shop"], 2, "name='Shop' cannot be used"),
        (["builds/v1", "--host", "256.0.0.1"], 1, "cannot listen at --host 256.0.0.1"),
        (["builds/v1", "--port", "65536"], 2, "is not in the range"),
        (["builds/v1", "--key", "nope"], 2, "is not a key source"),
        (["builds/v1", "--spa", "--prefix", "shop"], 2, "prefix='shop' is not a path"),
        ([""], 2, "the value is empty. Is the shell variable set?"),
        ([".hidden"], 2, "version id '.hidden' cannot be used"),
    ],
)
def test_errors(site: Site, arguments: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be served is told before anything listens."""
    monkeypatch.chdir(site.root)
    assert words in site.run("serve", *arguments, code=code).stderr
