"""``check_build``: find what is broken in a build."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from version_affinity.app_first import compile_patterns
from version_affinity.assets.loading.fingerprint import has_hash
from version_affinity.assets.static import StaticAssets
from version_affinity.configuration import check_prefix
from version_affinity.errors import ConfigurationError
from version_affinity.wire import shown

from .compare import churn, collisions, sizes, unstable
from .languages.html import MINOR
from .languages.javascript import SERVICE_WORKER
from .notices import notices, prefix_of
from .origins import Origins, unlisted_origins
from .parsing import MANIFEST, Task, parse_file, parse_files, task_of
from .references import Base, Document, Need, Reference, clipped, request_path
from .report import Broken, BuildReport, Unread
from .site import Site
from .trace import OPEN, follow_references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from version_affinity.assets.build import Build
    from version_affinity.assets.loading.asset import Asset

    from .references import Fault
    from .trace import Followed, Trace

_NONE: Final[Mapping[str, StaticAssets | Build]] = MappingProxyType({})
# Where Vite writes its manifest, and where it did before version 5.
_VITE: Final = "/.vite/manifest.json"
_VITE_BEFORE_5: Final = "/manifest.json"


def check_build(
    build: StaticAssets | Build,
    *,
    known: Mapping[str, StaticAssets | Build] = _NONE,
    live: str | None = None,
    app_first: Iterable[str] = (),
    prefix: str = "/",
    origins: Iterable[str] = (),
    progress: Callable[[int, int], object] | None = None,
) -> BuildReport:
    """Find what is broken in a build.

    Every reference in its HTML, CSS and JavaScript, in web app manifests and in Vite's manifest is followed as a
    browser would follow it, through the paths of pages and the rules of ``_redirects``. Files that only another
    version has do not count.

    Args:
        build: The build, loaded with the settings that serve it.
        known: The known versions, by id.
        live: The id of the live version among them. A reference that is broken there too is only a warning.
        app_first: The patterns of paths that the application answers. References to them hold, and so do those outside
            of the prefix and to other hosts.
        prefix: The path under which the versions are served.
        origins: The origins that serve them, such as ``"https://shop.example"`` and that of a CDN. Their URLs are
            checked as paths are.
        progress: Called in this thread after each parsed file, with the numbers of parsed files and of all files; for
            the live version again, if its references are needed. An exception that it raises ends the check.

    Raises:
        ConfigurationError: the live version is not among the known ones, or another argument cannot be used.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as dist:
    ...     _ = pathlib.Path(dist, "index.html").write_text('<!doctype html><script src="/main.js"></script>')
    ...     report = check_build(StaticAssets(dist))
    >>> report.ok, [(found.file, found.line, found.text, found.reason) for found in report.broken]
    (False, [('/index.html', 1, '/main.js', 'the file does not exist')])
    """
    builds = {version: _build_of(other) for version, other in known.items()}
    if live is not None and live not in builds:
        raise ConfigurationError(f"live={live!r} is not among the known versions ({', '.join(builds) or 'none'})")
    if progress is not None and not callable(progress):
        raise ConfigurationError(f"progress={progress!r} cannot be called: give a function that takes two numbers")
    mount, is_apps = check_prefix(prefix), compile_patterns(app_first)
    ours = _build_of(build)
    own = Origins(origins)
    directories = ours.index.directories.union(*(other.index.directories for other in builds.values()))
    site = Site(ours, mount, is_apps, directories, own)
    others = {version: Site(other, mount, is_apps, directories, own) for version, other in builds.items()}

    files = ours.index.assets
    documents = _documents(files, progress)
    found = _trace(site, ours, documents)
    broken = [_broken(followed, found, files, others) for followed in found.broken]
    if live is not None and any(not one.doubt for one in broken):
        there = builds[live]
        same = {files[path].digest: document for path, document in documents.items()}
        before = _trace(others[live], there, _documents(there.index.assets, progress, same))
        judged = (_broken(followed, before, there.index.assets, others) for followed in before.broken)
        old = {(one.kind, one.text) for one in judged if not one.doubt}  # a doubtful one does not break its pages
        doubt = f"it is broken in {live} too"
        broken = [one._replace(doubt=doubt) if not one.doubt and (one.kind, one.text) in old else one for one in broken]
    known_files = {version: other.index.assets for version, other in builds.items()}
    return BuildReport(
        tuple(sorted(one for one in broken if not one.doubt)),
        tuple(sorted(one for one in broken if one.doubt)),
        tuple(sorted(collisions(files, known_files))),
        tuple(sorted(unstable(files, known_files, found.loaded))),
        tuple(sorted((*_unread({path: one.faults for path, one in documents.items()}), *_unread(found.faults)))),
        sizes(files),
        None if live is None else churn(files, live, known_files[live]),
        unlisted_origins(found.documents.values(), files, own, mount),
        tuple(sorted(notices(ours, site, found))),
        prefix_of(found, files, mount),
    )


def _build_of(build: StaticAssets | Build) -> Build:
    return build.build if isinstance(build, StaticAssets) else build


def _documents(
    files: Mapping[str, Asset],
    progress: Callable[[int, int], object] | None,
    parsed: Mapping[bytes, Document] = MappingProxyType({}),
) -> dict[str, Document]:
    """Return the references in the files of a version, by path; ``parsed`` has some already, by digest."""
    tasks = {path: task for path, asset in files.items() if (task := task_of(asset)) is not None}
    found = parse_files([task for task in tasks.values() if task.digest not in parsed], progress)
    return {path: parsed.get(task.digest) or found[task] for path, task in tasks.items()}


def _trace(site: Site, build: Build, documents: Mapping[str, Document]) -> Trace:
    vite = _vite_manifest(build)
    pages = [path for path in documents if build.index.assets[path].is_html]
    return follow_references(site, {**documents, **vite}, pages, vite, _web_manifest)


def _unread(faults: Mapping[str, Iterable[Fault]]) -> Iterator[Unread]:
    return (Unread(shown(path), fault.line, fault.reason) for path, found in faults.items() for fault in found)


def _web_manifest(asset: Asset) -> Document:
    return parse_file(Task(MANIFEST, asset.file, asset.size, asset.digest))


def _vite_manifest(build: Build) -> dict[str, Document]:
    """Return the files that Vite's manifest names: the pages of an application load them (``asset_tags``)."""
    manifest = build.index.manifest
    if manifest is None:
        return {}
    path = _VITE if Path(build.index.directory + _VITE).exists() else _VITE_BEFORE_5
    files = sorted(manifest.files)
    return {path: Document(tuple(Reference("Vite manifest", file, 1, Need.FILE, Base.PUBLIC) for file in files))}


def _broken(followed: Followed, found: Trace, files: Mapping[str, Asset], others: Mapping[str, Site]) -> Broken:
    reference, url = followed.reference, followed.url
    versions = [
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
        versions=tuple(versions),
        doubt=_doubt(followed, found, files.get(followed.file), is_elsewhere=bool(versions)),
    )


def _doubt(followed: Followed, found: Trace, asset: Asset | None, *, is_elsewhere: bool) -> str:
    """Return why a reference that leads nowhere is only a warning; "" if pages break."""
    reference = followed.reference
    if followed.answer is OPEN:
        return "it contains a placeholder"
    if followed.file in found.manifests or reference.kind in MINOR:
        return "pages work without it"
    if followed.file not in found.loaded and not (asset is not None and asset.fingerprinted):
        return "no known page loads this file"
    # A service worker that other versions have: its pages keep it when it is gone.
    if reference.kind == SERVICE_WORKER and not is_elsewhere:
        return "it may belong to an unused part of a library"
    if reference.is_conditional and not is_elsewhere and not has_hash(followed.url.rpartition("/")[2]):
        return "it may be loaded only under a condition"
    return ""
