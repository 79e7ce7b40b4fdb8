"""What a new process is to be: the caller's own where nothing is said."""

import errno
import fcntl
import os
import subprocess
import sys
from typing import (Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union)

from forkserver.errors import (BadDescriptor, BadRequest, TooManyDescriptors,
                               system_error)
from forkserver.protocol import MAX_FDS
from forkserver.protocol.framing import close_all
from forkserver.protocol.messages import IoPriority, LimitMap, Setup
from forkserver.protocol.text import to_text

StrOrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
# A number, or something with fileno().
Descriptor = Union[int, Any]

_LIMIT_NAMES = ("as", "core", "cpu", "data", "fsize", "memlock", "nofile",
                "nproc", "stack")
_LINUX_LIMIT_NAMES = ("locks", "msgqueue", "nice", "rss", "rtprio", "rttime",
                      "sigpending")
_STREAMS = ("stdin", "stdout", "stderr")


def texts(values: Any, what: str) -> List[str]:
    """A sequence of texts; a string is not taken for one of letters."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise BadRequest(f"{what} must be a list of strings, not "
                         f"{type(values).__name__}")
    return [
        to_text(each, f"{what}[{index}]") for index, each in enumerate(values)
    ]


def program(argv: Any) -> List[str]:
    """An argv that names a program."""
    words = texts(argv, "argv")
    if not words:
        raise BadRequest("argv is empty: there is no program")
    if not words[0]:
        raise BadRequest("argv[0] is empty")
    return words


def make_setup(argv: List[str], env: Optional[Mapping[Any, Any]],
               cwd: Optional[StrOrPath], umask: Optional[int],
               limits: Optional[Mapping[str, Any]], nice: Optional[int],
               group: str, cpus: Sequence[int] = (), io_priority: Any = None,
               oom_score_adj: Optional[int] = None,
               no_new_privs: bool = False) -> Setup:
    """A setup without descriptors. Raises BadRequest, SystemCallFailed."""
    return Setup(argv=argv,
                 env=_environment(env),
                 cwd=(_own_working_directory() if cwd is None else
                      absolute_path(cwd, "cwd")),
                 umask=_own_umask() if umask is None else _mask(umask),
                 limits=_limits(limits),
                 nice=nice,
                 cpus=_cpus(cpus),
                 io_priority=_io_priority(io_priority),
                 oom_score_adj=oom_score_adj,
                 no_new_privs=no_new_privs,
                 group=group)


def _environment(env: Optional[Mapping[Any, Any]]) -> List[str]:
    if env is None:
        return [
            (name + b"=" + value).decode("utf-8", "surrogateescape")
            for name, value in os.environb.items()
        ]
    if not isinstance(env, Mapping):
        raise BadRequest("env must be a mapping of names to values, not "
                         f"{type(env).__name__}")
    entries = []
    for name, value in env.items():
        name = to_text(name, "a name in env")
        if not name or "=" in name:
            raise BadRequest(f"env: {name!r} is no name of a variable")
        entries.append(f"{name}={to_text(value, f'env[{name!r}]')}")
    return entries


def absolute_path(path: StrOrPath, name: str) -> str:
    """A path from the caller's working directory. `name`: of the argument."""
    text = to_text(path, name)
    if not text:
        raise BadRequest(f"{name} is empty")
    if text.startswith("/"):
        return text
    return os.path.join(_own_working_directory(), text)


def _own_working_directory() -> str:
    try:
        return to_text(os.getcwdb(), "the working directory")
    except OSError as error:
        raise system_error("getcwd()", error) from None


def _mask(umask: Any) -> int:
    if isinstance(umask, bool) or not isinstance(umask, int):
        raise BadRequest(
            f"umask must be an integer, not {type(umask).__name__}")
    if not 0 <= umask <= 0o777:
        raise BadRequest(f"umask is not between 0 and 0o777: {umask:#o}")
    return umask


def _own_umask() -> int:
    # Not by umask(2), which changes it for a moment, and for other threads.
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            head = file.read(512)
        return int(head.partition(b"\nUmask:")[2].split(None, 1)[0], 8)
    except (OSError, ValueError, IndexError):
        mask = os.umask(0o077)
        os.umask(mask)
        return mask


def _limits(limits: Optional[Mapping[str, Any]]) -> LimitMap:
    known: Tuple[str, ...] = _LIMIT_NAMES
    result: LimitMap = {}
    if sys.platform == "darwin":
        # The daemon cannot read the limits of another process there.
        import resource
        for name in known:
            limit = getattr(resource, "RLIMIT_" + name.upper(), None)
            if limit is not None:
                soft, hard = resource.getrlimit(limit)
                result[name] = (_finite(soft), _finite(hard))
    else:
        known += _LINUX_LIMIT_NAMES
    if limits is None:
        return result
    if not isinstance(limits, Mapping):
        raise BadRequest("limits must be a mapping of names to limits, not "
                         f"{type(limits).__name__}")
    for name, limit in limits.items():
        if name not in known:
            raise BadRequest(f"limits: this system has no limit {name!r}",
                             hint="one of " + ", ".join(sorted(known)))
        result[name] = _limit(name, limit)
    return result


def _cpus(cpus: Any) -> List[int]:
    if isinstance(cpus, (list, tuple, range, set, frozenset)):
        return sorted(cpus)
    raise BadRequest("cpus must be a list or set of numbers, not "
                     f"{type(cpus).__name__}")


def _io_priority(value: Any) -> Optional[IoPriority]:
    if value is None or isinstance(value, IoPriority):
        return value
    if isinstance(value, str):
        return IoPriority(io_class=value)
    if isinstance(value, tuple) and len(value) == 2:
        return IoPriority(*value)
    raise BadRequest("io_priority must be a class or (class, level), not "
                     f"{value!r}")


def _finite(limit: int) -> int:
    return limit if 0 <= limit < 1 << 62 else -1


def _limit(name: str, limit: Any) -> Tuple[int, int]:
    pair = limit if isinstance(limit, (tuple, list)) else (limit, limit)
    if len(pair) != 2 or not all(
            isinstance(each, int) and not isinstance(each, bool)
            for each in pair):
        raise BadRequest(f"limits[{name!r}] must be a number or a pair (soft, "
                         f"hard), not {limit!r}")
    return pair[0], pair[1]


def descriptor(value: Descriptor, what: str) -> int:
    """The number of a descriptor, or of what has one."""
    if isinstance(value, bool):
        raise BadDescriptor(f"{what} must be a descriptor, not a boolean")
    if not isinstance(value, int):
        try:
            value = value.fileno()
        except (AttributeError, OSError, ValueError) as error:
            raise BadDescriptor(
                f"{what} must be an open descriptor or have one by fileno(), "
                f"not {value!r}: {error}") from None
    return int(value)


class FdTable:
    """Copies of descriptors for one request, with their places in a worker.

    Copies, so that the caller may do as he likes with his own once a call has
    been interrupted or cancelled. close() unless they have been handed over.
    """

    # There even if an interrupted __init__ has not come to it.
    fds: List[int] = []

    def __init__(self) -> None:
        self.fds = []
        self.placements: List[Tuple[int, int]] = []
        self._places: Dict[int, str] = {}

    def close(self) -> None:
        fds, self.fds = self.fds, []
        close_all(fds)

    __del__ = close

    def place(self, child_fd: Any, fd: Descriptor, what: str) -> None:
        if isinstance(child_fd, bool) or not isinstance(child_fd, int):
            raise BadRequest(f"{what}: the worker's descriptor must be a "
                             f"number, not {child_fd!r}")
        if not 0 <= child_fd <= 65535:
            raise BadRequest(
                f"{what}: the worker cannot have a descriptor {child_fd}")
        if child_fd in self._places:
            raise BadDescriptor(f"descriptor {child_fd} of the worker is "
                                f"given by {self._places[child_fd]} and by "
                                f"{what}")
        index = self.add(fd, what)
        self._places[child_fd] = what
        self.placements.append((child_fd, index))

    def add(self, fd: Descriptor, what: str) -> int:
        """Its index in the frame."""
        number = descriptor(fd, what)
        if len(self.fds) >= MAX_FDS:
            raise TooManyDescriptors(
                f"one request can carry {MAX_FDS} descriptors, and {what} is "
                "one more", hint="pass a Unix socket, and send the others "
                "over it")
        try:
            self.fds.append(_copy(number))
        except OSError as error:
            raise system_error(
                f"{what}: descriptor {number}", error,
                "bad_descriptor" if error.errno == errno.EBADF else "system"
            ) from None
        return len(self.fds) - 1

    def place_all(self, fds: Optional[Mapping[int, Descriptor]],
                  streams: Sequence[Any]) -> None:
        """`streams`: for 0, 1 and 2 a descriptor, None for the caller's own,
        or DEVNULL or STDOUT of subprocess."""
        if fds is None:
            fds = {}
        elif not isinstance(fds, Mapping):
            raise BadRequest("fds must be a mapping {child_fd: fd}, not "
                             f"{type(fds).__name__}")
        for child_fd, stream in enumerate(streams):
            self._place_stream(child_fd, stream, streams, child_fd in fds)
        for child_fd, fd in fds.items():
            self.place(child_fd, fd, f"fds[{child_fd!r}]")

    def _place_stream(self, child_fd: int, stream: Any,
                      streams: Sequence[Any], named: bool) -> None:
        what = _STREAMS[child_fd]
        if stream is None:
            if not named and _is_open(child_fd):
                self.place(child_fd, child_fd, what)
        elif stream == subprocess.DEVNULL:
            pass
        elif stream == subprocess.STDOUT and child_fd == 2:
            self._place_stream_like_stdout(streams[1])
        elif isinstance(stream, int) and stream < 0:
            raise BadRequest(f"{what} cannot be {stream}: give a descriptor, "
                             "DEVNULL or None",
                             hint="for a pipe, give an end of os.pipe()")
        else:
            self.place(child_fd, stream, what)

    def _place_stream_like_stdout(self, stdout: Any) -> None:
        if stdout == subprocess.DEVNULL:
            return
        if stdout is not None or _is_open(1):
            self.place(2, 1 if stdout is None else stdout, "stderr")


def _copy(fd: int) -> int:
    # Never 0, 1 or 2, where a program that closed its own would find it.
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def fingerprint(setup: Setup) -> str:
    """Of the program of a zygote: its file, size and time; "" if there is
    none. As execve(2) of the new process will see it, after its chdir(2)."""
    if not setup.argv:
        return ""
    name = setup.argv[0]
    folders = [""]
    if "/" not in name:
        path = next((each[5:] for each in setup.env
                     if each.startswith("PATH=")), "/bin:/usr/bin")
        folders = path.split(":")
    for folder in folders:
        path = os.path.join(setup.cwd, folder, name)
        data = path.encode("utf-8", "surrogateescape")
        if os.path.isfile(data) and os.access(data, os.X_OK):
            info = os.stat(data)
            return (f"{path}:{info.st_dev}:{info.st_ino}:{info.st_size}:"
                    f"{info.st_mtime_ns}")
    return ""
