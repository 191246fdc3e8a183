"""Which names carry a hash of their content."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.loading.fingerprint import (
    DirectoryKind,
    directory_kind,
    has_hash,
    has_known_hash,
    is_code,
    is_date,
    is_fingerprinted,
    is_hash_like,
    is_plain,
    looks_like_asset,
    may_be_fingerprinted,
    reads_as_words,
    reason,
    token_count,
)

HASHED = [
    # Vite and Rolldown: [name]-[hash:8], base64url
    "/assets/index-BX4CeNGm.js",
    "/assets/index-DiwrgTda.css",
    "/assets/index-BX4CeNGm.js.map",
    "/assets/index-legacy-BX4CeNGm.js",
    "/assets/vendor.react-D3f4Gh5i.js",
    "/assets/logo-C7h2-p5w.svg",
    "/assets/index-B-x_9dK2.js",
    "/assets/index--x9dK2aB.js",
    "/assets/Inter-Bold-Ck9_mZ2q.woff2",
    "/base/assets/index-BX4CeNGm.js",
    # Vite before 4.5: hexadecimal
    "/assets/index-1a2b3c4d.js",
    "/assets/index.1a2b3c4d.js",
    # another pattern in assets/
    "/assets/index.BX4CeNGm.js",
    # Rails: Sprockets, Propshaft
    "/assets/application-4f0b3bb5e2d2a1c9d41d8cd98f00b204.css",
    # webpack, Vue CLI, Create React App
    "/static/js/main.1a2b3c4d.chunk.js",
    "/static/js/787.28cb0dcd.chunk.js",
    "/static/css/main.073c9b0a.css",
    "/static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
    "/static/js/main.1a2b3c4d.js.LICENSE.txt",
    "/js/chunk-vendors.5b9c1e0f.js",
    "/bundle.0a1b2c3d4e5f6a7b8c9d.js",
    # Parcel
    "/index.3d8f7a1c.js",
    # Angular
    "/main.0a1b2c3d4e5f6a7b.js",
    "/main-FFHMD2TL.js",
    "/polyfills-FFHMD2TL.js",
    "/styles-5INURTSO.css",
    # esbuild
    "/chunk-BDKQWXZV.js",
    "/chunk-7HQXSCGA.js.map",
    "/assets/logo-3IXNQD2E.svg",
    # Gatsby
    "/component---src-pages-index-js-0a1b2c3d4e5f6a7b8c9d.js",
    "/app-1f2e3d4c5b6a79880a1b.js",
    # Next.js
    "/_next/static/chunks/main-1a2b3c4d5e6f7a8b.js",
    "/_next/static/chunks/pages/[slug]-1a2b3c4d5e6f7a8b.js",
    "/_next/static/chunks/app/(shop)/page-0f1e2d3c4b5a6978.js",
    "/_next/static/chunks/0a1b2c3d.js",
    "/_next/static/css/4f0b3bb5e2d2a1c9.css",
    "/_next/static/media/4cf2300e9c8272f7-s.p.woff2",
    "/_next/static/media/logo.1a2b3c4d.png",
    "/_next/static/chunks/0cz1d0mv5g_q7.js",
    "/_next/static/chunks/turbopack-2u1d16houkiyo.js",
    "/_next/static/chunks/polyfills.js",
    "/_next/static/fVh2-8sJk_Qe3Zx7YtBcD/_buildManifest.js",
    "/_next/static/fVh2-8sJk_Qe3Zx7YtBcD/other.js",
    # Nuxt
    "/_nuxt/BX4CeNGm.js",
    "/_nuxt/entry.BX4CeNGm.css",
    "/_nuxt/error-404.1a2b3c4d.css",
    "/_nuxt/MyComponent.js",
    # SvelteKit
    "/_app/immutable/entry/start.BX4CeNGm.js",
    "/_app/immutable/chunks/BX4CeNGm.js",
    "/_app/immutable/nodes/0.DiwrgTda.js",
    "/_app/immutable/assets/0.D3f4Gh5i.css",
    # Astro
    "/_astro/index.BX4CeNGm.css",
    "/_astro/hero.D3f4Gh5i_Z1aBcD.webp",
    # the asset modules of webpack and Rspack, and others, anywhere
    "/0088fda7f6e1cad253a2.png",
    "/bccce3a0d650ccc6.woff",
    "/static/mdi/01024d78c248d36805b565e343dd98033cc3bcaf.json",
    "/static/translations/map/es-d820e789d1110327648ab9764aa9fede.json.br",
    "/f300743a20c11809.LICENSE.txt",
    # Django
    "/static/admin/css/base.0a1b2c3d4e5f.css",
    "/css/base.3f2a1b0c9d8e.css",
]

NOT_HASHED = [
    # HTML, whatever its name
    "/assets/page-BX4CeNGm.html",
    "/index.1a2b3c4d.html",
    "/_next/static/chunks/1a2b3c4d5e6f7a8b.htm",
    # public/ files that share assets/ with the bundler's
    "/assets/jquery-3.7.1.min.js",
    "/assets/some-longword.js",
    "/assets/hero-portrait.jpg",
    "/assets/photo-20240115.jpg",
    "/assets/IMG-20240115.jpg",
    "/assets/report-2024dec1.pdf",
    "/assets/hero-1024x768.jpg",
    "/assets/icon-settings.svg",
    "/assets/icon-Settings.svg",
    "/assets/icon-SETTINGS.svg",
    "/assets/flag-en_US_v2.png",
    "/assets/scan-A4_300dp.pdf",
    "/assets/theme-darkMode.css",
    "/assets/avatar-McDonald.png",
    "/assets/pdf.worker-4.0.379.js",
    "/assets/locale-zh_Hans1.js",
    "/assets/sdk-FBSDKv2.js",
    "/assets/Foo-BarBazQu.js",
    "/assets/logo-HTMLPage.svg",
    "/assets/demo-iPhone15.png",
    "/assets/sdk-MyAppSDK.js",
    "/assets/case-MODEL234.jpg",
    "/assets/book-Chapter1.pdf",
    "/assets/guide-Web3Auth.js",
    "/assets/readme-how-to-build.js",
    "/assets/web-polyfill.js",
    "/assets/jquery-3-7-1-ab.js",
    "/assets/plugin-my_file1.js",
    "/assets/file-12345678.bin",
    "/assets/avatar-1b4e28ba-2fa1-41d2-883f-0016d3cca427.jpg",
    "/assets/main.js",
    "/assets/BX4CeNGm.js",
    "/assets/index-BX4CeNGm",
    # the same names where no tool says that they are hashed
    "/index-BX4CeNGm.js",
    "/media/photo-BX4CeNGm.jpg",
    "/uploads/dQw4w9WgXcQ.jpg",
    "/readme-how-to-build.js",
    "/web-polyfill.js",
    "/IMG-20240115.jpg",
    "/backup.20240115.sql",
    "/user-507f1f77bcf86cd799439011.jpg",
    "/user.507f1f77bcf86cd799439011.jpg",
    "/app.1a2b3c4.js",
    "/jquery.min.js",
    "/chunk-abcdefgh.js",
    "/icon-FFHMD2TL.js",
    # words where esbuild and Angular put hashes
    "/main-HOMEPAGE.css",
    "/styles-PRODUCTS.css",
    "/main-OVERVIEW.js",
    "/chunk-DOWNLOAD.js",
    "/worker-PAYMENTS.js",
    "/blog/scripts-SETTINGS.js",
    "/main-VERSION2.js",
    # the unhashed files of tools
    "/_nuxt/builds/latest.json",
    "/_nuxt/builds/meta/1b4e28ba-2fa1-41d2-883f-0016d3cca427.json",
    "/_app/version.json",
    "/_next/static/development/_buildManifest.js",
    "/_next/static/my-release/_buildManifest.js",
    "/_app/immutable/1b4e28ba-2fa1-41d2-883f-0016d3cca427.json",
    "/static/js/main.js",
    "/static/js/787.js",
    # no names at all
    "/",
    "",
    "/assets/",
    "/assets/.js",
    "/assets/-.js",
    "/" + "a" * 300 + ".1a2b3c4d.js",
]


@pytest.mark.parametrize("path", HASHED)
def test_fingerprinted(path):
    """A name that a known tool hashed is recognised where that tool puts it."""
    assert is_fingerprinted(path)


@pytest.mark.parametrize("path", NOT_HASHED)
def test_not_fingerprinted(path):
    """Words, dates, versions, sizes, identifiers and documents are never taken for a hash of the content."""
    assert not is_fingerprinted(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app-BX4CeNGm.js", True),
        ("app.BX4CeNGm.js", True),
        ("BX4CeNGm.js", True),
        ("app-1a2b3c4d.js", True),
        ("app.js", False),
        ("Foo-BarBazQu.js", False),
        ("web-polyfill.js", False),
        ("icon-Settings.svg", False),
        ("page-BX4CeNGm.html", False),
    ],
)
def test_has_hash(name, expected):
    """A name that holds a hash is one wherever the file lies."""
    assert has_hash(name) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/assets/index-BX4CeNGm.js", True),
        ("/assets/missing.js", True),
        ("/assets/photos/missing.webp", True),
        ("/_next/static/chunks/gone.js", True),
        ("/_nuxt/gone.css", True),
        ("/_app/immutable/chunks/gone.js", True),
        ("/_astro/gone.css", True),
        ("/static/js/main.1a2b3c4d.chunk.js", True),
        ("/chunk-FFHMD2TL.js", True),
        ("/media/photo.jpg", False),
        ("/assets/overview", False),
        ("/assets/", False),
        ("/assets/report.html", False),
        ("/assets/v1.2/notes", False),
        ("/blog/assets/photo.jpg", False),
        ("/static/js/app.js", False),
        ("/static/css/style.css", False),
        ("/favicon.ico", False),
        ("/", False),
    ],
)
def test_looks_like_asset(path, expected):
    """A miss is a build's file when its name or its directory says so; the wrapped application's media are not."""
    assert looks_like_asset(path) is expected


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/assets/", DirectoryKind.SHARED),
        ("assets", DirectoryKind.SHARED),
        ("/my/assets/fonts/", DirectoryKind.SHARED),
        ("/assetsx/", DirectoryKind.OTHER),
        ("/_nuxt/", DirectoryKind.TOOL),
        ("/_app/", DirectoryKind.OTHER),
        ("/_app/immutable/nodes/", DirectoryKind.TOOL),
        ("/_next/static/media/", DirectoryKind.TOOL),
        ("/_next/static/fVh2-8sJk_Qe3Zx7YtBcD/", DirectoryKind.TOOL),
        ("/_nuxt/builds/meta/", DirectoryKind.OTHER),
        ("/", DirectoryKind.OTHER),
    ],
)
def test_place(directory, expected):
    """A directory says who writes into it."""
    assert directory_kind(directory) is expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("BX4CeNGm", True),
        ("Ro_66fij", True),
        ("0a1b2c3d", True),
        ("polyfill", False),
        ("to-build", False),
        ("Settings", False),
        ("LinMdaQj", True),
        ("20240115", False),
        ("short", False),
        ("", False),
        ("nö_ascii", False),
    ],
)
def test_hash_like(part, expected):
    """Where a hash is expected, everything but words and numbers may be one."""
    assert is_hash_like(part) is expected


@pytest.mark.parametrize(
    ("judge", "texts", "expected"),
    [
        (reason, ["/img/0088fda7f6e1cad253a2.png"], "hexadecimal"),
        (reason, ["/_nuxt/entry.js"], "directory of a tool"),
        (reason, ["/app.js"], ""),
        (may_be_fingerprinted, ["app.js", "index.html.gz"], True),
        (may_be_fingerprinted, ["index.html", "10633998-c8c5-4e14-8af5-706e6f8a6aa6.json", "app"], False),
        (is_code, ["app.js.map", "app.css.br", "app.js.LICENSE.txt"], True),
        (is_code, ["logo.svg", "app.json"], False),
        (is_date, ["20240115", "1700000000123", "2024dec1"], True),
        (is_date, ["09400711", "0a1b2c3d"], False),
        (reads_as_words, ["darkMode", "McDonald", "Q3Report", "en_US_v2", "A4_300dp", "iFrameV2"], True),
        (reads_as_words, ["BX4CeNGm", "DiwrgTda", "BFV__Apz", "7RMF5EFV"], False),
        (is_plain, ["darkMode", "to-build", "jQueryUI"], True),
        (is_plain, ["QoQnRiwu", "CUklmyl-"], False),
        (has_known_hash, ["/_nuxt/0cz1d0mv5g_q7.js"], True),
        (has_known_hash, ["/_nuxt/entry.js"], False),
        (token_count, ["d8x3k2mq"], 7),
        (token_count, ["chapter1"], 2),
    ],
)
def test_judgements(judge, texts, expected):
    """Each of the single judgements, of which the rules are made."""
    assert [judge(text) for text in texts] == [expected] * len(texts)


def test_of_another_directory():
    """With the directories that builds have, a hashed name in another one is the wrapped application's."""
    assert not looks_like_asset("/static/base.0a1b2c3d4e5f.css", {"/", "/assets/"})
    assert looks_like_asset("/static/base.0a1b2c3d4e5f.css", {"/", "/static/"})


def test_most_hashes_are_recognised():
    """Of random base64url hashes 89 % are recognised by name alone, and almost all are where a manifest lists them."""
    draw = random.Random(20240115)
    alphabet = string.ascii_letters + string.digits + "-_"
    parts = ["".join(draw.choices(alphabet, k=8)) for _ in range(5000)]
    assert sum(is_fingerprinted(f"/assets/index-{part}.js") for part in parts) > 0.89 * len(parts)
    assert sum(is_hash_like(part) for part in parts) > 0.99 * len(parts)


@given(st.text())
def test_total(path):
    """Whatever text stands in a path, the rules answer."""
    assert is_fingerprinted(path) in (True, False)
    assert looks_like_asset(path) in (True, False)
    assert is_hash_like(path) in (True, False)


@given(st.from_regex(r"[a-z]{2,12}(-[a-z]{2,12}){0,4}\.(js|css|png)", fullmatch=True))
def test_small_letters_are_words(name):
    """A name of small letters is never taken for a hash, in any directory."""
    for directory in ("/", "/assets/", "/_nuxt/builds/", "/static/js/"):
        assert not is_fingerprinted(directory + name)
