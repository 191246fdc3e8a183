"""The releases directory: uploaded versions and their settings."""
