"""coverage.py in the workers.

With `concurrency = multiprocessing` it finds its way by itself: it patches the
preparation data and the bootstrap of multiprocessing, which workers have. With
`coverage run -p` alone it measures the first process only; its settings are
sent along then. Without -p the workers' files would never be combined, and
nothing is measured.
"""

import contextlib
import copy
import multiprocessing
import os
import pickle
import sys
from typing import Any, Iterator, Optional

from forkserver.django.channel import PROTOCOL

_PATCHED_MARKER = "_coverage$patched"


def describe() -> Optional[bytes]:
    """In the process that is measured: for measured(). None: it is not, or
    coverage.py looks after its children."""
    module: Any = sys.modules.get("coverage")
    if module is None or hasattr(multiprocessing, _PATCHED_MARKER):
        return None
    try:
        config = module.Coverage.current().config
        if not config.parallel:
            return None
        config = copy.copy(config)
        config.data_file = os.path.abspath(config.data_file)
        return pickle.dumps(config, PROTOCOL)
    except Exception:  # there is none, or it is made in another way
        return None


@contextlib.contextmanager
def measured(description: Optional[bytes]) -> Iterator[None]:
    """In a worker: runs a block and saves what was measured."""
    if description is None:
        yield
        return
    import coverage  # type: ignore[import-untyped,import-not-found]
    config = pickle.loads(description)
    measuring: Any = coverage.Coverage(data_file=config.data_file,
                                       data_suffix=True, config_file=False)
    measuring.config = config
    measuring._warn_preimported_source = False
    measuring.start()
    try:
        yield
    finally:
        measuring.stop()
        measuring.save()
