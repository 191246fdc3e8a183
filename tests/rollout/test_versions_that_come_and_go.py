"""Memory over many versions: what was made for a version goes when the version goes."""

from __future__ import annotations

import gc
import logging
import shutil
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from tests.harness import NAVIGATION, SCRIPT, finishers, write_build
from version_affinity import Cookie, Version, VersionAffinity
from version_affinity.counters import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

#: A fingerprinted name of other bytes in every version.
COLLISION = "assets/chunk-C0liD3sX.js"
#: Versions until memory is as it stays, and from then on.
FIRST, MORE = 20, 180
#: Containers per version, for what others keep. A version's headers and counters are some hundred.
BOUND = 3


def build(directory: Path, version: str) -> Path:
    """Write the build of a version."""
    files = {
        f"assets/index-{version:0>8}.js": f"// {version}",
        COLLISION: version,
        "logo.svg": f"<svg>{version}</svg>",
        f"only-{version}.txt": version,
        "index.html": f"<!doctype html>{version}",
    }
    return write_build(directory / version, files)


def ask(affinity: VersionAffinity, path: str, headers: Mapping[str, str]) -> None:
    """Ask for something, and forget the answer."""
    run_wsgi_app(affinity, create_environ(path, headers=headers), buffered=True)


def one_more(affinity: VersionAffinity, directory: Path, number: int) -> None:
    """Roll a version out over the one before, with requests of all kinds, and retire that."""
    version, before = f"v{number}", f"v{number - 1}"
    affinity.add(Version(version, build(directory, version)))
    affinity.deploy({before: 100, version: 0})
    ask(affinity, "/", {**NAVIGATION, "Version-Override": version})
    for headers in ({}, {"Version-Override": version}):
        ask(affinity, f"/{COLLISION}", headers)
    affinity.deploy({before: 50, version: 50})
    for cookie in (f"version-affinity-app=1.{before}", "user=1", ""):
        cookies = {"Cookie": cookie} if cookie else {}
        ask(affinity, "/", {**NAVIGATION, **cookies})
        ask(affinity, "/", {**NAVIGATION, **cookies, "Version-Override": "unknown"})
        ask(affinity, "/", {**NAVIGATION, **cookies, "Sec-Purpose": "prefetch"})
        ask(affinity, "/logo.svg", {**SCRIPT, **cookies})
        ask(affinity, "/logo.svg", {**SCRIPT, **cookies, "Sec-Fetch-Site": "cross-site"})
        ask(affinity, "/logo.svg", cookies)
        ask(affinity, "/logo.svg", {**cookies, "Service-Worker": "script"})
        ask(affinity, f"/only-{before}.txt", {**SCRIPT, **cookies})
        ask(affinity, "/assets/gone-AAAABBBB.js", {**SCRIPT, **cookies})
        ask(affinity, f"/assets/index-{before:0>8}.js", {**SCRIPT, **cookies})
        ask(affinity, "/", {**NAVIGATION, **cookies, "Referer": f"http://localhost/assets/index-{before:0>8}.js"})
    affinity.deploy({version: 100})
    affinity.retire(before)
    shutil.rmtree(directory / before)


def test_hundreds_of_versions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers, counters and memos of a retired version go with it."""
    made = finishers(monkeypatch)
    caplog.set_level(logging.CRITICAL, "version_affinity")  # pytest would keep all that is logged
    affinity = VersionAffinity(None, [Version("v0", build(tmp_path, "v0"))], keys=[Cookie("user")])

    def held_after(numbers: range) -> int:
        for number in numbers:
            one_more(affinity, tmp_path, number)
        gc.collect()
        return len(gc.get_objects())

    before = held_after(range(1, FIRST))
    after = held_after(range(FIRST, FIRST + MORE))
    assert after - before < BOUND * MORE
    only = {f"v{FIRST + MORE - 1}"}
    counts = affinity.counters()
    assert {version for version, *_ in counts.requests} == only | {OTHER}
    assert counts.missing.keys() | {version for pair in counts.rescues for version in pair} <= only | {OTHER}
    assert counts.new_keys.keys() <= only | {OTHER}
    assert {decision.version for each in made[0].headers.values() for decision in each} == only


def test_a_request_that_ends_after_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a late request makes anew for a version that has gone goes with the next one."""
    made = finishers(monkeypatch)
    affinity = VersionAffinity(None, [Version("v0", build(tmp_path, "v0"))], keys=[Cookie("user")])
    decision = affinity.exchange(create_environ("/", headers=NAVIGATION)).decision
    one_more(affinity, tmp_path, 1)
    asked = sum(affinity.counters().requests.values())
    decided = made[0].headers["page"][decision]
    decided.count("200 OK")
    assert ("v0", "page", "2xx", decision.reason) in affinity.counters().requests
    one_more(affinity, tmp_path, 2)
    after = affinity.counters().requests
    assert {version for version, *_ in after} == {"v2", OTHER}
    assert sum(after.values()) == 2 * asked + 1
    assert decision not in made[0].headers["page"]
