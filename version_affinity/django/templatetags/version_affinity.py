"""``{% asset_tags "src/main.ts" %}``, ``{% asset_url "logo.svg" %}`` and ``{% current_version %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured

from version_affinity import django

register = template.Library()


def asset_tags(context: Any, entry: str, **attributes: str | bool | None) -> str:
    """Return the tags of an entry; the page's version decides which files."""
    return django.asset_tags(_request(context), entry, **attributes)


def asset_url(context: Any, path: str) -> str:
    """Return the URL of an entry or file in the page's version."""
    return django.asset_url(_request(context), path)


def current_version(context: Any) -> str:
    """Return the id of the page's version."""
    return django.current_version(_request(context))


def _request(context: Any) -> Any:
    request = context.get("request")
    if request is None:
        raise ImproperlyConfigured(
            "the template has no request: pass the request to render(), and add "
            "'django.template.context_processors.request' to the context_processors in TEMPLATES"
        )
    return request


for _tag in (asset_tags, asset_url, current_version):
    register.simple_tag(_tag, takes_context=True)
