"""File names that carry a hash of the content, as far as one name shows it.

A fingerprinted file may be cached for a year and is served to anyone. A false positive shows a wrong file for a year; a
false negative costs a revalidation. This module judges one path alone; ``inference`` judges a whole build.

One name is enough in these cases:

* The file is in a directory that only a tool writes: ``_next/static/``, ``_nuxt/``, ``_app/immutable/``, ``_astro/``.
  The frameworks' own servers let browsers keep all files there.
* The name has hexadecimal digits with letters among them: 16 or more as the whole name or after a dash
  (``0088fda7f6e1cad253a2.png``), or between dots a length that tools emit (``main.1a2b3c4d.chunk.js``).
* The file is in ``assets/``, Vite's default, and its name ends in a dash or a dot and 8 random characters
  (``index-BX4CeNGm.js``), or in a dash and hexadecimal digits.
* The name is one that esbuild and Angular make: ``chunk-``, ``main-``, ``polyfills-``, ``styles-``, ``scripts-`` or
  ``worker-``, and 8 characters of base 32.

HTML and names with a UUID are never fingerprinted.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from .media import is_media

if TYPE_CHECKING:
    from collections.abc import Container

#: Why a file is fingerprinted.
DIRECTORY: Final = "directory of a tool"
HEXADECIMAL: Final = "hexadecimal"
USUAL: Final = "usual name"

_HTML_ENDINGS: Final = (".html", ".htm", ".xhtml", ".xht")


class DirectoryKind(Enum):
    """What a directory says about the files in it."""

    TOOL = "only a build tool writes here"
    SHARED = "a build tool's files and others"
    OTHER = "nothing"


_TOOL = re.compile(r"(?:\A|/)(?:_next/static|_nuxt(?!/builds(?:/|\Z))|_app/immutable|_astro)(?:/|\Z)")
_SHARED = re.compile(r"(?:\A|/)assets(?:/|\Z)")
# At the top only: deeper, "assets" may be a directory of the wrapped application.
_BUILD_DIRECTORY = re.compile(r"/(?:assets|_next/static|_nuxt|_app/immutable|_astro)/")

# Hexadecimal digits between dots or, in a build's directory, after a dash: of a length that tools emit.
_HEX = re.compile(
    r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])(?:[0-9a-f]{8}(?:[0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8}|[0-9a-f]{12}"
    r"|[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{56})?)\Z"
)
# This many digits are a hash anywhere, except 24, which are an identifier of MongoDB. SHA-512 has 128.
_LONG_HEX = re.compile(r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])(?![0-9a-f]{24}\Z)[0-9a-f]{16,128}\Z")
# "2024dec1" and "feb2024a" are hexadecimal digits and a date.
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:feb|dec)|(?:feb|dec)(?:19|20)[0-9]{2}")
# Year, month and day, in the order of ISO 8601 or reversed, perhaps with a time; or seconds or milliseconds since 1970.
_NUMERIC_DATE = re.compile(
    r"(?:(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9][0-5][0-9](?:[0-5][0-9])?)?"
    r"|(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])(?:19|20)[0-9]{2}"
    r"|1[0-9]{9}(?:[0-9]{3})?)\Z"
)
_MIXED_CASE = re.compile(r"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9_-]{8}\Z")
_PART = re.compile(r"[A-Za-z0-9_-]{8,128}\Z")
_BASE32 = re.compile(r"[A-Z2-7]{8}\Z")
_ESBUILD = re.compile(r"(?:chunk|main|polyfills|styles|scripts|worker)-([A-Z2-7]{8})\.(?:js|mjs|css)(?:\.map)?\Z")

# An identifier in a name is not a hash of the content, however random it looks.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
# Next.js puts these into a directory that is named after the build, instead of hashing their names.
_NEXT_BUILD = re.compile(r"_next/static/([^/]+)/\Z")

#: A part of a name where a hash may stand, and the separator before it: the start of the name, a dash or a dot.
TAIL: Final = re.compile(r"(\A|[-.])(?=([\w-]{8}|[0-9a-f]{10,128})\.)", re.ASCII)

_CODE = re.compile(r"\.(?:m?js|cjs|css)(?:\.map|\.LICENSE\.txt|\.gz|\.br|\.zst)*\Z")

# In a tool's directory: the above, 13 characters (Turbopack), and two hashes (Astro).
_TOOLS_TAIL = re.compile(r"(?:\A|[-.~])(?=([\w-]{8}|[0-9a-z_-]{13}|[0-9a-f]{10,128}|[\w-]{8}_\w{5,6})\.)", re.ASCII)

# How a name reads to people: "MyAppSDK" -> My App SDK, "iPhone15" -> i Phone 15, "FBSDKv18" -> FBSDK v 18.
_TOKEN = re.compile(r"[A-Z]+(?=v[0-9])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# A version or a number at the end of a name: "iFrameV2", "LaTeX123".
_NUMBERED = re.compile(r"(?<=[A-Za-z]{3})(?:[vV][0-9]+|[0-9]{3,})\Z")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}\Z")
# A pronounceable word: an English onset, then vowels with at most four consonants between and three at the end.
_WORD = re.compile(
    r"(?:bl|br|chr?|cl|cr|dr|dw|fl|fr|gh|gl|gn|gr|kn|kl|kr|phr?|pl|pr|ps|rh|sc|sch|scr|shr?|sk|sl|sm|sn|sp|sph|spl|spr"
    r"|squ|st|str|sw|thr?|tr|ts|tw|wh|wr|[bcdfghjklmnpqrstvwxz])?"
    r"(?:[aeiouy]+(?:[bcdfghjklmnpqrstvwxz]{1,4}(?=[aeiouy])|[bcdfghjklmnpqrstvwxz]{0,3}\Z))+\Z"
)
_VOWEL = re.compile("[aeiouy]")
_SEPARATORS = re.compile("[-_]+")
_EDGES = re.compile(r"\A[-_]|[-_]{2}|[-_]\Z")
_LONGEST: Final = 255  # NAME_MAX: no file has a longer name
_DIGITS: Final = "234567"  # of base32; "VERSION2" is a word and a number
_MIXED: Final = 3  # tokens in eight capitals and digits
_ACRONYM: Final = 3  # the longest group of consonants that people write as a word: "Tcl", "Js"
_LONG_ACRONYM: Final = 5  # the longest group of capitals that people write without a vowel: "HTML", "FBSDK"
# Abbreviations that cannot be pronounced and are written in small letters.
_ABBREVIATION = re.compile(r"(?:attrs|ctrl|dpi|gzip|html|https?|json|mngr|mysql|zlib)\Z")
# Words of one and two letters in names.
_SHORT = re.compile(
    r"(?:a[imnrst]|b[ery]|cn|d[bdeop]|e[nsu]|fr|g[blo]|hd|i[dfnopst]|j[as]|kr|m[dey]|no|o[fknrs]|p[txl]|q[lr]|r[ux]|s[mo]"
    r"|t[osv]|u[ikpsx]|vr?|we|x[lsy]?|zh)\Z"
)


def directory_kind(directory: str) -> DirectoryKind:
    """Return what a directory says about its files."""
    if _TOOL.search(directory):
        return DirectoryKind.TOOL
    return DirectoryKind.SHARED if _SHARED.search(directory) else DirectoryKind.OTHER


def is_fingerprinted(path: str) -> bool:
    """Return whether a path's file name carries the hash of its content, by the path alone."""
    return bool(reason(path))


def looks_like_asset(path: str, directories: Container[str] | None = None) -> bool:
    """Return whether a path without a file asks for a build's file; then the answer is 404, not a document.

    Such a path has a fingerprinted name, or the extension of a media type other than HTML in a build tool's directory.
    With ``directories``, those that builds have ("/assets/"), a fingerprinted name elsewhere is the application's.
    """
    if "." not in path:  # no extension and no fingerprint: nearly every page and API call
        return False
    if _BUILD_DIRECTORY.match(path):
        return is_media(path) or is_fingerprinted(path)
    return (directories is None or path[: path.rfind("/") + 1] in directories) and is_fingerprinted(path)


def reason(path: str) -> str:
    """Return why a name alone shows that a file is fingerprinted, "" if it does not."""
    slash = path.rfind("/") + 1
    directory, name = path[:slash], path[slash:]
    if not may_be_fingerprinted(name):
        return ""
    return reason_in(directory, directory_kind(directory), name, TAIL.findall(name))


def reason_in(directory: str, place: DirectoryKind, name: str, tails: list[tuple[str, str]]) -> str:
    """Return what ``reason`` returns for a name that may be fingerprinted; ``tails`` is what ``TAIL`` finds in it."""
    if place is DirectoryKind.TOOL:
        return DIRECTORY if name[0] != "_" or _is_of_build(directory, name) else ""
    if place is DirectoryKind.SHARED:
        for separator, tail in tails:  # nearly every name of a build
            if separator and _is_random(tail):
                return USUAL
    separators = ("-", ".") if place is DirectoryKind.SHARED else (".",)
    for separator, tail in tails:
        if _LONG_HEX.match(tail) or (separator in separators and _HEX.match(tail) and not _DATE.search(tail)):
            return HEXADECIMAL
    esbuild = _ESBUILD.match(name)
    return USUAL if esbuild is not None and not _WORD.match(esbuild[1].rstrip(_DIGITS).lower()) else ""


def may_be_fingerprinted(name: str) -> bool:
    """Return whether a name can be fingerprinted: it has an extension other than HTML's, and no UUID."""
    return (
        "." in name
        and len(name) <= _LONGEST
        and not name[-6:].lower().endswith(_HTML_ENDINGS)
        and (name.count("-") < 4 or _UUID.search(name) is None)  # noqa: PLR2004 - the dashes of a UUID
    )


def is_code(name: str) -> bool:
    """Return whether a name is that of a script or a style sheet, or of its source map, licence or compressed form."""
    return _CODE.search(name) is not None


def is_hash_like(part: str) -> bool:
    """Return whether a part can be a hash if something else says that a hash stands there: not a word or a number."""
    if not _PART.match(part):
        return False
    letters = part.replace("-", "").replace("_", "")
    return not (letters.isdigit() or (letters.isalpha() and letters[1:].islower()))


def is_date(digits: str) -> bool:
    """Return whether digits are a date or a time, such as 20240115 or 1700000000."""
    return _NUMERIC_DATE.match(digits) is not None or _DATE.search(digits) is not None


def reads_as_words(part: str) -> bool:
    """Return whether a part probably is a name, such as "darkMode", "Q3Report", "en_US_v2" or "iFrameV2".

    It has words and numbers, at most one single letter and one acronym. One in twelve random parts reads as words.
    """
    is_undivided = "-" not in part and "_" not in part  # nearly every part
    pieces = [part] if is_undivided else [piece for piece in _SEPARATORS.split(part) if piece]
    if len(pieces) == 1:
        tokens = _TOKEN.findall(part)
        if len(tokens) <= _MIXED and _are_words(tokens):
            return True
        numbered = _NUMBERED.search(part) if is_undivided and part[-1:].isdigit() else None
        return numbered is not None and reads_as_words(part[: numbered.start()])
    if _EDGES.search(part) is not None:  # names do not begin or end with a separator
        return False
    for piece in pieces:
        if len(piece) <= _ACRONYM:  # "v2a" and "300": too short to tell
            continue
        tokens = _TOKEN.findall(piece)
        if sum(map(len, tokens)) > _ACRONYM and (len(tokens) >= _MIXED or not _are_words(tokens)):
            return False
    return True


def is_plain(part: str) -> bool:
    """Return whether a part is a name even among hashes: all its words are long or usual, such as "darkMode"."""
    if part[0] in "-_" or part[-1] in "-_" or not reads_as_words(part):
        return False
    pieces = [_TOKEN.findall(piece) for piece in _SEPARATORS.split(part)]
    return all(
        token.isdigit() or len(token) > 2 or _SHORT.match(token.lower()) or (i == 0 and (token.islower() or pieces[1:]))  # noqa: PLR2004
        for tokens in pieces
        for i, token in enumerate(tokens)
    )


def has_known_hash(path: str) -> bool:
    """Return whether a file in a tool's directory has a hash of a known kind, in its name or its directory's name."""
    slash = path.rindex("/") + 1
    directory, name = path[:slash], path[slash:]
    build = _NEXT_BUILD.search(directory)
    return (build is not None and is_hash_like(build[1])) or any(
        part.isdigit() or is_hash_like(part) or not (part.isupper() or reads_as_words(part))
        for part in _TOOLS_TAIL.findall(name)
    )


def _are_words(tokens: list[str]) -> bool:
    """Return whether tokens are words and numbers, at most one single letter and one acronym (two beside a year)."""
    letters = acronyms = 0
    most = 1
    for token in tokens:
        if token.isdigit():
            if _YEAR.match(token):
                most = 2  # "ES2015ES"
            continue
        word = token.lower()
        if len(token) == 1:
            letters += 1
        elif _ABBREVIATION.match(word):
            continue
        elif len(token) <= (_LONG_ACRONYM if token.isupper() else _ACRONYM if not _VOWEL.search(word) else 0):
            acronyms += 1
        elif not _WORD.match(word):
            return False
    return letters <= 1 and acronyms <= most


def token_count(part: str) -> int:
    """Return the number of words, numbers and groups of capitals in a part: 7 in "d8x3k2mq", 2 in "chapter1"."""
    return len(_TOKEN.findall(part))


def _is_random(part: str) -> bool:
    if _MIXED_CASE.match(part):
        return not reads_as_words(part)
    # "MODEL234" is a word and a number.
    return _BASE32.match(part) is not None and token_count(part) >= _MIXED


def _is_of_build(directory: str, name: str) -> bool:
    """Return whether a tool's file that begins with "_" is in a directory whose name changes with each build.

    ``_next/static/<build id>/_buildManifest.js`` is fingerprinted by the id that Next.js drew, not by "production".
    """
    build = _NEXT_BUILD.search(directory)
    if build is None or TAIL.search(name):
        return True
    return is_hash_like(build[1]) and not reads_as_words(build[1])


def has_hash(name: str) -> bool:
    """Return whether a name has a part that looks like a hash, in any directory."""
    return may_be_fingerprinted(name) and (
        bool(reason(f"/assets/{name}")) or any(_is_random(tail) for _, tail in TAIL.findall(name))
    )
