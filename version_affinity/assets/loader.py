"""Reading a build directory: what each file holds, what is known of it already, and the assets that come of both."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from itertools import starmap
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from .asset import Asset, Header, Representation
from .fingerprint import has_fingerprint, place_of
from .ignore import Exclusions
from .inventory import Entry, Inventory
from .manifest import find
from .media import content_type, extension, is_html
from .tree import Content, File, Skipped, UnservableError, is_unchanged, read, walk
from .variants import ENDINGS, Verdict, can_compare, coding_of, compare, is_older, uncompressed
from .worker_script import handles_worker_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .manifest import ViteFile
    from .memory import Memory
    from .tree import Described, Fields

# Rules for the server, not files for a browser; nor are they when compressed.
_RULE_FILES: Final = frozenset(("/_headers", "/_redirects"))
#: Why a file is left out that holds something else than a binding manifest says.
OTHER_BYTES: Final = "it holds other bytes than were uploaded"
_SCRIPTS: Final = (".js", ".mjs")
_FORGOTTEN_AT_ONCE: Final = 2000
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
        self._types: dict[str, tuple[Header, bool]] = {}
        self._lengths: dict[int, Header] = {}

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

    def kind(self, name: str) -> tuple[Header, bool]:
        """Return the Content-Type by a file's name, and whether it is a document's."""
        ending = extension(name)
        known = self._types.get(ending) if ending else None
        if known is None:
            kind = content_type(name, self._additions)
            known = (("Content-Type", kind), is_html(kind))
            if ending:
                self._types[ending] = known
        return known

    def length(self, size: int) -> Header:
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

    def run(self) -> Loaded:
        loader, assets, skipped = self._loader, self._assets, self._skipped
        vite = find(loader.root, self._known.known_vite, skipped)
        manifest = vite.manifest if vite else None
        listed = _paths(manifest.files) if manifest else None
        hashed = _paths(manifest.hashed) if manifest else frozenset()
        rule, apart = loader.rule, loader.apart
        for parent, files in walk(loader.root, self.exclusions, skipped):
            place = place_of(parent)
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
                    fingerprinted = False
                else:
                    said = rule(path) if rule else None
                    if said is None:
                        in_manifest = None if listed is None else path in listed
                        fingerprinted = path in hashed or has_fingerprint(name, place, listed=in_manifest)
                    else:
                        fingerprinted = bool(said)
                is_worker = None if fingerprinted or not name.endswith(_SCRIPTS) else self._is_worker(file, content)
                variants = self._variants(path, content, kind, siblings[name]) if name in siblings else ()
                assets[path] = self._asset(path, file, content, kind, document, fingerprinted, is_worker, variants)
            # To forget tens of thousands at once keeps other threads waiting.
            while files:
                del files[-_FORGOTTEN_AT_ONCE:]
        return Loaded(assets, self._verdicts, vite, tuple(skipped))

    def _is_left_out(self, path: str, original: str, file: str) -> bool:
        """Tell whether a file is the manifest of the load, or what that is compressed to.

        Args:
            path: The file's path.
            original: The path without the endings of compressed files.
            file: The file's absolute name.
        """
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
                content = self._known_content(path, file) or read(file)
                if not self._known.is_binding or content.digest == self._known.digest(path):
                    return content
                self._skipped.append(Skipped(path, OTHER_BYTES))
                return None
            return read(file)
        except UnservableError as error:
            self._skipped.append(Skipped(path, str(error)))
        except OSError as error:
            self._skipped.append(Skipped(path, f"it cannot be read: {error.strerror}"))
        return None

    def _known_content(self, path: str, file: str) -> Described | None:
        known = self._known.known(path)
        if known is None or (isinstance(known, Asset) and known.file != file):
            return None
        return known if is_unchanged(file, known.size, known.mtime_ns) else None

    def _is_worker(self, file: str, content: Described) -> bool:
        """Tell whether a script handles a service worker's events, by its bytes where that is not known."""
        if isinstance(content, Asset | Entry) and content.is_worker is not None:
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
        kind: Header,
        document: bool,
        fingerprinted: bool,
        is_worker: bool | None,
        variants: tuple[Representation, ...],
    ) -> Asset:
        if (
            isinstance(content, Asset)
            and content.headers[0] == kind
            and content.fingerprinted is fingerprinted
            and content.is_worker is is_worker
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
            is_html=document,
            is_worker=is_worker,
            data=None if memory is None else memory.keep(content.digest, content.data),
            memory=memory,
            variants=variants,
        )
        self._made.append(asset)
        return asset

    def _variants(
        self, path: str, original: Described, kind: Header, siblings: list[tuple[str, File]]
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
            content = self._known_content(sibling.path, sibling.file) or read(sibling.file)
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

    def _variant(self, path: str, file: str, content: Described, coding: str, kind: Header) -> Representation:
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


def _siblings(files: Iterable[Fields]) -> dict[str, list[tuple[str, File]]]:
    """Return the files of a directory that are named as others are compressed, by the name of the other."""
    compressed = [file for file in files if file[1].endswith(ENDINGS)]
    siblings: dict[str, list[tuple[str, File]]] = {}
    for file in starmap(File, compressed):
        coding = coding_of(file.name)
        if coding is not None:
            siblings.setdefault(file.name[: file.name.rindex(".")], []).append((coding, file))
    return siblings


def _paths(files: Iterable[str]) -> frozenset[str]:
    """Return a manifest's file names, which are UTF-8 wherever they were written, as request paths."""
    return frozenset("/" + file.encode("utf-8", "surrogatepass").decode("latin-1") for file in files)


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause cyclic garbage collection: it would walk the index again and again while it grows, and find nothing.

    Only where no other thread runs: the garbage of requests that are answered meanwhile must not pile up.
    """
    pausing = gc.isenabled() and threading.active_count() == 1
    if pausing:
        gc.disable()
    try:
        yield
    finally:
        if pausing:
            if not gc.get_freeze_count():
                # What has grown counts as old at once: the next look at the young would be at all of it.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
