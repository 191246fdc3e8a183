"""Django: template tags that name the files of the version decided for the request, and system checks.

    INSTALLED_APPS = [..., "version_affinity.django"]

    {% load version_affinity %}
    {% asset_tags "src/main.ts" nonce=request.csp_nonce %}
    <img src="{% asset_url 'logo.svg' %}" alt="">
    {% current_version as version %}{% cache 600 cart version %}...{% endcache %}

The functions of this module do the same in views, and in other template engines. They use the ``VersionAffinity`` that
the request came through. For another request, such as one of Django's test client, they use that of
``WSGI_APPLICATION``.

.. versionadded:: 0.2.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string

from version_affinity.middleware import find_affinity
from version_affinity.rollout.state import EXCHANGE
from version_affinity.templating import page_of

if TYPE_CHECKING:
    from version_affinity.templating import Page, Tags

__all__ = ["asset_tags", "asset_url", "current_version"]


def asset_tags(request: Any, entry: str, **attributes: str | bool | None) -> Tags:
    """Return the tags that load an entry in the request's version; see ``VersionAffinity.asset_tags``.

    Args:
        request: Django's ``HttpRequest``.
        entry: A source file that the Vite manifest lists, for example "src/main.ts".
        **attributes: Attributes of every tag, such as ``nonce="..."``.

    Raises:
        LookupError: ``WSGI_APPLICATION`` has no ``VersionAffinity``, or no version has the entry while ``DEBUG`` is on.
    """
    return _page(request).tags(entry, attributes)


def asset_url(request: Any, path: str) -> str:
    """Return the URL of an entry or file in the request's version; see ``VersionAffinity.asset_url``."""
    return _page(request).url(path)


def current_version(request: Any) -> str:
    """Return the id of the version decided for the request; the response then depends on it."""
    return _page(request).version()


def _page(request: Any) -> Page:
    environ = request.META
    if EXCHANGE in environ:
        return page_of(environ, debug=settings.DEBUG)
    affinity = find_affinity(import_string(settings.WSGI_APPLICATION)) if settings.WSGI_APPLICATION else None
    if affinity is None:
        raise LookupError(
            f"WSGI_APPLICATION={settings.WSGI_APPLICATION!r} has no VersionAffinity: set it to the application of "
            "wsgi.py, and wrap that: application = VersionAffinity(get_wsgi_application(), ...)"
        )
    return affinity.page(environ)
