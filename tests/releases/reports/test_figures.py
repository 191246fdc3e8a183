"""Figures of versions: what all workers have counted, and what of it since a deployment."""

from __future__ import annotations

import pytest

from version_affinity.releases.reports.figures import Figures, figures_of


def test_figures() -> None:
    """Each family counts for its version; files and other requests are not pages."""
    counts = {
        "requests|v1|page|2xx|key": 5,
        "requests|v1|page|4xx|minted": 2,
        "requests|v1|asset|2xx|name": 100,
        "requests|v2|subresource|2xx|pin": 9,
        "app|v1|2xx": 6,
        "app|v1|5xx": 2,
        "app|v2|4xx": 1,
        "new_keys|v2": 3,
        "missing|v1": 1,
        "rescues|v2|v1": 4,
        "refused|bad-syntax": 8,
    }
    found = figures_of(counts)
    assert found == {
        "v1": Figures(pages=7, app=8, app_errors=2, missing=1),
        "v2": Figures(new_keys=3, app=1, rescues=4),
    }
    assert found["v1"].app_error_rate == 0.25
    assert found["v1"].missing_rate == pytest.approx(1 / 7)
    assert (found["v2"].app_error_rate, found["v2"].missing_rate) == (0, None)
    assert Figures().app_error_rate is None


def test_since() -> None:
    """Since a deployment: the difference; a counter that is lower than then has started anew."""
    now = Figures(new_keys=5, pages=10, missing=2)
    assert now.since({}) == now
    assert now.since({"new_keys": 5, "pages": 4, "missing": 7}) == Figures(new_keys=0, pages=6, missing=2)
