"""Tests of following the log and the releases directory."""
