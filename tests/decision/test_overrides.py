"""Overrides: the grammar, each refusal, signatures and their expiry, the cookie, and the caps."""

from __future__ import annotations

import time

import pytest
from itsdangerous import URLSafeSerializer

from tests.harness import conformance, needs_conformance
from version_affinity import sign_override
from version_affinity.decision.cookies import OverrideCookie
from version_affinity.decision.overrides import DEFAULT_HEADERS, MAX_LENGTH, Overrides, Refused

DEPLOYED = {"v1", "v2", "1.4.2", "20240601", "1a2b3c4", "2024-01-15", "shop"}
KNOWN = {*DEPLOYED, "v0"}
OURS, PLATFORM = "HTTP_VERSION_OVERRIDE", "HTTP_CLOUDFLARE_WORKERS_VERSION_OVERRIDES"


def read(environ: dict[str, str], secret: str | list[str] | None = None) -> str:
    """Return what the headers of a request come to: the version and its source, or the refusal."""
    try:
        return " by ".join(Overrides("shop", DEFAULT_HEADERS, secret).read(environ, KNOWN, DEPLOYED))
    except Refused as refusal:
        return f"refused: {refusal}"


GRAMMAR = [
    # an id as it stands, which need not be an RFC 9651 Token
    ("v2", "v2"),
    ("  v2\t", "v2"),
    ("1.4.2", "1.4.2"),
    ("20240601", "20240601"),
    ("1a2b3c4", "1a2b3c4"),
    ("2024-01-15", "2024-01-15"),
    ("shop", "shop"),
    # an Item
    ('"v2"', "v2"),
    ('"v2";note=1', "v2"),
    ('"20240601"', "20240601"),
    # a Dictionary
    ('shop="v2"', "v2"),
    ('shop="v2";note=1', "v2"),
    ('other="v9", shop="v2"', "v2"),
    ('other=(1 2);a=b, shop="v2" , more', "v2"),
    ('shop="v1", shop="v2"', "v2"),
    ('shop=v1, shop="v2"', "v2"),
    # what cannot be applied
    ("v9", "refused: unknown-version"),
    ('"v9"', "refused: unknown-version"),
    ('""', "refused: unknown-version"),
    ('shop="v9"', "refused: unknown-version"),
    ('"../v2"', "refused: unknown-version"),
    ("v0", "refused: not-deployed"),
    ('shop="v0"', "refused: not-deployed"),
    ('other="v2"', "refused: other-app"),
    ('other="v1", another="v2"', "refused: other-app"),
    ("?1", "refused: bad-syntax"),
    ("*v2", "refused: bad-syntax"),
    (":djI=:", "refused: bad-syntax"),
    ("@1700000000", "refused: bad-syntax"),
    ('%"v2"', "refused: bad-syntax"),
    ("shop=v2", "refused: bad-syntax"),
    ("shop=2", "refused: bad-syntax"),
    ('shop=("v2")', "refused: bad-syntax"),
    ('shop="v1", shop=v2', "refused: bad-syntax"),
    ("shop, x=1", "refused: bad-syntax"),
    ('Shop="v2"', "refused: bad-syntax"),
    ('shop="v2', "refused: bad-syntax"),
    ('shop="v2",', "refused: bad-syntax"),
    ("v1, v2", "refused: other-app"),
    ("../v2", "refused: bad-syntax"),
    ("v2/", "refused: bad-syntax"),
    ("v\xb2", "refused: bad-syntax"),
    ('"v\xe9"', "refused: bad-syntax"),
    ("\x00", "refused: bad-syntax"),
    ("v2\r\nSet-Cookie: a=b", "refused: bad-syntax"),
    ("日本", "refused: bad-syntax"),
    ("\udcff", "refused: bad-syntax"),
    # nothing
    ("", "refused: "),
]


@pytest.mark.parametrize(("value", "expected"), GRAMMAR)
def test_grammar(value: str, expected: str) -> None:
    """A value is an id, an Item or a Dictionary; what cannot be applied is refused with its reason."""
    outcome = read({OURS: value})
    assert outcome == (expected if expected.startswith("refused") else f"{expected} by header:Version-Override")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('shop="v2"', "v2 by header:Cloudflare-Workers-Version-Overrides"),
        ('other="v1", shop="v2"', "v2 by header:Cloudflare-Workers-Version-Overrides"),
        ('"v2"', "refused: bad-syntax"),
        ("v2", "refused: other-app"),
        ("1.4.2", "refused: bad-syntax"),
        ("20240601", "refused: bad-syntax"),
        ('other="v2"', "refused: other-app"),
    ],
)
def test_platform_header(value: str, expected: str) -> None:
    """The platform's header takes the Dictionary form only."""
    assert read({PLATFORM: value}) == expected


@pytest.mark.parametrize(
    ("ours", "platform", "expected"),
    [
        ("v1", 'shop="v2"', "v1 by header:Version-Override"),
        ("v9", 'shop="v2"', "v2 by header:Cloudflare-Workers-Version-Overrides"),
        ("", 'shop="v2"', "v2 by header:Cloudflare-Workers-Version-Overrides"),
        ("v9", 'shop="v0"', "refused: unknown-version"),
        ("v0", "v9", "refused: not-deployed"),
        ("", "", "refused: "),
    ],
)
def test_two_headers(ours: str, platform: str, expected: str) -> None:
    """The first header that can be applied counts; when none can, the first one's reason is told."""
    assert read({OURS: ours, PLATFORM: platform}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('shop="v2"' + ", x=1" * 202, "v2 by header:Version-Override"),
        ('shop="v2"' + ", x=1" * 203, "v2 by header:Version-Override"),
        ('shop="v2"' + ", x=1" * 204, "refused: bad-syntax"),
        (" " * 5000 + "v2", "v2 by header:Version-Override"),
        ("v" * MAX_LENGTH, "refused: unknown-version"),
        ("v" * (MAX_LENGTH + 1), "refused: bad-syntax"),
        ("x=1, " * 13_000 + 'shop="v2"', "refused: bad-syntax"),
        ("(" * MAX_LENGTH, "refused: bad-syntax"),
    ],
)
def test_cap(value: str, expected: str) -> None:
    """A trimmed value of more than 1 KiB is refused unread."""
    assert read({OURS: value}) == expected


@needs_conformance
def test_conformance_dictionaries() -> None:
    """Every Dictionary of the HTTP working group's cases is accepted or refused as the RFC says, member by member."""
    cases = conformance("sf_dictionary_cases.json")
    wrong = []
    read_members = 0
    for case in cases:
        value = ", ".join(case["raw"])  # as a server joins lines
        if value.strip(" \t") != value.strip(" "):
            continue  # no field value: a server takes tabs around it away (RFC 9110 section 5.5)
        members = {member["key"]: member for member in case["expected"].get("members", ())}
        names = [name for name in members if not set(name) & set("*.")]  # those that an application can have
        for name in ("absent", *names):
            member = members.get(name, {"type": None})
            known = {member.get("value")}
            try:
                outcome = Overrides(name, DEFAULT_HEADERS[1:], None).read({PLATFORM: value}, known, known)[0]
            except Refused as refusal:
                outcome = str(refusal)
            if not value:
                expected = ""
            elif case["expected"]["parse"] == "fail" or len(value.strip()) > MAX_LENGTH:
                expected = "bad-syntax"
            else:
                expected = {None: "other-app", "string": member.get("value")}.get(member["type"], "bad-syntax")
                read_members += member["type"] is not None
            if outcome != expected:
                wrong.append((case["id"], name, outcome, expected))
    assert (wrong, len(cases), read_members > 100) == ([], 432, True)


SECRET, OLDER, OTHER = "a long random text", "the text before it", "somebody else's text"
HOUR = 3600.0
#: Values are signed when the tests are collected. They must still count when the last test runs.
MONTH = 30 * 24 * HOUR


def signed(version: str = "v2", name: str = "shop", secret: str = SECRET, lifetime: float = MONTH) -> str:
    """Return a signed override."""
    return sign_override(version, name=name, secret=secret, lifetime=lifetime)


def forged(payload: object) -> str:
    """Return a value that is signed with the right secret and salt and says something else."""
    return str(URLSafeSerializer(SECRET, salt="version-affinity.override.shop").dumps(payload))


LATER = int(time.time()) + 1_000_000
SIGNED = [
    (SECRET, signed(), "v2"),
    (SECRET, f" {signed()} ", "v2"),
    (SECRET, f'"{signed()}"', "v2"),
    (SECRET, f'shop="{signed()}"', "v2"),
    (SECRET, f'other="x", shop="{signed()}"', "v2"),
    (SECRET, signed("v9"), "refused: unknown-version"),
    (SECRET, signed("v0"), "refused: not-deployed"),
    # the signature comes first: nobody learns which ids exist
    (SECRET, "v2", "refused: bad-signature"),
    (SECRET, "v9", "refused: bad-signature"),
    (SECRET, '"v2"', "refused: bad-signature"),
    (SECRET, 'shop="v2"', "refused: bad-signature"),
    (SECRET, 'other="v2"', "refused: other-app"),
    (SECRET, "shop=2", "refused: bad-syntax"),
    (SECRET, signed()[:-1], "refused: bad-signature"),
    (SECRET, f'"{signed()}=x"', "refused: bad-signature"),
    (SECRET, f"A{signed()[1:]}", "refused: bad-signature"),
    (SECRET, signed(secret=OTHER), "refused: bad-signature"),
    (SECRET, signed(name="other"), "refused: bad-signature"),
    (SECRET, forged(["v2", int(time.time()) - 2]), "refused: bad-signature"),
    (SECRET, forged(["v2", int(time.time() - HOUR)]), "refused: bad-signature"),
    (SECRET, forged(["v2", LATER]), "v2"),
    (SECRET, forged("v2"), "refused: bad-signature"),
    (SECRET, forged(["v2"]), "refused: bad-signature"),
    (SECRET, forged(["v2", LATER, 1]), "refused: bad-signature"),
    (SECRET, forged([["v2"], LATER]), "refused: bad-signature"),
    (SECRET, forged(["v2", "later"]), "refused: bad-signature"),
    (SECRET, forged(["v2", None]), "refused: bad-signature"),
    (SECRET, forged(7), "refused: bad-signature"),
    # rotation: the last signs, all verify
    ([OLDER, SECRET], signed(), "v2"),
    ([OLDER, SECRET], signed(secret=OLDER), "v2"),
    ([SECRET, OLDER], signed(), "v2"),
    ([OLDER], signed(), "refused: bad-signature"),
    ([OLDER, OTHER], signed(), "refused: bad-signature"),
    # without a secret a signature is only text
    (None, signed(), "refused: unknown-version"),
]


@pytest.mark.parametrize(("secret", "value", "expected"), SIGNED)
def test_signature(secret: str | list[str] | None, value: str, expected: str) -> None:
    """With a secret only values that it signed, for this application, and that have not expired, count."""
    outcome = read({OURS: value}, secret)
    assert outcome == (expected if expected.startswith("refused") else f"{expected} by header:Version-Override")


def test_expiry_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature counts until the second that it names and not after it."""
    value = forged(["v2", LATER])
    for now, outcome in ((LATER, "v2 by header:Version-Override"), (LATER + 1, "refused: bad-signature")):
        monkeypatch.setattr(time, "time", lambda now=now: float(now))
        assert read({OURS: value}, SECRET) == outcome


COOKIE = OverrideCookie("held")


@pytest.mark.parametrize(
    ("header", "cookie", "expected"),
    [
        ("", signed(), "v2 by cookie:held"),
        (signed("v1"), signed(), "v1 by header:Version-Override"),
        ("v1", signed(), "v2 by cookie:held"),
        (signed("v9"), "x", "refused: unknown-version"),
        ("", signed("v9"), "refused: unknown-version"),
        ("", signed("v0"), "refused: not-deployed"),
        ("", "v2", "refused: bad-signature"),
        # the cookie holds a signed value as it stands
        ("", f'shop="{signed()}"', "refused: bad-signature"),
        ("", signed(secret=OTHER), "refused: bad-signature"),
        ("", "v" * (MAX_LENGTH + 1), "refused: bad-syntax"),
        ("", "", "refused: "),
    ],
)
def test_cookie(header: str, cookie: str, expected: str) -> None:
    """With a secret, the cookie is read after the headers."""
    overrides = Overrides("shop", DEFAULT_HEADERS, SECRET, COOKIE)
    environ = {OURS: header, "HTTP_COOKIE": f"a=1; held={cookie}; b=2"}
    try:
        outcome = " by ".join(overrides.read(environ, KNOWN, DEPLOYED))
    except Refused as refusal:
        outcome = f"refused: {refusal}"
    assert outcome == expected


def test_cookie_without_a_secret() -> None:
    """Without a secret no cookie is read, whoever has set it."""
    overrides = Overrides("shop", DEFAULT_HEADERS, None, COOKIE)
    assert overrides.cookie is None
    for value in ("v2", signed()):
        with pytest.raises(Refused, match=r"^$"):
            overrides.read({"HTTP_COOKIE": f"held={value}"}, KNOWN, DEPLOYED)
        with pytest.raises(Refused, match="bad-signature"):
            overrides.verify(value)


def test_headers_are_configured() -> None:
    """Only the configured headers are read, by whatever name; none switches overrides off."""
    overrides = Overrides("shop", ["X-Try"], None)
    assert overrides.environ_keys == ("HTTP_X_TRY",)
    assert overrides.read({"HTTP_X_TRY": "v2"}, KNOWN, DEPLOYED) == ("v2", "header:X-Try")
    assert Overrides("shop", (), None).environ_keys == ()
    with pytest.raises(Refused):
        overrides.read({OURS: "v2"}, KNOWN, DEPLOYED)
