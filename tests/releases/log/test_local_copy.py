"""The copy of the last known deployments: whole or not there, and never a reason to stop."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from version_affinity.releases.log.entries import Entry
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.log.local_copy import LocalCopy

if TYPE_CHECKING:
    from pathlib import Path


def history(count: int, message: str = "") -> list[Entry]:
    """Return that many deployments."""
    return [
        Entry(revision, {"v1": 90.0, "v2": 10.0}, "2026-11-24T05:00:00Z", "ada", message or "naïve\u2028✓ \n")
        for revision in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_saved_is_loaded(tmp_path: Path, count: int) -> None:
    """A copy holds exactly what was saved, and leaves nothing else in its directory."""
    copy = LocalCopy(tmp_path / "last-known.jsonl")
    copy.save(history(min(count, 2)))
    copy.save(history(count))
    assert LocalCopy(copy.path).load() == history(count)
    assert list(tmp_path.iterdir()) == [copy.path]


def test_no_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A host that starts for the first time knows nothing, and that is no trouble."""
    assert LocalCopy(tmp_path / "last-known.jsonl").load() == []
    assert caplog.records == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace(b"{", b"", 1),
        lambda text: text.partition(b"\n")[2],
        lambda text: text + text,
        lambda text: b"\xff" + text,
        lambda text: b"[]\n",
        lambda text: b"null\n",
        lambda text: b"{}\n",
        lambda text: b"\n",
        lambda text: b"\0" * len(text),
        lambda text: b"[" * 100_000,
    ],
)
def test_a_damaged_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage) -> None:
    """A copy that is no whole history is not used, which is logged with its name; the next save mends it."""
    copy = LocalCopy(tmp_path / "last-known.jsonl")
    copy.save(history(2))
    copy.path.write_bytes(damage(copy.path.read_bytes()))
    assert copy.load() == []
    assert [str(copy.path) in record.getMessage() for record in caplog.records] == [True]
    copy.save(history(2))
    assert copy.load() == history(2)


@pytest.mark.parametrize("name", ["missing/last-known.jsonl", "directory", "x" * 300])
def test_a_copy_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """A copy that cannot be written is logged, once, raises nothing and leaves nothing behind."""
    (tmp_path / "directory").mkdir()
    LocalCopy(tmp_path / name).save(history(1))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert [path.name for path in tmp_path.rglob("*")] == ["directory"]


def test_a_copy_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that this user may not read may have more than the log, so it stays."""
    copy = LocalCopy(tmp_path / "last-known.jsonl")
    copy.save(history(3))
    before = copy.path.read_bytes()

    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(type(copy.path), "read_bytes", refuse)
        copy.save(history(1))
    assert copy.path.read_bytes() == before
    assert "is not written: Permission denied" in caplog.text


def test_nobody_finds_a_part(tmp_path: Path) -> None:
    """Whoever loads while others save gets one of the whole histories."""
    copy = LocalCopy(tmp_path / "last-known.jsonl")
    copy.save(history(1))

    def save(count: int) -> None:
        for turn in range(6):
            copy.save(history(count, f"{turn}"))

    threads = [threading.Thread(target=save, args=(count,)) for count in (1, 50)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(copy.load()) in {1, 50}
    assert list(tmp_path.iterdir()) == [copy.path]


def test_an_equal_copy_is_not_written_again(tmp_path: Path) -> None:
    """The workers of one host save the same history; the first one does it for all."""
    copy = LocalCopy(tmp_path / "last-known.jsonl")
    copy.save(history(2))
    before = copy.path.stat().st_ino
    LocalCopy(copy.path).save(history(2))
    assert copy.path.stat().st_ino == before


def test_less_than_the_copy_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A copy is never replaced by less: another worker may have read more, or the log may have lost the rest."""
    copy = LocalCopy(tmp_path / "copy")
    copy.save(history(3))
    for count in (0, 1, 2):
        LocalCopy(tmp_path / "copy").save(history(count))
    assert copy.load() == history(3)
    assert caplog.records == []


def test_another_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A copy of another log stays, which is logged once: it may be the only one that is left of that log."""
    copy = LocalCopy(tmp_path / "copy")
    own, other = ([replace(entry, log_id=log_id) for entry in history(count)] for log_id, count in (("a", 2), ("b", 3)))
    copy.save(own)
    for _ in range(2):
        copy.save(other)
    assert copy.load() == own
    assert ["stays as it is" in record.getMessage() for record in caplog.records] == [True]


def test_a_word_that_was_mended(tmp_path: Path) -> None:
    """Another author or message of an old deployment makes no other log of it; the copy gets it."""
    copy = LocalCopy(tmp_path / "copy")
    copy.save(history(2))
    mended = history(2, "mended")
    copy.save(mended)
    assert copy.load() == mended


def test_a_copy_takes_the_place_of_a_file_log(tmp_path: Path) -> None:
    """Whatever else the copy says, the file log reads its lines as its own, and goes on."""
    LocalCopy(tmp_path / "deployments.jsonl").save(history(2))
    log = FileLog(tmp_path / "deployments.jsonl")
    assert log.read() == history(2)
    assert log.append({"v1": 100}, expected=2).revision == 3


def test_a_copy_that_is_only_started_from(tmp_path: Path) -> None:
    """Where nothing is to be left behind, nothing is written, and what is there is read."""
    LocalCopy(tmp_path / "copy").save(history(1))
    copy = LocalCopy(tmp_path / "copy", writes=False)
    copy.save(history(2))
    assert copy.load() == history(1)
