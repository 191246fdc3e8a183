"""One build directory as an immutable index: every servable file, its content's hash, type and entity tag.

The directory is read once, when a version is loaded; a request then costs a look in a dict. What cannot be served
safely (dangling links, loops, links out of the tree, pipes, unreadable files) is left out and listed with its reason:
nothing in a tree makes the scan fail.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from version_affinity.errors import ConfigurationError

from .asset import Asset, Header
from .fingerprint import has_fingerprint, place_of
from .manifest import ManifestError, ViteManifest
from .media import content_type, extension, is_html
from .memory import Memory
from .tree import LARGE, Skipped, UnservableError, read, walk, wsgi_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .tree import Content

__all__ = ["DEFAULT_IGNORE", "LARGE", "Asset", "FingerprintRule", "Index", "Memory", "Skipped", "scan"]

#: Patterns of files that are not served. None: a bundler may well write a ``node_modules`` directory or source maps
#: that its pages refer to, and what a build must not publish is better not put into it.
DEFAULT_IGNORE: Final[tuple[str, ...]] = ()

#: What ``fingerprinted=`` may be.
FingerprintRule: TypeAlias = "Callable[[str], bool | None] | str | re.Pattern[str]"

# Rules for the server, not files for a browser.
_RULE_FILES: Final = frozenset(("/_headers", "/_redirects"))
_MANIFEST_LIMIT: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """All servable files of one directory.

    Attributes:
        directory: The directory's real, absolute name.
        assets: Request path to file.
        manifest: Vite's manifest, when the build has one.
        skipped: What is not served, and why; for whoever loads the build to report, once.
        directories: The directories of the files, with "/" at both ends.
    """

    directory: str
    assets: Mapping[str, Asset]
    manifest: ViteManifest | None
    skipped: tuple[Skipped, ...]
    directories: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        directories = frozenset(path[: path.rfind("/") + 1] for path in self.assets)
        object.__setattr__(self, "directories", directories)


def scan(
    directory: str | os.PathLike[str],
    *,
    fingerprinted: FingerprintRule | None = None,
    ignore: Iterable[str] = DEFAULT_IGNORE,
    memory: Memory | None = None,
) -> Index:
    """Read a build directory.

    Args:
        directory: The directory. A link to one is resolved now: pointing it elsewhere later changes nothing here.
        fingerprinted: Adds to the built-in rule (``fingerprint.py``): a regular expression that is searched in the
            path, or a callable that takes the path and returns True, False, or None for the built-in rule. HTML is
            never fingerprinted.
        ignore: Shell patterns (``*.map``, ``drafts/*``) of files and directories that are not served, matched with the
            path relative to the directory and with each name.
        memory: Where the content of small files is held; None holds none.

    Raises:
        ConfigurationError: the directory is missing, no directory, or holds no file to serve; a pattern is unusable.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as build:
    ...     _ = pathlib.Path(build, "robots.txt").write_text("User-agent: *")
    ...     index = scan(build)
    >>> index.assets["/robots.txt"].content_type
    'text/plain; charset=utf-8'
    """
    root = _root(directory)
    ignored = _ignored(ignore)
    rule = _rule(fingerprinted)
    skipped: list[Skipped] = []
    manifest = _manifest(root, skipped)
    listed = _paths(manifest.files) if manifest else None
    hashed = _paths(manifest.hashed) if manifest else frozenset()
    builder = _Builder(memory)
    with _uncollected(), builder:
        for parent, files in walk(root, ignored, skipped):
            place = place_of(parent)
            for path, name, file in files:
                if path in _RULE_FILES:
                    skipped.append(Skipped(path, "a rule file, which is not served"))
                    continue
                try:
                    content = read(file)
                except UnservableError as error:
                    skipped.append(Skipped(path, str(error)))
                    continue
                except OSError as error:
                    skipped.append(Skipped(path, f"it cannot be read: {error.strerror}"))
                    continue
                said = rule(path) if rule else None
                builder.add(
                    path,
                    file,
                    content,
                    fingerprinted=(
                        path in hashed
                        or has_fingerprint(name, place, listed=None if listed is None else path in listed)
                        if said is None
                        else bool(said)
                    ),
                )
    if not builder.assets:
        raise ConfigurationError(
            f"directory={os.fspath(directory)!r} holds no file to serve: build the front end first, or name the "
            "directory that the build writes to",
        )
    return Index(root, MappingProxyType(builder.assets), manifest, tuple(skipped))


class _Builder:
    """Makes assets that share what they have in common."""

    def __init__(self, memory: Memory | None) -> None:
        self.assets: dict[str, Asset] = {}
        self._memory = memory
        self._types: dict[str, tuple[Header, bool]] = {}
        self._lengths: dict[int, Header] = {}

    def add(self, path: str, file: str, content: Content, *, fingerprinted: bool) -> None:
        ending = extension(path)
        known = self._types.get(ending) if ending else None
        if known is None:
            kind = content_type(path)
            known = (("Content-Type", kind), is_html(kind))
            if ending:
                self._types[ending] = known
        length = self._lengths.get(content.size)
        if length is None:
            length = self._lengths[content.size] = ("Content-Length", str(content.size))
        data = content.data
        self.assets[path] = Asset(
            path,
            file,
            content,
            content_type=known[0],
            content_length=length,
            fingerprinted=fingerprinted and not known[1],
            is_html=known[1],
            data=self._memory.keep(content.digest, data) if self._memory is not None and data is not None else None,
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give back the memory of a scan that failed."""
        if kind is not None and self._memory is not None:
            self._memory.release(asset.digest for asset in self.assets.values() if asset.data is not None)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause cyclic garbage collection: it would walk the index again and again while it grows, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _root(directory: str | os.PathLike[str]) -> str:
    name = os.fspath(directory) if isinstance(directory, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise ConfigurationError(
            f"directory={directory!r} is no text: give the directory's name as str or pathlib.Path"
        )
    try:
        root = Path(os.path.realpath(name))
        if root.is_dir():
            return str(root)
        exists = root.exists()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"directory={name!r} cannot be looked at: {error}") from None
    if exists:
        raise ConfigurationError(f"directory={name!r} is a file: name the directory that the build writes to")
    raise ConfigurationError(
        f"directory={name!r} does not exist (it means {str(root)!r} here): build the front end first"
    )


def _paths(files: Iterable[str]) -> frozenset[str]:
    """Return a manifest's file names, which are UTF-8 wherever they were written, as request paths."""
    return frozenset("/" + file.encode("utf-8", "surrogatepass").decode("latin-1") for file in files)


def _ignored(ignore: Iterable[str]) -> Callable[[str, str], bool]:
    patterns = list(ignore) if isinstance(ignore, Iterable) and not isinstance(ignore, str) else [None]
    try:
        translated = [translate(wsgi_path(pattern).strip("/")) for pattern in patterns if isinstance(pattern, str)]
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"ignore={ignore!r} has a pattern that can be no file's name: {error}") from None
    if len(translated) < len(patterns):
        raise ConfigurationError(f"ignore={ignore!r} is no list of patterns: write ignore=['*.map']")
    if not patterns:
        return lambda _path, _name: False
    match = re.compile("|".join(translated)).match
    return lambda path, name: match(name) is not None or match(path[1:]) is not None


def _rule(fingerprinted: FingerprintRule | None) -> Callable[[str], bool | None] | None:
    if fingerprinted is None or callable(fingerprinted):
        return fingerprinted
    try:
        search = re.compile(fingerprinted).search
        search("")  # a pattern of bytes cannot
    except (re.error, TypeError) as error:
        raise ConfigurationError(
            f"fingerprinted={fingerprinted!r} is neither a regular expression nor a callable: {error}"
        ) from None
    return lambda path: True if search(path) else None


def _manifest(root: str, skipped: list[Skipped]) -> ViteManifest | None:
    try:
        content = read(f"{root}/.vite/manifest.json", _MANIFEST_LIMIT)
        return ViteManifest.parse(content.data or b"")
    except (FileNotFoundError, NotADirectoryError):
        return _legacy_manifest(root)
    except (ManifestError, UnservableError) as error:
        skipped.append(Skipped("/.vite/manifest.json", str(error)))
    except OSError as error:
        skipped.append(Skipped("/.vite/manifest.json", f"it cannot be read: {error.strerror}"))
    return None


def _legacy_manifest(root: str) -> ViteManifest | None:
    """Return what Vite wrote before version 5; a ``manifest.json`` of another shape is a web app's, and is no fault."""
    try:
        return ViteManifest.parse(read(f"{root}/manifest.json", _MANIFEST_LIMIT).data or b"")
    except (ManifestError, UnservableError, OSError):
        return None
