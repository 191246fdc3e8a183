"""Find what is broken in a build before it goes live: the library of ``version-affinity check``.

    from version_affinity.assets.static import StaticAssets
    from version_affinity.checking import check_build

    report = check_build(StaticAssets("dist"), known={"v1": StaticAssets("builds/v1")}, live="v1", app_first=["/api/*"])
    report.ok            # no broken reference, and no fingerprinted name with different bytes in a known version

It needs the parsers of the extra ``check``.
"""

from importlib.util import find_spec

from version_affinity.errors import ConfigurationError, install

for _parser in ("justhtml", "tinycss2", "tree_sitter", "tree_sitter_javascript"):
    if find_spec(_parser) is None:
        raise ConfigurationError(f"checking a build needs parsers, and {_parser} is not installed: {install('check')}")

from .check import check_build  # noqa: E402 - only if the parsers are installed
from .report import Amount, Broken, BuildReport, Collision, Unchecked, Unstable  # noqa: E402

__all__ = ["Amount", "Broken", "BuildReport", "Collision", "Unchecked", "Unstable", "check_build"]
