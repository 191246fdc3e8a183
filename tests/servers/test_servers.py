"""The example under real servers, each in processes of its own: the same answers, and one version for each user."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from example_app.app import create_app
from tests.example.test_example_builds import BUILDS, REFERENCE
from tests.harness import NAVIGATION, SCRIPT, client, missing
from tests.servers.servers import COMMANDS, HOST, Answer, Connection, Server, free_port, running, serving
from version_affinity import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path

    from werkzeug.datastructures import Headers
    from werkzeug.test import Client

pytestmark = pytest.mark.servers

SPLIT = {"v1": 50.0, "v2": 50.0}
STAGED = {"v1": 100.0, "v2": 0.0}
#: What curl sends by itself.
CURL = {"User-Agent": "curl/8.0", "Accept": "*/*"}
#: A user of each version at 50/50, so that answers can be compared.
USERS = {
    version: {"Cookie": f"session_id={key}"}
    for key in ("test123", *map(str, range(20)))
    for version in (Deployment("example", SPLIT).assign(key),)
}
#: The headers that must not depend on the server.
COMPARED = (
    "Content-Type",
    "Content-Length",
    "Cache-Control",
    "ETag",
    "Last-Modified",
    "Location",
    "Vary",
    "Allow",
    "Version-Affinity",
    "Server-Timing",
    "X-Content-Type-Options",
)


def environment(percentages: Mapping[str, float]) -> dict[str, str]:
    """Return what tells the example its first percentages."""
    return {"EXAMPLE_PERCENTAGES": ",".join(f"{version}={share:g}" for version, share in percentages.items())}


@pytest.fixture(scope="module", params=[*COMMANDS, "python -m example_app"])
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example at 50/50 under each server, and as the README starts it."""
    directory = tmp_path_factory.mktemp("log")
    if request.param in COMMANDS:
        with serving(request.param, "example_app.app:app", directory, environment(SPLIT)) as server:
            yield server
    else:
        port = free_port()
        command = [sys.executable, "-m", "example_app", f"--port={port}"]
        with running(command, port, directory / "example.log", environment(SPLIT)) as server:
            yield server


@pytest.fixture(scope="module", params=COMMANDS)
def staged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example under each server with v2 staged."""
    with serving(request.param, "example_app.app:app", tmp_path_factory.mktemp("log"), environment(STAGED)) as server:
        yield server


@pytest.fixture(autouse=True)
def log(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test: nothing was raised in the server; its log is shown where the test failed."""
    names = {"split", "staged"} & set(request.fixturenames)
    servers: list[Server] = [request.getfixturevalue(name) for name in names]
    before = [len(server.log.read_bytes()) for server in servers]
    yield
    for server, start in zip(servers, before, strict=True):
        written = server.log.read_bytes()[start:].decode(errors="replace")
        sys.stderr.write(written)
        assert "Traceback" not in written


@pytest.fixture(scope="module")
def reference() -> Client:
    """The example at 50/50 in this process, checked against PEP 3333."""
    return client(create_app(SPLIT))


def name(path: str, version: str) -> str:
    """Return one of a version's own files with a content hash, for example "assets/index-*.js"."""
    return "/" + next((BUILDS / version).glob(path)).relative_to(BUILDS / version).as_posix()


REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/", CURL),
    ("GET", "/", NAVIGATION),
    ("HEAD", "/", CURL),
    ("GET", "/about", NAVIGATION),
    ("GET", "/product/brass-nib?from=letter", NAVIGATION),
    ("GET", "/index.html?x=1", NAVIGATION),
    ("GET", "/release.json", CURL),
    ("GET", "/logo.svg", {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}),
    ("GET", "/sw.js", {"Service-Worker": "script"}),
    ("GET", name("assets/index-*.js", "v1"), SCRIPT),
    ("GET", name("assets/index-*.js", "v2"), SCRIPT),
    ("GET", name("assets/journey-*.js", "v0"), SCRIPT),
    ("HEAD", name("assets/hanken-*.woff2", "v1"), CURL),
    ("GET", name("assets/hanken-*.woff2", "v1"), CURL),
    ("GET", "/assets/index-AAAAAAAA.js", SCRIPT),
    ("GET", "/assets/index-AAAAAAAA.js", CURL),
    ("GET", "/nobody/lives/here", NAVIGATION),
    ("GET", "/.vite/manifest.json", CURL),
    ("GET", "/rollout", CURL),
    ("GET", "/login?next=/about", NAVIGATION),
    ("GET", "/api/products", SCRIPT),
    ("GET", "/api/cohort?size=50", CURL),
    ("GET", "/api/nothing", CURL),
    ("POST", "/logout", CURL | {"Content-Length": "0"}),
    ("POST", "/login", CURL | {"Content-Length": "0"}),
    ("POST", "/release.json", CURL | {"Content-Length": "0"}),
    ("OPTIONS", "/api/products", CURL),
    ("GET", "/", CURL | {"Version-Override": "v2"}),
    ("GET", "/", CURL | {"Version-Override": "v0"}),
    ("GET", "/release.json", CURL | {"Version-Override": "v9"}),
]


@pytest.mark.parametrize("version", USERS)
@pytest.mark.parametrize(("method", "path", "headers"), REQUESTS)
def test_same_answers(
    split: Server, reference: Client, version: str, method: str, path: str, headers: dict[str, str]
) -> None:
    """A server answers as the application does in one process: status, headers that matter, and body."""
    headers = headers | USERS[version]
    answer = split.ask(path, headers, method)
    expected = reference.open(path, split.url, method=method, headers=headers, buffered=True)
    assert answer.status == expected.status_code
    assert compared(answer.headers) == compared(expected.headers)
    assert answer.body == expected.data


def compared(headers: Message | Headers) -> dict[str, list[str]]:
    """Return the headers that must not depend on the server, lists in order and cookies without what was drawn."""
    values = {name: sorted((headers.get(name) or "").split(", ")) for name in COMPARED}
    cookies = [value for name, value in headers.items() if name.lower() == "set-cookie"]
    return values | {"Set-Cookie": [cookie.partition(".")[2] for cookie in cookies]}


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_same_assignments_from_every_worker(server: str, tmp_path: Path) -> None:
    """Every worker gives every key the version that the configuration alone says."""
    deployment = Deployment("example", SPLIT)
    keys = [f"user-{number}" for number in range(300)]
    with serving(server, "tests.served:example()", tmp_path, environment(SPLIT)) as running_server:
        first, assigned_by_first = worker_and_assignments(running_server, keys)
        # While one worker stands still, the other answers.
        os.kill(first, signal.SIGSTOP)
        try:
            second, assigned_by_second = worker_and_assignments(running_server, keys)
        finally:
            os.kill(first, signal.SIGCONT)
    assert first != second
    assert assigned_by_first == assigned_by_second == {key: deployment.assign(key) for key in keys}


def worker_and_assignments(server: Server, keys: list[str]) -> tuple[int, dict[str, str]]:
    """Return a worker's process, and the version that each key gets from it."""
    for _ in range(30):
        # The kernel may give a connection to a worker that stands still; the next one is dealt anew.
        with contextlib.suppress(TimeoutError), server.connection(timeout=2) as connection:
            worker = connection.ask("/release.json").headers["Worker"]
            assigned = {key: version_of(connection, key) for key in keys}
            assert connection.ask("/release.json").headers["Worker"] == worker
            return int(worker), assigned
    raise AssertionError("no worker answers")


def version_of(connection: Connection, key: str) -> str:
    """Return the version that a key gets, asking by cookie; by header it must be the same one."""
    versions = {
        connection.ask("/release.json", CURL | headers).headers["Version-Affinity"].partition(";")[0]
        for headers in ({"Cookie": f"session_id={key}"}, {"Cloudflare-Workers-Version-Key": key})
    }
    (version,) = versions
    return version


class References(HTMLParser):
    """The files of its own site that a page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.paths: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a browser would load for the page."""
        wanted = {"script": "src", "link": "href", "img": "src"}.get(tag)
        self.paths |= {value for key, value in attrs if key == wanted and value}


def loaded(answer: Answer, ask: Connection, headers: Mapping[str, str]) -> dict[str, Answer]:
    """Return the answers for every file that a page names, and for what those name, and so on."""
    waiting = References(answer.body.decode()).paths
    answers: dict[str, Answer] = {}
    while waiting:
        path = waiting.pop()
        answers[path] = ask.ask(path, headers)
        if path.endswith((".js", ".css")):
            named = REFERENCE.findall(answers[path].body.decode())
            waiting |= {urlsplit(urljoin(path, fixed(reference))).path for reference in named} - answers.keys()
    return answers


def fixed(reference: str) -> str:
    """Return a reference as the browser resolves it: Vite's list of a chunk's files is relative to the root."""
    return f"/{reference}" if reference.startswith("assets/") else reference


@pytest.mark.parametrize(
    "header", ["Cookie: session_id={}", "Cookie: user_id={}", "Cloudflare-Workers-Version-Key: {}"]
)
def test_one_version_for_the_page_and_its_assets(split: Server, header: str) -> None:
    """A user's page and every file that it leads to: always one version, always 200, 30 times over; both occur."""
    deployment = Deployment("example", SPLIT)
    pages: Counter[str] = Counter()
    for number in range(30):
        key = "test123" if number < 10 else f"test{number}"
        field, _, value = header.format(key).partition(": ")
        headers = CURL | {field: value}
        with split.connection() as connection:
            page = connection.ask("/", headers)
            files = loaded(page, connection, headers)
        version = deployment.assign(key)
        pages[version] += 1
        assert page.body == (BUILDS / version / "index.html").read_bytes()
        assert len(files) > 12
        assert {path: answer.status for path, answer in files.items() if answer.status != 200} == {}
        for path, answer in files.items():
            assert answer.body == (BUILDS / version / path.lstrip("/")).read_bytes(), path
    assert len(pages) == 2


def test_without_a_key_every_call_is_drawn(split: Server) -> None:
    """A client that keeps nothing is routed at random each time, and is handed nothing to keep."""
    answers = [split.ask("/", CURL) for _ in range(60)]
    versions = {answer.headers["Version-Affinity"] for answer in answers}
    assert versions == {"v1;reason=random", "v2;reason=random"}
    assert {answer.headers["Set-Cookie"] for answer in answers} == {None}


OVERRIDES = [
    {"Version-Override": "v2"},
    {"Version-Override": '"v2"'},
    {"Version-Override": 'example="v2"'},
    {"Cloudflare-Workers-Version-Overrides": 'example="v2"'},
    {"Cloudflare-Workers-Version-Overrides": 'other="v1", example="v2"'},
]


@pytest.mark.parametrize("override", OVERRIDES)
def test_an_override_reaches_a_staged_version(staged: Server, override: dict[str, str]) -> None:
    """At 0 % nobody gets v2, and an override always does, page and files, whatever key stands beside it."""
    (field,) = override
    for number in range(10):
        headers = CURL | {"Cookie": f"session_id={number}"}
        with staged.connection() as connection:
            plain = connection.ask("/", headers)
            assert plain.headers["Version-Affinity"] == "v1;reason=only"
            forced = connection.ask("/", headers | override)
            assert forced.headers["Version-Affinity"] == f'v2;reason=override;source="header:{field}"'
            assert forced.headers["Cache-Control"] == "private, no-store"
            assert forced.body == (BUILDS / "v2" / "index.html").read_bytes()
            for path, answer in loaded(forced, connection, headers | override).items():
                assert answer.status == 200, path
                assert answer.body == (BUILDS / "v2" / path.lstrip("/")).read_bytes(), path


def test_a_staged_versions_files_are_served_by_name(staged: Server) -> None:
    """The files with a content hash of a version at 0 % need no override."""
    path = name("assets/index-*.js", "v2")
    assert staged.ask(path, SCRIPT).body == (BUILDS / "v2" / path.lstrip("/")).read_bytes()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("curl -s -D- -o/dev/null -H 'Cookie: session_id=test123' {}/", "{};reason=key"),
        ("curl -s -D- -o/dev/null -H 'Cloudflare-Workers-Version-Key: foo' {}/", "{};reason=key"),
        ("curl -s -D- -o/dev/null -H 'Version-Override: v2' {}/", "v2;reason=override"),
        (
            "curl -s -D- -o/dev/null -H 'Cloudflare-Workers-Version-Overrides: example=\"v2\"' {}/",
            "v2;reason=override",
        ),
    ],
)
def test_the_guides_commands(split: Server, command: str, expected: str) -> None:
    """The rollout guide's commands, run by curl itself, show one version, always the same."""
    if shutil.which("curl") is None:
        missing("curl", "not found")
    key = "test123" if "test123" in command else "foo"
    trace = expected.format(Deployment("example", SPLIT).assign(key))
    for _ in range(5):
        shown = subprocess.run(shlex.split(command.format(split.url)), check=True, capture_output=True, text=True)
        assert re.match(r"HTTP/1\.[01] 200\b", shown.stdout)
        assert f"\nversion-affinity: {trace}" in shown.stdout.lower().replace("\r", "")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/about",
        "/release.json",
        name("assets/index-*.js", "v1"),
        name("assets/hanken-*.woff2", "v1"),
        "/assets/index-AAAAAAAA.js",
        "/rollout",
        "/api/products",
    ],
)
def test_head_has_no_body(split: Server, path: str) -> None:
    """HEAD: the headers of GET, and on the socket not one byte after them."""
    request = f"{{}} {path} HTTP/1.1\r\nHost: {HOST}:{split.port}\r\nAccept: */*\r\nConnection: close\r\n"
    request += f"Cookie: {USERS['v1']['Cookie']}\r\n\r\n"
    head, separator, body = split.send(request.format("HEAD").encode()).partition(b"\r\n\r\n")
    assert (separator, body) == (b"\r\n\r\n", b"")
    full = split.ask(path, USERS["v1"] | {"Accept": "*/*"})
    assert int(head.split()[1]) == full.status
    lengths = re.findall(rb"(?im)^content-length: (\d+)", head)
    assert lengths == [str(len(full.body)).encode()]


@pytest.mark.parametrize("path", ["/", "/release.json", "/logo.svg", name("assets/index-*.js", "v1"), "/about"])
def test_not_modified(split: Server, path: str) -> None:
    """What a browser has is confirmed without a body, on a connection that goes on; another version's is not."""
    with split.connection() as connection:
        first = connection.ask(path, NAVIGATION | USERS["v1"])
        known = {"If-None-Match": first.headers["ETag"]}
        second = connection.ask(path, NAVIGATION | USERS["v1"] | known)
        assert (second.status, second.body) == (304, b"")
        assert second.headers["ETag"] == first.headers["ETag"]
        assert second.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert connection.ask(path, NAVIGATION | USERS["v1"]).body == first.body
        other = connection.ask(path, NAVIGATION | USERS["v2"] | known)
    assert other.status == (304 if path.startswith("/assets/") else 200)


@pytest.mark.parametrize("headers", [CURL, SCRIPT, CURL | {"If-None-Match": "*"}])
@pytest.mark.parametrize("path", ["/assets/index-AAAAAAAA.js", "/assets/nested/theme-BBBBBBBB.css", "/assets/gone.png"])
def test_a_missing_asset_is_never_kept(split: Server, path: str, headers: dict[str, str]) -> None:
    """A file of a build that nobody has is a short 404 in plain text that no cache may keep, never the document."""
    for user in USERS.values():
        answer = split.ask(path, headers | user)
        assert answer.status == 404
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert len(answer.body) < 100
