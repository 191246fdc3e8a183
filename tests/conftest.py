"""How every test runs, and which tests run by default.

Property tests try the same examples each time and have no deadline, whatever the machine does.
``VERSION_AFFINITY_EXAMPLES=20`` tries twenty times as many examples, drawn anew on each run.

``python -m pytest`` leaves out the tests that are marked ``browser``, ``servers`` or ``slow``, and property tests try a
quarter of their examples. ``--all`` runs everything, and so does naming a path, a node id or ``-m``.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.budget import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FACTOR = int(os.environ.get("VERSION_AFFINITY_EXAMPLES", "0"))

for _name, _examples in EXAMPLES.items():
    settings.register_profile(_name, deadline=None, derandomize=FACTOR == 0, max_examples=_examples * max(FACTOR, 1))

# Some shells start background jobs with SIGINT ignored, nohup ignores SIGHUP, and programs inherit that. The tests'
# programs must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if os.name == "posix" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Every answer that a test gets is linted as HTTP; "browsed" has the fixtures of tests in browsers.
pytest_plugins = (
    ["tests.protocol.lint_plugin", "tests.browsers.browsed"] if find_spec("httplint") else ["tests.browsers.browsed"]
)

# REDbot needs Python 3.11.
collect_ignore = [] if find_spec("httplint") else ["protocol/test_lint_http.py"]

_LONGEST_NAME = 48


@pytest.fixture(autouse=True, scope="session")
def _often() -> Iterator[None]:
    """Let workers in this process report, and look at ramps, more often than once a second: many tests wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("version_affinity.releases.reports.reporter.SHORTEST", 0.05)
        patch.setattr("version_affinity.releases.follow.guard.SHORTEST_PAUSE", 0.05)
        yield


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name content by its argument: it is long and, where it is signed or compressed, another one in each process."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) >= _LONGEST_NAME) else None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Keep the collector of doctests away from modules that only help tests: to import one may patch the process."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None


#: The markers of the tests that the default selection leaves out.
APART = ("browser", "servers", "slow")
_left_out: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs everything."""
    parser.addoption("--all", action="store_true", help=f"run the tests that are marked {', '.join(APART)} too")


def _runs_whole(config: pytest.Config) -> bool:
    """Return whether the command line asks for everything, or for tests by name or by marker."""
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS or config.option.markexpr or config.option.keyword
    return bool(chosen or config.getoption("--all"))


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests try, before these are imported."""
    settings.load_profile("whole" if FACTOR or _runs_whole(config) else "quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are marked to run apart; begin with ramps, which take minutes each in few modules."""
    if _runs_whole(config):
        items.sort(key=lambda item: item.path.parent.name != "ramp")
        return
    kept, left = [], []
    for item in items:
        marker = next((marker for marker in APART if item.get_closest_marker(marker)), None)
        if marker is None:
            kept.append(item)
        else:
            left.append(item)
            _left_out[marker] += 1
    items[:] = kept
    config.hook.pytest_deselected(items=left)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests did not run, and how to run them."""
    if _left_out:
        counts = ", ".join(f"{number} {marker}" for marker, number in sorted(_left_out.items()))
        terminalreporter.write_line(f"left out: {counts} tests. Run everything: python -m pytest --all")
