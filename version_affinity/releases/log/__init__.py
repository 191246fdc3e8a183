"""The deployment log: entries, and where they are stored."""
