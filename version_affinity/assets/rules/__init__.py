"""The rule files that a build may contain, as Cloudflare and Netlify have them: ``_redirects`` and ``_headers``."""
