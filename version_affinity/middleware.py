"""``VersionAffinity``: the WSGI middleware. ``__call__`` takes five steps over one immutable state."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from .app_first import FirstPaths
from .assets.http.response import OK
from .assets.loading.ignore import DEFAULT_IGNORE, listed_patterns
from .assets.loading.memory import Memory
from .assets.loading.placeholder import check_missing_build
from .assets.routing import check_handling
from .assets.static import DEFAULT_MEMORY, check_hand_over, check_switch
from .configuration import (
    check_app,
    check_prefix,
    check_root,
    check_wrapped_once,
    consulted,
    first_state,
    followed_name,
    key_error_log,
    load_build,
    override_cookie,
    pin_cookie,
    undeployed,
    warn_of_session_cookie,
    wrapped,
)
from .counters import Counters
from .decision.decider import DECISION, VERSION
from .decision.keys import Header, check_keys
from .decision.overrides import DEFAULT_HEADERS, Overrides
from .decision.request import Request, service_workers_by
from .deployment import DEFAULT_NAME, check_name
from .ramp.failing import FailureNotes
from .responses.applications import Applications, Exchange
from .responses.explanation import explain
from .responses.finish import Finisher
from .responses.override_links import OverrideLinks
from .responses.route import APPLICATIONS, page_answer, route
from .responses.serve import FileServer
from .rollout.rollout import Rollout
from .rollout.state import Settings, State
from .rollout.version import NothingDeployedError, Source
from .templating import TemplateFunctions
from .vite import check_vite
from .wire import path_of

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .assets.handover import HandOver
    from .assets.loading.placeholder import MissingBuild
    from .assets.routing import HtmlHandling, NotFoundHandling
    from .counters import Counts
    from .decision.decider import Decision
    from .decision.keys import KeySource
    from .deployment import Deployment
    from .responses.explanation import Explanation
    from .rollout.catalog import NamedFile
    from .rollout.version import Version

logger = logging.getLogger("version_affinity")


class VersionAffinity(TemplateFunctions):
    """Serves several versions of a front end by percentage; a page always gets the files of its own version.

    Args:
        app: The WSGI application that gets every request that no version answers; None to serve the versions alone.
        versions: The versions of the first deployment, or a ``Releases``, which the command line changes.
        retained: Versions without a share that stay known, for pages that were delivered earlier.
        name: Part of the hash that assigns users, of the override header and of the cookie's name. Leave it out with
            ``Releases``.
        keys: The key sources. The first one that yields a value is the version key.
        prefix: The path under which the versions are served. All other paths go to ``app``.
        app_first: Patterns of paths that go to ``app`` before a file is looked up, such as ``/api/*``. A callable
            without arguments is called for them at the first request.
        unpinned: Patterns of paths that a page polls for a newer version. None: those that frameworks poll.
        service_workers: Patterns of the paths of service workers' scripts, whose requests the pin does not decide.
            None: the usual names, and the scripts in builds that handle a service worker's events.
        html_handling: As in ``StaticAssets``, like ``not_found_handling``, ``ignore`` and ``content_types``.
        cookie: The name of the affinity cookie, in which "{name}" stands for ``name``. None: no bucket and no pin.
        secure: Whether the cookie is Secure. None follows wsgi.url_scheme. Set True behind a TLS proxy that does not
            forward the scheme.
        override_headers: The request headers that may force a version.
        override_secret: Signs pins, overrides (``sign_override``) and links (``override_link``); unsigned ones do not
            count. 16 characters or more. In a list, the last one signs and all of them verify. None: anybody may see
            a staged version.
        fingerprinted: Which further files carry a hash of their content in the name, where no convention says so.
        memory: How many bytes of file content this process holds, for all versions together.
        allow_all_origins: Whether pages of other origins may use the fingerprinted files, such as fonts.
        hand_over: ``XAccelRedirect(...)`` or ``XSendfile(...)`` if the server in front sends large files.
        allow_source: Whether a version's directory may be a project's source directory, which is refused otherwise.
        missing_build: As in ``StaticAssets``. ``placeholder`` also stands in for a ``Releases`` in which nothing is
            deployed yet, until the application starts again.
        vite: For development: the address of Vite's server, such as ``http://localhost:5173``. Tags and URLs for pages
            name its files, and no build needs to exist.
        react_refresh: Whether the front end uses @vitejs/plugin-react, whose preamble the tags then have.
        autorefresh: For development: check on every request whether the versions' directories have changed.
        root: The directory that relative directories of versions start from. "": the working directory.

    Raises:
        ConfigurationError: An option cannot be used. Raised here, never on a request.

    The application finds the decision in ``environ["version_affinity.decision"]``, and the id of its version in
    ``environ["version_affinity.version"]``.

    .. versionadded:: 0.2.0
       ``unpinned``, ``service_workers``, ``allow_source``, ``missing_build``, ``vite`` and ``react_refresh``.

    .. versionchanged:: 0.2.0
       ``override_secret`` has at least 16 characters and signs pins too. A pin counts for every known version, whatever
       its percentage. An application object in place of ``app.wsgi_app`` is refused.

    >>> from version_affinity import Cookie, StaticAssets, Version, VersionAffinity
    >>> versions = [Version("v1", "builds/v1", percentage=90), Version("v2", "builds/v2", percentage=10)]
    >>> app.wsgi_app = VersionAffinity(app.wsgi_app, versions, keys=[Cookie("user_id")])  # doctest: +SKIP
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
        app_first: Iterable[str] | Callable[[], Iterable[str]] = (),
        unpinned: Iterable[str] | None = None,
        service_workers: Iterable[str] | None = None,
        html_handling: HtmlHandling = "auto-trailing-slash",
        not_found_handling: NotFoundHandling = "none",
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
        missing_build: MissingBuild = "error",
        vite: str | None = None,
        react_refresh: bool = False,
        autorefresh: bool = False,
        root: str | os.PathLike[str] = "",
    ) -> None:
        self._app = check_app(app)
        self._source = versions if isinstance(versions, Source) else None
        root = check_root(root)
        check_name(name)
        server = check_vite(vite, react=react_refresh)
        stands_in = check_missing_build(missing_build) or server is not None
        if server is not None:
            logger.warning("pages load their scripts from Vite's development server, %s: not in production", server.url)
        if isinstance(versions, Source):
            try:
                name = followed_name(versions, root, name, retained=retained, autorefresh=autorefresh)
            except NothingDeployedError as error:
                versions = undeployed(error, stands_in=stands_in)
        check_handling(html_handling, not_found_handling)
        sources = check_keys(keys)
        warn_of_session_cookie(sources)
        self.first_paths = FirstPaths(app_first)
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
        if isinstance(versions, Source):
            versions.compare(prefix=prefix, app_first=self.first_paths.given, not_found_handling=not_found_handling)
        settings = Settings(
            keys=sources,
            overrides=overrides,
            cookie=self._cookie,
            workers=service_workers_by(below, unpinned, service_workers),
            prefix=below,
            tally_by_name=lambda version: self._counters.tally(version, "asset", "name"),
            log_key_error=key_error_log(),
            vite=server,
        )
        self._headers = self._finisher.headers
        self._links = (
            None if overrides.cookie is None else OverrideLinks(overrides, forcing, self._finisher, self._counters)
        )
        self._has_app = app is not None
        failures = FailureNotes()
        self._applications = Applications(self._app, self._finisher, failures)
        self._files = FileServer(self._finisher, self._counters, failures, self._cookie, check_hand_over(hand_over))
        if isinstance(versions, Source):
            try:
                state = State.of(settings, versions.load(load), None)
            except NothingDeployedError as error:
                versions = undeployed(error, stands_in=stands_in)
        followed = versions if isinstance(versions, Source) else None
        if not isinstance(versions, Source):
            load = partial(load, missing_build="placeholder" if stands_in else "error")
            state = first_state(settings, name, versions, retained, load)
        forget = [*(headers.forget for headers in self._headers.values()), self._counters.forget]
        self._rollout = Rollout(state, load, held, followed, forget, self._counters.read, failures)
        self._not_found_handling: NotFoundHandling = not_found_handling
        self._autorefresh = check_switch("autorefresh", autorefresh)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        state = self._rollout.refreshed() if self._autorefresh else self._rollout.state
        catalog = state.catalog
        path = environ.get("PATH_INFO") or path_of(environ)
        # 1. Serve by name: a fingerprinted file, from any known version that has it.
        named = catalog.named.get(path) or (catalog.named_file(path) if path in catalog.names else None)
        if named is not None and (body := self._by_name(state, named, environ, start_response)) is not None:
            return body
        # 2. Decide: the version, by the kind of request.
        exchange = Exchange(environ, self._cookie, state.workers)
        if self._links is not None and (body := self._links.answer(state, exchange, start_response)) is not None:
            return body
        decision = state.decider.decide(exchange)
        named = catalog.guarded_file(path, decision.version) if catalog.guarded else None
        if named is not None and (body := self._by_name(state, named, environ, start_response)) is not None:
            return body
        decided = self._headers[exchange.kind][decision]
        environ[VERSION] = version = decided.version
        environ[DECISION] = decision
        if exchange.refused:
            start_response = self._refuse(exchange, decision, start_response)
        # 3. The paths of app_first, and 4. what the path means in the decided version.
        found = route(state, path, version, environ, self.first_paths.matches, self._has_app)
        # 5. Send it, and finish: caching headers, Vary, trace, cookie.
        if found[0] in APPLICATIONS:
            return self._applications.call(state, exchange, decided, found, start_response)
        return self._files.serve(state, exchange, decided, found, start_response)

    def _by_name(
        self, state: State, named: NamedFile, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Send a fingerprinted file; None if no copy of it is left, and for methods that files do not understand."""
        sent = named.answer(environ) or self._files.rare_answer(state, named, environ)
        if sent is None:
            return None
        if not named.owners & state.not_rescues:
            self._files.count_rescue(state, named, environ)
        status, headers, body = sent
        if status is OK:
            named.count_ok()
        else:
            named.tally[status[0]].advance()
        start_response(status, headers)
        return body

    def _refuse(self, exchange: Exchange, decision: Decision, start_response: StartResponse) -> StartResponse:
        """Count an override that was refused, and remove the cookie of a link that is not valid any more."""
        self._counters.refused[decision.refused].advance()
        return start_response if self._links is None else self._links.clearing(exchange, start_response)

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
        """The secret that signs overrides and their links; None without one."""
        secrets = self._state.settings.overrides.secrets
        return secrets[-1] if secrets else None

    @property
    def prefix(self) -> str:
        """The path under which the versions are served, with "/" at both ends."""
        return self._state.settings.prefix

    @property
    def app_first(self) -> tuple[str, ...]:
        """The patterns of paths that go to the wrapped application first."""
        return self.first_paths.patterns

    @property
    def not_found_handling(self) -> NotFoundHandling:
        """What answers a path that no file of a version has."""
        return self._not_found_handling

    @property
    def source(self) -> Source | None:
        """The ``Releases`` that are followed; None where the versions were listed."""
        return self._source

    def deploy(self, percentages: Mapping[str, float | None]) -> Deployment:
        """Replace the deployment. Running requests see either the old or the new one; no file is opened.

        Versions that are left out stay known, so that their pages still get their files.

        Args:
            percentages: Version id to percentage. The sum is 100 (within 0.001); None shares the remainder.

        Raises:
            ConfigurationError: The percentages cannot be used, an id is unknown, or the versions are those of
                ``Releases``. Nothing has changed then.
        """
        return self._rollout.deploy(percentages)

    def add(self, version: Version) -> None:
        """Make a version known: its files are served by name, and ``deploy`` may give it a share.

        Requests are served while its directory is read.

        Raises:
            ConfigurationError: The id is known, the version has a percentage, its directory cannot be used, or the
                versions are those of ``Releases``.
        """
        self._rollout.add(version)

    def retire(self, version: str) -> None:
        """Forget a version that is not in the deployment. Its files are not served any more.

        Raises:
            ConfigurationError: The version is not known, is in the deployment, or is one of ``Releases``.
        """
        self._rollout.retire(version)

    def counters(self) -> Counts:
        """Return the counters of this process since its start."""
        return self._counters.read()

    def explain(self, environ: WSGIEnvironment) -> Explanation:
        """Return which version a request would get, and why. Nothing is served, counted or changed.

        Args:
            environ: The request, for example made by ``werkzeug.test.create_environ``.
        """
        state, asked = self._state, {"REQUEST_METHOD": "GET", **environ}
        request, again = (Request(asked, self._cookie, state.workers) for _ in range(2))
        explanation = explain(state, request, self.first_paths.matches, has_app=self._has_app)
        return explanation if self._links is None else self._links.explained(state, again, explanation)

    def page_answers(self, path: str, app_first: Callable[[str], bool]) -> dict[str, str]:
        """Return what answers a browser that opens a path (as in ``PATH_INFO``), by version that has users.

        The values are those of ``Explanation.answer``. ``app_first`` is what the option says of paths.
        """
        state = self._state
        live = (version for version, percentage in state.deployment.percentages.items() if percentage)
        return {version: page_answer(state, path, version, app_first, self._has_app) for version in live}


def find_affinity(app: object) -> VersionAffinity | None:
    """Return the ``VersionAffinity`` that an application is or has behind other middleware; None without one."""
    return next((around for around in wrapped(app) if isinstance(around, VersionAffinity)), None)
