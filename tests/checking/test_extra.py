"""The parsers are an extra: only ``check`` imports them."""

from __future__ import annotations

import subprocess
import sys


def test_core_needs_none() -> None:
    """What serves requests imports no parser."""
    program = (
        "import sys, version_affinity; print([name for name in ('justhtml', 'tree_sitter') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
