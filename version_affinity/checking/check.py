"""``check``: what is wrong with a build, put together."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from version_affinity.assets.static import StaticAssets
from version_affinity.configuration import check_prefix
from version_affinity.errors import ConfigurationError
from version_affinity.patterns import app_first as compiled_patterns

from .comparing import churn, collisions, sizes, unstable
from .javascript import SERVICE_WORKER
from .origins import Origins
from .reading import MANIFEST, read_one, task_of
from .references import Base, Document, Need, Reference, clipped, request_path, shown
from .report import Broken, Report, Unread
from .site import Site
from .tracing import trace
from .unchecked import unchecked
from .workers import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from version_affinity.assets.asset import Asset
    from version_affinity.assets.build import Build

    from .references import Fault
    from .tracing import Followed

_NONE: Final[Mapping[str, StaticAssets | Build]] = MappingProxyType({})
# Where Vite writes its manifest, and where it did before version 5.
_VITE: Final = "/.vite/manifest.json"
_VITE_BEFORE_5: Final = "/manifest.json"


def check(
    build: StaticAssets | Build,
    *,
    known: Mapping[str, StaticAssets | Build] = _NONE,
    live: str | None = None,
    app_first: Iterable[str] = (),
    prefix: str = "/",
    origins: Iterable[str] = (),
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Tell what is wrong with a build.

    Every reference in its HTML, CSS and JavaScript, in web app manifests and in Vite's manifest is followed as a
    browser would follow it: through the paths at which pages are shown, and the rules of ``_redirects``. What another
    version could give in an emergency does not count.

    Args:
        build: The build, loaded with the settings it is served with: how HTML is handled, and what is fingerprinted.
        known: The known versions, by id.
        live: The id of the live version among them, which the sizes are compared with.
        app_first: The patterns of paths that belong to the wrapped application (``patterns.py``). References there
            hold, and so do those outside of the prefix and on other hosts.
        prefix: The path under which the versions are served.
        origins: The origins under which they are served, such as ``"https://shop.example"`` and that of a CDN. URLs of
            theirs are checked as paths are.
        progress: Called in this thread after each file that was parsed, which is what takes the time: how many are
            done, and how many there are. What it raises ends the check.

    Raises:
        ConfigurationError: the live version is not among the known ones; another argument cannot be used.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as dist:
    ...     _ = pathlib.Path(dist, "index.html").write_text('<!doctype html><script src="/main.js"></script>')
    ...     report = check(StaticAssets(dist))
    >>> report.ok, [(found.file, found.line, found.text, found.reason) for found in report.broken]
    (False, [('/index.html', 1, '/main.js', 'no file is there')])
    """
    builds = {version: _build_of(other) for version, other in known.items()}
    if live is not None and live not in builds:
        raise ConfigurationError(f"live={live!r} is not among the known versions ({', '.join(builds) or 'none'})")
    if progress is not None and not callable(progress):
        raise ConfigurationError(f"progress={progress!r} cannot be called: give a function that takes two numbers")
    mount, is_apps = check_prefix(prefix), compiled_patterns(app_first)
    ours = _build_of(build)
    own = Origins(origins)
    directories = ours.index.directories.union(*(other.index.directories for other in builds.values()))
    site = Site(ours, mount, is_apps, directories, own)
    others = {version: Site(other, mount, is_apps, directories, own) for version, other in builds.items()}

    files = ours.index.assets
    documents = _documents(files, progress)
    vite = _vite_manifest(ours)
    pages = [path for path in documents if files[path].is_html]
    found = trace(site, {**documents, **vite}, pages, vite, _read_manifest)
    broken: list[Broken] = []
    doubtful: list[Broken] = []
    for followed in found.broken:
        asset = files.get(followed.file)
        is_meant = followed.file in found.loaded or (asset is not None and asset.fingerprinted)
        one = _broken(followed, others)
        # A service worker that other versions have leaves its pages behind when it is gone.
        is_needed = one.kind != SERVICE_WORKER or one.versions
        (broken if is_meant and is_needed and not followed.has_placeholder else doubtful).append(one)
    known_files = {version: other.index.assets for version, other in builds.items()}
    return Report(
        tuple(sorted(broken)),
        tuple(sorted(doubtful)),
        tuple(sorted(collisions(files, known_files))),
        tuple(sorted(unstable(files, known_files, found.loaded))),
        tuple(sorted((*_unread({path: one.faults for path, one in documents.items()}), *_unread(found.faults)))),
        sizes(files),
        None if live is None else churn(files, live, known_files[live]),
        unchecked(found.documents.values(), files, own, mount),
    )


def _build_of(build: StaticAssets | Build) -> Build:
    return build.build if isinstance(build, StaticAssets) else build


def _documents(files: Mapping[str, Asset], progress: Callable[[int, int], object] | None) -> dict[str, Document]:
    """Return what is found in the files of a version that hold references, by path."""
    tasks = {path: task for path, asset in files.items() if (task := task_of(asset)) is not None}
    found = read_all(tasks.values(), progress)
    return {path: found[task] for path, task in tasks.items()}


def _unread(faults: Mapping[str, Iterable[Fault]]) -> Iterator[Unread]:
    return (Unread(shown(path), fault.line, fault.reason) for path, found in faults.items() for fault in found)


def _read_manifest(asset: Asset) -> Document:
    task = task_of(asset, MANIFEST)
    return Document() if task is None else read_one(task)


def _vite_manifest(build: Build) -> dict[str, Document]:
    """Return what Vite's manifest names: the pages of an application load these files (``asset_tags``)."""
    manifest = build.index.manifest
    if manifest is None:
        return {}
    path = _VITE if Path(build.index.directory + _VITE).exists() else _VITE_BEFORE_5
    return {path: Document(tuple(_named(manifest.files)))}


def _named(files: Iterable[str]) -> Iterator[Reference]:
    for file in sorted(files):
        yield Reference("Vite manifest", file, 1, Need.FILE, Base.PUBLIC)


def _broken(followed: Followed, others: Mapping[str, Site]) -> Broken:
    reference, url = followed.reference, followed.url
    having = [
        version
        for version, site in others.items()
        if url and (answer := site.answer(url, reference.need)).asset is not None and not answer.reason
    ]
    return Broken(
        file=shown(followed.file),
        line=reference.line,
        kind=reference.kind,
        text=clipped(reference.text),
        path=shown(request_path(url)),
        reason=followed.answer.reason,
        versions=tuple(having),
    )
