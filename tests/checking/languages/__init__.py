"""Tests of the references in HTML, CSS and JavaScript."""
