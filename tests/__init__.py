"""Tests. The test of ``version_affinity/decision/cookies.py`` is ``tests/decision/test_cookies.py``."""
