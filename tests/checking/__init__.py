"""Tests of ``check``."""
