"""``flask affinity …``: the same commands, for the releases that the Flask application follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from flask.cli import NoAppException, ScriptInfo

from version_affinity.releases.releases import observing

from .application import find_affinity
from .context import target_of, target_options
from .errors import RefusedError
from .groups import Commands
from .main import COMMANDS

if TYPE_CHECKING:
    from version_affinity.middleware import VersionAffinity

_HELP: Final = """Roll out the application's front end gradually.

  flask affinity versions upload dist/ --id v2
  flask affinity versions deploy v2@10% v1@90%
  flask affinity explain /checkout --cookie session_id=test123

The releases are those that the application follows, unless --releases names others; explain asks the application.
"""


# A shell completes the other command's script.
_TABLE: Final = {name: lazy for name, lazy in COMMANDS.items() if name != "completion"}


@click.group("affinity", cls=Commands, table=_TABLE, help=_HELP)
@target_options(environment=True)
@click.pass_context
def affinity(context: click.Context) -> None:
    """Take the application's releases; the text of the help stands above."""
    info = context.ensure_object(ScriptInfo)
    target_of(context).application = lambda: _loaded(info)


def _loaded(info: ScriptInfo) -> VersionAffinity:
    """Return the middleware of the application, which is loaded to be asked: it reports and writes nothing.

    Raises:
        RefusedError: the application cannot be loaded, or has none.
    """
    try:
        with observing():
            app = info.load_app()
    except NoAppException as error:
        raise _unknown(_short(error.format_message())) from None
    except Exception as error:  # noqa: BLE001 - somebody's module
        raise _unknown(f"{type(error).__name__}: {error}") from None
    found = app.extensions.get("version_affinity") or find_affinity(app)
    if found is None:
        raise RefusedError("the application has no VersionAffinity: call version_affinity.flask.init_app(app, ...)")
    return found


def _unknown(reason: str) -> RefusedError:
    return RefusedError(
        f"the application cannot be loaded: {reason}\nThe releases are those that it follows; to name them yourself: "
        "flask affinity --releases DIRECTORY ...",
    )


def _short(message: str) -> str:
    """Return what Flask says without the traceback that it may quote: its first line, and the error at the end."""
    first, *others = message.strip().splitlines()
    return f"{first} {others[-1]}" if others else first
