"""Print the size and the structure of the package. Exit status: 1 if one of them exceeds its limit."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "version_affinity"
TESTS = ROOT / "tests"

# 21,500 lines and 140 files when the package was restructured. Worker reports, metrics, tools for development and ramps
# came after that.
LINES = 29_200
FILES = 180
FILES_PER_FOLDER = 16
#: One module per command, so the folder grows with the command line.
UNLIMITED_FOLDERS = ("version_affinity/cli/commands",)
LONGEST = 400
SHORT = 60
SHORT_MODULES = 20


class Bar(NamedTuple):
    """A measured value, its limit, and the details of a value above the limit."""

    name: str
    value: int
    limit: int
    details: list[str]


def main() -> int:
    """Print every bar; return 1 if one is missed."""
    modules = {path: path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    bars = measure(modules)
    for bar in bars:
        is_met = bar.value <= bar.limit
        print(f"{'ok  ' if is_met else 'MISS'}  {bar.name:<44} {bar.value:>7,}  (limit {bar.limit:,})")
        for detail in [] if is_met else bar.details:
            print(f"        {detail}")
    return int(any(bar.value > bar.limit for bar in bars))


def measure(modules: dict[Path, str]) -> list[Bar]:
    """Return all bars of the package's modules."""
    sizes = {path: text.count("\n") for path, text in modules.items()}
    folders = Counter(name(path.parent) for path in modules)
    limited = {folder: count for folder, count in folders.items() if folder not in UNLIMITED_FOLDERS}
    crowded = [f"{folder}: {count}" for folder, count in limited.items() if count > FILES_PER_FOLDER]
    long = [f"{name(path)}: {size}" for path, size in sizes.items() if size > LONGEST]
    short = [f"{name(path)}: {size}" for path, size in sizes.items() if size < SHORT and is_module(path)]
    circles = [" -> ".join(circle) for circle in import_circles(modules)]
    private = sorted(private_names_in_tests(modules))
    by_folder = [f"{folder}: {lines:,}" for folder, lines in lines_by_folder(sizes)]
    return [
        Bar("lines", sum(sizes.values()), LINES, by_folder),
        Bar("files", len(modules), FILES, [f"{folder}: {count}" for folder, count in folders.most_common()]),
        Bar("files in the fullest folder", max(limited.values()), FILES_PER_FOLDER, crowded),
        Bar(f"modules of more than {LONGEST} lines", len(long), 0, long),
        Bar(f"modules of fewer than {SHORT} lines", len(short), SHORT_MODULES, short),
        Bar("groups of modules that import each other", len(circles), 0, circles),
        Bar("private names that tests use", len(private), 0, private),
    ]


def name(path: Path) -> str:
    """Return a path relative to the repository."""
    return path.relative_to(ROOT).as_posix()


def is_module(path: Path) -> bool:
    """Return whether a file is a module with code: not a package's __init__.py or __main__.py."""
    return not path.name.startswith("__")


def lines_by_folder(sizes: dict[Path, int]) -> list[tuple[str, int]]:
    """Return the lines of each folder directly below the package, the largest first."""
    folders: Counter[str] = Counter()
    for path, size in sizes.items():
        folders[path.relative_to(PACKAGE).parts[0] if path.parent != PACKAGE else "(top)"] += size
    return folders.most_common()


# --- imports ----------------------------------------------------------------------------------------------------------


def import_circles(modules: dict[Path, str]) -> list[list[str]]:
    """Return the groups of modules that import each other when they are loaded."""
    names = {dotted(path): path for path in modules}
    imports = {module: set(imported(module, path, modules[path], names)) - {module} for module, path in names.items()}
    reach = {module: reachable(module, imports) for module in imports}
    groups = {frozenset({module, *(other for other in reach[module] if module in reach[other])}) for module in reach}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def dotted(path: Path) -> str:
    """Return the dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(module: str, path: Path, text: str, names: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a module imports when it is loaded."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in loaded_statements(ast.parse(text).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield from (found for found in (inner if inner in names else source,) if found in names)


def loaded_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is loaded, those of type checking left out."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from loaded_statements(getattr(node, part, []))


def reachable(module: str, imports: dict[str, set[str]]) -> set[str]:
    """Return the modules that a module imports, directly or not."""
    found: set[str] = set()
    waiting = list(imports[module])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting += imports[other]
    return found


# --- private names ----------------------------------------------------------------------------------------------------


def private_names_in_tests(modules: dict[Path, str]) -> Iterator[str]:
    """Yield the places where tests use private names of the package: imported, as attributes, or patched by name.

    A name that the same test module defines too is not counted.
    """
    owned = {private for text in modules.values() for private in private_names(ast.parse(text))}
    for path in TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        theirs = owned - private_names(tree)
        for node in ast.walk(tree):
            for used in uses(node):
                if used.rpartition(".")[2] in theirs:
                    yield f"{name(path)}:{getattr(node, 'lineno', 0)}: {used}"


def private_names(tree: ast.AST) -> set[str]:
    """Return the private names that a module defines: functions, classes, variables, attributes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {one for one in found if is_private(one)}


def uses(node: ast.AST) -> Iterator[str]:
    """Yield the private names that a node uses."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("version_affinity"):
        yield from (alias.name for alias in node.names if is_private(alias.name))
    elif isinstance(node, ast.Attribute) and is_private(node.attr):
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            yield node.attr
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("setattr", "getattr", "delattr"):
        texts = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
        yield from (text for text in texts if isinstance(text, str) and is_private(text.rpartition(".")[2]))


def is_private(name: str) -> bool:
    """Return whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


if __name__ == "__main__":
    sys.exit(main())
