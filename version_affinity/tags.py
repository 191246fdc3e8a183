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
from .rendering import RENDERING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.build import Build
    from .rendering import Rendering

_unknown_entry = LimitedLog(logging.ERROR)


def current_version(environ: WSGIEnvironment) -> str:
    """Return the id of the version that was decided for this request, and mark the response as depending on it."""
    return version_of(rendering_of(environ))


def asset_url(environ: WSGIEnvironment, entry: str) -> str:
    """Return the URL of a file in the decided version.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists ("src/main.ts"), or a file of the build ("logo.svg").
    """
    return url_of(rendering_of(environ), entry)


def asset_tags(environ: WSGIEnvironment, entry: str) -> str:
    """Return the HTML tags that load an entry in the decided version: stylesheets, the script, its preloads.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists as an entry, for example "src/main.ts".
    """
    return tags_of(rendering_of(environ), entry)


def version_of(rendering: Rendering) -> str:
    """Do the work of ``current_version``."""
    rendering.depends = True
    return rendering.decision.version


def url_of(rendering: Rendering, entry: str) -> str:
    """Do the work of ``asset_url``."""
    for version, build in _builds(rendering):
        manifest = build.index.manifest
        chunk = manifest.entry(entry) if manifest is not None else None
        file = chunk.file if chunk is not None else entry.removeprefix("/")
        if chunk is not None or _wire_path(file) in build.index.assets:
            _depend(rendering, version)
            return _url(rendering, file)
    _report(entry)
    return _url(rendering, entry.removeprefix("/"))


def tags_of(rendering: Rendering, entry: str) -> str:
    """Do the work of ``asset_tags``."""
    for version, build in _builds(rendering):
        manifest = build.index.manifest
        closure = None if manifest is None else manifest.closure(entry)
        if closure is None:
            continue
        _depend(rendering, version)
        file, stylesheets, preloads = closure
        lines = [f'<link rel="stylesheet" href="{_href(rendering, sheet)}">' for sheet in stylesheets]
        if file.endswith(".css"):
            lines.append(f'<link rel="stylesheet" href="{_href(rendering, file)}">')
        else:
            lines.append(f'<script type="module" crossorigin src="{_href(rendering, file)}"></script>')
        lines += [f'<link rel="modulepreload" crossorigin href="{_href(rendering, preload)}">' for preload in preloads]
        return "\n".join(lines)
    _report(entry)
    return ""


def rendering_of(environ: WSGIEnvironment) -> Rendering:
    """Return what an environ was decided as.

    Raises:
        LookupError: the request did not come through a ``VersionAffinity``.
    """
    rendering: Rendering | None = environ.get(RENDERING)
    if rendering is None:
        raise LookupError(
            "this request did not come through VersionAffinity: wrap the application (app.wsgi_app = "
            "VersionAffinity(app.wsgi_app, ...)), and pass the environ that it was called with",
        )
    return rendering


def _builds(rendering: Rendering) -> Iterator[tuple[str, Build]]:
    """Return the builds to look for an entry in: the decided version's first, then the baseline's, then all.

    During a rollout one template serves several builds, and an entry may be new in one of them. A page with another
    version's entry is that version's page; a page without its script is a broken one.
    """
    state = rendering.state
    for version in dict.fromkeys((rendering.decision.version, state.baseline, *state.versions)):
        build = state.builds[version]
        if build is not None:
            yield version, build


def _depend(rendering: Rendering, version: str) -> None:
    """Note that the page names files of a version. Once it names one of the decided version's, that one stays."""
    rendering.depends = True
    if rendering.served != rendering.decision.version:
        rendering.served = version


def _href(rendering: Rendering, file: str) -> str:
    return escape(_url(rendering, file))


def _url(rendering: Rendering, file: str) -> str:
    base = rendering.script_name + rendering.state.settings.prefix
    return quote(base.encode("latin-1", "replace")) + quote(file)


def _wire_path(file: str) -> str:
    return "/" + file.encode("utf-8", "surrogatepass").decode("latin-1")


def _report(entry: str) -> None:
    _unknown_entry(
        "no known version has the entry %r in its Vite manifest: check its spelling, and that the build was made with "
        "build.manifest=true",
        entry,
    )
