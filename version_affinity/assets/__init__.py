"""One front-end build as files: indexed, routed and served. Knows nothing of versions."""
