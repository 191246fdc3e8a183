"""Tests of reading a build directory."""
