"""Tests of one build as files."""
