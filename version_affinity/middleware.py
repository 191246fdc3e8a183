"""``VersionAffinity``: the WSGI middleware, five steps over one state.

1. serve by name: a fingerprinted file, whoever asks, from whichever known version has it
2. decide: the version, by the kind of request
3. app_first: paths that belong to the wrapped application
4. serve: the decided version's file, a rescue, the single-page document, a 404, or the wrapped application
5. finish: caching headers, Vary, trace, cookie
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from .app_first import app_first as compiled_patterns
from .app_first import listed_rules
from .assets.build import ALL_METHODS, APP, FILE, MISSING
from .assets.loading.asset import Asset
from .assets.loading.index import DEFAULT_IGNORE
from .assets.loading.memory import Memory
from .assets.routing import check_handling
from .assets.static import DEFAULT_MEMORY, check_hand_over, check_switch
from .configuration import (
    DEFAULT_NAME,
    check_app,
    check_prefix,
    check_root,
    check_wrapped_once,
    consulted,
    first_state,
    followed_name,
    key_error_log,
    listed_patterns,
    load_build,
    override_cookie,
    pin_cookie,
    warn_of_session_cookie,
)
from .counters import Counters
from .decision.decider import DECISION, VERSION
from .decision.keys import Header, check_keys
from .decision.overrides import DEFAULT_HEADERS, Overrides
from .decision.request import READING, SHOWING, Request, is_for_html, is_of_server, path_of
from .decision.service_workers import configured as service_workers_by
from .deployment import check_name
from .responses.applications import ORIGINAL, answer_preflight, call, no_file, not_allowed, take_conditional
from .responses.exchange import Exchange
from .responses.explanation import explain
from .responses.finish import Finisher
from .responses.override_links import PARAMETER, OverrideLinks
from .responses.route import allowed, look_up
from .responses.serve import FileServer
from .rollout.rollout import Rollout
from .rollout.source import Source
from .rollout.state import Settings, State
from .templating import TemplateFunctions

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .assets.handover import HandOver
    from .counters import Counts
    from .decision.keys import KeySource
    from .deployment import Deployment
    from .responses.explanation import Explanation
    from .responses.headers import DecisionHeaders
    from .rollout.version import Version


class VersionAffinity(TemplateFunctions):
    """Serves several versions of a front end by percentage, and never lets a page miss a file of its own.

    Args:
        app: The WSGI application that gets whatever no version claims; None to serve the versions alone.
        versions: The versions of the first deployment; or a ``Releases``, which the command line changes.
        retained: Versions that have no share any more and are kept for the pages that they have given out.
        name: Part of the hash, of the override header and of the cookie's name. Leave it out beside ``Releases``.
        keys: The key sources; the first that yields something is the version key.
        prefix: The path under which the versions are served. Outside it, everything goes to ``app``.
        app_first: Patterns of paths that go to ``app`` before a file is looked for; see ``patterns.py``.
        unpinned: Patterns of paths by which a page looks for a newer version; None: those that frameworks poll.
        service_workers: Patterns of the paths of service workers' scripts; the pin does not answer what these ask for.
            None: the usual names, and the scripts in builds that handle a service worker's events.
        html_handling, not_found_handling: See ``StaticAssets``.
        cookie: The affinity cookie's name, in which "{name}" stands for ``name``; None: no bucket, no pin.
        secure: Whether the cookie is ``Secure``; None follows wsgi.url_scheme.
        override_headers: The request headers that may force a version.
        override_secret: Signs pins, overrides (``sign_override``) and links (``override_link``): no others count then.
            16 characters or more; of a list, the last one signs, all verify. None: any user may see a staged version.
        fingerprinted: Which files carry their content hash in the name, where no convention tells; see ``scan``.
        memory: How many bytes of file content are held in this process, for all versions together.
        ignore: Patterns of files that are not served; see ``scan``.
        content_types: Adds to the built-in types, or changes them: ``{".mdl": "model/vnd.mdl"}``.
        allow_all_origins: Whether pages of other origins may use the fingerprinted files, such as fonts.
        hand_over: ``XAccelRedirect(…)`` or ``XSendfile(…)`` where the server in front sends large files.
        allow_source: Whether a version's directory may be a project's source directory, which is refused otherwise.
        autorefresh: For development: look at every request whether the directories of versions have changed.
        root: The directory from which relative directories of versions count; the working directory where it is "".

    Raises:
        ConfigurationError: anything that cannot be used, when it is configured and never on a request.

    The decision is in ``environ["version_affinity.decision"]``, its version in ``environ["version_affinity.version"]``.
    """

    def __init__(
        self,
        app: WSGIApplication | None,
        versions: Iterable[Version] | Source,
        *,
        retained: Iterable[Version] = (),
        name: str = DEFAULT_NAME,
        keys: Iterable[KeySource] = (Header("Version-Key"), Header("Cloudflare-Workers-Version-Key")),
        prefix: str = "/",
        app_first: Iterable[str] = (),
        unpinned: Iterable[str] | None = None,
        service_workers: Iterable[str] | None = None,
        html_handling: str = "auto-trailing-slash",
        not_found_handling: str = "none",
        cookie: str | None = "version-affinity-{name}",
        secure: bool | None = None,
        override_headers: Iterable[str] = DEFAULT_HEADERS,
        override_secret: str | bytes | Iterable[str | bytes] | None = None,
        fingerprinted: Callable[[str], bool | None] | str | re.Pattern[str] | None = None,
        memory: int = DEFAULT_MEMORY,
        ignore: Iterable[str] = DEFAULT_IGNORE,
        content_types: Mapping[str, str] | None = None,
        allow_all_origins: bool = False,
        hand_over: HandOver | None = None,
        allow_source: bool = False,
        autorefresh: bool = False,
        root: str | os.PathLike[str] = "",
    ) -> None:
        self._app = check_app(app)
        self._source = versions if isinstance(versions, Source) else None
        root = check_root(root)
        check_name(name)
        if self._source is not None:
            name = followed_name(self._source, root, name, retained=retained, autorefresh=autorefresh)
        check_handling(html_handling, not_found_handling)
        sources = check_keys(keys)
        warn_of_session_cookie(sources)
        self._patterns = listed_rules(app_first)
        self._app_first = compiled_patterns(self._patterns)
        pin = pin_cookie(cookie, name, secure=secure, keys=sources)
        forcing = override_cookie(pin, name, secure=secure)
        overrides = Overrides(name, override_headers, override_secret, forcing)
        self._cookie = None if pin is None else pin.signed(name, overrides.secrets)
        self._counters = Counters()
        held = Memory(memory)
        load = partial(
            load_build,
            root,
            html_handling=html_handling,
            not_found_handling=not_found_handling,
            fingerprinted=fingerprinted,
            memory=held,
            ignore=listed_patterns(ignore),
            content_types=content_types,
            allow_all_origins=allow_all_origins,
            allow_source=allow_source,
        )
        self._finisher = Finisher(consulted(self._cookie, sources, overrides), self._cookie, self._counters, app)
        below = check_prefix(prefix)
        check_wrapped_once(app, VersionAffinity, name, below)
        settings = Settings(
            keys=sources,
            overrides=overrides,
            cookie=self._cookie,
            workers=service_workers_by(below, unpinned, service_workers),
            prefix=below,
            tally_by_name=lambda version: self._counters.tally(version, "asset", "name"),
            log_key_error=key_error_log(),
        )
        self._headers = self._finisher.headers
        links = OverrideLinks(overrides, forcing, self._finisher, self._counters)
        self._links = None if overrides.cookie is None else links
        self._everywhere = settings.prefix == "/"
        self._files = FileServer(self._finisher, self._counters, self._cookie, check_hand_over(hand_over))
        if isinstance(versions, Source):
            state = State.of(settings, versions.load(load), None)
        else:
            state = first_state(settings, name, versions, retained, load)
        self._rollout = Rollout(state, load, held, self._source, (self._finisher.forget, self._counters.forget))
        self._autorefresh = check_switch("autorefresh", autorefresh)

    # The request path.

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: C901, PLR0911, PLR0912 - the five steps, whole
        """Answer a request (PEP 3333)."""
        state = self._rollout.state if not self._autorefresh else self._rollout.refreshed()
        path = environ.get("PATH_INFO") or path_of(environ)
        reading = environ["REQUEST_METHOD"] in READING
        # 1. serve by name
        catalog = state.catalog
        named = catalog.named.get(path)
        if named is None and path in catalog.names:  # as ``named_file`` does it, which would be a call on each request
            named = catalog.make(path)
        if named is not None:
            by_name = self._files.by_name if reading else self._files.preflight_by_name
            body = by_name(state, named, environ, start_response)
            if body is not None:
                return body
        # 2. decide
        exchange = Exchange(environ, self._cookie, state.workers)
        if self._links is not None and PARAMETER in environ.get("QUERY_STRING", ""):
            body = self._links.answer(state, exchange, start_response)
            if body is not None:
                return body
        decision = state.decider.decide(exchange)
        if catalog.guarded and (named := catalog.guarded_file(path, decision.version)) is not None:
            by_name = self._files.by_name if reading else self._files.preflight_by_name
            body = by_name(state, named, environ, start_response)
            if body is not None:
                return body
        environ[VERSION] = decision.version
        environ[DECISION] = decision
        decided = self._headers[exchange.kind][decision]
        if decision.refused:
            self._counters.refused[decision.refused].advance()
            if self._links is not None:
                start_response = self._links.clearing(exchange, start_response)
        # 3. app_first
        local = path if self._everywhere else state.settings.local(path)
        if local is None or self._app_first(path):
            return self._pass_on(state, exchange, decided, start_response)
        # 4. serve, and 5. finish
        build = state.builds[decision.version]
        if build is None:
            return self._dispatch(state, exchange, decided, local, start_response)
        if not reading:
            if answer_preflight(build.preflight(local, environ), decided.count_success, start_response):
                return ()
            if self._app is None:
                methods = ALL_METHODS if named is not None else allowed(local, build, catalog, environ)
                changes = build.changes_at(local, environ)
                return not_allowed(environ, decided, start_response, methods, changes)
            return self._pass_on(state, exchange, decided, start_response)
        at = build.find(local, environ)
        if isinstance(at, Asset):
            return self._files.under_decision(
                state, exchange, decided, FILE, local, at, decision.version, start_response
            )
        found, target, served = look_up(
            at, local, decision.version, build, catalog, environ, has_app=self._app is not None
        )
        if found == APP:
            depends, negotiated = catalog.is_disputed(local, environ), build.shows_page(local, environ)
            return self._pass_on(state, exchange, decided, start_response, depends, negotiated)
        if isinstance(target, Asset):
            return self._files.under_decision(state, exchange, decided, found, local, target, served, start_response)
        if target is not None:
            return self._files.redirect(state, exchange, decided, local, target, start_response)
        changes = build.changes_at(local, environ)
        if found == MISSING:
            body = None if self._source is None else self._arrived(self._source, state, path, environ, start_response)
            if body is not None:
                return body
            return self._files.missing(path, exchange, decided, changes, start_response)
        return no_file(environ, decided, start_response, changes)

    def _arrived(
        self, source: Source, state: State, path: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Send a fingerprinted file of a version that was uploaded a moment ago; None where there is none."""
        source.look()
        after = self._rollout.state
        named = None if after is state else after.catalog.named_file(path)
        return None if named is None else self._files.by_name(after, named, environ, start_response)

    def _pass_on(
        self,
        state: State,
        exchange: Exchange,
        decided: DecisionHeaders,
        start_response: StartResponse,
        depends: bool = False,
        negotiated: bool = False,
    ) -> Iterable[bytes]:
        """Give a request to the wrapped application, and complete its answer."""
        environ = exchange.environ
        app = self._app
        if app is None:
            methods = ALL_METHODS if is_of_server(environ) else ""
            return not_allowed(environ, decided, start_response, methods)
        if (
            exchange.kind in SHOWING
            and ("HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MODIFIED_SINCE" in environ)
            and len(state.versions) > 1
            and is_for_html(exchange)
        ):
            # The copy that the browser holds may be another version's page, whatever the pin says: it follows all tabs.
            take_conditional(environ)
        exchange.begin(state, decided.decision, depends=depends, negotiated=negotiated)
        return call(app, environ, exchange, decided, self._finisher, start_response)

    def _dispatch(
        self, state: State, exchange: Exchange, decided: DecisionHeaders, local: str, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Give a request to the version's own application; its answer is final."""
        environ = exchange.environ
        exchange.begin(state, decided.decision, own=len(state.versions) > 1)
        app = cast("WSGIApplication", state.versions[decided.decision.version].app)
        if not self._everywhere:
            script_name = exchange.script_name
            environ[ORIGINAL] = {"SCRIPT_NAME": script_name, "PATH_INFO": environ.get("PATH_INFO", "")}
            environ["SCRIPT_NAME"] = script_name + state.settings.prefix[:-1]
            environ["PATH_INFO"] = local
        if exchange.own and exchange.method in READING:
            take_conditional(environ)
        return call(app, environ, exchange, decided, self._finisher, start_response)

    # What changes while the application runs.

    @property
    def _state(self) -> State:
        return self._rollout.state

    @property
    def deployment(self) -> Deployment:
        """The current deployment."""
        return self._state.deployment

    @property
    def known(self) -> tuple[str, ...]:
        """The ids of the known versions, in the order in which they became known."""
        return tuple(self._state.versions)

    @property
    def override_secret(self) -> bytes | None:
        """The secret that signs overrides and their links, None without one."""
        return self._state.settings.overrides.secret

    @property
    def prefix(self) -> str:
        """The path under which the versions are served, with "/" at both ends."""
        return self._state.settings.prefix

    @property
    def app_first(self) -> tuple[str, ...]:
        """The patterns of paths that go to the wrapped application first."""
        return self._patterns

    @property
    def source(self) -> Source | None:
        """The ``Releases`` that are followed, None where the versions were listed."""
        return self._source

    def deploy(self, percentages: Mapping[str, float | None]) -> Deployment:
        """Replace the deployment, under running requests; every request sees one or the other. Opens no file.

        Versions that are left out stay known: their pages still get their files.

        Args:
            percentages: Version id to percentage, in sum 100 (within 0.001); None shares the remainder.

        Returns:
            The new deployment.

        Raises:
            ConfigurationError: unusable percentages, an unknown id, or ``Releases``. Nothing has changed then.
        """
        return self._rollout.deploy(percentages)

    def add(self, version: Version) -> None:
        """Make a version known: its files are served by name from now on, and ``deploy`` may give it a share.

        The directory is read before anything changes, so requests are served meanwhile.

        Raises:
            ConfigurationError: a known id, a percentage, an unusable directory, or versions of ``Releases``.
        """
        self._rollout.add(version)

    def retire(self, version: str) -> None:
        """Forget a version that is not in the deployment; its files are not served any more.

        Raises:
            ConfigurationError: it is not known, is in the deployment, or belongs to ``Releases``.
        """
        self._rollout.retire(version)

    def counters(self) -> Counts:
        """Return what this process has counted since it started."""
        return self._counters.read()

    def explain(self, environ: WSGIEnvironment) -> Explanation:
        """Return which version a request would get, and why, step by step. Nothing is served, counted or changed.

        Args:
            environ: The request. It may be made by hand, for example by ``werkzeug.test.create_environ``.
        """
        state, asked = self._state, {"REQUEST_METHOD": "GET", **environ}
        request, again = (Request(asked, self._cookie, state.workers) for _ in range(2))
        explanation = explain(state, request, self._app_first, has_app=self._app is not None)
        return explanation if self._links is None else self._links.explained(state, again, explanation)
