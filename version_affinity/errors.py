"""Errors that are raised when something is configured, never on a request."""


def install(extra: str) -> str:
    """Return how an extra of this package is installed, for messages."""
    return f"pip install 'version_affinity[{extra}]' (in a clone: pip install '.[{extra}]')"


class ConfigurationError(ValueError):
    """A setting cannot be used; the message names the field, the value and the remedy."""
