"""``python -m version_affinity``: the command line where its script is not on the path."""

from __future__ import annotations

from .cli.main import cli

if __name__ == "__main__":
    cli(prog_name="python -m version_affinity")
