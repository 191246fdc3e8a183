"""How many examples the property tests try: few and always the same by default, more and others on demand.

The default selection tries a quarter of the examples; ``--all``, and tests that are named, try all of them.
``VERSION_AFFINITY_EXAMPLES=20`` tries twenty times as many, drawn anew on each run; failures are kept and shrunk.
``conftest.py`` loads the profile that says so.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

#: The examples of a property that names no number, by profile.
EXAMPLES = {"whole": 100, "quick": 25}


def budget(examples: int, **options: Any) -> settings:
    """Return settings for a property that tries this number of examples where the profile is "whole"."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    number = max(1, examples * settings().max_examples // EXAMPLES["whole"])
    return settings(max_examples=number, suppress_health_check=checks, **options)
