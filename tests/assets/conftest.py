"""What the tests of the static files are given: trees on disk, a server's file wrapper, a limit to their patience."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Tree = Callable[[Mapping[str, bytes | str]], Path]


class ServerFile(FileWrapper):
    """A server's ``wsgi.file_wrapper`` that remembers that it was used, and closed."""

    made: list[ServerFile]

    def __init__(self, file: Any, block: int) -> None:
        super().__init__(file, block)
        self.file = file
        self.made.append(self)


@pytest.fixture
def file_wrapper(monkeypatch: pytest.MonkeyPatch) -> type[ServerFile]:
    """Give a file wrapper whose uses are counted."""
    monkeypatch.setattr(ServerFile, "made", [], raising=False)
    return ServerFile


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Give a maker of build directories from relative names to content."""
    made = 0

    def make(files: Mapping[str, bytes | str]) -> Path:
        nonlocal made
        made += 1
        root = tmp_path / f"build{made}"
        root.mkdir()
        for name, content in files.items():
            file = root / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def no_hanging() -> Iterator[None]:
    """Fail a test that waits for what never comes, instead of waiting with it."""

    def fail(*_: object) -> None:
        pytest.fail("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(30)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
