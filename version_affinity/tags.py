"""URLs and HTML tags of the decided version's files, for pages that the application renders itself.

They read the version's Vite manifest. Using any of them marks the response as depending on the version, so that it is
not kept in a shared cache and the page pin follows it; that must happen before the response's headers are sent.
"""

from __future__ import annotations

import logging
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from .counters import LimitedLog
from .exchange import EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.build import Build
    from .exchange import Exchange

_unknown_entry = LimitedLog(logging.ERROR)


def current_version(environ: WSGIEnvironment) -> str:
    """Return the id of the version that was decided for this request, and mark the response as depending on it."""
    return version_of(exchange_of(environ))


def asset_url(environ: WSGIEnvironment, entry: str) -> str:
    """Return the URL of a file in the decided version.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists ("src/main.ts"), or a file of the build ("logo.svg").
    """
    return url_of(exchange_of(environ), entry)


def asset_tags(environ: WSGIEnvironment, entry: str) -> str:
    """Return the HTML tags that load an entry in the decided version: stylesheets, the script, its preloads.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists as an entry, for example "src/main.ts".
    """
    return tags_of(exchange_of(environ), entry)


def version_of(exchange: Exchange) -> str:
    """Do the work of ``current_version``."""
    exchange.depends = True
    return exchange.decision.version


def url_of(exchange: Exchange, entry: str) -> str:
    """Do the work of ``asset_url``."""
    for version, build in _builds(exchange):
        manifest = build.index.manifest
        chunk = manifest.entry(entry) if manifest is not None else None
        file = chunk.file if chunk is not None else entry.removeprefix("/")
        if chunk is not None or _wire_path(file) in build.index.assets:
            _depend(exchange, version)
            return _url(exchange, file)
    _report(entry)
    return _url(exchange, entry.removeprefix("/"))


def tags_of(exchange: Exchange, entry: str) -> str:
    """Do the work of ``asset_tags``."""
    for version, build in _builds(exchange):
        manifest = build.index.manifest
        closure = None if manifest is None else manifest.closure(entry)
        if closure is None:
            continue
        _depend(exchange, version)
        file, stylesheets, preloads = closure
        lines = [f'<link rel="stylesheet" href="{_href(exchange, sheet)}">' for sheet in stylesheets]
        if file.endswith(".css"):
            lines.append(f'<link rel="stylesheet" href="{_href(exchange, file)}">')
        else:
            lines.append(f'<script type="module" crossorigin src="{_href(exchange, file)}"></script>')
        lines += [f'<link rel="modulepreload" crossorigin href="{_href(exchange, preload)}">' for preload in preloads]
        return "\n".join(lines)
    _report(entry)
    return ""


def exchange_of(environ: WSGIEnvironment) -> Exchange:
    """Return what an environ was decided as.

    Raises:
        LookupError: the request did not come through a ``VersionAffinity``.
    """
    exchange: Exchange | None = environ.get(EXCHANGE)
    if exchange is None:
        raise LookupError(
            "this request did not come through VersionAffinity: wrap the application (app.wsgi_app = "
            "VersionAffinity(app.wsgi_app, ...)), and pass the environ that it was called with",
        )
    return exchange


def _builds(exchange: Exchange) -> Iterator[tuple[str, Build]]:
    """Return the builds to look for an entry in: the decided version's first, then the baseline's, then all.

    During a rollout one template serves several builds, and an entry may be new in one of them. A page with another
    version's entry is that version's page; a page without its script is a broken one.
    """
    state = exchange.state
    for version in dict.fromkeys((exchange.decision.version, state.baseline, *state.versions)):
        build = state.builds[version]
        if build is not None:
            yield version, build


def _depend(exchange: Exchange, version: str) -> None:
    """Note that the page names files of a version. Once it names one of the decided version's, that one stays."""
    exchange.depends = True
    if exchange.served != exchange.decision.version:
        exchange.served = version


def _href(exchange: Exchange, file: str) -> str:
    return escape(_url(exchange, file))


def _url(exchange: Exchange, file: str) -> str:
    base = exchange.script_name + exchange.state.settings.prefix
    return quote(base.encode("latin-1", "replace")) + quote(file)


def _wire_path(file: str) -> str:
    return "/" + file.encode("utf-8", "surrogatepass").decode("latin-1")


def _report(entry: str) -> None:
    _unknown_entry(
        "no known version has the entry %r in its Vite manifest: check its spelling, and that the build was made with "
        "build.manifest=true",
        entry,
    )
