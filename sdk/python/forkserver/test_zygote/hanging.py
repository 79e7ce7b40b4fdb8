"""Where a test hangs: when it is stopped, its Python stacks are left as those
of a crash are, and come to the exit record."""

import faulthandler

from forkserver.originals import os, signal
from forkserver.zygote_host import crash_reports


def tell_where() -> None:
    """In a worker. A handler that the test installs takes its place, and is
    what signal.getsignal() knows of."""
    if crash_reports.file_of_worker is None:
        return
    faulthandler.register(signal.SIGTERM, crash_reports.file_of_worker,
                          all_threads=True, chain=True)
    # A child of the test that is stopped is no business of ours.
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    faulthandler.unregister(signal.SIGTERM)
