"""The example: a small shop whose front end is rolled out gradually. Start it with ``python -m example_app``."""
