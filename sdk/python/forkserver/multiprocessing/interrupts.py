"""Ctrl-C reaches the processes too.

A terminal interrupts its foreground process group. Processes of "fork" and
"forkserver" are in it; workers of forkserverd are in groups and a session of
their own. So a program on a terminal passes its SIGINT on: when it starts a
process, a function that does so takes its place before the handler that is
there, which it then calls. Without a terminal nothing is done, as `kill -INT`
to one process is for that process alone.
"""

import os
import signal
import threading
import weakref
from typing import Any

from forkserver.multiprocessing import worker

_processes: "weakref.WeakSet[Any]" = weakref.WeakSet()


class _Forwarder:
    """A handler of SIGINT, in front of another one."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._pid = os.getpid()

    def __call__(self, number: int, frame: Any) -> None:
        if self._pid == os.getpid():
            for popen in list(_processes):
                popen.interrupt_if_started(number)
        self._handler(number, frame)


def forward_to(popen: Any) -> None:
    """`popen` is sent the SIGINT that this process gets, as long as it is
    there. Does nothing outside of the main thread, or where this process
    ignores SIGINT or leaves it to the system."""
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or not _is_interrupted_by_others():
        return
    _processes.add(popen)
    if not isinstance(handler, _Forwarder):
        signal.signal(signal.SIGINT, _Forwarder(handler))


def _is_interrupted_by_others() -> bool:
    """By a terminal, or by the process that started this one."""
    if worker.active:
        return True
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False  # there is no controlling terminal
    os.close(fd)
    return True
