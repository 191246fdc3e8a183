"""Tests of the releases directory."""
