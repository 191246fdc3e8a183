"""Tests of HTTP as a whole: the linter of responses, conformance, hostile input."""
