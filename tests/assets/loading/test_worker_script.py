"""Which scripts are a service worker's, and where that is remembered."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import write_build
from version_affinity import StaticAssets
from version_affinity.assets.loading.index import refresh, scan
from version_affinity.assets.loading.loader import handles_worker_events

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = {
    "install": "self.addEventListener('install', event => event.waitUntil(caches.open('v1')))",
    "bare": 'addEventListener("fetch",e=>{})',
    "spaced": "self . addEventListener (\n  `activate`, claim)",
    "global": "globalThis.addEventListener('push', show)",
    "handler": "self.onfetch = event => event.respondWith(fetch(event.request))",
    "bare handler": "onfetch = (event) => { event.respondWith(caches.match(event.request)) }",
    "SvelteKit's alias": "const sw = self;\nsw.addEventListener('install', (event) => { event.waitUntil(add()); });",
    "Angular": "class Driver{constructor(e){this.scope=e,this.scope.addEventListener('install',t=>t.waitUntil(x()))}}",
    "minified": '!function(e){e.addEventListener("fetch",(function(t){t.respondWith(n(t))}))}(self)',
    "vite-plugin-pwa": 'if(!self.define){let e;}define(["./workbox-3e911b1d"],(function(s){"use strict";'
    'self.skipWaiting(),s.clientsClaim(),s.precacheAndRoute([{url:"index.html",revision:"1"}],{})}));',
    "workbox from a CDN": "importScripts('https://storage.googleapis.com/workbox-cdn/releases/6.4.1/workbox-sw.js');\n",
    "around Angular's": "importScripts('./ngsw-worker.js');\nself.addEventListener('message', f);",
    "push library": 'importScripts("https://js.pusher.com/beams/service-worker.js");',
    "notification": "self.addEventListener('notificationclick', e => clients.openWindow('/'))",
}
OTHERS = {
    "registration": "if('serviceWorker' in navigator) {window.addEventListener('load', () => "
    "{navigator.serviceWorker.register('/sw.js', { scope: '/' })})}",
    "workbox-window": 'class W{messageSkipWaiting(){this.w&&send(this.w,{type:"SKIP_WAITING"})}}'
    'navigator.serviceWorker.addEventListener("controllerchange",f);x.addEventListener("activated",g)',
    "dedicated worker": "self.addEventListener('message', e => postMessage(e.data)); self.onmessage = f",
    "dedicated worker with imports": "importScripts('/lib/math.js', 'https://cdn.example/vendor.js')",
    "library's own events": "player.addEventListener('sync', f); list.addEventListener('push', g); a.onfetch = null",
    "install prompt": "window.addEventListener('beforeinstallprompt', f); window.addEventListener('appinstalled', g)",
    "other names": "myaddEventListener('install', f); self.onfetched = 1; if (self.onfetch == null) f(); let onpush",
    "other handlers": "xonsync = f; $onfetch = f",
    "text": "const help = 'call skipWaiting, then activate, install and fetch';",
    "nothing": "",
}


@pytest.mark.parametrize("name", WORKERS)
def test_worker(name: str) -> None:
    """A script that handles a service worker's events is one, also minified, and also by a library."""
    assert handles_worker_events(WORKERS[name].encode())


@pytest.mark.parametrize("name", OTHERS)
def test_other_script(name: str) -> None:
    """Registrations, dedicated workers and libraries with events of their own are not."""
    assert not handles_worker_events(OTHERS[name].encode())


@pytest.mark.parametrize(
    "unit",
    [
        b"addEventListener",
        b"addEventListener(",
        b"addEventListener   ",
        b"a.addEventListener('fetch'",
        b"importScripts(",
        b"importScripts(sw-",
        b"importScripts(workbox",
        b"onfetch ",
        b" . ",
        b"a.onfetch=",
        b".waitUntil ",
    ],
)
def test_linear(unit: bytes) -> None:
    """The time grows with the text, not with its square, whatever the text repeats."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        best = []
        for _ in range(3):
            start = time.process_time()
            handles_worker_events(text)
            best.append(time.process_time() - start)
        return min(best)

    assert seconds(400_000) < 16 * seconds(100_000) + 0.05


def test_found_when_a_build_is_loaded(tmp_path: Path) -> None:
    """Scripts without a fingerprint are looked at, of any size; other files are not."""
    worker = WORKERS["install"]
    files = {
        "background.js": worker,
        "admin/offline.mjs": worker,
        "large.js": f"{'/' * 300_000}\n{worker}",
        "app.js": OTHERS["registration"],
        "assets/index-BX4CeNGm.js": worker,
        "notes.txt": worker,
        "index.html": f"<script>{worker}</script>",
    }
    index = scan(write_build(tmp_path, files))
    assert index.workers == {"/background.js", "/admin/offline.mjs", "/large.js"}
    asked = {path: asset.is_worker for path, asset in index.assets.items() if asset.is_worker is not None}
    assert asked == {"/background.js": True, "/admin/offline.mjs": True, "/large.js": True, "/app.js": False}


def test_manifest_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest says it, so that the next load reads no script; where it does not, the script is read again."""
    build = write_build(tmp_path / "build", {"background.js": WORKERS["install"], "app.js": "f()", "a.txt": "a"})
    manifest = tmp_path / "manifest.json"
    first = StaticAssets(build, manifest=manifest)
    listed = json.loads(manifest.read_text())["files"]
    assert {name: entry.get("service_worker") for name, entry in listed.items()} == {
        "a.txt": None,
        "app.js": False,
        "background.js": True,
    }
    looked_at: list[bytes] = []
    monkeypatch.setattr(
        "version_affinity.assets.loading.loader.handles_worker_events",
        lambda script: looked_at.append(script) or handles_worker_events(script),
    )
    again = StaticAssets(build, manifest=manifest)
    assert (again.build.index.workers, looked_at) == (first.build.index.workers, [])
    for entry in listed.values():
        entry.pop("service_worker", None)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "files": listed}))
    assert StaticAssets(build, manifest=manifest).build.index.workers == {"/background.js"}
    assert sorted(looked_at) == [b"f()", WORKERS["install"].encode()]


def test_refreshed(tmp_path: Path) -> None:
    """In development, a script that becomes a worker's is found."""
    build = write_build(tmp_path, {"background.js": "f()"})
    before = scan(build)
    write_build(tmp_path, {"background.js": WORKERS["install"]})
    assert (before.workers, refresh(before).workers) == (frozenset(), {"/background.js"})
