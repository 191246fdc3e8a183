"""Gradual front-end rollouts for WSGI applications, in which no page ever misses a file of its own."""

from ._version import __version__
from .assets.handover import XAccelRedirect, XSendfile
from .assets.static import StaticAssets
from .counters import Counts
from .decision import Decision, Step
from .deployment import Deployment
from .errors import ConfigurationError
from .explanation import Explanation
from .keys import Cookie, Header
from .middleware import VersionAffinity
from .override_links import override_link
from .overrides import sign_override
from .releases import Releases, Retention
from .tags import asset_tags, asset_url, current_version
from .version import Version

__all__ = [
    "ConfigurationError",
    "Cookie",
    "Counts",
    "Decision",
    "Deployment",
    "Explanation",
    "Header",
    "Releases",
    "Retention",
    "StaticAssets",
    "Step",
    "Version",
    "VersionAffinity",
    "XAccelRedirect",
    "XSendfile",
    "__version__",
    "asset_tags",
    "asset_url",
    "current_version",
    "override_link",
    "sign_override",
]
