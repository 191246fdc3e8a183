"""Service workers and polls: their requests decide the next page, and the pin does not answer them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.builds import SPLIT, Answer, bucket_of, key_of, pinned, rollout
from tests.harness import NAVIGATION, client, write_build
from version_affinity import ConfigurationError, Cookie, Version, VersionAffinity
from version_affinity.assets.loading.loader import handles_worker_events
from version_affinity.decision.request import service_workers_by
from version_affinity.releases import Releases
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

SCRIPT_REQUEST = {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
INSTALL = "self.addEventListener('install', e => e.waitUntil(caches.open('all')))"
OWN_NAME, LIBRARY = "/offline/background.js", "/vendor.js"


@pytest.fixture
def workers(tmp_path: Path) -> dict[str, Path]:
    """Two builds whose worker has a usual name, one of its own, or is a library."""
    files = {
        "sw.js": "fetch('/')",
        OWN_NAME[1:]: INSTALL,
        LIBRARY[1:]: "import './helper.js'",
        "helper.js": "",
        "index.html": "<!doctype html>",
        "version.json": "{}",
        "poll/version": "{}",
    }
    return {
        version: write_build(tmp_path / version, {name: f"{text}/* {version} */" for name, text in files.items()})
        for version in ("v1", "v2")
    }


def reason(affinity: VersionAffinity, path: str, **headers: str) -> tuple[str, str]:
    """Return the version and reason of a request by a browser whose pin says v1 and whose bucket falls on v2."""
    browser = {**pinned("v1", bucket_of("v2"), affinity.deployment.name), **headers}
    trace = client(affinity).get(path, headers=browser).headers["Version-Affinity"]
    version, _, why = trace.partition(";reason=")
    return version, why.partition(";")[0]


PREFIXES = pytest.mark.parametrize("prefix", ["/", "/shop/"])


@PREFIXES
@pytest.mark.parametrize(
    ("referer", "by"),
    [
        ("/sw.js", "bucket"),
        ("/sw.js?v=2", "bucket"),
        (OWN_NAME, "bucket"),
        (LIBRARY, "pin"),
        ("/", "pin"),
        ("/index.html", "pin"),
    ],
)
def test_what_a_worker_asks_for(workers: dict[str, Path], prefix: str, referer: str, by: str) -> None:
    """The requests of a worker with a usual name, and of one that is found in a build, go by the assignment."""
    affinity = rollout(workers, prefix=prefix)
    headers = {**FETCH, "Referer": f"http://localhost{prefix[:-1]}{referer}"}
    expected = "v2" if by == "bucket" else "v1"
    assert reason(affinity, prefix, **headers) == (expected, by)


@PREFIXES
def test_polls(workers: dict[str, Path], prefix: str) -> None:
    """The version files of frameworks are polled below the prefix, and nowhere else."""
    affinity = rollout(workers, prefix=prefix)
    assert reason(affinity, f"{prefix}version.json", **FETCH) == ("v2", "bucket")
    assert reason(affinity, f"{prefix}helper.js", **FETCH) == ("v1", "pin")
    if prefix != "/":
        app = Answer(headers=[("Content-Type", "text/html")])
        assert reason(rollout(workers, app, prefix=prefix), "/version.json", **FETCH) == ("v1", "pin")


def test_options_replace_the_defaults(workers: dict[str, Path]) -> None:
    """Lists of one's own replace the default names, paths, and what is found."""
    affinity = rollout(workers, unpinned=["/poll/*"], service_workers=["/vend*.js", "!/vendetta.js"])
    assert reason(affinity, "/poll/version", **FETCH) == ("v2", "bucket")
    assert reason(affinity, "/version.json", **FETCH) == ("v1", "pin")
    for referer, by in ((LIBRARY, "bucket"), (OWN_NAME, "pin"), ("/sw.js", "pin"), ("/vendetta.js", "pin")):
        headers = {**FETCH, "Referer": f"http://localhost{referer}"}
        assert reason(affinity, "/", **headers)[1] == by
    for referer in ("/offline/background", "/p%77a"):
        headers = {**FETCH, "Referer": f"http://localhost{referer}"}
        assert reason(rollout(workers, service_workers=["/offline/*", "/pwa"]), "/", **headers)[1] == "bucket"
    nothing = rollout(workers, unpinned=(), service_workers=())
    assert reason(nothing, "/version.json", **FETCH) == ("v1", "pin")
    assert reason(nothing, "/", **FETCH, Referer="http://localhost/sw.js") == ("v1", "pin")
    assert reason(nothing, "/sw.js", **SCRIPT_REQUEST) == ("v2", "bucket")


@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_polled_below_the_prefix(prefix: str) -> None:
    """The version files that frameworks poll are those below the prefix; patterns of one's own are whole paths."""
    by_default, own = (service_workers_by(prefix, unpinned, None)(()) for unpinned in (None, ["/version.json"]))
    polled = {"version.json", "de/ngsw.json", "shop/de/ngsw.json", "_nuxt/builds/meta/1.json"}
    for path in ("/version.json", "/shop/version.json", "/shop/de/ngsw.json", "/_nuxt/builds/meta/1.json", "/a.json"):
        assert by_default.ask({}, None, None, path) is (path.removeprefix(prefix) in polled), path
        assert own.ask({}, None, None, path) is (path == "/version.json")


@pytest.mark.parametrize("option", ["unpinned", "service_workers"])
@pytest.mark.parametrize("rules", ["/sw.js", ["sw.js"], ["!/sw.js"], 5, [5]])
def test_bad_options(workers: dict[str, Path], option: str, rules: Any) -> None:
    """A pattern that cannot be used is refused by the name of its option."""
    with pytest.raises(ConfigurationError, match=option):
        rollout(workers, **{option: rules})


@pytest.mark.parametrize(
    ("cookies", "shares", "expected"),
    [
        ("", SPLIT, ("v1", "baseline")),
        (f"user_id={key_of('v2')}", SPLIT, ("v2", "key")),
        ("", {"v1": 0.0, "v2": 100.0}, ("v2", "only")),
    ],
)
def test_update_checks(
    workers: dict[str, Path], cookies: str, shares: dict[str, float], expected: tuple[str, str]
) -> None:
    """Each update check gets the same script: a draw per check would reload the open pages again and again."""
    affinity = rollout(workers, shares={"v1": 100.0}, retained=["v2"], keys=[Cookie("user_id")])
    affinity.deploy(shares)
    answers = {
        client(affinity).get("/sw.js", headers={**SCRIPT_REQUEST, "Cookie": cookies}).headers["Version-Affinity"]
        for _ in range(20)
    }
    (trace,) = answers
    assert trace.startswith(f"{expected[0]};reason={expected[1]}")


def test_a_request_teaches_nothing(workers: dict[str, Path]) -> None:
    """A client cannot make a script a worker's by asking for it as one."""
    affinity = rollout(workers)
    client(affinity).get(LIBRARY, headers=SCRIPT_REQUEST)
    assert reason(affinity, "/", **FETCH, Referer=f"http://localhost{LIBRARY}") == ("v1", "pin")


def test_found_as_long_as_it_is_known(workers: dict[str, Path], tmp_path: Path) -> None:
    """The workers of an added version are found, and those of a retired one are not looked for any more."""
    plain = {"v1": write_build(tmp_path / "plain", {"index.html": "<!doctype html>"})}
    affinity = rollout(plain, shares={"v1": 100.0})
    referer = {**FETCH, "Referer": f"http://localhost{OWN_NAME}", **pinned("v1")}

    def kind() -> str:
        sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in referer.items()}
        return affinity.explain({"PATH_INFO": "/index.html", **sent}).kind

    assert kind() == "subresource"
    affinity.add(Version("v2", workers["v2"]))
    assert kind() == "service-worker"
    affinity.retire("v2")
    assert kind() == "subresource"


@pytest.mark.parametrize(
    ("headers", "path", "policy"),
    [
        (SCRIPT_REQUEST, "/sw.js", "same-origin"),
        (SCRIPT_REQUEST, OWN_NAME, "same-origin"),
        ({"Service-Worker": "script"}, "/sw.js", "same-origin"),
        (FETCH, "/sw.js", None),
        (NAVIGATION, "/", None),
        ({**FETCH, "Referer": "http://localhost/sw.js"}, "/", None),
    ],
)
@pytest.mark.parametrize("shares", [SPLIT, {"v1": 100.0}])
def test_the_script_asks_for_its_referer(
    workers: dict[str, Path], headers: dict[str, str], path: str, policy: str | None, shares: dict[str, float]
) -> None:
    """A worker's script is sent with a policy under which the worker's requests name it; a 304 says so, too."""
    asked = client(rollout(workers, shares=shares))
    response = asked.get(path, headers=headers)
    assert (response.status_code, response.headers.get("Referrer-Policy")) == (200, policy)
    again = asked.get(path, headers={**headers, **pinned("v1"), "If-None-Match": "*"})
    assert (again.status_code, again.headers.get("Referrer-Policy")) == (304, policy)


@pytest.mark.parametrize(
    ("rule", "policy"),
    [("/sw.js\n  Referrer-Policy: no-referrer\n", "no-referrer"), ("/sw.js\n  X-A: 1\n", "same-origin")],
)
def test_a_rule_says_otherwise(workers: dict[str, Path], rule: str, policy: str) -> None:
    """Where a build's ``_headers`` set the policy, that one alone is sent."""
    write_build(workers["v1"], {"_headers": rule})
    response = client(rollout(workers, shares={"v1": 100.0})).get("/sw.js", headers=SCRIPT_REQUEST)
    assert response.headers.getlist("Referrer-Policy") == [policy]


@pytest.mark.parametrize("older", [False, True])
def test_found_in_releases(
    workers: dict[str, Path], tmp_path: Path, older: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload notes the workers in the version's manifest; of a manifest without the note the scripts are read."""
    directory = ReleasesDirectory.init(tmp_path / "releases", name="storefront")
    upload(directory, workers["v1"], id="v1")
    open_log(directory.path, None).append({"v1": 100.0}, expected=0)
    manifest = directory.manifest_path("v1")
    document = json.loads(manifest.read_text())
    noted = {name for name, entry in document["files"].items() if entry.get("service_worker")}
    assert noted == {OWN_NAME[1:]}
    if older:
        for entry in document["files"].values():
            entry.pop("service_worker", None)
        manifest.chmod(0o644)
        manifest.write_text(json.dumps(document))
    read: list[bytes] = []
    monkeypatch.setattr(
        "version_affinity.assets.loading.loader.handles_worker_events",
        lambda script: read.append(script) or handles_worker_events(script),
    )
    with contextlib.closing(Releases(directory.path)) as releases:
        affinity = VersionAffinity(None, releases)
        headers = {**FETCH, "Referer": f"http://localhost{OWN_NAME}"}
        sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        assert affinity.explain({"PATH_INFO": "/", **sent}).kind == "service-worker"
    assert len(read) == (4 if older else 0)
