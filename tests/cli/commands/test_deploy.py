"""``versions deploy`` and ``rollback``: what they show, write, and refuse."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commanding import AUTHOR, COLLISION, Site, run
from tests.releases.disks import on_a_disk
from tests.releases.followed import until
from version_affinity import Releases, VersionAffinity
from version_affinity.cli.times import when
from version_affinity.releases.log.entries import Details
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.log.local_copy import LocalCopy
from version_affinity.releases.releases import COPY
from version_affinity.releases.times import format_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from version_affinity.releases.log.entries import Entry

V1, SPLIT = {"v1": 100.0}, {"v1": 90.0, "v2": 10.0}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v0 to v2 uploaded, of which v1 is deployed."""
    site = Site(tmp_path)
    site.upload("v0", "v1", "v2")
    site.deploy(V1)
    return site


def test_deploy(site: Site) -> None:
    """A deployment shows what changes and who moves, and tells its revision and how to take it back."""
    site.deploy({"v0": 100.0}, V1)
    shown = site.run("versions", "deploy", "v2@10%", "v1", "-y", "-m", "first 10 %").stdout
    assert shown == (
        "storefront, revision 3 -> 4\n"
        "\n"
        "  v1  100 %  ->  90 %\n"
        "  v2      -  ->  10 %\n"
        "\n"
        "10 % of the users move, which is the possible minimum:\n"
        "  v1  ->  v2  10 %\n"
        "\n"
        "Deployed revision 4.\n"
        "No worker reports: no application follows this directory, or it cannot report.\n"
        f"To undo this: version-affinity --releases {site.path} rollback\n"
    )
    entry = FileLog(site.path / "deployments.jsonl").read()[-1]
    assert (entry.percentages, entry.author, entry.message) == ({"v2": 10.0, "v1": 90.0}, AUTHOR, "first 10 %")


def test_first_deployment(tmp_path: Path) -> None:
    """The first deployment moves nobody, and there is nothing to go back to."""
    site = Site(tmp_path)
    site.upload("v1")
    shown = site.run("versions", "deploy", "v1", "-y").stdout
    assert shown.startswith("storefront, the first deployment\n\n  v1  100 %\n\nDeployed revision 1")
    assert "rollback" not in shown


def test_swaps_are_told(site: Site) -> None:
    """With three versions, users who need not move may: what the least is stands beside it."""
    site.deploy({"v0": 50.0, "v1": 30.0, "v2": 20.0})
    shown = site.run("versions", "deploy", "v0@20", "v1@60", "v2@20", "--dry-run").stdout
    assert "34.615 % of the users move (the possible minimum is 30 %):\n" in shown
    assert "  v0  ->  v1  25.385 %\n" in shown
    assert shown.endswith("Nothing is deployed: this was a dry run.\n")
    staged = site.run("versions", "deploy", "v2@20", "v0@50", "v1@30", "v9@0", "--force", "-y").stdout
    assert staged.count("No user moves.") == 1


def test_deploy_as_json(site: Site) -> None:
    """The JSON of a deployment has the plan, who moves, and the entry of the log."""
    told = site.json("versions", "deploy", "v2@10", "v1", "-y")
    entry = told.pop("entry")
    assert told == {
        "name": "storefront",
        "revision": 2,
        "percentages": {"v2": 10.0, "v1": 90.0},
        "before": V1,
        "movement": {"pairs": [{"from": "v1", "to": "v2", "users": 10.0}], "moved": 10.0, "minimum": 10.0},
        "refusals": [],
        "warnings": told["warnings"],
        "deployed": True,
        "dry_run": False,
        "workers": [],
        "workers_error": "",
    }
    assert (entry["revision"], entry["percentages"], entry["author"]) == (2, told["percentages"], AUTHOR)
    dry = site.json("versions", "deploy", "v2", "--dry-run")
    assert (dry["deployed"], dry["dry_run"], dry["entry"], dry["revision"]) == (False, True, None, 3)
    assert dry["workers"] is None
    assert site.percentages == [V1, {"v2": 10.0, "v1": 90.0}]


@pytest.mark.parametrize(
    ("arguments", "percentages"),
    [
        (["v0@20", "v1@30", "v2@50"], {"v0": 20.0, "v1": 30.0, "v2": 50.0}),
        (["v1", "v2@30%"], {"v1": 70.0, "v2": 30.0}),
        (["v1", "v2@0"], {"v1": 100.0, "v2": 0.0}),
    ],
)
def test_what_is_meant(site: Site, arguments: list[str], percentages: Mapping[str, float]) -> None:
    """The order of the arguments is that of the percentages; a version without one gets the remainder."""
    site.run("versions", "deploy", *arguments, "-y")
    assert site.percentages[-1] == percentages


def test_nobody_to_be_asked(site: Site) -> None:
    """Without a terminal and without -y nothing is done, and it says to Pass -y; a dry run needs neither."""
    result = site.run("versions", "deploy", "v2@10", "v1", code=1)
    assert "Pass -y" in result.stderr
    assert "Pass -y" in site.run("versions", "deploy", "v2@10", "v1", "--json", code=1).stderr
    assert "Pass -y" in site.run("rollback", "v0", code=1).stderr
    site.run("versions", "deploy", "v2@10", "v1", "--dry-run")
    assert site.percentages == [V1]


@contextlib.contextmanager
def following(site: Site) -> Iterator[None]:
    """Follow the site in this process until the block ends."""
    releases = Releases(site.path, interval=0.02)
    affinity = VersionAffinity(None, releases)
    try:
        yield
    finally:
        releases.close()
        del affinity


def refused(site: Site, kind: str, *arguments: str) -> str:
    """Deploy, see it refused for one reason alone, and overruled by --force; return the reason."""
    before = site.percentages
    told = site.json("versions", "deploy", *arguments, "-y", code=1)
    assert [refusal["kind"] for refusal in told["refusals"]] == [kind]
    assert site.percentages == before
    reason: str = told["refusals"][0]["reason"]
    shown = "\n".join([reason, *told["refusals"][0]["details"]])
    result = site.run("versions", "deploy", *arguments, "-y", code=1)
    assert f"nothing is deployed (--force overrules this):\n  - {reason}\n" in result.stderr
    assert all(f"      {detail}\n" in result.stderr for detail in told["refusals"][0]["details"])
    assert "revision" in result.stdout
    forced = site.run("versions", "deploy", *arguments, "-y", "--force")
    assert f"overruled: {reason}" in forced.stderr
    assert len(site.percentages) == len(before) + 1
    return shown


@pytest.mark.parametrize(
    ("current", "arguments", "percentages"),
    [
        (V1, ["v2@10%"], {"v2": 10.0, "v1": 90.0}),
        ({"v0": 75.0, "v1": 25.0}, ["v2@20"], {"v2": 20.0, "v0": 60.0, "v1": 20.0}),
        ({"v0": 75.0, "v1": 25.0}, ["v1@50"], {"v1": 50.0, "v0": 50.0}),
        ({"v0": 75.0, "v1": 25.0}, ["v1@0", "v2@20"], {"v1": 0.0, "v2": 20.0, "v0": 80.0}),
        ({"v0": 90.0, "v1": 10.0, "v2": 0.0}, ["v1@20"], {"v1": 20.0, "v0": 80.0, "v2": 0.0}),
        ({"v0": 90.0, "v1": 10.0, "v2": 0.0}, ["v1@100"], {"v1": 100.0, "v2": 0.0}),
    ],
)
def test_rest(site: Site, current: Mapping[str, float], arguments: list[str], percentages: Mapping[str, float]) -> None:
    """With --rest the other versions share what is left in their proportion, and nobody moves between them."""
    site.deploy(current)
    told = site.json("versions", "deploy", *arguments, "--rest", "-y")
    assert told["percentages"] == percentages
    assert site.percentages[-1] == percentages
    named = {argument.partition("@")[0] for argument in arguments}
    assert all(pair["from"] in named or pair["to"] in named for pair in told["movement"]["pairs"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["v2"], "v2 has no percentage, which --rest needs"),
        (["v1@50"], "no other version has a share that could get the 50 % that are left"),
        (["v2@60", "v0@60"], "sum to 120 %"),
        (["v2@10", "v2@20"], "v2 appears twice"),
        ([], "no version is given"),
    ],
)
def test_rest_of_nothing(site: Site, arguments: list[str], words: str) -> None:
    """What --rest cannot complete is an error of usage."""
    assert words in site.run("versions", "deploy", *arguments, "--rest", "-y", code=2).stderr
    assert site.percentages == [V1]


def test_workers_serve_it(site: Site) -> None:
    """A deployment and a rollback wait for the workers, and say how many serve them."""
    with following(site):
        shown = site.run("versions", "deploy", "v2@10%", "--rest", "-y").stdout
        assert "Deployed revision 2.\n1 of 1 worker serves revision 2.\n" in shown
        (worker,) = site.json("rollback", "v1", "-y")["workers"]
    assert (worker["pid"], worker["revision"], worker["missing"], worker["error"]) == (os.getpid(), 3, [], "")


@pytest.mark.slow
def test_a_worker_does_not_follow(site: Site) -> None:
    """Who does not serve a deployment is named with the reason: exit 1, unless it is forced. The deployment stays."""
    site.report("web-1", ("v1", "v2"), 1)
    site.report("web-2", ("v1", "v2"), 1, error="the log hangs")
    lines = [
        "is deployed, and 2 of 2 workers do not serve it:",
        "  - web-1, process 1: it has read revision 1 so far",
        "  - web-2, process 2: the log hangs",
    ]
    result = site.run("versions", "deploy", "v2@10%", "--rest", "-y", "--wait", "1", code=1)
    assert f"Error: revision 2 {chr(10).join(lines)}\n" in result.stderr
    result = site.run("versions", "deploy", "v2@20%", "--rest", "-y", "--wait", "1", "--force")
    assert f"Warning: revision 3 {chr(10).join(lines)}\n" in result.stderr
    told = site.json("versions", "deploy", "v2@30%", "--rest", "-y", "--wait", "1", code=1)
    assert told["deployed"]
    assert [worker["error"] for worker in told["workers"]] == ["it has read revision 1 so far", "the log hangs"]
    result = site.run("versions", "deploy", "v2@40%", "--rest", "-y", "--wait", "0")
    assert "To see which workers serve it: version-affinity" in result.stdout
    assert len(site.percentages) == 5


def test_no_worker_can_load_it(site: Site) -> None:
    """A version that every worker fails to load is refused at once, before anything is written."""
    site.report("web-1", ("v1",), 1, failures={"v2": "'/index.html' is missing"})
    site.report("web-2", ("v1",), 1, failures={"v2": "'/index.html' is missing"})
    began = time.monotonic()
    told = site.json("versions", "deploy", "v2@10%", "--rest", "-y", "--wait", "60", code=1)
    assert time.monotonic() - began < 30
    assert [(it["kind"], it["reason"]) for it in told["refusals"]] == [
        ("unusable-version", "no worker can load v2: '/index.html' is missing")
    ]
    assert site.percentages == [V1]


def test_each_reason_is_given_once(site: Site) -> None:
    """A version that is not here, or that the settings show to be unusable, is not named again for the workers."""
    site.run("settings", "--spa")
    (site.build("v3") / "index.html").unlink()
    site.run("versions", "upload", str(site.root / "builds" / "v3"), "--id", "v3")
    site.report("web-1", ("v1",), 1, failures={"v3": "it has no page"})
    told = site.json("versions", "deploy", "v3@10%", "v9@10%", "--rest", "-y", code=1)
    assert [it["kind"] for it in told["refusals"]] == ["unknown-version", "unusable-version"]
    assert "/index.html" in told["refusals"][1]["reason"]


def test_a_worker_is_still_loading_it(site: Site) -> None:
    """A version that a worker loads is not called absent: before a deployment, and after one that is forced."""
    since = format_time(utc_now())
    site.report("web-1", ("v1",), 1, loading={"v2": since})
    shown = site.run("deployments", "status").stdout
    assert f"1 worker of web-1 is still loading v2, since {when(since)[:16]}" in shown
    assert "without" not in shown
    told = site.json("versions", "deploy", "v2@10%", "--rest", "-y", "--wait", "0", code=1)
    (refusal,) = told["refusals"]
    assert refusal["kind"] == "host-lacks-version"
    assert refusal["reason"].startswith(
        "the host web-1 is still loading v2: its users would get another version. Wait "
    )
    site.run("versions", "deploy", "v2@10%", "--rest", "-y", "--wait", "0", "--force")
    site.report("web-1", ("v1",), 1, log_revision=2, loading={"v2": since})
    shown = site.run("deployments", "status").stdout
    assert f"1 worker of web-1 is still loading v2, since {when(since)[:16]}" in shown
    assert "  web-1, process 1: it is still loading v2\n" in shown
    told = site.json("deployments", "status")
    assert (told["workers"][0]["loading"], told["workers"][0]["error"]) == ({"v2": since}, "it is still loading v2")
    assert told["versions"][0]["lacking"] == [{"host": "web-1", "pid": 1, "reason": "", "loading_since": since}]


@pytest.mark.slow
def test_one_time_for_all_waits(site: Site) -> None:
    """--wait is the time of both waits together: for a version that is not loaded yet, and for the deployment."""
    site.report("web-1", ("v1",), 1)

    def load_and_follow() -> None:
        time.sleep(1.5)
        site.report("web-1", ("v1", "v2"), 1)
        until(lambda: len(site.percentages) > 1)
        time.sleep(0.5)
        site.report("web-1", ("v1", "v2"), 2)

    with ThreadPoolExecutor() as pool:
        following = pool.submit(load_and_follow)
        result = site.run("versions", "deploy", "v2@10%", "--rest", "-y", "--wait", "60")
        following.result()
    assert "Waiting for v2 on web-1, up to 60 seconds" in result.stderr
    left = re.search(r"Waiting until all workers serve revision 2, up to (\d+) seconds", result.stderr)
    assert left is not None
    assert int(left[1]) < 60


_WHERE_NO_REPORT_CAN_BE_WRITTEN = """
import json, subprocess, sys
from pathlib import Path
from tests.cli.commanding import Site

site = Site(Path(sys.argv[1]))
site.upload("v1", "v2")
site.deploy({"v1": 100.0})
site.report("web-1", ("v1", "v2"), 1)
workers = site.path / "workers"
subprocess.run(["mount", "--bind", workers, workers], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", workers], check=True)
for command in (
    "versions deploy v2@10% --rest --dry-run",
    "versions deploy v2@10% --rest -y --wait 0",
    "versions deploy v2@20% --rest -y --wait 0 --json",
    "versions deploy v2@30% --rest -y --wait 1 --force --json",
    "rollback v1 -y --wait 0",
    "deployments status",
    "deployments status --json",
    "ramp start v2 -y --wait 0",
    "ramp status",
    "ramp status --json",
    "ramp pause --wait 0",
):
    print(json.dumps([command, site.run(*command.split()).output]))
"""


@pytest.mark.skipif(os.name != "posix", reason="no disk can be mounted")
def test_this_host_cannot_report(tmp_path: Path) -> None:
    """While others report, each command says that this host cannot, why, and what to do; with --json too."""
    lines = on_a_disk(tmp_path / "disk", _WHERE_NO_REPORT_CAN_BE_WRITTEN, size="64m").splitlines()
    assert len(lines) == 11
    why = "workers' cannot be written to (Read-only file system): make the file system writable"
    for command, shown in map(json.loads, lines):
        assert why in shown, command
        assert "status --json" in command or "orkers of this host may be missing: '" in shown, command


def test_nobody_can_report(site: Site) -> None:
    """Where this user sees why no worker reports, that is said."""
    (site.path / "workers").rmdir()
    (site.path / "workers").write_text("not a directory")
    shown = site.run("versions", "deploy", "v2@10%", "--rest", "-y").stdout
    assert "No worker reports: " in shown


def test_unknown_version(site: Site) -> None:
    """A version that is not uploaded is refused, and the upload that is missing is told."""
    reason = refused(site, "unknown-version", "v8@1", "v9@1", "v1")
    assert reason.startswith("v8 and v9 are not uploaded (uploaded: v2, v1, v0). To upload v8: version-affinity")
    assert reason.endswith("versions upload dist/ --id v8")


def test_collision(site: Site) -> None:
    """A new version whose fingerprinted name stands for other bytes in a known version is refused, once."""
    site.upload("v3", more={COLLISION[1:]: "// other"})
    site.run("versions", "upload", str(site.build("v1", {COLLISION[1:]: "// first"})), "--id", "v4")
    site.deploy({"v4": 100.0})
    reason = refused(site, "collision", "v3@10", "v4")
    assert reason.startswith("v3 has 1 fingerprinted name with other bytes in a known version")
    assert reason.endswith(f"\n{COLLISION}  also in v4")
    site.run("versions", "deploy", "v3@50", "v4", "-y")


def test_staged_versions_are_not_checked(site: Site) -> None:
    """A version at 0 % reaches nobody: it may be staged whatever is wrong with it, and is checked for its share."""
    site.upload("v3", more={COLLISION[1:]: "// other"})
    site.run("versions", "upload", str(site.build("v1", {COLLISION[1:]: "// first"})), "--id", "v4")
    site.deploy({"v4": 100.0})
    site.run("versions", "deploy", "v4", "v3@0", "-y")
    refused(site, "collision", "v3@10", "v4")


def test_broken_reference(site: Site) -> None:
    """A version that gets its first share, and has a broken reference, is refused with the place."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    site.upload("v3", more={"about.html": '<!doctype html>\n<link rel="stylesheet" href="/assets/gone-BX4CeNGm.css">'})
    reason = refused(site, "broken-reference", "v3@10", "v1")
    assert reason.startswith("v3 has 1 broken reference. ")
    assert "\n/about.html:2  /assets/gone-BX4CeNGm.css: the file does not exist" in reason
    assert "check v3" in reason


@pytest.mark.parametrize("command", ["versions deploy v3", "rollback v3"])
def test_origins(site: Site, command: str) -> None:
    """A version whose pages name a CDN is deployed with a word on that, or checked under the origin that is named."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    urls = [f"https://cdn.example{path}" for path in (COLLISION, "/assets/gone-BX4CeNGm.js")]
    page = "<!doctype html>" + "".join(f'<script src="{url}"></script>' for url in urls)
    site.upload("v3", more={"about.html": page, COLLISION[1:]: "// chunk"})
    told = site.run(*command.split(), "-y", "--dry-run").stderr
    assert "2 references to https://cdn.example were not checked. To check them: --origin https://cdn.example" in told
    told = site.run(*command.split(), "-y", "--origin", "https://cdn.example", code=1).stderr
    assert "v3 has 1 broken reference. " in told


@pytest.mark.parametrize(
    "options",
    [
        ("--origin", "https://cdn.example"),
        ("--prefix", "/my shop/", "--app-first", "/my shop/api/*"),
        ("--app-first", "/api/*", "--app-first", "/who?"),
    ],
)
@pytest.mark.parametrize("command", ["versions deploy v3", "rollback v3"])
def test_the_check_that_is_named(site: Site, command: str, options: tuple[str, ...]) -> None:
    """A refusal names the check that tells all of it: with the options that it was refused with."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    gone = "gone-BX4CeNGm.js"
    urls = [f"https://cdn.example/{gone}", f"/my%20shop/{gone}", "/my%20shop/api/x.js", f"/{gone}", "/api/x.js"]
    page = "<!doctype html>" + "".join(f'<script src="{url}"></script>' for url in urls)
    site.upload("v3", more={"about.html": page})
    told = site.run(*command.split(), "-y", *options, code=1).stderr
    count = told.partition("v3 has ")[2].partition(".")[0]
    suggested = shlex.split(told.partition("To list all: ")[2].splitlines()[0].partition(". ")[0])
    assert suggested[0] == "version-affinity"
    assert f"v3 is not fit to be deployed: {count}" in run(*suggested[1:], code=1).stderr


def test_paths_of_the_application(site: Site) -> None:
    """--app-first is proposed where a path may be the application's, and not for what only a build names so."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    page = '<!doctype html><script src="https://cdn.example/assets/gone-BX4CeNGm.js"></script>'
    site.upload("v3", more={"about.html": page})
    asked = ("--origin", "https://cdn.example")
    assert "--app-first" not in refused(site, "broken-reference", "v3", *asked)
    assert "--app-first" not in site.run("check", "v3", *asked, code=1).stderr
    other = site.build("v3", {"about.html": f'{page}<img src="/api/me.png">'})
    site.run("versions", "upload", str(other), "--id", "v4")
    assert "--app-first '/api/*'" in refused(site, "broken-reference", "v4", *asked)
    assert "--app-first '/api/*'" in site.run("check", "v4", *asked, code=1).stderr


def test_other_log(site: Site) -> None:
    """Where an application on this host follows another log, as one in Redis, the file is not written to by mistake."""
    site.run("deployments", "status")
    entry: dict[str, Any] = {"revision": 1, "percentages": V1, "created": "2026-11-24T05:00:00Z"}
    (site.path / COPY).write_text(json.dumps(entry) + "\n")
    reason = refused(site, "other-log", "v2@10", "v1")
    assert "--log redis://host" in reason
    assert "--log redis://host" in site.run("deployments", "status").stderr
    assert "--log redis://host" in site.run("prune", "-y", code=1).stderr


def test_several_reasons(site: Site) -> None:
    """All that speaks against a deployment is told at once."""
    site.upload("v3", more={COLLISION[1:]: "// other"})
    site.run("versions", "upload", str(site.build("v1", {COLLISION[1:]: "// first"})), "--id", "v4")
    result = site.run("versions", "deploy", "v3@10", "v4@10", "v9", "-y", code=1)
    reasons = [line.split()[1] for line in result.stderr.splitlines() if line.startswith("  - ")]
    assert reasons == ["v9", "v3", "v4"]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_somebody_was_faster(site: Site, force: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody has deployed since the log was read, nothing is written, and it is told who deployed what."""
    read = FileLog.read

    def read_and_wait(self: FileLog, after: int = 0) -> list[Entry]:
        monkeypatch.setattr(FileLog, "read", read)
        entries = read(self, after)
        FileLog(site.path / "deployments.jsonl").append(
            {"v0": 100}, expected=1, details=Details(author="grace", message="hotfix")
        )
        return entries

    monkeypatch.setattr(FileLog, "read", read_and_wait)
    result = site.run("versions", "deploy", "v2", "-y", *force, code=1)
    assert 'UTC (just now): v0 100 % ("hotfix"). Nothing is deployed' in result.stderr
    assert site.percentages == [V1, {"v0": 100.0}]


def test_rollback(site: Site) -> None:
    """A rollback returns to the newest earlier deployment with another version at 100 %, and says so in the log."""
    site.deploy({"v0": 100.0}, SPLIT, {"v2": 100.0})
    shown = site.run("rollback", "-y").stdout
    assert "storefront, revision 4 -> 5" in shown
    assert "100 % of the users move, which is the possible minimum:\n  v2  ->  v0  100 %\n" in shown
    assert site.percentages[-1] == {"v0": 100.0}
    assert FileLog(site.path / "deployments.jsonl").read()[-1].message == "Rollback to revision 2 (v0)"


def test_rollback_to(site: Site) -> None:
    """A rollback to an id gives that version to everybody; a message stands after the one that says so."""
    site.deploy({"v0": 100.0}, SPLIT)
    told = site.json("rollback", "v1", "-y", "-m", "Payment fails")
    assert (told["percentages"], told["entry"]["message"]) == (V1, "Rollback to v1: Payment fails")
    assert site.json("rollback", "v0", "-y")["entry"]["message"] == "Rollback to v0"
    assert site.json("rollback", "--dry-run")["percentages"] == V1


def test_rollback_of_staged_versions(site: Site) -> None:
    """What was staged beside the version that a rollback returns to may be gone: it is left out."""
    site.deploy({"v1": 100.0, "v9": 0.0}, {"v0": 100.0})
    site.run("rollback", "-y")
    assert site.percentages[-1] == V1


def test_nothing_to_roll_back_to(site: Site) -> None:
    """Without an earlier version at 100 %, a rollback wants to be told which, and never names one that is live."""
    result = site.run("rollback", "-y", code=1)
    assert "no earlier deployment with another version at 100 % (now: v1 100 %)" in result.stderr
    assert result.stderr.endswith("(now: v1 100 %)\n")  # no other version has had users
    site.deploy(SPLIT, V1)
    result = site.run("rollback", "-y", code=1)
    assert "(now: v1 100 %): name the version, as in " in result.stderr
    assert result.stderr.endswith(" rollback v2\n")
    lonely = Site(site.root / "lonely")
    lonely.upload("v1")
    lonely.deploy(V1)
    assert lonely.run("rollback", "-y", code=1).stderr.endswith("(now: v1 100 %)\n")
    result = Site(site.root / "empty").run("rollback", "-y", code=1)
    assert "nothing is deployed yet" in result.stderr


def test_rollback_is_refused_as_a_deployment_is(site: Site) -> None:
    """A rollback to a version that is not there is refused, unless it is forced."""
    result = site.run("rollback", "v9", "-y", code=1)
    assert "v9 is not uploaded" in result.stderr
    assert site.percentages == [V1]
    site.run("rollback", "v9", "-y", "--force")
    assert site.percentages == [V1, {"v9": 100.0}]


def test_clean_versions_are_deployed(site: Site) -> None:
    """Versions in which nothing is wrong go through all checks without a word, where these can be made."""
    result = site.run("versions", "deploy", "v2@10", "v0@10", "v1", "-y")
    assert "not checked" in result.stderr or not result.stderr


@pytest.mark.parametrize("command", ["versions deploy v2", "rollback v2"])
def test_expected_revision(site: Site, command: str) -> None:
    """A script that says which revision it has seen is refused where that is no longer the newest, --force or not."""
    assert site.json("deployments", "status")["revision"] == 1
    site.deploy({"v0": 100.0}, message="hotfix")
    for more in ((), ("--force",), ("--dry-run",)):
        result = site.run(*command.split(), "-y", "--expect", "1", *more, code=1)
        told = 'UTC (just now): v0 100 % ("hotfix"). Nothing is deployed'
        assert told in result.stderr
    ahead = site.run(*command.split(), "-y", "--expect", "3", code=1)
    assert "--expect 3: the current revision is 2" in ahead.stderr
    assert site.json(*command.split(), "-y", "--expect", "2")["revision"] == 3
    assert site.percentages[1:] == [{"v0": 100.0}, {"v2": 100.0}]


def test_expecting_nothing(tmp_path: Path) -> None:
    """A script that expects the first deployment to be its own says 0."""
    site = Site(tmp_path)
    site.upload("v1")
    assert "--expect 1: nothing is deployed yet" in site.run("versions", "deploy", "v1", "--expect", "1", code=1).stderr
    site.run("versions", "deploy", "v1", "-y", "--expect", "0")
    assert site.percentages == [V1]


@pytest.mark.parametrize("options", [(), ("--force",), ("-m", "again")])
def test_deployment_that_changes_nothing(site: Site, options: tuple[str, ...]) -> None:
    """What is deployed already is not deployed again, in any order: the command says so, and asks nobody."""
    site.deploy(SPLIT, SPLIT)
    specs = [f"{version}@{share:g}" for version, share in reversed(SPLIT.items())]
    shown = site.run("versions", "deploy", *specs, *options).stdout
    assert shown.startswith("Nothing is deployed, because nothing changes: ")
    assert shown.endswith(" since revision 2.\n")
    assert site.json("versions", "deploy", *specs, *options)["deployed"] is False
    assert len(site.percentages) == 3


@pytest.mark.parametrize(
    ("before", "command", "shown"),
    [
        ([], "versions deploy v2@10 v1", "To undo this: {} rollback"),
        ([SPLIT], "versions deploy v2", "To give v1 to all users again: {} rollback"),
        ([{"v0": 100.0}, SPLIT], "rollback v0", "To give v1 to all users again: {} rollback"),
        ([SPLIT], "rollback v1", "To undo this: {} versions deploy {split}"),
        ([{"v2": 100.0}, {"v1": 50.0, "v0": 50.0}], "versions deploy v0", "{} versions deploy v1@50% v0@50%"),
    ],
)
def test_undo(site: Site, before: list[Mapping[str, float]], command: str, shown: str) -> None:
    """The command that is proposed takes the deployment back; it never leads to what nobody had before it."""
    site.deploy(*before)
    split = " ".join(f"{version}@{share:g}%" for version, share in SPLIT.items())
    words = shown.replace("{split}", split).format(f"version-affinity --releases {site.path}")
    assert f"{words}\n" in site.run(*command.split(), "-y").stdout


def test_emptied_log(site: Site) -> None:
    """A log that was emptied is one reason, with what can have happened; so it is for one that lost its end."""
    site.deploy(SPLIT)
    LocalCopy(site.path / COPY).save(FileLog(site.path / "deployments.jsonl").read())
    first = (site.path / "deployments.jsonl").read_text().splitlines()[0]
    for text, state in (("", "is empty"), (f"{first}\n", "ends with revision 1")):
        (site.path / "deployments.jsonl").write_text(text)
        (reason,) = site.json("versions", "deploy", "v1@40", "v0", "-y", code=1)["refusals"]
        assert reason["kind"] == "other-log"
        assert f"{state}, and the application on this host follows revision 2" in reason["reason"]
        assert reason["reason"].endswith(f"restore them: copy {site.path / COPY} to it")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_rollback_that_changes_nothing(site: Site, force: tuple[str, ...]) -> None:
    """A rollback to what everybody has says so, and writes nothing; nobody needs to be asked."""
    shown = site.run("rollback", "v1", *force).stdout
    assert shown == "Nothing is deployed, because nothing changes: v1 100 % since revision 1.\n"
    told = site.json("rollback", "v1", *force)
    assert (told["deployed"], told["entry"], told["dry_run"]) == (False, None, False)
    assert site.percentages == [V1]
    site.deploy({"v1": 100.0, "v2": 0.0})
    site.run("rollback", "v1", "-y", *force)  # which takes the staged version away
    assert site.percentages[-1] == V1


def test_rollback_below_a_prefix(site: Site) -> None:
    """A rollback to a version that never had a share checks it as a deployment does, and is told how it is served."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    page = '<!doctype html>\n<script src="/shop/gone.js"></script><img src="/shop/api/me.png">'
    site.upload("v3", more={"about.html": page})
    below = ("--prefix", "/shop/")
    assert "v3 has 2 broken references" in site.run("rollback", "v3", "-y", *below, code=1).stderr
    told = site.run("rollback", "v3", "-y", *below, "--app-first", "/shop/api/*", code=1).stderr
    assert "v3 has 1 broken reference." in told
    site.run("rollback", "v3", "-y", "--prefix", "/other/")
    assert site.percentages[-1] == {"v3": 100.0}
