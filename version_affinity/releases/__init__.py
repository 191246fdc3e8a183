"""Releases: versions and deployments that change while the application runs."""

from .retention import Retention
from .source import Releases

__all__ = ["Releases", "Retention"]
