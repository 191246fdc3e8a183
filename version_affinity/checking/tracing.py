"""From a version's pages to all that they load: each reference followed to what answers it.

A reference may mean several things. A module specifier depends on the import map of the page that loads the module, a
worker's URL on the page, what a bundler calls its public path on a setting that is not written down. One that holds in
any of these ways holds: a check that refuses a build that works is soon switched off.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from .bundlers import PRECACHE
from .import_map import NO_IMPORTS, ImportMap
from .import_map import parse as parse_import_maps
from .references import EXTERNAL, Base, Document, Fault, Need, Reference, has_scheme, resolve
from .site import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from version_affinity.assets.asset import Asset

    from .site import Site

#: What loads a web app manifest.
_MANIFEST: Final = "<link manifest>"
_STATIC: Final = ("import", "export from")
#: What stands in URLs that a script or a server completes; no URL holds it.
_PLACEHOLDERS: Final = ("{{", "${", "<%", "{%")
_UNMAPPED: Final = Answer("it is no URL, and no import map has it")
#: Pages of which a relative URL may be: a file that is put into others, and a worker's, is rarely for more.
_MOST_PAGES: Final = 100


class Followed(NamedTuple):
    """A reference and where it leads.

    Attributes:
        file: The file that it stands in.
        reference: The reference.
        url: The URL path that it means, the likeliest one where it may mean several; "" for none.
        answer: What answers there.
    """

    file: str
    reference: Reference
    url: str
    answer: Answer

    @property
    def has_placeholder(self) -> bool:
        """Whether the reference is no URL yet."""
        return any(mark in self.reference.text for mark in _PLACEHOLDERS)


class Trace(NamedTuple):
    """What following all references has shown.

    Attributes:
        broken: The references that lead nowhere.
        loaded: The files that pages load, each with a reference to it.
        faults: By file, what cannot be parsed in import maps and in web app manifests.
        documents: What was found in files, with what their import maps refer to, and with web app manifests.
    """

    broken: tuple[Followed, ...]
    loaded: Mapping[str, Followed | None]
    faults: Mapping[str, tuple[Fault, ...]]
    documents: Mapping[str, Document]


def trace(
    site: Site,
    documents: Mapping[str, Document],
    pages: Iterable[str],
    entries: Iterable[str],
    read_manifest: Callable[[Asset], Document],
) -> Trace:
    """Follow all references of a version.

    Args:
        site: What answers.
        documents: What was found in its files.
        pages: The files that are pages.
        entries: Other files that are loaded, though no page of the version says so.
        read_manifest: Returns what is found in a web app manifest, whatever its name is.
    """
    tracer = _Tracer(site, documents, read_manifest)
    by_map: dict[ImportMap, list[str]] = {}
    for page in pages:
        by_map.setdefault(tracer.add_page(page), []).append(page)
    for imports, roots in by_map.items():
        tracer.follow(roots, imports)
    workers = [
        file
        for file, document in documents.items()
        if any(reference.kind == PRECACHE for reference in document.references)
    ]
    tracer.follow([*entries, *workers], None)
    return tracer.finished()


class _Tracer:
    """What has been followed so far."""

    def __init__(
        self, site: Site, documents: Mapping[str, Document], read_manifest: Callable[[Asset], Document]
    ) -> None:
        self._site = site
        self._local = site.origins.local
        self._documents = dict(documents)
        self._read_manifest = read_manifest
        self._bases: dict[str, str] = {}
        self._page_bases: dict[str, None] = {}
        # Each page, and whether it is put into others.
        self._pages: dict[str, bool] = {}
        self._loaded: dict[str, Followed | None] = {}
        self._faults: dict[str, tuple[Fault, ...]] = {}
        # None for a reference that holds.
        self._outcomes: dict[tuple[str, int], Followed | None] = {}

    def add_page(self, page: str) -> ImportMap:
        """Take a page in, and return its import map."""
        url = self._site.url_of(page)
        document = self._documents[page]
        base = url if document.base is None else resolve(self._local(document.base), url)
        self._bases[page] = base
        self._page_bases[base[: base.rfind("/") + 1]] = None
        imports, references, faults = parse_import_maps(document.import_maps, base, self._local)
        self._documents[page] = document._replace(references=(*document.references, *references))
        self._pages[page] = document.is_partial
        if faults:
            self._faults[page] = faults
        return imports

    def follow(self, roots: Iterable[str], imports: ImportMap | None) -> None:
        """Follow the references of files, and of all that they load.

        Args:
            roots: The files.
            imports: The import map of the pages that they are; None: they are none.
        """
        waiting = list(roots)
        seen = set(waiting)
        for root in waiting:
            self._loaded.setdefault(root, None)
        while waiting:
            for followed in self._followed(waiting.pop(), imports):
                asset = followed.answer.asset
                if asset is None or asset.is_html or followed.reference.need is Need.PAGE:
                    continue
                if followed.reference.kind == _MANIFEST and asset.path not in self._documents:
                    manifest = self._read_manifest(asset)
                    self._documents[asset.path] = manifest
                    self._faults[asset.path] = manifest.faults
                if asset.path not in seen:
                    seen.add(asset.path)
                    waiting.append(asset.path)
                    self._loaded.setdefault(asset.path, followed)

    def finished(self) -> Trace:
        """Follow the references of files that nothing loads, too, and return what all has shown."""
        for file in self._documents.keys() - self._loaded.keys():
            for _ in self._followed(file, None):
                pass
        broken = tuple(followed for followed in self._outcomes.values() if followed is not None)
        return Trace(broken, self._loaded, self._faults, self._documents)

    def _followed(self, file: str, imports: ImportMap | None) -> Iterator[Followed]:
        """Follow the references of one file; yield them, and keep those that lead nowhere."""
        document = self._documents.get(file)
        base = self._base_of(file)
        for at, reference in enumerate(() if document is None else document.references):
            if reference.base is not Base.SPECIFIER:
                url, answer = self._best(self._meanings(file, base, reference), reference.need)
            else:
                address = (imports or NO_IMPORTS).resolve(self._local(reference.text), base)
                if address is not None:
                    url, answer = address, self._site.answer(address, reference.need)
                elif imports is not None and reference.kind in _STATIC:
                    url, answer = "", _UNMAPPED
                else:
                    # import() of such a name is how scripts try out what the browser can do (Vite's legacy builds),
                    # and what they load under Node alone. Nor is it known which map a page of the application has.
                    continue
            followed = Followed(file, reference, url, answer)
            if answer.reason:
                self._outcomes.setdefault((file, at), followed)
            else:
                self._outcomes[file, at] = None
            yield followed

    def _best(self, meanings: Iterator[str], need: Need) -> tuple[str, Answer]:
        """Return the meaning that holds, best with a file of the version; else the first one."""
        held = missed = None
        for url in meanings:
            answer = self._site.answer(url, need)
            if answer.asset is not None and not answer.reason:
                return url, answer
            if answer.reason:
                missed = missed or (url, answer)
            else:
                held = held or (url, answer)
        # Of what may be no reference at all, one meaning that can only be a build's file tells that it is one.
        best = (missed or held) if need is Need.NAMED else (held or missed)
        return best or (EXTERNAL, Answer(""))

    def _meanings(self, file: str, base: str, reference: Reference) -> Iterator[str]:
        """Yield the URL paths that a reference may mean, the likeliest first."""
        text = self._local(reference.text)
        is_relative = not (text.startswith(("/", "\\")) or has_scheme(text))
        if reference.base is Base.PUBLIC and is_relative and not text.startswith("."):
            for directory in _directories(base, self._site.root):
                yield resolve(text, directory)
            return
        directories = [base]
        if is_relative and (reference.base is Base.PAGE or self._pages.get(file)):
            others = (self._site.root, *islice(self._page_bases, _MOST_PAGES))
            directories = [base, *others] if file in self._pages else [*others, base]
        for directory in directories:
            yield resolve(text, directory)

    def _base_of(self, file: str) -> str:
        base = self._bases.get(file)
        if base is None:
            base = self._bases[file] = self._site.url_of(file)
        return base


def _directories(url: str, root: str) -> Iterator[str]:
    """Yield the mount, then the directories below it in which a file is, the deepest first."""
    yield root
    end = url.rfind("/")
    while end >= len(root):
        yield url[: end + 1]
        end = url.rfind("/", 0, end)
