"""The result of a check, as values and as JSON, and the comparison of a version with others."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from version_affinity.wire import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from version_affinity.assets.loading.asset import Asset

    from .trace import FollowedReference

    Files = Mapping[str, Asset]


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


class BuildNotice(NamedTuple):
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
    notices: tuple[BuildNotice, ...]
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


def collisions(files: Files, known: Mapping[str, Files]) -> Iterator[Collision]:
    """Yield the fingerprinted files of a version that have different bytes in known versions."""
    for path, asset in files.items():
        copies = {version: others[path] for version, others in known.items() if path in others}
        if asset.fingerprinted or any(copy.fingerprinted for copy in copies.values()):
            versions = tuple(version for version, copy in copies.items() if copy.digest != asset.digest)
            if versions:
                yield Collision(shown(path), versions)


def unstable(
    files: Files, known: Mapping[str, Files], loaded: Mapping[str, FollowedReference | None]
) -> Iterator[Unstable]:
    """Yield the loaded files without a fingerprint that have different bytes in known versions."""
    for path, followed in loaded.items():
        asset = files.get(path)
        if asset is None or asset.is_html or asset.fingerprinted:
            continue
        versions = tuple(
            version
            for version, others in known.items()
            if path in others and others[path].digest != asset.digest and not others[path].fingerprinted
        )
        if versions:
            file, line = ("", 0) if followed is None else (shown(followed.file), followed.reference.line)
            yield Unstable(shown(path), versions, file, line)


def sizes(files: Files) -> Sizes:
    """Return the size of a version."""
    types: dict[str, list[Asset]] = {}
    for asset in files.values():
        types.setdefault(asset.content_type.partition(";")[0].rstrip(), []).append(asset)
    amounts = ((name, _amount(assets)) for name, assets in types.items())
    ordered = tuple(sorted(amounts, key=lambda item: (-item[1].size, item[0])))
    return Sizes(_amount(files.values()), ordered)


def churn(files: Files, live: str, others: Files) -> Churn:
    """Return the difference between the files of a version and those of the live version."""
    ours = {asset.digest for asset in files.values()}
    theirs = {asset.digest for asset in others.values()}
    return Churn(
        live,
        new=_amount(asset for asset in files.values() if asset.digest not in theirs),
        shared=_amount(asset for asset in files.values() if asset.digest in theirs),
        removed=_amount(asset for asset in others.values() if asset.digest not in ours),
    )


def _amount(assets: Iterable[Asset]) -> Amount:
    listed = [asset.size for asset in assets]
    return Amount(len(listed), sum(listed))
