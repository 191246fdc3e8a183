"""``init``: make a releases directory."""

from __future__ import annotations

from pathlib import Path

import click

from version_affinity.releases.directory import ReleasesDirectory

from .commands import command
from .output import emit, json_option, say, styled
from .place import command_line, current_place, place_options


@command()
@click.option("--name", required=True, help="What is rolled out, such as storefront. It salts the hash: it stays.")
@place_options()
@json_option
def init(name: str, as_json: bool) -> None:
    """Make a releases directory, where versions are uploaded to and deployments are logged.

      version-affinity init --name storefront
      version-affinity --releases /srv/releases init --name storefront

    The name salts the hash by which users get a version, so that two applications split their users independently of
    each other. It stands in the override header and in the cookie, too.
    """
    place = current_place()
    is_new = not Path(place.path, "affinity.json").exists()
    releases = ReleasesDirectory.init(place.path, name=name)
    if as_json:
        emit({"releases": str(releases.path), "name": releases.name, "new": is_new})
        return
    did = "Made" if is_new else "There already:"
    say(f"{did} releases {styled(releases.name, 'strong')} in {releases.path}")
    say()
    say("Next, upload a build:")
    say(f"  {command_line('versions upload dist/')}")
