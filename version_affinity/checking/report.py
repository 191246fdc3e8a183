"""The result of a check, as values: for whoever decides on it, and for JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple


class Broken(NamedTuple):
    """A reference that leads nowhere, and the file and line that contain it."""

    file: str
    line: int
    kind: str  # the syntax: "<script src>", "url()", "import()", "__vite__mapDeps"
    text: str  # the URL or specifier as it is written; of a long one, the beginning
    path: str  # the path that it means; "" for a specifier that means none
    reason: str
    versions: tuple[str, ...] = ()  # the known versions that have a file at the path
    doubt: str = ""  # why it is only a warning; "" if it keeps the version from being deployed


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
    path: str  # the path on it that seems to hold the build; "" for the prefix of the check


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
    """The result of ``check_build``. Files and paths are safe to print: characters that do not print are escaped."""

    broken: tuple[Broken, ...]
    doubtful: tuple[Broken, ...]  # those with a ``doubt``: only warnings
    collisions: tuple[Collision, ...]
    unstable: tuple[Unstable, ...]
    faults: tuple[Unread, ...]
    sizes: Sizes
    churn: Churn | None  # None without a live version
    unchecked: tuple[Unchecked, ...]
    notices: tuple[Notice, ...]
    prefix: str  # the one that the build seems to be made for; "" if that is the prefix of the check

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
