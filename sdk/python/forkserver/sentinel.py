"""A descriptor that becomes readable when a process has ended.

For select, poll, asyncio and multiprocessing.connection.wait. Of any process
of this user, not only of a child: a pidfd on Linux (5.3), a kqueue on macOS.
"""

import ctypes
import errno
import os
import select
import sys
from typing import Any

from forkserver.errors import system_error

# The same on every architecture, as all calls since Linux 5.1.
_SYS_PIDFD_OPEN = 434


def open_sentinel(pid: int) -> int:
    """A close-on-exec descriptor of the caller's, which is readable at once
    if there is no such process any more. Raises SystemCallFailed."""
    try:
        if sys.platform.startswith("linux"):
            return _open_pidfd(pid)
        return _open_kqueue(pid)
    except ProcessLookupError:
        return ended_sentinel()
    except OSError as error:
        raise system_error("pidfd_open()", error) from None


def ended_sentinel() -> int:
    """One that is readable at once."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end


def _open_pidfd(pid: int) -> int:
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(ctypes.c_long(_SYS_PIDFD_OPEN), ctypes.c_long(pid),
                      ctypes.c_long(0))
    if fd >= 0:
        return int(fd)
    number = ctypes.get_errno()
    if number == errno.ESRCH:
        raise ProcessLookupError(number, os.strerror(number))
    raise OSError(number, os.strerror(number))


def _open_kqueue(pid: int) -> int:
    # By reading: this has been run on no macOS.
    module: Any = select
    queue = module.kqueue()
    try:
        queue.control([module.kevent(pid, module.KQ_FILTER_PROC,
                                     module.KQ_EV_ADD,
                                     module.KQ_NOTE_EXIT)], 0)
        return os.dup(queue.fileno())
    finally:
        queue.close()
