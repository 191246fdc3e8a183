"""``override-link``: make a link, and a header's value, that show one version for a while."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from version_affinity.cli.application import app_option, load_affinity
from version_affinity.cli.context import current_target, target_options
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import command
from version_affinity.cli.options import DURATION, form
from version_affinity.cli.terminal.output import emit, json_option, say, styled, warn
from version_affinity.cli.terminal.text import listed
from version_affinity.decision.overrides import DEFAULT_HEADERS, sign_override
from version_affinity.deployment import check_name, check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import format_duration
from version_affinity.responses.override_links import check_base, check_own_path
from version_affinity.responses.override_links import override_link as make_link

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

#: Holds the secret: on a command line it would be in the shell's history and in the list of processes.
SECRET: Final = "VERSION_AFFINITY_OVERRIDE_SECRET"  # noqa: S105 - the name of a variable


class _Signer(NamedTuple):
    """What signs, for which application, and the versions that it can force; None where these are not known."""

    name: str
    secret: str | bytes
    deployed: Collection[str] | None


def _check_lifetime(expires: timedelta) -> None:
    if not expires:
        raise ConfigurationError("it would have expired when it is made: write a length of time such as 30m or 12h")


@command("override-link")
@click.argument("version", callback=form(check_version_id), shell_complete=complete_version)
@click.option(
    "--expires",
    type=DURATION,
    metavar="DURATION",
    default="1h",
    show_default=True,
    callback=form(_check_lifetime),
    help="Until when it counts: 30m, 12h.",
)
@click.option("--path", default="/", show_default=True, callback=form(check_own_path), help="Where the link leads.")
@click.option(
    "--base", default="", metavar="URL", callback=form(check_base), help="The site, such as https://shop.example."
)
@click.option("--secret-file", type=click.Path(exists=True, dir_okay=False), help="A file that holds the secret.")
@click.option("--name", callback=form(check_name), help="The application's name.  [default: that of the releases]")
@app_option
@target_options()
@json_option
def override_link(
    version: str,
    expires: timedelta,
    path: str,
    base: str,
    secret_file: str | None,
    name: str | None,
    app: str | None,
    as_json: bool,
) -> None:
    """Make a link that shows VERSION to whoever opens it, until it expires; and a header's value that does the same.

      version-affinity override-link v2 --base https://shop.example
      version-affinity override-link v2 --expires 30m --path /checkout --secret-file /run/secrets/override
      version-affinity override-link v2 --app shop:app

    It is for an application with an override_secret, which is read from the variable VERSION_AFFINITY_OVERRIDE_SECRET,
    from a file, or from the application itself. The version must be in the deployment when the link is opened; at 0 %
    will do.
    """
    signer = _signer(name, secret_file, app)
    seconds = expires.total_seconds()
    link = make_link(version, name=signer.name, secret=signer.secret, lifetime=seconds, path=path, base=base)
    value = sign_override(version, name=signer.name, secret=signer.secret, lifetime=seconds)
    if signer.deployed is not None and version not in signer.deployed:
        warn(
            f"{version} is not in the deployment ({listed(signer.deployed)}), and the link does nothing until it is: "
            f"deploy it, at 0 % if nobody else is to get it",
        )
    if as_json:
        emit({"version": version, "link": link, "header": DEFAULT_HEADERS[0], "value": value, "seconds": seconds})
        return
    say(link)
    say()
    say(f"{DEFAULT_HEADERS[0]}: {value}")
    say()
    say(styled(f"Both show {version} for {format_duration(expires)}, to whoever has them.", "faint"))


def _signer(name: str | None, secret_file: str | None, app: str | None) -> _Signer:
    target = current_target()
    given = _given(secret_file)
    load = target.application if app is None else partial(load_affinity, app)
    if load is not None and (app is not None or given is None):
        affinity = load()
        secret = given or affinity.override_secret
        if secret is None:
            raise RefusedError("the application has no override_secret: give it one, and links can be signed")
        return _Signer(name or affinity.deployment.name, secret, affinity.deployment.percentages)
    if given is None:
        raise RefusedError(
            f"there is no secret to sign with: set {SECRET}, or name a file or the application that has it "
            "(--secret-file, --app)",
        )
    if name is not None:
        return _Signer(name, given, None)
    entries = target.open_log().read()
    return _Signer(target.directory().name, given, entries[-1].percentages if entries else ())


def _given(secret_file: str | None) -> str | None:
    """Return the secret of the file or the variable, None without either."""
    if secret_file is None:
        return os.environ.get(SECRET) or None
    secret = Path(secret_file).read_text("utf-8").strip()
    if not secret:
        raise RefusedError(f"{secret_file!r} is empty: write the application's override_secret to it")
    return secret
