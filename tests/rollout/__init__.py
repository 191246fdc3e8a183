"""Tests of the state that requests read."""
