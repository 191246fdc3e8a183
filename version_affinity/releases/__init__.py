"""Releases: versions and deployments that change while the application runs."""

from .releases import Releases
from .store.retention import Retention

__all__ = ["Releases", "Retention"]
