"""The command ``version-affinity``. Nothing else of the package imports it."""
