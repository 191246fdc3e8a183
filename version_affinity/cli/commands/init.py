"""``init``: create a releases directory."""

from __future__ import annotations

from pathlib import Path

import click

from version_affinity.cli.context import command, command_line, current_target
from version_affinity.cli.options import Age, checked_by, serving_options
from version_affinity.cli.output import emit, say, styled
from version_affinity.deployment import check_name
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.retention import Retention
from version_affinity.releases.store.settings import SETTINGS, Serving

from .retention import retention_options, retention_with


@command()
@click.option(
    "--name",
    required=True,
    callback=checked_by(check_name),
    help="The name of the front end, such as storefront. It cannot be changed later.",
)
@serving_options(of_init=True)
@retention_options(of_init=True)
def init(name: str, serving: Serving, keep: int | None, younger_than: Age | None, as_json: bool) -> None:
    """Create a releases directory. It holds the uploaded versions and the log of deployments.

      version-affinity init --name storefront
      version-affinity init --name storefront --spa --app-first '/api/*'
      version-affinity --releases /srv/releases init --name storefront --keep 20 --younger-than 30d

    The name is part of the hash that assigns users to versions, so that each front end splits its users independently.
    It is also part of the names of the cookie and of the override.

    The options say how the application serves builds, for the commands check, deploy and serve. You can change
    them later with "version-affinity settings", and --keep and --younger-than with "version-affinity retention".
    """
    path, _ = current_target().location
    is_new = not Path(path, SETTINGS).exists()
    wanted = None if keep is None and younger_than is None else retention_with(Retention(), keep, younger_than)
    releases = ReleasesDirectory.init(path, name=name, retention=wanted, serving=serving)
    if as_json:
        settings = {**releases.serving.as_dict(), "retention": releases.retention.as_dict()}
        emit({"releases": str(releases.path), "name": releases.name, **settings, "new": is_new})
        return
    say(f"{'Created' if is_new else 'There already:'} releases {styled(releases.name, 'strong')} in {releases.path}")
    say(f"\nNext, upload a build:\n  {command_line('versions upload dist/')}")
