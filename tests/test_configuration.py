"""Every setting that cannot be used: refused when it is configured, naming the field, the value and the remedy."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import Answer, write_builds
from tests.harness import state_of, write_build
from version_affinity import (
    ConfigurationError,
    Cookie,
    Deployment,
    Header,
    StaticAssets,
    Version,
    VersionAffinity,
    sign_override,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAN = float("nan")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the builds v0, v1 and v2, an empty one, a file, and one that holds nothing to serve."""
    root = tmp_path_factory.mktemp("builds")
    write_builds(root)
    (root / "empty").mkdir()
    write_build(root, {"file.txt": "x", "hidden/.env": "x", "no-document/a.js": "x"})
    return root


def refused(configure: Callable[[], object], *words: str) -> None:
    """Check that something is refused with a message that holds all the words."""
    with pytest.raises(ConfigurationError) as raised:
        configure()
    message = str(raised.value)
    assert isinstance(raised.value, ValueError)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


@pytest.mark.parametrize(
    "name",
    ["", "App", "1a", "a b", "a.b", "é", "a\n", "*", "-a", "_a", None, b"a", 1],
)
def test_name(name: Any, root: Path) -> None:
    """A deployment's name that could not stand in a header or cookie is refused, wherever it is given."""
    words = (f"name={name!r}", "lowercase letter", "name='storefront'")
    refused(lambda: Deployment(name, {"v1": 100}), *words)
    refused(lambda: VersionAffinity(None, [Version("v1", root / "v1")], name=name), *words)


@pytest.mark.parametrize(
    "version", ["", "a b", "a/b", "../v2", ".v1", "-v1", "_v1", "v1\n", "é", "x" * 65, "v,1", "v=1", None, 1, b"v1"]
)
def test_version_id(version: Any, root: Path) -> None:
    """An id that could not stand in a header, a cookie or a path is refused, wherever it is given."""
    words = (f"version id {version!r}", "1 to 64 letters", "'v2'")
    refused(lambda: Version(version, root / "v1"), *words)
    refused(lambda: Deployment("app", {version: 100}), *words)
    refused(lambda: sign_override(version, name="app", secret=b"0123456789abcdef", lifetime=1), *words)


@pytest.mark.parametrize(
    ("percentage", "words"),
    [
        (-1, ("percentage=-1", "'v1'", "not between 0 and 100")),
        (100.1, ("percentage=100.1", "'v1'", "not between 0 and 100")),
        (NAN, ("percentage=nan", "'v1'", "not between 0 and 100")),
        (float("inf"), ("percentage=inf", "'v1'", "not between 0 and 100")),
        (10**400, ("percentage=1000", "'v1'", "not between 0 and 100")),
        ("50", ("percentage='50'", "'v1'", "not a number", "from 0 to 100")),
        (True, ("percentage=True", "'v1'", "not a number")),
        (Decimal(50), ("percentage=Decimal('50')", "'v1'", "not a number")),
        (1j, ("percentage=1j", "'v1'", "not a number")),
    ],
)
def test_percentage(percentage: Any, words: tuple[str, ...], root: Path) -> None:
    """A percentage that is no number from 0 to 100 is refused, wherever it is given."""
    refused(lambda: Version("v1", root / "v1", percentage=percentage), *words)
    refused(lambda: Deployment("app", {"v1": percentage}), *words)


@pytest.mark.parametrize(
    ("percentages", "words"),
    [
        ({}, ("at least one version", "{'v1': 100}")),
        ({"v1": 0}, ("sum to 0", "v1 0")),
        ({"v1": 50, "v2": 40}, ("sum to 90, not 100", "v1 50 + v2 40", "None for the remainder")),
        ({"v1": 50, "v2": 60}, ("sum to 110, not 100", "v1 50 + v2 60")),
        ({"v1": 60, "v2": 60, "v3": None}, ("sum to 120, not 100", "v1 60 + v2 60")),
        ({"v1": 99.99}, ("sum to 99.99, not 100",)),
        ({"v1": 0.9, "v2": 0.1}, ("sum to 1, not 100", "write percentages, not fractions, such as 90 for 0.9")),
        ({"v1": 50, "v2": 50.002}, ("not 100", "v2 50.002")),
        ({"v1": 50, "v2": 49.998}, ("not 100", "v2 49.998")),
    ],
)
def test_sum(percentages: dict[str, Any], words: tuple[str, ...], root: Path) -> None:
    """Percentages that do not sum to 100 within 0.001 are refused with the sum and its parts."""
    refused(lambda: Deployment("app", percentages), *words)
    given = [Version(version, root / version, percentage=share) for version, share in percentages.items()]
    given = given if len(given) != 1 or given[0].percentage is not None else []
    if set(percentages) <= {"v1", "v2"}:
        refused(lambda: VersionAffinity(None, given), *words)
    affinity = VersionAffinity(None, [Version("v1", root / "v1")])
    refused(lambda: affinity.deploy(percentages), *words)


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (None, ("app=None", "'v1'", "neither a directory nor a WSGI application", "path of a build")),
        (7, ("app=7", "'v1'", "neither a directory")),
        (b"builds/v1", ("app=b'builds/v1'", "'v1'", "neither a directory")),
    ],
)
def test_version_app(app: Any, words: tuple[str, ...]) -> None:
    """What is neither a path nor an application is no version."""
    refused(lambda: Version("v1", app), *words)


@pytest.mark.parametrize("options", [{"app": Answer()}, {"prefix": "/shop/"}])
def test_static_assets_as_version(root: Path, options: dict[str, Any]) -> None:
    """A ``StaticAssets`` that is a version has no application and no prefix of its own."""
    own = StaticAssets(root / "v1", **options)
    refused(lambda: Version("v1", own), "StaticAssets of version 'v1'", "leave both out", "VersionAffinity")


# what is given to VersionAffinity, from a function of the builds' directory; the words of the message
OPTIONS: list[tuple[Callable[[Path], dict[str, Any]], tuple[str, ...]]] = [
    # the application
    (lambda root: {"app": "app"}, ("app='app'", "not a WSGI application", "None to go without")),
    # versions
    (lambda root: {"versions": None}, ("versions=None", "not a list", "versions=[Version('v1', ...)]")),
    (lambda root: {"versions": "v1"}, ("versions='v1'", "not a list")),
    (lambda root: {"versions": []}, ("at least one version", "{'v1': 100}")),
    (lambda root: {"versions": ["v1"]}, ("versions contains 'v1'", "Version('v1', path)")),
    (lambda root: {"versions": Version("v1", root / "v1")}, ("versions=Version(", "not a list")),
    (lambda root: {"retained": "v0"}, ("retained='v0'", "not a list")),
    (lambda root: {"retained": [7]}, ("retained contains 7", "Version('v1', path)")),
    (lambda root: {"retained": [Version("v1", root / "v0")]}, ("'v1'", "listed twice", "id of its own")),
    (
        lambda root: {"versions": [Version("v1", root / "v1"), Version("v1", root / "v2")]},
        ("'v1'", "listed twice", "id of its own"),
    ),
    (
        lambda root: {"retained": [Version("v0", root / "v0", percentage=0)]},
        ("percentage=0", "retained version 'v0'", "no effect", "leave it out"),
    ),
    # directories
    (
        lambda root: {"versions": [Version("v1", root / "nothing")]},
        ("version 'v1'", "nothing'", "does not exist", "build the front end first"),
    ),
    (lambda root: {"versions": [Version("v1", root / "empty")]}, ("version 'v1'", "empty'", "no file to serve")),
    (lambda root: {"versions": [Version("v1", root / "hidden")]}, ("version 'v1'", "hidden'", "no file to serve")),
    (lambda root: {"versions": [Version("v1", root / "file.txt")]}, ("version 'v1'", "file.txt'", "is a file")),
    (lambda root: {"retained": [Version("v0", str(root / "no"))]}, ("version 'v0'", "does not exist")),
    (
        lambda root: {
            "versions": [Version("v1", root / "no-document")],
            "not_found_handling": "single-page-application",
        },
        ("version 'v1'", "not_found_handling='single-page-application'", "/index.html", "not_found_handling='none'"),
    ),
    # keys
    (lambda root: {"keys": "user_id"}, ("keys='user_id'", "not a list", "keys=[Cookie('user_id')")),
    (lambda root: {"keys": Cookie("user_id")}, ("keys=Cookie(name='user_id')", "not a list")),
    (lambda root: {"keys": None}, ("keys=None", "not a list")),
    (lambda root: {"keys": ["user_id"]}, ("keys contains 'user_id'", "not a key source", "Cookie(name)")),
    (lambda root: {"keys": [Cookie]}, ("keys contains <class", "Cookie'>", "not a key source", "Cookie(name)")),
    # paths
    (lambda root: {"prefix": "shop"}, ("prefix='shop'", "not a path", "'/shop/'")),
    (lambda root: {"prefix": ""}, ("prefix=''", "not a path")),
    (lambda root: {"prefix": "//shop"}, ("prefix='//shop'", "not a path")),
    (lambda root: {"prefix": "/shop?a"}, ("prefix='/shop?a'", "not a path")),
    (lambda root: {"prefix": "/shop#a"}, ("prefix='/shop#a'", "not a path")),
    (lambda root: {"prefix": None}, ("prefix=None", "not a path")),
    (lambda root: {"prefix": "/caf%C3%A9/"}, ("prefix='/caf%C3%A9/'", "not a path")),
    (lambda root: {"prefix": "/a//b"}, ("prefix='/a//b'", "not a path", "without '//'")),
    (lambda root: {"prefix": "/../shop"}, ("prefix='/../shop'", "not a path", "'..'")),
    (lambda root: {"versions": [Version("v1", "")]}, ("version 'v1'", "directory=''", "such as 'dist'")),
    (lambda root: {"versions": [Version("v1", "")], "root": root}, ("version 'v1'", "directory=''")),
    (lambda root: {"autorefresh": "no"}, ("autorefresh='no'", "not a boolean", "autorefresh=True")),
    (lambda root: {"fingerprinted": 5}, ("fingerprinted=5", "neither a regular expression", "leave it out")),
    (lambda root: {"root": 7}, ("root=7", "not the name of a directory", "str or pathlib.Path")),
    (lambda root: {"root": b"/srv"}, ("root=b'/srv'", "not the name of a directory")),
    (lambda root: {"root": None}, ("root=None", "not the name of a directory")),
    (lambda root: {"app_first": "/api/*"}, ("app_first='/api/*'", "not a list", "app_first=['/api/*']")),
    (lambda root: {"app_first": 7}, ("app_first=7", "not a list")),
    (lambda root: {"app_first": ["api/*"]}, ("app_first rule 'api/*'", "must begin with '/'")),
    (lambda root: {"app_first": ["/a", "!b"]}, ("app_first rule '!b'", "'!/'")),
    (lambda root: {"app_first": [7]}, ("app_first rule 7", "must begin with")),
    (lambda root: {"app_first": ["!/a"]}, ("app_first", "only exceptions", "['!/a']", "'/*'")),
    (lambda root: {"app_first": ["/a", "/b", "/a"]}, ("app_first", "'/a' twice", "remove one")),
    (lambda root: {"app_first": ["/a/*", "/a/b"]}, ("app_first rule '/a/b'", "redundant", "'/a/*'", "remove one")),
    (lambda root: {"app_first": ["/*", "!/a/*", "!/a/b"]}, ("app_first rule '/a/b'", "redundant", "'/a/*'")),
    (lambda root: {"app_first": ["/" + "a" * 100]}, ("app_first rule '/aa", "longer than 100", "shorten it")),
    (lambda root: {"app_first": [f"/{n}" for n in range(101)]}, ("app_first", "101 rules", "more than 100", "join")),
    # files
    (lambda root: {"html_handling": "auto"}, ("html_handling='auto'", "use one of auto-trailing-slash")),
    (lambda root: {"not_found_handling": "spa"}, ("not_found_handling='spa'", "use one of none")),
    # also where no directory is loaded
    (
        lambda root: {"versions": [Version("v1", Answer())], "html_handling": "auto"},
        ("html_handling='auto'", "use one of auto-trailing-slash"),
    ),
    (
        lambda root: {"versions": [Version("v1", Answer())], "not_found_handling": "spa"},
        ("not_found_handling='spa'", "use one of none"),
    ),
    (lambda root: {"memory": -1}, ("memory=-1", "is not a number of bytes", "0 for none")),
    (lambda root: {"memory": "64M"}, ("memory='64M'", "is not a number of bytes")),
    (lambda root: {"fingerprinted": "("}, ("fingerprinted='('", "neither a regular expression nor a callable")),
    # the cookie
    (lambda root: {"cookie": ""}, ("cookie=''", "cannot be a cookie's name", "letters, digits")),
    (lambda root: {"cookie": "a b"}, ("cookie='a b'", "cannot be a cookie's name")),
    (lambda root: {"cookie": "a=b"}, ("cookie='a=b'", "cannot be a cookie's name")),
    (lambda root: {"cookie": "a;b"}, ("cookie='a;b'", "cannot be a cookie's name")),
    (lambda root: {"cookie": 7}, ("cookie=7", "not a name", "None for no cookie")),
    (lambda root: {"cookie": "__Host-{name}"}, ("cookie='__Host-{name}'", "leave it out", "added on https")),
    (lambda root: {"cookie": "__Secure-x"}, ("cookie='__Secure-x'", "leave it out")),
    (lambda root: {"secure": "yes"}, ("secure='yes'", "True, False, or None")),
    # overrides
    (lambda root: {"override_headers": "X-Try"}, ("override_headers='X-Try'", "not a list", "() to switch")),
    (lambda root: {"override_headers": None}, ("override_headers=None", "not a list")),
    (lambda root: {"override_headers": ["X Try"]}, ("override_headers contains 'X Try'", "the name of a header")),
    (lambda root: {"override_headers": [7]}, ("override_headers contains 7", "the name of a header")),
    (lambda root: {"override_secret": ""}, ("override_secret", "empty", "long random text")),
    (lambda root: {"override_secret": b""}, ("override_secret", "empty")),
    (lambda root: {"override_secret": []}, ("override_secret", "empty", "list of them")),
    (lambda root: {"override_secret": ["a", ""]}, ("override_secret", "empty")),
    (lambda root: {"override_secret": ["a", 7]}, ("override_secret", "not text")),
    (lambda root: {"override_secret": 7}, ("override_secret", "not text", "long random text")),
    (lambda root: {"override_secret": "0123456789abcde"}, ("override_secret", "16 characters", "token_urlsafe(32)")),
    (lambda root: {"override_secret": b"0123456789abcde"}, ("override_secret", "16 characters")),
    (lambda root: {"override_secret": ["0123456789abcdef", "short"]}, ("override_secret", "16 characters")),
    (lambda root: {"ignore": "*.map"}, ("ignore='*.map'", "not a list of patterns", "ignore=['*.map']")),
    (lambda root: {"ignore": None}, ("ignore=None", "not a list of patterns")),
]


@pytest.mark.parametrize(("options", "words"), OPTIONS)
def test_options(root: Path, options: Callable[[Path], dict[str, Any]], words: tuple[str, ...]) -> None:
    """An option that cannot be used is refused with the field, the value and the remedy."""
    given = {"app": None, "versions": [Version("v1", root / "v1")], **options(root)}
    refused(lambda: VersionAffinity(given.pop("app"), given.pop("versions"), **given), *words)


@pytest.mark.parametrize("source", [Cookie, Header])
@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a,b", "a:b", "é", "a\r\nb", None, 7, b"a"])
def test_source_name(source: type[Cookie | Header], name: Any) -> None:
    """A name that could not be on the wire is no cookie's and no header's."""
    refused(lambda: source(name), f"{source.__name__}({name!r})", "name of a cookie or header", "e.g. ")


@pytest.mark.parametrize("secret", ["", b"", None, 7, "0123456789abcde"])
def test_sign_override_secret(secret: Any) -> None:
    """An override is not signed without a secret."""
    refused(lambda: sign_override("v2", name="app", secret=secret, lifetime=60), "override_secret", "long random text")


@pytest.mark.parametrize("lifetime", [0, -1, NAN, float("inf"), None, "60", 1j])
def test_sign_override_lifetime(lifetime: Any) -> None:
    """An override is not signed for a time that is over, has no end or is no number."""
    words = (f"lifetime={lifetime!r}", "not a number of seconds", "3600")
    refused(lambda: sign_override("v2", name="app", secret=b"0123456789abcdef", lifetime=lifetime), *words)


@pytest.mark.parametrize("name", ["My Shop", "", "App", None])
def test_sign_override_name(name: Any) -> None:
    """An override is not signed for a name that no application can have: nobody could verify it."""
    refused(
        lambda: sign_override("v2", name=name, secret=b"0123456789abcdef", lifetime=60),
        f"name={name!r}",
        "lowercase letter",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prefix": None}, ("prefix=None", "not a path", "'/shop/'")),
        ({"prefix": 7}, ("prefix=7", "not a path")),
        ({"prefix": "shop/./"}, ("prefix='shop/./'", "not a path", "'.'")),
        ({"app": "index.html"}, ("app='index.html'", "not a WSGI application", "None")),
    ],
)
def test_static_assets(root: Path, options: dict[str, Any], words: tuple[str, ...]) -> None:
    """A build that is served alone checks its options, too, when it is configured."""
    refused(lambda: StaticAssets(root / "v1", **options), *words)


def test_no_directory() -> None:
    """An empty name, as from a variable that is not set, is not the working directory."""
    refused(lambda: StaticAssets(""), "directory=''", "is empty", "such as 'dist'")


@pytest.mark.parametrize("percentages", ["v1", 5, None, [("v1", 100)], {"v1"}])
def test_no_mapping(percentages: Any, root: Path) -> None:
    """Percentages that are no mapping are refused, wherever they are given."""
    words = ("percentages=", "not a mapping", "{'v1': 90, 'v2': 10}")
    refused(lambda: Deployment("app", percentages), *words)
    affinity = VersionAffinity(None, [Version("v1", root / "v1")])
    refused(lambda: affinity.deploy(percentages), *words)


# a change while the application runs: what is done, the words of the message
CHANGES: list[tuple[Callable[[VersionAffinity, Path], object], tuple[str, ...]]] = [
    (lambda affinity, root: affinity.deploy({"v1": 50, "v9": 50}), ("'v9'", "not known", "v1, v2, v0", "affinity.add")),
    (lambda affinity, root: affinity.add(Version("v1", root / "v1")), ("'v1'", "known already", "a new id")),
    (lambda affinity, root: affinity.add(Version("v0", root / "v0")), ("'v0'", "known already", "a new id")),
    (
        lambda affinity, root: affinity.add(Version("v3", root / "v0", percentage=5)),
        ("percentage=5", "'v3'", "no effect", "deploy()"),
    ),
    (lambda affinity, root: affinity.add(Version("v3", root / "nothing")), ("'v3'", "does not exist")),
    (lambda affinity, root: affinity.add("v3"), ("'v3' is not a Version", "add(Version('v3', 'builds/v3'))")),  # type: ignore[arg-type]
    (lambda affinity, root: affinity.retire([]), ("[]", "not known", "v1, v2, v0")),  # type: ignore[arg-type]
    (lambda affinity, root: affinity.retire("v9"), ("'v9'", "not known", "v1, v2, v0", "nothing is to be retired")),
    (lambda affinity, root: affinity.retire("v1"), ("'v1'", "deployment with 90 %", "deploy() without it")),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_changes(root: Path, change: Callable[[VersionAffinity, Path], object], words: tuple[str, ...]) -> None:
    """A change that cannot be made is refused with the version and the remedy, and changes nothing."""
    versions = [Version("v1", root / "v1", percentage=90), Version("v2", root / "v2", percentage=10)]
    affinity = VersionAffinity(None, versions, retained=[Version("v0", root / "v0")])
    before = state_of(affinity)
    refused(lambda: change(affinity, root), *words)
    assert state_of(affinity) is before


def test_all_is_checked_before_a_directory_is_read(tmp_path: Path) -> None:
    """A mistake in the settings is told first: loading a large build takes seconds."""
    missing = [Version("v1", tmp_path / "nothing", percentage=50), Version("v2", tmp_path / "nothing", percentage=40)]
    refused(lambda: VersionAffinity(None, missing), "sum to 90")
    refused(lambda: VersionAffinity(None, missing[:1] * 2), "listed twice")
    refused(lambda: VersionAffinity(None, missing, keys=["a"]), "keys contains 'a'")  # type: ignore[list-item]
    refused(lambda: VersionAffinity(None, missing, prefix="shop"), "prefix='shop'")


def test_session_cookie_warns(root: Path) -> None:
    """Flask's own session cookie as a key source warns, naming it and what to use."""
    with pytest.warns(UserWarning, match=r"Cookie\('session'\).*stays the same"):
        VersionAffinity(None, [Version("v1", root / "v1")], keys=[Cookie("session")])


@pytest.mark.parametrize(
    "options",
    [
        {"prefix": "/shop"},
        {"root": ""},
        {"root": "/"},
        {"prefix": "/caf\xe9/"},
        {"override_headers": ()},
        {"override_secret": "0123456789abcdef"},
        {"override_secret": [b"0123456789abcdef", "fedcba9876543210"]},
        {"cookie": None},
        {"cookie": "pin"},
        {"secure": True},
        {"keys": ()},
        {"keys": iter([Cookie("a")])},
        {"app_first": iter(["/api/*"])},
        {"memory": 0},
        {"fingerprinted": "x"},
        {"fingerprinted": lambda path: None},
        {"ignore": ["*.map"]},
        {"retained": ()},
        {"name": "a"},
    ],
)
def test_usable_options(root: Path, options: dict[str, Any]) -> None:
    """What the documentation allows is taken, iterators too."""
    assert VersionAffinity(None, iter([Version("v1", root / "v1")]), **options).known == ("v1",)


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_root(root: Path, as_path: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative directories count from ``root``, those of retained and of later versions too; absolute ones stay."""
    monkeypatch.chdir("/")
    affinity = VersionAffinity(None, [Version("v1", "v1")], retained=[Version("v0", root / "v0")], root=as_path(root))
    affinity.add(Version("v2", "v2"))
    assert affinity.known == ("v1", "v0", "v2")
    before = state_of(affinity)
    refused(lambda: affinity.add(Version("v3", "v3")), "version 'v3'", "does not exist", str(root / "v3"))
    assert state_of(affinity) is before


@pytest.mark.parametrize(
    ("options", "added", "warnings"),
    [
        ({}, False, 0),
        ({}, True, 1),
        ({"retained": ["v2"]}, True, 1),
        ({"name": "storefront", "retained": ["v2"]}, True, 0),
        ({"cookie": None, "retained": ["v2"]}, True, 0),
    ],
)
def test_default_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, Any], added: bool, warnings: int
) -> None:
    """Several versions under the default name are reported, once: two services on a host would share the cookie."""
    for version in ("v1", "v2", "v3"):
        write_build(tmp_path / version, {"index.html": version})
    kept = [Version(version, tmp_path / version) for version in options.pop("retained", [])]
    affinity = VersionAffinity(None, [Version("v1", tmp_path / "v1")], retained=kept, **options)
    if added:
        affinity.add(Version("v3", tmp_path / "v3"))
        affinity.retire("v3")
        affinity.add(Version("v3", tmp_path / "v3"))
    found = [record.getMessage() for record in caplog.records if "default name" in record.getMessage()]
    assert len(found) == warnings
    assert all("name='storefront'" in message for message in found)
