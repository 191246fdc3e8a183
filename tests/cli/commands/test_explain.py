"""``explain``: every step for a request by hand, of the releases and of an application."""

from __future__ import annotations

import json
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commanding import ENTRY, NAME, Site, ran, run
from tests.harness import write_build
from version_affinity import Deployment, Releases, VersionAffinity
from version_affinity.cli.commands.explain import HEADERS, environ_of
from version_affinity.decision.decider import ORDER
from version_affinity.decision.request import OTHER
from version_affinity.releases.releases import COPY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPLIT = {"v1": 80.0, "v2": 20.0}
DEPLOYED = {"revision": 1, "percentages": {"v1": 100.0}, "created": "2026-11-24T05:00:00Z", "name": NAME}
KEY = ("--key", "cookie:session_id", "--cookie")


def key_of(version: str) -> str:
    """Return a key that falls on a version."""
    assign = Deployment(NAME, SPLIT).assign
    return next(key for key in map(str, range(1000)) if assign(key) == version)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site in the middle of a rollout."""
    site = Site(tmp_path)
    site.upload("v0", "v1", "v2")
    site.deploy({"v1": 100.0}, SPLIT)
    return site


def test_by_key(site: Site) -> None:
    """A decision by key shows the steps, the score of each version, and what answers."""
    key = key_of("v2")
    scores = Deployment(NAME, SPLIT).scores(key)
    assert site.run("explain", "/about", "--spa", *KEY, f"session_id={key}").stdout == (
        "GET /about, a request of kind page\n"
        "\n"
        "    override  no override\n"
        "    only      more than one version has a share\n"
        " >  key       v2 (cookie:session_id)\n"
        "\n"
        "Scores, -ln(u) / percentage. The smallest one wins:\n"
        f"   v1  80 %  {scores['v1']:.6f}\n"
        f"   v2  20 %  {scores['v2']:.6f}  wins\n"
        "\n"
        "Decision  v2 by key (cookie:session_id)\n"
        "Answer    the single-page document of v2\n"
    )


def test_as_json(site: Site) -> None:
    """The JSON has the request that was made, and the whole explanation."""
    key = key_of("v2")
    told = site.json("explain", "/logo.svg?x=1", "--as", "page", "--key", "header:X-User", "-H", f"X-User: {key}")
    assert (told["name"], told["kind"], told["answer"], told["served"]) == (NAME, "page", "file", "v2")
    assert told["decision"] == {"version": "v2", "reason": "key", "source": "header:X-User", "refused": ""}
    assert told["scores"] == Deployment(NAME, SPLIT).scores(key)
    assert [step["name"] for step in told["steps"]] == ["override", "only", "key"]
    request = told["request"]
    assert (request["method"], request["target"], request["as"]) == ("GET", "/logo.svg?x=1", "page")
    assert request["environ"]["HTTP_X_USER"] == key
    assert request["environ"]["HTTP_SEC_FETCH_DEST"] == "document"


PINNED = "version-affinity-storefront=4711.v2"
# arguments, and some of what the explanation says
CASES: list[tuple[list[str], dict[str, str]]] = [
    (["/"], {"reason": "minted", "kind": "page", "answer": "file"}),
    (["/", "--key", f"value:{key_of('v2')}"], {"reason": "key", "version": "v2"}),
    (["/", "--cookie", PINNED], {"reason": "minted", "bucket": "4711"}),
    (["/logo.svg", "--cookie", PINNED], {"reason": "pin", "version": "v2", "kind": "subresource"}),
    (["/logo.svg", "-H", f"Referer: https://x{ENTRY['v2']}"], {"reason": "referer", "version": "v2"}),
    (["/logo.svg"], {"reason": "baseline", "version": "v1"}),
    (["/", "--as", "curl"], {"reason": "random", "kind": "other"}),
    (["/", "--as", "curl", "-H", "Version-Override: v2"], {"reason": "override", "version": "v2"}),
    (["/", "-H", "Version-Override: v0"], {"reason": "minted", "refused": "not-deployed"}),
    (["/", "-H", "Version-Override: v9"], {"refused": "unknown-version"}),
    (["/", "--as", "prefetch", "--cookie", PINNED], {"kind": "prefetch", "reason": "pin"}),
    (["/sw.js", "--as", "service-worker"], {"kind": "service-worker"}),
    ([ENTRY["v2"]], {"answer": "served by name", "served": "v2"}),
    ([ENTRY["v0"]], {"answer": "served by name", "served": "v0"}),
    (["/assets/gone-BX4CeNGn.js"], {"answer": "missing asset"}),
    (["/about"], {"answer": "wrapped application", "served": ""}),
    (["/about", "--spa"], {"answer": "single-page document"}),
    (["/api/x", "--spa", "--app-first", "/api/*"], {"answer": "wrapped application"}),
    (["/shop/", "--prefix", "/shop/"], {"answer": "file"}),
    (["/index.html"], {"answer": "redirect"}),
    (["/", "-X", "post"], {"answer": "wrapped application"}),
    (["https://shop.example/", "--cookie", f"__Host-{PINNED}"], {"bucket": "4711"}),
    (["/", "-H", "Sec-Fetch-Dest: iframe"], {"kind": "subresource"}),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_cases(site: Site, arguments: list[str], expected: dict[str, str]) -> None:
    """Each kind of request is decided by the step that it is decided by."""
    told = site.json("explain", *arguments)
    found = {**told["decision"], **{name: told[name] for name in ("kind", "answer", "served", "bucket")}}
    assert {name: found[name] for name in expected} == expected
    shown = site.run("explain", *arguments).stdout
    assert "\nDecision  " in shown
    assert "\nAnswer    " in shown
    assert ("\nRefused   " in shown) == bool(found["refused"])


def test_cookies_without_a_key_source(site: Site) -> None:
    """Cookies that no key source reads are taken for a mistake: it is told how they count."""
    assert "--key cookie:session_id" in site.run("explain", "/", "--cookie", "session_id=1").stderr
    assert site.run("explain", "/", *KEY, "session_id=1").stderr == ""
    assert site.run("explain", "/logo.svg", "--cookie", PINNED).stderr == ""


def test_notes_as_json(site: Site) -> None:
    """The JSON has the note, too: a script reads no stderr."""
    (note,) = site.json("explain", "/", "--cookie", "session_id=1")["notes"]
    assert "--key cookie:session_id" in note
    assert site.json("explain", "/", *KEY, "session_id=1")["notes"] == []


@pytest.mark.parametrize("target", ["//a/b", "///a", "//a/b?x=1"])
def test_path_that_begins_like_a_host(site: Site, target: str) -> None:
    """What begins with a slash is a path, as it is in a request."""
    told = site.json("explain", target)
    environ, _ = environ_of(target, method="GET", kind=None, cookies=[], headers=[])
    assert (environ["PATH_INFO"], environ["HTTP_HOST"]) == (target.partition("?")[0], "localhost")
    assert environ["REQUEST_URI"] == target
    assert told["answer"] == "wrapped application"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/", "--key", "session_id"], "'session_id' is not a key source. Write cookie:session_id"),
        (["/", "--key", "cookie:a b"], "cannot be the name of a cookie or header"),
        (["/", "--cookie", "session_id"], "'session_id' is not a cookie"),
        (["/", "--header", "Referer"], "'Referer' is not a header"),
        (["/", "--as", "browser"], "is not one of"),
        (["/", "--app", "shop:app[0]"], "there is no module 'shop' here"),
    ],
)
def test_usage(site: Site, arguments: list[str], words: str) -> None:
    """What cannot be a request is an error that says how it is written."""
    assert words in site.run("explain", *arguments, code=2).stderr


def test_nothing_is_deployed(tmp_path: Path) -> None:
    """Before the first deployment there is nothing to explain, nor where no version of it is here."""
    site = Site(tmp_path)
    assert "nothing is deployed yet" in site.run("explain", "/", code=1).stderr
    site.deploy({"v1": 100.0})
    assert "lacks (v1)" in site.run("explain", "/", code=1).stderr


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("deployments.jsonl", "damaged\n{}\n", "line 1 is not JSON"),
        (COPY, json.dumps({**DEPLOYED, "log_id": "of-another-log"}) + "\n", "follows another log than"),
    ],
)
def test_log_that_cannot_be_trusted(site: Site, file: str, content: str, words: str) -> None:
    """This host's copy does not answer in place of a log that is damaged, or that is not the application's."""
    (site.path / COPY).write_bytes((site.path / "deployments.jsonl").read_bytes())
    (site.path / file).write_text(content)
    assert words in site.run("explain", "/", code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/"], ""),
        (["/nowhere"], "no version has this path"),
        (["/", "-X", "POST"], "versions answer GET and HEAD only"),
        (["/", "--app-first", "/*"], "the path matches app_first"),
        (["/", "-X", "POST", "--app-first", "/*"], "the path matches app_first"),
    ],
)
def test_why_the_application_answers(site: Site, arguments: list[str], reason: str) -> None:
    """Where the wrapped application answers, it is told why no version does."""
    shown = site.run("explain", *arguments).stdout
    assert shown.endswith(f"Answer    the wrapped application: {reason}\n") == bool(reason)


def test_nothing_is_written(site: Site) -> None:
    """An explanation changes nothing in the releases."""
    before = sorted(path.name for path in site.path.rglob("*"))
    site.run("explain", "/")
    assert sorted(path.name for path in site.path.rglob("*")) == before


def test_request_by_hand() -> None:
    """A path is decoded as a server does, and headers that are given replace the client's."""
    environ, kind = environ_of(
        "https://shop.example:444/caf%C3%A9%2Fx?q=%20",
        method="get",
        kind=None,
        cookies=["a=ß", "b=2"],
        headers=["accept: */*", "X-A: 1", "X-A: 2", "Cookie: c=3"],
    )
    assert kind == "page"
    assert environ["PATH_INFO"] == "/café/x".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "q=%20"
    assert environ["REQUEST_URI"] == "/caf%C3%A9%2Fx?q=%20"
    assert (environ["HTTP_HOST"], environ["wsgi.url_scheme"]) == ("shop.example:444", "https")
    assert environ["HTTP_ACCEPT"] == "*/*"
    assert environ["HTTP_X_A"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "c=3; a=ß; b=2".encode().decode("latin-1")


@pytest.mark.parametrize(
    ("path", "destination"),
    [
        ("/a.js", "script"),
        ("/a.css", "style"),
        ("/a.webp", "image"),
        ("/a.woff2", "font"),
        ("/a.json", "empty"),
        ("/a.mp4", "video"),
    ],
)
def test_destinations(path: str, destination: str) -> None:
    """What a page loads is asked for as browsers ask for its type."""
    environ, kind = environ_of(path, method="GET", kind=None, cookies=[], headers=[])
    assert (environ["HTTP_SEC_FETCH_DEST"], kind) == (destination, "subresource")


APPLICATIONS = {
    "shop.py": """
        from version_affinity import Cookie, Version, VersionAffinity

        def site(environ, start_response):
            start_response("200 OK", [])
            return []

        def make(name="storefront"):
            return VersionAffinity(
                site,
                [Version("v1", "builds/v1", percentage=80), Version("v2", "builds/v2", percentage=20)],
                name=name,
                keys=[Cookie("user")],
                app_first=["/api/*"],
            )

        class Wrapper:
            def __init__(self, app):
                self.app = app
            def __call__(self, environ, start_response):
                return self.app(environ, start_response)

        class Site:
            def __init__(self, wsgi_app):
                self.wsgi_app = wsgi_app

        app = make()
        wrapped = Wrapper(Wrapper(app))
        framework = Site(Wrapper(app))
        other = site

        def failing():
            raise RuntimeError("no database")
    """,
    "factory.py": """
        import shop
        def create_app(name="storefront"):
            return shop.make(name)
    """,
    "follower.py": """
        import shop
        from version_affinity import Cookie, Releases, VersionAffinity
        app = VersionAffinity(shop.site, Releases("releases"), keys=[Cookie("user")], app_first=["/api/*"])
    """,
    "instance.py": """
        import shop
        middleware = shop.make()
    """,
    "empty.py": "",
    "broken.py": "import no_such_module",
}


@pytest.fixture
def application(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with modules that make applications, in the working directory."""
    site.build("v1")
    site.build("v2")
    write_build(site.root, {name: dedent(text) for name, text in APPLICATIONS.items()})
    monkeypatch.chdir(site.root)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield site
    for name in APPLICATIONS:
        module = sys.modules.pop(name.removesuffix(".py"), None)
        affinity = getattr(module, "app", None)
        if isinstance(affinity, VersionAffinity) and isinstance(affinity.source, Releases):
            affinity.source.close()


TARGETS = ["shop", "shop:app", "shop:wrapped", "shop:framework", "shop:make()"]


@pytest.mark.parametrize(
    "target", [*TARGETS, "follower", "factory", "factory:create_app('storefront')", "instance", "shop.py:app"]
)
def test_application(application: Site, target: str) -> None:
    """The application's own key sources are asked, whether it is the middleware or has it behind app or wsgi_app."""
    command = ("explain", "/api/x", "--app", target, "--cookie", f"user={key_of('v2')}", "--json")
    told: dict[str, Any] = json.loads(application.run(*command).stdout)
    assert told["decision"] == {"version": "v2", "reason": "key", "source": "cookie:user", "refused": ""}
    assert (told["name"], told["answer"]) == (NAME, "wrapped application")


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("shop:other", 1, "function has no VersionAffinity"),
        ("shop:nothing", 2, "shop has no 'nothing'"),
        ("shop:failing()", 1, "RuntimeError: no database"),
        ("shop:make(open)", 2, "neither a name nor a call"),
        ("shop:1 + 1", 2, "neither a name nor a call"),
        ("empty", 1, "has none of app, application"),
        ("broken", 1, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("nowhere", 2, "there is no module 'nowhere' here"),
        ("shop.nowhere", 2, "there is no module 'shop.nowhere' here"),
        ("", 2, "is empty"),
    ],
)
def test_no_application(application: Site, target: str, code: int, words: str) -> None:
    """What is no application, or has no middleware, is told in a line."""
    assert words in application.run("explain", "/", "--app", target, code=code).stderr


def test_application_says_itself(application: Site) -> None:
    """Options that the application has the say on are refused beside it."""
    done = application.run("explain", "/", "--app", "shop", "--spa", code=2)
    assert "an application has its own settings" in done.stderr


def test_working_directory(application: Site) -> None:
    """A command of its own finds the application's module in the working directory, as ``python -m`` does."""
    told = json.loads(ran(application.root, "explain", "/", "--app", "shop", "--json").stdout)
    assert told["name"] == NAME


def test_help_names_the_kinds() -> None:
    """The kinds of clients stand in the help."""
    assert f"The client: {', '.join(HEADERS)}." in " ".join(run("explain", "--help").stdout.split())
    assert {*HEADERS} == {*ORDER} - {OTHER} | {"curl"}


def test_application_leaves_no_trace(application: Site) -> None:
    """An application that is loaded for a question writes no copy of the log."""
    application.run("explain", "/", "--app", "follower")
    assert not (application.path / COPY).exists()


def test_a_given_host_replaces_the_default() -> None:
    """The host of a header is that of the request, alone."""
    environ, _ = environ_of("/", method="GET", kind=None, cookies=[], headers=["Host: shop.example"])
    assert environ["HTTP_HOST"] == "shop.example"


def test_unprintable_method(site: Site) -> None:
    """A method that cannot be printed, or that commands a terminal, is escaped."""
    assert "\\udc80\\x1b[31M /, a request" in site.run("explain", "/", "-X", "\udc80\x1b[31m").stdout
