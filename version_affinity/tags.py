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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.static import StaticAssets
    from .request import Request

#: Where the environ of a request that is passed on to the wrapped application holds its ``Request``.
REQUEST = "version_affinity.request"

_unknown_entry = LimitedLog(logging.ERROR)


def current_version(environ: WSGIEnvironment) -> str:
    """Return the id of the version that was decided for this request, and mark the response as depending on it."""
    return version_of(_request_of(environ))


def asset_url(environ: WSGIEnvironment, entry: str) -> str:
    """Return the URL of a file in the decided version.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists ("src/main.ts"), or a file of the build ("logo.svg").
    """
    return url_of(_request_of(environ), entry)


def asset_tags(environ: WSGIEnvironment, entry: str) -> str:
    """Return the HTML tags that load an entry in the decided version: stylesheets, the script, its preloads.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists as an entry, for example "src/main.ts".
    """
    return tags_of(_request_of(environ), entry)


def version_of(request: Request) -> str:
    """Do the work of ``current_version``."""
    request.depends = True
    return request.decision.version


def url_of(request: Request, entry: str) -> str:
    """Do the work of ``asset_url``."""
    for version, build in _builds(request):
        manifest = build.index.manifest
        chunk = manifest.entry(entry) if manifest is not None else None
        file = chunk.file if chunk is not None else entry.removeprefix("/")
        if chunk is not None or _wire_path(file) in build.index.assets:
            _depend(request, version)
            return _url(request, file)
    _report(entry)
    return _url(request, entry.removeprefix("/"))


def tags_of(request: Request, entry: str) -> str:
    """Do the work of ``asset_tags``."""
    for version, build in _builds(request):
        manifest = build.index.manifest
        closure = None if manifest is None else manifest.closure(entry)
        if closure is None:
            continue
        _depend(request, version)
        file, stylesheets, preloads = closure
        lines = [f'<link rel="stylesheet" href="{_href(request, sheet)}">' for sheet in stylesheets]
        if file.endswith(".css"):
            lines.append(f'<link rel="stylesheet" href="{_href(request, file)}">')
        else:
            lines.append(f'<script type="module" crossorigin src="{_href(request, file)}"></script>')
        lines += [f'<link rel="modulepreload" crossorigin href="{_href(request, preload)}">' for preload in preloads]
        return "\n".join(lines)
    _report(entry)
    return ""


def _request_of(environ: WSGIEnvironment) -> Request:
    request: Request | None = environ.get(REQUEST)
    if request is None:
        raise LookupError(
            "this request did not come through VersionAffinity: wrap the application (app.wsgi_app = "
            "VersionAffinity(app.wsgi_app, ...)), and pass the environ that it was called with",
        )
    return request


def _builds(request: Request) -> Iterator[tuple[str, StaticAssets]]:
    """Return the builds to look for an entry in: the decided version's first, then the baseline's, then all.

    During a rollout one template serves several builds, and an entry may be new in one of them. A page with another
    version's entry is that version's page; a page without its script is a broken one.
    """
    state = request.state
    for version in dict.fromkeys((request.decision.version, state.baseline, *state.versions)):
        build = state.builds[version]
        if build is not None:
            yield version, build


def _depend(request: Request, version: str) -> None:
    """Note that the page names files of a version. Once it names one of the decided version's, that one stays."""
    request.depends = True
    if request.served != request.decision.version:
        request.served = version


def _href(request: Request, file: str) -> str:
    return escape(_url(request, file))


def _url(request: Request, file: str) -> str:
    script_name: str = request.environ.get("SCRIPT_NAME", "")
    base = script_name + request.state.settings.prefix
    return quote(base.encode("latin-1", "replace")) + quote(file)


def _wire_path(file: str) -> str:
    return "/" + file.encode("utf-8", "surrogatepass").decode("latin-1")


def _report(entry: str) -> None:
    _unknown_entry(
        "no known version has the entry %r in its Vite manifest: check its spelling, and that the build was made with "
        "build.manifest=true",
        entry,
    )
