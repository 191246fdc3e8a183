"""URLs and HTML tags of the decided version's files, for pages that the application renders itself.

They read the version's Vite manifest. Using any of them marks the response as depending on the version, so that it is
not kept in a shared cache and the page pin follows it. That must happen before the response's headers are sent.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING, Final

from .responses.applications import EXCHANGE, Exchange
from .wire import quoted_as_browsers, wsgi_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from .assets.build import Build
    from .assets.loading.manifests import ViteManifest
    from .decision.cookies import PinCookie
    from .rollout.state import State

_LISTED: Final = 20  # entries that an error names of each version; the rest is counted
# Attributes that a <link> does not have, or that are those of one file.
_OF_SCRIPTS: Final = frozenset(("async", "defer", "nomodule", "type", "integrity"))
# Attributes that follow from the entry alone.
_OWN: Final = frozenset(("src", "href", "rel"))
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_:@][A-Za-z0-9_:.-]*")


class Tags(str):
    """HTML that template engines do not escape again."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the HTML as it is."""
        return str(self)


class TemplateFunctions(ABC):
    """The methods of ``VersionAffinity`` for pages that the application renders.

    They also work where the request did not come through the middleware, such as in a test client: then they decide on
    the spot.
    """

    _autorefresh: bool
    _cookie: PinCookie | None

    @property
    @abstractmethod
    def _state(self) -> State: ...

    def exchange(self, environ: WSGIEnvironment) -> Exchange:
        """Return what a response to an environ depends on; decided now if it did not come through here."""
        state = self._state
        exchange = environ.get(state.settings.exchange_key)
        if not isinstance(exchange, Exchange) or exchange.state.settings is not state.settings:
            environ.setdefault("REQUEST_METHOD", "GET")
            exchange = Exchange(environ, self._cookie, state.workers)
            exchange.begin(state, state.decider.decide(exchange))
        return exchange

    @property
    def debug(self) -> bool:
        """Whether a mistake in a template raises an error: with ``autorefresh``, and in Django's debug mode."""
        module = sys.modules.get("django.conf")
        django = getattr(module, "settings", None)
        return self._autorefresh or bool(django is not None and django.configured and django.DEBUG)

    def current_version(self, environ: WSGIEnvironment) -> str:
        """Return the id of the version that was decided for this request, and mark the response as depending on it.

        Args:
            environ: The request's environ: ``request.environ`` in Flask, ``request.META`` in Django.
        """
        return version_of(self.exchange(environ))

    def asset_url(self, environ: WSGIEnvironment, path: str) -> str:
        """Return the URL of a file in the decided version.

        Args:
            environ: The request's environ.
            path: A source file that the Vite manifest lists ("src/main.ts"), or a file of the build ("logo.svg").

        Raises:
            LookupError: no version has it, and this is development: ``autorefresh``, or the framework's debug mode.
        """
        return url_of(self.exchange(environ), path, debug=self.debug)

    def asset_tags(self, environ: WSGIEnvironment, entry: str, **attributes: str | bool | None) -> Tags:
        """Return the HTML tags that load an entry in the decided version: style sheets, the script, its preloads.

        ``integrity`` comes from the manifest, where a plugin writes it there. An entry of @vitejs/plugin-legacy is a
        ``nomodule`` script.

        Args:
            environ: The request's environ.
            entry: A source file that the Vite manifest lists, for example "src/main.ts".
            **attributes: Attributes of every tag, such as ``nonce="..."`` and ``data_turbo_track="reload"``: "_" stands
                for "-". True writes the name alone; None or False leaves the attribute out.

        Raises:
            LookupError: no version has the entry, and this is development.
        """
        return tags_of(self.exchange(environ), entry, attributes, debug=self.debug)


def current_version(environ: WSGIEnvironment) -> str:
    """Do what ``VersionAffinity.current_version`` does, for a request that came through the middleware."""
    return version_of(exchange_of(environ))


def asset_url(environ: WSGIEnvironment, path: str) -> str:
    """Do what ``VersionAffinity.asset_url`` does, for a request that came through the middleware."""
    return url_of(exchange_of(environ), path)


def asset_tags(environ: WSGIEnvironment, entry: str, **attributes: str | bool | None) -> Tags:
    """Do what ``VersionAffinity.asset_tags`` does, for a request that came through the middleware."""
    return tags_of(exchange_of(environ), entry, attributes)


def version_of(exchange: Exchange) -> str:
    """Do the work of ``current_version``."""
    _depend(exchange, "")
    return exchange.decision.version


def url_of(exchange: Exchange, path: str, *, debug: bool = False) -> str:
    """Do the work of ``asset_url``."""
    for version, build in _builds(exchange):
        manifest = build.index.manifest
        chunk = manifest.entry(path) if manifest is not None else None
        file = chunk.file if chunk is not None else path.lstrip("/")
        if chunk is not None or f"/{wsgi_text(file)}" in build.index.assets:
            _depend(exchange, version)
            return _url(exchange, file)
    _report(exchange, path, "file or entry", debug=debug)
    return _url(exchange, path.lstrip("/"))


def tags_of(
    exchange: Exchange, entry: str, attributes: Mapping[str, str | bool | None], *, debug: bool = False
) -> Tags:
    """Do the work of ``asset_tags``."""
    for version, build in _builds(exchange):
        manifest = build.index.manifest
        closure = None if manifest is None else manifest.closure(entry)
        if manifest is None or closure is None:
            continue
        _depend(exchange, version)
        made = _Made(exchange, manifest, _named(exchange, attributes, debug=debug))
        file, sheets, preloads = closure
        if manifest.is_legacy(entry):
            # SystemJS, which the polyfills bring, starts what such a script registers.
            return Tags(made.script(file, nomodule=True, crossorigin=True))
        lines = [made.link("stylesheet", sheet) for sheet in sheets]
        if file.endswith(".css"):
            lines.append(made.link("stylesheet", file))
        else:
            lines.append(made.script(file, type="module", crossorigin=True))
        lines += [made.link("modulepreload", preload, crossorigin=True) for preload in preloads]
        return Tags("\n".join(lines))
    _report(exchange, entry, "entry", debug=debug)
    return Tags()


def exchange_of(environ: WSGIEnvironment) -> Exchange:
    """Return what an environ was decided as.

    Raises:
        LookupError: the request did not come through a ``VersionAffinity``.
    """
    exchange: Exchange | None = environ.get(EXCHANGE)
    if exchange is None:
        raise LookupError(
            "this request did not come through VersionAffinity: call the method of the VersionAffinity, such as "
            "affinity.asset_tags(environ, ...), which decides now; or wrap the application (app.wsgi_app = "
            "VersionAffinity(app.wsgi_app, ...)), and pass the environ that it was called with",
        )
    return exchange


class _Made:
    """Makes the tags of one call."""

    def __init__(self, exchange: Exchange, manifest: ViteManifest, attributes: Mapping[str, str | bool | None]) -> None:
        self._exchange = exchange
        self._integrity = manifest.integrity
        self._attributes = attributes

    def link(self, relation: str, file: str, **more: bool) -> str:
        given = {name: value for name, value in self._attributes.items() if name not in _OF_SCRIPTS or not value}
        return f"<link{self._written(file, {'rel': relation, **more}, 'href', given)}>"

    def script(self, file: str, **own: str | bool) -> str:
        return f"<script{self._written(file, own, 'src', self._attributes)}></script>"

    def _written(
        self,
        file: str,
        own: Mapping[str, str | bool],
        address: str,
        given: Mapping[str, str | bool | None],
    ) -> str:
        integrity = {"integrity": self._integrity[file]} if file in self._integrity else {}
        attributes = {**own, address: _url(self._exchange, file), **integrity, **given}
        return "".join(
            f" {name}" if value is True else f' {name}="{escape(str(value))}"'
            for name, value in attributes.items()
            if value is not None and value is not False
        )


def _named(
    exchange: Exchange, attributes: Mapping[str, str | bool | None], *, debug: bool
) -> dict[str, str | bool | None]:
    """Return attributes by their names in HTML; what cannot be a name is left out, or an error in development."""
    names = {name.strip("_").replace("_", "-"): value for name, value in attributes.items()}
    named = {name: value for name, value in names.items() if name.lower() not in _OWN}
    for name in [name for name in named if not _ATTRIBUTE.fullmatch(name)]:
        message = f"asset_tags got {name!r}, which is not an attribute's name: write letters, digits and '_'"
        _fault(exchange, message, debug=debug)
        del named[name]
    return named


def _builds(exchange: Exchange) -> Iterator[tuple[str, Build]]:
    """Return the builds to look for an entry in: the decided version's first, then the baseline's, then all others.

    During a rollout one template serves several builds, and an entry may be new in one of them. A page with another
    version's entry is that version's page; a page without its script is a broken one. A staged version's entries are
    for those who are on it.
    """
    state = exchange.state
    others = (version for version in state.versions if version in state.published)
    for version in dict.fromkeys((exchange.decision.version, state.baseline, *others)):
        build = state.builds[version]
        if build is not None:
            yield version, build


def _depend(exchange: Exchange, version: str) -> None:
    """Note that the response depends on the decision, and, if that is given, which version's files it names.

    Once it names one of the decided version's, that one stays.
    """
    served = exchange.served
    if version and served != exchange.decision.version:
        served = version
    told = exchange.depends and (not served or served in (exchange.served, exchange.decision.version))
    if exchange.counted and not told:
        _report_late(exchange)
    exchange.depends = True
    exchange.served = served


def _report_late(exchange: Exchange) -> None:
    """Report, once, that a response was marked when its headers had been sent."""
    exchange.state.settings.late_tags(
        "asset_tags, asset_url or current_version ran for the first time after the headers of its response were sent, "
        "as in a streamed template: the response may not be marked as depending on the version. Call current_version() "
        "before the response starts. This is logged once"
    )


def _url(exchange: Exchange, file: str) -> str:
    base = exchange.script_name + exchange.state.settings.prefix
    return quoted_as_browsers(base + wsgi_text(file))


def _report(exchange: Exchange, name: str, what: str, *, debug: bool) -> None:
    """Report a file or entry that no version has, and those that there are."""
    known = []
    for version, build in _builds(exchange):
        manifest = build.index.manifest
        if manifest is None:
            known.append(f"{version} has no Vite manifest (build it with build.manifest=true)")
        else:
            known.append(f"{version} has {_listed(manifest.entries)}")
    _fault(
        exchange,
        f"no version has the {what} {name!r}: check its spelling. Entries: {'; '.join(known) or 'none'}",
        debug=debug,
    )


def _fault(exchange: Exchange, message: str, *, debug: bool) -> None:
    if debug:
        raise LookupError(message)
    exchange.state.settings.faulty_tags("%s", message)


def _listed(entries: Iterable[str]) -> str:
    names = list(entries)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
