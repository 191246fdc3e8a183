"""``python -m benchmarks.protocol``: which static server answers as RFC 9110 says, request by request over a socket.

The requests and the expected responses are those of ``tests/protocol/protocol_cases.py``, made fair: where the RFC
leaves a choice, each choice is right; what only this package promises is not counted. Each server is configured as its
documentation has it; those in Python run behind waitress, which sends what an application gives it.

Needs the extras ``test`` and ``bench``; ServeStatic and nginx take part where they are installed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

from tests.protocol import protocol_cases
from tests.protocol.test_protocol import ENCODED, ask, check_body, check_header
from tests.servers.nginx import PLACES, nginx
from tests.servers.servers import serving

from .report import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OK, PARTIAL, NOT_MODIFIED = 200, 206, 304
GROUPS: Final = ("methods", "ranges", "conditions", "encodings")
# Promises of this package alone.
_OUR_OWN: Final = ("OPTIONS", "GET of a fingerprinted file", "If-None-Match, fingerprinted", "a document has no date")
# Where the RFC leaves more choices than one can list: other statuses, merged ranges, the coding to prefer.
_OPEN: Final = (
    *("TRACE", "unknown method", "overlapping parts", "adjacent parts", "many parts", "parts that are the whole"),
    *("parts longer than the whole", "nothing acceptable", "a bad weight", "a date that encodings share"),
    *("of an empty file", "brotli", "Zstandard", "a weight, alone", "all but"),
)
# The fields whose absence or value is a server's own choice, or that follow from one.
_FREE: Final = ("Cache-Control", "Accept-Ranges")
_MAY_BE_THERE: Final = ("ETag", "Last-Modified", "Content-Length")
# Section 14.2: a field with an invalid range may be ignored or rejected.
_REJECTED: Final = (400, 416)
_NGINX: Final = "root %s; index index.html; gzip_static on; gzip_vary on; if_modified_since before;"


#: By contestant: its package, the path at which it shows the document, and what makes it in its server's process.
CONTESTANTS: Final[dict[str, tuple[str, str, Callable[[Any, str], Any]]]] = {
    "StaticAssets": ("version_affinity", "/", lambda package, build: package.StaticAssets(build)),
    "WhiteNoise": ("whitenoise", "/", lambda package, build: package.WhiteNoise(_no_app, build, index_file=True)),
    "ServeStatic": ("servestatic", "/", lambda package, build: package.ServeStatic(_no_app, build, index_file=True)),
    "SharedDataMiddleware": (
        "werkzeug.middleware.shared_data",
        "/index.html",
        lambda package, build: package.SharedDataMiddleware(_no_app, {"/": build}),
    ),
    "Flask's static folder": (
        "flask",
        "/index.html",
        lambda package, build: package.Flask("protocol", static_url_path="", static_folder=build),
    ),
}


def application() -> WSGIApplication:
    """Return what the environment names, for the server's process."""
    package, _, make = CONTESTANTS[os.environ["PROTOCOL_SERVER"]]
    return make(import_module(package), os.environ["PROTOCOL_BUILD"])  # type: ignore[no-any-return]


def _no_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"not found\n"]


def fair_cases(document: str) -> Iterator[tuple[str, Any]]:
    """Yield the cases that are counted, each with its group, and as much of it as the RFC says."""
    groups = (protocol_cases.METHODS, protocol_cases.RANGES, protocol_cases.CONDITIONS, protocol_cases.ENCODINGS)
    for group, cases in zip(GROUPS, groups, strict=True):
        for case in cases:
            if case.name in _OUR_OWN or case.name in _OPEN:
                continue
            has = {name: value for name, value in case.has.items() if name not in _FREE}
            if "Content-Type" in has:
                has["Content-Type"] = None
            if "Allow" in has:
                has["Allow"] = "GET, HEAD"
            if case.body not in ENCODED:
                has.pop("Vary", None)
            lacks = tuple(name for name in case.lacks if name not in _MAY_BE_THERE)
            method, _, path = case.request.partition(" ")
            request = f"{method} {document if path == '/' else path}"
            yield group, case._replace(has=has, lacks=lacks, request=request)


def passes(server: Any, case: Any, known: Mapping[str, str]) -> bool:
    """Return whether a server answers a case as expected."""
    fields = tuple(field.format_map(known) for field in case.fields)
    path = case.request.partition(" ")[2]
    try:
        answer = ask(server, case.request, fields)
        invalid = case.status == OK and len(fields) == 1 and fields[0].startswith("Range: bytes=")
        if invalid and not case.request.startswith("HEAD ") and answer.status in _REJECTED:
            return True
        if answer.status != case.status or any(answer[name] is not None for name in case.lacks):
            return False
        for name, value in case.has.items():
            check_header(name, answer[name], value and value.format_map(known))
        if case.request.startswith("HEAD ") or case.status == NOT_MODIFIED:
            return not answer.body
        # A line break before the first part is a preamble (RFC 2046 section 5.1.1).
        answer = answer._replace(body=answer.body.removeprefix(b"\r\n") if ", " in case.body else answer.body)
        check_body(case.body, protocol_cases.FILES.get("/index.html" if path == "/" else path, b""), answer)
    except (AssertionError, ValueError, OSError):
        return False
    return True


def results(server: Any, document: str) -> dict[str, dict[str, bool]]:
    """Return by group and case what passes; a server without ranges or encodings has no such group."""

    def tag(path: str, *fields: str) -> str:
        answer = ask(server, f"GET {path}", fields)
        return (answer["ETag"] or "") if answer.status == OK else ""

    lacking = set()
    if ask(server, "GET /notes.txt", ("Range: bytes=0-9",)).status == OK:
        lacking.add("ranges")
    if ask(server, "GET /app.js", ("Accept-Encoding: gzip",))["Content-Encoding"] is None:
        lacking.add("encodings")
    found: dict[str, dict[str, bool]] = {group: {} for group in GROUPS}
    tags: dict[str, dict[str, str]] = {}
    for group, case in fair_cases(document):
        if group in lacking or (case.status == PARTIAL and "ranges" in lacking):
            continue
        path = case.request.partition(" ")[2]
        if path not in tags:
            encoded = {encoding: tag(path, f"Accept-Encoding: {encoding}") for encoding in ENCODED}
            tags[path] = {"etag": tag(path), **encoded, **protocol_cases.DATES}
        found[group][case.name] = passes(server, case, tags[path])
    return found


def measure(root: Path) -> dict[str, dict[str, dict[str, bool]]]:
    """Return the results by contestant; a build and the servers' files are written below ``root``."""
    build, log = root / "build", root / "log"
    log.mkdir()
    siblings = {f"/app.js.{suffix}": content for suffix, content in ENCODED.values()}
    for path, content in {**protocol_cases.FILES, **siblings}.items():
        file = build / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (protocol_cases.MODIFIED,) * 2)
    measured = {}
    for name, (module, document, _) in CONTESTANTS.items():
        package = module.partition(".")[0]
        if find_spec(package) is not None:
            environment = {"PROTOCOL_BUILD": str(build), "PROTOCOL_SERVER": name}
            with serving("waitress", "benchmarks.protocol:application()", log, environment) as server:
                measured[f"{name} ({package} {version(package)})"] = results(server, document)
    if which("nginx", path=PLACES):
        said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False, env={"PATH": PLACES})
        with nginx(root / "nginx", _NGINX % build) as server:
            measured[f"nginx ({said.stderr.strip().rpartition('/')[2]})"] = results(server, "/")
    return measured


def main() -> None:
    """Print who passes how many, and below what each does otherwise."""
    with tempfile.TemporaryDirectory(prefix="version-affinity-protocol-") as temporary:
        measured = measure(Path(temporary))

    def score(*groups: Mapping[str, bool]) -> str:
        cases = [passed for group in groups for passed in group.values()]
        return f"{sum(cases)}/{len(cases)}" if cases else "none"

    rows = [
        (name, *(score(found.get(group, {})) for group in GROUPS), score(*found.values()))
        for name, found in measured.items()
    ]
    print(*table(("", *GROUPS, "all"), rows), sep="\n")
    for name, found in measured.items():
        otherwise = [case for group in found.values() for case, passed in group.items() if not passed]
        print(f"\n{name}: {'; '.join(otherwise) or 'nothing otherwise'}")


if __name__ == "__main__":
    main()
