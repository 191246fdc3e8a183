"""What a shell proposes for an argument: the versions that are uploaded."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from version_affinity.cli.context import DEFAULT, place_of
from version_affinity.errors import ConfigurationError
from version_affinity.releases.releases import RELEASES
from version_affinity.releases.store.directory import ReleasesDirectory

if TYPE_CHECKING:
    import click


def complete_version(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the versions that begin with what is typed, the newest first; nothing where that cannot be told."""
    path = place_of(context).releases or os.environ.get(RELEASES) or DEFAULT
    with suppress(ConfigurationError, OSError):
        found = reversed(ReleasesDirectory(path).versions().values())
        return [
            CompletionItem(release.id, help=release.message or release.tag or None)
            for release in found
            if release.id.startswith(incomplete)
        ]
    return []
