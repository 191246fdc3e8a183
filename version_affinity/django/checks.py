"""Django's system checks: ``manage.py check``, and with ``--deploy`` those that load the WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.utils.module_loading import import_string

from version_affinity.decision.keys import Cookie
from version_affinity.middleware import find_affinity
from version_affinity.releases.releases import observing

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUEST: Final = "django.template.context_processors.request"
_DJANGO_TEMPLATES: Final = "django.template.backends.django.DjangoTemplates"


def check_settings(**_options: Any) -> list[Any]:
    """Check what the settings alone say."""
    found = []
    engines = [engine for engine in settings.TEMPLATES if engine.get("BACKEND") == _DJANGO_TEMPLATES]
    if engines and not any(_REQUEST in engine.get("OPTIONS", {}).get("context_processors", ()) for engine in engines):
        found.append(
            Warning(
                "The template tags of version_affinity find no request.",
                hint=f"Add {_REQUEST!r} to the context_processors in TEMPLATES.",
                id="version_affinity.W001",
            )
        )
    if not settings.WSGI_APPLICATION:
        found.append(
            Warning(
                "WSGI_APPLICATION is not set, so runserver and tests do not find the VersionAffinity.",
                hint="Set it to the application in wsgi.py that VersionAffinity wraps, such as "
                "'shop.wsgi.application'.",
                id="version_affinity.W002",
            )
        )
    return found


def check_application(**_options: Any) -> list[Any]:
    """Load the WSGI application, which writes no report of this process, and check it."""
    return list(_faults(settings.WSGI_APPLICATION)) if settings.WSGI_APPLICATION else []


def _faults(name: str) -> Iterator[Any]:
    try:
        with observing():
            affinity = find_affinity(import_string(name))
    except Exception as error:  # noqa: BLE001 - the module is the user's
        yield Error(
            f"WSGI_APPLICATION={name!r} cannot be loaded: {type(error).__name__}: {error}",
            id="version_affinity.E001",
        )
        return
    if affinity is None:
        yield Warning(
            f"WSGI_APPLICATION={name!r} has no VersionAffinity: no version is served.",
            hint="Wrap it in wsgi.py: application = VersionAffinity(get_wsgi_application(), ...).",
            id="version_affinity.W003",
        )
    elif Cookie(settings.SESSION_COOKIE_NAME) in affinity.exchange({}).state.settings.keys:
        yield Warning(
            f"The session cookie, {settings.SESSION_COOKIE_NAME!r}, is a key source. Its value changes at login and "
            "logout, so a user's next page may come from another version.",
            hint="Name a more stable source, or no key: the affinity cookie keeps a browser on one version.",
            id="version_affinity.W004",
        )


register(check_settings, Tags.templates)
register(check_application, Tags.compatibility, deploy=True)
