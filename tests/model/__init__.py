"""The browser model, and the invariants that it checks."""
