"""A pytest plugin: ``httplint`` looks at the answers that tests get, and a note that is not accepted fails the test.

It sees each distinct answer that a ``StaticAssets`` or a ``VersionAffinity`` gives in this process, once; about a
millisecond each.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.linting import Exchange, lint
from version_affinity import StaticAssets, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: What is not said here: the files of tests are seldom what their names promise.
_STAND_INS = "CONTENT_TYPE_MISMATCH"
_BUCKET = re.compile(r"=[0-9]+\.")

#: How many answers were linted, by status code.
linted: Counter[str] = Counter()
_seen: set[int] = set()
_found: list[str] = []
_wrapped: list[tuple[type, Any]] = []


def pytest_configure() -> None:
    """Begin to look at every answer."""
    for application in (StaticAssets, VersionAffinity):
        _wrapped.append((application, application.__call__))
        application.__call__ = _observed(application.__call__)  # type: ignore[method-assign]


def pytest_unconfigure() -> None:
    """End it."""
    while _wrapped:
        application, call = _wrapped.pop()
        application.__call__ = call  # type: ignore[operator]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test whose answers have faults."""
    _found.clear()
    result = yield
    if _found and item.get_closest_marker("unlinted") is None:
        pytest.fail("httplint: " + "\n".join(_found), pytrace=False)
    return result


def _observed(call: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    @wraps(call)
    def observed(self: object, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ.copy()
        answers: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            answers.append((status, headers.copy()))
            return start_response(status, headers, *exc_info)

        body = call(self, environ, start)
        if answers:
            # The iterable goes to the caller as it is; only what can be read twice is read here.
            _observe(asked, *answers[-1], b"".join(body) if type(body) in (tuple, list) else None)
        return body

    return observed


def _observe(environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]], body: bytes | None) -> None:
    """Lint an answer unless one of the same kind was linted before."""
    method = environ["REQUEST_METHOD"]
    # A bucket is drawn anew for each browser.
    shown = tuple((name, _BUCKET.sub("=1.", value) if name == "Set-Cookie" else value) for name, value in headers)
    key = hash((method, status, shown, body is None))
    if key in _seen:
        return
    _seen.add(key)
    linted[status[:3]] += 1
    fields = [(name[5:].replace("_", "-").title(), str(environ[name])) for name in environ if name.startswith("HTTP_")]
    exchange = Exchange(method, "/", fields, status, headers, body)
    _found.extend(
        f"{note}\n  {method} {environ.get('PATH_INFO')!r:.200}: {status} {headers!r:.1000}"
        for note in lint(exchange)
        if note.name != _STAND_INS
    )
