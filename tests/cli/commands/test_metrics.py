"""``metrics``: what an application exports, for a file or a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.cli.commanding import Site

if TYPE_CHECKING:
    from pathlib import Path


def test_metrics(tmp_path: Path) -> None:
    """The text is Prometheus' format; ``--json`` has the same numbers."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy({"v1": 100}, {"v1": 90, "v2": 10})
    text = site.run("metrics").stdout
    read = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    assert read["version_affinity_deployment_revision"] == 2
    assert read["version_affinity_log_up"] == 1
    samples = {(it["name"], *s["labels"].values()): s["value"] for it in site.json("metrics") for s in it["samples"]}
    assert samples["version_affinity_deployment_ratio", "v2"] == 0.1
    assert {name for name, *_ in samples} == set(read)


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    """The gauge says so; the exit status is 0, so that the file is written all the same."""
    site = Site(tmp_path)
    site.deploy({"v1": 100})
    (site.path / "deployments.jsonl").write_text("damaged\nall of it\n")
    assert "\nversion_affinity_log_up 0\n" in site.run("metrics").stdout
