"""``explain``: tell which version a request gets, and why."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.app_first import app_first as compiled_patterns
from version_affinity.assets.build import APP
from version_affinity.cli.application import app_option, load_affinity
from version_affinity.cli.context import current_place, place_options
from version_affinity.cli.frozen import Frozen
from version_affinity.cli.groups import command
from version_affinity.cli.serving_options import middleware_options, serving_options
from version_affinity.cli.terminal.output import aligned, emit, json_option, note, say, styled
from version_affinity.cli.terminal.text import printable
from version_affinity.decision.request import READING, path_of
from version_affinity.middleware import VersionAffinity

from .requests import HEADERS, environ_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.decision.keys import KeySource
    from version_affinity.responses.explanation import Explanation

# By ``Explanation.answer``, in which "{served}" and "{decided}" are versions, and "{reason}" is why none answers.
_ANSWERS: Final = {
    "file": "a file of {served}",
    "rescue": "a rescue: {decided} lacks this file, and {served} has it",
    "single-page document": "the single-page document of {served}",
    "redirect": "a redirect of {served}",
    "missing asset": "404: it looks like a build's asset, and no known version has it",
    "not found": "404: nobody has it",
    "not allowed": "405: a file knows GET and HEAD only",
    "allowed methods": "204, with the methods that are allowed",
    APP: "the wrapped application, since {reason}",
    "application of the version": "the application that {served} is",
    "served by name": "a fingerprinted file, the same for everybody, from {served}",
}

_BY_CHANCE: Final = ("minted", "bucket", "random")
_NO_KEY: Final = (
    "No cookie is a key here: name the key source, as in --key cookie:session_id, or load the application's with --app"
)


@command()
@click.argument("path")
@click.option("--cookie", "cookies", metavar="NAME=VALUE", multiple=True, help="A cookie of the request.")
@click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header of the request.")
@click.option("-X", "--method", default="GET", show_default=True, help="Its method.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(list(HEADERS)),
    help="Who asks: a browser for a page or for what a page loads, or curl.  [default: as the path suggests]",
)
@app_option
@serving_options
@place_options()
@json_option
def explain(
    path: str,
    cookies: tuple[str, ...],
    headers: tuple[str, ...],
    method: str,
    kind: str | None,
    app: str | None,
    keys: tuple[KeySource, ...],
    spa: bool,
    app_first: tuple[str, ...],
    prefix: str,
    as_json: bool,
) -> None:
    """Tell which version a request for PATH gets, and why: every step, the scores of the hash, and what answers.

      version-affinity explain / --key cookie:session_id --cookie session_id=test123
      version-affinity explain /checkout --app shop:app --cookie session_id=test123
      version-affinity explain /logo.svg -H 'Referer: https://shop.example/assets/index-BX4CeNGm.js'
      version-affinity explain / --as curl -H 'Version-Override: v2'

    With --app, the application says itself where keys are and what it serves. Without, the releases are asked, as --key
    and the other options say.

    A path without a media type's extension is asked for as a browser does for a page, any other as it does for what a
    page loads. Headers that are given replace those that the client would send.
    """
    environ, chosen = environ_of(path, method=method, kind=kind, cookies=cookies, headers=headers)
    affinity = _affinity(app, middleware_options(keys, spa=spa, app_first=app_first, prefix=prefix))
    explanation = affinity.explain(environ)
    is_mistaken = cookies and app is None and not keys and explanation.decision.reason in _BY_CHANCE
    notes = [_NO_KEY] if is_mistaken else []
    if as_json:
        sent = {name: environ[name] for name in sorted(environ) if name.startswith("HTTP_")}
        request = {"method": environ["REQUEST_METHOD"], "target": path, "as": chosen, "environ": sent}
        emit({"name": affinity.deployment.name, "request": request, **explanation.as_dict(), "notes": notes})
        return
    asked = f"{environ['REQUEST_METHOD']} {printable(path)}"
    say(f"{styled(asked, 'strong')}, a request of kind {explanation.kind}")
    _tell(affinity, explanation, environ)
    for text in notes:
        note("")
        note(text)


def _affinity(app: str | None, options: dict[str, Any]) -> VersionAffinity:
    """Return what is asked: the application's, or the releases as they are now."""
    place = current_place()
    load = place.application if app is None else partial(load_affinity, app)
    if load is None:
        return VersionAffinity(_somebody, Frozen(place.directory(), place.open_log().read()), **options)
    if options != middleware_options((), spa=False, app_first=(), prefix="/"):
        raise click.UsageError("the application says itself what --key, --spa, --app-first and --prefix are for")
    return load()


def _somebody(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    """Stand for the wrapped application, which an explanation never calls."""
    raise AssertionError("an explanation calls no application")


def _tell(affinity: VersionAffinity, explanation: Explanation, environ: WSGIEnvironment) -> None:
    deployment, decision = affinity.deployment, explanation.decision
    say()
    rows = []
    for step in explanation.steps:
        outcome = printable(step.outcome)
        rows.append(
            [styled(">", "good"), styled(step.name, "strong"), styled(outcome, "good")]
            if step.decided
            else ["", step.name, outcome]
        )
    for line in aligned(rows, indent=" "):
        say(line)
    if explanation.bucket:
        say()
        say(f"The bucket is {explanation.bucket}.")
    if explanation.scores:
        say()
        say("Score -ln(u) / percentage, of which the smallest wins:")
        best = min(explanation.scores, key=lambda version: explanation.scores[version])
        scores = [
            [
                styled(version, "version"),
                f"{deployment.percentages[version]:g} %",
                f"{score:.6f}",
                styled("wins", "good") if version == best else "",
            ]
            for version, score in explanation.scores.items()
        ]
        for line in aligned(scores, indent="   ", right=(1, 2)):
            say(line)
    say()
    source = f" ({decision.source})" if decision.source else ""
    say(f"Decision  {styled(decision.version, 'version')} by {decision.reason}{source}")
    if decision.refused:
        say(f"Refused   {styled(decision.refused, 'warning')}")
    answer = _ANSWERS[explanation.answer]
    reason = _of_the_application(affinity, environ)
    say(f"Answer    {answer.format(served=explanation.served, decided=decision.version, reason=reason)}")


def _of_the_application(affinity: VersionAffinity, environ: WSGIEnvironment) -> str:
    """Return why no version answers what the wrapped application does."""
    if compiled_patterns(affinity.app_first)(path_of(environ)):
        return "this path is its own (app_first)"
    if environ["REQUEST_METHOD"] not in READING:
        return "versions answer GET and HEAD only"
    return "no version has it"
