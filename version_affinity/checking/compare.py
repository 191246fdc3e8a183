"""Compare a version with other versions: names with different bytes, and how much is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from version_affinity.wire import shown

from .report import Amount, Churn, Collision, Sizes, Unstable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from version_affinity.assets.loading.asset import Asset

    from .trace import Followed

    Files = Mapping[str, Asset]


def collisions(files: Files, known: Mapping[str, Files]) -> Iterator[Collision]:
    """Yield the fingerprinted files of a version that have different bytes in known versions."""
    for path, asset in files.items():
        copies = {version: others[path] for version, others in known.items() if path in others}
        if asset.fingerprinted or any(copy.fingerprinted for copy in copies.values()):
            versions = tuple(version for version, copy in copies.items() if copy.digest != asset.digest)
            if versions:
                yield Collision(shown(path), versions)


def unstable(files: Files, known: Mapping[str, Files], loaded: Mapping[str, Followed | None]) -> Iterator[Unstable]:
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
