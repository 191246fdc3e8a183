"""The scan of a Cookie header, and the affinity cookie: what is read and written, on http and on https."""

from __future__ import annotations

import pytest

from version_affinity.decision.cookies import PinCookie, bucket_key, cookie_finder, draw_bucket


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("id=42", "42"),
        ("a=1; id=42", "42"),
        ("id=42; a=1", "42"),
        ("a=1;id=42;b=2", "42"),
        ("a=1;  id=42 ; b=2", "42"),
        ("a=1;\tid=42\t", "42"),
        (" id=42", "42"),
        ('id="42"', "42"),
        ('a="1"; id="4 2"; b=3', "4 2"),
        ("id=4=2", "4=2"),
        ("id=42; id=43", "42"),
        ("id=; id=43", ""),
        ("id=", ""),
        ('id=""', ""),
        ("id", ""),
        ("", ""),
        (";;;", ""),
        ("ID=42", ""),
        ("xid=42", ""),
        ("xid=1; id=42", "42"),
        ("xid=1; yid=2; id=42", "42"),
        ("x-id=1;id=42", "42"),
        ("a=id=1", ""),
        ("a=id=1; id=42", "42"),
        ("x; id=42", "42"),
        ("a b id=1", ""),
        ("id=\xff\xfe", "\xff\xfe"),
        ('id="\\377"', "\\377"),
        ("id=" + "x" * 8192, "x" * 8192),
        # odd blanks: the first of duplicates wins all the same
        ("a=1;id=first; id=second", "first"),
        ("a=1;\tid=first; id=second", "first"),
        ("a=1;id=first;id=second", "first"),
        ("xid=1;id=first; id=second", "first"),
        (" id=first; id=second", "first"),
        ("a=id=0;id=first; id=second", "first"),
        ("xid=1; id=first;id=second", "first"),
        ("a=1;id=; id=second", ""),
        # long, of near misses only
        ("xid=" * 20_000, ""),
        ("xid=" * 20_000 + "; id=42", "42"),
        ("; xid=" * 20_000 + ";id=42", "42"),
        (";" * 80_000 + "id=42", "42"),
        (" \t" * 40_000 + "id=42", "42"),
    ],
)
def test_cookie_finder(header: str, value: str) -> None:
    """The scan finds a cookie by its whole name; the first of duplicates wins, quotes and blanks are stripped."""
    assert cookie_finder("id")(header) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4711.v1", ("4711", "v1")),
        ("0.v1", ("0", "v1")),
        ("1048575.v1", ("1048575", "v1")),
        ("1048576.v1", ("", "v1")),
        ("00000007.v1", ("", "v1")),
        ("-1.v1", ("", "v1")),
        ("+1.v1", ("", "v1")),
        ("1_0.v1", ("", "v1")),
        ("1e3.v1", ("", "v1")),
        ("²3.v1", ("", "v1")),
        ("\xb2.v1", ("", "v1")),
        ("x.v1", ("", "v1")),
        (".v1", ("", "v1")),
        ("9" * 5000 + ".v1", ("", "v1")),
        ("4711.1.4.2", ("4711", "1.4.2")),
        ("4711.", ("4711", "")),
        ("4711", ("4711", "")),
        ("v1", ("", "")),
        (".", ("", "")),
        ("", ("", "")),
    ],
)
def test_decode(value: str, expected: tuple[str, str]) -> None:
    """A malformed part is absent and leaves the other one usable; an id may hold dots."""
    assert PinCookie("pin").read(f"pin={value}", "http") == expected


HTTP, HTTPS = {"wsgi.url_scheme": "http"}, {"wsgi.url_scheme": "https"}
PLAIN, PREFIXED = "version-affinity-app=1.v1", "__Host-version-affinity-app=2.v2"


@pytest.mark.parametrize(
    ("secure", "environ", "header", "expected"),
    [
        (None, HTTP, PLAIN, ("1", "v1")),
        (None, HTTP, PREFIXED, ("", "")),
        (None, HTTP, f"{PREFIXED}; {PLAIN}", ("1", "v1")),
        (None, HTTPS, PREFIXED, ("2", "v2")),
        (None, HTTPS, PLAIN, ("", "")),
        (None, HTTPS, f"{PLAIN}; {PREFIXED}", ("2", "v2")),
        (True, HTTP, f"{PLAIN}; {PREFIXED}", ("2", "v2")),
        (True, HTTPS, f"{PLAIN}; {PREFIXED}", ("2", "v2")),
        (False, HTTPS, f"{PREFIXED}; {PLAIN}", ("1", "v1")),
        (None, HTTP, "x-version-affinity-app=1.v1", ("", "")),
        (None, HTTP, "version-affinity-app=", ("", "")),
        (None, HTTP, f"{PLAIN}; version-affinity-app=9.v9", ("1", "v1")),
        (None, HTTP, 'version-affinity-app="1.v1"', ("1", "v1")),
        (None, HTTP, "", ("", "")),
        (None, {}, PLAIN, ("1", "v1")),
    ],
)
def test_read(secure: bool | None, environ: dict[str, str], header: str, expected: tuple[str, str]) -> None:
    """On https only the prefixed name is read, on http only the plain one; ``secure`` outranks the scheme."""
    cookie = PinCookie("version-affinity-app", secure=secure)
    assert cookie.read(header, environ.get("wsgi.url_scheme")) == expected


def test_read_without_header() -> None:
    """A request without cookies has neither bucket nor pin."""
    assert PinCookie("version-affinity-app").read(None, "http") == ("", "")


@pytest.mark.parametrize(
    ("secure", "environ", "tls"),
    [(None, HTTP, False), (None, HTTPS, True), (True, HTTP, True), (False, HTTPS, False), (None, {}, False)],
)
def test_write(secure: bool | None, environ: dict[str, str], tls: bool) -> None:
    """The cookie is a session cookie for the whole host, HttpOnly and Lax; on https prefixed and Secure."""
    scheme = environ.get("wsgi.url_scheme")
    name, value = PinCookie("version-affinity-app", secure=secure).write(scheme, "4711", "v1")
    pair, *attributes = value.split("; ")
    assert name == "Set-Cookie"
    assert pair == ("__Host-" if tls else "") + "version-affinity-app=4711.v1"
    assert sorted(attributes) == sorted(["Path=/", "HttpOnly", "SameSite=Lax", *(["Secure"] if tls else [])])


@pytest.mark.parametrize("environ", [HTTP, HTTPS])
def test_round_trip(environ: dict[str, str]) -> None:
    """What was written is read back."""
    cookie = PinCookie("version-affinity-app")
    for _ in range(50):
        bucket = draw_bucket()
        sent = cookie.write(environ["wsgi.url_scheme"], bucket, "1.4.2")[1].partition(";")[0]
        assert cookie.read(f"a=1; {sent}", environ["wsgi.url_scheme"]) == (bucket, "1.4.2")


def test_buckets() -> None:
    """Buckets are decimal numbers below 2**20, spread over all of it."""
    drawn = [int(draw_bucket()) for _ in range(2000)]
    assert all(0 <= bucket < 2**20 for bucket in drawn)
    assert {bucket >> 16 for bucket in drawn} == set(range(16))


def test_bucket_key() -> None:
    """A bucket's key is of the contract, so that hosts and implementations agree."""
    assert bucket_key("4711") == b"bucket:4711"
