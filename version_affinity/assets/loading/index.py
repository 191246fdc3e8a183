"""One build directory as an immutable index: every servable file with its content's hash, type and entity tag.

The directory is read once, when a version is loaded; a request then costs one look-up in a dict. What cannot be served
safely (dangling links, loops, links out of the tree, pipes, unreadable files) is left out and listed with its reason.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import threading
from collections.abc import Iterable
from collections.abc import Mapping as MappingABC
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from version_affinity.errors import ConfigurationError
from version_affinity.wire import file_name

from .ignore import DEFAULT_IGNORE, HIDDEN, Exclusions, check_is_build, doubt_of, matcher
from .inventory import NOTHING_KNOWN, Inventory, InventoryError, InventoryFile, inventory_from
from .loader import LoadedFiles, Loader
from .media import checked_additions
from .placeholder import check_missing_build, is_not_deployed, placeholder_page
from .tree import Skipped, build_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from .asset import Asset, Representation
    from .manifests import Chunk, ViteFile, ViteManifest
    from .memory import Memory
    from .placeholder import MissingBuild

logger = logging.getLogger("version_affinity")

#: What ``fingerprinted=`` may be.
FingerprintRule: TypeAlias = "Callable[[str], bool | None] | str | re.Pattern[str]"


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """All servable files of one directory."""

    directory: str  # the real, absolute name
    assets: Mapping[str, Asset]  # by request path
    manifest: ViteManifest | None
    skipped: tuple[Skipped, ...]  # what is not served, or not used as a compressed form, and why
    placeholder: Asset | None = None  # the page in place of a build that does not exist yet; there are no files then
    directories: frozenset[str] = field(init=False, repr=False)  # of the files, with "/" at both ends
    workers: frozenset[str] = field(init=False, repr=False)  # scripts without a fingerprint for a worker's events
    _loader: Loader = field(repr=False, kw_only=True)
    _loaded: LoadedFiles = field(repr=False, kw_only=True)

    def __post_init__(self) -> None:
        directories = frozenset([path[: path.rfind("/") + 1] for path in self.assets])
        object.__setattr__(self, "directories", directories)
        workers = frozenset([path for path, asset in self.assets.items() if asset.is_worker])
        object.__setattr__(self, "workers", workers)

    def why_not_served(self, path: str) -> str:
        """Return why the build does not serve a file at a path (as in ``PATH_INFO``), "" for no reason.

        This looks at the disk; it is for reports of broken references.
        """
        if path in self.assets:
            return ""
        for skipped in self.skipped:
            if path == skipped.path or path.startswith(f"{skipped.path.rstrip('/')}/"):
                return skipped.reason
        if control := Exclusions.control(path):
            return control
        if "/." in path.removeprefix("/.well-known"):
            return HIDDEN
        try:
            there = os.path.lexists(self.directory + file_name(path))
        except ValueError:
            return ""
        return "ignore= or .assetsignore leaves it out" if there else ""

    def without(self, paths: Container[str]) -> Index:
        """Return the index without some files. ``refresh`` still returns all of them."""
        left = {path: asset for path, asset in self.assets.items() if path not in paths}
        return replace(self, assets=MappingProxyType(left))

    def release(self) -> None:
        """Release the content that is held in memory, once the build is no longer served. May be called again."""
        if self._loader.memory is not None:
            self._loader.memory.forget(_representations(self.assets))


class RuleError(Exception):
    """A ``fingerprinted`` callable raised. ``scan`` refuses it; a later load is logged by who asked for it."""


def _index(loader: Loader, loaded: LoadedFiles, placeholder: Asset | None = None) -> Index:
    manifest = loaded.vite.manifest if loaded.vite else None
    assets = MappingProxyType(loaded.assets)
    return Index(loader.root, assets, manifest, loaded.skipped, placeholder, _loader=loader, _loaded=loaded)


def scan(
    directory: str | os.PathLike[str],
    *,
    fingerprinted: FingerprintRule | None = None,
    ignore: Iterable[str] = DEFAULT_IGNORE,
    content_types: Mapping[str, str] | None = None,
    memory: Memory | None = None,
    manifest: str | os.PathLike[str] | Mapping[str, object] | Inventory | None = None,
    allow_source: bool = False,
    missing_build: MissingBuild = "error",
) -> Index:
    """Read a build directory; ``StaticAssets`` documents the options.

    A link to a directory is resolved now: pointing it elsewhere later changes nothing here. ``memory=None`` holds no
    content. An inventory that is given as ``manifest`` itself, and not as the name of its file, is not written; an
    uploaded build, which comes with an ``Inventory``, was checked at its upload and needs no ``allow_source``. An
    inventory that cannot be used or written is logged.
    """
    file = None if manifest is None or isinstance(manifest, MappingABC | Inventory) else InventoryFile(manifest)
    may_be_missing = check_missing_build(missing_build)
    root, ignored = build_directory(directory, may_be_missing=may_be_missing), matcher(ignore)
    loader = Loader(
        root,
        ignored=ignored,
        rule=_rule(fingerprinted),
        types=checked_additions(content_types),
        memory=memory,
        apart=None if file is None else file.file,
    )
    with _uncollected():
        known = _given(manifest) if file is None else file.read()
        if manifest is None or file is not None:
            if not allow_source:
                given = f"directory={os.fspath(directory)!r}"
                page_is_known = known.digest("/index.html") is not None
                check_is_build(root, given, Exclusions(root, ignored), page_is_known=page_is_known)
            doubt = doubt_of(root)
            if doubt:
                logger.warning("%r: %s", root, doubt)
        try:
            loaded = loader.load(known)
        except RuleError as error:
            raise ConfigurationError(str(error)) from error.__cause__
    if not loaded.assets and may_be_missing:
        if not is_not_deployed(root):  # of which a warning was logged
            logger.warning(
                "%r does not exist or has no files: a placeholder is served until the front end is built", root
            )
        return _index(loader, LoadedFiles({}, None, ()), placeholder_page(root))
    if not loaded.assets:
        raise ConfigurationError(
            f"directory={os.fspath(directory)!r} holds no file to serve: build the front end first, or name the "
            "directory that the build writes to",
        )
    if file is not None:
        found = Inventory(loaded.assets, loaded.vite, known.about)
        if not known.agrees(found):
            file.write(found)
    return _index(loader, loaded)


def refresh(index: Index) -> Index:
    """Return the index of a directory as it is now, reading only what has changed since ``index``, the newest so far.

    It is the same object if nothing has changed, also while there is no file at all, as when a build tool has just
    emptied the directory. The memory of files that are gone is released, so one thread may refresh at a time.
    """
    before, loader = index._loaded, index._loader  # noqa: SLF001 - of this module
    loaded = loader.load(Inventory(before.assets, before.vite))
    if not loaded.assets or (
        len(loaded.assets) == len(before.assets)
        and all(before.assets.get(path) is asset for path, asset in loaded.assets.items())
        and loaded.skipped == before.skipped
        and _chunks(loaded.vite) == _chunks(before.vite)
    ):
        return index
    if loader.memory is not None:
        kept = {id(representation) for representation in _representations(loaded.assets)}
        loader.memory.forget(gone for gone in _representations(before.assets) if id(gone) not in kept)
    return _index(loader, loaded)


def _representations(assets: Mapping[str, Asset]) -> Iterator[Representation]:
    for asset in assets.values():
        yield asset
        yield from asset.variants


def _chunks(vite: ViteFile | None) -> Mapping[str, Chunk] | None:
    return None if vite is None or vite.manifest is None else vite.manifest.chunks


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause cyclic garbage collection, which would visit the growing index again and again and find nothing.

    If other threads run, it is not paused: the garbage of requests must not accumulate.
    """
    pausing = gc.isenabled() and threading.active_count() == 1
    if pausing:
        gc.disable()
    try:
        yield
    finally:
        if pausing:
            if not gc.get_freeze_count():
                # Move the new objects to the oldest generation: the next collection would visit them all.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _given(manifest: object) -> Inventory:
    if isinstance(manifest, Inventory):
        return manifest
    if not isinstance(manifest, MappingABC):
        return NOTHING_KNOWN
    try:
        return inventory_from(dict(manifest))
    except InventoryError as error:
        logger.warning("the manifest that was given is not used, and all files are read: %s", error)
        return NOTHING_KNOWN


def _rule(fingerprinted: FingerprintRule | None) -> Callable[[str], bool | None] | None:
    if fingerprinted is None:
        return None
    if callable(fingerprinted):
        return partial(_asked, fingerprinted)
    try:
        search = re.compile(fingerprinted).search
        search("")  # fails for a pattern of bytes
    except (re.error, TypeError) as error:
        raise ConfigurationError(
            f"fingerprinted={fingerprinted!r} is neither a regular expression nor a callable ({error}): write one that "
            r"is found in the paths of such files, such as r'\.[0-9a-f]{8}\.', or leave it out"
        ) from None
    return lambda path: True if search(path) else None


def _asked(rule: Callable[[str], bool | None], path: str) -> bool | None:
    try:
        return rule(path)
    except Exception as error:
        raise RuleError(
            f"fingerprinted={rule!r} raised {error!r} for {path!r}: write a callable that takes a file's path and "
            "returns True, False, or None to leave it to the built-in rules"
        ) from error
