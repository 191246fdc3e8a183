"""``check_build``: find what is broken in a build."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from version_affinity.app_first import listed_rules, matcher_of
from version_affinity.assets.loading.fingerprint import has_hash
from version_affinity.configuration import check_prefix
from version_affinity.errors import ConfigurationError
from version_affinity.wire import shown

from .languages.html import MINOR
from .languages.javascript import SERVICE_WORKER
from .notices import notices, prefix_of
from .origins import Origins, unlisted_origins
from .parsing import parse_files, task_of
from .references import Base, Document, Need, Reference, clipped, request_path
from .report import Broken, BuildReport, Unread, churn, collisions, sizes, unstable
from .site import Site
from .trace import OPEN, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from version_affinity.assets.build import Build
    from version_affinity.assets.loading.asset import Asset
    from version_affinity.assets.static import StaticAssets

    from .trace import FollowedReference

# Where Vite writes its manifest, and where it did before version 5.
_VITE: Final = "/.vite/manifest.json"
_VITE_BEFORE_5: Final = "/manifest.json"


def check_build(
    build: StaticAssets,
    *,
    known: Mapping[str, StaticAssets] = MappingProxyType({}),
    live: str | None = None,
    app_first: Iterable[str] = (),
    prefix: str = "/",
    origins: Iterable[str] = (),
    progress: Callable[[int, int], object] | None = None,
) -> BuildReport:
    """Find what is broken in a build, which is loaded with the settings that serve it.

    Every reference in its HTML, CSS and JavaScript, in web app manifests and in Vite's manifest is followed as a
    browser would follow it, through the paths of pages and the rules of ``_redirects``. Files that only another
    version has do not count. A reference that is broken in the ``live`` one of the ``known`` versions too is only a
    warning. References to paths of ``app_first``, outside of the prefix and to other hosts hold. URLs of ``origins``,
    such as ``"https://shop.example"`` and that of a CDN, are checked as paths are.

    ``progress`` is called in this thread after each parsed file, with the numbers of parsed files and of all files; for
    the live version again, if its references are needed. An exception that it raises ends the check.

    >>> import tempfile, pathlib
    >>> from version_affinity import StaticAssets
    >>> with tempfile.TemporaryDirectory() as dist:
    ...     _ = pathlib.Path(dist, "index.html").write_text('<!doctype html><script src="/main.js"></script>')
    ...     report = check_build(StaticAssets(dist))
    >>> report.ok, [(found.file, found.line, found.text, found.reason) for found in report.broken]
    (False, [('/index.html', 1, '/main.js', 'the file does not exist')])
    """
    if live is not None and live not in known:
        raise ConfigurationError(f"live={live!r} is not among the known versions ({', '.join(known) or 'none'})")
    mount, is_apps, own = check_prefix(prefix), matcher_of(listed_rules(app_first)), Origins(origins)
    directories = build.index.directories.union(*(other.index.directories for other in known.values()))
    site = Site(build.build, mount, is_apps, directories, own)
    others = {version: Site(other.build, mount, is_apps, directories, own) for version, other in known.items()}

    files = site.files
    documents = _documents(site, progress)
    found, broken = _followed(site, documents, others)
    if live is not None and any(not one.doubt for one in broken):
        same = {files[path].digest: document for path, document in documents.items()}
        _, before = _followed(others[live], _documents(others[live], progress, same), others)
        old = {(one.kind, one.text) for one in before if not one.doubt}  # a doubtful one does not break its pages
        doubt = f"it is broken in {live} too"
        broken = [one._replace(doubt=doubt) if not one.doubt and (one.kind, one.text) in old else one for one in broken]
    known_files = {version: other.files for version, other in others.items()}
    faults = ((path, fault) for path, document in documents.items() for fault in document.faults)
    more_faults = ((path, fault) for path, ones in found.faults.items() for fault in ones)
    return BuildReport(
        tuple(sorted(one for one in broken if not one.doubt)),
        tuple(sorted(one for one in broken if one.doubt)),
        tuple(sorted(collisions(files, known_files))),
        tuple(sorted(unstable(files, known_files, found.loaded))),
        tuple(sorted(Unread(shown(path), fault.line, fault.reason) for path, fault in (*faults, *more_faults))),
        sizes(files),
        None if live is None else churn(files, live, known_files[live]),
        unlisted_origins(site, found.documents.values()),
        tuple(sorted(notices(site, found))),
        prefix_of(site, found),
    )


def _documents(
    site: Site, progress: Callable[[int, int], object] | None, parsed: Mapping[bytes, Document] = MappingProxyType({})
) -> dict[str, Document]:
    """Return the references in the files of a version, by path; ``parsed`` has some already, by digest."""
    tasks = {path: task for path, asset in site.files.items() if (task := task_of(asset)) is not None}
    found = parse_files([task for task in tasks.values() if task.digest not in parsed], progress)
    return {path: parsed.get(task.digest) or found[task] for path, task in tasks.items()}


def _followed(site: Site, documents: Mapping[str, Document], others: Mapping[str, Site]) -> tuple[Trace, list[Broken]]:
    """Follow the references of a version; return the result, and those that lead nowhere."""
    found = Trace(site, documents, _vite_manifest(site.build))
    return found, [_broken(followed, found, site.files, others) for followed in found.broken]


def _vite_manifest(build: Build) -> dict[str, Document]:
    """Return the files that Vite's manifest names: the pages of an application load them (``asset_tags``)."""
    manifest = build.index.manifest
    if manifest is None:
        return {}
    path = _VITE if Path(build.index.directory + _VITE).exists() else _VITE_BEFORE_5
    files = sorted(manifest.files)
    return {path: Document(tuple(Reference("Vite manifest", file, 1, Need.FILE, Base.PUBLIC) for file in files))}


def _broken(
    followed: FollowedReference, found: Trace, files: Mapping[str, Asset], others: Mapping[str, Site]
) -> Broken:
    reference, url = followed.reference, followed.url
    versions = tuple(
        version
        for version, site in others.items()
        if url and (answer := site.answer(url, reference.need)).asset is not None and not answer.reason
    )
    place = (shown(followed.file), reference.line, reference.kind, clipped(reference.text), shown(request_path(url)))
    doubt = _doubt(followed, found, files.get(followed.file), is_elsewhere=bool(versions))
    return Broken(*place, followed.answer.reason, versions, doubt)


def _doubt(followed: FollowedReference, found: Trace, asset: Asset | None, *, is_elsewhere: bool) -> str:
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
