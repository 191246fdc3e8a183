"""Finding the ``VersionAffinity`` of an application: ``--app module:attribute``, as ``flask --app`` has it."""

from __future__ import annotations

import ast
import sys
from collections import deque
from functools import partial
from importlib import import_module
from pathlib import Path
from types import CellType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.middleware import VersionAffinity
from version_affinity.releases.releases import observing

from .errors import RefusedError
from .options import check_given, form

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final = ("app", "application", "affinity")
_FACTORIES: Final = ("create_app", "make_app")
#: Objects that are looked at: an application holds its middleware, or is held by it, a few steps away.
_LIMIT: Final = 500
_UNASSIGNED: Final = CellType()

app_option = click.option(
    "--app",
    metavar="MODULE[:ATTRIBUTE]",
    callback=form(check_given),
    help="The application: a Flask application, a VersionAffinity, or a WSGI callable or factory call that has one.",
)


def load_affinity(target: str) -> VersionAffinity:
    """Return the ``VersionAffinity`` of an application, which is loaded to be asked: it reports and writes nothing.

    Args:
        target: "module:attribute", "module:factory()" or "module"; a file's name does for a module.

    Raises:
        click.UsageError: there is no such module or attribute.
        RefusedError: it cannot be loaded, or has none.
    """
    name, _, expression = target.partition(":")
    with observing():
        module = _imported(name, target)
        found = _evaluated(module, expression, target) if expression else _default(module, target)
    affinity = find_affinity(found)
    if affinity is None:
        raise RefusedError(
            f"--app {target}: {type(found).__name__} has no VersionAffinity: name the attribute that has, such as "
            f"{name}:app",
        )
    return affinity


def find_affinity(found: object) -> VersionAffinity | None:
    """Return the ``VersionAffinity`` that an object is, holds, or is held by; of several, the nearest."""
    waiting = deque([found])
    seen: dict[int, object] = {}
    while waiting and len(seen) < _LIMIT:
        candidate = waiting.popleft()
        if isinstance(candidate, VersionAffinity):
            return candidate
        if id(candidate) not in seen:
            seen[id(candidate)] = candidate
            waiting.extend(_held(candidate))
    return None


def _held(found: object) -> Iterator[object]:
    """Yield the callables that an object holds, among which its middleware is."""
    if isinstance(found, partial):
        yield found.func
        yield from found.args
    if isinstance(found, MethodType):
        yield found.__self__
    yield from (cell.cell_contents for cell in getattr(found, "__closure__", None) or () if cell != _UNASSIGNED)
    extensions = getattr(found, "extensions", None)  # Flask's
    if isinstance(extensions, dict):
        yield extensions.get("version_affinity")
    for value in _attributes(found).values():
        if callable(value) and not isinstance(value, type | ModuleType):
            yield value


def _attributes(found: object) -> dict[str, Any]:
    try:
        return dict(vars(found))
    except TypeError:
        return {}


def _imported(name: str, target: str) -> ModuleType:
    """Return a module: from the working directory, as ``python -m`` finds it."""
    path = Path(name)
    if path.suffix == ".py":
        sys.path.insert(0, str(path.resolve().parent))
        name = path.stem
    else:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's module
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise click.UsageError(f"--app {target}: there is no module {error.name!r} here") from None
        raise _failed(target, error) from None


def _evaluated(module: ModuleType, expression: str, target: str) -> object:
    """Return what "app", "site.app" or "create_app('test')" means in a module. Nothing else is run."""
    try:
        node = ast.parse(expression, mode="eval").body
        if isinstance(node, ast.Call):
            factory = _named(module, node.func)
            arguments = [ast.literal_eval(argument) for argument in node.args]
            options = {option.arg: ast.literal_eval(option.value) for option in node.keywords if option.arg}
            call = partial(factory, *arguments, **options)
        else:
            found = _named(module, node)
            call = partial(lambda: found)
    except (SyntaxError, ValueError):
        raise click.UsageError(
            f"--app {target}: {expression!r} is neither a name nor the call of one: write app, or create_app('test')"
        ) from None
    except AttributeError:
        raise click.UsageError(f"--app {target}: {module.__name__} has no {expression.partition('(')[0]!r}") from None
    try:
        return call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's module
        raise _failed(target, error) from None


def _named(module: ModuleType, node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return getattr(module, node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_named(module, node.value), node.attr)
    raise ValueError(ast.dump(node))


def _default(module: ModuleType, target: str) -> object:
    """Return the application of a module that is named without one."""
    for name in _NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    for found in vars(module).values():
        if isinstance(found, VersionAffinity):
            return found
    for name in _FACTORIES:
        if callable(getattr(module, name, None)):
            return _evaluated(module, f"{name}()", target)
    raise RefusedError(
        f"--app {target}: {module.__name__} has none of {', '.join((*_NAMES, *_FACTORIES))}: write {target}:attribute",
    )


def _failed(target: str, error: BaseException) -> RefusedError:
    return RefusedError(f"--app {target} cannot be loaded: {type(error).__name__}: {error}")
