"""``metrics``: print the metrics of all workers."""

from __future__ import annotations

from version_affinity.cli.context import command, current_target
from version_affinity.cli.output import emit, say
from version_affinity.metrics import as_documents, as_text, families_of
from version_affinity.releases.releases import observe


@command()
def metrics(as_json: bool) -> None:
    """Print the metrics of all workers in Prometheus' text format.

      version-affinity metrics

    An application serves the same at an address of its own: `version_affinity.metrics.metrics_app`. Where no address
    can be scraped, node_exporter's textfile collector reads what this command has written to a file:

      version-affinity metrics > shop.prom.new && mv shop.prom.new shop.prom

    While the log or the reports of the workers cannot be read, version_affinity_log_up or version_affinity_reports_up
    is 0, and the exit status is still 0.
    """
    target = current_target()
    found = families_of(observe(target.directory, target.open_log()))
    if as_json:
        emit(as_documents(found))
    else:
        say(as_text(found).rstrip("\n"))
