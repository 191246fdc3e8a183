"""A real Prometheus of the test's own, which scrapes targets each second and evaluates the shipped rules."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from tests.harness import missing
from tests.servers.servers import HOST, ROOT, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.servers.servers import Server

RULES = ROOT / "docs/monitoring/alerts.yml"

_CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs: [{{job_name: shop, static_configs: [{{targets: [{targets}]}}]}}]
"""


class Prometheus(NamedTuple):
    """A running Prometheus."""

    server: Server

    def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """Return the numbers of an expression by label values, in the order of the labels' names."""
        found = self._ask(f"/api/v1/query?query={quote(expression)}")
        if found["resultType"] == "scalar":
            return {(): float(found["result"][1])}
        return {
            tuple(text for label, text in sorted(series["metric"].items()) if label not in ("job", "__name__")): float(
                series["value"][1]
            )
            for series in found["result"]
        }

    def rules(self) -> list[Mapping[str, Any]]:
        """Return the rules, with their health."""
        return [rule for group in self._ask("/api/v1/rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[Mapping[str, Any]]:
        """Return the targets, with their health and last error."""
        found: list[Mapping[str, Any]] = self._ask("/api/v1/targets")["activeTargets"]
        return found

    def _ask(self, path: str) -> Any:
        answer = json.loads(self.server.ask(path).body)
        assert answer["status"] == "success", answer
        return answer["data"]


@contextlib.contextmanager
def prometheus(directory: Path, *targets: Server) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes /metrics of servers until the block ends."""
    program = shutil.which("prometheus")
    if program is None:
        missing("prometheus", "install the package prometheus")
    directory.mkdir()
    listed = ", ".join(f'"{HOST}:{target.port}"' for target in targets)
    configuration = directory / "prometheus.yml"
    configuration.write_text(_CONFIGURATION.format(rules=json.dumps(str(RULES)), targets=listed))
    port = free_port()
    command = [str(program), f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}"]
    command += [f"--web.listen-address={HOST}:{port}"]
    with running(command, port, directory / "prometheus.log") as server:
        yield Prometheus(server)
