"""The README and the tutorial run block by block, as a reader pastes them, and so do the projects of how-to pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.servers]

ROOT = Path(__file__).parents[2]
#: The address of the server, as the pages write it.
ADDRESS = "http://127.0.0.1:5000"
#: Seconds that a block may take: some download packages.
PATIENCE = 600
_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^>]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"(?:#|//) ([\w./]+\.\w+)\n")
_END = "the block has ended"


class Block(NamedTuple):
    """A block of a page.

    Attributes:
        note: The comment before it.
        language: The language after the fence.
        text: The content.
    """

    note: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page."""
    text = (ROOT / page).read_text("utf-8")
    return [Block(found["note"] or "", found["language"], found["text"]) for found in _BLOCK.finditer(text)]


def free_port() -> int:
    """Return a port that is free."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Terminal:
    """A shell that runs blocks one after the other, and a server.

    Attributes:
        port: The port of the server, in place of 5000.
    """

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._command = ""
        self._log = directory / "server.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL", "PYTEST"))}
        own = str(Path(sys.executable).parent)
        paths = [path for path in os.environ["PATH"].split(os.pathsep) if path != own]
        self._shell = subprocess.Popen(
            ["bash", "-e"],
            cwd=directory,
            env={**environment, "PATH": os.pathsep.join(paths), "CI": "true", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def paste(self, text: str) -> str:
        """Run a block and return what it printed; each of its commands must succeed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        text = text.replace(ADDRESS, f"http://127.0.0.1:{self.port}")
        self._shell.stdin.write(f"{text}\necho; echo '{_END}'\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        for line in self._shell.stdout:
            if line.strip() == _END:
                return "".join(printed)
            printed.append(line)
        pytest.fail(f"{text}\nended with\n{''.join(printed)}")

    @property
    def directory(self) -> Path:
        """Where the shell is."""
        return Path(self.paste("pwd").strip())

    def start(self, command: str = "") -> None:
        """Start or restart the server, and wait until it listens."""
        self.stop()
        self._command = command.strip() or self._command
        environment = json.loads(
            self.paste(f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'")
        )
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                ["bash", "-c", f"{self._command} --port {self.port}"],
                cwd=self.directory,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.2)
        pytest.fail(f"{self._command} does not listen in {self.directory}:\n{self._log.read_text()}")

    @property
    def serves(self) -> bool:
        """Whether a server runs."""
        return self._server is not None

    def stop(self) -> None:
        """Stop the server."""
        if self._server is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait(30)
            self._server = None

    def close(self) -> None:
        """End everything."""
        self.stop()
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.communicate(timeout=30)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy the project, so that an installation does not change this checkout."""
    left = (".*", "node_modules", "_build", "tests", "build", "dist", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, tmp_path / "version_affinity", ignore=shutil.ignore_patterns(*left)))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Open a terminal. Skip the test without a Node that Vite supports."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().removeprefix("v").split(".")[:2])) < (20, 19):
        pytest.skip(f"Vite needs Node 20.19 or newer, and this is {version.strip()}")
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def walk(terminal: Terminal, page: str) -> list[str]:
    """Run a page block by block, and return the files that it wrote."""
    printed, written = "", []
    for block in blocks(page):
        file = _FILE.match(block.text)
        if file is not None:
            (terminal.directory / file[1]).write_text(block.text)
            written.append(file[1])
            if terminal.serves and written.count(file[1]) == 1:
                terminal.stop()  # a server for another application
            elif terminal.serves and block.language == "python":
                terminal.start()
                answer = terminal.paste(f"curl -sfI -H 'Accept: text/html' {ADDRESS}/")
                assert "\nVersion-Affinity: v" in answer.replace("\r", ""), answer
        elif block.language == "text":
            assert block.text.strip() in printed.replace("\r", "").splitlines(), printed
        elif block.note == "command: test":
            continue  # .ci/run does this, and would run this test again
        elif block.note:
            terminal.start(block.text)
        elif block.language == "sh":
            printed = terminal.paste(block.text)
    return written


def test_readme(terminal: Terminal, clone: Path) -> None:
    """Every block of the README runs as pasted, in order, from a clone to a second version; its tags load a file."""
    terminal.paste(f"cd {clone.name}")
    written = walk(terminal, "README.md")
    assert written == ["app.py", "app.py", "app.py", "vite.config.ts"]
    terminal.paste("npm run build -- --outDir builds/v3")
    terminal.paste(
        "python -c 'from version_affinity import *; "
        'affinity = VersionAffinity(None, [Version("v3", "builds/v3")], name="storefront"); '
        'print(affinity.asset_tags({}, "src/main.ts"))\' | grep "<script"'
    )


def test_tutorial(terminal: Terminal, clone: Path) -> None:
    """Every command of the tutorial succeeds and prints what the page shows, from an empty folder to a rollback."""
    assert clone.name == "version_affinity"
    assert walk(terminal, "docs/tutorial.md") == ["app.py"]
    log = (terminal.directory / "releases/deployments.jsonl").read_text().splitlines()
    assert [json.loads(line)["percentages"] for line in log] == [
        {"v1": 100},
        {"v1": 100, "v2": 0},
        {"v1": 90, "v2": 10},
        {"v2": 100},
        {"v1": 100},
    ]


SETTINGS = """
SECRET_KEY = "only for a test"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["version_affinity.django", "shop"]
WSGI_APPLICATION = "shop.wsgi.application"
CONTEXT = ["django.template.context_processors.request"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": CONTEXT}}]
"""
URLS = """
from django.shortcuts import render
from django.urls import path

urlpatterns = [path("cart", lambda request: render(request, "cart.html"))]
"""
BUILD = {
    "index.html": '<!doctype html><script type="module" src="/assets/main-BX4CeNGm.js"></script>',
    "assets/main-BX4CeNGm.js": "console.log(1)",
    ".vite/manifest.json": json.dumps({"src/main.ts": {"file": "assets/main-BX4CeNGm.js", "isEntry": True}}),
}


def write(directory: Path, files: dict[str, str]) -> None:
    """Write files."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a releases directory with two versions in the working directory. The second version is staged."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "dist", BUILD)
    command = [sys.executable, "-m", "version_affinity"]
    for line in ("init --name storefront", "versions upload dist --id v1", "versions upload dist --id v2"):
        subprocess.run([*command, *line.split()], check=True)
    subprocess.run([*command, "versions", "deploy", "v1@100%", "v2@0%", "-y"], check=True)
    return tmp_path / "releases"


def test_django(releases: Path) -> None:
    """The page about Django is a project whose tests pass, and fail with another override."""
    pytest.importorskip("django", reason="it comes with the extra 'test'")
    project = releases.parent
    files = {"shop/__init__.py": "", "shop/settings.py": SETTINGS, "shop/urls.py": URLS}
    for block in blocks("docs/how-to/django.md"):
        file = _FILE.match(block.text)
        if file is not None or block.language == "html":
            files[file[1] if file is not None else "shop/templates/cart.html"] = block.text
    files["shop/wsgi.py"] = files["shop/wsgi.py"].replace(
        'app_first=["/api/*"', 'not_found_handling="single-page-application", app_first=["/cart", "/api/*"'
    )
    write(project, files)
    command = [sys.executable, "-m", "django", "test", "--settings=shop.settings", "--pythonpath=."]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project)
    assert (done.returncode, "Ran 2 tests" in done.stderr) == (0, True), done.stderr
    tests = files["shop/tests.py"]
    write(project, {"shop/tests.py": tests.replace('"Version-Override": "v2"', '"Version-Override": "v1"')})
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project)
    assert done.returncode != 0


def test_fastapi(releases: Path) -> None:
    """The application of the page about FastAPI answers behind the middleware, and is an ASGI application."""
    fastapi = pytest.importorskip("fastapi", reason="it comes with the extra 'test'")
    from werkzeug.test import Client  # noqa: PLC0415 - with FastAPI alone

    assert fastapi is not None
    assert releases.is_dir()
    (code,) = [block.text for block in blocks("docs/how-to/fastapi.md") if block.language == "python"]
    names = {"__name__": "shop"}
    exec(code.replace("from __future__ import annotations", ""), names)  # noqa: S102 - our own page
    client = Client(names["affinity"])
    try:
        assert client.get("/api/version", headers={"Version-Override": "v2"}).json == {"version": "v2"}
        assert 'src="/assets/main-BX4CeNGm.js"' in client.get("/cart").text
        assert callable(names["app"])
    finally:
        names["affinity"].source.close()
