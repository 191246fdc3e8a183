"""Reading a build directory: what each file holds, what is known of it already, and the assets that come of both."""

from __future__ import annotations

from itertools import starmap
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.wire import wsgi_text

from .asset import Asset, HeaderField, Representation
from .ignore import Exclusions
from .inference import BY_MANIFEST, CONFIGURED, EVIDENCE, Names, by_content, by_name
from .inventory import RULES, Inventory, KnownFile
from .manifests import find_vite_manifest, hashed_paths
from .media import GZIPPED, content_type, extension, is_html
from .siblings import ENDINGS, Verdict, can_compare, coding_of, compare, is_older, own_coding, uncompressed
from .tree import Content, File, Skipped, UnservableError, is_unchanged, read, walk
from .worker_script import handles_worker_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .manifests import ViteFile, ViteManifest
    from .memory import Memory
    from .tree import Described, FileFields

# Rules for the server, not files for a browser; nor are they when compressed.
_RULE_FILES: Final = frozenset(("/_headers", "/_redirects"))
#: Why a file is left out that holds something else than a binding manifest says.
OTHER_BYTES: Final = "it holds other bytes than were uploaded"
_SCRIPTS: Final = (".js", ".mjs")
_FORGOTTEN_AT_ONCE: Final = 2000
_SEARCHED: Final = 32 * 1024 * 1024  # bytes of the largest file that is searched for names
_DIRECTORY_ENDINGS: Final = tuple(f"{ending}/" for ending in ENDINGS)


class Loaded(NamedTuple):
    """What one reading of a directory gave.

    Attributes:
        assets: Request path to file.
        verdicts: Request path of a compressed sibling to what came of comparing it with its original.
        vite: Where Vite's manifest may lie, and what was found there.
        skipped: What is not served, or not used, and why.
    """

    assets: dict[str, Asset]
    verdicts: dict[str, Verdict]
    vite: ViteFile | None
    skipped: tuple[Skipped, ...]


class Loader:
    """How one directory is read: its settings, and what its files have in common.

    Args:
        root: The real, absolute name of the directory.
        ignored: Whether a path and its last segment are left out, and what the file is compressed to with it; None
            leaves out nothing. ``.assetsignore`` counts besides, as it is at each load.
        rule: Whether a path is fingerprinted; None leaves it to the built-in rule.
        types: Content types beside the built-in ones, by extension.
        memory: Where the content of small files is held.
        apart: The absolute name of a file that is left out, wherever it lies: a manifest of the load itself. What it is
            compressed to is left out too.
    """

    def __init__(
        self,
        root: str,
        *,
        ignored: Callable[[str, str], bool] | None,
        rule: Callable[[str], bool | None] | None,
        types: Mapping[str, str],
        memory: Memory | None,
        apart: str | None,
    ) -> None:
        self.root: Final = root
        self.memory: Final = memory
        self.ignored: Final = ignored
        self.rule: Final = rule
        self.apart: Final = apart
        self._additions: Final = types
        self._types: dict[str, tuple[HeaderField, bool]] = {}
        self._lengths: dict[int, HeaderField] = {}

    def load(self, known: Inventory) -> Loaded:
        """Read the directory: of each file what is not known yet.

        Where the index as it was has what a new one would say of a file, the same object stands in the new one.
        """
        reading = _Reading(self, known)
        try:
            return reading.run()
        except BaseException:
            reading.forget()
            raise

    def kind(self, name: str) -> tuple[HeaderField, bool]:
        """Return the Content-Type by a file's name, and whether it is a document's."""
        ending = name[name.rfind(".") :]  # as it is written: no call for nearly every file
        known = self._types.get(ending) if ending != name else None
        if known is None:
            kind = content_type(name, self._additions)
            known = (("Content-Type", kind), is_html(kind))
            if extension(name):
                self._types[ending] = known
        return known

    def length(self, size: int) -> HeaderField:
        """Return the Content-Length of so many bytes."""
        length = self._lengths.get(size)
        if length is None:
            length = self._lengths[size] = ("Content-Length", str(size))
        return length


class _Reading:
    """One reading of a directory."""

    def __init__(self, loader: Loader, known: Inventory) -> None:
        self._loader = loader
        self._known = known
        self._assets: dict[str, Asset] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._skipped: list[Skipped] = []
        # Compressed files that were read for their original's sake, until it is their own turn.
        self._ahead: dict[str, Described] = {}
        self._made: list[Representation] = []
        self.exclusions = Exclusions(loader.root, loader.ignored)
        self._apart: set[str] = set()
        # Whether a file was read, and whether Vite's manifest says what it did.
        self._has_news = False
        self._same_vite = True

    def run(self) -> Loaded:
        loader, assets, skipped = self._loader, self._assets, self._skipped
        vite = find_vite_manifest(loader.root, self._known.known_vite, skipped)
        self._same_vite = vite == self._known.vite
        directories = list(walk(loader.root, self.exclusions, skipped))
        names = self._names(directories, vite.manifest if vite else None)
        sure = {} if loader.rule else names.reasons
        apart = loader.apart
        for parent, files in directories:
            siblings = _siblings(files)
            if parent.endswith(_DIRECTORY_ENDINGS):
                self._report_directory(parent)
            for path, name, file in files:
                original = uncompressed(path) if name.endswith(ENDINGS) else path
                if original in _RULE_FILES:
                    skipped.append(Skipped(path, "a rule file, which is not served"))
                    continue
                if apart is not None and self._is_left_out(path, original, file):
                    continue
                content = self._content(path, file)
                if content is None:
                    continue
                kind, document = loader.kind(name)
                if document:
                    fingerprinted, why = False, ""
                else:
                    fingerprinted, why = (
                        (True, sure[path]) if path in sure else self._judge(path, content, names.reasons)
                    )
                is_worker = None if fingerprinted or not name.endswith(_SCRIPTS) else self._is_worker(file, content)
                variants = self._variants(path, content, kind, siblings[name]) if name in siblings else ()
                assets[path] = self._asset(path, file, content, kind, document, fingerprinted, is_worker, why, variants)
            # To forget tens of thousands at once keeps other threads waiting.
            while files:
                del files[-_FORGOTTEN_AT_ONCE:]
        if self._has_news or self._known.rules != RULES:
            self._search(names.undecided)
        return Loaded(assets, self._verdicts, vite, tuple(skipped))

    def _names(self, directories: list[tuple[str, list[FileFields]]], vite: ViteManifest | None) -> Names:
        """Judge the names of all files."""
        hashed = hashed_paths(
            self._loader.root,
            directories,
            lambda path, file: self._known.rules == RULES and self._known_content(path, file) is not None,
        )
        if vite is None:
            return by_name(directories, hashed)
        return by_name(directories, hashed | _paths(vite.hashed), _paths(vite.files))

    def _judge(self, path: str, content: Described, reasons: Mapping[str, str]) -> tuple[bool, str]:
        """Return whether a file is fingerprinted, as far as its name says it or an earlier load found out, and why."""
        said = self._loader.rule(path) if self._loader.rule else None
        if said is not None:
            return bool(said), CONFIGURED
        why = reasons.get(path, "")
        if (
            not why
            and isinstance(content, Asset | KnownFile)
            # The same bytes under the same name. A copy of the build lacks a hidden manifest.
            and (content.why in EVIDENCE or (content.why == BY_MANIFEST and self._same_vite))
        ):
            why = content.why
        return why != "", why

    def _search(self, undecided: Mapping[str, list[str]]) -> None:
        """Search the build's scripts and pages for the names that may hold a hash."""
        assets = self._assets
        waiting = {name: left for name, paths in undecided.items() if (left := list(filter(self._is_left, paths)))}
        hashed = (path for path in reversed(assets) if assets[path].fingerprinted)
        pages = (path for path, asset in assets.items() if asset.is_html)
        for path, why in by_content(waiting, hashed, pages, self._text).items():
            asset = assets[path]
            kind, _ = self._loader.kind(path)
            assets[path] = self._asset(path, asset.file, asset, kind, False, True, None, why, asset.variants)
            if self._loader.memory is not None and self._known.files.get(path) is not asset:
                self._loader.memory.forget((asset,))

    def _is_left(self, path: str) -> bool:
        """Return whether a file is served and nothing yet says whether it is fingerprinted."""
        asset = self._assets.get(path)
        return asset is not None and not asset.why and not asset.is_html

    def _text(self, path: str) -> bytes:
        """Return the content of a file that is searched, b"" when it cannot be read or is huge."""
        asset = self._assets[path]
        try:
            return asset.data or read(asset.file, _SEARCHED).data or b""
        except (OSError, UnservableError):
            return b""

    def _is_left_out(self, path: str, original: str, file: str) -> bool:
        """Tell whether a file is the manifest of the load, or what that is compressed to."""
        apart = self._loader.apart
        if apart is not None and apart in (file, uncompressed(file)):
            self._apart.add(path)
            return True
        # A link to the manifest has compressed siblings of its own.
        return original != path and original in self._apart

    def forget(self) -> None:
        """Give back the memory of what was made."""
        if self._loader.memory is not None:
            self._loader.memory.forget(self._made)

    def _content(self, path: str, file: str) -> Described | None:
        """Return what a file holds, read only if that is unknown; None when it cannot be served."""
        try:
            if path in self._ahead:
                return self._ahead.pop(path)
            if path in self._known.files:
                content = self._known_content(path, file) or self._read(file)
                if not self._known.is_binding or content.digest == self._known.digest(path):
                    return content
                self._skipped.append(Skipped(path, OTHER_BYTES))
                return None
            return self._read(file)
        except UnservableError as error:
            self._skipped.append(Skipped(path, str(error)))
        except OSError as error:
            self._skipped.append(Skipped(path, f"it cannot be read: {error.strerror}"))
        return None

    def _read(self, file: str) -> Content:
        self._has_news = True
        return read(file)

    def _known_content(self, path: str, file: str) -> Described | None:
        known = self._known.known(path)
        if known is None or (isinstance(known, Asset) and known.file != file):
            return None
        return known if is_unchanged(file, known.size, known.mtime_ns) else None

    def _is_worker(self, file: str, content: Described) -> bool:
        """Tell whether a script handles a service worker's events, by its bytes where that is not known."""
        if isinstance(content, Asset | KnownFile) and content.is_worker is not None:
            return content.is_worker
        data = content.data
        if data is None:
            try:
                data = read(file, content.size).data
            except (OSError, UnservableError):
                data = None
        return data is not None and handles_worker_events(data)

    def _asset(
        self,
        path: str,
        file: str,
        content: Described,
        kind: HeaderField,
        document: bool,
        fingerprinted: bool,
        is_worker: bool | None,
        why: str,
        variants: tuple[Representation, ...],
    ) -> Asset:
        encoding = own_coding(path, file, content)
        if (
            isinstance(content, Asset)
            and content.encoding == encoding
            and content.headers[0] == kind
            and content.fingerprinted is fingerprinted
            and content.is_worker is is_worker
            and content.why == why
            and content.variants == variants
        ):
            return content
        loader = self._loader
        memory = loader.memory
        asset = Asset(
            path,
            file,
            content,
            content_type=kind,
            content_length=loader.length(content.size),
            fingerprinted=fingerprinted,
            why=why,
            is_html=document,
            is_worker=is_worker,
            encoding=encoding,
            data=None if memory is None else memory.keep(content.digest, content.data),
            memory=memory,
            variants=variants,
        )
        self._made.append(asset)
        return asset

    def _variants(
        self, path: str, original: Described, kind: HeaderField, siblings: list[tuple[str, File]]
    ) -> tuple[Representation, ...]:
        """Return the siblings that are smaller than a file and hold its content, the smallest first."""
        found = []
        for coding, sibling in siblings:
            content = self._content_ahead(sibling)
            if content is None or content.size >= original.size:
                continue
            fault = self._fault(sibling, content, coding, original)
            if fault:
                self._skipped.append(Skipped(sibling.path, f"served by its own name only, not for {path}: {fault}"))
            else:
                found.append(self._variant(path, sibling.file, content, coding, kind))
        return tuple(sorted(found, key=attrgetter("size")))

    def _content_ahead(self, sibling: File) -> Described | None:
        """Return what a compressed file holds before its own turn; then it is reported if it cannot be served."""
        try:
            content = self._known_content(sibling.path, sibling.file) or self._read(sibling.file)
        except (OSError, UnservableError):
            return None
        self._ahead[sibling.path] = content
        return content

    def _fault(self, sibling: File, content: Described, coding: str, original: Described) -> str:
        """Return why a sibling is not the compressed form of a file, "" when it is."""
        verdict = self._known.verdicts.get(sibling.path)
        if verdict is not None and (verdict.original != original.digest or isinstance(content, Content)):
            verdict = None  # one of them has changed since
        if verdict is None:
            # Its content decides, whatever its time is. The time counts only where the content cannot be read.
            if not can_compare(coding) and is_older(content, original):
                return "it is older"
            verdict = Verdict(original.digest, compare(sibling.file, content, coding, original))
        self._verdicts[sibling.path] = verdict
        return verdict.fault

    def _variant(self, path: str, file: str, content: Described, coding: str, kind: HeaderField) -> Representation:
        before = self._known.files.get(path)
        for variant in before.variants if isinstance(before, Asset) else ():
            if (
                variant.file == file
                and variant.encoding == coding
                and variant.headers[0] == kind
                and variant.mtime_ns == content.mtime_ns
                and variant.digest == content.digest
            ):
                return variant
        memory = self._loader.memory
        variant = Representation(
            file,
            content,
            content_type=kind,
            content_length=self._loader.length(content.size),
            encoding=coding,
            data=None if memory is None else memory.keep(content.digest, content.data),
            memory=memory,
        )
        self._made.append(variant)
        return variant

    def _report_directory(self, parent: str) -> None:
        """Report a directory that has the name of a file's compressed sibling."""
        original = parent[: parent.rindex(".")]
        if original in self._assets:
            self._skipped.append(Skipped(parent, f"a directory, not {original} compressed"))


def _siblings(files: Iterable[FileFields]) -> dict[str, list[tuple[str, File]]]:
    """Return the files of a directory that are named as others are compressed, by the name of the other."""
    compressed = [file for file in files if file[1].endswith(ENDINGS)]
    siblings: dict[str, list[tuple[str, File]]] = {}
    for file in starmap(File, compressed):
        coding, original = coding_of(file.name), file.name[: file.name.rindex(".")]
        if coding is not None and extension(original) != GZIPPED:
            siblings.setdefault(original, []).append((coding, file))
    return siblings


def _paths(files: Iterable[str]) -> frozenset[str]:
    """Return a manifest's file names, which are UTF-8 wherever they were written, as request paths."""
    return frozenset("/" + wsgi_text(file) for file in files)
