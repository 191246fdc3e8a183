"""The requests that are timed: the rows, who is asked in each, and what the right answers are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING, Any

from .contestants import (
    ALONE,
    DATA,
    KEY_HEADER,
    NULL,
    PAGE,
    PIN_COOKIE,
    SHARED_DATA,
    html_app,
    json_app,
    null_app,
    ours,
)
from .environs import CLIENT, FETCH, NAVIGATION, SUBRESOURCE, VISITORS, Visitors
from .timing import Expected, Play, etag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from _typeshed.wsgi import WSGIApplication

    from version_affinity import VersionAffinity

    from .contestants import Builds, Wrapped
    from .timing import Environ

    Apps = Mapping[int, VersionAffinity]
    #: From a contestant of this package to what each visitor's request carries.
    Fields = Callable[[VersionAffinity], Iterable[Environ]]
    #: From a contestant, None for one that serves "v1" alone, to the possible lengths of each visitor's answer.
    Lengths = Callable[[VersionAffinity | None], Iterable[frozenset[int]]]

#: The null app's time, in microseconds, that the bars were set with.
NULL_OF_BARS = 0.17
# The bars, in microseconds net of the null app.
_BY_NAME = 0.5
_BY_NAME_NOT_MODIFIED = 0.6
_RESCUES_COUNTED = 2.0
_DECIDED = 3.0
_PASSED_ON = 3.6

#: The requested range, and its length.
_RANGE, _RANGE_LENGTH = "bytes=512-1535", 1024
#: Requests in a turn for large files: each costs as much as a hundred small ones.
_FEW, _TURNS_OF_FEW = 10, 20
_DOCUMENT = "/index.html"
_LOGO = "/logo.svg"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        title: The request.
        bar: The bar in microseconds, net of the null app; None without one.
        wrapped: The contestants.
        apps: Those of them that are this package, by their number of versions.
        base: What all requests have in common.
        paths: The paths, which the requests walk through.
        fields: What each visitor's request has of its own.
        lengths: The right answers.
        conditional: Whether each request revalidates what the contestant has answered before.
        status: The right answers' status, where they are not conditional.
        unable: Contestants that cannot take part.
        block: Requests in a turn; None for as many as in other rows.
    """

    title: str
    bar: float | None
    wrapped: Wrapped
    apps: Apps
    base: Environ
    paths: Sequence[str]
    fields: Fields
    lengths: Lengths
    conditional: bool = False
    status: str = "200"
    unable: frozenset[str] = frozenset()
    block: int | None = None

    def plays(self) -> dict[str, Play]:
        """Return what each contestant is asked, by its name, the null app first."""
        wrapped = self.wrapped
        carried = list(self._carried(self.apps[max(self.apps)]))
        plays = {NULL: Play(wrapped.app, self.base, self._changes(carried), [Expected("200", wrapped.lengths)])}
        for name, app in wrapped.others.items():
            if name in self.unable:
                continue
            # SharedDataMiddleware knows no index files; the others show them at "/".
            paths = [_DOCUMENT if path == "/" else path for path in self.paths] if name == SHARED_DATA else self.paths
            plays[name] = self._play(app, self._changes(carried, paths), self.lengths(None))
        for number, affinity in self.apps.items():
            changes = self._changes(self._carried(affinity))
            plays[ours(number)] = self._play(affinity, changes, self.lengths(affinity))
        for name, affinity in self.wrapped.followed.items() if self.apps is self.wrapped.split else ():
            plays[name] = self._play(affinity, self._changes(self._carried(affinity)), self.lengths(affinity))
        return plays

    def _carried(self, affinity: VersionAffinity) -> Iterable[Environ]:
        return islice(self.fields(affinity), VISITORS if self.block is None else self.block * _TURNS_OF_FEW)

    def _changes(self, carried: Iterable[Environ], paths: Sequence[str] = ()) -> list[Environ]:
        walk = cycle(paths or self.paths)
        return [{"PATH_INFO": path, **fields} for path, fields in zip(walk, carried, strict=False)]

    def _play(self, app: WSGIApplication, changes: list[Environ], lengths: Iterable[frozenset[int]]) -> Play:
        if not self.conditional:
            return Play(
                app, self.base, changes, [Expected(self.status, each) for each in islice(lengths, len(changes))]
            )
        for change in changes:
            change["HTTP_IF_NONE_MATCH"] = etag_of(app, self.base | change)
        return Play(app, self.base, changes, [Expected("304", frozenset({0}))])


class Rows:
    """Makes the rows for some builds."""

    def __init__(self, builds: Builds) -> None:
        self._builds = builds
        self._visitors = Visitors()
        self._files = builds.wrap(null_app, 2)
        self._pages = builds.wrap(html_app, len(PAGE))
        self._data = builds.wrap(json_app, len(DATA))

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows."""
        for conditional in (False, True):
            yield from self._by_name(conditional=conditional)
        yield from self._ranges()
        yield from self._compressed()
        yield from self._large()
        yield from self._decided()
        yield from self._passed_on()

    def _by_name(self, *, conditional: bool) -> Iterator[Row]:
        """Yield the rows of fingerprinted files."""
        own, shared = self._builds.page_files(shared=False), self._builds.page_files(shared=True)
        every = self._builds.shared_files()
        live, split = self._files.live, self._files.split
        by_name = _BY_NAME_NOT_MODIFIED if conditional else _BY_NAME
        rows: list[tuple[str, float | None, Apps, list[str], Fields]] = [
            ("one version live", by_name, live, own + shared, self._pin_of_v1),
            ("one version live, from the disk (memory=0)", None, self._files.disk, own + shared, self._pin_of_v1),
            ("split, bytes shared by all", by_name, split, shared, self._pin_of_v1),
            ("split, bytes shared by all, any file of the build", by_name, split, every, self._pin_of_v1),
            ("split, rescues counted: pin cookie", _RESCUES_COUNTED, split, own, self._pin_of_v1),
            ("split, rescues counted: key cookie", _RESCUES_COUNTED, split, own, self._key),
            ("split among all, rescues counted: key cookie", _RESCUES_COUNTED, self._files.even, own, self._key),
            ("split, rescues counted: key and pin cookie", _RESCUES_COUNTED, split, own, self._key_and_pin_of_v1),
            ("split, rescues counted: key header", _RESCUES_COUNTED, split, own, self._key_header),
            ("split, rescues counted: no cookie", _RESCUES_COUNTED, split, own, self._no_cookie),
        ]
        what = "304 of a fingerprinted file" if conditional else "fingerprinted file"
        for title, bar, apps, paths, fields in rows:
            lengths = [frozenset({self._builds.length("v1", path)}) for path in paths]
            yield Row(
                f"{what}: {title}",
                bar,
                self._files,
                apps,
                SUBRESOURCE,
                paths,
                fields,
                _regardless(lengths),
                conditional,
                unable=frozenset({ALONE} if apps is self._files.disk else ()),  # it holds the files in memory
            )

    def _ranges(self) -> Iterator[Row]:
        """Yield the rows of parts of fingerprinted files."""
        own, shared = self._builds.page_files(shared=False), self._builds.page_files(shared=True)
        base = SUBRESOURCE | {"HTTP_RANGE": _RANGE}
        rows: list[tuple[str, Apps, list[str]]] = [
            ("one version live", self._files.live, own + shared),
            ("split, bytes shared by all", self._files.split, shared),
            ("split, rescues counted: pin cookie", self._files.split, own),
        ]
        for title, apps, paths in rows:
            yield Row(
                f"1 KiB range of a fingerprinted file: {title}",
                None,
                self._files,
                apps,
                base,
                paths,
                self._pin_of_v1,
                _regardless([frozenset({_RANGE_LENGTH})]),
                status="206",
                unable=frozenset({SHARED_DATA}),
            )

    def _compressed(self) -> Iterator[Row]:
        """Yield the rows of files whose compressed sibling is sent, as the browser's Accept-Encoding asks."""
        texts = self._builds.texts()
        for title, apps in (("one version live", self._files.live), ("split, bytes shared by all", self._files.split)):
            yield Row(
                f"pre-compressed fingerprinted file: {title}",
                None,
                self._files,
                apps,
                SUBRESOURCE,
                list(texts),
                self._pin_of_v1,
                _regardless([frozenset({length}) for length in texts.values()]),
                unable=frozenset({SHARED_DATA}),
            )

    def _large(self) -> Iterator[Row]:
        """Yield the rows of a large file, which no contestant holds in memory."""
        films = self._builds.films()
        without = {name: value for name, value in SUBRESOURCE.items() if name != "wsgi.file_wrapper"}
        rows: list[tuple[str, Apps, Environ]] = [
            ("one version live, wsgi.file_wrapper", self._files.live, SUBRESOURCE),
            ("one version live, no wsgi.file_wrapper", self._files.live, without),
            ("split, wsgi.file_wrapper", self._files.split, SUBRESOURCE),
        ]
        for title, apps, base in rows:
            yield Row(
                f"2 MiB file, from the disk: {title}",
                None,
                self._files,
                apps,
                base,
                list(films),
                self._pin_of_v1,
                _regardless([frozenset({length}) for length in films.values()]),
                block=_FEW,
            )

    def _decided(self) -> Iterator[Row]:
        """Yield the rows of files under a decision."""
        live, split = self._files.live, self._files.split
        of_key, of_any = self._lengths_by_key(_DOCUMENT), self._lengths_of_any(_DOCUMENT)
        of_logo = self._lengths_by_key(_LOGO)
        rows: list[tuple[str, Apps, str, Fields, Lengths, bool]] = [
            ("index.html: one version live, no cookie", live, "/", self._no_cookie, of_key, False),
            ("index.html: split, cookie key", split, "/", self._key, of_key, False),
            ("index.html: split among all, cookie key", self._files.even, "/", self._key, of_key, False),
            ("index.html: split, cookie key and pin cookie", split, "/", self._key_and_pin, of_key, False),
            ("index.html: split, bucket and pin cookie", split, "/", self._pin, of_any, False),
            ("index.html: split, first visit, bucket minted", split, "/", self._no_cookie, of_any, False),
            ("304 of index.html: split, cookie key and pin cookie", split, "/", self._key_and_pin, of_key, True),
            ("public file of a page: split, pin cookie", split, _LOGO, self._pin, of_logo, False),
        ]
        for title, apps, path, fields, lengths, conditional in rows:
            base = SUBRESOURCE if path == _LOGO else NAVIGATION
            yield Row(title, _DECIDED, self._files, apps, base, [path], fields, lengths, conditional)

    def _passed_on(self) -> Iterator[Row]:
        """Yield the rows of requests that the wrapped application answers."""
        pages, data = self._pages, self._data
        api, page, unclaimed = "/api/cart", "/account/orders", "/orders"
        rows: list[tuple[str, Wrapped, Apps, Environ, str, Fields]] = [
            ("HTML, app_first, one version live, no cookie", pages, pages.live, NAVIGATION, page, self._no_cookie),
            ("JSON, app_first, API client, cookie key", data, data.split, CLIENT, api, self._key),
            ("JSON, app_first, fetch, cookie key and pin cookie", data, data.split, FETCH, api, self._key_and_pin),
            ("HTML, app_first, cookie key", pages, pages.split, NAVIGATION, page, self._key),
            ("HTML, app_first, cookie key and pin cookie", pages, pages.split, NAVIGATION, page, self._key_and_pin),
            (
                "HTML, no file claims it, cookie key and pin cookie",
                pages,
                pages.split,
                NAVIGATION,
                unclaimed,
                self._key_and_pin,
            ),
        ]
        for title, wrapped, apps, base, path, fields in rows:
            yield Row(
                f"passed to the app: {title}",
                _PASSED_ON,
                wrapped,
                apps,
                base,
                [path],
                fields,
                _regardless([wrapped.lengths]),
            )

    # What a visitor's request carries. All rows vary one entry, so that they cost the null app the same.

    def _cookies(self, cookies: Iterable[str]) -> Iterator[dict[str, Any]]:
        return ({"HTTP_COOKIE": cookie} for cookie in cookies)

    def _no_cookie(self, _: VersionAffinity) -> Iterable[Environ]:
        return ({"HTTP_X_REQUEST_ID": session} for session in self._visitors.sessions)

    def _key_header(self, _: VersionAffinity) -> Iterable[Environ]:
        return ({KEY_HEADER: session} for session in self._visitors.sessions)

    def _key(self, _: VersionAffinity) -> Iterable[Environ]:
        return self._cookies(self._visitors.with_key())

    def _pin_of_v1(self, _: VersionAffinity) -> Iterable[Environ]:
        return self._cookies(self._visitors.with_pin(PIN_COOKIE, repeat("v1", VISITORS)))

    def _key_and_pin_of_v1(self, _: VersionAffinity) -> Iterable[Environ]:
        return self._cookies(self._visitors.with_key_and_pin(PIN_COOKIE, repeat("v1", VISITORS)))

    def _pin(self, affinity: VersionAffinity) -> Iterable[Environ]:
        return self._cookies(self._visitors.with_pin(PIN_COOKIE, self._versions(affinity)))

    def _key_and_pin(self, affinity: VersionAffinity) -> Iterable[Environ]:
        return self._cookies(self._visitors.with_key_and_pin(PIN_COOKIE, self._versions(affinity)))

    # The right answers.

    def _versions(self, affinity: VersionAffinity) -> list[str]:
        """Return each visitor's version."""
        return [affinity.deployment.assign(session) for session in self._visitors.sessions]

    def _lengths_by_key(self, path: str) -> Lengths:
        def lengths(affinity: VersionAffinity | None) -> Iterable[frozenset[int]]:
            versions: Iterable[str] = repeat("v1") if affinity is None else self._versions(affinity)
            return (frozenset({self._builds.length(version, path)}) for version in versions)

        return lengths

    def _lengths_of_any(self, path: str) -> Lengths:
        def lengths(affinity: VersionAffinity | None) -> Iterable[frozenset[int]]:
            versions: Iterable[str] = ["v1"] if affinity is None else affinity.known
            return repeat(frozenset(self._builds.length(version, path) for version in versions))

        return lengths


def _regardless(lengths: Sequence[frozenset[int]]) -> Lengths:
    """Return the right answers where they are the same from every contestant; requests walk through them."""
    return lambda _: cycle(lengths)
