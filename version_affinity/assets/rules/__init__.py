"""The rule files of a build: ``_redirects`` and ``_headers``."""
