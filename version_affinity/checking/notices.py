"""Warnings that are not about one reference: service workers, deep links, a wrong prefix, files that are not served."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from version_affinity.assets.build import SINGLE_PAGE
from version_affinity.assets.loading.ignore import doubt_of
from version_affinity.assets.rules.files import HEADERS_FILE, REDIRECTS_FILE
from version_affinity.decision.request import USUAL_NAMES
from version_affinity.wire import quoted_components, shown

from .languages.bundlers import PRECACHE, PRECACHES
from .languages.html import MINOR
from .languages.javascript import SERVICE_WORKER
from .references import Base, Document, Need, cleaned, is_relative, request_path, resolve
from .report import BuildNotice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from version_affinity.assets.build import Build

    from .site import Site
    from .trace import Trace

_DOCUMENT: Final = "/index.html"
_RULE_FILES: Final = (f"/{HEADERS_FILE}", f"/{REDIRECTS_FILE}")
#: Policies under which a worker's requests do not name its script (W3C Referrer Policy section 3).
_HIDING: Final = frozenset(("no-referrer", "origin", "strict-origin"))


def notices(site: Site, found: Trace) -> Iterator[BuildNotice]:
    """Yield the warnings about a version."""
    yield from _files(site.build)
    yield from _relative(site.build, found)
    for file in sorted(_workers(site, found)):
        yield from _worker(file, site, found)


def prefix_of(site: Site, found: Trace) -> str:
    """Return the prefix that a version seems to be made for, if it is not the mount; else "".

    Most missing files, or files outside of the mount that its pages load, exist below that prefix.
    """
    certain = (followed for followed in found.broken if followed.reference.kind not in MINOR)
    broken = [request_path(followed.url) for followed in certain if followed.url]
    counts = Counter[str]()
    for path in (*broken, *map(request_path, found.outside)):
        for slash in re.finditer("/", path):
            prefix = path[: slash.end()]
            if path[slash.start() :] in site.files and prefix != site.prefix:
                counts[prefix] += 1
                break
    best = counts.most_common(1)
    return shown(best[0][0]) if best and 2 * best[0][1] > len(broken) else ""


def _files(build: Build) -> Iterator[BuildNotice]:
    """Yield the files that are not served, and a doubt whether the directory is a build."""
    index = build.index
    for path, reason in index.skipped:
        if path not in _RULE_FILES:
            yield BuildNotice(shown(path), 0, f"it is not served: {reason}")
    if doubt := doubt_of(index.directory):
        yield BuildNotice("", 0, doubt)
    if index.manifest is None and not any(asset.is_html for asset in index.assets.values()):
        yield BuildNotice(
            "", 0, "it has no HTML page and no build manifest, so the files that pages load are not known"
        )


def _relative(build: Build, found: Trace) -> Iterator[BuildNotice]:
    """Yield the first reference of a single-page application's document that deep links break."""
    document = found.documents.get(_DOCUMENT)
    if document is None or build.not_found_handling != SINGLE_PAGE or (document.base or "").startswith("/"):
        return
    for reference in document.references:
        text = cleaned(reference.text)
        is_needed = reference.need is not Need.PAGE and reference.kind not in MINOR
        if is_needed and reference.base is Base.FILE and is_relative(text):
            text = (
                f"{shown(text)} is relative, but the single-page application shows this page at every path: at /a/b, "
                f"the browser asks for {shown(resolve(text, '/a/'))}. Build with an absolute base (Vite: base: '/'), "
                'or add <base href="/">'
            )
            yield BuildNotice(_DOCUMENT, reference.line, text)
            return


def _workers(site: Site, found: Trace) -> set[str]:
    """Return the service workers of a version."""
    named = (path for path in site.files if path[path.rfind("/") + 1 :] in USUAL_NAMES)
    workers = {*named, *site.build.index.workers}
    for file, document in found.documents.items():
        for reference in document.references:
            if reference.kind in PRECACHES:
                workers.add(file)
            elif reference.kind == SERVICE_WORKER:
                asset = site.answer(resolve(reference.text, site.root), Need.FILE).asset
                workers |= {asset.path} if asset is not None else set()
    return workers


def _worker(file: str, site: Site, found: Trace) -> Iterator[BuildNotice]:
    for reference in found.documents.get(file, Document()).references:
        url = resolve(site.origins.local(reference.text), site.url_of(file))
        if reference.kind == PRECACHE and (target := site.redirect(url)):
            text = (
                f"the worker caches {shown(request_path(url))}, which is redirected to {shown(target)}: Chromium shows "
                "an error instead of every page if a worker answers with a redirected response. Let the worker cache "
                f"{shown(target)}, or serve with html_handling='none'"
            )
            yield BuildNotice(shown(file), reference.line, text)
    rules = site.build.header_rules
    changes = None if rules is None else rules.for_path(quoted_components(file))
    for name, value in () if changes is None else changes.added:
        # Browsers use the last policy that they know.
        policies = [policy.strip().lower() for policy in value.split(",")]
        if name.lower() == "referrer-policy" and policies[-1] in _HIDING:
            text = (
                f"_headers sets Referrer-Policy: {shown(policies[-1])} for the worker's script. The worker's requests "
                "then do not show that they are a worker's: it caches files of the page's version, and browsers stay "
                "on that version. Exclude the worker's script from that rule, or set same-origin"
            )
            yield BuildNotice(shown(file), 0, text)
