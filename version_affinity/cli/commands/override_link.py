"""``override-link``: create a link, and a header, that show one version for a limited time."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from version_affinity.cli.application import app_option, load_affinity
from version_affinity.cli.context import command, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.options import checked_by, duration
from version_affinity.cli.output import emit, listed, say, short_id, styled, warn
from version_affinity.decision.overrides import DEFAULT_HEADERS, sign_override
from version_affinity.deployment import check_name, check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import format_duration
from version_affinity.responses.override_links import check_base, check_own_path, override_link

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

#: Holds the secret. An option would be visible in the shell's history and in the list of processes.
OVERRIDE_SECRET: Final = "VERSION_AFFINITY_OVERRIDE_SECRET"  # noqa: S105 - the name of a variable


def _check_lifetime(expires: timedelta) -> None:
    if not expires:
        raise ConfigurationError("the link would expire at once. Write a duration such as 30m or 12h")


@command()
@click.argument("version", callback=checked_by(check_version_id), shell_complete=complete_version)
@click.option(
    "--expires",
    type=duration,
    metavar="DURATION",
    default="1h",
    show_default=True,
    callback=checked_by(_check_lifetime),
    help="How long the link is valid, such as 30m or 12h.",
)
@click.option("--path", default="/", show_default=True, callback=checked_by(check_own_path), help="The page to open.")
@click.option(
    "--base", default="", metavar="URL", callback=checked_by(check_base), help="The site, such as https://shop.example."
)
@click.option("--secret-file", type=click.Path(exists=True, dir_okay=False), help="A file that contains the secret.")
@click.option(
    "--name", callback=checked_by(check_name), help="The name of the front end.  [default: as in the releases]"
)
@app_option
def override_link_command(
    version: str, expires: timedelta, path: str, base: str, as_json: bool, **application: str | None
) -> None:
    """Create a link that shows VERSION to everyone who opens it, until it expires.

      version-affinity override-link v2 --base https://shop.example
      version-affinity override-link v2 --expires 30m --path /checkout --secret-file override.key
      version-affinity override-link v2 --app shop:app

    It also prints a request header with the same effect.

    The application needs an override_secret. The command takes the same secret from the environment variable
    VERSION_AFFINITY_OVERRIDE_SECRET, from --secret-file, or from the application itself (--app).

    The version must be in the deployment when the link is opened; 0 % is enough.
    """
    name, secret, deployed = _signer(**application)
    version = current_target().version_id(version, deployed or ())
    seconds = expires.total_seconds()
    link = override_link(version, name=name, secret=secret, lifetime=seconds, path=path, base=base)
    value = sign_override(version, name=name, secret=secret, lifetime=seconds)
    if deployed is not None and version not in deployed:
        versions = listed(deployed or ["none so far"])
        warn(
            f"{version} is not in the deployment ({versions}), so the link has no effect yet. Deploy the version "
            "first; at 0 %, only overrides reach it"
        )
    if as_json:
        emit({"version": version, "link": link, "header": DEFAULT_HEADERS[0], "value": value, "seconds": seconds})
        return
    say(link)
    say(f"\n{DEFAULT_HEADERS[0]}: {value}\n")
    say(styled(f"Both show {short_id(version)} for {format_duration(expires)}, to everyone who has them.", "faint"))


def _signer(
    *, name: str | None, secret_file: str | None, app: str | None
) -> tuple[str, str | bytes, Collection[str] | None]:
    """Return the name and the secret of the application, and its deployed versions; None if they are not known."""
    target = current_target()
    given = os.environ.get(OVERRIDE_SECRET) or None
    if secret_file is not None:
        given = Path(secret_file).read_text("utf-8").strip()
        if not given:
            raise RefusedError(f"{secret_file!r} is empty: write the application's override_secret to it")
    load = target.application if app is None else partial(load_affinity, app)
    if load is not None and (app is not None or given is None):
        affinity = load()
        secret = given or affinity.override_secret
        if secret is None:
            raise RefusedError("the application has no override_secret: links cannot be signed without one")
        return name or affinity.deployment.name, secret, affinity.deployment.percentages
    if given is None:
        raise RefusedError(
            f"there is no secret to sign with: set {OVERRIDE_SECRET}, or name a file with the secret (--secret-file), "
            "or name the application (--app)"
        )
    if name is not None:
        return name, given, None
    entries = target.open_log().read()
    return target.directory.name, given, entries[-1].percentages if entries else ()
