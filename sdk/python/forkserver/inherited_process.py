"""What a worker takes over from its zygote besides memory, for test runners.

A worker has its client's environment, working directory and umask. Tests are to
have those that their modules and fixtures left in the zygote: all of it
(restore), or what these changed of what the client gives (restore_changes). But
for FORKSERVER_WORKER, which is the worker's own.
"""

from typing import Dict, NamedTuple, Optional

from forkserver import inherited_descriptors
from forkserver.originals import gc, os, time
from forkserver.protocol import WORKER_VARIABLE


class _State(NamedTuple):
    environment: Dict[str, str]
    folder: Optional[str]
    umask: int


class _Changes(NamedTuple):
    environment: Dict[str, Optional[str]]  # None: it was removed
    folder: Optional[str]  # None: it is the same
    umask: Optional[int]  # the same


_before: Optional[_State] = None
_state: Optional[_State] = None
_changes = _Changes({}, None, None)


def begin() -> None:
    """In the zygote, before anything is loaded; in one that was forked from
    it too, before restore_changes()."""
    global _before  # pylint: disable=global-statement
    _before = _now()


def remember() -> None:
    """In the zygote, when everything is loaded."""
    global _state, _changes  # pylint: disable=global-statement
    _state = _now()
    if _before is not None:
        _changes = _compare(_before, _state)


def restore() -> None:
    """In a worker, or in a zygote that was forked from that one. First of all:
    the numbers of descriptors that modules have are not to be taken."""
    inherited_descriptors.restore()
    if _state is None:
        return
    gone = set(os.environ).difference(_state.environment, [WORKER_VARIABLE])
    _become(_Changes({**dict.fromkeys(gone), **_state.environment},
                     _state.folder, _state.umask))


def restore_changes() -> None:
    """The same, of what has changed between begin() and remember()."""
    inherited_descriptors.restore()
    _become(_changes)


def thaw() -> None:
    """In a worker: the garbage collector knows again what its zygote froze.
    Tests ask it for that, and libraries do (gc.get_referrers)."""
    gc.unfreeze()


def _become(changes: _Changes) -> None:
    time_zone = os.environ.get("TZ")
    for name, value in changes.environment.items():
        if value is None:
            os.environ.pop(name, None)
        elif os.environ.get(name) != value:
            os.environ[name] = value
    if os.environ.get("TZ") != time_zone:
        time.tzset()
    if changes.folder is not None:
        os.chdir(changes.folder)
    if changes.umask is not None:
        os.umask(changes.umask)


def _now() -> _State:
    try:
        folder: Optional[str] = os.getcwd()
    except OSError:
        folder = None
    environment = dict(os.environ)
    environment.pop(WORKER_VARIABLE, None)
    umask = os.umask(0o077)
    os.umask(umask)
    return _State(environment, folder, umask)


def _compare(before: _State, after: _State) -> _Changes:
    names = {*before.environment, *after.environment}
    return _Changes(
        {name: after.environment.get(name) for name in names
         if before.environment.get(name) != after.environment.get(name)},
        after.folder if after.folder != before.folder else None,
        after.umask if after.umask != before.umask else None)
