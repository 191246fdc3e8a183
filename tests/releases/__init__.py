"""Tests of releases, with the processes that use them."""
