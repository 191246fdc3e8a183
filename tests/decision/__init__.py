"""Tests of the decision: which version a request gets."""
