"""Find what is broken in a build before it goes live: the library of ``version-affinity check``.

    from version_affinity.assets.static import StaticAssets
    from version_affinity.checking import check_build

    report = check_build(StaticAssets("dist"), known={"v1": StaticAssets("builds/v1")}, live="v1", app_first=["/api/*"])
    report.ok            # no broken reference, and no fingerprinted name with different bytes in a known version

Without the parsers of the extra ``check``, the import fails.
"""

from .check import check_build
from .report import Amount, Broken, BuildReport, Collision, Unchecked, Unstable

__all__ = ["Amount", "Broken", "BuildReport", "Collision", "Unchecked", "Unstable", "check_build"]
