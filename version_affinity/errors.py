"""Errors that are raised when something is configured, never on a request."""


class ConfigurationError(ValueError):
    """A setting cannot be used; the message names the field, the value and the remedy."""
