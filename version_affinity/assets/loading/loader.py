"""Loading a build directory: what each file holds, what an earlier load knows of it, and the assets made of both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.wire import wsgi_text

from .asset import Asset, Representation
from .ignore import Exclusions
from .inference import BY_MANIFEST, CONFIGURED, EVIDENCE, Names, by_content, by_name
from .inventory import RULES, Inventory
from .manifests import find_vite_manifest, hashed_paths
from .media import ENDINGS, GZIPPED, SUFFIXES, content_type, extension, is_html, uncompressed
from .tree import File, Skipped, UnservableError, is_unchanged, read, unread, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .asset import Described, HeaderField
    from .manifests import ViteFile, ViteManifest
    from .memory import Memory

# Rules for the server, not files for a browser; neither are their compressed forms.
_RULE_FILES: Final = frozenset(("/_headers", "/_redirects"))
#: Why a file is left out that holds something else than a binding inventory says.
OTHER_BYTES: Final = "it holds other bytes than were uploaded"
_SCRIPTS: Final = (".js", ".mjs")
_SEARCHED: Final = 32 * 1024 * 1024  # bytes of the largest file that is searched
_DIRECTORY_ENDINGS: Final = tuple(f"{ending}/" for ending in ENDINGS)
_CODINGS: Final = {suffix: coding for coding, suffix in SUFFIXES.items()}
_GZIPPED: Final = f".{GZIPPED}"
_GZIP_MAGIC: Final = b"\x1f\x8b"  # RFC 1952 section 2.3.1
_CONCLUDED: Final = attrgetter("encoding", "content_type", "fingerprinted", "is_worker", "why", "variants")


class LoadedFiles(NamedTuple):
    """The result of loading a directory."""

    assets: dict[str, Asset]
    vite: ViteFile | None
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads one directory, any number of times."""

    root: str  # the real, absolute name
    ignored: Callable[[str, str], bool] | None = None  # of ``matcher``, beside ``.assetsignore`` as it is at each load
    rule: Callable[[str], bool | None] | None = None  # whether a path is fingerprinted; None: the built-in rules say it
    types: Mapping[str, str] = field(default_factory=dict)  # beside the built-in ones, by extension
    memory: Memory | None = None
    apart: str | None = None  # the build's own inventory, left out with its compressed forms; an absolute name

    def load(self, known: Inventory) -> LoadedFiles:
        """Read of each file what is not known yet.

        If the inventory holds assets of an earlier load, an asset that would be equal is taken over.
        """
        reading = _Reading(self, known)
        try:
            return reading.run()
        except BaseException:
            if self.memory is not None:
                self.memory.forget(reading.made)
            raise


class _Reading:
    """One load of a directory."""

    def __init__(self, loader: Loader, known: Inventory) -> None:
        self._loader = loader
        self._known = known
        self._assets: dict[str, Asset] = {}
        self._skipped: list[Skipped] = []
        self.made: list[Representation] = []  # what may hold memory
        self._apart: set[str] = set()
        self._kinds: dict[str, tuple[HeaderField, bool]] = {}
        self._has_news = False  # whether a file was read
        self._same_vite = True  # whether Vite's manifest says what it said

    def run(self) -> LoadedFiles:
        loader = self._loader
        vite = find_vite_manifest(loader.root, self._known.known_vite, self._skipped)
        self._same_vite = vite == self._known.vite
        directories = list(walk(loader.root, Exclusions(loader.root, loader.ignored), self._skipped))
        if loader.apart is not None:
            all_files = (file for _, files in directories for file in files)
            self._apart.update(file.path for file in all_files if loader.apart in (file.file, uncompressed(file.file)))
        names = self._names(directories, vite.manifest if vite else None)
        for parent, files in directories:
            original = parent[: parent.rindex(".")] if parent.endswith(_DIRECTORY_ENDINGS) else ""
            if original in self._assets:
                self._skipped.append(Skipped(parent, f"a directory, not {original} compressed"))
            siblings = _siblings(files)
            compressed = {file.name for forms in siblings.values() for _, file in forms}
            # First the compressed files: a file's variants are made of the assets that these are.
            for file in sorted(files, key=lambda file: file.name not in compressed) if siblings else files:
                self._take(file, siblings.get(file.name, ()), names.reasons)
        if self._has_news or self._known.rules != RULES:
            self._search(names.undecided)
        return LoadedFiles(self._assets, vite, tuple(self._skipped))

    def _names(self, directories: list[tuple[str, list[File]]], vite: ViteManifest | None) -> Names:
        """Judge the names of all files."""

        def is_known(file: File) -> bool:
            return self._known.rules == RULES and self._known_content(file) is not None

        hashed = hashed_paths(self._loader.root, directories, is_known)
        if vite is None:
            return by_name(directories, hashed)
        return by_name(directories, hashed | _paths(vite.hashed), _paths(vite.files))

    def _take(self, file: File, siblings: Iterable[tuple[str, File]], reasons: Mapping[str, str]) -> None:
        """Make the asset of a file, or report why there is none."""
        path, name = file.path, file.name
        original = uncompressed(path) if name.endswith(ENDINGS) else path
        if original in _RULE_FILES:
            self._skipped.append(Skipped(path, "a rule file, which is not served"))
            return
        if path in self._apart or original in self._apart:
            return
        content = self._content(file)
        if content is None:
            return
        kind, document = self._kind(name)
        fingerprinted, why = (False, "") if document else self._judge(path, content, reasons)
        is_worker = content.is_worker
        if fingerprinted or not name.endswith(_SCRIPTS):
            is_worker = None
        elif is_worker is None:
            is_worker = handles_worker_events(_data(file.file, content))
        variants = self._variants(path, content, kind, siblings) if siblings else ()
        self._assets[path] = self._asset(file, content, kind, document, fingerprinted, is_worker, why, variants)

    def _kind(self, name: str) -> tuple[HeaderField, bool]:
        """Return the Content-Type by a file's name, and whether it is HTML."""
        ending = name[name.rfind(".") :]  # as it is written: no call for nearly every file
        known = self._kinds.get(ending) if ending != name else None
        if known is None:
            kind = content_type(name, self._loader.types)
            known = (("Content-Type", kind), is_html(kind))
            if extension(name):
                self._kinds[ending] = known
        return known

    def _judge(self, path: str, content: Described, reasons: Mapping[str, str]) -> tuple[bool, str]:
        """Return whether a file is fingerprinted, as far as its name or an earlier load says it, and why."""
        said = self._loader.rule(path) if self._loader.rule else None
        if said is not None:
            return bool(said), CONFIGURED
        why = reasons.get(path, "")
        # The same bytes under the same name. A copy of the build lacks a hidden manifest.
        if not why and (content.why in EVIDENCE or (content.why == BY_MANIFEST and self._same_vite)):
            why = content.why
        return why != "", why

    def _search(self, undecided: Mapping[str, list[str]]) -> None:
        """Search the build's scripts and pages for the names that may hold a hash."""
        assets = self._assets
        waiting = {name: left for name, paths in undecided.items() if (left := list(filter(self._is_left, paths)))}
        hashed = (path for path in reversed(assets) if assets[path].fingerprinted)
        pages = (path for path, asset in assets.items() if asset.is_html)

        def text(path: str) -> bytes:
            return _data(assets[path].file, assets[path])

        for path, why in by_content(waiting, hashed, pages, text).items():
            asset = assets[path]
            file = File(path, path[path.rindex("/") + 1 :], asset.file)
            kind, _ = self._kind(file.name)
            assets[path] = self._asset(file, asset, kind, False, True, None, why, asset.variants)
            if self._loader.memory is not None and self._known.files.get(path) is not asset:
                self._loader.memory.forget((asset,))

    def _is_left(self, path: str) -> bool:
        """Return whether a file is served and nothing says yet whether it is fingerprinted."""
        asset = self._assets.get(path)
        return asset is not None and not asset.why and not asset.is_html

    def _content(self, file: File) -> Described | None:
        """Return what a file holds, read only if that is unknown; None if it cannot be served."""
        path = file.path
        try:
            content = self._known_content(file) if self._known.files else None
            if content is None:
                self._has_news = True
                content = read(file.file)
        except (UnservableError, OSError) as error:
            self._skipped.append(Skipped(path, unread(error)))
            return None
        if self._known.is_binding and self._known.digest(path) not in (None, content.digest):
            self._skipped.append(Skipped(path, OTHER_BYTES))
            return None
        return content

    def _known_content(self, file: File) -> Described | None:
        known = self._known.known(file.path)
        if known is None or (isinstance(known, Asset) and known.file != file.file):
            return None
        return known if is_unchanged(file.file, known.size, known.mtime_ns) else None

    def _asset(
        self,
        file: File,
        content: Described,
        kind: HeaderField,
        document: bool,
        fingerprinted: bool,
        is_worker: bool | None,
        why: str,
        variants: tuple[Representation, ...],
    ) -> Asset:
        # An .svgz that is gzipped is shown only with its Content-Encoding.
        is_svgz = file.name[-len(_GZIPPED) :].lower() == _GZIPPED
        encoding = "gzip" if is_svgz and _data(file.file, content)[:2] == _GZIP_MAGIC else ""
        if isinstance(content, Asset):
            concluded = (encoding, kind[1], fingerprinted, is_worker, why, variants)
            if _CONCLUDED(content) == concluded:
                return content
        asset = Asset(
            file.path,
            file.file,
            content,
            content_type=kind,
            fingerprinted=fingerprinted,
            is_html=document,
            is_worker=is_worker,
            encoding=encoding,
            why=why,
            memory=self._loader.memory,
            variants=variants,
        )
        self.made.append(asset)
        return asset

    def _variants(
        self, path: str, original: Described, kind: HeaderField, siblings: Iterable[tuple[str, File]]
    ) -> tuple[Representation, ...]:
        """Return the siblings that are smaller than a file and are trusted, the smallest first.

        Nothing is decompressed: like nginx, Caddy and WhiteNoise, trust a sibling that is not older than its original.
        """
        found = []
        for coding, sibling in siblings:
            content = self._assets.get(sibling.path)
            if content is None or content.size >= original.size:
                continue
            if content.size and content.mtime_ns >= original.mtime_ns:
                found.append(self._variant(path, content, coding, kind))
                continue
            why = "it is older, so it may be the compressed form of other content" if content.size else "it is empty"
            self._skipped.append(Skipped(sibling.path, f"served by its own name only, not for {path}: {why}"))
        return tuple(sorted(found, key=attrgetter("size")))

    def _variant(self, path: str, sibling: Asset, coding: str, kind: HeaderField) -> Representation:
        """Return a file's compressed form, that of an earlier load if it is equal."""
        before = self._known.files.get(path)
        wanted = (sibling.file, coding, kind, sibling.mtime_ns, sibling.digest)
        for variant in before.variants if isinstance(before, Asset) else ():
            if (variant.file, variant.encoding, variant.headers[0], variant.mtime_ns, variant.digest) == wanted:
                return variant
        memory = self._loader.memory
        variant = Representation(sibling.file, sibling, content_type=kind, encoding=coding, memory=memory)
        self.made.append(variant)
        return variant


def _siblings(files: Iterable[File]) -> dict[str, list[tuple[str, File]]]:
    """Return the compressed files of a directory with their codings, by the name of their original."""
    siblings: dict[str, list[tuple[str, File]]] = {}
    for file in files:
        if file.name.endswith(ENDINGS):
            dot = file.name.rindex(".")
            original = file.name[:dot]
            if original and extension(original) != GZIPPED:
                siblings.setdefault(original, []).append((_CODINGS[file.name[dot:]], file))
    return siblings


def _data(file: str, content: Described) -> bytes:
    """Return the bytes of a file that is searched, b"" if it cannot be read or is huge."""
    if content.data is not None:
        return content.data
    try:
        return read(file, _SEARCHED).data or b""
    except (OSError, UnservableError):
        return b""


def _paths(files: Iterable[str]) -> frozenset[str]:
    """Return the file names of a build tool's manifest as request paths."""
    return frozenset("/" + wsgi_text(file) for file in files)


# Of Service Workers, Push, Notifications, Background Sync and Background Fetch. Not "message": pages get messages, too.
_EVENTS: Final = (
    rb"(?:install|activate|fetch|push|pushsubscriptionchange|notificationclick|notificationclose|sync|periodicsync"
    rb"|backgroundfetchsuccess|backgroundfetchfail|backgroundfetchabort|backgroundfetchclick)"
)
# Each pattern begins with literal text, so that the engine finds it quickly, and repeats nothing twice in a row. With
# "\b" in front, the same patterns took twenty times as long.
_LISTENER: Final = re.compile(rb"addEventListener\s*\(\s*[\"'`]" + _EVENTS + rb"[\"'`]")
_HANDLER: Final = re.compile(rb"on" + _EVENTS + rb"\s*=(?!=)")
_RECEIVER: Final = re.compile(rb"(?:\A|[^\w$])([\w$]+)\s*\.\s*\Z")
# Methods that only a service worker's events have. They decide if the receiver is not named like the global object:
# ``this.scope`` (Angular) or a minified ``e``.
_EXTENDABLE: Final = re.compile(rb"\.(?:waitUntil|respondWith)\s*\(")
# Workbox, and functions that only a worker may call.
_CALLS: Final = (b"precacheAndRoute", b"clientsClaim", b"clients.claim", b"self.skipWaiting")
_CALL: Final = re.compile(rb"\b(?:" + b"|".join(map(re.escape, _CALLS)) + rb")\s*\(")
_IMPORT: Final = re.compile(rb"importScripts\s*\(([^)]{0,1000})")
_IMPORTED: Final = re.compile(rb"(?:workbox|service-?worker|\bsw\b|-sw\b|ngsw)[\w./-]{0,80}\.m?js", re.IGNORECASE)


def handles_worker_events(script: bytes) -> bool:
    """Return whether a script handles events that only a service worker gets.

    The text is searched, not parsed, because all scripts of a build are searched when it is loaded. A mistake costs the
    page pin for the modules that the script imports without a fingerprint.
    """
    if any(call in script for call in _CALLS) and _CALL.search(script) is not None:
        return True
    receivers = [*_receivers(script, _LISTENER, bare=b"self"), *_receivers(script, _HANDLER, bare=b"")]
    if not receivers:
        return any(_IMPORTED.search(match[1]) for match in _IMPORT.finditer(script))
    return any(receiver in (b"self", b"globalThis") for receiver in receivers) or _EXTENDABLE.search(script) is not None


def _receivers(script: bytes, pattern: re.Pattern[bytes], *, bare: bytes) -> Iterable[bytes]:
    """Yield the objects whose events are handled, ``bare`` if none is named."""
    for match in pattern.finditer(script):
        before = script[max(match.start() - 40, 0) : match.start()]
        if before.rstrip().endswith(b"."):
            receiver = _RECEIVER.search(before)
            yield b"" if receiver is None else receiver[1]
        elif not re.search(rb"[\w$]\Z", before):
            yield bare
