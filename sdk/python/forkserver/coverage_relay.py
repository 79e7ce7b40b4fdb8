"""coverage.py of a test run that is measured, in its zygote and workers.

For `coverage run -p -m forkserver.unittest` and `coverage run -p -m pytest
--forkserver N`: each process writes a data file of its own, for `coverage
combine`. Does nothing where nothing is measured.
"""

import atexit
import sys
from typing import Any, Optional

from forkserver.originals import pickle


def describe() -> Optional[bytes]:
    """In the main process: how it is measured, for start()."""
    cov = _current()
    if cov is None:
        return None
    try:
        return pickle.dumps(cov.config)
    except Exception:  # pickle raises anything
        return None


def start(description: Optional[bytes]) -> None:
    """In the zygote, before anything is loaded. Its workers, forked later, are
    measured with it."""
    if description is None:
        return
    import coverage  # pylint: disable=import-outside-toplevel
    cov: Any = coverage.Coverage(config_file=False, data_suffix=True)
    cov.config = pickle.loads(description)
    cov.config.parallel = True
    # Names of attributes of coverage.py since version 4.
    # pylint: disable=protected-access
    cov._warn_no_data = False
    cov._warn_unimported_source = False
    cov._warn_preimported_source = False
    cov.start()
    atexit.register(finish)


def finish() -> None:
    """At the end of a process that is measured: writes its data file. Once it
    is forked coverage chooses another name for it."""
    cov = _current()
    if cov is not None:
        # A test may run nothing of what is measured.
        cov._warn_no_data = False  # pylint: disable=protected-access
        cov.stop()
        cov.save()


def _current() -> Any:
    coverage: Any = sys.modules.get("coverage")
    find = getattr(getattr(coverage, "Coverage", None), "current", None)
    return find() if find is not None else None
