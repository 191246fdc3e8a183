"""How a client spelt its path, on the servers that tell and on those that do not."""

import os
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from servers import ROOT, serving

from version_affinity.assets.spelling import (
    canonical,
    is_as_sent,
    is_escaped,
    is_plain,
    merge_slashes,
    readings,
    spelling,
)

ANYTHING = st.text(st.characters(codec="latin-1")) | st.text() | st.text("/\\.:@%\r\n\t ?#4afF\xff")


@pytest.mark.parametrize(
    ("environ", "path", "expected"),
    [
        # the server's variable
        ({"REQUEST_URI": "/%61", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"REQUEST_URI": "", "RAW_URI": "/%61", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"PATH_INFO": "/a"}, "/a", None),
        # what is not the path
        ({"RAW_URI": "/%61?b=%63", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "/%61#b?c", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "/%61?b#c", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "http://host.example:80/%61?b", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "//host/%61", "PATH_INFO": "//host/a"}, "//host/a", "//host/%61"),
        # merged by the server
        ({"REQUEST_URI": "//host/%61", "PATH_INFO": "/host/a"}, "/host/a", "//host/%61"),
        # rewritten on the way
        ({"RAW_URI": "/%61", "PATH_INFO": "/b"}, "/b", None),
        ({"RAW_URI": "/%61", "SCRIPT_NAME": "/app", "PATH_INFO": "/a"}, "/a", None),
        ({"RAW_URI": "/app/%61", "PATH_INFO": "/a"}, "/a", None),
        ({"RAW_URI": "*", "PATH_INFO": "/a"}, "/a", None),
        ({"RAW_URI": "http://host.example", "PATH_INFO": ""}, "/", None),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}, "/a", None),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a", "HTTP_VIA": "1.1 proxy"}, "/a", None),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a", "HTTP_X_REAL_IP": "192.0.2.1"}, "/a", None),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a", "HTTP_X_FORWARDED_PROTO": "https"}, "/a", None),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a", "SERVER_PROTOCOL": "HTTP/1.0"}, "/a", None),
        ({"RAW_URI": "/%61", "PATH_INFO": "/a", "SERVER_PROTOCOL": "HTTP/1.1"}, "/a", "/%61"),
        # below a mount, however that is spelt
        ({"RAW_URI": "/app/%61", "SCRIPT_NAME": "/app", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "/app/x/%61/b", "SCRIPT_NAME": "/app", "PATH_INFO": "/x/a/b"}, "/a/b", "/%61/b"),
        ({"RAW_URI": "/%61pp/%61", "SCRIPT_NAME": "/app", "PATH_INFO": "/a"}, "/a", "/%61"),
        ({"RAW_URI": "/b/%61pp", "SCRIPT_NAME": "/app", "PATH_INFO": "/a"}, "/a", None),
        ({"RAW_URI": "/app%2fa", "SCRIPT_NAME": "/app", "PATH_INFO": "/a"}, "/a", None),
        ({"RAW_URI": "/app", "SCRIPT_NAME": "/app", "PATH_INFO": ""}, "", None),
        # as a browser would have sent it
        ({"RAW_URI": "/\xc3\xbc [|]\"'", "PATH_INFO": "/\xc3\xbc [|]\"'"}, "/\xc3\xbc [|]\"'", "/%C3%BC%20[|]%22'"),
        ({"RAW_URI": "/a\\b", "PATH_INFO": "/a\\b"}, "/a\\b", "/a/b"),
        ({"RAW_URI": "/100%", "PATH_INFO": "/100%"}, "/100%", "/100%"),
    ],
)
def test_spelling(environ, path, expected):
    """What the server tells is used where it is the request's path, and nowhere else."""
    assert spelling({"SCRIPT_NAME": "", **environ}, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/a-_.!~*'()Z09", "/a-_.!~*'()Z09"),
        ("/$&+,;=:@", "/%24%26%2B%2C%3B%3D%3A%40"),
        ("/[slug] %\\|", "/%5Bslug%5D%20%25%5C%7C"),
        ("/\xc3\xbc\xff", "/%C3%BC%FF"),
        ("/\n", "/%0A"),
        ("/\u20ac", "/%E2%82%AC"),
        ("/\u0661", "/%D9%A1"),
    ],
)
def test_canonical(path, expected):
    """A path has one spelling, that of encodeURIComponent, and is plain when that is itself."""
    assert canonical(path) == expected
    assert is_plain(path) is (path == expected)


@pytest.mark.parametrize(
    ("path", "spelt", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/%61", False),
        ("/a@:$&+,;=b", "/a@:$&+,;=b", True),
        ("/a@+b", "/a%40+b", True),
        ("/a@b", "/a%40b", True),
        ("/[a]|^", "/[a]|^", True),
        ("/'()*!", "/'()*!", True),
        ("/'a", "/%27a", False),
        ("/a b@", "/a%20b@", True),
        ("/\xfc@", "/%fc@", False),
        ("/%41", "/%41", False),
        ("/a\\b", "/a\\b", False),
    ],
)
def test_as_sent(path, spelt, expected):
    """A path is sent as it is where what a browser leaves raw is raw or encoded, and all else is canonical."""
    assert is_as_sent(path, spelt) is expected


@given(st.text(st.characters(codec="latin-1")))
@example("/\n")
def test_canonical_is_one_spelling(path):
    """A canonical spelling decodes to its path, holds nothing that must be encoded, and does not change again."""
    spelt = canonical(path)
    assert unquote_to_bytes(spelt).decode("latin-1") == path
    assert re.fullmatch(r"(?:[A-Za-z0-9/_.!~*'()-]|%[0-9A-F]{2})*", spelt)
    assert is_plain(spelt) is (spelt == path)


@pytest.mark.parametrize(
    ("path", "spelt", "expected"),
    [
        ("/a", None, ["/a"]),
        ("/a", "/%61", ["/a"]),
        ("//a///b", None, ["//a///b", "/a/b"]),
        ("//a", "%2F/a", ["//a", "/a"]),
        ("/a", "//a", ["//a", "/a"]),
        ("/%41", "/%2541", ["/%41"]),
        ("/A%", "/%41%", ["/A%", "/%41%"]),
        ("/A/A%zz/A", "/%41/%41%zz/%41", ["/A/A%zz/A", "/A/%41%zz/A"]),
        ("/\xfc", "/%fc", ["/\xfc", "/%fc"]),
        ("/\xc3\xbc/\xfc", "/%C3%BC/%FC", ["/\xc3\xbc/\xfc", "/\xc3\xbc/%FC"]),
        ("/\xed\xa0\x80", "/%ED%A0%80", ["/\xed\xa0\x80", "/%ED%A0%80"]),
        ("/\xc0\xaf", "/%C0%AF", ["/\xc0\xaf", "/%C0%AF"]),
        ("/a\\b", "/a/b", ["/a/b"]),
        ("/", "/", ["/"]),
    ],
)
def test_readings(path, spelt, expected):
    """A path is read byte by byte, then as a browser's URL, where what is no encoded UTF-8 stands for itself."""
    assert list(readings(path, spelt)) == expected


@given(ANYTHING, ANYTHING, ANYTHING, st.booleans())
@example("/", "", "/\ud800", True)
@example("/" * 65_536, "", "/" * 65_536, True)
@example("%" * 65_536, "", "%" * 65_536, True)
def test_whatever_arrives(target, script_name, path, agree):
    """Nothing raises; what is known of the spelling is ASCII, and decodes to the path but for slashes."""
    if agree:
        target = target.partition("#")[0].partition("?")[0]
        script_name, path = "", unquote_to_bytes(target.encode("latin-1", "ignore")).decode("latin-1")
    environ = {"RAW_URI": target, "SCRIPT_NAME": script_name, "PATH_INFO": path}
    assert is_escaped(environ) in (True, False)
    spelt = spelling(environ, path)
    for meant in readings(path, spelt):
        assert canonical(meant).isascii()
    if spelt is not None:
        assert re.fullmatch(r"[\x21-\x7e]*", spelt)
        assert not set(spelt) & set('\\?#<>"')
        decoded = unquote_to_bytes(spelt).decode("latin-1")
        assert merge_slashes(decoded.replace("\\", "/")) == merge_slashes(path.replace("\\", "/"))


@given(st.text("/" + "ab."))
def test_merge_slashes(path):
    """Merging leaves the segments alone and no two slashes together."""
    merged = merge_slashes(path)
    assert "//" not in merged
    assert [part for part in merged.split("/") if part] == [part for part in path.split("/") if part]


#: What is sent, and the answer where the server tells the spelling, and where it does not.
SENT = [
    ("/about?a=%41", (200, None), (200, None)),
    ("/%61bout?a=%41", (307, "/about?a=%41"), (200, None)),
    ("/%61bout.html", (307, "/about"), (307, "/about")),
    ("/user@site", (307, "/user%40site"), (200, None)),
    ("/user%40site", (200, None), (200, None)),
    ("/docs%2f", (307, "/docs/"), (200, None)),
    ("/%2f%2fevil.example", (404, None), (404, None)),
    ("/%FC", (404, None), (404, None)),
    ("/assets/%69ndex-BX4CeNGm.js", (200, None), (200, None)),
]


@pytest.mark.parametrize(("name", "tells"), [("gunicorn", True), ("waitress", True), ("granian", False)])
def test_on_servers(tree, tmp_path, name, tells):
    """Where a server tells how a path was spelt, others redirect to the canonical spelling; elsewhere they answer."""
    root = tree(
        {
            "index.html": "home",
            "about.html": "about",
            "user@site.html": "user",
            "docs/index.html": "docs",
            "assets/index-BX4CeNGm.js": "1",
        }
    )
    (tmp_path / "spelt.py").write_text(
        f"from version_affinity.assets.static import StaticAssets\napp = StaticAssets({str(root)!r})\n"
    )
    path = os.pathsep.join(map(str, (ROOT, tmp_path)))
    with serving(name, "spelt:app", tmp_path, {"PYTHONPATH": path}) as server:
        answers = {sent: server.ask(sent) for sent, *_ in SENT}
    got = {sent: (answer.status, answer.headers["Location"]) for sent, answer in answers.items()}
    assert got == {sent: told if tells else untold for sent, told, untold in SENT}
