"""The HTTP rules of static files (RFC 9110), without I/O: conditions, ranges, compressed forms, and responses."""
