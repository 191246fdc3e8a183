"""Gradual front-end rollouts for WSGI applications, in which no page ever misses a file of its own."""

from .assets.handover import XAccelRedirect, XSendfile
from .assets.static import StaticAssets
from .counters import Counts
from .decision.decider import Decision, Step
from .decision.keys import Cookie, Header
from .decision.overrides import sign_override
from .deployment import Deployment
from .errors import ConfigurationError
from .middleware import VersionAffinity
from .releases import Releases, Retention
from .responses.explanation import Explanation
from .responses.override_links import override_link
from .rollout.version import Version
from .templating import asset_tags, asset_url, current_version

__version__ = "0.2.0"

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
