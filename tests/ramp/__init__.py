"""Tests of ramps."""
