"""The routes of a Flask application: their patterns for ``app_first``, and what answers them in a browser."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from .assets.build import DOCUMENT, NOT_BUILT
from .wire import wsgi_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask import Flask
    from werkzeug.routing import Rule

    from .middleware import VersionAffinity

logger = logging.getLogger("version_affinity")

_VARIABLE: Final = re.compile(r"<([^<>]*)>")
# Values of Werkzeug's converters; those of the others take the variable's name.
_EXAMPLES: Final = {"int": "1", "float": "1.5", "uuid": "00000000-0000-0000-0000-000000000000"}
_HIDING: Final = frozenset((DOCUMENT, NOT_BUILT))
_LISTED: Final = 10  # routes that the warning names


class RouteAnswer(NamedTuple):
    """What answers a route in a browser."""

    rule: str
    endpoint: str
    methods: tuple[str, ...]
    path: str  # an example
    app_first: bool
    answers: Mapping[str, str]  # by version that has users; empty for a route without GET
    hidden: bool  # a browser gets the single-page document in its place; not so for routes of the front end's paths

    def as_dict(self) -> dict[str, object]:
        """Return the route for JSON."""
        return {**self._asdict(), "methods": list(self.methods), "answers": dict(self.answers)}


def flask_routes(app: Flask) -> list[str]:
    """Return the patterns of an application's own routes, for ``app_first``.

    A variable becomes ``*``, which also matches "/": ``/users/<int:id>`` becomes ``/users/*``. Left out are ``/`` and
    routes that begin with a variable and have no fixed segment, such as ``/<path:path>``, which would hide the front
    end; and routes without GET, because other methods reach the application anyway.

        init_app(app, versions, app_first=flask_routes)
        init_app(app, versions, app_first=[flask_routes, "/ws/*", "!/admin/preview/*"])

    Given so, it is called at the first request, when all routes are registered.

    .. versionadded:: 0.2.0
    """
    rules = [rule.rule for rule in app.url_map.iter_rules() if _is_readable(rule) and not _is_catch_all(rule.rule)]
    found = [pattern for rule in rules for pattern in _patterns(rule)]
    starts = {pattern[:-1] for pattern in found if pattern.endswith("*")}
    return [
        pattern
        for pattern in dict.fromkeys(found)
        if not any(pattern.startswith(start) and pattern != f"{start}*" for start in starts)
    ]


def route_answers(app: Flask, affinity: VersionAffinity, is_first: Callable[[str], bool]) -> Iterator[RouteAnswer]:
    """Yield what answers each route in a browser. ``is_first`` says which paths ``app_first`` names."""
    for rule in app.url_map.iter_rules():
        path = _VARIABLE.sub(_example, rule.rule)
        info = wsgi_text(path)
        answers = affinity.page_answers(info, is_first) if _is_readable(rule) else {}
        methods = tuple(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        hidden = not _HIDING.isdisjoint(answers.values()) and not _is_catch_all(rule.rule)
        yield RouteAnswer(rule.rule, rule.endpoint, methods, path, is_first(info), answers, hidden)


def warn_of_hidden_routes(app: Flask, affinity: VersionAffinity, is_first: Callable[[str], bool]) -> None:
    """Log the routes that a browser never reaches, because it gets the single-page document."""
    has_static = app.static_folder is not None and Path(app.static_folder).is_dir()
    hidden = {
        route.rule: DOCUMENT in route.answers.values()
        for route in route_answers(app, affinity, is_first)
        if route.hidden and (has_static or route.endpoint != "static")
    }
    if hidden:
        more = f" and {len(hidden) - _LISTED} more" if len(hidden) > _LISTED else ""
        logger.warning(
            "the single-page document hides routes of the application: a browser that opens %s%s gets %s. "
            "Name the paths in app_first, or all routes: init_app(..., app_first=flask_routes). `flask affinity "
            "routes` shows what answers each route",
            ", ".join(list(hidden)[:_LISTED]),
            more,
            "the page of the front end, with status 200"
            if any(hidden.values())
            else "a page that says how to build the front end, with status 503, and later the page of the front end",
        )


def _is_readable(rule: Rule) -> bool:
    """Return whether a browser can open a rule's paths."""
    return not (rule.build_only or rule.websocket) and (rule.methods is None or "GET" in rule.methods)


def _is_catch_all(rule: str) -> bool:
    """Return whether a rule is for the front end's own paths: "/", or variables without a fixed segment before."""
    pattern = _VARIABLE.sub("*", rule)
    return pattern == "/" or (pattern.startswith("/*") and all("*" in part for part in pattern.split("/") if part))


def _patterns(rule: str) -> tuple[str, ...]:
    """Return a rule as patterns; Flask redirects a path without the last slash of its rule."""
    fixed = _VARIABLE.split(rule)[::2]
    pattern = "*".join(part.replace("%", "%25").replace("*", "%2A") for part in fixed)
    return (pattern, pattern[:-1]) if pattern.endswith("/") else (pattern,)


def _example(variable: re.Match[str]) -> str:
    converter, _, name = variable[1].rpartition(":")
    kind, _, arguments = converter.partition("(")
    if kind == "any":
        return arguments.rstrip(")").split(",")[0].strip("\"' ")
    return _EXAMPLES.get(kind, name)
