"""Pages of a Flask application load a front end from Vite's own server, made by ``npm create vite``, in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import flask
import pytest

from tests.browsers.browsed import serving
from tests.browsers.browsers import browser
from tests.harness import missing
from tests.servers.servers import HOST, free_port, running
from version_affinity import Version
from version_affinity.flask import init_app

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PAGE = """<!doctype html><title>{{ current_version() }}</title>
<div id="root"></div><div id="app"></div><img src="{{ asset_url('favicon.svg') }}" alt="">
{{ asset_tags(entry, nonce='r4nd0m') }}{{ asset_tags('src/index.css', nonce='r4nd0m') }}"""
POLICY = "script-src 'nonce-r4nd0m' 'strict-dynamic'; base-uri 'none'"
COUNT = "document.querySelector('button') && /count is (\\d+)/i.exec(document.querySelector('button').textContent)[1]"


def created(directory: Path, template: str) -> Path:
    """Make a project with npm, and return its directory. Skip the test where that is not possible."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("npm", "Node is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().removeprefix("v").split(".")[:2])) < (20, 19):
        pytest.skip(f"Vite needs Node 20.19 or newer, and this is {version.strip()}")
    environment = {**os.environ, "CI": "true"}
    for command, place in (
        (["npm", "create", "-y", "vite@latest", "front", "--", "--template", template, "--no-interactive"], directory),
        (["npm", "install", "--no-audit", "--no-fund"], directory / "front"),
    ):
        done = subprocess.run(
            command, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return directory / "front"


@pytest.mark.parametrize(("template", "entry"), [("react-ts", "src/main.tsx"), ("vanilla-ts", "src/main.ts")])
def test_page(tmp_path: Path, template: str, entry: str) -> None:
    """The page runs under a policy with a nonce, without a build; a change arrives, and React keeps its state."""
    front, port, react = created(tmp_path, template), free_port(), template.startswith("react")
    (front / "src/index.css").touch()
    # As the how-to page says, for images that scripts import.
    plugins = ("import react from '@vitejs/plugin-react';", "react()") if react else ("", "")
    (front / "vite.config.ts").write_text(
        f"{plugins[0]} export default {{ plugins: [{plugins[1]}], server: {{ origin: 'http://localhost:{port}' }} }};"
    )
    app = flask.Flask("shop", root_path=str(tmp_path))
    app.debug = True
    init_app(app, [Version("v1", "builds/v1")], vite=f"http://localhost:{port}", react_refresh=react)
    app.add_url_rule("/page", view_func=lambda: flask.render_template_string(PAGE, entry=entry))

    @app.after_request
    def protect(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = POLICY
        return response

    vite = ["node", str(front / "node_modules/vite/bin/vite.js"), str(front), f"--port={port}", "--strictPort"]
    with (
        running([*vite, f"--host={HOST}"], port, tmp_path / "vite.log") as server,
        serving(app, "localhost") as site,
        browser("chromium", tmp_path) as chromium,
    ):
        # Without React's plugin there is no such script, and a preamble would be an error in each page.
        preamble = server.ask("/@react-refresh", {"Sec-Fetch-Dest": "script"})
        assert (preamble.headers["Content-Type"] == "text/javascript") is react
        tab = chromium.tab().open(f"{site.url}/page")
        assert tab.wait_for(COUNT) == "0"
        assert tab.evaluate("document.title") == "v1"
        assert tab.wait_for("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert tab.evaluate("document.images.length") > 1
        tab.evaluate("document.querySelector('button').click()")
        tab.wait_for(f"{COUNT} === '1'")
        if react:
            source = front / "src/App.tsx"
            source.write_text(re.sub("count is", "Count is", source.read_text(), flags=re.IGNORECASE))
            changed = re.sub(r"<h1>.*?</h1>", "<h1>Changed while it runs</h1>", source.read_text())
            source.write_text(changed)
            tab.wait_for("document.querySelector('h1').textContent === 'Changed while it runs'")
            assert tab.evaluate(COUNT) == "1"  # the page was not loaded again
        # The template's scripts name one file of Vite's public/ by its path, which is the application's in this page.
        assert {seen.path for seen in site.failures()} <= {"/icons.svg"}
