"""How a child ended, seen before it is reaped.

As long as it is not reaped its pid cannot mean another process, which is why
its end is reported first. os.waitid() has no resource usage; the raw call of
Linux has, as its fifth argument. Where it cannot be made (macOS, an
architecture that is not listed) the usage is reported as zero.
"""

import ctypes
import platform
from typing import NamedTuple, Optional

from forkserver.originals import os
from forkserver.zygote_host import system

_SYS_WAITID = {
    "x86_64": 247,
    "aarch64": 95,
    "riscv64": 95,
    "ppc64le": 272,
    "s390x": 281,
}.get(platform.machine()) if system.LINUX else None
# The kernel's siginfo_t of a 64-bit process, in ints.
_CODE, _PID, _STATUS = 2, 4, 6
# macOS: <sys/signal.h>, <sys/wait.h>.
_DARWIN_PID, _DARWIN_STATUS = 3, 5
_P_ALL, _P_PID = 0, 1
_WNOHANG = os.WNOHANG
_WEXITED = 4
_WNOWAIT = 0x20 if not system.LINUX else 0x01000000
_CLD_EXITED, _CLD_DUMPED = 1, 3

_info = (ctypes.c_int * 32)()
_usage = (ctypes.c_long * 18)()
_INFO_ADDRESS = ctypes.addressof(_info)
_USAGE_ADDRESS = ctypes.addressof(_usage)


class ChildEnd(NamedTuple):
    """`code` or `signal` is None."""
    pid: int
    code: Optional[int]
    signal: Optional[int]
    core: bool
    max_rss_bytes: int = 0
    user_us: int = 0
    system_us: int = 0


def peek_ended_child(pid: int = 0, block: bool = False) -> Optional[ChildEnd]:
    """A child (0: any one) that has ended and is not reaped, or None."""
    which = _P_PID if pid else _P_ALL
    options = _WEXITED | _WNOWAIT | (0 if block else _WNOHANG)
    try:
        if _SYS_WAITID is not None and ctypes.sizeof(ctypes.c_long) == 8:
            return _peek_linux(which, pid, options)
        if hasattr(os, "waitid"):
            return _peek_portable(which, pid, options)
        return _peek_darwin(which, pid, options)
    except ChildProcessError:
        return None


def _peek_linux(which: int, pid: int, options: int) -> Optional[ChildEnd]:
    _info[_PID] = 0
    # pylint: disable=protected-access
    while system._SYSCALL(_SYS_WAITID, which, pid, _INFO_ADDRESS, options,
                          _USAGE_ADDRESS) < 0:
        if ctypes.get_errno() != 4:  # EINTR
            return None
    if _info[_PID] == 0:
        return None
    usage = tuple(_usage[:5])
    return _make(_info[_PID], _info[_CODE], _info[_STATUS],
                 usage[4] * 1024, usage[0] * 1000000 + usage[1],
                 usage[2] * 1000000 + usage[3])


def _peek_portable(which: int, pid: int, options: int) -> Optional[ChildEnd]:
    info = os.waitid(which, pid, options)
    if info is None or info.si_pid == 0:
        return None
    return _make(info.si_pid, info.si_code, info.si_status, 0, 0, 0)


def _peek_darwin(which: int, pid: int, options: int) -> Optional[ChildEnd]:
    _info[_DARWIN_PID] = 0
    libc = system._LIBC  # pylint: disable=protected-access
    while libc.waitid(which, pid, ctypes.byref(_info), options) < 0:
        if ctypes.get_errno() != 4:  # EINTR
            return None
    if _info[_DARWIN_PID] == 0:
        return None
    return _make(_info[_DARWIN_PID], _info[_CODE], _info[_DARWIN_STATUS],
                 0, 0, 0)


def _make(pid: int, code: int, status: int, max_rss_bytes: int, user_us: int,
          system_us: int) -> ChildEnd:
    if code == _CLD_EXITED:
        return ChildEnd(pid, status, None, False, max_rss_bytes, user_us,
                        system_us)
    return ChildEnd(pid, None, status, code == _CLD_DUMPED, max_rss_bytes,
                    user_us, system_us)


def reap(pid: int) -> None:
    """The child is gone after this, and its pid may be another's."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
