"""The decision: which version a request gets, and why."""
