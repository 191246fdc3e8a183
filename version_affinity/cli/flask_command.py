"""``flask affinity ...``: the same commands, for the releases that the Flask application follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from flask.cli import NoAppException, ScriptInfo

from version_affinity.middleware import find_affinity
from version_affinity.releases.releases import observing
from version_affinity.rollout.version import NothingDeployedError

from .context import target_of, target_parameters
from .errors import RefusedError
from .main import COMMANDS, Commands, Lazy

if TYPE_CHECKING:
    from version_affinity.middleware import VersionAffinity

_HELP: Final = """Roll out the front end of this application gradually.

  flask affinity versions upload dist/ --id v2
  flask affinity versions deploy v2@10% v1@90%
  flask affinity explain /checkout --cookie session_id=test123
  flask affinity routes

The commands work on the releases that the application follows, unless --releases names others. explain uses the
application's own key sources.
"""

# A shell completes "version-affinity", not "flask affinity".
_TABLE: Final = {name: lazy for name, lazy in COMMANDS.items() if name != "completion"}
_TABLE["routes"] = Lazy("routes", "routes", "Show what answers each route of the application in a browser.")


@click.group(
    "affinity",
    cls=Commands,
    table=_TABLE,
    params=target_parameters(of_group=True, default="the application's"),
    help=_HELP,
)
@click.pass_context
def affinity(context: click.Context) -> None:
    """Use the releases of the Flask application; the help text is above."""
    info = context.ensure_object(ScriptInfo)
    target_of(context).application = lambda: _load(info)


def _load(info: ScriptInfo) -> VersionAffinity:
    """Return the application's ``VersionAffinity``; the application is loaded without leaving a trace."""
    try:
        with observing():
            app = info.load_app()
    except NoAppException as error:
        # Flask's message may quote a traceback: keep its first line, and the error at its end.
        first, *others = error.format_message().strip().splitlines()
        raise _failure(f"{first} {others[-1]}" if others else first) from None
    except NothingDeployedError as error:
        raise _failure(str(error)) from error  # commands that need no application go on: see ``Target``
    except Exception as error:  # noqa: BLE001 - the module is the user's
        raise _failure(f"{type(error).__name__}: {error}") from None
    found = app.extensions.get("version_affinity") or find_affinity(app)
    if found is None:
        raise RefusedError("the application has no VersionAffinity: call version_affinity.flask.init_app(app, ...)")
    return found


def _failure(reason: str) -> RefusedError:
    return RefusedError(
        f"the application cannot be loaded: {reason}\nIts releases are used by default. To name them instead: "
        "flask affinity --releases DIRECTORY ..."
    )
