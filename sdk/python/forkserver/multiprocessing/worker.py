"""A process of multiprocessing, as the entry of a zygote's worker."""

import atexit
import io
import os
import pickle
import sys
from multiprocessing import process, resource_tracker, spawn
from typing import Any, Dict, List, NamedTuple

from forkserver.multiprocessing import lifeline, main_code
from forkserver.multiprocessing.context import default_context
from forkserver.sentinel import open_sentinel
from forkserver.zygote_host.context import WorkerContext

# Descriptor 3 is the resource tracker's, 4 the lifeline of the program; then
# come those that pickled objects refer to, and one with the pickles if they
# are too long for the request.
TRACKER_FD = 3
LIFELINE_FD = 4
FIRST_FD = 5

# Whether this process is one; it has the end of the lifeline then.
active = False
lifeline_fd = -1


class Header(NamedTuple):
    """What goes before the pickles of preparation data and process object.

    `fds`: how many descriptors they refer to. `payload_fd`: where the pickles
    are, or -1. `options`: of the context. `nested`: another process of
    multiprocessing has started it.
    """
    fds: int
    payload_fd: int
    options: Dict[str, Any]
    nested: bool


class DupFd:
    """Stands for a descriptor in a pickle."""

    def __init__(self, number: int) -> None:
        self.number = number

    def detach(self) -> int:
        """In the worker: the descriptor, now the caller's."""
        return self.number


def run(context: WorkerContext) -> int:
    """Its exit code."""
    global active, lifeline_fd
    stream: Any = io.BytesIO(context.args)
    header = Header(*pickle.load(stream))
    for fd in range(TRACKER_FD, FIRST_FD + header.fds):
        os.set_inheritable(fd, False)
    if header.payload_fd >= 0:
        stream = open(header.payload_fd, "rb")
        stream.seek(0)
    active = True
    lifeline_fd = LIFELINE_FD
    if header.nested:
        lifeline.end_with_program(lifeline_fd)
    _use_tracker(TRACKER_FD)
    default_context.inherit(header.options)

    with stream:
        current: Any = process.current_process()
        current._inheriting = True
        try:
            data = pickle.load(stream)
            main_path = data.pop("init_main_from_path", None)
            spawn.prepare(data)  # type: ignore[attr-defined]
            if main_path is not None:
                main_code.run_main(main_path)
            process_obj = pickle.load(stream)
        finally:
            del current._inheriting
    code: int = process_obj._bootstrap(open_sentinel(process_obj._parent_pid))
    if sys.version_info < (3, 13):
        # As with "fork" and "forkserver" before 3.13: _bootstrap() has run
        # what multiprocessing wants at the end, and nothing else is.
        atexit._clear()
    return code


def _use_tracker(fd: int) -> None:
    """That of the program: what a process makes may outlive it."""
    tracker: Any = resource_tracker._resource_tracker  # type: ignore
    tracker._fd = fd
    tracker._pid = None
