"""What a pool asks for is sent together, when its threads run.

Sent one by one, the first workers would take the processors while the program
still makes its pool, and each of its threads waits for its turn.
"""

import functools
from multiprocessing import pool
from typing import Any, Callable

from forkserver.multiprocessing.batch import sent_together


def _together(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        with sent_together():
            return function(*args, **options)
    return call


def install() -> None:
    """Once, for all pools of the program. Those of other start methods do as
    before: only requests to forkserverd can wait."""
    kind: Any = pool.Pool
    kind.__init__ = _together(kind.__init__)
    # Of those that have ended, too.
    kind._repopulate_pool_static = staticmethod(
        _together(kind._repopulate_pool_static))
