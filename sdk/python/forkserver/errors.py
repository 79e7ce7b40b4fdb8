"""What can go wrong, as exceptions.

Every error that this package raises is a `forkserver.Error`, and has the
stable code that the daemon and every SDK use for it:

    try:
        worker = client.spawn(["no-such-program"])
    except forkserver.LaunchFailed as error:
        print(error.code, error.step, error.errno)  # launch_failed execve 2

A subclass stands for one code. A newer daemon may send a code that has no
class here: that is a plain `Error` with the code.
"""

import os
from typing import Any, Dict, Tuple, Type

__all__ = ["Error", "error_class"]


class Error(Exception):
    """One failure.

    `code` is stable and to be compared; `message` is a sentence for a person
    and names what was wrong; `hint` (may be empty) says what to do; `step` (may
    be empty) is the step of the request that failed, such as "execve"; `errno`
    is the system's number of that step, or 0.
    """

    code = "system"
    errno = 0

    def __init__(self, message: str = "", *, code: str = "", step: str = "",
                 errno: int = 0, hint: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code
        self.message = message
        self.step = step
        self.errno = errno
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message or self.code} [{self.code}"
        if self.step:
            text += f", step {self.step}"
        if self.errno:
            text += f", errno {self.errno} {os.strerror(self.errno)}"
        text += "]"
        return f"{text} {self.hint}" if self.hint else text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.code, self.step,
                          self.errno, self.hint)


def _rebuild(cls: Type[Error], message: str, code: str, step: str, errno: int,
             hint: str) -> Error:
    return cls(message, code=code, step=step, errno=errno, hint=hint)


class Malformed(Error):
    """A frame is no msgpack map or exceeds a limit."""
    code = "malformed"


class FrameTooLarge(Error):
    """Environment, arguments and bytes are more than 4 MiB."""
    code = "frame_too_large"


class BadRequest(Error, ValueError):
    """An argument is of the wrong type or out of range."""
    code = "bad_request"


class MissingKey(Error):
    """A message lacks a required key."""
    code = "missing_key"


class UnknownRequest(Error):
    """The daemon is older and has no such request."""
    code = "unknown_request"


class HelloRequired(Error):
    """The first request was not `hello`."""
    code = "hello_required"


class VersionMismatch(Error):
    """Package and daemon share no version of the protocol."""
    code = "version_mismatch"


class BadDescriptor(Error):
    """A descriptor is not open, or is placed twice."""
    code = "bad_descriptor"


class TooManyDescriptors(Error):
    """More than 253 descriptors in one request."""
    code = "too_many_descriptors"


class DescriptorLimit(Error):
    """The daemon or the zygote has no descriptors left."""
    code = "descriptor_limit"


class LaunchFailed(Error):
    """A step of a launch failed: `step` and `errno` say which and why."""
    code = "launch_failed"


class DaemonUnsafe(Error):
    """The daemon has more than one thread and does not fork."""
    code = "daemon_unsafe"


class UnknownWorker(Error):
    """There is no worker of that id in this run of the daemon."""
    code = "unknown_worker"


class RecordExpired(Error):
    """It ended so long ago that its record is not kept any more."""
    code = "record_expired"


class WorkerEnded(Error):
    """The worker has ended already."""
    code = "worker_ended"


class UnknownZygote(Error):
    """There is no zygote of that name, or it is not ready yet."""
    code = "unknown_zygote"


class UnknownEntry(Error):
    """The zygote does not offer the entry."""
    code = "unknown_entry"


class UnknownPreload(Error):
    """The zygote does not offer the preload step."""
    code = "unknown_preload"


class ZygoteConflict(Error):
    """There is a zygote of that name that is made of something else."""
    code = "zygote_conflict"


class ZygoteFailed(Error):
    """The zygote did not become ready."""
    code = "zygote_failed"


class ZygoteUnsafe(Error):
    """The zygote is not safe to fork; the message names why."""
    code = "zygote_unsafe"


class ZygoteQuarantined(Error):
    """Several of its workers in a row did not reach their entry. Start it
    again, which replaces it."""
    code = "zygote_quarantined"


class ForkDeadlock(Error):
    """The worker that a new zygote is tried with did not answer; the message
    says where it is."""
    code = "fork_deadlock"


class ZygoteRetired(Error):
    """The zygote makes no more workers."""
    code = "zygote_retired"


class UnknownService(Error):
    """There is no service of that name."""
    code = "unknown_service"


class ServiceConflict(Error):
    """There is a service of that name that runs and is made of something
    else; the message says in what they differ."""
    code = "service_conflict"


class ServiceFailed(Error):
    """The service has failed, and is not started again; the message says
    why."""
    code = "service_failed"


class ServiceStopped(Error):
    """Somebody else stopped the service before it was ready."""
    code = "service_stopped"


class StaleEnvironment(Error):
    """Frozen variables differ from the zygote's; the message names them."""
    code = "stale_environment"


class PeerConfined(Error):
    """This process is more confined than the daemon."""
    code = "peer_confined"


class PeerRefused(Error):
    """The process at the other end of the socket is another user's."""
    code = "peer_refused"


class DaemonStopping(Error):
    """The daemon takes no new work."""
    code = "daemon_stopping"


class UpgradeFailed(Error):
    """The daemon was not replaced, and goes on; the message says why."""
    code = "upgrade_failed"


class ClientStalled(Error):
    """This client did not read its answers."""
    code = "client_stalled"


class LimitReached(Error):
    """A limit of the daemon's own is reached."""
    code = "limit_reached"


class Unsupported(Error):
    """This system has no such thing, or the daemon may not use it."""
    code = "unsupported"


class ConnectFailed(Error):
    """No daemon serves the socket, and none could be started."""
    code = "connect_failed"


class ConnectionLost(Error):
    """The daemon is gone; every further call of this client fails."""
    code = "connection_lost"


class BadSocketPath(Error):
    """The path of the socket is too long, empty or has a NUL byte."""
    code = "socket_path"


class Timeout(Error, TimeoutError):
    """The time that the call was given has passed. A `TimeoutError` too."""
    code = "timeout"


class UseAfterFork(Error):
    """A forked child used its parent's client."""
    code = "use_after_fork"


class Disabled(Error):
    """FORKSERVER_DISABLE is set and the call needs a daemon."""
    code = "disabled"


class ForkUnsafe(Error):
    """`guard("raise")`: this process was not safe to fork, and did not."""
    code = "fork_unsafe"


class SystemCallFailed(Error):
    """A system call of this process failed: `step` and `errno`."""
    code = "system"


_CLASSES: Dict[str, Type[Error]] = {
    each.code: each
    for each in Error.__subclasses__()
}
__all__ += sorted(each.__name__ for each in _CLASSES.values())


def error_class(code: str) -> Type[Error]:
    """The class for a code; `Error` for one that has none."""
    return _CLASSES.get(code, Error)


def make_error(code: str, message: str, *, step: str = "", errno: int = 0,
               hint: str = "") -> Error:
    """An exception of the class for `code`, which it has in any case."""
    return error_class(code)(message, code=code, step=step, errno=errno,
                             hint=hint)


def system_error(operation: str, error: OSError,
                 code: str = "system") -> Error:
    """The exception for a failed system call: "operation: strerror"."""
    return make_error(code, f"{operation}: {error.strerror or error}",
                      errno=error.errno or 0)
