"""Manifests of build tools: which output files a source file became.

Vite writes ``.vite/manifest.json`` with ``build.manifest: true`` (https://vite.dev/guide/backend-integration); before
version 5 it was ``manifest.json`` at the root. Manifests of other tools only say which names are hashed.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.wire import wsgi_text

from .fingerprint import is_date, is_hash_like
from .tree import Skipped, UnservableError, read, stamp_of, unread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from .tree import File

# Where Vite writes its manifest, and where it did before version 5.
_PLACE = ".vite/manifest.json"
_PLACE_BEFORE_5 = "manifest.json"
_LIMIT = 64 * 1024 * 1024
_LEGACY = "-legacy"

# Manifests of other tools. Sprockets and Propshaft hide theirs.
_NAME = re.compile(r"(?:[\w-]*manifest|staticfiles)\.json\Z", re.IGNORECASE)
_HIDDEN = re.compile(r"\.(?:sprockets-)?manifest[\w-]*\.json\Z")
_PUBLIC = re.compile(r"\A(?:https?:)?//[^/]*/|\A(?:\.?/)+")
_DEEPEST: Final = 6
_SHORTEST: Final = 6  # characters of a hash that a tool adds
# What tools add to a name beside a hash, or instead of one.
_KINDS: Final = frozenset(
    ("bundle", "bundled", "chunk", "client", "compiled", "legacy", "minified", "modern", "module", "production")
)


class ManifestError(ValueError):
    """The text is not a Vite manifest; the message says why."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One entry of Vite's manifest."""

    file: str  # the output, relative to the build directory
    css: tuple[str, ...] = ()  # the style sheets that this chunk itself brings
    assets: tuple[str, ...] = ()  # other files that it refers to
    imports: tuple[str, ...] = ()  # manifest keys of the chunks that it imports statically
    name: str = ""  # what the output's name begins with, "" if Vite does not say it
    integrity: str = ""  # for ``integrity=``, "" if no plugin adds a hash
    is_entry: bool = False  # whether pages load it, and not only other chunks


class Closure(NamedTuple):
    """What a page that uses an entry loads at once, in the order of its tags."""

    file: str
    css: tuple[str, ...]
    preload: tuple[str, ...]


class ViteManifest:
    """A Vite manifest."""

    __slots__ = ("chunks", "files", "hashed")

    def __init__(self, chunks: Mapping[str, Chunk]) -> None:
        #: Manifest key (``src/main.ts``, ``_shared-B7PI925R.js``) to chunk.
        self.chunks: Final[Mapping[str, Chunk]] = MappingProxyType(dict(chunks))
        #: All output files, relative to the build directory.
        self.files: Final = frozenset(
            file for chunk in chunks.values() for file in (chunk.file, *chunk.css, *chunk.assets)
        )
        sources = {name for key, chunk in chunks.items() for name in (chunk.name, *_stems(key))}
        added = [
            chunk.file
            for key, chunk in chunks.items()
            if _stems(chunk.file)[0] not in sources and (_added(key, chunk.file) or _added(chunk.name, chunk.file))
        ]
        #: Files whose name is that of a source, a dash and a hash: they are certainly fingerprinted.
        self.hashed: Final = frozenset([*added, *(file for file in self.files if _is_hashed(file, sources))])

    @classmethod
    def parse(cls, text: str | bytes) -> ViteManifest:
        """Parse the manifest's JSON, or raise ``ManifestError``."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            raise ManifestError(f"not JSON: {error}") from None
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: object) -> ViteManifest:
        """Return the manifest that parsed JSON is, or raise ``ManifestError`` if it is not of Vite's shape."""
        if not isinstance(document, dict) or not document:
            raise ManifestError("not a JSON object with chunks")
        return cls({key: _chunk(key, value) for key, value in document.items()})

    def document(self) -> dict[str, dict[str, object]]:
        """Return the manifest as JSON's types, without what is empty; ``from_document`` reads it back."""
        return {
            key: {name: value for name in Chunk.__slots__ if (value := getattr(chunk, name))}
            for key, chunk in self.chunks.items()
        }

    def entry(self, name: str) -> Chunk | None:
        """Return the chunk of a source file (a manifest key), None if the build has none of that name.

        A leading slash is allowed: ``/src/main.ts`` is how the same file is written during development.
        """
        return self.chunks.get(name) or self.chunks.get(name.lstrip("/"))

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of the entries; of all chunks, if none is marked as an entry."""
        marked = tuple(key for key, chunk in self.chunks.items() if chunk.is_entry)
        return marked or tuple(self.chunks)

    @property
    def integrity(self) -> Mapping[str, str]:
        """The hashes for ``integrity=`` by file, of those files that have one."""
        return {chunk.file: chunk.integrity for chunk in self.chunks.values() if chunk.integrity}

    def is_legacy(self, name: str) -> bool:
        """Return whether an entry is for browsers without modules: @vitejs/plugin-legacy adds "-legacy" to its name."""
        key = name if name in self.chunks else name.lstrip("/")
        stem, dot, ending = key.rpartition(".")
        stem, ending = (stem, dot + ending) if dot and "/" not in ending else (key, "")
        if not stem.endswith(_LEGACY) or _LEGACY not in self.chunks[key].file:
            return False
        # An entry may have this name without the plugin, which adds another entry of the same source or its polyfills.
        return stem.removesuffix(_LEGACY) + ending in self.chunks or any(
            other.endswith("/legacy-polyfills-legacy") for other in self.chunks
        )

    def closure(self, name: str) -> Closure | None:
        """Return an entry's file, its style sheets and its module preloads; None for an unknown name.

        Static imports are followed transitively, lazily loaded chunks are not. An imported chunk and its style sheets
        come before the chunk that imports it: this is the order of the cascade in Vite's own HTML.
        """
        entry = self.entry(name)
        if entry is None:
            return None
        imported = self._imported(entry)
        css = dict.fromkeys(file for chunk in (*imported, entry) for file in chunk.css)
        preload = dict.fromkeys(chunk.file for chunk in imported)
        return Closure(entry.file, tuple(css), tuple(preload))

    def _imported(self, entry: Chunk) -> list[Chunk]:
        """Return the chunks that an entry imports, each after its own imports; iterative, as depth is the build's."""
        found: list[Chunk] = []
        seen = {id(entry)}
        stack = [(entry, iter(entry.imports))]
        while stack:
            chunk, names = stack[-1]
            for name in names:
                importee = self.chunks.get(name)
                if importee is not None and id(importee) not in seen:
                    seen.add(id(importee))
                    stack.append((importee, iter(importee.imports)))
                    break
            else:
                stack.pop()
                if stack:
                    found.append(chunk)
        return found


class ViteFile(NamedTuple):
    """A file where Vite's manifest may be, and the manifest found there; None if the file is something else."""

    name: str
    size: int
    mtime_ns: int
    manifest: ViteManifest | None


def find_vite_manifest(
    root: str, known: Callable[[str, tuple[int, int]], ViteFile | None], skipped: list[Skipped]
) -> ViteFile | None:
    """Return a build's manifest, None if there is none; a file that is ``known`` from an earlier load is not read."""
    for name in (_PLACE, _PLACE_BEFORE_5):
        stamp = stamp_of(f"{root}/{name}")
        if stamp is None:
            continue
        found = known(name, stamp)
        if found is not None:
            return found
        try:
            content = read(f"{root}/{name}", _LIMIT)
            return ViteFile(name, content.size, content.mtime_ns, ViteManifest.parse(content.data or b""))
        except (ManifestError, UnservableError, OSError) as error:
            if name == _PLACE_BEFORE_5:
                # A manifest.json of another shape is a web app manifest.
                return ViteFile(name, *stamp, None)
            skipped.append(Skipped(f"/{name}", unread(error)))
            return None
    return None


def _chunk(key: str, value: object) -> Chunk:
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        raise ManifestError(f"the entry {key!r:.200} names no file")
    return Chunk(
        value["file"],
        css=_names(key, value, "css"),
        assets=_names(key, value, "assets"),
        imports=_names(key, value, "imports"),
        name=value["name"] if isinstance(value.get("name"), str) else "",
        integrity=value["integrity"] if isinstance(value.get("integrity"), str) else "",
        is_entry=value.get("isEntry", value.get("is_entry")) is True,
    )


def _names(key: str, value: Mapping[str, object], field: str) -> tuple[str, ...]:
    names = value.get(field, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ManifestError(f"{field!r} of the entry {key!r:.200} is not a list of names")
    return tuple(names)


def _stems(file: str) -> tuple[str, str]:
    """Return a file's name without its last extension, and without all of them: what Vite calls ``[name]``."""
    name = file.rpartition("/")[2]
    return name.rpartition(".")[0] or name, name.partition(".")[0]


def _is_hashed(file: str, sources: set[str]) -> bool:
    """Return whether a name is a source's, a dash or a dot and eight characters: ``[name]-[hash]``, not ``[name]``."""
    stem = _stems(file)[0]
    return stem not in sources and stem[-9:-8] in ("-", ".") and stem[:-9] in sources and is_hash_like(stem[-8:])


def hashed_by(document: object) -> set[str]:
    """Return the outputs in any build tool's manifest whose name is their source's with an additional part: the hash.

    Known forms: webpack's and Rspack's ``{"main.js": "/static/main.1a2b3c4d.js"}``, at any depth; Django's
    ``{"paths": ...}``; Sprockets' ``{"files": {output: {"logical_path": source}}}``; Propshaft's
    ``{source: {"digested_path": output}}``; Next.js's ``{"pages": {"/_app": [output]}}``.
    """
    found: dict[str, tuple[str, str]] = {}
    for source, output, is_direct in _pairs(document):
        added = _added(source, output)
        if added and (is_direct or is_hash_like(added)):
            found[output] = (source, added)
    # The same addition to different names is a version's or a kind's, unless it looks like a hash.
    sources: dict[str, set[str]] = {}
    for source, added in found.values():
        sources.setdefault(added, set()).add(_stems(source)[1])
    return {out for out, (_, added) in found.items() if is_hash_like(added) or len(sources[added]) == 1}


def _pairs(document: object) -> Iterator[tuple[str, str, bool]]:
    """Yield sources and outputs, and whether the manifest maps just the one to the other; nested objects too."""
    pending: list[tuple[object, tuple[str, ...]]] = [(document, ())]
    while pending:
        value, keys = pending.pop()
        if isinstance(value, dict):
            if keys and isinstance(value.get("logical_path"), str):
                yield value["logical_path"], keys[-1], True
            elif keys and isinstance(value.get("digested_path"), str):
                yield keys[-1], value["digested_path"], True
            elif len(keys) < _DEEPEST:
                pending += [(inner, (*keys, key)) for key, inner in value.items() if isinstance(key, str)]
        elif isinstance(value, str) and keys:
            yield keys[-1], value, True
        elif isinstance(value, list):
            for output in value:
                if isinstance(output, str):
                    yield from ((key, output, False) for key in keys)


def _added(source: str, output: str) -> str:
    """Return what an output's name has in addition to its source's, "" if that is a kind, a date or too short."""
    stem = _stems(output.partition("?")[0])[0]
    for name in _stems(source):
        if name and stem.startswith(name) and stem[len(name) : len(name) + 1] in ("-", "."):
            parts = [part for part in stem[len(name) + 1 :].split(".") if len(part) >= _SHORTEST and part not in _KINDS]
            return parts[0] if len(parts) == 1 and not is_date(parts[0]) else ""
    return ""


def hashed_paths(
    root: str, directories: Collection[tuple[str, Collection[File]]], is_known: Callable[[File], bool]
) -> set[str]:
    """Return the paths that manifests of other tools than Vite map an unhashed source to.

    A manifest is not read if ``is_known``: an earlier load has read it as it is now.
    """
    candidates = [
        (parent, file.file)
        for parent, files in directories
        for file in files
        if file.name.endswith(".json") and _NAME.match(file.name) and not is_known(file)
    ]
    for parent in ("/", "/assets/"):
        with suppress(OSError):
            names = os.listdir(root + parent)  # noqa: PTH208 - names are enough
            candidates += [(parent, f"{root}{parent}{name}") for name in names if _HIDDEN.match(name)]
    paths: set[str] = set()
    hashed: set[str] = set()
    for parent, file in candidates:
        try:
            outputs = hashed_by(json.loads(read(file, _LIMIT).data or b""))
        except (UnservableError, OSError, ValueError, RecursionError):
            continue  # a file of that name may be anything
        if outputs and not paths:
            paths = {file.path for _, files in directories for file in files}
        hashed.update(found for output in outputs if (found := _path_of(output, parent, paths)))
    return hashed


def _path_of(output: str, parent: str, paths: set[str]) -> str:
    """Return the path of a manifest's output, relative to the manifest or below a public path; "" if there is none."""
    output = wsgi_text(_PUBLIC.sub("", output).partition("?")[0])
    candidates = [parent + output.lstrip("/")]
    while output:
        candidates.append("/" + output)
        output = output.partition("/")[2]
    return next((path for path in candidates if path in paths), "")
