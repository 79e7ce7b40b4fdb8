"""What a zygote knows of itself, for functions that are called in its workers.

    client.zygote("shop", preload=["shop.models"]).call(preload_reports)
"""

from typing import Any, Callable, Dict, List, Optional

from forkserver.originals import os
from forkserver.zygote_host.preload import Preloader
from forkserver.zygote_host.sources import Stamp

# Of this process, or of the zygote that it was forked from.
preloader: Optional[Preloader] = None
# What this process does when it ends as a zygote: before exit functions and what
# Python shuts down before them, as the executors of concurrent.futures.
at_end: List[Callable[[], None]] = []
# What the test harness wants of it: Settings.tests.
tests: Optional[Dict[str, Any]] = None


def preload_reports() -> List[Dict[str, Any]]:
    """One for each step, those of parent zygotes first."""
    return _preloader().described


def source_stamps() -> Dict[str, Stamp]:
    """{path: (modification time in ns, size)} of what the zygote loaded."""
    return _preloader().sources.stamps


def threads() -> List[str]:
    """Those of the calling process but for the main one."""
    return [each.describe() for each in _preloader().threads()]


def _preloader() -> Preloader:
    if preloader is None:
        raise RuntimeError(f"process {os.getpid()} is no zygote's worker")
    return preloader
