"""Releases: versions and deployments that change while the application runs."""

from .releases import Releases

__all__ = ["Releases"]
