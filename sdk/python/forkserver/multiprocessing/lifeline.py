"""How the processes of processes end with the program.

The daemon stops the workers of a client that is gone. A process that another
process of the program started is no worker of the program's own client, and
must survive the one that started it: Process.terminate() "will not terminate
descendant processes". It is a detached worker, and has the reading end of a
pipe whose writing end only the program itself has: when that closes, the
kernel kills it.
"""

import fcntl
import os
import select
import signal
from typing import Optional, Tuple

# Elsewhere such a process ends with the one that started it.
SUPPORTED = hasattr(fcntl, "F_SETSIG") and os.path.isdir("/proc/self/fd")


def end_with_program(fd: int) -> None:
    """SIGKILL for this process as soon as the other end of the pipe is
    closed. Without a thread: by signal-driven input. Raises OSError."""
    # An open file of its own: who gets the signal is an attribute of that.
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(own, fcntl.F_GETFL)
    fcntl.fcntl(own, fcntl.F_SETFL, flags | os.O_ASYNC)
    poll = select.poll()
    poll.register(own, 0)
    if poll.poll(0):
        # It was closed before.
        os.kill(os.getpid(), signal.SIGKILL)


class Lifeline:
    """The pipe of a program, made when it is needed. A forked child has one
    of its own."""

    def __init__(self) -> None:
        self._fds: Optional[Tuple[int, int]] = None
        os.register_at_fork(after_in_child=self._drop)

    def reading_end(self) -> int:
        """Borrowed."""
        if self._fds is None:
            self._fds = os.pipe()
        return self._fds[0]

    def _drop(self) -> None:
        # A child that kept it open would outlive the program with it.
        fds, self._fds = self._fds, None
        for fd in fds or ():
            os.close(fd)
