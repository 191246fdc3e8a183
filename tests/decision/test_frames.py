"""Pages that another site frames, scripts of other origins, and the pin: signed, partitioned, corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from itsdangerous import Signer

from tests.builds import DIFFERING, SPLIT, Answer, bucket_of, key_of, pinned, rollout, write_builds
from tests.harness import NAVIGATION, SCRIPT, client, write_build
from version_affinity import Cookie, Header, VersionAffinity
from version_affinity.responses.override_links import override_link

if TYPE_CHECKING:
    from pathlib import Path

FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
KEPT = {**FRAME, "Sec-Fetch-Storage-Access": "none"}
EMBEDDED = {**SCRIPT, "Sec-Fetch-Site": "cross-site"}
OLD, NEW = "the secret of last year", "the secret of this year"


@pytest.fixture
def builds(tmp_path: Path) -> dict[str, Path]:
    """Three builds."""
    return write_builds(tmp_path)


def cookie_of(affinity: VersionAffinity, path: str = "/", scheme: str = "https", **headers: str) -> str:
    """Return the Set-Cookie of a request, "" without one."""
    response = client(affinity).get(path, headers=headers, base_url=f"{scheme}://localhost")
    return response.headers.get("Set-Cookie", "")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("destination", ["iframe", "frame", "object", "embed"])
def test_framed_page_is_stamped(builds: dict[str, Path], scheme: str, destination: str) -> None:
    """A page that another site frames is stamped by a partitioned cookie, which its files then follow."""
    affinity = rollout(builds, keys=[Header("X-User")])
    headers = {**KEPT, "Sec-Fetch-Dest": destination, "X-User": key_of("v2")}
    value, *attributes = cookie_of(affinity, scheme=scheme, **headers).split("; ")
    assert sorted(attributes) == ["HttpOnly", "Partitioned", "Path=/", "SameSite=None", "Secure"]
    assert value.startswith("__Host-") is (scheme == "https")
    got = client(affinity).get(DIFFERING, headers={**SCRIPT, "Cookie": value}, base_url=f"{scheme}://localhost")
    assert got.headers["Version-Affinity"].startswith("v2;reason=pin")


def test_framed_page_of_the_application_is_stamped(builds: dict[str, Path]) -> None:
    """So is a page that the application renders; a frame of the same origin is not."""
    app = Answer(headers=[("Content-Type", "text/html")])
    affinity = rollout(builds, app, app_first=["/app"])
    assert "Partitioned" in cookie_of(affinity, "/app", **KEPT)
    assert cookie_of(affinity, "/app", **{**KEPT, "Sec-Fetch-Site": "same-origin"}) == ""


def test_frame_without_cookie_is_of_the_baseline(builds: dict[str, Path]) -> None:
    """Where the browser keeps no cookie, the frame and its files come from one version, whatever the key says."""
    affinity = rollout(builds, shares={"v1": 100.0}, retained=["v2"], keys=[Header("X-User")])
    affinity.deploy({"v1": 10.0, "v2": 90.0})
    headers = {"X-User": key_of("v2", {"v1": 10.0, "v2": 90.0})}
    for asked, path in ((FRAME, "/"), (SCRIPT, DIFFERING)):
        response = client(affinity).get(path, headers={**asked, **headers})
        assert response.headers["Version-Affinity"] == "v1;reason=baseline"
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_scripts_of_other_origins_are_split(builds: dict[str, Path], site: str) -> None:
    """What a page of another origin loads goes by the key, as the pages of this application do."""
    affinity = rollout(builds, keys=[Cookie("user_id")])
    for version in SPLIT:
        headers = {**EMBEDDED, "Sec-Fetch-Site": site, "Cookie": f"user_id={key_of(version)}"}
        trace = client(affinity).get(DIFFERING, headers=headers).headers["Version-Affinity"]
        assert trace.startswith(f"{version};reason=key")


@pytest.mark.parametrize("share", [50.0, 10.0])
def test_exact_split_in_frames(builds: dict[str, Path], share: float) -> None:
    """Framed pages and scripts of other sites are split by the percentages, keyed users and others alike."""
    shares = {"v1": 100.0 - share, "v2": share}
    affinity = rollout(builds, shares=shares, keys=[Header("X-User")])
    asked = client(affinity)
    number = 800
    for headers, path, keyed in ((KEPT, "/", True), (KEPT, "/", False), (EMBEDDED, DIFFERING, True)):
        got = [
            asked.get(path, headers={**headers, "X-User": f"user{user}"} if keyed else headers).headers[
                "Version-Affinity"
            ]
            for user in range(number)
        ]
        found = sum(trace.startswith("v2;") for trace in got)
        assert abs(found - number * share / 100) < 5 * (number * share / 100 * (1 - share / 100)) ** 0.5


def test_a_frame_keeps_its_version(builds: dict[str, Path]) -> None:
    """A framed page stays on the version that its cookie names until that is retired."""
    affinity = rollout(builds, shares={"v1": 100.0}, retained=["v2"])
    headers = {**KEPT, **pinned("v2", "1")}
    assert client(affinity).get("/", headers=headers).headers["Version-Affinity"].startswith("v2;reason=pin")
    affinity.retire("v2")
    response = client(affinity).get("/", headers=headers)
    assert response.headers["Version-Affinity"] == "v1;reason=only"
    assert response.headers["Set-Cookie"].startswith("version-affinity-storefront=1.v1; ")


SINGLE_PAGE = [
    ({**NAVIGATION, "Sec-Fetch-Dest": "empty"}, "/deep/link", "document"),
    ({"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty", "Accept": "text/html,*/*"}, "/deep/link", "document"),
    ({"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}, "/deep/link", "app"),
    (KEPT, "/deep/link", "document"),
    (FRAME, "/deep/link", "document"),
    ({**FRAME, "Sec-Fetch-Dest": "object"}, "/deep/link", "document"),
    ({**FRAME, "Sec-Fetch-Dest": "embed"}, "/film.mp4", "app"),
    ({**FRAME, "Sec-Fetch-Site": "same-origin"}, "/deep/link", "app"),
    ({**FRAME, "Sec-Fetch-Site": "same-site"}, "/deep/link", "app"),
    ({**NAVIGATION, "Sec-Fetch-Dest": "empty"}, "/export.csv", "app"),
    ({**NAVIGATION, "Sec-Fetch-Dest": "empty"}, "/files/report.pdf", "app"),
    ({**NAVIGATION, "Sec-Fetch-Dest": "empty"}, "/users/jane.doe", "document"),
    (NAVIGATION, "/deep/link", "document"),
]


@pytest.mark.parametrize("has_app", [True, False])
@pytest.mark.parametrize(("headers", "path", "answer"), SINGLE_PAGE)
def test_single_page(tmp_path: Path, headers: dict[str, str], path: str, answer: str, has_app: bool) -> None:
    """A deep link is answered with the document to whoever shows a page, and a download never is."""
    build = write_build(tmp_path, {"index.html": "<!doctype html>"})
    options = {"not_found_handling": "single-page-application"}
    affinity = rollout({"v1": build}, Answer() if has_app else None, {"v1": 100.0}, **options)
    response = client(affinity).get(path, headers=headers)
    if has_app or answer == "document":
        assert response.text == ("<!doctype html>" if answer == "document" else "the app")
    elif "." in path:
        assert (response.status_code, response.content_type) == (404, "text/plain; charset=utf-8")


@pytest.mark.parametrize("shares", [SPLIT, {"v2": 100.0}])
@pytest.mark.parametrize("pin", ["v1", "v2", "gone"])
def test_head_has_the_fields_of_get(builds: dict[str, Path], shares: dict[str, float], pin: str) -> None:
    """HEAD says what GET says, stale pin or not; the cookie alone is left out, because no page is shown."""
    asked = client(rollout(builds, shares=shares, retained={"v1"} - set(shares)))
    headers = {**NAVIGATION, **pinned(pin, bucket_of("v2"))}
    get, head = (asked.open("/", method=method, headers=headers) for method in ("GET", "HEAD"))
    assert ("Set-Cookie" in get.headers) is (pin != "v2")
    assert [field for field in get.headers if field[0] != "Set-Cookie"] == list(head.headers)


def test_a_pin_is_signed(builds: dict[str, Path]) -> None:
    """With a secret, a pin counts as the application wrote it, for its version and this application alone."""
    affinity = rollout(builds, shares={"v1": 100.0, "v2": 0.0}, retained=["v0"], override_secret=NEW)
    other = rollout(builds, shares={"v1": 50.0, "v2": 50.0}, override_secret=NEW, name="other")
    affinity_cookie = cookie_of(
        rollout(builds, override_secret=NEW), scheme="http", **NAVIGATION, **{"Version-Key": key_of("v2")}
    ).partition(";")[0]
    name, _, value = affinity_cookie.partition("=")
    bucket, version, signature = value.split(".")
    assert (version, len(signature)) == ("v2", 16)

    def decided(pin: str) -> str:
        response = client(affinity).get(DIFFERING, headers={**SCRIPT, "Cookie": f"{name}={bucket}.{pin}"})
        return response.headers["Version-Affinity"].partition(";source")[0]

    assert decided(f"v2.{signature}") == "v2;reason=pin"
    foreign = cookie_of(other, scheme="http", **NAVIGATION, **{"Version-Key": key_of("v2", name="other")})
    forged = [
        "v2",
        f"v2.{signature[:-1]}",
        f"v2.{signature}x",
        f"v2.{signature.swapcase()}",
        f"v0.{signature}",
        "v2.",
        f"v2.{foreign.partition('v2.')[2].partition(';')[0]}",
        f"v2.{override_link('v2', name='storefront', secret=NEW, lifetime=60).rpartition('=')[2]}",
    ]
    assert {decided(pin) for pin in forged} == {"v1;reason=only"}


def test_rotated_secrets(builds: dict[str, Path]) -> None:
    """Every secret's signature is accepted, the last one signs, and the next page gets that one."""
    before, during, after = (rollout(builds, override_secret=secrets) for secrets in (OLD, [OLD, NEW], [NEW]))
    visitor = {**NAVIGATION, "Version-Key": key_of("v2")}
    old = cookie_of(before, scheme="http", **visitor).partition(";")[0]
    for affinity, reason in ((before, "pin"), (during, "pin"), (after, "baseline")):
        response = client(affinity).get(DIFFERING, headers={**SCRIPT, "Cookie": old})
        assert f"reason={reason}" in response.headers["Version-Affinity"]
    new = cookie_of(during, scheme="http", **visitor, Cookie=old).partition(";")[0]
    assert new.partition(".")[0] == old.partition(".")[0], "the bucket stays"
    assert cookie_of(during, scheme="http", **visitor, Cookie=new) == ""
    assert cookie_of(after, scheme="http", **visitor, Cookie=new) == ""


def test_signed_once_for_a_version(builds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No request signs anything."""
    affinity = rollout(builds, override_secret=[OLD, NEW])
    monkeypatch.setattr(Signer, "get_signature", lambda *arguments: pytest.fail("a request signed something"))
    cookie = cookie_of(affinity, scheme="http", **NAVIGATION)
    assert cookie_of(affinity, scheme="http", **NAVIGATION, Cookie=cookie.partition(";")[0]) == ""
