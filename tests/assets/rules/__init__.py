"""Tests of ``_redirects`` and ``_headers``."""
