"""System calls that the os module lacks, by ctypes.

Everything here may run in a child that was forked a moment ago: nothing is
imported and no library is loaded after this module has been. Linux is run;
macOS is by reading. Where a call is missing there is a slower way, or none:
the docstrings say which.
"""

import ctypes
import errno
import platform
import struct
import sys
from typing import Dict, Iterable, List, Optional, Sequence

from forkserver.originals import os, signal

LINUX = sys.platform.startswith("linux")

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_PTRACER = 0x59616D61
_PR_SET_PTRACER_ANY = 0xFFFFFFFFFFFFFFFF
# The same on every architecture, as all calls since Linux 5.1.
_SYS_CLOSE_RANGE = 436
_MAX_FD = 0xFFFFFFFF
# sched_setattr(2) and sched_getattr(2), which no library has.
_SCHED_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}.get(
    platform.machine())
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}.get(platform.machine())
_IO_CLASSES = (None, "realtime", "best_effort", "idle")
_RESET_ON_FORK = 1
_SLICE_NS = 100_000  # the least that there is

if LINUX:
    _PRCTL = _LIBC.prctl
    _PRCTL.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    _SYSCALL = _LIBC.syscall
    _SYSCALL.argtypes = [ctypes.c_long] * 6
    _SYSCALL.restype = ctypes.c_long

_MMAP = _LIBC.mmap
_MMAP.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                  ctypes.c_int, ctypes.c_long]
_MMAP.restype = ctypes.c_void_p
_PROT_READ_WRITE, _MAP_SHARED = 3, 1
_MADVISE = _LIBC.madvise
_MADVISE.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MADV_COLLAPSE = 25

if hasattr(_LIBC, "clearenv"):
    _CLEARENV = _LIBC.clearenv
else:
    _CLEARENV = None


def set_parent_death_signal(signal_number: int, parent: int) -> bool:
    """This process gets the signal when `parent` ends.

    False if `parent` has ended already. macOS has nothing like it.
    """
    if not LINUX:
        return True
    if _PRCTL(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        return False
    return os.getppid() == parent


def stop_for_debugger() -> None:
    """Stops this process until a debugger of any process lets it go on."""
    if LINUX:
        _PRCTL(_PR_SET_PTRACER, _PR_SET_PTRACER_ANY, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


def set_cpus(cpus: Sequence[int]) -> None:
    """Exactly these: the system alone would take those of them that are there.
    Linux. Raises OSError."""
    os.sched_setaffinity(0, cpus)
    if os.sched_getaffinity(0) != set(cpus):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def set_io_priority(io_class: str, level: int) -> None:
    """Linux. Raises OSError."""
    if _SYS_IOPRIO_SET is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    value = _IO_CLASSES.index(io_class) << 13 | level
    if _SYSCALL(_SYS_IOPRIO_SET, 1, 0, value, 0, 0) != 0:
        _raise_errno()


def set_oom_score_adj(score: int) -> None:
    """Linux. Raises OSError."""
    file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    try:
        os.write(file, str(score).encode())
    finally:
        os.close(file)


def set_no_new_privs() -> None:
    """Linux. Raises OSError."""
    if _PRCTL(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        _raise_errno()


def _raise_errno() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def prefer_short_slices() -> None:
    """This process shall run soon when it wakes up, rather than long: a child
    that computes does not keep it from answering. Children have the system's
    default again. Does nothing where the system has no such thing (Linux has it
    since 6.12), or if the niceness is negative: children would lose it."""
    if not LINUX or _SCHED_CALLS is None:
        return
    set_call, get_call = _SCHED_CALLS
    # size, policy, flags, nice, priority, and in ns runtime, deadline, period
    layout = struct.Struct("=IIQiIQQQ")
    attributes = ctypes.create_string_buffer(layout.size)
    address = ctypes.addressof(attributes)
    if _SYSCALL(get_call, 0, address, layout.size, 0, 0) != 0:
        return
    _, policy, _, nice, *_ = layout.unpack(attributes.raw)
    if policy == 0 and nice >= 0:  # SCHED_OTHER
        layout.pack_into(attributes, 0, layout.size, 0, _RESET_ON_FORK, nice,
                         0, _SLICE_NS, 0, 0)
        _SYSCALL(set_call, 0, address, 0, 0, 0)


def close_all_but(kept: Iterable[int]) -> None:
    """Closes every other descriptor. Raises OSError."""
    first = 0
    for fd in sorted(set(kept)):
        if fd > first:
            _close_range(first, fd - 1)
        first = fd + 1
    _close_range(first, _MAX_FD)


def _close_range(first: int, last: int) -> None:
    if LINUX:
        if _SYSCALL(_SYS_CLOSE_RANGE, first, last, 0, 0, 0) == 0:
            return
        number = ctypes.get_errno()
        # Before Linux 5.9, and the seccomp filters of containers.
        if number not in (errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number))
    for fd in open_descriptors():
        if first <= fd <= last:
            try:
                os.close(fd)
            except OSError:
                pass  # that of the listing itself


def open_descriptors() -> List[int]:
    """Numbers, ascending; that of the listing itself may be among them."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sorted(int(name) for name in os.listdir(folder))
        except OSError:
            continue
    import resource  # pylint: disable=import-outside-toplevel
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return list(range(min(soft, 65536)))


def c_environment() -> Optional[Dict[bytes, bytes]]:
    """What getenv(3) sees, which os.environ may not. None: unknown."""
    try:
        block = ctypes.POINTER(ctypes.c_char_p).in_dll(_LIBC, "environ")
    except ValueError:
        return None
    found: Dict[bytes, bytes] = {}
    index = 0
    while block and block[index] is not None:
        name, equals, value = block[index].partition(b"=")
        if equals:
            found.setdefault(name, value)
        index += 1
    return found


def clear_c_environment() -> bool:
    """Drops every variable of libc, not of os.environ. False: cannot."""
    return _CLEARENV is not None and _CLEARENV() == 0


def resident_bytes() -> int:
    """Memory of this process. 0: unknown."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource  # pylint: disable=import-outside-toplevel
        # macOS: the peak, in bytes. A growth of it is one all the same.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def trim_memory() -> None:
    """Gives what malloc(3) has and does not use back to the system."""
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)


def collapse_pages(address: int, size: int) -> None:
    """Moves memory into huge pages, where there are some to be had. Linux 6.1
    or later."""
    _MADVISE(address, size, _MADV_COLLAPSE)


def map_shared(fd: int, size: int) -> memoryview:
    """Memory that is shared with whoever has mapped the file. It stays as
    long as the process; an object of the module mmap would keep a copy of
    `fd` open, and close a number that is another's in a forked child. Raises
    OSError."""
    address = _MMAP(None, size, _PROT_READ_WRITE, _MAP_SHARED, fd, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")
