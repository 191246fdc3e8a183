"""Fingerprinted files of a build, and why they are: what the whole build shows if a name alone does not.

There are three sources, in this order (measured on 60 builds, see ``tests/assets/loading/test_inference.py``):

* **The neighbours.** Files of one directory are grouped by the place of a possible hash ("tail") in their names: 8
  characters, or 10 and more hexadecimal digits, after a dash, after a dot or as the whole name. If at least half of a
  group's tails are surely random, a tool made the group. Then the other tails of the same alphabet are hashes, too,
  except words and dates. In other directories only tails count that are random themselves. Public media may be beside
  hashed media (``flag-en_US_v2.png``), so media need a random tail everywhere.
* **The scripts and style sheets that are recognised.** A build writes the names of its own files into its scripts:
  ``"./Settings-mOahPUOG.js"``. Such a name counts even if it reads as words.
* **The pages.** Vite writes ``crossorigin`` into the ``<script>`` and ``<link>`` elements of its own files.

Scripts and pages are searched only if names are left that may have a hash.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .fingerprint import (
    TAIL,
    DirectoryKind,
    directory_kind,
    has_hash,
    is_code,
    is_date,
    is_hash_like,
    is_plain,
    may_be_fingerprinted,
    reads_as_words,
    reason_in,
    token_count,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from .tree import File

#: Why a file is fingerprinted, beside the reasons of ``fingerprint``.
BY_MANIFEST: Final = "manifest"
NEIGHBOURS: Final = "like its neighbours"
IMPORTED: Final = "imported by name"
LOADED: Final = "loaded by a page"
CONFIGURED: Final = "configured"
#: Reasons that are found by searching other files.
EVIDENCE: Final = frozenset((IMPORTED, LOADED))

_COMPANION = re.compile(r"(?:\.map|\.LICENSE\.txt|\.gz|\.br|\.zst)\Z")
_SCRIPT = re.compile(r"\.(?:m?js|css)\Z")

# The characters after and before a file's name in a script or style sheet.
_ENDS: Final = frozenset((b'"', b"'", b"`", b")", b"?", b"#", b"\\"))
_STARTS: Final = (b'"', b"'", b"`", b"(")
# The search ends after this many scripts in a row without a name that is searched for.
_IN_VAIN: Final = 500
_LONGEST: Final = 300  # bytes of a reference that are looked at
_TAG = re.compile(rb"<(?:script|link)\b[^>]{1,2000}>", re.IGNORECASE)
_URL = re.compile(rb"""\b(?:src|href)\s*=\s*["']?([^"'\s>?#]+)""", re.IGNORECASE)

_MIXED: Final = 3  # words, numbers and groups of capitals in eight characters
_SURE: Final = 0.5  # the part of a group's tails that must be surely random
_SAMPLE: Final = 1000  # tails of a group that are looked at
_OF_ALPHABET: Final = 0.9  # the part of a group's tails that its alphabet must have
_CASES = re.compile("(?=.*[a-z])(?=.*[A-Z])")


class _Alphabet(NamedTuple):
    """The characters of a kind of hash."""

    fits: Callable[[str], object]
    is_sure: Callable[[str], bool]  # whether a tail that fits is surely random
    is_hash: Callable[[str, bool], bool]  # whether it is a hash if its neighbours are, in a file of code and in others
    least: int  # how many sure tails make a group


def _is_sure_hex(tail: str) -> bool:
    return not tail.isdigit() and not tail.isalpha() and not is_date(tail)


def _is_hex_hash(tail: str, code: bool) -> bool:
    if tail.isalpha():
        return code or not reads_as_words(tail)
    return not is_date(tail)


def _is_sure(tail: str) -> bool:
    return token_count(tail) >= _MIXED and not reads_as_words(tail)


def _is_one_case_hash(tail: str, code: bool) -> bool:
    if not code:
        return not tail.isalpha() and not reads_as_words(tail)
    return not tail.isdigit() and (token_count(tail) >= _MIXED or not reads_as_words(tail))


def _is_sure_mixed(tail: str) -> bool:
    return _CASES.match(tail) is not None and not reads_as_words(tail)


def _is_mixed_hash(tail: str, code: bool) -> bool:
    if _CASES.match(tail) is None:
        return not tail.isalpha() and _is_sure(tail)
    return not (is_plain if code else reads_as_words)(tail)


_ALPHABETS: Final = (
    _Alphabet(re.compile(r"[0-9a-f]+\Z").match, _is_sure_hex, _is_hex_hash, 2),
    _Alphabet(re.compile(r"[A-Z2-7]{8}\Z").match, _is_sure, _is_one_case_hash, 2),  # base 32
    _Alphabet(re.compile(r"[0-9a-z]{8}\Z").match, _is_sure, _is_one_case_hash, 3),  # base 36
    _Alphabet(re.compile(r"[\w-]{8}\Z", re.ASCII).match, _is_sure_mixed, _is_mixed_hash, 2),  # base 64
)

# Directory, and separator and length of a tail.
_Group: TypeAlias = "tuple[str, tuple[str, int]]"
_Groups: TypeAlias = "dict[_Group, list[str]]"  # to the tails
_Left: TypeAlias = "list[tuple[_Group, str, str]]"  # what the name alone does not show: group, path and tail


class Names(NamedTuple):
    """The result of judging names."""

    reasons: dict[str, str]  # path to why a file is fingerprinted
    undecided: dict[str, list[str]]  # name to the paths of files whose name may have a hash; only other files show it


def why_not(path: str) -> str:
    """Return why a file is not fingerprinted."""
    name = _name(path)
    if "." in name and not may_be_fingerprinted(name):
        return "a UUID in the name" if may_be_fingerprinted(name.replace("-", "")) else "HTML"
    tails = [tail for _, tail in TAIL.findall(name)]
    if not tails:
        return "no hash in the name"
    if any(tail.isdigit() for tail in tails):
        return "a number or a date"
    return "reads as words" if any(map(reads_as_words, tails)) else "nothing else says that it is a hash"


def by_name(
    directories: Iterable[tuple[str, Collection[File]]],
    hashed: Collection[str] = (),
    listed: Collection[str] | None = None,
) -> Names:
    """Judge the names of a build's files.

    ``hashed`` are paths that a manifest maps an unhashed source to; ``listed`` are all paths in Vite's manifest, None
    if the build has none.
    """
    reasons: dict[str, str] = {}
    groups: _Groups = defaultdict(list)
    left: _Left = []
    for parent, files in directories:
        place = directory_kind(parent)
        for path, name, _ in files:
            if listed is not None and place is DirectoryKind.SHARED and path not in listed and not is_code(name):
                continue  # a public file: Vite's manifest lists its own files, except workers, maps and what these load
            if not may_be_fingerprinted(name):
                continue
            tails = TAIL.findall(name)
            why = reason_in(parent, place, name, tails)
            if why:
                reasons[path] = why
            if place is not DirectoryKind.TOOL:
                for separator, tail in tails:
                    group = parent, (separator, len(tail))
                    groups[group].append(tail)
                    if not why:
                        left.append((group, path, tail))
    of_manifest = [path for path in listed or () if path not in reasons and has_hash(_name(path))]
    of_manifest += [path for path in hashed if may_be_fingerprinted(_name(path))]
    reasons.update(dict.fromkeys(of_manifest, BY_MANIFEST))
    return Names(reasons, _by_group(groups, left, reasons))


def _by_group(groups: _Groups, left: _Left, reasons: dict[str, str]) -> dict[str, list[str]]:
    """Add the reasons that follow from the neighbours of names; return the undecided paths by their names."""
    kinds = {group: kind for group, tails in groups.items() if (kind := _alphabet(tails))}
    shapes = {(shape, kind) for (_, shape), kind in kinds.items()}
    undecided: list[str] = []
    for group, path, tail in left:
        if path in reasons:
            continue
        code = is_code(path)
        own = kinds.get(group)
        fits = own is not None and own.fits(tail) is not None
        if own is not None and fits:
            is_hash = own.is_hash(tail, code)
        else:
            shape = group[1]
            is_hash = any(other == shape and kind.fits(tail) and kind.is_sure(tail) for other, kind in shapes)
        if is_hash:
            reasons[path] = NEIGHBOURS
        elif (code and fits) or (is_hash_like(tail) and (code or not is_plain(tail))):
            undecided.append(path)  # it can be a hash if another file shows it
    by_last: dict[str, list[str]] = {}
    for path in dict.fromkeys(undecided):
        original = _COMPANION.sub("", path)
        if path in reasons:
            continue
        if original in reasons:
            reasons[path] = reasons[original]
        else:
            by_last.setdefault(_name(path), []).append(path)
    return by_last


def _name(path: str) -> str:
    return path[path.rfind("/") + 1 :]


def _alphabet(group: list[str]) -> _Alphabet | None:
    """Return the alphabet of a group of tails that a build tool made, None if it did not make them."""
    tails = set(group[:: len(group) // _SAMPLE + 1])
    for alphabet in _ALPHABETS:
        fitting = [tail for tail in tails if alphabet.fits(tail)]
        if len(fitting) < _OF_ALPHABET * len(tails):
            continue
        sure = sum(map(alphabet.is_sure, fitting))
        if sure >= alphabet.least and sure >= _SURE * len(tails):
            return alphabet
    return None


def by_content(
    undecided: Mapping[str, list[str]], recognised: Iterable[str], pages: Iterable[str], read: Callable[[str], bytes]
) -> dict[str, str]:
    """Return why undecided files are fingerprinted: scripts, style sheets and pages of the build have their names."""
    found: dict[str, str] = {}
    if not undecided:
        return found
    waiting = {name.encode("latin-1"): paths for name, paths in undecided.items()}
    for name in chain.from_iterable(_loaded(read(page)) for page in pages):
        found.update(dict.fromkeys(waiting.pop(name, ()), LOADED))
    endings = {name[name.rindex(b".") :] for name in waiting}
    pending = list(filter(_SCRIPT.search, found))
    others = filter(_SCRIPT.search, recognised)
    in_vain = 0
    while waiting and in_vain < _IN_VAIN:
        script = pending.pop() if pending else next(others, None)
        if script is None:
            break
        in_vain += 1
        for name in _imported(read(script), endings):
            if name in waiting:
                paths = waiting.pop(name)
                found.update(dict.fromkeys(paths, IMPORTED))
                pending += filter(_SCRIPT.search, paths)
                in_vain = 0
    for path in chain.from_iterable(waiting.values()):
        original = _COMPANION.sub("", path)
        if original in found:
            found[path] = found[original]
    return found


def _loaded(page: bytes) -> Iterator[bytes]:
    """Yield the names of scripts and style sheets that a page loads as Vite's pages do."""
    if b"crossorigin" not in page and b"module" not in page:
        return
    for tag in _TAG.findall(page):
        is_vites = b"crossorigin" in tag
        if not is_vites and b"module" not in tag:
            continue
        for url in _URL.findall(tag):
            name = url.rpartition(b"/")[2].decode("latin-1")
            if is_code(name) and (is_vites or (b"assets/" in url and not is_plain(_tail(name)))):
                yield name.encode("latin-1")


def _imported(content: bytes, endings: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the names with certain endings that a script or style sheet refers to, in quotes or ``url()``.

    A script imports other scripts of the build relative to itself, so the name in an absolute path must not read as
    words. A regular expression took fifty times as long as ``bytes.find``, and no other thread runs meanwhile.
    """
    for ending in endings:
        at = content.find(ending)
        while at >= 0:
            end = at + len(ending)
            if content[end : end + 1] in _ENDS:
                before = content[max(0, at - _LONGEST) : end]
                reference = before[max(map(before.rfind, _STARTS)) + 1 :]
                name = reference.rpartition(b"/")[2]
                if reference[:1] != b"/" or not is_plain(_tail(name.decode("latin-1"))):
                    yield name
            at = content.find(ending, end)


def _tail(name: str) -> str:
    tails = TAIL.findall(name)
    return tails[-1][1] if tails else name
