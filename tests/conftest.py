"""How every test runs, and which tests run by default.

Property tests try the same examples each time and have no deadline, whatever the machine does.
``VERSION_AFFINITY_EXAMPLES=20`` tries twenty times as many examples, drawn anew on each run.

``python -m pytest`` leaves out the tests that are marked ``browser``, ``servers`` or ``slow``. ``--all`` runs them too,
and so does naming a path, a node id or ``-m``.
"""

import os
import signal
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

FACTOR = int(os.environ.get("VERSION_AFFINITY_EXAMPLES", "0"))

settings.register_profile("tests", deadline=None, derandomize=FACTOR == 0, max_examples=100 * max(FACTOR, 1))
settings.load_profile("tests")

# Some shells start background jobs with SIGINT ignored, and programs inherit that. The tests' programs must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every answer that a test gets is linted as HTTP; "browsed" has the fixtures of tests in browsers.
pytest_plugins = (
    ["tests.protocol.lint_plugin", "tests.browsers.browsed"] if find_spec("httplint") else ["tests.browsers.browsed"]
)

# REDbot needs Python 3.11.
collect_ignore = [] if find_spec("httplint") else ["protocol/test_lint_http.py"]

_LONGEST_NAME = 48


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are marked to run apart, unless the command line asks for tests by name or by marker."""
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS or config.option.markexpr or config.option.keyword
    if chosen or config.getoption("--all"):
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
