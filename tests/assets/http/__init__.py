"""Tests of the HTTP rules of static files."""
