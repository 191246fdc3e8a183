"""Metrics: the contract's families, read by Prometheus' own parser, within bounds, and never going down."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import version_affinity
from tests.builds import ENTRY, rollout, write_builds
from tests.harness import NAVIGATION, SCRIPT, client, missing, write_build
from tests.ramp.ramping import PLAN, Story, failing
from tests.releases.followed import Site, hanging_log, until
from tests.releases.redis_server import redis_server
from tests.releases.reports.reporting import GONE, Process, place
from version_affinity import ConfigurationError, Releases, Version
from version_affinity import metrics as module
from version_affinity.metrics import Family, MetricsCollector, as_text, families_of, metrics_app
from version_affinity.ramp.failing import Failures
from version_affinity.releases.follow.guard import ramp_key
from version_affinity.releases.log.entries import Entry
from version_affinity.releases.reports.report import Observation, Report, Workers
from version_affinity.releases.reports.reporter import WorkerState
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.releases.reports.reporting import FilePlace, RedisPlace

#: The contract: each family's type and labels. The first group comes from the reports of all workers.
REPORTED = {
    "requests_total": ("counter", {"version", "kind", "code"}),
    "app_responses_total": ("counter", {"version", "code"}),
    "decisions_total": ("counter", {"version", "reason"}),
    "asset_misses_total": ("counter", {"version"}),
    "rescues_total": ("counter", {"decided", "served"}),
    "new_keys_total": ("counter", {"version"}),
    "refused_overrides_total": ("counter", {"why"}),
    "version_loaded": ("gauge", {"version"}),
    "workers": ("gauge", {"state"}),
    "log_errors_total": ("counter", set()),
}
ALWAYS = {
    "deployment_ratio": ("gauge", {"version"}),
    "deployment_revision": ("gauge", set()),
    "deployment_timestamp_seconds": ("gauge", set()),
    "reports_up": ("gauge", set()),
    "log_up": ("gauge", set()),
    "deployments_total": ("counter", {"action"}),
    "ramp_state": ("gauge", {"state"}),
    "ramp_step": ("gauge", set()),
    "ramp_evidence_ratio": ("gauge", {"signal"}),
    "build_info": ("gauge", {"package_version"}),
}

Series = dict[tuple[str, ...], float]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the status that the query names."""
    status = environ["QUERY_STRING"] or "200"
    start_response(f"{status} Status", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]


def parsed(text: str) -> dict[str, tuple[str, Series]]:
    """Return the type of each family, and its numbers by label values in the order of the labels' names."""
    found: dict[str, tuple[str, Series]] = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        series = {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in family.samples
        }
        assert len(series) == len(family.samples)
        assert {sample.name for sample in family.samples} <= {name}
        found[name.removeprefix("version_affinity_")] = family.type, series
    return found


def scrape(source: Any) -> dict[str, Series]:
    """Return the numbers that ``metrics_app`` answers with, by family."""
    answer = client(metrics_app(source)).get("/")
    assert answer.status_code == 200
    return {name: series for name, (_, series) in parsed(answer.text).items()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 and v2 deployed, and v0 retained."""
    made = Site(tmp_path)
    made.upload("v0", "v1", "v2")
    made.deploy({"v0": 100.0})
    made.deploy({"v1": 50.0, "v2": 50.0})
    return made


# --- the format -------------------------------------------------------------------------------------------------------


def test_families(site: Site) -> None:
    """Types, labels and numbers are those of the contract; promtool finds nothing to complain of."""
    with site.followed(app) as (affinity, releases):
        browser = client(affinity)
        pages = {
            v: sum(f"page of {v}" in browser.get("/", headers=NAVIGATION).text for _ in range(10)) for v in ("v1",)
        }
        browser.get("/api?500", headers={"Cookie": "user=1"})
        browser.get("/assets/index-AAAAAAAA.js", headers=SCRIPT)
        browser.get(ENTRY["v0"], headers=SCRIPT)
        browser.get("/", headers={**NAVIGATION, "Version-Override": "v9"})
        until(lambda: sum(scrape(releases)["requests_total"].values()) == 14)
        text = client(metrics_app(affinity)).get("/metrics").text
        found = parsed(text)
        expected = {**REPORTED, **ALWAYS}
        assert {name: kind for name, (kind, _) in found.items()} == {name: kind for name, (kind, _) in expected.items()}
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix("version_affinity_") + ("_total" if family.type == "counter" else "")
            assert all(sample.labels.keys() == expected[name][1] for sample in family.samples)
        numbers = {name: series for name, (_, series) in found.items()}
        assert numbers["requests_total"]["2xx", "page", "v1"] >= pages["v1"]
        assert numbers["requests_total"]["2xx", "asset", "v0"] == 1
        assert numbers["app_responses_total"].keys() == {(f"{n}xx", v) for n in range(2, 6) for v in ("v1", "v2")}
        assert sum(numbers["app_responses_total"].values()) == 1
        assert sum(numbers["new_keys_total"].values()) == 11
        assert sum(numbers["asset_misses_total"].values()) == 1
        assert numbers["refused_overrides_total"] == {("unknown-version",): 1}
        assert sum(numbers["decisions_total"].values()) == 13
        assert numbers["deployment_ratio"] == {("v1",): 0.5, ("v2",): 0.5}
        assert numbers["deployment_revision"] == {(): 2}
        assert numbers["version_loaded"] == {("v0",): 1, ("v1",): 1, ("v2",): 1}
        assert numbers["workers"] == {("behind",): 0, ("current",): 1}
        assert numbers["log_up"] == numbers["reports_up"] == {(): 1}
        assert numbers["deployments_total"] == {
            ("deploy",): 2,
            ("rollback",): 0,
            ("ramp_step",): 0,
            ("halt",): 0,
        }
        assert numbers["build_info"] == {(version_affinity.__version__,): 1}
        if shutil.which("promtool") is None:
            missing("promtool", "install the package prometheus")
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_one_list_for_both(site: Site) -> None:
    """The collector yields what the application answers; the registry knows all names before anything is read."""
    with site.followed(app) as (affinity, _):
        client(affinity).get("/", headers=NAVIGATION)
        registry = CollectorRegistry(auto_describe=False)
        collector = MetricsCollector(affinity)
        registry.register(collector)
        text = client(metrics_app(affinity)).get("/").text
        assert parsed(generate_latest(registry).decode()) == parsed(text)
        assert {family.name for family in collector.describe()} == {family.name for family in collector.collect()}
        with pytest.raises(ValueError, match="Duplicated"):
            registry.register(MetricsCollector(affinity))


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 405), ("OPTIONS", 405)])
def test_methods(tmp_path: Path, method: str, status: int) -> None:
    """GET and HEAD are answered, with the format's own media type; nothing may keep an answer."""
    answer = client(metrics_app(rollout(write_builds(tmp_path)))).open("/any/path?x", method=method)
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"
    if status == 200:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert (len(answer.data) > 0) == (method == "GET")
        assert int(answer.headers["Content-Length"]) > 1000
    else:
        assert answer.headers["Allow"] == "GET, HEAD"


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**60) | st.floats(0, 1e300)))
def test_any_label_value(values: dict[str, float]) -> None:
    """Whatever text is in a label, the parser reads the same text and number."""
    family = Family(
        "requests_total", "counter", ("version",), "Help.", {(key,): value for key, value in values.items()}
    )
    # The parser leaves a float of each number, and takes other line ends than "\n" for some.
    lines = {key: value for key, value in values.items() if len(f"a{key}b".splitlines()) <= 1 + key.count("\n")}
    found = parsed(as_text([family]))["requests_total"][1] if lines == values else {(k,): v for k, v in values.items()}
    assert found == {(key,): float(value) for key, value in values.items()}


def test_text_that_is_not_unicode() -> None:
    """A report with half a surrogate pair in it is no error."""
    counts = {"refused|\ud800": 1}
    workers = Workers((), counts)
    assert '{why="?"} 1' in as_text(families_of(Observation((), workers))).encode("utf-8", "replace").decode()


# --- what can be given ------------------------------------------------------------------------------------------------


def test_sources_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error comes when the metrics are set up, and says what to do."""
    for wrong in (None, app, "releases/"):
        with pytest.raises(ConfigurationError, match="give a VersionAffinity, or the Releases"):
            metrics_app(wrong)  # type: ignore[arg-type]
    affinity = rollout(write_builds(tmp_path))
    monkeypatch.setattr(module, "Collector", object)
    with pytest.raises(ConfigurationError, match=r"needs the package prometheus_client: pip install"):
        MetricsCollector(affinity)
    assert scrape(affinity)


def test_a_list_of_versions(tmp_path: Path) -> None:
    """The numbers are those of the process. What a version counted that left is "other"."""
    builds = write_builds(tmp_path)
    affinity = rollout(builds, app)
    for number in range(20):
        client(affinity).get("/", headers={**NAVIGATION, "Cookie": f"user={number}"})
    found = scrape(affinity)
    assert found["version_loaded"] == {("v1",): 1, ("v2",): 1}
    assert found["new_keys_total"].keys() == {("v1",), ("v2",)}
    assert sum(found["new_keys_total"].values()) == 20
    assert not {"log_up", "reports_up", "workers", "deployment_timestamp_seconds"} & found.keys()
    affinity.deploy({"v2": 100})
    affinity.retire("v1")
    after = scrape(affinity)
    assert after["deployment_revision"][()] == found["deployment_revision"][()] + 1
    assert after["new_keys_total"] == {
        ("v2",): found["new_keys_total"]["v2",],
        ("other",): found["new_keys_total"]["v1",],
    }
    affinity.add(Version("v1", builds["v1"]))
    assert scrape(affinity)["new_keys_total"] == after["new_keys_total"]


def test_releases_that_nobody_follows_here(site: Site) -> None:
    """A process that serves nothing else reads them at each scrape; so does one in which they are opened later."""
    exporter = Releases(site.directory.path)
    assert scrape(exporter)["workers"] == {("behind",): 0, ("current",): 0}
    with site.followed(app) as (affinity, _):
        client(affinity).get("/", headers=NAVIGATION)
        until(lambda: sum(scrape(exporter)["requests_total"].values()) == 1)
        assert scrape(exporter) == scrape(affinity)
    assert sum(scrape(exporter)["requests_total"].values()) == 1


# --- errors -----------------------------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is 200: gauges say what is wrong, and the log names it."""
    found = scrape(Releases(tmp_path / "nowhere"))
    assert found["log_up"] == found["reports_up"] == {(): 0}
    assert not REPORTED.keys() & found.keys()
    assert "nowhere" in caplog.text


def test_a_log_that_is_damaged(site: Site) -> None:
    """The workers go on, the failed readings are counted for all of them, and the counters stay."""
    with site.followed(app) as (affinity, releases):
        client(affinity).get("/", headers=NAVIGATION)
        until(lambda: sum(scrape(releases)["requests_total"].values()) == 1)
        log = site.directory.path / "deployments.jsonl"
        good = log.read_bytes()
        log.write_bytes(b"damaged" * 100)
        until(lambda: scrape(releases)["log_up"][()] == 0)
        until(lambda: scrape(releases)["log_errors_total"][()] > 0)
        found = scrape(releases)
        assert sum(found["requests_total"].values()) == 1
        assert found["deployment_revision"] == {(): 2}
        log.write_bytes(good)
        until(lambda: scrape(releases)["log_up"][()] == 1)
        assert scrape(releases)["log_errors_total"][()] >= found["log_errors_total"][()]


def test_a_log_that_hangs(site: Site) -> None:
    """A scrape waits for nothing that hangs."""
    with site.followed(app) as (_, releases), hanging_log(releases):
        until(lambda: scrape(releases)["reports_up"][()] == 0)
        assert not REPORTED.keys() & scrape(releases).keys()


def test_a_process_that_cannot_report(site: Site) -> None:
    """What this process counts is in no sum then: a gauge says so."""
    shutil.rmtree(site.directory.path / "workers", ignore_errors=True)
    (site.directory.path / "workers").write_text("a file where the directory should be")
    with site.followed(app) as (_, releases):
        until(lambda: scrape(releases)["reports_up"][()] == 0)


@pytest.mark.servers
def test_redis_that_is_away(tmp_path: Path) -> None:
    """Gauges say so, the counters are left out instead of beginning anew, and they are the same afterwards."""
    with redis_server() as redis:
        site = Site(tmp_path, redis.url)
        site.upload("v1", "v2")
        site.deploy({"v1": 50.0, "v2": 50.0})
        with site.followed(app) as (affinity, releases):
            client(affinity).get("/", headers=NAVIGATION)
            until(lambda: sum(scrape(releases)["requests_total"].values()) == 1)
            before = scrape(releases)
            redis.kill()
            until(lambda: scrape(releases)["log_up"][()] == 0)
            found = scrape(releases)
            assert found["reports_up"] == {(): 0}
            assert not REPORTED.keys() & found.keys()
            assert found["deployment_ratio"] == before["deployment_ratio"]
            redis.start()
            until(lambda: scrape(releases).keys() == before.keys())
            until(lambda: scrape(releases)["log_errors_total"][()] > 0)
            assert {**scrape(releases), "log_errors_total": 0} == {**before, "log_errors_total": 0}
            with redis.hanging():
                until(lambda: scrape(releases)["log_up"][()] == 0)
        site.log.close()


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_hostile_requests(site: Site) -> None:
    """Thousands of ids, overrides, paths, hosts, keys and methods make no series, and no text of theirs is exported."""
    with site.followed(app) as (affinity, releases):
        before = None
        for number in range(1500):
            hostile = f"evil{number}"
            headers = {
                "Host": f"{hostile}.example",
                "Version-Override": (hostile, f'storefront="{hostile}"', "v1", f'{hostile}="v1"')[number % 4],
                "Cookie": f"user={hostile}; version-affinity-storefront={number}.{hostile}",
                "Referer": f"http://localhost/assets/{hostile}.js",
                **(NAVIGATION, SCRIPT, {"Sec-Fetch-Mode": hostile, "Sec-Fetch-Dest": hostile}, {})[number % 3],
            }
            method = ("GET", "POST", "PATCH")[number % 3]
            client(affinity).open(f"/{hostile}/assets/x-{hostile}aaaaaaaa.js", method=method, headers=headers)
            if number == 299:
                before = {name: set(series) for name, series in settled(releases, 300).items()}
        found = settled(releases, 1500)
        assert {name: set(series) for name, series in found.items()} == before
        assert "evil" not in client(metrics_app(releases)).get("/").text.lower()


def settled(releases: Releases, requests: int) -> dict[str, Series]:
    """Return the numbers once this worker has reported so many requests."""
    until(lambda: sum(scrape(releases)["requests_total"].values()) == requests)
    return scrape(releases)


# --- counters that never go down --------------------------------------------------------------------------------------


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.servers)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterable[FilePlace | RedisPlace]:
    """Each place of reports."""
    with place(request.param, tmp_path / "reports") as made:
        yield made


def entry(revision: int, percentages: Mapping[str, float]) -> Entry:
    """Return a deployment."""
    return Entry(revision, percentages, "2026-11-24T05:00:00Z")


def rises(read: Callable[[], Mapping[str, Series]]) -> Callable[[], Mapping[str, Series]]:
    """Return a function that reads, and checks that no counter is smaller than before, nor any sum over versions."""
    last: dict[str, Series] = {}

    def look() -> Mapping[str, Series]:
        found = read()
        for name, series in found.items():
            if name.endswith("_total"):
                before = last.get(name, {})
                assert [(name, key) for key, value in series.items() if value < before.get(key, 0)] == []
                assert sum(series.values()) >= sum(before.values()), name
        last.update(found)
        return found

    return look


def test_a_version_leaves_one_worker_after_the_other(
    where: FilePlace | RedisPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its series ends with the first worker that forgets it, and all that it counted is "other" from then on."""
    monkeypatch.setattr("version_affinity.releases.reports.reporter.SHORTEST", 0.0)
    entries = [entry(1, {"v1": 100.0})]
    look = rises(lambda: numbers(families_of(Observation(entries, where.reports().read()))))
    everybody = WorkerState(1, 1, ("v0", "v1"))
    workers = [Process(where.reports()) for _ in range(3)]
    ended = Process(where.reports())
    for process in (*workers, ended):
        for key in ("missing|v0", "missing|v1", "rescues|v0|v1", "requests|v0|page|2xx|key"):
            process.add(10, key)
        process.report(everybody, lifetime=GONE if process is ended else 15.0)
    where.fold(["v0", "v1"])
    assert look()["asset_misses_total"] == {("v0",): 40, ("v1",): 40}
    for process in workers:
        process.counts = {key.replace("v0", "other"): number for key, number in process.counts.items()}
        process.add(1)
        process.report(WorkerState(1, 1, ("v1",), left=("v0",)))
        found = look()
        assert found["asset_misses_total"].keys() == {("v1",), ("other",)}
        assert found["asset_misses_total"]["other",] == 40
        assert found["rescues_total"] == {("other", "v1"): 40}
        assert found["version_loaded"].keys() == {("v1",)}
    where.fold(["v1"])
    assert "v0" not in str(where.reports().read().counts)
    look()
    entries.append(entry(2, {"v0": 100.0}))  # and it comes back
    workers[0].add(5, "missing|v0")
    workers[0].report(WorkerState(2, 2, ("v0", "v1")))
    assert look()["asset_misses_total"] == {("other",): 40, ("v0",): 5, ("v1",): 43}


def test_a_host_that_lacks_a_version() -> None:
    """That one has not had it takes nothing from what the others count: only a host that had it can lose it."""
    entries = [entry(1, {"v1": 100.0})]
    full = Report("a" * 16, 1, host="one", pid=1, revision=1, log_revision=1, versions=("v0", "v1"))
    lacking = Report("b" * 16, 1, host="two", pid=1, revision=1, log_revision=1, versions=("v1",), unloaded=("v0",))
    workers = Workers((full, lacking), {"missing|v0": 3})
    found = numbers(families_of(Observation(entries, workers)))
    assert found["asset_misses_total"] == {("v0",): 3, ("v1",): 0}
    assert found["version_loaded"] == {("v0",): 0, ("v1",): 1}


def test_versions_that_come_and_go(site: Site, tmp_path: Path) -> None:
    """With real requests: the series are those of known versions, and no counter goes down when one is pruned."""
    for version in ("v3", "v4", "v5"):
        upload(site.directory, write_build(tmp_path / version, {"index.html": f"page of {version}"}), id=version)
    with site.followed(app) as (affinity, releases):
        look = rises(lambda: scrape(releases))
        for number, live in enumerate(["v3", "v4", "v5", "v0", "v3"]):
            site.deploy({live: 60.0, "v1": 40.0})
            until(lambda: releases.status().serving == number + 3)  # noqa: B023
            for user in range(10):
                client(affinity).get("/", headers={**NAVIGATION, "Cookie": f"user={user}"})
            look()
        for version in ("v2", "v4", "v5"):
            shutil.rmtree(site.directory.path / "versions" / version)
            (site.directory.path / "versions" / f"{version}.json").unlink()
            until(lambda: (look(), version not in affinity.known)[1])  # noqa: B023
        until(lambda: look()["version_loaded"].keys() == {("v0",), ("v1",), ("v3",)})
        until(lambda: sum(look()["requests_total"].values()) == 50)
        assert {version for _, _, version in scrape(releases)["requests_total"]} == {"v0", "v1", "v3", "other"}


def numbers(found: Iterable[Family]) -> dict[str, Series]:
    """Return the numbers of metrics by family."""
    return {family.name: dict(family.values) for family in found}


# --- gauges -----------------------------------------------------------------------------------------------------------


def test_a_ramp() -> None:
    """State, step and evidence are those of the newest ramp; the evidence ends with the ramp, and the state stays."""
    story = Story()
    story.after(timedelta(minutes=15))
    bad = Failures(ramp_key(story.entries[1:]))
    bad.add(Failures(bad.key, failing([(1, 20, True)] * 20)))
    workers = Workers((Report("a", 1, versions=("v1", "v2")),), {}, failing=(bad.encoded(),))
    found = numbers(families_of(Observation(story.entries, workers)))
    assert found["ramp_step"] == {(): 2}
    assert {state for (state,), value in found["ramp_state"].items() if value} == {"running"}
    assert found["ramp_evidence_ratio"]["app-errors",] > 1
    assert found["ramp_evidence_ratio"]["missing-assets",] == 0
    story.after(timedelta(minutes=1), failing=bad.units)
    found = numbers(families_of(Observation(story.entries, workers)))
    assert {state for (state,), value in found["ramp_state"].items() if value} == {"held"}
    assert found["deployments_total"] == {("deploy",): 1, ("rollback",): 0, ("ramp_step",): 2, ("halt",): 1}
    story.command("abort")
    found = numbers(families_of(Observation(story.entries, workers)))
    assert {state for (state,), value in found["ramp_state"].items() if value} == {"aborted"}
    assert not found["ramp_evidence_ratio"]
    story.deploy({"v1": 90.0, "v2": 10.0})
    found = numbers(families_of(Observation(story.entries, workers)))
    assert set(found["ramp_state"].values()) == {0}  # an alert for an end would go on for ever
    assert found["ramp_step"] == {(): 2}


def test_entries_of_a_ramp_by_action() -> None:
    """A step moves users; a halt is what the workers decide; an abort returns; other entries are not counted."""
    minute = timedelta(minutes=1)
    bad = failing([(0, 20, True)] * 20)
    seen = []
    for plan, act in (
        (PLAN, lambda it: [it.command("pause"), it.command("resume"), it.command("advance")]),
        (replace(PLAN, approve_at=(25,)), lambda it: [it.after(15 * minute), it.command("approve", step=2)]),
        (PLAN, lambda it: [it.command("promote"), it.after(30 * minute)]),
        (PLAN, lambda it: [it.after(15 * minute, behind="web-2", behind_for=15 * minute)]),
        (PLAN, lambda it: [it.after(15 * minute, silent_for=15 * minute), it.command("abort")]),
        (replace(PLAN, on_halt="rollback"), lambda it: [it.after(minute, failing=bad)]),
        (replace(PLAN, on_halt="warn"), lambda it: [it.after(minute, failing=bad)]),
    ):
        story = Story(plan)
        act(story)
        counted = numbers(families_of(Observation(story.entries, None)))["deployments_total"]
        seen.append([counted[action,] for action in ("ramp_step", "halt", "rollback")])
    assert seen == [[2, 0, 0], [2, 0, 0], [2, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize(
    ("percentages", "rollbacks"),
    [
        ([{"v1": 100}], 0),
        ([{"v1": 100}, {"v1": 90, "v2": 10}, {"v2": 100}], 0),
        ([{"v1": 100}, {"v1": 90, "v2": 10}, {"v1": 100}], 1),
        ([{"v1": 100}, {"v1": 100, "v2": 0}], 0),
        ([{"v1": 100}, {"v1": 100}], 0),
        ([{"v1": 100}, {"v2": 100}, {"v1": 100}, {"v1": 50, "v2": 50}], 1),
    ],
)
def test_deployments_by_action(percentages: list[dict[str, float]], rollbacks: int) -> None:
    """A rollback is a deployment that gives everybody a version that everybody had before."""
    entries = [entry(number, shares) for number, shares in enumerate(percentages, 1)]
    found = numbers(families_of(Observation(entries, None)))
    others = {("ramp_step",): 0, ("halt",): 0}
    assert found["deployments_total"] == {("deploy",): len(entries) - rollbacks, ("rollback",): rollbacks, **others}
    assert not found["ramp_state"]
    assert found["deployment_revision"] == {(): len(entries)}
    assert found["deployment_timestamp_seconds"] == {(): 1795496400}


def test_nothing_is_deployed() -> None:
    """Before the first deployment there is no revision, and nobody is behind."""
    found = numbers(families_of(Observation((), Workers((), {}))))
    assert not {"deployment_ratio", "deployment_revision", "deployment_timestamp_seconds"} & found.keys()
    assert found["workers"] == {("current",): 0, ("behind",): 0}


def test_workers_behind() -> None:
    """A worker of an earlier revision, or one that cannot load a version, is behind; of which host is not said."""
    entries = [entry(1, {"v1": 100.0}), entry(2, {"v2": 100.0})]
    reports = (
        Report("a" * 16, 1, host="web-1", pid=1, revision=2, log_revision=2, versions=("v1", "v2")),
        Report("b" * 16, 1, host="web-2", pid=1, revision=1, log_revision=1, versions=("v1",), error="away"),
        Report("c" * 16, 1, host="web-3", pid=1, revision=1, log_revision=2, versions=("v1",), failures={"v2": "no"}),
    )
    text = as_text(families_of(Observation(entries, Workers(reports, {}))))
    found = parsed(text)
    assert found["workers"][1] == {("current",): 1, ("behind",): 2}
    assert found["version_loaded"][1] == {("v1",): 1, ("v2",): 0}
    assert found["log_up"][1] == {(): 0}
    assert not re.search("web-|away", text)


def test_the_wsgi_type(tmp_path: Path) -> None:
    """It is mounted beside the middleware: a scrape is not counted."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware  # noqa: PLC0415

    affinity = rollout(write_builds(tmp_path), app)
    mounted: WSGIApplication = DispatcherMiddleware(affinity, {"/metrics": metrics_app(affinity)})
    assert "version_affinity_build_info" in client(mounted).get("/metrics").text
    assert not affinity.counters().requests
