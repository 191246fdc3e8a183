"""Tests of responses."""
