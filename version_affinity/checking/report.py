"""The result of a check, as values: for whoever decides on it, and for JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple


class Broken(NamedTuple):
    """A reference that leads nowhere.

    Attributes:
        file: The file that contains it.
        line: The line in that file, from 1.
        kind: The syntax: ``<script src>``, ``url()``, ``import()``, ``__vite__mapDeps``.
        text: The URL or specifier as it is written; of a long one, the beginning.
        path: The path that it means, below the prefix; "" for a specifier that means none.
        reason: What is wrong.
        versions: The known versions that have a file at the path.
        doubt: Why it is only a warning; "" if it keeps the version from being deployed.
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
    """A fingerprinted path, and the known versions in which it has different bytes."""

    path: str
    versions: tuple[str, ...]


class Unstable(NamedTuple):
    """A file that pages load under a stable name, the known versions with different bytes, and a reference to it."""

    path: str
    versions: tuple[str, ...]
    file: str
    line: int


class Unread(NamedTuple):
    """A line of a file, from 1, that could not be parsed, and the reason: its references are not known."""

    file: str
    line: int
    reason: str


class Notice(NamedTuple):
    """A warning about a file or a line of it; about the whole version if ``file`` is "", the whole file if 0."""

    file: str
    line: int
    text: str


class Unchecked(NamedTuple):
    """An origin that seems to serve the build, such as "https://cdn.example", and the number of references to it."""

    origin: str
    references: int
    #: The path on it that seems to hold the build; "" for the prefix of the check.
    path: str


class Amount(NamedTuple):
    """A number of files, and their size in bytes without compressed forms."""

    files: int
    size: int


class Sizes(NamedTuple):
    """The size of a version: all of it, and by media type with the largest first."""

    total: Amount
    types: tuple[tuple[str, Amount], ...]


class Churn(NamedTuple):
    """The files that a version adds to the live one, shares with it and lacks, compared by bytes, not by name."""

    live: str
    new: Amount
    shared: Amount
    removed: Amount


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of ``check_build``. Files and paths are safe to print: characters that do not print are escaped.

    Attributes:
        broken: References that lead nowhere.
        doubtful: References that lead nowhere and are only warnings; each has a ``doubt``.
        collisions: Fingerprinted names that have different bytes in known versions.
        unstable: Files with stable names that differ between versions.
        faults: Places that could not be parsed.
        sizes: The size of the version.
        churn: The difference from the live version; None without one.
        unchecked: Origins that may serve the build and were not given: references to them were not checked.
        notices: Other traps: service workers that browsers cannot leave, pages that break at deep links.
        prefix: The prefix that the build seems to be made for, if it is not the prefix of the check; else "".
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
        """Whether no reference is broken, and no fingerprinted name has different bytes in a known version."""
        return not self.broken and not self.collisions

    def as_dict(self) -> dict[str, object]:
        """Return the report in JSON's types."""
        values = {field.name: _json(getattr(self, field.name)) for field in fields(self)}
        types = {name: _json(amount) for name, amount in self.sizes.types}
        return {"ok": self.ok, **values, "sizes": {"total": _json(self.sizes.total), "types": types}}


def _json(value: object) -> object:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _json(part) for name, part in value._asdict().items()}
    return [_json(part) for part in value] if isinstance(value, tuple) else value
