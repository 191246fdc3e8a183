"""How every test runs: property tests try the same examples each time and have no deadline, whatever the machine does.

``VERSION_AFFINITY_EXAMPLES=20`` tries twenty times as many, drawn anew on each run.
"""

import os
from importlib.util import find_spec

from hypothesis import settings

FACTOR = int(os.environ.get("VERSION_AFFINITY_EXAMPLES", "0"))

settings.register_profile("tests", deadline=None, derandomize=FACTOR == 0, max_examples=100 * max(FACTOR, 1))
settings.load_profile("tests")

# Every answer that a test gets is linted as HTTP; "browsed" has the fixtures of tests in browsers.
pytest_plugins = ["lint_plugin", "browsed"] if find_spec("httplint") else ["browsed"]

# Not for the doctest collector, which would take the two for one module.
collect_ignore = ["conftest.py", "assets/conftest.py"]
# Nor what cannot be imported: REDbot needs Python 3.11.
if not find_spec("httplint"):
    collect_ignore += ["lint_plugin.py", "linting.py", "test_lint_http.py"]
if not find_spec("redbot"):
    collect_ignore += ["redbot_client.py"]

_LONGEST_NAME = 48


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name content by its argument: it is long and, where it is signed or compressed, another one in each process."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) >= _LONGEST_NAME) else None
