"""Frames and scripts of another site in Chromium, Firefox and WebKit.

Both sites are served over https: browsers keep a partitioned cookie only there.
"""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

import pytest

from tests.browsers.browsed import DATA, SPLIT, Site, serving, versions
from tests.browsers.browsers import Browser, Tab, fresh_host, program
from tests.servers.servers import HOST
from version_affinity import Deployment, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

pytestmark = pytest.mark.browser


def user_of_query(environ: WSGIEnvironment) -> str | None:
    """Return the key of a request. A cookie cannot be one: browsers keep it from frames of other sites."""
    return parse_qs(environ.get("QUERY_STRING", "")).get("user", [None])[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate of this machine, signed by itself."""
    directory = tmp_path_factory.mktemp("certificate")
    names = f"subjectAltName=DNS:localhost,IP:{HOST}"
    command = [
        program("openssl", "OpenSSL", "openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-noenc",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [*command, "-addext", names, "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context


PAGE_AROUND = b"""<!doctype html><title>around</title><body><script>
window.frame = (src, again) => new Promise(resolve => {
    const frame = document.createElement("iframe");
    onmessage = ({ data }) => {
        if (again) frame.contentWindow.postMessage("reload", "*");
        else { frame.remove(); resolve(data.files); }
        again = false;
    };
    frame.src = src;
    document.body.append(frame);
});
window.embed = src => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = () => resolve(window.remote);
    script.onerror = reject;
    document.head.append(script);
});
</script>"""


def page_around(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page that can show another site's page in a frame and run its scripts."""
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE_AROUND)))])
    return [PAGE_AROUND]


class Framed(NamedTuple):
    """A tab with a page of one site, and another site that it can embed."""

    tab: Tab
    site: Site

    def fresh(self) -> str:
        """Return an address of the site that embeds, as a browser that has not seen it yet."""
        return f"https://{fresh_host()}:{self.site.url.rpartition(':')[2]}"


@pytest.fixture
def framed(tabs: Browser, certificate: ssl.SSLContext) -> Iterator[Framed]:
    """A page of one site, and another site in a split, both over https."""
    affinity = VersionAffinity(None, versions(DATA / "pass-through", SPLIT), name="shop", keys=[user_of_query])
    with serving(affinity, tls=certificate) as site, serving(page_around, HOST, certificate) as outer:
        yield Framed(tabs.tab().open(outer.url), site)
    assert site.failures() == []


USERS = [f"user-{number}" for number in range(8)]
ASSIGNED = {user: Deployment("shop", SPLIT).assign(user) for user in USERS}


def test_a_frame_on_another_site(framed: Framed, engine: Browser) -> None:
    """Users in a cross-site frame are split by their key where the browser can pin the frame, with all its files."""
    assert set(ASSIGNED.values()) == {"v1", "v2"}
    for user, assigned in ASSIGNED.items():
        # WebKit keeps no cookie in such a frame.
        version = "v1" if engine.engine == "webkit" else assigned
        address = f"{framed.fresh()}/?plain&user={user}"
        for reload in ("false", "true"):
            assert framed.tab.evaluate(f"frame('{address}', {reload})") == [version] * 5, (user, reload)


def test_a_frame_on_another_site_without_a_key(framed: Framed, engine: Browser) -> None:
    """A frame without a key is drawn once, and stays on that version, with all its files."""
    drawn = set()
    for _ in range(8):
        address = f"{framed.fresh()}/?plain"
        first = framed.tab.evaluate(f"frame('{address}', true)")
        assert len(set(first)) == 1
        for reload in ("false", "true"):
            assert framed.tab.evaluate(f"frame('{address}', {reload})") == first
        drawn.update(first)
    # One run in 128 draws the same version eight times.
    assert drawn == {"v1"} if engine.engine == "webkit" else drawn <= {"v1", "v2"}


def test_scripts_on_another_site(framed: Framed) -> None:
    """A script that another site's page embeds is split by the key of its request."""
    for user, assigned in ASSIGNED.items():
        assert framed.tab.evaluate(f"embed('{framed.fresh()}/remoteEntry.js?user={user}')") == assigned
    framed.site.affinity.deploy({"v2": 100})
    assert framed.tab.evaluate(f"embed('{framed.fresh()}/remoteEntry.js?user={USERS[0]}')") == "v2"
