"""Three small builds, as a bundler writes them, that share, own, differ and collide; and a rollout between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.harness import write_build
from version_affinity import Deployment, Version, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NAME = "storefront"
SPLIT = {"v1": 50.0, "v2": 50.0}

#: A fingerprinted file that one version alone has.
ENTRY = {"v0": "/assets/index-Aq3kZ0b1.js", "v1": "/assets/index-BX4CeNGm.js", "v2": "/assets/index-Qz81xKpL.js"}
#: A fingerprinted file of equal bytes in every version.
SHARED = "/assets/vendor-Dx81xKpQ.js"
#: A fingerprinted name of other bytes in every version.
COLLISION = "/assets/chunk-C0liD3sX.js"
#: Files without a fingerprint: of other bytes in every version, of equal bytes, and of one version alone.
DIFFERING, EQUAL, OWN = "/logo.svg", "/robots.txt", {version: f"/only-{version}.txt" for version in ENTRY}


def build_of(version: str) -> dict[str, str]:
    """Return the files of one version's build."""
    chunks = {
        "src/main.ts": {"file": ENTRY[version][1:], "isEntry": True, "name": "index", "imports": ["_vendor.js"]},
        "_vendor.js": {"file": SHARED[1:], "name": "vendor"},
    }
    files = {
        ENTRY[version]: f"// entry of {version}",
        SHARED: "// vendor",
        COLLISION: f"// chunk of {version}",
        DIFFERING: f"<svg><title>{version}</title></svg>",
        EQUAL: "User-agent: *",
        OWN[version]: f"of {version}",
        "/index.html": f'<!doctype html><script type="module" src="{ENTRY[version]}"></script>page of {version}',
        "/about.html": f"about {version}",
        "/.vite/manifest.json": json.dumps(chunks),
    }
    return {path[1:]: content for path, content in files.items()}


def write_builds(directory: Path) -> dict[str, Path]:
    """Write v0, v1 and v2 below a directory; return them by id."""
    return {version: write_build(directory / version, build_of(version)) for version in ENTRY}


def rollout(
    builds: Mapping[str, Any],
    app: WSGIApplication | None = None,
    shares: Mapping[str, float] = SPLIT,
    retained: Iterable[str] = (),
    **options: Any,
) -> VersionAffinity:
    """Return a middleware over builds (or applications) by id."""
    return VersionAffinity(
        app,
        [Version(version, builds[version], percentage=share) for version, share in shares.items()],
        retained=[Version(version, builds[version]) for version in retained],
        **{"name": NAME, **options},
    )


def key_of(version: str, shares: Mapping[str, float] = SPLIT, name: str = NAME) -> str:
    """Return a key that falls on a version."""
    assign = Deployment(name, shares).assign
    return next(key for key in map(str, range(100_000)) if assign(key) == version)


def bucket_of(version: str, shares: Mapping[str, float] = SPLIT, name: str = NAME) -> str:
    """Return a bucket that falls on a version."""
    assign = Deployment(name, shares).assign
    return next(bucket for bucket in map(str, range(100_000)) if assign(f"bucket:{bucket}") == version)


def pinned(version: str, bucket: str = "4711", name: str = NAME) -> dict[str, str]:
    """Return the request header with our cookie."""
    return {"Cookie": f"version-affinity-{name}={bucket}.{version}"}


class Answer:
    """A WSGI application that answers everything alike and keeps the environ of its last request."""

    def __init__(
        self, body: bytes = b"the app", status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.body = body
        self.status = status
        self.headers = list(headers) or [("Content-Type", "application/json")]
        self.environ: WSGIEnvironment = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Answer a request."""
        self.environ = environ
        length = [] if self.status.startswith("304") else [("Content-Length", str(len(self.body)))]
        start_response(self.status, [*self.headers, *length])
        return [self.body] if self.body and environ["REQUEST_METHOD"] != "HEAD" else []
