"""Vite's build manifest: which output files a source file became.

Vite writes ``.vite/manifest.json`` with ``build.manifest: true``
(https://vite.dev/guide/backend-integration); before version 5 it was ``manifest.json`` at the root.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .fingerprint import is_hash_like
from .tree import Skipped, UnservableError, read, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Where Vite writes its manifest, and where it did before version 5.
_PLACE = ".vite/manifest.json"
_PLACE_BEFORE_5 = "manifest.json"
_LIMIT = 64 * 1024 * 1024
_LEGACY = "-legacy"


class ManifestError(ValueError):
    """The text is no Vite manifest; the message says why."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One entry of the manifest.

    Attributes:
        file: The output file, relative to the build directory.
        css: The style sheets that this chunk itself brings.
        assets: Other files that it refers to.
        imports: Names (manifest keys) of the chunks that it imports statically.
        name: The name that the output file begins with, "" where Vite gives none.
        integrity: The file's hash for ``integrity=``, "" where no plugin adds one.
        is_entry: Whether it is an entry, which pages load, and not a chunk that others import.
    """

    file: str
    css: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    name: str = ""
    integrity: str = ""
    is_entry: bool = False


class Closure(NamedTuple):
    """What a page that uses an entry loads at once, in the order of its tags."""

    file: str
    css: tuple[str, ...]
    preload: tuple[str, ...]


class ViteManifest:
    """A parsed manifest; immutable.

    Attributes:
        chunks: Manifest key (``src/main.ts``, ``_shared-B7PI925R.js``) to chunk.
        files: Every output file that the manifest names, relative to the build directory.
        hashed: Those among them whose name is that of a source, a dash and a hash: fingerprinted beyond doubt.
    """

    __slots__ = ("chunks", "files", "hashed")

    chunks: Mapping[str, Chunk]
    files: frozenset[str]
    hashed: frozenset[str]

    def __init__(self, chunks: Mapping[str, Chunk]) -> None:
        self.chunks = MappingProxyType(dict(chunks))
        self.files = frozenset(
            file for chunk in self.chunks.values() for file in (chunk.file, *chunk.css, *chunk.assets)
        )
        sources = {name for key, chunk in self.chunks.items() for name in (chunk.name, _stem(key))}
        self.hashed = frozenset(file for file in self.files if _is_hashed(file, sources))

    @classmethod
    def parse(cls, text: str | bytes) -> ViteManifest:
        """Parse the manifest's JSON.

        Raises:
            ManifestError: it is not JSON, or not of Vite's shape.

        >>> manifest = ViteManifest.parse('{"src/main.ts": {"file": "assets/main-BX4CeNGm.js", "isEntry": true}}')
        >>> manifest.entry("src/main.ts").file
        'assets/main-BX4CeNGm.js'
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            raise ManifestError(f"not JSON: {error}") from None
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: object) -> ViteManifest:
        """Return the manifest that parsed JSON is.

        Raises:
            ManifestError: it is not of Vite's shape.
        """
        if not isinstance(document, dict) or not document:
            raise ManifestError("not a JSON object with chunks")
        return cls({key: _chunk(key, value) for key, value in document.items()})

    def document(self) -> dict[str, dict[str, object]]:
        """Return what ``from_document`` makes an equal manifest of: JSON's types, without what is empty.

        >>> ViteManifest({"src/main.ts": Chunk("assets/main-BX4CeNGm.js")}).document()
        {'src/main.ts': {'file': 'assets/main-BX4CeNGm.js'}}
        """
        return {
            key: {name: value for name in Chunk.__slots__ if (value := getattr(chunk, name))}
            for key, chunk in self.chunks.items()
        }

    def entry(self, name: str) -> Chunk | None:
        """Return the chunk of a source file (a manifest key), None when the build has none of that name.

        A leading slash is allowed: ``/src/main.ts`` is how the same file is written during development.
        """
        return self.chunks.get(name) or self.chunks.get(name.lstrip("/"))

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of the entries; of all chunks, where none is marked as an entry."""
        marked = tuple(key for key, chunk in self.chunks.items() if chunk.is_entry)
        return marked or tuple(self.chunks)

    @property
    def integrity(self) -> Mapping[str, str]:
        """The hashes for ``integrity=`` by file, of those files that have one."""
        return {chunk.file: chunk.integrity for chunk in self.chunks.values() if chunk.integrity}

    def is_legacy(self, name: str) -> bool:
        """Tell whether an entry is for browsers without modules: @vitejs/plugin-legacy adds "-legacy" to its name.

        >>> manifest = ViteManifest({
        ...     "src/main.ts": Chunk("assets/main-B4s9Kd1x.js"),
        ...     "src/main-legacy.ts": Chunk("assets/main-legacy-D2f8Lm3q.js"),
        ... })
        >>> manifest.is_legacy("src/main-legacy.ts"), manifest.is_legacy("src/main.ts")
        (True, False)
        """
        key = name if name in self.chunks else name.lstrip("/")
        stem, dot, ending = key.rpartition(".")
        stem, ending = (stem, dot + ending) if dot and "/" not in ending else (key, "")
        if not stem.endswith(_LEGACY) or _LEGACY not in self.chunks[key].file:
            return False
        # An entry may be called so without the plugin, which adds another entry of the same source or its polyfills.
        return stem.removesuffix(_LEGACY) + ending in self.chunks or any(
            other.endswith("/legacy-polyfills-legacy") for other in self.chunks
        )

    def closure(self, name: str) -> Closure | None:
        """Return an entry's file, its style sheets and its module preloads; None for an unknown name.

        Static imports are followed transitively, lazily loaded chunks are not. An imported chunk comes before the one
        that imports it, its style sheets too, which is the order of the cascade that Vite gives its own HTML. Nothing
        is named twice; chunks that import each other are visited once.

        >>> manifest = ViteManifest({
        ...     "main.js": Chunk("assets/main-B4s9Kd1x.js", css=("assets/main-D2f8Lm3q.css",), imports=("_shared.js",)),
        ...     "_shared.js": Chunk("assets/shared-C7h2Np5w.js", css=("assets/shared-A1j6Rt4y.css",)),
        ... })
        >>> manifest.closure("main.js").css
        ('assets/shared-A1j6Rt4y.css', 'assets/main-D2f8Lm3q.css')
        >>> manifest.closure("main.js").preload
        ('assets/shared-C7h2Np5w.js',)
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
    """Where a manifest may lie in a build, and what was found there: None when it was something else."""

    name: str
    size: int
    mtime_ns: int
    manifest: ViteManifest | None


def find(
    root: str, known: Callable[[str, tuple[int, int]], ViteFile | None], skipped: list[Skipped]
) -> ViteFile | None:
    """Return a build's manifest, None when there is none.

    Args:
        root: The build directory.
        known: What was found in a file of this name, size and time of modification earlier; it is not read then.
        skipped: Gets a manifest that cannot be used.
    """
    for name in (_PLACE, _PLACE_BEFORE_5):
        file = f"{root}/{name}"
        stamp = stamp_of(file)
        if stamp is None:
            continue
        found = known(name, stamp)
        if found is not None:
            return found
        try:
            content = read(file, _LIMIT)
            return ViteFile(name, content.size, content.mtime_ns, ViteManifest.parse(content.data or b""))
        except (ManifestError, UnservableError, OSError) as error:
            if name == _PLACE_BEFORE_5:
                # A manifest.json of another shape is a web app's, and no fault.
                return ViteFile(name, *stamp, None)
            reason = f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            skipped.append(Skipped(f"/{name}", reason))
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


def _stem(file: str) -> str:
    """Return a file's name without its directory and extensions: what Vite calls ``[name]``."""
    return file.rpartition("/")[2].partition(".")[0]


def _is_hashed(file: str, sources: set[str]) -> bool:
    """Tell whether a name is a source's, a dash and eight characters: Vite's ``[name]-[hash]``, not its ``[name]``."""
    stem = _stem(file)
    return stem not in sources and stem[-9:-8] == "-" and stem[:-9] in sources and is_hash_like(stem[-8:])
