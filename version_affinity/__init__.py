"""Gradual front-end rollouts for WSGI applications, in which no page ever misses a file of its own.

Theory of operation
===================

**Versions and builds.** A version is an id and an immutable front-end build (or any WSGI application). A build is
loaded once: ``assets`` reads its files, hashes them, finds out which names are fingerprinted, and computes for every
path which file is shown there. ``assets`` knows nothing of versions.

**The state.** Requests read one object, ``rollout.state.State``: the known versions, the deployment (a name and the
percentages of versions), and everything that follows from both. A ``State`` never changes. ``deploy``, ``add``,
``retire`` and a new entry in a deployment log make the next one, and ``rollout.rollout.Rollout`` replaces it in one
assignment while requests run. Two parts of a state do most of the work:

* ``rollout.catalog.Catalog`` compares the files of all known versions: which files are served by name, which names
  collide, which file stands in for a missing one, and where all versions answer alike.
* ``decision.decider.Decider`` gives each request a version. The order of evidence is a table for each kind of request.

**A request** takes five steps in ``middleware.VersionAffinity``:

1. Serve by name. A fingerprinted file with the same bytes in all versions that have it is sent to anyone.
2. Decide. ``decision.request`` finds the kind of the request; the decider goes through overrides, the pin, keys and
   buckets, and ``hashing`` turns a key into a version (``wrh-1``).
3. Paths that match ``app_first`` go to the wrapped application.
4. ``responses.route`` says what the path means under the decision: a file of that version, a rescue, the single-page
   document, a 404, or the wrapped application. ``responses.serve`` and ``responses.applications`` send it.
5. Finish. ``responses.headers`` holds the caching headers, ``Vary`` and the trace of each decision, computed once;
   ``responses.finish`` completes the responses of applications and sets the affinity cookie on pages.

``VersionAffinity.explain`` takes the same steps without sending anything.

**Releases.** ``Releases`` is a source of versions and deployments that change while the application runs:
``releases.store`` keeps the uploaded builds in a directory, ``releases.log`` keeps the deployments, one entry each, in
a file or a Redis stream, and ``releases.follow`` is the thread that follows both and hands over snapshots, from which
``State`` is made. The command line (``cli``) writes the directory and the log, and ``checking`` finds references in a
build that lead nowhere. The request path imports none of these.

**Watching.** ``counters`` counts in each process. The follower's thread writes what it has counted as a worker report
(``releases.reports``), and commands and ``metrics`` add the reports of all workers up. A guarded ramp is a plan in the
deployment log: ``ramp.next_entry`` says what the log's next entry is, from log, reports and clock alone, and
``releases.follow.guard`` writes it.

**Invariants.** Each one is a property test.

* No skew: a page never gets a file of another version, unless the file has the same bytes.
* The shares of users are the percentages exactly; a ramp moves users in one direction, and a rollback returns them.
* No response that a shared cache may keep depends on the cookie, the key, an override or ``Sec-Fetch-*``.
* No bytes of a request raise an exception, leave the build directory, or take more than linear time.
* A failed reload, a deleted file or an unreachable log changes nothing: the last good state keeps serving.
* PEP 3333 holds: the iterable of the wrapped application is returned as it is.

**What is public.** The names in ``__all__`` of ``version_affinity``, ``version_affinity.flask``,
``version_affinity.django`` and ``version_affinity.metrics``. All other modules are private, and may change in any
release.
"""

from .assets.handover import XAccelRedirect, XSendfile
from .assets.loading.placeholder import MissingBuild
from .assets.routing import HtmlHandling, NotFoundHandling
from .assets.static import StaticAssets
from .counters import Counts
from .decision.decider import Decision, Step
from .decision.keys import Cookie, Header
from .decision.overrides import sign_override
from .deployment import Deployment
from .errors import ConfigurationError
from .middleware import VersionAffinity
from .releases import Releases
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
    "HtmlHandling",
    "MissingBuild",
    "NotFoundHandling",
    "Releases",
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
