"""The pages and the API of the example: requests that they accept, requests that they refuse, and their responses."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from markupsafe import escape

from example_app.app import create_app
from example_app.words import DECIDED_BY, REFUSED, WHY
from tests.example.test_example_builds import BUILDS
from tests.harness import NAVIGATION, client
from tests.servers.servers import HOST, ROOT
from version_affinity.decision.decider import BAD_KEY, ORDER
from version_affinity.decision.overrides import BAD_SIGNATURE, BAD_SYNTAX, NOT_DEPLOYED, OTHER_APP, UNKNOWN_VERSION

if TYPE_CHECKING:
    from werkzeug.test import Client

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SPLIT = {"v1": 50, "v2": 50}
HUGE = "9" * 5000


@pytest.fixture
def shop() -> Client:
    """The example at 50/50, in this process."""
    return client(create_app(SPLIT))


def cookies_of(response: Any) -> dict[str, str]:
    """Return the cookies that a response sets, with their attributes, without the affinity cookie."""
    pairs = (line.partition("=") for line in response.headers.getlist("Set-Cookie"))
    return {name: value for name, _, value in pairs if "version-affinity" not in name}


@pytest.mark.parametrize(
    "percentages",
    [{"v1": 90, "v2": 10}, {"v2": 100}, {"v0": 100}, {"v1": 100, "v2": 0}, {"v0": 20, "v1": 30, "v2": 50}],
)
def test_deploy_is_in_force_at_once(shop: Client, percentages: dict[str, float]) -> None:
    """A deployment is one revision, and its response and the next status show the new percentages."""
    answer = shop.post("/api/deploy", json=percentages)
    assert (answer.status_code, answer.json) == (200, {"revision": 2, "percentages": percentages})
    told = shop.get("/api/affinity").json
    assert (told["revision"], told["percentages"]) == (2, percentages)


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        ('{"v2": 100}', {}, 415, "application/json"),
        ('{"v2": 100}', {"Content-Type": "text/plain"}, 415, "application/json"),
        ("v2=100", FORM, 415, "application/json"),
        ("", JSON, 400, "send an object"),
        ("{", JSON, 400, "send an object"),
        ('"v2"', JSON, 400, "send an object"),
        ('[["v2", 100]]', JSON, 400, "send an object"),
        ("{}", JSON, 400, "at least one version"),
        ('{"v1": 50, "v2": 40}', JSON, 400, "sum to 90"),
        ('{"v9": 100}', JSON, 400, "v9"),
        ('{"v2": "100"}', JSON, 400, "not a number"),
        ('{"v2": [100]}', JSON, 400, "not a number"),
        ('{"v2": true, "v1": 99}', JSON, 400, "not a number"),
        ('{"v2": NaN}', JSON, 400, "between 0 and 100"),
        ('{"v1": -1, "v2": 101}', JSON, 400, "between 0 and 100"),
        ('{"": 100}', JSON, 400, "version id"),
    ],
)
def test_deploy_refuses(shop: Client, body: str, headers: dict[str, str], status: int, says: str) -> None:
    """Wrong percentages are refused with a reason, and the deployment does not change."""
    answer = shop.post("/api/deploy", data=body, headers=headers)
    assert answer.status_code == status
    assert says in answer.json["error"]
    told = shop.get("/api/affinity").json
    assert (told["revision"], told["percentages"]) == (1, SPLIT)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", ["/api/deploy", "/login", "/logout", "/switch"])
def test_other_sites_change_nothing(shop: Client, path: str, site: str) -> None:
    """A request that another site's page sent is refused before it changes anything."""
    answer = shop.post(path, data='{"v2": 100}', headers={**JSON, "Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert cookies_of(answer) == {}
    assert shop.get("/api/affinity").json["revision"] == 1


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/about?x=1", "/about?x=1"),
        ("/", "/"),
        ("", "/"),
        ("about", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\r\nX-Injected: 1", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_redirects_stay_here(shop: Client, path: str, target: str, location: str) -> None:
    """Signing in and out redirects to a page of this site, whatever the form contains."""
    answer = shop.post(path, data={"user_id": "ada", "next": target})
    assert (answer.status_code, answer.headers["Location"]) == (303, location)
    assert "X-Injected" not in answer.headers


@pytest.mark.parametrize(
    ("user_id", "status"),
    [
        *((taken, 303) for taken in ("ada", "a.b@c-d_9", "x" * 64)),
        *((refused, 400) for refused in ("x" * 65, "", "a b", "ada;x=1", "é", "ada\n", '"><script>')),
    ],
)
def test_login_takes_an_id(shop: Client, user_id: str, status: int) -> None:
    """A valid id is set in the cookie. An invalid id gets the form again, with the escaped input and a reason."""
    answer = shop.post("/login", data={"user_id": user_id})
    assert answer.status_code == status
    if status == 303:
        assert cookies_of(answer) == {"user_id": f"{user_id}; HttpOnly; Path=/; SameSite=Lax"}
    else:
        assert cookies_of(answer) == {}
        assert "Use 1 to 64 letters" in answer.text
        assert f'value="{escape(user_id)}"' in answer.text
        assert "<script>" not in answer.text.partition("<main")[2]


def test_logout_takes_the_id_away(shop: Client) -> None:
    """Signing out deletes the cookie that signing in has set."""
    cookie = cookies_of(shop.post("/logout", headers={"Cookie": "user_id=ada"}))["user_id"]
    assert "Max-Age=0" in cookie
    assert "Path=/" in cookie


@pytest.mark.parametrize(
    ("percentages", "headers", "sets", "says"),
    [
        (SPLIT, {}, True, "From your next page on, the session decides."),
        (SPLIT, {"Cookie": "session_id=a"}, False, "The session decides which version you get."),
        (SPLIT, {"Cookie": "user_id=ada"}, True, "You are signed in as ada, so your user id decides"),
        (SPLIT, {"Cookie": "user_id=ada; session_id=a"}, False, "You are signed in as ada, so your user id decides"),
        (SPLIT, {"Version-Override": "v0"}, True, "From your next page on, the session decides."),
        (SPLIT, {"Version-Override": "v2"}, True, "A request header or a link forces this version"),
        (
            {"v1": 100},
            {},
            True,
            "At present no other version has a share. When another version gets one, the session decides.",
        ),
        ({"v1": 100, "v2": 0}, {"Cookie": "user_id=ada"}, True, "When another version gets one, your user id decides."),
    ],
)
def test_welcome(percentages: dict[str, float], headers: dict[str, str], says: str, *, sets: bool) -> None:
    """The page sets a session id in a browser without one, and says what decides this visitor's version."""
    answer = client(create_app(percentages)).get("/welcome", headers={**NAVIGATION, **headers})
    assert says in answer.text
    assert (list(cookies_of(answer)) == ["session_id"]) is sets
    if sets:
        session = cookies_of(answer)["session_id"]
        assert session.endswith("; HttpOnly; Path=/; SameSite=Lax")
        assert session != cookies_of(client(create_app(percentages)).get("/welcome"))["session_id"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {"user": None, "pin": None, "refused": None}),
        ({"Cookie": "user_id=ada"}, {"user": "ada", "reason": "key", "source": "cookie:user_id"}),
        ({"Cookie": "version-affinity-example=7.v2"}, {"pin": {"bucket": 7, "version": "v2"}, "version": "v2"}),
        ({"Cookie": "version-affinity-example=7.v2.signature"}, {"pin": {"bucket": 7, "version": "v2"}}),
        ({"Cookie": "version-affinity-example=x.v2"}, {"pin": {"bucket": None, "version": "v2"}}),
        ({"Cookie": f"version-affinity-example={HUGE}.v2"}, {"pin": {"bucket": None, "version": "v2"}}),
        ({"Version-Override": "v2"}, {"version": "v2", "reason": "override", "refused": None}),
        ({"Version-Override": "v9"}, {"refused": "unknown-version"}),
        ({"Version-Override": "v0"}, {"refused": "not-deployed"}),
    ],
)
def test_affinity_tells(shop: Client, headers: dict[str, str], expected: dict[str, Any]) -> None:
    """The panel gets the user, the decision and its reason, the refusal, and the decision for the next page."""
    answer = shop.get("/api/affinity", headers=headers)
    told = answer.json
    assert "no-store" in answer.headers["Cache-Control"]
    assert {field: told[field] for field in expected} == expected
    assert told["name"] == "example"
    assert told["known"] == ["v0", "v1", "v2"]
    assert told["next_page"].keys() == {
        *("version", "reason", "source", "refused"),
        *("decided_by", "because", "refusal"),
    }
    assert told["next_page"]["refused"] == expected.get("refused")
    assert told["counters"].keys() == {
        *("requests", "pages", "reasons", "missing", "rescues", "refused"),
        "missing_unprotected",
    }


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?size=5", 200),
        ("?size=-1", 200),
        ("?size=5&v1=20&v2=80", 200),
        ("?size=many", 400),
        (f"?size={HUGE}", 400),
        ("?v1=half", 400),
        ("?v1=nan", 400),
        ("?v1=20", 400),
    ],
)
def test_cohort(shop: Client, query: str, status: int) -> None:
    """Simulated users get the versions of real users with these keys. Wrong input is refused."""
    answer = shop.get(f"/api/cohort{query}")
    assert answer.status_code == status
    assert answer.json.keys() == ({"users"} if status == 200 else {"error"})


@pytest.mark.parametrize(
    ("percentages", "says"),
    [
        ({"v1": 50, "v2": 50}, "half of the visitors get the yellow shop, half the blue one, and"),
        ({"v1": 87.5, "v2": 12.5}, "12.5 % of the visitors get the yellow shop, 87.5 % the blue one, and"),
        ({"v0": 50, "v2": 50}, "half of the visitors get the yellow shop, half the brown one, and"),
        ({"v0": 100}, "all visitors get the brown shop, and"),
        ({"v1": 0, "v2": 100}, "all visitors get the yellow shop, and"),
        (
            {"v0": 50, "v1": 30, "v2": 20},
            "20 % of the visitors get the yellow shop, 30 % the blue one and half the brown one, and",
        ),
    ],
)
def test_the_demonstration_in_a_sentence(shop: Client, percentages: dict[str, float], says: str) -> None:
    """One sentence says who gets which shop, at the start and after a deployment, and what happens to an open tab."""
    for pages in (client(create_app(percentages)), shop):
        pages.post("/api/deploy", json=percentages)
        sentence = pages.get("/api/affinity").json["demonstration"]
        assert sentence.count(".") - says.count(".") == 1
        assert f": {says} a tab that is already open keeps working" in sentence
        without = pages.get("/api/affinity", headers={"Cookie": CHOSEN}).json["demonstration"]
        assert "without version_affinity, a tab that is already open breaks" in without


def test_every_reason_has_words() -> None:
    """The pages describe each reason and each refusal of the package in words."""
    reasons = {step for steps in ORDER.values() for step in steps}
    assert len(reasons) >= 9
    assert reasons == WHY.keys()
    assert reasons | {"name"} == DECIDED_BY.keys()
    assert REFUSED.keys() == {BAD_SYNTAX, BAD_SIGNATURE, NOT_DEPLOYED, OTHER_APP, UNKNOWN_VERSION, BAD_KEY}


CHOSEN = "user_id=user-0; without_version_affinity=on"


def entry(version: str) -> tuple[str, str]:
    """Return the paths of two files that only this version has: of its entry and of its lazily loaded page."""
    manifest = json.loads((BUILDS / version / ".vite/manifest.json").read_text())
    return f"/{manifest['index.html']['file']}", f"/{manifest['src/pages/about.tsx']['file']}"


@pytest.mark.parametrize("cookie", ["user_id=user-0", "version-affinity-example=7.v1"])
def test_without_version_affinity_an_open_tab_misses_files(shop: Client, cookie: str) -> None:
    """With the switch on, a browser gets files of its current version only. Others get files of every version."""
    chosen = {"Cookie": f"{cookie}; without_version_affinity=on"}
    first = shop.get("/", headers={**NAVIGATION, **chosen})
    version = first.text.partition('data-version="')[2][:2]
    main, lazy = entry(version)
    assert shop.get(main, headers=chosen).data == (BUILDS / version / main[1:]).read_bytes()
    assert shop.post("/api/deploy", json={{"v1": "v2", "v2": "v1"}[version]: 100}).status_code == 200
    missing = shop.get(lazy, headers=chosen)
    assert (missing.status_code, missing.headers["Cache-Control"]) == (404, "no-store")
    assert shop.get(lazy, headers={"Cookie": cookie}).status_code == 200
    counters = shop.get("/api/affinity").json["counters"]
    assert (counters["missing_unprotected"], counters["missing"]) == (1, {})
    # The routes of the single-page application, the application's own pages and other methods still work.
    other = shop.get("/product/brass-nib", headers={**NAVIGATION, **chosen})
    assert f'data-version="{ {"v1": "v2", "v2": "v1"}[version] }"' in other.text
    assert "Set-Cookie" not in other.headers
    assert shop.get("/welcome", headers={**NAVIGATION, **chosen}).status_code == 200
    assert shop.head("/", headers=chosen).data == b""
    assert shop.get("/../app.py", headers=chosen).text == other.text


def test_the_switch(shop: Client) -> None:
    """The switch sets and removes a cookie, gives the browser a key, and empties the browser's cache."""
    page = shop.get("/rollout", headers=NAVIGATION).text
    assert 'role="switch" aria-checked="false"' in page
    answer = shop.post("/switch", data={"protection": "off"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/rollout#open-tab")
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert cookies_of(answer)["without_version_affinity"] == "on; HttpOnly; Path=/; SameSite=Lax"
    assert "session_id" in cookies_of(answer)
    chosen = {"Cookie": "session_id=a; without_version_affinity=on"}
    assert 'role="switch" aria-checked="true"' in shop.get("/rollout", headers={**NAVIGATION, **chosen}).text
    back = cookies_of(shop.post("/switch", data={"protection": "on"}, headers=chosen))
    assert "Max-Age=0" in back["without_version_affinity"]


def test_a_taken_port() -> None:
    """A port in use ends the start with exit code 1 and one line, which names the option for another port."""
    with socket.create_server((HOST, 0)) as holder:
        port = holder.getsockname()[1]
        command = [sys.executable, "-m", "example_app", f"--port={port}"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line == f"Port {port} is in use by another program: choose another, for example --port {port + 1}"
