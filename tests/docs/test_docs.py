"""The documentation matches the code: snippets run, responses are real, options and links exist."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import re
import shlex
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner
from flask import Flask
from markupsafe import Markup

import version_affinity
from tests.harness import client, write_build
from version_affinity import StaticAssets, Version, VersionAffinity
from version_affinity.assets.handover import XAccelRedirect
from version_affinity.assets.loading.compress import compress
from version_affinity.cli.main import cli
from version_affinity.flask import init_app
from version_affinity.ramp.plan import TABLES
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(set((ROOT / "docs").rglob("*.md")) - set((ROOT / "docs/_build").rglob("*.md"))),
]
README, OPTIONS = ROOT / "README.md", ROOT / "docs/reference/options.md"
BESIDE_WHITENOISE = ROOT / "docs/how-to/from-whitenoise.md"
#: The pages whose blocks form one session in a shell. ``test_docs_walks.py`` runs them.
WALKS = [README, ROOT / "docs/tutorial.md"]
#: The name of the directory of builds on a server, as the pages write it.
BUILDS = "/srv/builds"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$\n*(.*)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: A row of a table of messages, and what varies in a message.
_ROW = re.compile(r"^\| ((?!message|level|[A-Z]|---)[^|`]+) \|", re.MULTILINE)
_VARIABLE = re.compile(r"…|'?\bv\d\b'?|\bweb-\d\b|\b\d+\b|(?<=reference)s\b|(?<=fingerprinted name)")
_OPTION = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)

#: The build of the console examples on the page about HTTP.
DIST = {
    "index.html": '<!doctype html><script type="module" src="/assets/index-BX4CeNGm.js"></script>',
    "about.html": "<h1>About</h1>",
    "404.html": "<h1>Not found</h1>",
    "notes.txt": "0123456789" * 100,
    "assets/index-BX4CeNGm.js": "console.log('hello');\n" * 200,
}
MODIFIED = 1_700_000_000


class Block(NamedTuple):
    """A block of code on a page, with the number of its first line."""

    page: Path
    line: int
    language: str
    text: str
    after: str


def blocks(language: str) -> list[Block]:
    """Return the blocks of a language on all pages."""
    found = []
    for page in PAGES:
        text, start = page.read_text(encoding="utf-8"), 0
        while match := _BLOCK.search(text, start):
            start = match.end(2) + len("```")
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[1], match[2], match[3][:100]))
    return [block for block in found if block.language == language]


def write_dist(directory: Path) -> Path:
    """Write the build of the examples."""
    write_build(directory, DIST)
    for path in DIST:
        os.utime(directory / path, (MODIFIED, MODIFIED))
    compress(directory, encodings=["gzip"])
    return directory


# --- Python -----------------------------------------------------------------------------------------------------------


def is_complete(code: ast.Module) -> bool:
    """Return whether a snippet is complete and imports only installed packages."""
    for node in ast.walk(code):
        if isinstance(node, ast.Constant) and node.value is ...:
            return False
        source = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        module = source.partition(".")[0]
        if "django" in source or (module and importlib.util.find_spec(module) is None):  # Django needs a project
            return False
    return True


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that snippets use, and write the builds into the working directory."""
    monkeypatch.chdir(tmp_path)
    for build in ("dist", "staticfiles", "builds/v0", "builds/v1", "builds/v2"):
        write_dist(tmp_path / build)
    (tmp_path / "rollout.json").write_text('{"v1": 90, "v2": 10}')
    releases = ReleasesDirectory.init("releases", name="storefront")
    upload(releases, "dist", id="v1")
    open_log(releases).append({"v1": 100}, expected=0)
    module = ModuleType("a_snippet")
    module.__file__ = str(tmp_path / "app.py")  # from where Flask(__name__) takes its root_path
    monkeypatch.setitem(sys.modules, module.__name__, module)
    app = Flask("docs", root_path=str(tmp_path))
    app.secret_key = "secret"  # noqa: S105 - of an application that nobody can ask
    environs: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environs.append(environ)
        start_response("204 No Content", [])
        return []

    affinity = VersionAffinity(application, [Version("v1", "builds/v1")])
    client(affinity).get("/rendered")
    return {
        **{name: getattr(version_affinity, name) for name in version_affinity.__all__},
        "app": app,
        "affinity": affinity,
        "init_app": init_app,
        "json": json,
        "os": os,
        "__name__": module.__name__,
        "Markup": Markup,
        "Path": Path,
        "request": SimpleNamespace(META=environs[0]),
        "SECRET": "a long random text",
    }


def name_of(page: Path) -> str:
    """Return a page's name for the ids of tests."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python(page: Path, names: dict[str, Any], tmp_path: Path) -> None:
    """The snippets of a page are valid Python, and the complete ones run, one after the other."""
    for block in blocks("python"):
        if block.page == page:
            code = ast.parse(block.text.replace(BUILDS, str(tmp_path / "builds")))
            if is_complete(code):
                exec(compile(code, f"{page.name}:{block.line}", "exec"), names)  # noqa: S102 - our own pages
                followed = getattr(names["affinity"], "source", None)
                if followed is not None:
                    followed.close()


def test_most_snippets_run() -> None:
    """Most snippets are complete, so that most of them run."""
    complete = Counter(is_complete(ast.parse(block.text)) for block in blocks("python"))
    assert complete[True] > 2 * complete[False] > 0


# --- the console ------------------------------------------------------------------------------------------------------


def exchanges() -> Iterator[Any]:
    """Yield the commands of the page about HTTP with their responses."""
    for block in blocks("console"):
        for exchange in block.text.strip().split("\n\n"):
            command, status, *headers = exchange.split("\n")
            complete = not block.after.startswith("(Here some headers are left out.)")
            yield pytest.param(command, status, headers, complete, id=command.removeprefix("$ curl "))


@pytest.mark.parametrize(("command", "status", "headers", "complete"), list(exchanges()))
def test_console(command: str, status: str, headers: list[str], complete: bool, tmp_path: Path) -> None:
    """A command gets the response that the page shows."""
    words = iter(shlex.split(command.removeprefix("$ curl ")))
    method, path, fields = "GET", "", []
    for word in words:
        if word == "-I":
            method = "HEAD"
        elif word == "-X":
            method = next(words)
        elif word == "-H":
            fields.append(tuple(next(words).split(": ", 1)))
        elif word != "-i":
            path = word.removeprefix("http://localhost:8000")
    app = StaticAssets(write_dist(tmp_path / "dist"), not_found_handling="404-page")
    answer = client(app).open(path, method=method, headers=fields)
    assert status == f"HTTP/1.1 {answer.status}"
    for header in headers:
        name, value = header.split(": ", 1)
        assert re.fullmatch(re.escape(value).replace("…", ".+"), answer.headers[name]), name
    if complete:
        assert sorted(header.split(":")[0].lower() for header in headers) == sorted(answer.headers.keys(True))


# --- the command line -------------------------------------------------------------------------------------------------

#: Commands that ask on a terminal. Pages show them without ``-y``.
ASKING = ("versions deploy", "rollback", "prune")


def commands(page: Path) -> list[list[str]]:
    """Return the commands on a page, except those for several hosts (``--log``) or for a terminal (``--watch``)."""
    lines = [line for block in blocks("sh") if block.page == page for line in block.text.splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("version-affinity ")]
    return [words[1:] for words in found if not {"--log", "--watch"} & set(words)]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in WALKS and commands(page)], ids=name_of)
def test_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of a page succeed, one after the other, as written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERSION_AFFINITY_RELEASES", "releases")
    monkeypatch.setenv("VERSION_AFFINITY_OVERRIDE_SECRET", "a long random text")
    write_dist(tmp_path / "dist")
    ran = commands(page)
    for words in ran:
        asked = " ".join(words).startswith(ASKING) and not {"-y", "--dry-run"} & set(words)
        outcome = CliRunner().invoke(cli, [*words, "-y"] if asked else words)
        assert (outcome.exit_code, outcome.exception) == (0, None), (words, outcome.output)


def test_the_rollout_is_run() -> None:
    """The page about rollouts has commands, and the test above runs each of them."""
    assert len(commands(ROOT / "docs/how-to/roll-out.md")) > 10


def test_states_of_a_ramp() -> None:
    """The page about ramps has the tables that the code reads."""
    page = (ROOT / "docs/how-to/guarded-ramps.md").read_text("utf-8")
    assert all(table.strip() in page for table in TABLES.split("\n\n"))


def test_help_names_the_glossary() -> None:
    """The command's help ends with a page that exists and explains the words."""
    (page,) = re.findall(r"docs/\S+\.md", CliRunner().invoke(cli, ["--help"]).output)
    words = [heading.lower() for heading in _HEADING.findall((ROOT / page).read_text("utf-8"))]
    assert {"version", "deployment", "version key", "override", "pin", "baseline", "rescue"} < set(words)


# --- claims about the code --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "section", "first"),
    [
        (StaticAssets, "## StaticAssets", ("directory", "app")),
        (VersionAffinity, "## VersionAffinity", ()),
    ],
    ids=["StaticAssets", "VersionAffinity"],
)
def test_options(made: type, section: str, first: tuple[str, ...]) -> None:
    """The table of options lists exactly the existing options."""
    _, _, text = OPTIONS.read_text(encoding="utf-8").partition(f"\n{section}\n")
    told = _OPTION.findall(text.partition("\n## ")[0])
    options = [
        name for name, option in inspect.signature(made).parameters.items() if option.kind is option.KEYWORD_ONLY
    ]
    assert sorted(told) == sorted([*first, *options])


def test_errors() -> None:
    """The messages on the page about errors exist in the package, apart from ids, numbers and names."""
    named = _ROW.findall((ROOT / "docs/reference/errors.md").read_text("utf-8"))
    modules = Path(version_affinity.__file__).parent.rglob("*.py")
    nodes = [node for path in modules for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    said = "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    parts = {message: [part.strip(" ,") for part in _VARIABLE.split(message)] for message in named}
    assert [message for message, words in parts.items() if any(part not in said for part in words)] == []
    assert len(named) > 12


def test_architecture() -> None:
    """The page about the code names only modules and folders that exist."""
    page = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    found, folder = [], ""
    for line in page.splitlines():
        names = re.findall(r"`([\w/]+(?:\.py|/))`", line)
        folder = names[0] if line.startswith("| `") and names and names[0].endswith("/") else ""
        found += [(name, folder) for name in names]
    package = Path(version_affinity.__file__).parent
    roots = (package, package.parent, ROOT)  # the tests may run beside an installed package
    assert [
        name
        for name, folder in found
        if not any((root / it).exists() for root in roots for it in (name, folder + name))
    ] == []
    assert len(found) > 20


def test_what_is_said_of_clients(tmp_path: Path) -> None:
    """Sentences on link previews, files of Unity, payloads of Next.js, rewrites to index.html and placeholder keys."""
    files = {"Build/game.wasm.br": "compressed", "about.html": "<h1>About</h1>", "about.txt": "payload"}
    for version in ("v1", "v2"):
        write_build(tmp_path / version, {**DIST, **files})
    app = Flask("clients")
    versions = [Version(version, tmp_path / version, percentage=50) for version in ("v1", "v2")]
    options: dict[str, Any] = {"not_found_handling": "single-page-application", "keys": [version_affinity.Cookie("id")]}
    browser = client(VersionAffinity(app.wsgi_app, versions, name="clients", **options))
    assert browser.get("/products/7", headers={"Accept": "*/*"}).status_code == 404
    assert browser.get("/products/7", headers={"Accept": "text/html"}).status_code == 200
    alone = client(VersionAffinity(None, versions, name="clients", **options))
    assert alone.get("/products/7", headers={"Accept": "*/*"}).status_code == 200
    unity = browser.get("/Build/game.wasm.br", headers={"Accept-Encoding": "br"})
    assert (unity.status_code, unity.headers.get("Content-Encoding")) == (200, None)
    assert browser.get("/index.html", headers={"Accept": "text/html"}).headers["Location"] == "/"
    pinned = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
    for version in ("v1", "v2"):
        payload = browser.get("/about.txt", headers={**pinned, "Cookie": f"version-affinity-clients=7.{version}"})
        assert payload.headers["Version-Affinity"].startswith(f"{version};reason=pin")
    got = {
        client(VersionAffinity(app.wsgi_app, versions, name="clients", **options))
        .get("/", headers={"Accept": "text/html", "Cookie": "id=undefined"})
        .headers["Version-Affinity"]
        for _ in range(10)
    }
    assert len(got) == 1


def test_nginx() -> None:
    """The page shows the configuration of nginx that ``configuration()`` prints."""
    (block,) = blocks("nginx")
    printed = XAccelRedirect("/").configuration()
    assert block.text == printed.replace('alias "/"', f'alias "{BUILDS}/"') + "\n"


def test_protocol_table() -> None:
    """The table counts all existing cases of the protocol, and this package passes all of them."""
    pytest.importorskip("whitenoise", reason="it comes with the extra 'bench'")
    from benchmarks import protocol  # noqa: PLC0415 - needs the extras

    counted = Counter(group for group, _ in protocol.fair_cases("/"))
    cells = [*(counted[group] for group in protocol.GROUPS), sum(counted.values())]
    row = f"| {' | '.join(f'{cell}/{cell}' for cell in cells)} |"
    assert re.search(
        rf"^\| StaticAssets \(version_affinity [\d.]+\) {re.escape(row)}$", BESIDE_WHITENOISE.read_text(), re.MULTILINE
    )


def test_the_readme_is_short() -> None:
    """The README has at most 200 lines, because everyone reads it first."""
    assert len(README.read_text("utf-8").splitlines()) <= 200


# --- links ------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


def links() -> list[Any]:
    """Return the links between pages."""
    found = [(page, link) for page in PAGES for link in _LINK.findall(page.read_text(encoding="utf-8"))]
    return [pytest.param(page, link, id=f"{name_of(page)}: {link}") for page, link in found if "://" not in link]


@pytest.mark.parametrize(("page", "link"), links())
def test_link(page: Path, link: str) -> None:
    """A link leads to an existing file of the project, and to an existing heading."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    assert target.is_file()
    assert target.is_relative_to(ROOT)
    assert not anchor or anchor in anchors(target)
