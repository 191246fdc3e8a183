"""The shipped dashboard and alert rules: they ask for what is exported, and the rules alert when they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.harness import NAVIGATION, client, missing
from tests.releases.followed import Site, until
from tests.servers.measured import answer
from tests.test_metrics import ALWAYS, REPORTED, scrape
from version_affinity.metrics import MetricsCollector

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs/monitoring"
PAGE = ROOT / "docs/how-to/watch-a-rollout.md"
FAMILIES = {**REPORTED, **ALWAYS}
#: What Prometheus itself adds.
OWN_LABELS = {"job", "instance"}

_NAME = re.compile(r"(?<![\w:])version_affinity_(\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_ALERT = re.compile(r"^      - alert: (\w+)$", re.MULTILINE)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed."""
    made = Site(tmp_path)
    made.upload("v1")
    made.deploy({"v1": 100.0})
    return made


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    return found


def dashboard_expressions(job: str) -> list[str]:
    """Return the dashboard's queries as Grafana sends them."""
    made = dashboard()
    texts = [target["expr"] for panel in made["panels"] for target in panel["targets"]]
    texts += [annotation["expr"] for annotation in made["annotations"]["list"]]
    return [text.replace("$job", job).replace("$__rate_interval", "4m") for text in texts]


def rules() -> str:
    """Return the text of the rules, without comments."""
    return re.sub(r"^\s*#.*$", "", (MONITORING / "alerts.yml").read_text("utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("texts", [dashboard_expressions("shop"), [rules()]], ids=["dashboard", "rules"])
def test_queries_ask_for_what_is_exported(texts: list[str]) -> None:
    """Each family is one of the contract, and each label is one of the family's."""
    found = [match for text in texts for match in _NAME.finditer(text)]
    assert len(found) > 10
    for match in found:
        assert match[1] in FAMILIES
        assert set(_MATCHER.findall(match[2] or "")) <= FAMILIES[match[1]][1] | OWN_LABELS, match[0]


def test_rates_leave_other_out() -> None:
    """It takes over the whole number of a version that leaves, at once."""
    for text in [*dashboard_expressions("shop"), rules()]:
        for match in re.finditer(r"(?:rate|increase)\(version_affinity_(\w+)(\{[^}]*\})?", text):
            for label in FAMILIES[match[1]][1] & {"version", "decided", "served"}:
                assert f'{label}!="other"' in (match[2] or ""), match[0]


def test_dashboard() -> None:
    """Every panel has a place and a number of its own; all that the dashboard is for is on it."""
    made = dashboard()
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + row)
        for panel in panels
        for column in range(panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) == 23
    titles = {panel["title"] for panel in panels}
    assert titles >= {
        "Versions side by side",
        "Application errors",
        "Missing assets",
        "Rescues",
        "Observed against configured share",
    }
    assert titles >= {"State of the newest ramp", "Evidence of the ramp's guard"}
    assert {it["name"] for it in made["annotations"]["list"]} == {"Deployments", "Rollbacks"}
    assert {variable["name"] for variable in made["templating"]["list"]} == {"datasource", "job"}


def test_dashboard_has_what_grafana_needs() -> None:
    """Each panel has the fields of Grafana's schema that it is drawn by, and asks the data source that one chooses."""
    made = dashboard()
    assert {name: type(made[name]) for name in ("title", "uid", "schemaVersion", "time")} == {
        "title": str,
        "uid": str,
        "schemaVersion": int,
        "time": dict,
    }
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in made["panels"]:
        assert panel["type"] in ("stat", "table", "timeseries"), panel["title"]
        assert panel.keys() >= {"id", "title", "description", "gridPos", "options"}, panel["title"]
        assert panel["fieldConfig"].keys() == {"defaults", "overrides"}, panel["title"]
        assert [panel["datasource"], *(it["datasource"] for it in panel["targets"])] == [source] * (
            1 + len(panel["targets"])
        )
        assert len({it["refId"] for it in panel["targets"]}) == len(panel["targets"]), panel["title"]
        assert "reduceOptions" in panel["options"] or panel["type"] != "stat", panel["title"]
        # A table has a row for each version and a column for each query only if Grafana joins the answers.
        assert panel["type"] != "table" or panel["transformations"][0]["id"] in ("merge", "joinByField")
        assert all(it.get("instant") for it in panel["targets"]) == (panel["type"] != "timeseries"), panel["title"]
    assert all(it["datasource"] == source for it in made["annotations"]["list"])


def test_each_alert_has_a_runbook() -> None:
    """The page has a heading for each alert, and the rule names it."""
    page = PAGE.read_text("utf-8")
    alerts = _ALERT.findall(rules())
    assert len(alerts) == 7
    assert re.findall(r"^### (VersionAffinity\w+)$", page, re.MULTILINE) == alerts
    for alert in alerts:
        assert f"runbook: docs/how-to/watch-a-rollout.md#{alert.lower()}\n" in rules()


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    if shutil.which("promtool") is None:
        missing("promtool", "install the package prometheus")
    return subprocess.run(["promtool", *arguments], text=True, capture_output=True, check=False)


def test_rules() -> None:
    """Promtool accepts the rules, and each alert fires for its case alone."""
    for command in (
        ("check", "rules", "--lint=all", "--lint-fatal", MONITORING / "alerts.yml"),
        ("test", "rules", ROOT / "tests/data/monitoring/alerts_test.yml"),
    ):
        done = promtool(*command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard_queries_are_promql(tmp_path: Path) -> None:
    """Promtool reads each query of the dashboard."""
    made = {"groups": [{"name": "dashboard", "rules": []}]}
    for number, text in enumerate(dashboard_expressions("shop")):
        made["groups"][0]["rules"].append({"record": f"query:{number}", "expr": text})  # type: ignore[attr-defined]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps(made))  # JSON is YAML
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snippets(site: Site, tmp_path: Path) -> None:
    """The page's configuration, query and command are accepted by Prometheus' own tool."""
    texts = re.findall(r"^```(?:yaml|text)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (configuration,) = (text for text in texts if text.startswith("scrape_configs:"))
    (query,) = (text for text in texts if text.startswith("sum by"))
    (command,) = (text for text in texts if text.startswith("version-affinity "))
    (tmp_path / "prometheus.yml").write_text(configuration)
    (tmp_path / "query.yml").write_text(
        json.dumps({"groups": [{"name": "page", "rules": [{"record": "query", "expr": query}]}]})
    )
    for check in (("config", "prometheus.yml"), ("rules", "query.yml")):
        done = promtool("check", check[0], tmp_path / check[1])
        assert done.returncode == 0, done.stdout + done.stderr
    for place, own in (("/srv/releases", site.directory.path), ("/var/lib/node_exporter", tmp_path)):
        command = command.replace(place, str(own))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    subprocess.run(["bash", "-e", "-c", command], check=True, env={**os.environ, "PATH": path})
    text = (tmp_path / "shop.prom").read_text()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "version_affinity_deployment_revision 1" in text


def test_opentelemetry(site: Site) -> None:
    """The recipe of the page exports the same numbers with the SDK."""
    found = re.search(
        r"^```python\n(from opentelemetry.metrics.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102 - the page's own
    reader = InMemoryMetricReader()
    with site.followed(answer) as (affinity, releases):
        client(affinity).get("/?500", headers=NAVIGATION)
        until(lambda: sum(scrape(releases)["requests_total"].values()) == 1)
        names["export"](MetricsCollector(releases), MeterProvider([reader]).get_meter("version_affinity"))
        data = reader.get_metrics_data()
        assert data is not None
        exported = {
            metric.name.removeprefix("version_affinity_"): metric.data
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
        for name, series in scrape(releases).items():
            found = exported.pop(name.removesuffix("_total"), None)
            points = [] if found is None else found.data_points
            values = {tuple(text for _, text in sorted(dict(it.attributes).items())): it.value for it in points}
            assert values == series
            assert found is None or getattr(found, "is_monotonic", False) == name.endswith("_total")
        assert not exported
