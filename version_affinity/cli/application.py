"""Load the application of ``--app module:attribute``, and find its ``VersionAffinity``."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.middleware import VersionAffinity, find_affinity
from version_affinity.releases.releases import observing

from .errors import RefusedError

if TYPE_CHECKING:
    from types import ModuleType

_NAMES: Final = ("app", "application", "affinity")
_FACTORIES: Final = ("create_app", "make_app")

app_option = click.option(
    "--app",
    metavar="MODULE[:ATTRIBUTE]",
    help="The application: a Flask application, a VersionAffinity, or a factory call such as shop:create_app().",
)


def load_affinity(target: str) -> VersionAffinity:
    """Return the ``VersionAffinity`` of an application, which is loaded without leaving a trace.

    ``target`` is "module:attribute", "module:factory()" or "module". The module may be a file name.
    """
    name, _, expression = target.partition(":")
    with observing():
        module = _import(name, target)
        found = _evaluate(module, expression, target) if expression else _default(module, target)
    affinity = find_affinity(found)
    if affinity is None:
        lacking = f"--app {target}: {type(found).__name__} has no VersionAffinity"
        raise RefusedError(f"{lacking}. Name the attribute that has one, such as {name}:app")
    return affinity


def _import(name: str, target: str) -> ModuleType:
    """Import a module, also from the working directory."""
    path = Path(name)
    is_file = path.suffix == ".py"
    sys.path.insert(0, str(path.resolve().parent if is_file else Path.cwd()))
    name = path.stem if is_file else name
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the module is the user's
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise click.UsageError(f"--app {target}: there is no module {error.name!r} here") from None
        raise _failure(target, error) from None


def _evaluate(module: ModuleType, expression: str, target: str) -> object:
    """Return the value of "app", "site.app" or "create_app('test')" in a module; nothing else is evaluated."""
    try:
        node = ast.parse(expression, mode="eval").body
        if not isinstance(node, ast.Call):
            return _attribute(module, node)
        factory = _attribute(module, node.func)
        arguments = [ast.literal_eval(argument) for argument in node.args]
        options = {option.arg: ast.literal_eval(option.value) for option in node.keywords if option.arg}
    except (SyntaxError, ValueError):
        remedy = "write app, or create_app('test')"
        raise click.UsageError(f"--app {target}: {expression!r} is neither a name nor a call: {remedy}") from None
    except AttributeError:
        raise click.UsageError(f"--app {target}: {module.__name__} has no {expression.partition('(')[0]!r}") from None
    try:
        return factory(*arguments, **options)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the factory is the user's
        raise _failure(target, error) from None


def _attribute(module: ModuleType, node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return getattr(module, node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_attribute(module, node.value), node.attr)
    raise ValueError(ast.dump(node))


def _default(module: ModuleType, target: str) -> object:
    """Return the application of a module for which no attribute is named."""
    named = [getattr(module, name) for name in _NAMES if hasattr(module, name)]
    found = named or [value for value in vars(module).values() if isinstance(value, VersionAffinity)]
    if found:
        return found[0]
    for name in _FACTORIES:
        if callable(getattr(module, name, None)):
            return _evaluate(module, f"{name}()", target)
    names = ", ".join((*_NAMES, *_FACTORIES))
    raise RefusedError(f"--app {target}: {module.__name__} has none of {names}. Write {target}:ATTRIBUTE")


def _failure(target: str, error: BaseException) -> RefusedError:
    return RefusedError(f"--app {target} cannot be loaded: {type(error).__name__}: {error}")
