"""Builds that are checked, written to disk, and what a check tells of them in short."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from tests.harness import write_build
from version_affinity.assets.static import StaticAssets
from version_affinity.checking import check_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from version_affinity.checking import Broken, BuildReport
    from version_affinity.checking.references import Document

#: How a page begins that is one.
PAGE = "<!doctype html>"

_numbers = count()


def loaded(directory: Path, files: Mapping[str, str | bytes], **options: Any) -> StaticAssets:
    """Return a build with some files, written to a directory of its own."""
    return StaticAssets(write_build(directory / f"build{next(_numbers)}", files), memory=0, **options)


def checked(
    directory: Path, files: Mapping[str, str | bytes], options: Mapping[str, Any] | None = None, **settings: Any
) -> BuildReport:
    """Return what a check tells of a build with some files.

    Args:
        directory: Where it is written to.
        files: Its files.
        options: Those of ``StaticAssets``.
        **settings: Those of ``check``.
    """
    return check_build(loaded(directory, files, **(options or {})), **settings)


def told(broken: Iterable[Broken]) -> list[tuple[str, str, str]]:
    """Return what is broken in short: file, text and path."""
    return [(one.file, one.text, one.path) for one in broken]


def found(document: Document) -> list[tuple[str, str]]:
    """Return the references of a file in short: kind and text."""
    return [(reference.kind, reference.text) for reference in document.references]
