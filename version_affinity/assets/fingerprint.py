"""Which file names carry a hash of their content.

A fingerprinted file may be cached for a year and is served to anyone: a false positive shows somebody a wrong file for
a year, a false negative costs a revalidation. So the rule is strict. A name is fingerprinted when **both** hold:

1. A part of it *looks random*:

   * hexadecimal, of a length that tools emit (8, 10, 12, 16, 20, 32, 40, 64), with digits and letters, and no date;
   * base64url of at least 8 characters with capitals and small letters, which does not read as words: ``BX4CeNGm`` and
     ``DiwrgTda`` do not, ``Settings``, ``BarBazQu`` and ``iPhone15`` do (of random parts, one in twelve is rejected,
     among them those without a capital, ``d8x3k2mq``, which only a Vite manifest tells from words and numbers);
   * base32 of 8 characters (esbuild): capitals and the digits 2-7, which is no word: ``HOMEPAGE`` is one.

2. The place says that a build tool put it there:

   * the Vite manifest lists the file; or
   * it lies in a directory that only a tool writes: ``_next/static/``, ``_nuxt/``, ``_app/immutable/``, ``_astro/``; or
   * it lies in ``assets/`` (Vite's default, which files copied from ``public/`` share) and the part is set off as
     ``name-XXXXXXXX.ext`` or ``name.XXXXXXXX.ext``; of a build with a Vite manifest, which names all but workers and
     maps, only if it is a script, a style sheet or a source map; or
   * the part is hexadecimal and stands between dots, wherever the file lies: ``main.1a2b3c4d.chunk.js`` (webpack,
     Create React App, Parcel, Angular), ``base.0a1b2c3d4e5f.css`` (Django); or
   * the name is a script or style sheet that ends in ``-`` and at least 16 hexadecimal digits (Gatsby), or is one of
     esbuild's and Angular's own: ``chunk-``, ``main-``, ``polyfills-``, ``styles-``, ``scripts-``, ``worker-``.

HTML is never fingerprinted.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from .media import extension, is_media

if TYPE_CHECKING:
    from collections.abc import Container

# What Vite hashes without naming it in its manifest: workers, and maps of scripts and style sheets.
_UNLISTED = ("js", "mjs", "css", "map")
_HTML_EXTENSIONS = ("html", "htm", "xhtml", "xht")


class Place(Enum):
    """What a directory says about the files in it."""

    BUILD = "its name stands for the build"
    TOOL = "only a build tool writes here"
    SHARED = "a build tool's files and others"
    OTHER = "nothing"


_TOOL = re.compile(r"(?:\A|/)(?:_next/static|_nuxt|_app/immutable|_astro)(?:/|\Z)")
_SHARED = re.compile(r"(?:\A|/)assets(?:/|\Z)")
# At the top only: below it, "assets" is as likely the wrapped application's own directory.
_BUILD_DIRECTORY = re.compile(r"/(?:assets|_next/static|_nuxt|_app/immutable|_astro)/")

_HEX = re.compile(
    r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])(?:[0-9a-f]{8}(?:[0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8}|[0-9a-f]{12}"
    r"|[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{56})?)\Z"
)
# "2024dec1" and "feb2024a" are hexadecimal digits and a date.
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:feb|dec)|(?:feb|dec)(?:19|20)[0-9]{2}")
_BASE64URL = re.compile(r"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9_-]{8,32}\Z")
_PART = re.compile(r"[A-Za-z0-9_-]{8,32}\Z")
_BASE32 = re.compile(r"[A-Z2-7]{8}\Z")
_ESBUILD = re.compile(r"(?:chunk|main|polyfills|styles|scripts|worker)-([A-Z2-7]{8})\.(?:js|mjs|css)(?:\.map)?\Z")
_GATSBY = re.compile(r"-([0-9a-f]{16}|[0-9a-f]{20}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\.(?:js|mjs|css)(?:\.map)?\Z")

_RUNS = re.compile(r"[0-9a-z]+")
# An identifier in a name is no hash of the content, however random it looks.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Files that Next.js puts in a directory of its build id instead of hashing their names.
_BUILD_FILES = frozenset(("_buildManifest.js", "_ssgManifest.js", "_clientMiddlewareManifest.json"))

# How a name reads to people: "MyAppSDK" -> My App SDK, "iPhone15" -> i Phone 15.
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# A pronounceable word: an English onset, then vowels with at most four consonants between and three at the end.
_WORD = re.compile(
    r"(?:bl|br|chr?|cl|cr|dr|dw|fl|fr|gh|gl|gn|gr|kn|kl|kr|phr?|pl|pr|ps|rh|sc|sch|scr|shr?|sk|sl|sm|sn|sp|sph|spl|spr"
    r"|squ|st|str|sw|thr?|tr|ts|tw|wh|wr|[bcdfghjklmnpqrstvwxz])?"
    r"(?:[aeiouy]+(?:[bcdfghjklmnpqrstvwxz]{1,4}(?=[aeiouy])|[bcdfghjklmnpqrstvwxz]{0,3}\Z))+\Z"
)
_VOWEL = re.compile("[aeiouy]")
_LONGEST = 255  # NAME_MAX: no file has a longer name
_LENGTH = 8  # of a base64url or base32 hash: the default of Vite, Rolldown, SvelteKit, Nuxt, Astro and esbuild
_DIGITS = "234567"  # of base32; "VERSION2" is a word and a number
_MIXED = 3  # tokens in eight capitals and digits
_ACRONYM = 3  # the longest group of consonants that people write as a word: "Tcl", "Js"


def place_of(directory: str) -> Place:
    """Return what a directory (with or without surrounding slashes) says about its files.

    >>> place_of("/_app/immutable/chunks").name, place_of("/assets").name, place_of("/media").name
    ('TOOL', 'SHARED', 'OTHER')
    """
    if _TOOL.search(directory):
        return Place.BUILD if _is_build(directory) else Place.TOOL
    return Place.SHARED if _SHARED.search(directory) else Place.OTHER


def is_fingerprinted(path: str) -> bool:
    """Tell by convention alone whether a path's file name carries the hash of its content.

    >>> is_fingerprinted("/assets/index-BX4CeNGm.js"), is_fingerprinted("/static/js/main.1a2b3c4d.chunk.js")
    (True, True)
    >>> is_fingerprinted("/assets/jquery-3.7.1.min.js"), is_fingerprinted("/assets/photo-20240115.jpg")
    (False, False)
    """
    slash = path.rfind("/")
    directory, name = path[: slash + 1], path[slash + 1 :]
    return has_fingerprint(name, place_of(directory))


def looks_like_asset(path: str, directories: Container[str] | None = None) -> bool:
    """Tell whether a path that nobody has asks for a build's file, so that 404 is the answer, not a document.

    It does when its name is fingerprinted, or when it lies in a build tool's directory at the top and its extension is
    a known media type other than HTML.

    Args:
        path: The path.
        directories: Those that builds have, with "/" at both ends. A fingerprinted name elsewhere is somebody else's:
            an application behind the builds may serve hashed files of its own. None: there is none behind.

    >>> looks_like_asset("/assets/missing.js"), looks_like_asset("/assets/overview"), looks_like_asset("/media/a.jpg")
    (True, False, False)
    >>> looks_like_asset("/static/admin/base.0a1b2c3d4e5f.css", {"/", "/assets/"})
    False
    """
    if "." not in path:  # no extension and no fingerprint: nearly every page and API call
        return False
    if _BUILD_DIRECTORY.match(path):
        return is_media(path) or is_fingerprinted(path)
    return (directories is None or path[: path.rfind("/") + 1] in directories) and is_fingerprinted(path)


def has_fingerprint(name: str, place: Place, *, listed: bool | None = None) -> bool:
    """Tell whether a file name carries a hash.

    Args:
        name: The last segment of the file's path.
        place: What its directory says.
        listed: Whether the build's Vite manifest names the file; None: there is no manifest.
    """
    first, *rest = name.split(".")
    kind = extension(name)
    if not rest or len(name) > _LONGEST or kind in _HTML_EXTENSIONS:
        return False
    if listed is False and place is Place.SHARED and kind not in _UNLISTED:
        return False
    middle = rest[:-1]
    if place is Place.SHARED and not middle and not listed:  # nearly every name of a build
        return _ends_in_hash(first) and _UUID.search(name) is None
    if (middle and any(_is_hex(part) for part in middle)) or (place is Place.BUILD and name in _BUILD_FILES):
        return True
    parts = (first, *middle)
    if listed or place in (Place.TOOL, Place.BUILD):
        return any(_has_hash(part) for part in parts)
    return _is_set_off(name, parts) if place is Place.SHARED else _is_a_tools(name)


def is_hash_like(part: str) -> bool:
    """Tell whether a part may be a hash, where something else says that a hash stands there: no word and no number.

    >>> is_hash_like("Ro_66fij"), is_hash_like("polyfill"), is_hash_like("Settings"), is_hash_like("20240115")
    (True, False, False, False)
    """
    if not _PART.match(part):
        return False
    letters = part.replace("-", "").replace("_", "")
    return not (letters.isdigit() or (letters.isalpha() and (letters[1:].islower())))


def _is_set_off(name: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a hash is set off in a name: ``name-XXXXXXXX.ext`` or ``name.XXXXXXXX.ext``."""
    if any(len(part) == _LENGTH and _is_random(part) for part in parts[1:]):
        return True
    return any(_ends_in_hash(part) for part in parts) and _UUID.search(name) is None


def _is_a_tools(name: str) -> bool:
    """Tell whether a name is one that esbuild, Angular or Gatsby makes, wherever it lies."""
    esbuild = _ESBUILD.match(name)
    if esbuild is not None:
        return not _WORD.match(esbuild[1].rstrip(_DIGITS).lower())
    return _GATSBY.search(name) is not None


def _ends_in_hash(part: str) -> bool:
    """Tell whether a part of a name is words, a dash and a hash (whose base64url may hold dashes itself)."""
    if part[-_LENGTH - 1 : -_LENGTH] == "-" and _is_random(part[-_LENGTH:]):
        return True
    words, _, last = part.rpartition("-")
    return words != "" and _is_hex(last)


def _has_hash(part: str) -> bool:
    """Tell whether a part of a tool's name is a hash, ends in one, or holds hexadecimal digits between its words."""
    return _is_random(part) or _ends_in_hash(part) or any(_is_hex(run) for run in _RUNS.findall(part))


def _is_hex(part: str) -> bool:
    return _HEX.match(part) is not None and _DATE.search(part) is None


def _is_random(part: str) -> bool:
    if _BASE64URL.match(part):
        return not _reads_as_words(part)
    # "MODEL234" is a word and a number.
    return _BASE32.match(part) is not None and len(_TOKEN.findall(part)) >= _MIXED


def _reads_as_words(part: str) -> bool:
    """Tell whether people could have written a part: words, at most one single letter and one acronym among them."""
    tokens = _TOKEN.findall(part)
    if len(tokens) * 2 >= len(part):
        return False
    letters = acronyms = 0
    for token in tokens:
        if token.isdigit():
            continue
        if len(token) == 1:
            letters += 1
        elif token.isupper() or (len(token) <= _ACRONYM and not _VOWEL.search(token.lower())):
            acronyms += 1
        elif not _WORD.match(token.lower()):
            return False
    return letters <= 1 and acronyms <= 1


def _is_build(directory: str) -> bool:
    """Tell whether a directory is Next.js's ``_next/static/<build id>/`` with an id that it drew itself."""
    parent, _, build = directory.rstrip("/").rpartition("/")
    return parent.endswith("_next/static") and (_is_random(build) or _is_hex(build))
