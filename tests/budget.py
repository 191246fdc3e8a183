"""How many examples the property tests try: few and always the same by default, more and others on demand.

``VERSION_AFFINITY_EXAMPLES=20`` tries twenty times as many, drawn anew on each run; failures are kept and shrunk.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

_FACTOR = int(os.environ.get("VERSION_AFFINITY_EXAMPLES", "0"))


def budget(examples: int, **options: Any) -> settings:
    """Return settings for a property that tries so many examples by default."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=examples * max(_FACTOR, 1),
        derandomize=_FACTOR == 0,
        deadline=None,
        suppress_health_check=checks,
        **options,
    )
