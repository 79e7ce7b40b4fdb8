"""What a worker takes over from its zygote besides memory, for test runners.

A worker has its client's environment and working directory. Tests are to have
those that their modules and fixtures left in the zygote.
"""

import os
from typing import Dict, NamedTuple, Optional


class _State(NamedTuple):
    environment: Dict[str, str]
    folder: Optional[str]


_state: Optional[_State] = None


def remember() -> None:
    """In the zygote, when everything is loaded."""
    global _state  # pylint: disable=global-statement
    try:
        folder: Optional[str] = os.getcwd()
    except OSError:
        folder = None
    _state = _State(dict(os.environ), folder)


def restore() -> None:
    """In a worker, or in a zygote that was forked from that one."""
    if _state is None:
        return
    for name in set(os.environ).difference(_state.environment):
        del os.environ[name]
    for name, value in _state.environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if _state.folder is not None:
        os.chdir(_state.folder)
