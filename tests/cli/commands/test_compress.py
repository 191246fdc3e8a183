"""``compress``: what it writes, tells, and cannot do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import SHARED, Site, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build with one file that is worth compressing."""
    return Site(tmp_path).build("v1")


def test_compress(build: Path) -> None:
    """It writes siblings, and does nothing where they are there."""
    shown = run("compress", str(build), "--encoding", "gzip").stdout
    assert shown.startswith("1 file checked. Compressed copies: 1 written, 0 up to date or not worth it\n")
    assert "A client that accepts all of them saves 1.8 kB\n" in shown
    assert (build / f"{SHARED[1:]}.gz").exists()
    assert "copies: 0 written, 1 up to date" in run("compress", str(build), "--encoding", "gzip").stdout


def test_as_json(build: Path) -> None:
    """The JSON counts the same; several encodings may be given."""
    pytest.importorskip("brotli", reason="it comes with the extra 'compress'")
    import json  # noqa: PLC0415 - of this test alone

    told = json.loads(run("compress", str(build), "--encoding", "br", "--encoding", "gzip", "--json").stdout)
    assert told["saved"] > 1700
    del told["saved"]
    assert told == {"files": 1, "written": 2, "skipped": 0, "removed": 0, "errors": []}


def test_what_could_not_be_done(build: Path) -> None:
    """A file that is in the way is named, the others are compressed, and it ends with 1."""
    (build / f"{SHARED[1:]}.gz").mkdir()
    (build / "more.css").write_text("p { color: red }\n" * 100)
    result = run("compress", str(build), "--encoding", "gzip", code=1)
    assert f"all files were compressed, except for 1 file:\n  {SHARED}.gz: in the way" in result.stderr
    assert (build / "more.css.gz").exists()
    assert '"path": "/assets' in run("compress", str(build), "--encoding", "gzip", "--json", code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--encoding", "zip"], 2), (["--jobs", "0"], 2), (["--encoding", "gzip", "--jobs", "1"], 0)],
)
def test_options(build: Path, arguments: list[str], code: int) -> None:
    """Encodings and numbers of threads that are none are errors of usage."""
    run("compress", str(build), *arguments, code=code)
    assert os.listdir(build)  # noqa: PTH208
