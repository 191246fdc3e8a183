"""Tests of the Django application, in projects of their own."""
