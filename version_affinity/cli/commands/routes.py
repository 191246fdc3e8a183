"""``flask affinity routes``: show what answers each route of a Flask application in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from flask.cli import ScriptInfo

from version_affinity.app_first import matcher_of
from version_affinity.assets.build import APP
from version_affinity.cli.context import command, current_target
from version_affinity.cli.output import counted, emit, note, say_table, styled
from version_affinity.routes import route_answers

if TYPE_CHECKING:
    from version_affinity.routes import RouteAnswer

# By ``Explanation.answer``.
_ANSWERS: Final = {
    APP: "the application",
    "file": "a file of the build",
    "rescue": "a file of another version",
    "redirect": "a redirect of the build",
    "single-page document": "the single-page document",
    "placeholder": "the single-page document",
}


@command(has_target=False)
def routes(as_json: bool) -> None:
    """Show what answers each route of the application when a browser opens it.

      flask affinity routes
      flask affinity routes --json

    The single-page document hides a route from browsers, although a test client reaches the application. Name such
    routes in app_first, or name all routes: init_app(..., app_first=flask_routes).

    A variable is replaced by an example: <int:id> by 1, others by their name. Methods other than GET always reach the
    application.
    """
    target = current_target()
    assert target.application is not None  # noqa: S101 - it is a command of Flask's alone
    affinity = target.application()
    app = click.get_current_context().ensure_object(ScriptInfo).load_app()  # it is loaded already
    found = list(route_answers(app, affinity, matcher_of(affinity.app_first)))
    if as_json:
        emit({"routes": [route.as_dict() for route in found]})
        return
    say_table(
        ["ROUTE", "METHODS", "IN A BROWSER"],
        [[route.rule, " ".join(route.methods), _in_words(route)] for route in found],
        flexible=[0],
    )
    hidden = sum(route.hidden for route in found)
    if hidden:
        remedy = "Name them in app_first, or all routes: init_app(..., app_first=flask_routes)"
        note(f"\nHidden: {counted(hidden, 'route')}. {remedy}")


def _in_words(route: RouteAnswer) -> str:
    if route.app_first or not route.answers:
        return styled(f"the application ({'app_first' if route.app_first else 'no GET'})", "good")
    words = {version: _ANSWERS.get(answer, answer) for version, answer in route.answers.items()}
    text = ", ".join(f"{version}: {answer}" for version, answer in words.items())
    if len(set(words.values())) == 1:
        text = next(iter(words.values()))
    return styled(f"hidden: {text}", "bad") if route.hidden else text
