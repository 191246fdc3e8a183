"""One front-end build as files: indexed, routed and served. Knows nothing of versions."""

from .loading.compress import compress

__all__ = ["compress"]
