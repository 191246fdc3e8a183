"""Django: a project that installs ``version_affinity.django``, with its template tags and system checks."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builds import write_builds
from tests.harness import write_build

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("django", reason="it comes with the extra 'test'")

SETTINGS = """
SECRET_KEY = "only for a test"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["version_affinity.django", "shop"]
CONTEXT = ["django.template.context_processors.request"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": CONTEXT}}]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
"""
URLS = """
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from version_affinity.django import asset_tags, asset_url, current_version

def view(request):
    tags = asset_tags(request, "src/main.ts")
    return HttpResponse("|".join((current_version(request), asset_url(request, "logo.svg"), tags)))

urlpatterns = [
    path("cart", lambda request: render(request, "cart.html")),
    path("view", view),
    path("wrong", lambda request: render(request, "wrong.html")),
]
"""
WSGI = """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from version_affinity import Cookie, Version, VersionAffinity
versions = [Version("v1", "builds/v1", percentage=50), Version("v2", "builds/v2", percentage=50)]
application = VersionAffinity(get_wsgi_application(), versions, name="storefront", OPTIONS)
"""
CART = """{% load cache version_affinity %}{% current_version as version %}<p>{{ version }} {% asset_url "logo.svg" %}
{% asset_tags "src/main.ts" nonce="n" %}{% asset_tags "src/main.ts" nonce=csp_nonce %}
{% cache 600 cart version %}cached for {{ version }}{% endcache %}"""
TESTS = """
from django.test import SimpleTestCase, override_settings
from werkzeug.test import Client

ENTRY = {"v1": "/assets/index-BX4CeNGm.js", "v2": "/assets/index-Qz81xKpL.js"}

class Cart(SimpleTestCase):
    def test_pages(self):
        from shop.wsgi import application
        for _ in range(2):
            for version, entry in ENTRY.items():
                for client in (self.client, Client(application)):
                    text = client.get("/cart", headers={"Version-Override": version, "Accept": "text/html"}).text
                    self.assertIn(f"<p>{version} /logo.svg", text)
                    self.assertIn(f'<script type="module" crossorigin src="{entry}" nonce="n"></script>', text)
                    self.assertIn(f'<script type="module" crossorigin src="{entry}"></script>', text)
                    self.assertIn(f"cached for {version}", text)
                view = self.client.get("/view", headers={"Version-Override": version})
                self.assertTrue(view.text.startswith(f"{version}|/logo.svg|<script "))

    def test_headers(self):
        from shop.wsgi import application
        response = Client(application).get("/cart", headers={"Accept": "text/html"})
        self.assertEqual(response.headers["Cache-Control"], "private, no-cache")
        self.assertIn("reason=minted", response.headers["Version-Affinity"])

    def test_mistakes(self):
        from shop.wsgi import application
        with override_settings(DEBUG=True):
            with self.assertRaisesRegex(LookupError, "no version has the entry"):
                self.client.get("/wrong")
            self.assertIn("no version has the entry", Client(application).get("/wrong").text)  # Django's error page
        for client in (self.client, Client(application)):
            with self.assertLogs("version_affinity", "ERROR"):
                self.assertEqual(client.get("/wrong").status_code, 200)

    def test_not_wrapped(self):
        for name in ("django.core.handlers.wsgi.WSGIHandler", None):
            with override_settings(WSGI_APPLICATION=name), self.assertRaisesRegex(LookupError, "VersionAffinity"):
                self.client.get("/cart")

    def test_without_request(self):
        from django.core.exceptions import ImproperlyConfigured
        from django.template.loader import render_to_string
        with self.assertRaisesRegex(ImproperlyConfigured, "context_processors.request"):
            render_to_string("cart.html")
"""
DEFAULT_OPTIONS = 'keys=[Cookie("user_id")], override_headers=["Version-Override"]'


def project(root: Path, options: str = DEFAULT_OPTIONS, settings: str = "", **files: str) -> Path:
    """Write a project with two builds."""
    write_builds(root / "builds")
    return write_build(
        root,
        {
            "shop/__init__.py": "",
            "shop/settings.py": SETTINGS + settings,
            "shop/urls.py": URLS,
            "shop/wsgi.py": WSGI.replace("OPTIONS", options),
            "shop/tests.py": TESTS,
            "shop/templates/cart.html": CART,
            "shop/templates/wrong.html": '{% load version_affinity %}{% asset_tags "src/mian.ts" %}',
            **files,
        },
    )


def manage(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Django."""
    command = [sys.executable, "-m", "django", *arguments, "--settings=shop.settings", "--pythonpath=."]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


def test_project(tmp_path: Path) -> None:
    """Template tags and functions name the files of the decided version, in any client, and mistakes show in debug."""
    done = manage(project(tmp_path), "test")
    assert (done.returncode, "Ran 5 tests" in done.stderr) == (0, True), done.stderr


def test_vite(tmp_path: Path) -> None:
    """With Vite's server no build is needed."""
    root = project(
        tmp_path,
        'vite="http://localhost:5173"',
        **{
            "builds/v1/index.html": "",
            "shop/tests.py": """
from django.test import SimpleTestCase
class Cart(SimpleTestCase):
    def test_page(self):
        tag = '<script type="module" src="http://localhost:5173/src/main.ts" nonce="n"></script>'
        self.assertIn(tag, self.client.get("/cart").text)
""",
        },
    )
    done = manage(root, "test")
    assert (done.returncode, "Ran 1 test" in done.stderr) == (0, True), done.stderr


def test_check_finds_nothing(tmp_path: Path) -> None:
    """A project as the documentation shows it passes, and a check loads no build without ``--deploy``."""
    root = project(tmp_path)
    done = manage(root, "check", "--deploy")
    assert "version_affinity" not in done.stdout + done.stderr, done.stderr
    (root / "shop/wsgi.py").write_text("raise RuntimeError('loaded')")
    assert manage(root, "check").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "options", "deploy", "expected"),
    [
        ("TEMPLATES[0]['OPTIONS'] = {}", DEFAULT_OPTIONS, False, "W001"),
        ("WSGI_APPLICATION = None", DEFAULT_OPTIONS, False, "W002"),
        ("WSGI_APPLICATION = 'django.core.handlers.wsgi.WSGIHandler'", DEFAULT_OPTIONS, True, "W003"),
        ("", 'keys=[Cookie("sessionid")]', True, "W004"),
        ("SESSION_COOKIE_NAME = 'sid'", 'keys=[Cookie("user_id"), Cookie("sid")]', True, "W004"),
        ("", 'prefix="shop"', True, "E001"),
    ],
)
def test_check(tmp_path: Path, settings: str, options: str, deploy: bool, expected: str) -> None:
    """Each fault of a project is found, and no other one."""
    root = project(tmp_path, options, settings)
    done = manage(root, "check", *(["--deploy"] if deploy else []))
    found = {
        word
        for word in (done.stdout + done.stderr).replace("(", " ").replace(")", " ").split()
        if "version_affinity." in word
    }
    assert found == {f"version_affinity.{expected}"}, done.stderr


@pytest.mark.slow
def test_check_follows_nothing(tmp_path: Path) -> None:
    """A check of an application with releases does not report a worker."""
    options = "keys=()"
    root = project(tmp_path, options)
    command = [sys.executable, "-m", "version_affinity"]
    for line in ("init --name storefront", "versions upload builds/v1 --id v1", "versions deploy v1@100% -y"):
        subprocess.run([*command, *line.split()], check=True, cwd=root, capture_output=True)
    wsgi = (root / "shop/wsgi.py").read_text().replace("import Cookie,", "import Releases,")
    (root / "shop/wsgi.py").write_text(wsgi.replace('versions, name="storefront"', 'Releases("releases/")'))
    before = sorted(path.name for path in (root / "releases").rglob("*"))
    done = manage(root, "check", "--deploy")
    assert "version_affinity" not in done.stdout + done.stderr, done.stderr
    assert sorted(path.name for path in (root / "releases").rglob("*")) == before
    assert json.loads((root / "releases/affinity.json").read_text())["name"] == "storefront"
