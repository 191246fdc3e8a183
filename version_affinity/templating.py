"""URLs and HTML tags of the decided version's files, for pages that the application renders itself.

They come from the version's Vite manifest, or in development from Vite's own server. Using any of these functions marks
the response as depending on the version, so that no shared cache keeps it and the page pin follows it. They must run
before the response's headers are sent.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from .responses.applications import Exchange
from .rollout.state import EXCHANGE
from .vite import OF_SCRIPTS, tag
from .wire import quoted_as_browsers, wsgi_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.build import Build
    from .assets.loading.manifests import ViteManifest
    from .decision.cookies import PinCookie
    from .rollout.state import State
    from .vite import Attributes

_LISTED: Final = 20  # entries of each version that an error names
# Attributes that follow from the entry.
_OWN: Final = frozenset(("src", "href", "rel"))
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_:@][A-Za-z0-9_:.-]*")


class Tags(str):
    """HTML that template engines do not escape again."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the HTML as it is."""
        return str(self)


class TemplateFunctions:
    """The methods of ``VersionAffinity`` for pages that the application renders.

    They also work for a request that did not come through the middleware, such as in a test client: then they decide on
    the spot.
    """

    _autorefresh: bool
    _cookie: PinCookie | None

    @property
    def _state(self) -> State:
        raise NotImplementedError

    def exchange(self, environ: WSGIEnvironment) -> Exchange:
        """Return the request that an environ belongs to, with its decision; decides now if there is none yet."""
        state = self._state
        exchange = environ.get(state.settings.exchange_key)
        if not isinstance(exchange, Exchange) or exchange.state.settings is not state.settings:
            environ.setdefault("REQUEST_METHOD", "GET")
            exchange = Exchange(environ, self._cookie, state.workers)
            exchange.begin(state, state.decider.decide(exchange))
        return exchange

    def page(self, environ: WSGIEnvironment, *, debug: bool = False) -> Page:
        """Return the page of a request. Mistakes are errors with ``debug``, ``autorefresh`` and Django's debug mode."""
        django = getattr(sys.modules.get("django.conf"), "settings", None)
        is_django = django is not None and django.configured and django.DEBUG
        return Page(self.exchange(environ), debug or self._autorefresh or bool(is_django))

    def current_version(self, environ: WSGIEnvironment) -> str:
        """Return the id of the version that was decided for this request, and mark the response as depending on it.

        Args:
            environ: The request's environ: ``request.environ`` in Flask, ``request.META`` in Django.

        .. versionadded:: 0.2.0
        """
        return self.page(environ).version()

    def asset_url(self, environ: WSGIEnvironment, path: str) -> str:
        """Return the URL of a file in the decided version.

        Args:
            environ: The request's environ.
            path: A source file that the Vite manifest lists ("src/main.ts"), or a file of the build ("logo.svg").

        Raises:
            LookupError: no version has it, and this is development: ``autorefresh``, or the framework's debug mode.

        .. versionadded:: 0.2.0
        """
        return self.page(environ).url(path)

    def asset_tags(self, environ: WSGIEnvironment, entry: str, **attributes: str | bool | None) -> Tags:
        """Return the HTML tags that load an entry in the decided version: style sheets, the script, its preloads.

        ``integrity`` comes from the manifest, if a plugin writes it there. An entry of @vitejs/plugin-legacy is a
        ``nomodule`` script.

        Args:
            environ: The request's environ.
            entry: A source file that the Vite manifest lists, for example "src/main.ts".
            **attributes: Attributes of every tag, such as ``nonce="..."`` and ``data_turbo_track="reload"``: "_" stands
                for "-". True writes the name alone; None or False leaves the attribute out, and so does an empty
                nonce.

        Raises:
            LookupError: no version has the entry, and this is development.

        .. versionadded:: 0.2.0
        """
        return self.page(environ).tags(entry, attributes)


def current_version(environ: WSGIEnvironment) -> str:
    """Do what ``VersionAffinity.current_version`` does, for a request that came through the middleware."""
    return page_of(environ).version()


def asset_url(environ: WSGIEnvironment, path: str) -> str:
    """Do what ``VersionAffinity.asset_url`` does, for a request that came through the middleware."""
    return page_of(environ).url(path)


def asset_tags(environ: WSGIEnvironment, entry: str, **attributes: str | bool | None) -> Tags:
    """Do what ``VersionAffinity.asset_tags`` does, for a request that came through the middleware.

    .. versionchanged:: 0.2.0
       Takes attributes of the tags, such as ``nonce="..."``.
    """
    return page_of(environ).tags(entry, attributes)


def page_of(environ: WSGIEnvironment, *, debug: bool = False) -> Page:
    """Return the page of a request that came through a ``VersionAffinity``, or raise ``LookupError``."""
    exchange: Exchange | None = environ.get(EXCHANGE)
    if exchange is None:
        raise LookupError(
            "this request did not come through VersionAffinity: call the method of the VersionAffinity, such as "
            "affinity.asset_tags(environ, ...), which decides now; or wrap the application (app.wsgi_app = "
            "VersionAffinity(app.wsgi_app, ...)), and pass the environ that it was called with",
        )
    return Page(exchange, debug)


@dataclass(slots=True)
class Page:
    """A page that the application renders: the URLs and tags of its version's files.

    A mistake raises ``LookupError`` with ``debug``; else it is logged.
    """

    _exchange: Exchange
    _debug: bool

    def version(self) -> str:
        """Return the id of the decided version."""
        self._depend("")
        return self._exchange.decision.version

    def url(self, path: str) -> str:
        """Return the URL of a file or entry."""
        vite = self._exchange.state.settings.vite
        if vite is not None:
            self._depend("")
            return vite.file(path)
        for version, build in self._builds():
            manifest = build.index.manifest
            chunk = manifest.entry(path) if manifest is not None else None
            file = chunk.file if chunk is not None else path.lstrip("/")
            if chunk is not None or f"/{wsgi_text(file)}" in build.index.assets:
                self._depend(version)
                return self._url(file)
        self._report_missing(path, "file or entry")
        return self._url(path.lstrip("/"))

    def tags(self, entry: str, attributes: Attributes) -> Tags:
        """Return the tags of an entry."""
        vite = self._exchange.state.settings.vite
        if vite is not None:
            self._depend("")
            return Tags(vite.tags(entry, self._named(attributes)))
        for version, build in self._builds():
            manifest = build.index.manifest
            closure = None if manifest is None else manifest.closure(entry)
            if manifest is None or closure is None:
                continue
            self._depend(version)
            make = partial(self._tag, manifest, self._named(attributes))
            file, sheets, preloads = closure
            if manifest.is_legacy(entry):
                # SystemJS, which the polyfills load, starts what such a script registers.
                return Tags(make("script", file, nomodule=True, crossorigin=True))
            tags = [make("link", sheet, rel="stylesheet") for sheet in sheets]
            if file.endswith(".css"):
                tags.append(make("link", file, rel="stylesheet"))
            else:
                tags.append(make("script", file, type="module", crossorigin=True))
            tags += [make("link", preload, rel="modulepreload", crossorigin=True) for preload in preloads]
            return Tags("\n".join(tags))
        self._report_missing(entry, "entry")
        return Tags()

    def _tag(
        self, manifest: ViteManifest, given: Attributes, element: str, file: str, /, **own: str | bool | None
    ) -> str:
        is_script = element == "script"
        attributes = {**own, "src" if is_script else "href": self._url(file)}
        if file in manifest.integrity:
            attributes["integrity"] = manifest.integrity[file]
        attributes |= {name: value for name, value in given.items() if is_script or name not in OF_SCRIPTS or not value}
        return tag(element, attributes)

    def _named(self, attributes: Attributes) -> dict[str, str | bool | None]:
        """Return attributes by their names in HTML; a name that HTML does not allow is left out and reported."""
        named = {name.strip("_").replace("_", "-"): value for name, value in attributes.items()}
        for name in list(named):
            if not _ATTRIBUTE.fullmatch(name):
                self._report(
                    f"asset_tags got {name!r}, which is not an attribute's name: write letters, digits and '_'"
                )
        return {name: value for name, value in named.items() if _ATTRIBUTE.fullmatch(name) and name.lower() not in _OWN}

    def _builds(self) -> Iterator[tuple[str, Build]]:
        """Yield the builds in which an entry is looked for: the decided version's, the baseline's, then all others.

        During a rollout one template serves several builds, and an entry may be new in one of them. A page with another
        version's entry is that version's page; a page without its script is broken. Staged versions are left out.
        """
        state = self._exchange.state
        others = (version for version in state.versions if version in state.published)
        for version in dict.fromkeys((self._exchange.decision.version, state.baseline, *others)):
            build = state.builds[version]
            if build is not None:
                yield version, build

    def _depend(self, version: str) -> None:
        """Note that the response depends on the decision, and names files of a version, if given.

        Once the response names a file of the decided version, that stays.
        """
        exchange = self._exchange
        served = exchange.served
        if version and served != exchange.decision.version:
            served = version
        noted = exchange.depends and (not served or served in (exchange.served, exchange.decision.version))
        if exchange.counted and not noted:
            exchange.state.settings.late_tags(
                "asset_tags, asset_url or current_version ran for the first time after the headers of its response "
                "were sent, as in a streamed template: the response may not be marked as depending on the version. "
                "Call current_version() before the response starts. This is logged once"
            )
        exchange.depends = True
        exchange.served = served

    def _url(self, file: str) -> str:
        base = self._exchange.script_name + self._exchange.state.settings.prefix
        return quoted_as_browsers(base + wsgi_text(file))

    def _report_missing(self, name: str, what: str) -> None:
        """Report a file or entry that no version has, and the entries that there are."""
        known = []
        for version, build in self._builds():
            manifest = build.index.manifest
            if build.index.placeholder is not None:
                self._depend("")
                return  # it may be in a build that does not exist yet
            if manifest is None:
                known.append(f"{version} has no Vite manifest (build it with build.manifest=true)")
            else:
                entries = list(manifest.entries)
                more = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
                known.append(f"{version} has {', '.join(map(repr, entries[:_LISTED]))}{more}")
        self._report(f"no version has the {what} {name!r}: check its spelling. Entries: {'; '.join(known) or 'none'}")

    def _report(self, message: str) -> None:
        if self._debug:
            raise LookupError(message)
        self._exchange.state.settings.faulty_tags("%s", message)
