"""Python takes a .pyc file for that of its source if time (whole seconds) and
size of that are the same. Of a source that is changed twice within a second it
may run what is no more there: so none is written for one that is that new."""

import importlib.machinery
import os
import sys
import time
from typing import Any

_RECENT_SECONDS = 3.0


def never_keep_recent() -> None:
    """For this process and what is forked from it."""
    loader: Any = importlib.machinery.SourceFileLoader
    write = loader._cache_bytecode  # pylint: disable=protected-access

    def write_unless_recent(self: Any, source_path: str, bytecode_path: str,
                            data: Any) -> None:
        if not is_recent(source_path):
            write(self, source_path, bytecode_path, data)

    loader._cache_bytecode = write_unless_recent


def never_keep_recent_rewritten() -> None:
    """The same of what pytest makes of test modules."""
    # pylint: disable-next=import-outside-toplevel
    from _pytest.assertion import rewrite
    write: Any = getattr(rewrite, "_write_pyc", None)
    if write is None:
        sys.dont_write_bytecode = True  # another version of pytest
        return

    def write_unless_recent(state: Any, code: Any, source_stat: Any,
                            path: Any) -> Any:
        if _is_recent(source_stat.st_mtime):
            return False
        return write(state, code, source_stat, path)

    rewrite._write_pyc = write_unless_recent


def is_recent(path: str) -> bool:
    try:
        return _is_recent(os.stat(path).st_mtime)
    except OSError:
        return True


def _is_recent(mtime: float) -> bool:
    return time.time() - mtime < _RECENT_SECONDS
