"""A fingerprinted file without collision: served by its name, to anyone, from any version that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.assets.prepared import Prepared
from version_affinity.assets.sending import VARY_ENCODING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from version_affinity.assets.loading.asset import Asset, HeaderField
    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.counters import Tally

#: The bit in ``NamedFile.owners`` of a file that every known version has. The versions' own bits follow.
IN_ALL_VERSIONS: Final = 1


class NamedFile(Prepared):
    """A file that is served by its name.

    There are tens of thousands of these, and the garbage collector walks them while requests wait, so each holds as few
    containers as possible.

    Attributes:
        copy: The copy that is prepared: one with compressed forms if there is any, else one in memory.
        others: The other versions' copies, all of equal bytes, in the same order.
        owners: A bit for each version that has it, and ``IN_ALL_VERSIONS`` when all have it.
        version: The version whose copy is served.
        tally: Counts the answers by the first digit of their status. ``count_ok`` counts a 200.
    """

    __slots__ = ("copy", "count_ok", "others", "owners", "tally", "version")

    def __init__(
        self,
        version: str,
        copies: Iterable[Asset],
        owners: int,
        kept: tuple[HeaderField, ...],
        changes: HeaderChanges | None,
        tally: Tally,
    ) -> None:
        self.copy, *others = sorted(copies, key=_preference)
        self.others = tuple(others)
        super().__init__(self.copy, (*kept, VARY_ENCODING) if self.copy.variants else kept, changes)
        self.owners = owners
        self.version = version
        self.tally = tally
        self.count_ok = tally["2"].advance

    @property
    def copies(self) -> tuple[Asset, ...]:
        """All copies, the prepared one first."""
        return self.copy, *self.others


def _preference(copy: Asset) -> tuple[bool, bool]:
    return not copy.variants, copy.data is None
