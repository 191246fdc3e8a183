"""What is wrong with a build, told before it goes live: the library behind ``version-affinity check``.

    from version_affinity.assets.static import StaticAssets
    from version_affinity.checking import check_build

    report = check_build(StaticAssets("dist"), known={"v1": StaticAssets("builds/v1")}, live="v1", app_first=["/api/*"])
    report.ok            # no reference is broken, and no fingerprinted name stands for other bytes elsewhere

``check_build`` returns a ``BuildReport``, which has tuples of frozen values:

=================  ==============================================================================================
``broken``         ``Broken(file, line, kind, text, path, reason, versions)``: a reference that leads nowhere
``doubtful``       the same, where it may be no mistake: a warning
``collisions``     ``Collision(path, versions)``: a fingerprinted name that stands for other bytes there
``unstable``       ``Unstable(path, versions, file, line)``: pages load it, its name is stable, its bytes are not: a
                   warning
``faults``         ``Unread(file, line, reason)``: a place that could not be parsed: a warning
``unchecked``      ``Unchecked(origin, references, path)``: an origin that may belong into ``origins``
=================  ==============================================================================================

and ``sizes`` (``Sizes(total, types)``), ``churn`` (``Churn(live, new, shared, removed)`` against the live version,
else None), both in ``Amount(files, size)``; ``ok``; and ``as_dict()`` for JSON. Files and paths are as people read
them, such as ``/assets/café.svg``, and safe to print. A path that the application answers belongs into ``app_first``.

It needs the parsers of the extra ``check``.
"""

from importlib.util import find_spec

from version_affinity.errors import ConfigurationError, install

for _parser in ("justhtml", "tinycss2", "tree_sitter", "tree_sitter_javascript"):
    if find_spec(_parser) is None:
        raise ConfigurationError(f"checking a build needs parsers, and {_parser} is not installed: {install('check')}")

from .check import check_build  # noqa: E402 - once it is known that it can be imported
from .report import Amount, Broken, BuildReport, Churn, Collision, Sizes, Unchecked, Unread, Unstable  # noqa: E402

__all__ = [
    "Amount",
    "Broken",
    "BuildReport",
    "Churn",
    "Collision",
    "Sizes",
    "Unchecked",
    "Unread",
    "Unstable",
    "check_build",
]
