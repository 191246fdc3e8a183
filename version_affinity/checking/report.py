"""What a check has found, as values: for whoever decides on it, and for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Broken(NamedTuple):
    """A reference that leads nowhere.

    Attributes:
        file: The file that it stands in.
        line: Its line there, from 1.
        kind: What it is: ``<script src>``, ``url()``, ``import()``, ``__vite__mapDeps``.
        text: The URL or specifier as it is written; of a long one, the beginning.
        path: The path that it means, where files are mounted included; "" for a specifier that means none.
        reason: What is wrong.
        versions: The known versions that have a file there.
        doubt: Why it is a warning only; "" where it keeps the version from being deployed.
    """

    file: str
    line: int
    kind: str
    text: str
    path: str
    reason: str
    versions: tuple[str, ...] = ()
    doubt: str = ""


class Collision(NamedTuple):
    """A fingerprinted name that stands for other bytes in known versions.

    Attributes:
        path: The file.
        versions: The known versions in which it has other bytes.
    """

    path: str
    versions: tuple[str, ...]


class Unstable(NamedTuple):
    """A file that pages load, whose name is stable and whose bytes are not: which ones a page gets depends on the pin.

    Attributes:
        path: The file.
        versions: The known versions in which it has other bytes.
        file: A file that refers to it.
        line: The line there, from 1.
    """

    path: str
    versions: tuple[str, ...]
    file: str
    line: int


class Unread(NamedTuple):
    """A place that could not be parsed: what it refers to is not known.

    Attributes:
        file: The file.
        line: The line, from 1.
        reason: What is wrong.
    """

    file: str
    line: int
    reason: str


class Notice(NamedTuple):
    """A warning about a version that is not about one reference: a trap that its pages or its set-up run into.

    Attributes:
        file: The file that it is about; "" for the version as a whole.
        line: The line there, from 1; 0 for the whole file.
        text: The trap, and what helps.
    """

    file: str
    line: int
    text: str


class Unchecked(NamedTuple):
    """An origin that seems to be the build's own: a fingerprinted file of it is there, or a page's base.

    Attributes:
        origin: The origin, such as "https://cdn.example".
        references: How many references to it there are, whatever they name.
        path: The path under which it seems to have the build; "" for the prefix under which all is served.
    """

    origin: str
    references: int
    path: str


class Amount(NamedTuple):
    """How much there is.

    Attributes:
        files: The number of files.
        size: Their bytes; compressed forms are not counted.
    """

    files: int
    size: int


class Sizes(NamedTuple):
    """How much a version has.

    Attributes:
        total: All of it.
        types: The same by media type, the largest first.
    """

    total: Amount
    types: tuple[tuple[str, Amount], ...]


class Churn(NamedTuple):
    """How much changes when a version takes the place of the live one; files are compared by their bytes.

    Attributes:
        live: The id of the live version.
        new: What the live version has not.
        shared: What both have, under whatever name.
        removed: What the live version alone has.
    """

    live: str
    new: Amount
    shared: Amount
    removed: Amount


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What is wrong with a build, and what is to know about it.

    Files and paths are as people read them; what does not print is escaped.

    Attributes:
        broken: References that lead nowhere.
        doubtful: References that lead nowhere, and are warnings only; each says why.
        collisions: Fingerprinted names that stand for other bytes elsewhere.
        unstable: Files with stable names that differ between versions.
        faults: Places that could not be parsed.
        sizes: The size of the version.
        churn: How much of it is new against the live version; None where there is none.
        unchecked: Origins that may be the build's own and are not given as such: references to them are not checked.
        notices: Traps: service workers that get stuck, pages that break at deep links, files that must not be public.
        prefix: The prefix that the build seems to be made for, where it is another one; else "".
    """

    broken: tuple[Broken, ...]
    doubtful: tuple[Broken, ...]
    collisions: tuple[Collision, ...]
    unstable: tuple[Unstable, ...]
    faults: tuple[Unread, ...]
    sizes: Sizes
    churn: Churn | None
    unchecked: tuple[Unchecked, ...]
    notices: tuple[Notice, ...] = ()
    prefix: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is broken, and no fingerprinted name stands for other bytes elsewhere."""
        return not self.broken and not self.collisions

    def as_dict(self) -> dict[str, object]:
        """Return all of it in JSON's types."""
        churn = self.churn
        return {
            "ok": self.ok,
            "broken": [{**one._asdict(), "versions": list(one.versions)} for one in self.broken],
            "doubtful": [{**one._asdict(), "versions": list(one.versions)} for one in self.doubtful],
            "collisions": [{**one._asdict(), "versions": list(one.versions)} for one in self.collisions],
            "unstable": [{**one._asdict(), "versions": list(one.versions)} for one in self.unstable],
            "faults": [one._asdict() for one in self.faults],
            "sizes": {
                "total": self.sizes.total._asdict(),
                "types": {name: amount._asdict() for name, amount in self.sizes.types},
            },
            "churn": None
            if churn is None
            else {
                "live": churn.live,
                "new": churn.new._asdict(),
                "shared": churn.shared._asdict(),
                "removed": churn.removed._asdict(),
            },
            "unchecked": [one._asdict() for one in self.unchecked],
            "notices": [one._asdict() for one in self.notices],
            "prefix": self.prefix,
        }
