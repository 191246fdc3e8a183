"""Where known versions answer alike, so that an answer does not depend on the decision. Computed when versions load."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from version_affinity.assets.loading.asset import Asset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from version_affinity.assets.build import Build


class Agreement(NamedTuple):
    """The paths in builds at which all versions answer with a file of the same bytes, and the same fields.

    Attributes:
        always: Those where each has the file.
        rescued: Those where some lack it: there they agree as long as the others' file serves them too.
    """

    always: Collection[str]
    rescued: frozenset[str]


def agree(copies: Collection[Asset]) -> bool:
    """Tell whether copies of a file have equal bytes."""
    return len(copies) == 1 or len({asset.digest for asset in copies}) == 1


def agreement(builds: Sequence[Build], files: Iterable[str]) -> Agreement:
    """Return where builds agree; the rules of ``_redirects`` are left out of account.

    Args:
        builds: The builds.
        files: The paths of files whose bytes are equal in all that have them.
    """
    if len(builds) == 1:
        return Agreement(builds[0].routes, frozenset())
    if any(build.protection is not None for build in builds):
        return Agreement(frozenset(), frozenset())  # what one answers with 404, another may serve
    uneven = not have_equal_rules(builds)
    if uneven and any(build.header_rules is not None and build.header_rules.host_bound for build in builds):
        return Agreement(frozenset(), frozenset())
    # Where a build shows a page, or redirects to one.
    pages = {path for build in builds for path, at in build.routes.items() if build.index.assets.get(path) is not at}
    always: set[str] = set()
    rescued: set[str] = set()
    for path in files:
        if path not in pages:
            owners = [build for build in builds if path in build.index.assets]
            if _answer_alike(owners, path, uneven=uneven):
                (always if len(owners) == len(builds) else rescued).add(path)
    always.update(path for path in pages if _answer_alike(builds, path, uneven=uneven))
    return Agreement(frozenset(always), frozenset(rescued))


def have_equal_rules(builds: Iterable[Build]) -> bool:
    """Tell whether the ``_headers`` of builds are the same."""
    return len({() if build.header_rules is None else build.header_rules.rules for build in builds}) <= 1


def _answer_alike(builds: Sequence[Build], path: str, *, uneven: bool) -> bool:
    """Tell whether builds answer with the same at a path, their rules of ``_headers`` being the same or not."""
    answers = (build.routes.get(path) for build in builds)
    shown = {(at.digest, at.content_type) if isinstance(at, Asset) else None for at in answers}
    if len(shown) > 1 or None in shown:
        return False
    if not uneven:
        return True
    first, *others = (build.changes_at(path, {}) for build in builds)
    return all(changes == first for changes in others)
