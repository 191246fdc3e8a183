"""The lines that ``serve`` prints: one for each request, with the version that it got and why."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from version_affinity.cli.terminal.output import aligned, emit_line, say, styled
from version_affinity.cli.terminal.text import printable, shares
from version_affinity.decision.decider import BUCKET, DECISION
from version_affinity.decision.keys import Cookie, Header
from version_affinity.responses.headers import TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.decision.keys import KeySource
    from version_affinity.deployment import Deployment
    from version_affinity.middleware import VersionAffinity

_COLOURS: Final = {"2": "good", "3": "strong", "4": "warning", "5": "bad"}
_WIDTH: Final = 34
_ID_WIDTH: Final = 8
_MILLISECONDS: Final = 1000


class AccessLines:
    """A WSGI application that prints a line for each request to another one.

    Args:
        affinity: The application.
        as_json: Whether the lines are JSON.
    """

    def __init__(self, affinity: VersionAffinity, *, as_json: bool) -> None:
        self._affinity = affinity
        self._write = _line_of_json if as_json else self._line
        # The longest reason of a browser's ordinary request.
        self._width = max(_WIDTH, len(f"{BUCKET} cookie:version-affinity-{affinity.deployment.name}"))
        self._printing = threading.Lock()  # a line at a time

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, and print its line when the answer was sent."""
        began = time.perf_counter()
        # Before it is changed by whoever answers.
        asked = {"method": environ["REQUEST_METHOD"], "target": _target(environ)}
        told: dict[str, Any] = {"status": 0, "served": ""}

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
        ) -> Callable[[bytes], object]:
            told["status"] = int(status[:3])
            told["served"] = next((_served(value) for name, value in headers if name == TRACE), "")
            return (
                start_response(status, headers, exc_info) if exc_info is not None else start_response(status, headers)
            )

        body = self._affinity(environ, start)
        return _Body(body, lambda: self._tell(environ, asked, told, time.perf_counter() - began))

    def _tell(self, environ: WSGIEnvironment, asked: dict[str, str], told: dict[str, Any], seconds: float) -> None:
        decision = environ.get(DECISION)
        if decision is None:
            # A fingerprinted file: nothing was decided.
            served = self._affinity.explain(environ).served
            version, reason, source, refused = served, "name", "", ""
        else:
            version, reason, source, refused = decision
        line = {
            "time": datetime.now().astimezone().isoformat(timespec="milliseconds"),
            **asked,
            "status": told["status"],
            "version": version,
            "served": told["served"] or version,
            "reason": reason,
            "source": source,
            "refused": refused,
            "milliseconds": round(seconds * _MILLISECONDS, 2),
        }
        with self._printing:
            self._write(line)

    def _line(self, line: dict[str, Any]) -> None:
        why = line["reason"] + (f" {line['source']}" if line["source"] else "")
        if line["served"] != line["version"]:
            why += f", rescued by {line['served']}"
        if line["refused"]:
            why += f", refused {line['refused']}"
        status = str(line["status"])
        longest = max(map(len, self._affinity.deployment.percentages))
        say(
            "  ".join(
                (
                    styled(line["time"][11:19], "faint"),
                    styled(status, _COLOURS.get(status[0], "bad")),
                    styled(f"{line['version']:<{max(longest, _ID_WIDTH)}}", "version"),
                    f"{why:<{self._width}}",
                    styled(f"{line['milliseconds']:>7.1f} ms", "faint"),
                    f"{line['method']} {printable(line['target'])}",
                )
            )
        )


def _target(environ: WSGIEnvironment) -> str:
    target: str = environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
    return target


def _served(trace: str) -> str:
    """Return the version that a trace says was served in place of the decided one; "" where it was that."""
    return next(
        (part.removeprefix("served=").strip('"') for part in trace.split(";") if part.startswith("served=")), ""
    )


def _line_of_json(line: dict[str, Any]) -> None:
    emit_line(line)


class _Body:
    """The body of an answer; calls back when it was sent."""

    def __init__(self, body: Iterable[bytes], sent: Callable[[], None]) -> None:
        self._body = body
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._sent()


def banner(url: str, deployment: Deployment, keys: Iterable[KeySource]) -> None:
    """Print where it listens, and how to get one version or another.

    Args:
        url: Where.
        deployment: Who gets what.
        keys: Where version keys are.
    """
    say(f"{styled(deployment.name, 'strong')}: {shares(deployment.percentages)}")
    say()
    say(f"  {styled(url, 'strong')}")
    say()
    version = list(deployment.percentages)[-1]
    rows = [[f"curl -i {url} -H 'Version-Override: {version}'", "forces a version"]]
    for source in keys:
        if isinstance(source, Cookie | Header):
            header = f"Cookie: {source.name}=alice" if isinstance(source, Cookie) else f"{source.name}: alice"
            rows.append([f"curl -i {url} -H '{header}'", "is the same user each time"])
    for line in aligned(rows, indent="  "):
        say(line)
    say()
    say(styled("Ctrl+C ends it.", "faint"))
