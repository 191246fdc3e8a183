"""Template tags: ``{% load version_affinity %}``."""
