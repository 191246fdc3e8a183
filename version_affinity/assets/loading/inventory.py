"""The manifest of an earlier load: what each file of a build held, so that the next load need not read it.

    {"manifest": "version_affinity build", "format": 1, "rules": 1, "vite": null, "files": {
    "assets/index-BX4CeNGm.js": {"size": 5120, "mtime_ns": 1718000000000000000, "digest": "9f86d081...", ...},
    ...
    }}

It is JSON with one file on each line: read some lines at a time, even a large one keeps other threads waiting for no
more than a moment. Names are relative to the build directory; bytes of names that are not UTF-8 are surrogates
(PEP 383). The digest is the first 16 bytes of the content's SHA-256 in hexadecimal. ``type``, ``fingerprinted`` and
``why`` say what the load made of a file. The next load decides that anew, but searches no scripts and pages again for
names that they had when ``rules``, the number of the rules for fingerprints, was the same. ``service_worker`` says
whether a script without a fingerprint handles a service worker's events; where it is missing, the script is read again.

A file's entry is believed where its size and its time of modification are what they were, and that time tells
something: not one that tools give to all files of a build, which the next build may have in common. The manifest is the
operator's, like the build itself: it can say that a file of the tree holds something, and name no other file.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from version_affinity.wire import plain_text, wsgi_text

from .manifests import ManifestError, ViteFile, ViteManifest
from .siblings import Verdict
from .tree import DIGEST_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .asset import Asset

_KIND: Final = "version_affinity build"
_FORMAT: Final = 1
#: Counts the changes of ``inference``.
RULES: Final = 1
_OWN: Final = frozenset(("manifest", "format", "rules", "vite", "files"))
# What stands before the first file, between two, and after the last one, as they are written here.
_OPENING: Final = ', "files": {'
_SEPARATOR: Final = ",\n"
_CLOSING: Final = "\n}}\n"
#: Characters that are parsed at once, in which no other thread runs: some hundred files. One by one took a quarter more
#: time.
_SLICE: Final = 64 * 1024
#: Times before 1981 are what tools write that want equal archives of equal builds (Nix: 1970; zip files, Bazel and
#: Gradle: 1980). Builds that differ have them in common, so they do not tell that a file is the same.
_TELLING_NS: Final = 11 * 365 * 86_400 * 1_000_000_000
#: Others give all files the time of the commit (SOURCE_DATE_EPOCH), which two builds of one commit have in common too.
#: A time that more than this part of the files has, in whole seconds, was given to them. Files that were written one
#: after the other have times of their own, or, where the file system counts seconds, those of several.
_SHARED: Final = 0.5
_SECOND_NS: Final = 1_000_000_000


class InventoryError(ValueError):
    """The text is no manifest of a build; the message says why."""


class BrokenError(InventoryError):
    """The text is not even JSON."""


class KnownFile(NamedTuple):
    """What one file held; its attributes are those of an ``Asset``, whose content is not at hand."""

    size: int
    mtime_ns: int
    digest: bytes
    content_type: str
    fingerprinted: bool
    is_worker: bool | None = None
    why: str = ""
    data: None = None


#: An entry as it waits for its file. Of plain tuples the garbage collector keeps no account once it has seen them: tens
#: of thousands of entries would cost each of its runs some milliseconds, in which no thread runs.
KnownFields: TypeAlias = "tuple[int, int, bytes, str, bool, bool | None, str]"


class Inventory(NamedTuple):
    """What is known of a build's files without reading them.

    Attributes:
        files: Request path to what the file held: an asset, or the fields of a ``KnownFile``.
        verdicts: Request path of a compressed sibling to what came of comparing it with its original.
        vite: Vite's manifest.
        about: Whatever else the manifest says, kept when it is written anew.
        given: A time that most files were given, None where they have times of their own.
        listed: How many files the manifest names; there is none in ``files`` of an entry that cannot be used.
        is_binding: Whether files that hold something else than the manifest says are left out.
        rules: The number of the rules for fingerprints that the files were judged by.
    """

    files: Mapping[str, KnownFields] | Mapping[str, Asset]
    verdicts: Mapping[str, Verdict]
    vite: ViteFile | None = None
    about: Mapping[str, object] = {}  # never changed
    given: int | None = None
    listed: int = 0
    is_binding: bool = False
    rules: int = RULES

    def entries(self) -> Iterator[tuple[str, KnownFields]]:
        """Yield each file's path and what the manifest says of it, whether its time tells something or not."""
        for path, entry in self.files.items():
            yield path, _fields(entry)

    def digest(self, path: str) -> bytes | None:
        """Return the hash of what a file held, whether its time tells something or not; None when that is unknown."""
        entry = self.files.get(path)
        return None if entry is None else _fields(entry)[2]

    def known(self, path: str) -> KnownFile | Asset | None:
        """Return what a file held, None when that is unknown or its time does not tell."""
        entry = self.files.get(path)
        if not isinstance(entry, tuple):
            return entry
        return KnownFile(*entry) if self._tells(entry[1]) else None

    def known_vite(self, name: str, stamp: tuple[int, int]) -> ViteFile | None:
        """Return what was found in a file of this size and time of modification, None when that is unknown."""
        vite = self.vite
        return vite if vite is not None and vite[:3] == (name, *stamp) and self._tells(vite.mtime_ns) else None

    def _tells(self, mtime_ns: int) -> bool:
        return mtime_ns >= _TELLING_NS and mtime_ns != self.given

    def agrees(self, other: Inventory) -> bool:
        """Tell whether a manifest of the other would say the same."""
        files = self.files
        return (
            len(files) == len(other.files)
            and all(files.get(path) == _fields(asset) for path, asset in other.files.items())
            and self.verdicts == other.verdicts
            and self.rules == other.rules
            and _vite_document(self.vite) == _vite_document(other.vite)
        )


#: Nothing is known.
NOTHING_KNOWN: Final = Inventory({}, {})


def parse_inventory(text: bytes) -> Inventory:
    """Parse a manifest. Entries that cannot be used are left out: their files are read.

    Raises:
        InventoryError: it is no manifest of a build.

    >>> parse_inventory(b'{"manifest": "version_affinity build", "format": 1, "files": {}}').files
    {}
    """
    try:
        decoded = text.decode("utf-8")
        return _by_lines(decoded) or inventory_from(json.loads(decoded))
    except InventoryError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BrokenError(f"it is not JSON: {error!s:.200}") from None


def _by_lines(text: str) -> Inventory | None:
    """Parse a manifest as it is written here; None when it has another form, which says nothing against it."""
    head, end = text.find("\n"), len(text) - len(_CLOSING)
    if not (text.endswith(_CLOSING) and text.endswith(_OPENING, 0, head)):
        return None
    names: set[str] = set()
    try:
        parser = _Parser(json.loads(text[:head] + _CLOSING))
        for files in _slices(text, head + 1, end):
            if not files or not names.isdisjoint(files):
                return None  # JSON has no empty member, and of two with one name the last one counts
            names.update(files)
            for name, value in files.items():
                parser.add(name, value)
    except ValueError:
        return None
    return parser.inventory(len(names))


def _slices(text: str, start: int, end: int) -> Iterator[dict[str, object]]:
    """Yield the members of an object that stand on lines of their own, many at a time.

    Raises:
        ValueError: that is not how they stand there.
    """
    while True:
        stop = text.find(_SEPARATOR, start + _SLICE, end)
        yield json.loads(f"{{{text[start : stop if stop >= 0 else end]}}}")
        if stop < 0:
            return
        start = stop + len(_SEPARATOR)


def inventory_from(document: object) -> Inventory:
    """Return the inventory that a manifest's parsed JSON is.

    Raises:
        InventoryError: it is no manifest of a build.
    """
    parser = _Parser(document)
    files = cast("dict[str, dict[object, object]]", document)["files"]
    for name, entry in files.items():
        parser.add(name, entry)
    return parser.inventory(len(files))


class _Parser:
    """Takes a manifest's files one by one."""

    def __init__(self, header: object) -> None:
        if not isinstance(header, dict) or header.get("manifest") != _KIND or not isinstance(header.get("files"), dict):
            raise InventoryError("it is something else than a manifest of a build")
        if header.get("format") != _FORMAT:
            raise InventoryError(f"it is of format {header.get('format')!r:.20}, and this release reads {_FORMAT}")
        self._files: dict[str, KnownFields] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._vite = _vite_file(header.get("vite"))
        rules = header.get("rules")
        self._rules = rules if type(rules) is int else 0
        self._about = {key: value for key, value in header.items() if key not in _OWN}
        self._times: Counter[int] = Counter()

    def add(self, name: object, value: object) -> None:
        if not isinstance(name, str) or not isinstance(value, dict):
            return
        size, mtime_ns, digest = value.get("size"), value.get("mtime_ns"), _digest(value.get("digest"))
        if type(size) is not int or type(mtime_ns) is not int or digest is None:
            return
        path = f"/{wsgi_text(name)}"
        kind, fingerprinted, why = value.get("type"), value.get("fingerprinted"), value.get("why")
        self._times[mtime_ns] += 1
        worker = value.get("service_worker")
        is_worker = worker if isinstance(worker, bool) else None
        kind, why = (text if isinstance(text, str) else "" for text in (kind, why))
        self._files[path] = (size, mtime_ns, digest, kind, fingerprinted is True, is_worker, why)
        if "compressed" in value:
            original, fault = _digest(value["compressed"]), value.get("fault", "")
            if original is not None and isinstance(fault, str):
                self._verdicts[path] = Verdict(original, fault)

    def inventory(self, listed: int) -> Inventory:
        ((time, files),) = self._times.most_common(1) or ((1, 0),)
        given = time if files > _SHARED * self._times.total() and time % _SECOND_NS == 0 else None
        return Inventory(self._files, self._verdicts, self._vite, self._about, given, listed, rules=self._rules)


def _digest(text: object) -> bytes | None:
    try:
        digest = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_SIZE else None


def _vite_file(value: object) -> ViteFile | None:
    if not isinstance(value, dict):
        return None
    name, size, mtime_ns, chunks = (value.get(key) for key in ("name", "size", "mtime_ns", "chunks"))
    if not isinstance(name, str) or type(size) is not int or type(mtime_ns) is not int:
        return None
    try:
        return ViteFile(name, size, mtime_ns, None if chunks is None else ViteManifest.from_document(chunks))
    except ManifestError:
        return None


def _vite_document(vite: ViteFile | None) -> dict[str, object] | None:
    if vite is None:
        return None
    chunks = None if vite.manifest is None else vite.manifest.document()
    return {"name": vite.name, "size": vite.size, "mtime_ns": vite.mtime_ns, "chunks": chunks}


def _fields(entry: KnownFields | Asset) -> KnownFields:
    if isinstance(entry, tuple):
        return entry
    return entry.size, entry.mtime_ns, entry.digest, entry.content_type, entry.fingerprinted, entry.is_worker, entry.why


def inventory_lines(inventory: Inventory) -> Iterator[str]:
    """Yield a manifest's text, line by line.

    >>> files = {"/a.js": (1, 2, bytes(16), "text/javascript", False, True, "")}
    >>> print("".join(inventory_lines(Inventory(files, {}))), end="")
    {"manifest": "version_affinity build", "format": 1, "rules": 1, "vite": null, "files": {
    "a.js": {"size": 1, "mtime_ns": 2, "digest": "00000000000000000000000000000000", "type": "text/javascript", \
"fingerprinted": false, "service_worker": true}
    }}
    """
    own = {"manifest": _KIND, "format": _FORMAT, "rules": inventory.rules, "vite": _vite_document(inventory.vite)}
    header = json.dumps({**own, **inventory.about})
    yield f"{header[:-1]}{_OPENING}"
    separator = "\n"
    for path, entry in inventory.files.items():
        name = plain_text(path[1:])
        size, mtime_ns, digest, kind, fingerprinted, is_worker, why = _fields(entry)
        value: dict[str, object] = {
            "size": size,
            "mtime_ns": mtime_ns,
            "digest": digest.hex(),
            "type": kind,
            "fingerprinted": fingerprinted,
        }
        if is_worker is not None:
            value["service_worker"] = is_worker
        if why:
            value["why"] = why
        verdict = inventory.verdicts.get(path)
        if verdict is not None:
            value["compressed"] = verdict.original.hex()
            if verdict.fault:
                value["fault"] = verdict.fault
        yield f"{separator}{json.dumps(name)}: {json.dumps(value)}"
        separator = _SEPARATOR
    yield _CLOSING
