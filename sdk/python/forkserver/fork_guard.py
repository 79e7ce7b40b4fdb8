"""A forked child must not use its parent's connections, nor keep them open."""

import os
import weakref
from typing import Any, Dict

from forkserver.errors import UseAfterFork

_guarded: "Dict[int, weakref.ref[Any]]" = {}


def guard(owner: Any) -> None:
    """Calls `owner.abandon()` in each forked child of this process, as long
    as there is the owner."""
    key = id(owner)
    _guarded[key] = weakref.ref(owner, lambda _: _guarded.pop(key, None))


def check_owner(pid: int) -> None:
    """Raises UseAfterFork unless `pid` is this process: also after a raw
    clone, of which nobody is told."""
    if pid != os.getpid():
        raise UseAfterFork(
            f"this client belongs to process {pid}, from which this one was "
            "forked", hint="connect again in the child: forkserver.connect()")


def _abandon_all() -> None:
    for reference in list(_guarded.values()):
        owner = reference()
        if owner is not None:
            owner.abandon()
    _guarded.clear()


os.register_at_fork(after_in_child=_abandon_all)
