"""From a decision to a response."""
