"""Parsers that find references in HTML, CSS, JavaScript and manifests."""
