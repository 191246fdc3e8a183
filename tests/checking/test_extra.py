"""The parsers are an extra: without one of them, what to install is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.modules[{parser!r}] = None
try:
    import version_affinity.checking
except ValueError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("parser", ["justhtml", "tinycss2", "tree_sitter", "tree_sitter_javascript"])
def test_missing(parser: str) -> None:
    """The import fails with an error that names the parser and the extra that brings it."""
    program = PROGRAM.format(parser=parser)
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"ConfigurationError checking a build needs parsers, and {parser} is not installed")
    assert "pip install 'version_affinity[check]'" in said


def test_core_needs_none() -> None:
    """What serves requests imports no parser."""
    program = (
        "import sys, version_affinity; print([name for name in ('justhtml', 'tree_sitter') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
