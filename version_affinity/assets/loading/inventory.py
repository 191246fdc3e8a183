"""The inventory of a build: what each file held in an earlier load, so that the next load need not read the file.

    {"manifest": "version_affinity build", "format": 1, "rules": 1, "vite": null, "files": {
    "assets/index-BX4CeNGm.js": {"size": 5120, "mtime_ns": 1718000000000000000, "digest": "9f86d081...", ...},
    ...
    }}

It is JSON with one file on each line. Names are relative to the build directory; bytes that are not UTF-8 are
surrogates (PEP 383). The digest is the first 16 bytes of the content's SHA-256 in hexadecimal. ``type``,
``fingerprinted`` and ``why`` say what the load concluded. The next load concludes it anew, but does not search scripts
and pages again if ``rules``, the number of the rules for fingerprints, is the same. ``service_worker`` says whether a
script without a fingerprint handles a service worker's events.

An entry is used if the file still has its size and its time of modification, unless a tool gave that time to all files
of the build: the next build may have the same time. The inventory can say what a file of the tree holds; it cannot add
a file.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.errors import ConfigurationError
from version_affinity.wire import plain_text, wsgi_text

from .asset import Asset
from .manifests import ManifestError, ViteFile, ViteManifest
from .tree import DIGEST_SIZE, Content, UnservableError, is_directory, read, replace_file, unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeGuard

logger = logging.getLogger("version_affinity")

_KIND: Final = "version_affinity build"
_FORMAT: Final = 1
#: The number of the rules for fingerprints. Raise it when ``inference`` changes.
RULES: Final = 1
_OWN: Final = frozenset(("manifest", "format", "rules", "vite", "files"))
#: Files that are parsed at once.
AT_ONCE: Final = 500
_OPENING: Final = ', "files": {'
_CLOSING: Final = "\n}}\n"
#: Bytes of the largest inventory that is read: a million files fit.
_LIMIT: Final = 256 * 1024 * 1024
#: Tools that make equal archives of equal builds write times before 1981 (Nix: 1970; zip files, Bazel, Gradle: 1980).
_FIRST_REAL_NS: Final = 11 * 365 * 86_400 * 1_000_000_000
#: Other tools give all files the time of the commit (SOURCE_DATE_EPOCH). A time in whole seconds that more than this
#: part of the files has was given to them.
_SHARED: Final = 0.5


class InventoryError(ValueError):
    """The text is not the inventory of a build; the message says why."""


class BrokenError(InventoryError):
    """The text is not even JSON."""


_CONCLUSIONS: Final = attrgetter("content_type", "fingerprinted", "is_worker", "why")


class Inventory(NamedTuple):
    """What is known of a build's files without reading them."""

    files: Mapping[str, Content | Asset]  # by request path
    vite: ViteFile | None = None
    about: Mapping[str, object] = {}  # what else the document says, which is kept when it is written anew
    given: int | None = None  # a time that a tool gave most files; None if they have times of their own
    listed: int = 0  # how many files the document names, unusable entries included
    is_binding: bool = False  # whether files that hold something else than the inventory says are left out
    rules: int = RULES  # by which the files were judged

    def entries(self) -> Iterator[tuple[str, Content]]:
        """Yield each file's path and entry, also if a tool gave the file its time of modification."""
        for path, entry in self.files.items():
            if isinstance(entry, Asset):
                yield path, Content(entry.size, entry.mtime_ns, entry.digest, None, *_CONCLUSIONS(entry))
            else:
                yield path, entry

    def digest(self, path: str) -> bytes | None:
        """Return the hash of what a file held, None if that is unknown."""
        entry = self.files.get(path)
        return None if entry is None else entry.digest

    def known(self, path: str) -> Content | Asset | None:
        """Return what a file held, None if that is unknown or a tool gave the file its time of modification."""
        entry = self.files.get(path)
        return entry if isinstance(entry, Asset) or (entry is not None and self._is_own_time(entry.mtime_ns)) else None

    def known_vite(self, name: str, stamp: tuple[int, int]) -> ViteFile | None:
        """Return what was found in a file of this size and time of modification, None if that is unknown."""
        vite = self.vite
        return vite if vite is not None and vite[:3] == (name, *stamp) and self._is_own_time(vite.mtime_ns) else None

    def _is_own_time(self, mtime_ns: int) -> bool:
        return mtime_ns >= _FIRST_REAL_NS and mtime_ns != self.given

    def agrees(self, other: Inventory) -> bool:
        """Return whether the document of another inventory would say the same."""
        return (
            len(self.files) == len(other.files)
            and self.rules == other.rules
            and _vite_document(self.vite) == _vite_document(other.vite)
            and all(self.files.get(path) == entry for path, entry in other.entries())
        )


NOTHING_KNOWN: Final = Inventory({})


class InventoryFile:
    """A file that loads read the inventory from and write it to. It need not exist yet; its directory must."""

    __slots__ = ("_writable", "file")

    def __init__(self, name: str | os.PathLike[str]) -> None:
        try:
            text = os.fspath(name)
            file = os.path.realpath(text) if isinstance(text, str) and text else ""
        except (OSError, ValueError, TypeError):
            file = ""
        if not file or is_directory(file):
            raise ConfigurationError(
                f"manifest={name!r} is not a file: write the name of one beside the build, such as "
                "'build.manifest.json'"
            )
        self.file: Final = file  # absolute, all links resolved
        self._writable = True

    def read(self) -> Inventory:
        """Return the inventory; nothing is known if the file is missing or, which is logged, cannot be used."""
        try:
            content = read(self.file, _LIMIT)
            return parse_inventory(content.data) if content.size else NOTHING_KNOWN
        except FileNotFoundError:
            return NOTHING_KNOWN
        except (OSError, UnservableError, InventoryError) as error:
            # Another file may be named by mistake, or a later release's: that is not overwritten.
            self._writable = isinstance(error, BrokenError) and self.file.endswith(".json")
            logger.warning("manifest=%r is not used, and all files are read: %s", self.file, unread(error))
            return NOTHING_KNOWN

    def write(self, inventory: Inventory) -> None:
        """Replace the file completely or, which is logged, not at all."""
        if not self._writable:
            return
        try:
            replace_file(self.file, (line.encode() for line in inventory_lines(inventory)))
        except OSError as error:
            logger.warning(
                "manifest=%r is not written, and the next load reads the files again: %s", self.file, error.strerror
            )


def parse_inventory(text: bytes | None) -> Inventory:
    """Parse an inventory, None for one above the limit, or raise ``InventoryError``. Unusable entries are left out."""
    if text is None:
        raise InventoryError(f"it has more than {_LIMIT} bytes")
    try:
        decoded = text.decode("utf-8")
        try:
            document = _by_lines(decoded)
        except (ValueError, TypeError, LookupError, AttributeError):  # JSON in another form
            document = json.loads(decoded)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BrokenError(f"it is not JSON: {error!s:.200}") from None
    return inventory_from(document)


def _by_lines(text: str) -> object:
    """Parse the JSON that ``inventory_lines`` writes, some files at a time.

    All of 50,000 files at once were measured to take 0.1 seconds, in which no other thread runs.
    """
    head, *lines = text.removesuffix(_CLOSING).split("\n")
    if not head.endswith(_OPENING) or not text.endswith(_CLOSING):
        raise ValueError("it has another form")
    document = json.loads(f"{head}}}}}")
    for start in range(0, len(lines), AT_ONCE):
        document["files"].update(json.loads(f"{{{' '.join(lines[start : start + AT_ONCE]).removesuffix(',')}}}"))
    return document


def inventory_from(document: object) -> Inventory:
    """Return the inventory that parsed JSON is, or raise ``InventoryError``."""
    if not isinstance(document, dict) or document.get("manifest") != _KIND:
        raise InventoryError("it is not the manifest of a build")
    if document.get("format") != _FORMAT:
        raise InventoryError(f"it has format {document.get('format')!r:.20}, and this release reads {_FORMAT}")
    listed = document.get("files")
    if not isinstance(listed, dict):
        raise InventoryError("it lists no files")
    files = {
        f"/{wsgi_text(name)}": entry
        for name, value in listed.items()
        if isinstance(name, str) and (entry := _entry(value)) is not None
    }
    times = Counter(entry.mtime_ns for entry in files.values())
    ((time, shared),) = times.most_common(1) or ((1, 0),)
    rules = document.get("rules")
    return Inventory(
        files,
        _vite_file(document.get("vite")),
        {key: value for key, value in document.items() if key not in _OWN},
        given=time if shared > _SHARED * len(files) and time % 1_000_000_000 == 0 else None,
        listed=len(listed),
        rules=rules if type(rules) is int else 0,
    )


def is_size(value: object) -> TypeGuard[int]:
    """Return whether a value from JSON can be a number of bytes or files. It may be an integer of any length."""
    return type(value) is int and 0 <= value <= sys.maxsize


def _entry(value: object) -> Content | None:
    if not isinstance(value, dict):
        return None
    size, mtime_ns = value.get("size"), value.get("mtime_ns")
    try:
        digest = bytes.fromhex(value["digest"])
    except (KeyError, TypeError, ValueError):
        return None
    if not is_size(size) or type(mtime_ns) is not int or len(digest) != DIGEST_SIZE:
        return None
    kind, worker, why = value.get("type"), value.get("service_worker"), value.get("why")
    return Content(
        size,
        mtime_ns,
        digest,
        content_type=kind if isinstance(kind, str) else "",
        fingerprinted=value.get("fingerprinted") is True,
        is_worker=worker if isinstance(worker, bool) else None,
        why=why if isinstance(why, str) else "",
    )


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


def inventory_lines(inventory: Inventory) -> Iterator[str]:
    """Yield the document of an inventory, line by line."""
    own = {"manifest": _KIND, "format": _FORMAT, "rules": inventory.rules, "vite": _vite_document(inventory.vite)}
    yield json.dumps({**own, **inventory.about})[:-1] + _OPENING
    separator = "\n"
    for path, entry in inventory.entries():
        value: dict[str, object] = {
            "size": entry.size,
            "mtime_ns": entry.mtime_ns,
            "digest": entry.digest.hex(),
            "type": entry.content_type,
            "fingerprinted": entry.fingerprinted,
        }
        if entry.is_worker is not None:
            value["service_worker"] = entry.is_worker
        if entry.why:
            value["why"] = entry.why
        yield f"{separator}{json.dumps(plain_text(path[1:]))}: {json.dumps(value)}"
        separator = ",\n"
    yield _CLOSING
