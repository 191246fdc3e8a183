"""Import maps (HTML standard, import maps): the URL that a module specifier means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from version_affinity.checking.references import EXTERNAL, Fault, Need, Reference, has_scheme, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_RELATIVE: Final = ("/", "./", "../")

#: Specifiers and paths; ``EXTERNAL`` for a URL of another origin, None for a module that must not be loaded.
Addresses: TypeAlias = "tuple[tuple[str, str | None], ...]"


class ImportMap(NamedTuple):
    """The import maps of a page, merged: the specifiers of every module, with URLs resolved."""

    imports: Addresses = ()
    #: The paths, the longest first, whose modules have specifiers that outrank these.
    scopes: tuple[tuple[str, Addresses], ...] = ()

    def address_of(self, specifier: str, base: str) -> str | None:
        """Return the path that a specifier means in the module at a path; ``EXTERNAL`` for a URL of another origin.

        None if the specifier is neither a URL nor in a map, or if a map forbids it.

        >>> found = ImportMap(imports=(("lit", "/vendor/lit.js"), ("lit/", "/vendor/lit/")))
        >>> [found.address_of(name, "/c/a.js") for name in ("lit", "lit/html.js", "./b.js")]
        ['/vendor/lit.js', '/vendor/lit/html.js', '/c/b.js']
        >>> found.address_of("react", "/a.js") is None
        True
        """
        name = _normalised(specifier, base)
        scopes = (at for scope, at in self.scopes if scope == base or (scope.endswith("/") and base.startswith(scope)))
        for addresses in (*scopes, self.imports):
            for start, address in addresses:
                if start == name:
                    return address
                if start.endswith("/") and name.startswith(start):
                    return address and resolve("./" + name[len(start) :], address)
        if name.startswith("/"):
            return name
        # A relative URL may be of another origin, too: that of its base.
        return EXTERNAL if name == EXTERNAL or has_scheme(name) else None


#: The import map of a page without one.
NO_IMPORTS: Final = ImportMap()


def parse_import_maps(
    texts: Iterable[tuple[int, str]], base: str, local: Callable[[str], str] = str
) -> tuple[ImportMap, tuple[Reference, ...], tuple[Fault, ...]]:
    """Return the import maps of a page, merged, with their references and faults.

    The first map with a specifier counts. ``local`` returns the path of a URL of the build's own origins, and any other
    text unchanged.
    """
    imports: dict[str, str | None] = {}
    scopes: dict[str, dict[str, str | None]] = {}
    references: list[Reference] = []
    faults: list[Fault] = []
    for line, text in texts:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            faults.append(Fault(line, f"an import map that is not valid JSON: {error!s:.100}"))
            continue
        if not isinstance(document, dict):
            faults.append(Fault(line, "an import map that is not a JSON object"))
            continue
        parts = [(imports, document.get("imports"))]
        scoped = document.get("scopes")
        if isinstance(scoped, dict):
            parts += ((scopes.setdefault(resolve(local(scope), base), {}), part) for scope, part in scoped.items())
        for addresses, part in parts:
            for specifier, address in part.items() if isinstance(part, dict) else ():
                usable = isinstance(address, str) and (address.startswith(_RELATIVE) or has_scheme(address))
                path = resolve(local(address), base) if usable else None
                addresses.setdefault(_normalised(local(specifier), base), path)
                if usable:
                    need = Need.CONTENT if address.endswith("/") else Need.FILE
                    references.append(Reference("import map", address, line, need))
    ordered = sorted(scopes.items(), key=lambda item: item[0], reverse=True)
    merged = ImportMap(_frozen(imports), tuple((scope, _frozen(addresses)) for scope, addresses in ordered))
    return merged, tuple(references), tuple(faults)


def _frozen(addresses: dict[str, str | None]) -> Addresses:
    """Return addresses with the longest specifier first: it counts if two prefixes match."""
    return tuple(sorted(addresses.items(), key=lambda item: item[0], reverse=True))


def _normalised(specifier: str, base: str) -> str:
    return resolve(specifier, base) if specifier.startswith(_RELATIVE) else specifier
