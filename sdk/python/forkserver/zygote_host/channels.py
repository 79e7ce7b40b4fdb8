"""The descriptors that forkserverd leaves for a zygote."""

import resource
from typing import Dict, List, NamedTuple, Tuple

from forkserver.errors import make_error
from forkserver.originals import fcntl, os, socket

CONTROL_VARIABLE = "FORKSERVER_ZYGOTE_CONTROL_FD"
REPORT_VARIABLE = "FORKSERVER_ZYGOTE_REPORT_FD"
# forkserverd sets LD_BIND_NOW to this, unless the request has a value of its
# own.
_BIND_VALUE = "forkserver"


class Channels(NamedTuple):
    """`environment` is what the zygote was started with."""
    control: socket.socket
    report_fd: int
    environment: Dict[str, str]


def take_channels() -> Channels:
    """Takes both out of the environment. Raises Error."""
    fds = [_take(name) for name in (CONTROL_VARIABLE, REPORT_VARIABLE)]
    if os.environ.get("LD_BIND_NOW") == _BIND_VALUE:
        del os.environ["LD_BIND_NOW"]
    return Channels(socket.socket(fileno=move_up(fds[0])), move_up(fds[1]),
                    dict(os.environ))


def started_by_daemon() -> bool:
    return CONTROL_VARIABLE in os.environ or REPORT_VARIABLE in os.environ


def _take(variable: str) -> int:
    value = os.environ.pop(variable, None)
    if value is None:
        raise make_error("zygote_failed", f"{variable} is not set",
                         hint="forkserverd starts zygotes: "
                         "forkserver zygote start NAME -- python3 -m "
                         "forkserver.zygote_host")
    try:
        fd = int(value)
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except (ValueError, OSError):
        raise make_error("zygote_failed",
                         f"{variable}={value} is not an open descriptor"
                        ) from None
    return fd


def move_up(fd: int) -> int:
    """The same descriptor under a high number, close-on-exec.

    Requests place descriptors under the client's own numbers, and preloaded
    modules close "everything from 3": both are about low ones.
    """
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _first_high_number())
    os.close(fd)
    return moved


def _first_high_number() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        soft = 2048
    return max(3, min(960, soft // 2))


def high_pipe() -> Tuple[int, int]:
    """A non-blocking pipe with high numbers."""
    ends: List[int] = [move_up(fd) for fd in os.pipe()]
    for fd in ends:
        os.set_blocking(fd, False)
    return ends[0], ends[1]
