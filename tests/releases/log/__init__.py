"""Tests of the deployment logs."""
