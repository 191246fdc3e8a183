"""Follow the references of a version, from its pages to everything that they load.

A reference may mean several paths. A module specifier depends on the import map of the page that loads the module, a
worker's URL on the page, a bundler's public path on a setting that the build does not contain. A reference holds if it
holds in one of these meanings: a check must not refuse a build that works.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from .languages.bundlers import PRECACHES
from .languages.html import MANIFEST_LINK
from .languages.import_map import NO_IMPORTS, ImportMap, parse_import_maps
from .parsing import MANIFEST, Task, parse_file
from .references import EXTERNAL, Base, Document, Fault, Need, Reference, is_relative, resolve, without_placeholders
from .site import NO_SUCH_FILE, Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .site import Site

_STATIC: Final = ("import", "export from")
#: The answer at a URL with a placeholder, if there is no file at its other part either.
OPEN: Final = Answer(NO_SUCH_FILE)
_UNMAPPED: Final = Answer("it is not a URL, and no import map defines it")
#: Pages that a relative URL may be relative to: a file that is put into pages, or a worker's, is rarely in more.
_MOST_PAGES: Final = 100


class FollowedReference(NamedTuple):
    """A reference of a file, the URL path that it means (the likeliest one, "" for none), and what answers there."""

    file: str
    reference: Reference
    url: str
    answer: Answer


class Trace:
    """All references of a version, followed: from its pages, from entries, and from files that nothing loads."""

    def __init__(self, site: Site, documents: Mapping[str, Document], entries: Mapping[str, Document]) -> None:
        self._site = site
        self._local = site.origins.local
        self.documents = {**documents, **entries}
        #: Each file that pages load, with a reference to it.
        self.loaded: dict[str, FollowedReference | None] = {}
        #: In import maps and in web app manifests.
        self.faults: dict[str, tuple[Fault, ...]] = {}
        #: The web app manifests that pages name.
        self.manifests: set[str] = set()
        #: The URL paths of scripts and style sheets that pages load from outside of the mount.
        self.outside: dict[str, None] = {}
        # The base URLs of pages, and their directories.
        self._bases: dict[str, str] = {}
        self._page_bases: dict[str, None] = {}
        # Pages whose base is filled in when they are served: it may be the host's root.
        self._open_bases: set[str] = set()
        # None for a reference that holds.
        self._outcomes: dict[tuple[str, int], FollowedReference | None] = {}

        by_map: dict[ImportMap, list[str]] = {}
        for page in documents:
            if site.files[page].is_html:
                by_map.setdefault(self._add_page(page), []).append(page)
        for imports, roots in by_map.items():
            self._follow(roots, imports)
        workers = (file for file, found in documents.items() if any(one.kind in PRECACHES for one in found.references))
        self._follow([*entries, *workers], None)
        for file in self.documents.keys() - self.loaded.keys():
            for _ in self._followed(file, None):
                pass

    @property
    def broken(self) -> list[FollowedReference]:
        """The references that lead nowhere."""
        return [followed for followed in self._outcomes.values() if followed is not None]

    def _add_page(self, page: str) -> ImportMap:
        """Register a page, and return its import map."""
        document = self.documents[page]
        written = document.base or ""
        plain = without_placeholders(written)
        base = resolve(self._local(written if plain is None else plain), self._site.url_of(page))
        if plain is not None:
            self._open_bases.add(page)
        self._bases[page] = base
        self._page_bases[base[: base.rfind("/") + 1]] = None
        imports, references, faults = parse_import_maps(document.import_maps, base, self._local)
        self.documents[page] = document._replace(references=(*document.references, *references))
        if faults:
            self.faults[page] = faults
        return imports

    def _follow(self, roots: Iterable[str], imports: ImportMap | None) -> None:
        """Follow the references of files and of all that they load, under the import map of pages; None for others."""
        waiting = list(roots)
        seen = set(waiting)
        for root in waiting:
            self.loaded.setdefault(root, None)
        while waiting:
            for followed in self._followed(waiting.pop(), imports):
                asset = followed.answer.asset
                if asset is None or asset.is_html or followed.reference.need is Need.PAGE:
                    continue
                if followed.reference.kind == MANIFEST_LINK:
                    self.manifests.add(asset.path)
                    if asset.path not in self.documents:
                        manifest = parse_file(Task(MANIFEST, asset.file, asset.size, asset.digest))
                        self.documents[asset.path] = manifest
                        self.faults[asset.path] = manifest.faults
                if asset.path not in seen:
                    seen.add(asset.path)
                    waiting.append(asset.path)
                    self.loaded.setdefault(asset.path, followed)

    def _followed(self, file: str, imports: ImportMap | None) -> Iterator[FollowedReference]:
        """Yield the references of one file, followed, and keep those that lead nowhere."""
        base = self._bases[file] if file in self._bases else self._site.url_of(file)
        for at, reference in enumerate(self.documents.get(file, Document()).references):
            if reference.base is not Base.SPECIFIER or without_placeholders(reference.text) is not None:
                url, answer = self._outcome(file, base, reference)
            else:
                address = (imports or NO_IMPORTS).address_of(self._local(reference.text), base)
                if address is not None:
                    url, answer = address, self._site.answer(address, reference.need)
                elif imports is not None and reference.kind in _STATIC:
                    url, answer = "", _UNMAPPED
                else:
                    # Scripts use import() of such a name to test the browser (Vite's legacy builds), and to load what
                    # only Node has. The import map of an application's page is not known either.
                    continue
            followed = FollowedReference(file, reference, url, answer)
            if file in self._bases and reference.need is Need.FILE and url and not url.startswith(self._site.root):
                self.outside[url] = None
            if answer.reason:
                self._outcomes.setdefault((file, at), followed)
            else:
                self._outcomes[file, at] = None
            yield followed

    def _outcome(self, file: str, base: str, reference: Reference) -> tuple[str, Answer]:
        """Return where a reference leads, and what answers there."""
        url, answer = self._best(self._meanings(file, base, reference), reference.need)
        plain = without_placeholders(reference.text) if answer.reason else None
        if plain is None:
            return url, answer
        # Without the placeholder, it means a file that exists, or a name that only a build tool makes.
        found, there = self._best((resolve(plain, start) for start in _directories(base, self._site.root)), Need.NAMED)
        if there.asset is not None or there.reason:
            return found, there
        return url, OPEN

    def _best(self, meanings: Iterator[str], need: Need) -> tuple[str, Answer]:
        """Return the meaning that holds, preferably with a file of the version; else the first one."""
        held = missed = None
        for url in meanings:
            answer = self._site.answer(url, need)
            if answer.asset is not None and not answer.reason:
                return url, answer
            if answer.reason:
                # A file is more likely to be missing from a directory of the build than from elsewhere.
                if missed is None or (self._site.has_directory(url) and not self._site.has_directory(missed[0])):
                    missed = url, answer
            else:
                held = held or (url, answer)
        # A text that may not be a reference is one if one of its meanings can only be a file of the build.
        best = (missed or held) if need in (Need.NAMED, Need.CHUNK) else (held or missed)
        return best or (EXTERNAL, Answer(""))

    def _meanings(self, file: str, base: str, reference: Reference) -> Iterator[str]:
        """Yield the URL paths that a reference may mean, the likeliest first."""
        text = self._local(reference.text)
        relative = is_relative(text)
        if reference.base is Base.PUBLIC and relative and not text.startswith("."):
            for directory in (*_directories(base, self._site.root), *self._site.above(text)):
                yield resolve(text, directory)
            return
        directories = [base]
        is_page = file in self._bases
        is_part = is_page and self.documents[file].is_partial
        if relative and (reference.base in (Base.PAGE, Base.PUBLIC) or is_part):
            others = (self._site.root, *islice(self._page_bases, _MOST_PAGES))
            is_first = is_page or reference.base is Base.PUBLIC
            directories = [base, *others] if is_first else [*others, base]
        for directory in (*directories, *(("/",) if file in self._open_bases else ())):
            yield resolve(text, directory)


def _directories(url: str, root: str) -> Iterator[str]:
    """Yield the mount, then the directories of a file below it, the deepest first."""
    yield root
    end = url.rfind("/")
    while end >= len(root):
        yield url[: end + 1]
        end = url.rfind("/", 0, end)
