"""The Django application, which registers the system checks."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class VersionAffinityConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """``INSTALLED_APPS = [..., "version_affinity.django"]``."""

    name = "version_affinity.django"
    label = "version_affinity"
    verbose_name = "version_affinity"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("version_affinity.django.checks")
