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
    from .decision import Decision
    from .state import State

#: Where the environ holds the ``Rendering``.
RENDERING = "version_affinity.rendering"

_unknown_entry = LimitedLog(logging.ERROR)


class Rendering:
    """What a page that the application renders depends on; one for each request that is passed on to it.

    Attributes:
        state: The versions and the deployment, as they were when the request came.
        decision: The request's decision.
        served: The version whose files the page names, "" while it depends on none.
    """

    __slots__ = ("decision", "served", "state")

    def __init__(self, state: State, decision: Decision) -> None:
        self.state = state
        self.decision = decision
        self.served = ""

    def depend(self, version: str) -> None:
        """Note that the page names files of a version. The decided one, once named, stays."""
        if self.served != self.decision.version:
            self.served = version

    def builds(self) -> Iterator[tuple[str, StaticAssets]]:
        """Return the builds to look for an entry in: the decided version's first, then the baseline's, then all.

        During a rollout one template serves several builds, and an entry may be new in one of them. A page with another
        version's entry is that version's page; a page without its script is a broken one.
        """
        state = self.state
        for version in dict.fromkeys((self.decision.version, state.baseline, *state.versions)):
            build = state.builds[version]
            if build is not None:
                yield version, build


def rendering_of(environ: WSGIEnvironment) -> Rendering:
    """Return a request's ``Rendering``.

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


def current_version(environ: WSGIEnvironment) -> str:
    """Return the id of the version that was decided for this request, and mark the response as depending on it."""
    return version_of(rendering_of(environ))


def asset_url(environ: WSGIEnvironment, entry: str) -> str:
    """Return the URL of a file in the decided version.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists ("src/main.ts"), or a file of the build ("logo.svg").
    """
    return url_of(environ, rendering_of(environ), entry)


def asset_tags(environ: WSGIEnvironment, entry: str) -> str:
    """Return the HTML tags that load an entry in the decided version: stylesheets, the script, its preloads.

    Args:
        environ: The request's environ, as the application got it.
        entry: A source file that the Vite manifest lists as an entry, for example "src/main.ts".
    """
    return tags_of(environ, rendering_of(environ), entry)


def version_of(rendering: Rendering) -> str:
    """Do the work of ``current_version``."""
    rendering.served = rendering.served or rendering.decision.version
    return rendering.decision.version


def url_of(environ: WSGIEnvironment, rendering: Rendering, entry: str) -> str:
    """Do the work of ``asset_url``."""
    for version, build in rendering.builds():
        manifest = build.index.manifest
        chunk = manifest.entry(entry) if manifest is not None else None
        file = chunk.file if chunk is not None else entry.removeprefix("/")
        if chunk is not None or _wire_path(file) in build.index.assets:
            rendering.depend(version)
            return _url(environ, rendering, file)
    _report(entry)
    return _url(environ, rendering, entry.removeprefix("/"))


def tags_of(environ: WSGIEnvironment, rendering: Rendering, entry: str) -> str:
    """Do the work of ``asset_tags``."""
    for version, build in rendering.builds():
        manifest = build.index.manifest
        closure = None if manifest is None else manifest.closure(entry)
        if closure is None:
            continue
        rendering.depend(version)
        file, stylesheets, preloads = closure
        lines = [f'<link rel="stylesheet" href="{_href(environ, rendering, sheet)}">' for sheet in stylesheets]
        if file.endswith(".css"):
            lines.append(f'<link rel="stylesheet" href="{_href(environ, rendering, file)}">')
        else:
            lines.append(f'<script type="module" crossorigin src="{_href(environ, rendering, file)}"></script>')
        lines += [
            f'<link rel="modulepreload" crossorigin href="{_href(environ, rendering, preload)}">'
            for preload in preloads
        ]
        return "\n".join(lines)
    _report(entry)
    return ""


def _href(environ: WSGIEnvironment, rendering: Rendering, file: str) -> str:
    return escape(_url(environ, rendering, file))


def _url(environ: WSGIEnvironment, rendering: Rendering, file: str) -> str:
    # Both are WSGI text: bytes decoded as latin-1 (PEP 3333).
    base: str = environ.get("SCRIPT_NAME", "") + rendering.state.settings.prefix
    return quote(base.encode("latin-1", "replace")) + quote(file)


def _wire_path(file: str) -> str:
    return "/" + file.encode("utf-8", "surrogatepass").decode("latin-1")


def _report(entry: str) -> None:
    _unknown_entry(
        "no known version has the entry %r in its Vite manifest: check its spelling, and that the build was made with "
        "build.manifest=true",
        entry,
    )
