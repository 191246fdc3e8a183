"""What the servers of the benchmark over HTTP serve: applications that a server's process makes for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from whitenoise import WhiteNoise

from version_affinity import Cookie, Header, StaticAssets, Version, VersionAffinity

from .contestants import NAME, null_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: The variable that names the directory with the builds "v1" and "v2".
BUILDS = "BENCHMARK_BUILDS"


def null() -> WSGIApplication:
    """Return the application that does nothing."""
    return null_app


def split() -> WSGIApplication:
    """Return both builds at 50 % each."""
    versions = [Version(version, _build(version), percentage=50) for version in ("v1", "v2")]
    return VersionAffinity(null_app, versions, name=NAME, keys=[Cookie("session_id"), Header("X-User-Id")])


def alone() -> WSGIApplication:
    """Return one build."""
    return StaticAssets(_build("v1"), null_app)


def whitenoise() -> WSGIApplication:
    """Return one build, served by WhiteNoise."""
    return WhiteNoise(null_app, root=str(_build("v1")), immutable_file_test=r"/assets/")  # type: ignore[no-any-return]


def _build(version: str) -> Path:
    return Path(os.environ[BUILDS], version)
