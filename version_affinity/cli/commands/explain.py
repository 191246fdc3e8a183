"""``explain``: show which version a request gets, and why."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from version_affinity.app_first import matcher_of
from version_affinity.assets.build import APP
from version_affinity.assets.http.conditions import READING
from version_affinity.assets.loading.media import content_type, is_media
from version_affinity.cli.application import app_option, load_affinity
from version_affinity.cli.context import command, current_target
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.options import key_option, serving_options
from version_affinity.cli.output import emit, note, say, say_rows, short_id, short_ids, styled
from version_affinity.decision.keys import KeySource, environ_key
from version_affinity.middleware import VersionAffinity
from version_affinity.releases.log.entries import LogUnavailableError
from version_affinity.releases.releases import Releases, observing
from version_affinity.releases.store.settings import Serving
from version_affinity.wire import path_of, printable, unquoted, wsgi_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.responses.explanation import Explanation

# By ``Explanation.answer``. "{reason}" is why no version answers.
_ANSWERS: Final = {
    "file": "a file of {served}",
    "rescue": "a rescue: {decided} lacks this file, and {served} has it",
    "single-page document": "the single-page document of {served}",
    "redirect": "a redirect of {served}",
    "missing asset": "404: the path looks like a build's asset, and no known version has it",
    "not found": "404: neither a version nor an application answers this path",
    "preflight": "204: pages of other origins may use this file of {served}",
    "placeholder": "503: {served} is not built yet, and a placeholder is shown",
    "not allowed": "405: files allow GET and HEAD only",
    "allowed methods": "204, with the allowed methods",
    APP: "the wrapped application: {reason}",
    "application of the version": "the application that {served} is",
    "served by name": "a fingerprinted file from {served}, the same for every user",
}
_NO_KEY: Final = (
    "No cookie is used as a key here. Name the key source, as in --key cookie:session_id, or load the application's "
    "with --app"
)

_NAVIGATION: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}
_FRAMED: Final = {**_NAVIGATION, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
# The headers of each kind of client (W3C Fetch Metadata).
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "page": _NAVIGATION,
    "subresource": {"Accept": "*/*", "Sec-Fetch-Site": "same-origin"},
    "prefetch": {**_NAVIGATION, "Sec-Purpose": "prefetch", "Sec-Fetch-Site": "same-origin"},
    "frame": {**_FRAMED, "Sec-Fetch-Storage-Access": "none"},
    "cookieless-frame": _FRAMED,
    "cross-origin": {"Accept": "*/*", "Sec-Fetch-Site": "cross-site"},
    "service-worker": {
        "Accept": "*/*",
        "Sec-Fetch-Dest": "serviceworker",
        "Sec-Fetch-Mode": "same-origin",
        "Sec-Fetch-Site": "same-origin",
        "Service-Worker": "script",
    },
    "curl": {"Accept": "*/*"},
}
# Sec-Fetch-Dest and Sec-Fetch-Mode of a subresource, by the start of its media type.
_DESTINATIONS: Final = (
    ("text/javascript", "script", "cors"),
    ("text/css", "style", "no-cors"),
    ("image/", "image", "no-cors"),
    ("font/", "font", "cors"),
    ("video/", "video", "no-cors"),
    ("audio/", "audio", "no-cors"),
)


@command()
@click.argument("path")
@click.option("--cookie", "cookies", metavar="NAME=VALUE", multiple=True, help="A cookie of the request. Repeatable.")
@click.option(
    "-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header of the request. Repeatable."
)
@click.option("-X", "--method", default="GET", show_default=True, help="The method of the request.")
@click.option(
    "--as",
    "kind",
    metavar="CLIENT",
    type=click.Choice(list(HEADERS)),
    help=f"The client: {', '.join(HEADERS)}.  [default: depends on the path]",
)
@app_option
@key_option
@serving_options(has_origin=False)
def explain(
    path: str,
    cookies: tuple[str, ...],
    headers: tuple[str, ...],
    method: str,
    kind: str | None,
    app: str | None,
    keys: tuple[KeySource, ...],
    serving: Serving,
    as_json: bool,
) -> None:
    """Show which version a request for PATH gets, and why: each step, the scores of the hash, and what answers.

      version-affinity explain / --key cookie:session_id --cookie session_id=test123
      version-affinity explain /checkout --app shop:app --cookie session_id=test123
      version-affinity explain /logo.svg -H 'Referer: https://shop.example/assets/index-BX4CeNGm.js'
      version-affinity explain / --as curl -H 'Version-Override: v2'

    No request is sent. With --app, the application's own settings are used. Without --app, the settings are those of
    --key, --spa, --app-first and --prefix; options that you leave out have the values in affinity.json.

    By default, a path with a file extension such as .js is requested as a browser requests a part of a page. Any other
    path is requested as a page. Your headers replace the headers of this client.
    """
    environ, chosen = environ_of(path, method=method, kind=kind, cookies=cookies, headers=headers)
    affinity = _affinity(app, keys, serving)
    explanation = affinity.explain(environ)
    is_by_chance = explanation.decision.reason in ("minted", "bucket", "random")
    has_application = app is not None or current_target().application is not None
    notes = [_NO_KEY] if cookies and not has_application and not keys and is_by_chance else []
    if as_json:
        sent = {name: environ[name] for name in sorted(environ) if name.startswith("HTTP_")}
        request = {"method": environ["REQUEST_METHOD"], "target": path, "as": chosen, "environ": sent}
        emit({"name": affinity.deployment.name, "request": request, **explanation.as_dict(), "notes": notes})
        return
    request_line = printable(f"{environ['REQUEST_METHOD']} {path}")
    say(f"{styled(request_line, 'strong')}, a request of kind {explanation.kind}")
    _show(affinity, explanation, environ)
    for text in notes:
        note(f"\n{text}")


def _affinity(app: str | None, keys: tuple[KeySource, ...], serving: Serving) -> VersionAffinity:
    """Return the application's ``VersionAffinity``, or one for the releases as they are now."""
    target = current_target()
    load = target.application if app is None else partial(load_affinity, app)
    if load is None:
        log = target.open_log()
        with suppress(LogUnavailableError):  # this host's copy answers then, never in place of a log that can be read
            other_log = target.other_log(log, log.read())
            if other_log:
                raise RefusedError(other_log)
        options = target.build_options(serving).of_application()
        if keys:
            options["keys"] = keys
        releases = Releases(target.directory.path, log=target.location[1], reports=False)
        with observing():
            affinity = VersionAffinity(_never_called, releases, **options)
        releases.close()
        return affinity
    if keys or serving != Serving():
        raise click.UsageError("an application has its own settings: leave out --key, --spa, --app-first and --prefix")
    return load()


def _never_called(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise AssertionError("an explanation calls no application")


def _show(affinity: VersionAffinity, explanation: Explanation, environ: WSGIEnvironment) -> None:
    decision = explanation.decision
    say()
    rows = []
    for step in explanation.steps:
        row = ["", step.name, printable(short_ids(step.outcome))]
        if step.decided:
            row = [styled(">", "good"), styled(step.name, "strong"), styled(row[2], "good")]
        rows.append(row)
    say_rows(rows, indent=" ")
    if explanation.bucket:
        say(f"\nThe bucket is {explanation.bucket}.")
    if explanation.scores:
        say("\nScores, -ln(u) / percentage. The smallest one wins:")
        rows = []
        for version, score in explanation.scores.items():
            wins = styled("wins", "good") if score == min(explanation.scores.values()) else ""
            share = f"{affinity.deployment.percentages[version]:g} %"
            rows.append([styled(version, "version"), share, f"{score:.6f}", wins])
        say_rows(rows, indent="   ", right=(1, 2))
    source = f" ({decision.source})" if decision.source else ""
    say(f"\nDecision  {styled(decision.version, 'version')} by {decision.reason}{source}")
    if decision.refused:
        say(f"Refused   {styled(decision.refused, 'warning')}")
    reason = "no version has this path"
    if matcher_of(affinity.app_first)(path_of(environ)):
        reason = "the path matches app_first"
    elif environ["REQUEST_METHOD"] not in READING:
        reason = "versions answer GET and HEAD only"
    answer = _ANSWERS[explanation.answer]
    served, decided = short_id(explanation.served), short_id(decision.version)
    say(f"Answer    {answer.format(served=served, decided=decided, reason=reason)}")


def environ_of(
    target: str, *, method: str, kind: str | None, cookies: Iterable[str], headers: Iterable[str]
) -> tuple[WSGIEnvironment, str]:
    """Return the WSGI environment of a request, and its kind of client.

    ``target`` is a path with its query, or a URL. ``kind`` is a key of ``HEADERS``, or None to choose by the path.

    >>> environ, kind = environ_of("/caf%C3%A9?x=1", method="GET", kind=None, cookies=["a=1", "b=2"], headers=[])
    >>> environ["QUERY_STRING"], environ["HTTP_COOKIE"], environ["HTTP_SEC_FETCH_DEST"], kind
    ('x=1', 'a=1; b=2', 'document', 'page')
    """
    # "//a/b" is a path here, as in a request, not a host.
    url = None
    with suppress(ValueError):  # a host such as "["
        url = urlsplit(f"//localhost{target}" if target.startswith("/") else target)
    if url is None or not url.path.startswith("/"):
        raise click.UsageError(f"{target!r} is not a path. Write one such as /checkout, or a whole URL")
    chosen = kind or ("subresource" if is_media(url.path) else "page")
    sent = dict(HEADERS[chosen])
    if chosen in ("subresource", "cross-origin"):
        media = content_type(url.path)
        known = ((dest, mode) for start, dest, mode in _DESTINATIONS if media.startswith(start))
        sent["Sec-Fetch-Dest"], sent["Sec-Fetch-Mode"] = next(known, ("empty", "cors"))
    given: dict[str, str] = {}
    for name, value in map(_header, headers):
        given[name] = f"{given[name]}, {value}" if name in given else value
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method.upper(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquoted(wsgi_text(url.path)),
        "QUERY_STRING": url.query,
        "REQUEST_URI": f"{url.path}?{url.query}" if url.query else url.path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc or "localhost",
        "wsgi.url_scheme": url.scheme or "http",
    }
    environ.update({environ_key(name): value for name, value in sent.items()} | given)
    pairs = [_cookie(cookie) for cookie in cookies]
    if pairs:
        environ["HTTP_COOKIE"] = "; ".join(filter(None, [environ.get("HTTP_COOKIE", ""), *pairs]))
    return environ, chosen


def _header(line: str) -> tuple[str, str]:
    """Return a header's key in a WSGI environment, and its value."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or set(name.strip()) & set(" \t\r\n"):
        raise click.UsageError(f"{line!r} is not a header. Write 'Name: value'")
    return environ_key(name.strip()), wsgi_text(value.strip())


def _cookie(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    if not equals or not name.strip():
        raise click.UsageError(f"{pair!r} is not a cookie. Write name=value")
    return wsgi_text(pair.strip())
