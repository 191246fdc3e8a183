"""Cases of the conformance data that do not apply, by name, with the reason."""

from __future__ import annotations

from typing import Final

_SPELLING: Final = """
encoding/auto-trailing-slash/01 encoding/auto-trailing-slash/07 encoding/auto-trailing-slash/11
encoding/auto-trailing-slash/15 encoding/auto-trailing-slash/16 encoding/drop-trailing-slash/01
encoding/drop-trailing-slash/07 encoding/drop-trailing-slash/13 encoding/drop-trailing-slash/15
encoding/drop-trailing-slash/16 encoding/force-trailing-slash/02 encoding/force-trailing-slash/05
encoding/force-trailing-slash/07 encoding/force-trailing-slash/11 encoding/none/03 encoding/none/05
encoding/none/06 oracle/auto-trailing-slash/none/site/57 oracle/auto-trailing-slash/none/odd/100
oracle/auto-trailing-slash/none/odd/103 oracle/auto-trailing-slash/none/odd/108
oracle/auto-trailing-slash/none/odd/113 oracle/auto-trailing-slash/none/odd/118
oracle/auto-trailing-slash/none/odd/144 oracle/auto-trailing-slash/none/odd/145
oracle/auto-trailing-slash/none/odd/147 oracle/auto-trailing-slash/none/odd/150
oracle/auto-trailing-slash/none/odd/152 oracle/auto-trailing-slash/none/odd/154
oracle/auto-trailing-slash/none/odd/156 oracle/auto-trailing-slash/none/odd/158
oracle/auto-trailing-slash/404-page/odd/277 oracle/auto-trailing-slash/404-page/odd/311
oracle/auto-trailing-slash/404-page/odd/317 oracle/auto-trailing-slash/404-page/odd/321
oracle/auto-trailing-slash/404-page/odd/325 oracle/auto-trailing-slash/404-page/odd/329
oracle/auto-trailing-slash/single-page-application/odd/432
oracle/auto-trailing-slash/single-page-application/odd/434
oracle/auto-trailing-slash/single-page-application/odd/442
oracle/auto-trailing-slash/single-page-application/odd/444
oracle/auto-trailing-slash/single-page-application/odd/484
oracle/auto-trailing-slash/single-page-application/odd/488
oracle/auto-trailing-slash/single-page-application/odd/490
oracle/auto-trailing-slash/single-page-application/odd/494 oracle/force-trailing-slash/none/odd/645
oracle/force-trailing-slash/none/odd/646 oracle/force-trailing-slash/none/odd/657
oracle/force-trailing-slash/none/odd/661 oracle/force-trailing-slash/404-page/odd/776
oracle/force-trailing-slash/404-page/odd/786 oracle/force-trailing-slash/404-page/odd/812
oracle/force-trailing-slash/404-page/odd/826 oracle/force-trailing-slash/404-page/odd/830
oracle/force-trailing-slash/single-page-application/odd/980
oracle/force-trailing-slash/single-page-application/odd/989
oracle/force-trailing-slash/single-page-application/odd/997 oracle/drop-trailing-slash/none/odd/1100
oracle/drop-trailing-slash/none/odd/1102 oracle/drop-trailing-slash/none/odd/1105
oracle/drop-trailing-slash/none/odd/1115 oracle/drop-trailing-slash/none/odd/1147
oracle/drop-trailing-slash/none/odd/1152 oracle/drop-trailing-slash/none/odd/1156
oracle/drop-trailing-slash/none/odd/1162 oracle/drop-trailing-slash/404-page/site/1226
oracle/drop-trailing-slash/404-page/odd/1269 oracle/drop-trailing-slash/404-page/odd/1279
oracle/drop-trailing-slash/404-page/odd/1282 oracle/drop-trailing-slash/404-page/odd/1314
oracle/drop-trailing-slash/404-page/odd/1323 oracle/drop-trailing-slash/404-page/odd/1331
oracle/drop-trailing-slash/single-page-application/odd/1434
oracle/drop-trailing-slash/single-page-application/odd/1444
oracle/drop-trailing-slash/single-page-application/odd/1481
oracle/drop-trailing-slash/single-page-application/odd/1483
oracle/drop-trailing-slash/single-page-application/odd/1488
oracle/drop-trailing-slash/single-page-application/odd/1490
oracle/drop-trailing-slash/single-page-application/odd/1494 oracle/none/none/site/1562
oracle/none/none/odd/1621 oracle/none/none/odd/1647 oracle/none/none/odd/1648 oracle/none/none/odd/1653
oracle/none/none/odd/1655 oracle/none/none/odd/1657 oracle/none/none/odd/1659 oracle/none/404-page/site/1728
oracle/none/404-page/odd/1771 oracle/none/404-page/odd/1783 oracle/none/404-page/odd/1788
oracle/none/404-page/odd/1817 oracle/none/404-page/odd/1830 oracle/none/single-page-application/site/1896
oracle/none/single-page-application/odd/1938 oracle/none/single-page-application/odd/1947
oracle/none/single-page-application/odd/1950 oracle/none/single-page-application/odd/1981
oracle/none/single-page-application/odd/1982 oracle/none/single-page-application/odd/1984
oracle/none/single-page-application/odd/1993 oracle/none/single-page-application/odd/1997
html-handling/auto-trailing-slash/21 html-handling/force-trailing-slash/21
oracle/auto-trailing-slash/single-page-application/site/395 oracle/none/none/site/1563
oracle/none/404-page/site/1730 oracle/none/404-page/site/1731 oracle/none/single-page-application/site/1897
oracle/none/single-page-application/site/1898
"""
#: Reason to the names of the cases.
DEVIATIONS: Final = {
    "a path is not redirected to a canonical percent-encoding": frozenset(_SPELLING.split()),
    "a path is decoded once, so an encoded slash is a slash": frozenset(["redirects-match/66"]),
}
