"""Django sees the start method "fork", whatever multiprocessing has.

How many processes it proposes, and what it does to clones of sqlite databases,
depends on the name of the start method, which macOS and Python 3.14 set to
others. Its tests are run as if this process had been forked, so "fork" is what
it is told. Only the function that Django asks is replaced: processes that tests
start themselves are started as the project wants it.
"""

import contextlib
import multiprocessing
from typing import Any, Iterator

METHOD = "fork"


def _get_start_method(*_: Any, **__: Any) -> str:
    return METHOD


def pretend_fork() -> None:
    """For the rest of this process."""
    multiprocessing.get_start_method = _get_start_method  # type: ignore


@contextlib.contextmanager
def fork_pretended() -> Iterator[None]:
    """While it is entered; may be nested."""
    original = multiprocessing.get_start_method
    pretend_fork()
    try:
        yield
    finally:
        multiprocessing.get_start_method = original  # type: ignore
