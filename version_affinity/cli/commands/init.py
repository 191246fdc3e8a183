"""``init``: make a releases directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from version_affinity.cli.context import command_line, current_target, target_options
from version_affinity.cli.groups import command
from version_affinity.cli.options import form
from version_affinity.cli.terminal.output import emit, json_option, say, styled
from version_affinity.deployment import check_name
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import Retention
from version_affinity.releases.store.settings import SETTINGS

from .retention import changed, retention_options

if TYPE_CHECKING:
    from version_affinity.cli.options import Age


@command()
@click.option(
    "--name",
    required=True,
    callback=form(check_name),
    help="What is rolled out, such as storefront. It salts the hash: it stays.",
)
@retention_options
@target_options()
@json_option
def init(name: str, keep: int | None, younger_than: Age | None, as_json: bool) -> None:
    """Make a releases directory, where versions are uploaded to and deployments are logged.

      version-affinity init --name storefront
      version-affinity --releases /srv/releases init --name storefront --keep 20 --younger-than 30d

    The name salts the hash by which users get a version, so that two applications split their users independently of
    each other. It stands in the override header and in the cookie, too.

    How long versions stay known (--keep, --younger-than) can be changed later: version-affinity retention.
    """
    target = current_target()
    is_new = not Path(target.path, SETTINGS).exists()
    wanted = None if keep is None and younger_than is None else changed(Retention(), keep, younger_than)
    releases = ReleasesDirectory.init(target.path, name=name, retention=wanted)
    if as_json:
        emit(
            {
                "releases": str(releases.path),
                "name": releases.name,
                "retention": releases.retention.as_dict(),
                "new": is_new,
            }
        )
        return
    did = "Made" if is_new else "There already:"
    say(f"{did} releases {styled(releases.name, 'strong')} in {releases.path}")
    say()
    say("Next, upload a build:")
    say(f"  {command_line('versions upload dist/')}")
