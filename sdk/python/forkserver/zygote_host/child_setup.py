"""The ordered steps that turn a forked child into what was asked for.

Group, cgroup, descriptors, closing of every other one, terminal, umask,
niceness, limits, CPUs, I/O priority, OOM score, no_new_privs, working
directory: the steps and errors of docs/protocol.md.
"""

import errno
import resource
import termios
from typing import (Any, Callable, Dict, List, Mapping, NamedTuple, Optional,
                    Sequence, Tuple)

from forkserver.errors import (BadDescriptor, BadRequest, LaunchFailed,
                               Unsupported)
from forkserver.originals import fcntl, os
from forkserver.protocol.messages import Setup
from forkserver.zygote_host import descriptors, system

MAX_CHILD_FD = 65535
_MAX_CPU = 8191
_LIMIT_NAMES = ("as", "core", "cpu", "data", "fsize", "memlock", "nofile",
                "nproc", "stack", "msgqueue", "nice", "rss", "rtprio",
                "rttime", "sigpending")
_RESOURCES: Dict[str, int] = {
    name: getattr(resource, "RLIMIT_" + name.upper())
    for name in _LIMIT_NAMES if hasattr(resource, "RLIMIT_" + name.upper())
}
if system.LINUX:
    _RESOURCES["locks"] = 10

# With these a step's hint is right.
_REFUSALS = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTTY)

Limits = Mapping[str, Tuple[int, int]]


class PlannedCall(NamedTuple):
    """One step: its name, what it was for, what to say if it may not be done,
    and the call itself, which raises OSError."""
    step: str
    arguments: str
    hint: str
    function: Callable[..., None]
    values: Tuple[Any, ...]


class ChildPlan(NamedTuple):
    """A setup that was found right, made in the zygote: what its child does
    first touches memory that is not its own yet, which is slow."""
    group: Optional[str]  # None: it stays in that of its parent
    cgroup_fd: int  # cgroup.procs of the cgroup to join; -1: none
    moves: Dict[int, int]  # {target: source}
    null_streams: List[int]  # those of 0, 1 and 2 that nobody named
    umask: int
    nice: Optional[int]
    limits: List[Tuple[str, int, Tuple[int, int]]]
    scheduling: List[PlannedCall]
    cwd: str


def plan_setup(setup: Setup, received: Sequence[int], limits: Limits,
               null_fd: int, cgroup_fd: int = -1) -> ChildPlan:
    """Raises Error. `received`: the descriptors of the frame. `null_fd`: an
    open /dev/null. `limits`: those that the setup does not name."""
    _check(setup)
    moves = _plan_descriptors(setup, received)
    null_streams = [stream for stream in (0, 1, 2) if stream not in moves]
    for stream in null_streams:
        moves[stream] = null_fd
    return ChildPlan(setup.group, cgroup_fd, moves, null_streams, setup.umask,
                     setup.nice,
                     _plan_limits(setup.limits, limits),
                     plan_scheduling(setup), setup.cwd)


def apply_plan(plan: ChildPlan, kept: Sequence[int]) -> List[int]:
    """In the child: runs the steps. Raises LaunchFailed.

    `kept`: further descriptors that stay open, close-on-exec; their new
    numbers, above every one that was asked for, are returned.
    """
    step = ("setpgid", "", "")
    try:
        if plan.group == "process_group":
            os.setpgid(0, 0)
        elif plan.group is not None:
            os.setsid()
        if plan.cgroup_fd >= 0:
            step = ("cgroup", "", "")
            os.write(plan.cgroup_fd, b"0")
        moved = _move_descriptors(plan.moves, kept)
        step = ("close_range", "", "")
        system.close_all_but([*plan.moves, *moved, *descriptors.kept])
        if plan.group == "terminal":
            step = ("ioctl", "0, TIOCSCTTY",
                    "descriptor 0 must be a terminal that no other session "
                    "has, as os.openpty() makes one")
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.umask(plan.umask)
        if plan.nice is not None:
            step = ("setpriority", str(plan.nice), "")
            os.setpriority(os.PRIO_PROCESS, 0, plan.nice)
        for name, number, value in plan.limits:
            step = ("setrlimit", name,
                    "a hard limit can be lowered, not raised")
            resource.setrlimit(number, value)
        for call in plan.scheduling:
            step = call[:3]
            call.function(*call.values)
        step = ("chdir", plan.cwd, "")
        os.chdir(plan.cwd)
    except (OSError, ValueError) as error:
        raise _failure(error, *step) from None
    return moved


def _failure(error: Exception, step: str, arguments: str,
             permission_hint: str) -> LaunchFailed:
    # setrlimit: ValueError is its word for EPERM and EINVAL.
    number = errno.EPERM
    if isinstance(error, OSError):
        number = error.errno or 0
    return LaunchFailed(f"{step}({arguments}): {os.strerror(number)}",
                        step=step, errno=number,
                        hint=permission_hint if number in _REFUSALS else "")


def _check(setup: Setup) -> None:
    for key in ("argv", "env"):
        for text in getattr(setup, key):
            if "\0" in text:
                raise BadRequest(f"an element of 'setup.{key}' holds a NUL "
                                 "byte")
    if not setup.cwd.startswith("/") or "\0" in setup.cwd:
        raise BadRequest("'setup.cwd' must be an absolute path, not "
                         f"'{setup.cwd}'")
    if not 0 <= setup.umask <= 0o777:
        raise BadRequest("'setup.umask' must be in 0..511 (octal 0777), not "
                         f"{setup.umask}")
    if setup.nice is not None and not -20 <= setup.nice <= 19:
        raise BadRequest(f"'setup.nice' must be in -20..19, not {setup.nice}")


def plan_scheduling(setup: Setup) -> List[PlannedCall]:
    """Raises BadRequest, Unsupported."""
    calls = []
    if setup.cpus:
        if not all(0 <= cpu <= _MAX_CPU for cpu in setup.cpus):
            raise BadRequest(f"'setup.cpus' must be in 0..{_MAX_CPU}, not "
                             f"{setup.cpus}")
        calls.append(PlannedCall(
            "sched_setaffinity",
            "CPUs " + ", ".join(str(cpu) for cpu in setup.cpus),
            "this machine has no such CPU, or a cpuset keeps it from "
            "forkserverd", system.set_cpus, (setup.cpus,)))
    priority = setup.io_priority
    if priority is not None:
        if not 0 <= priority.level <= 7:
            raise BadRequest("'setup.io_priority.level' must be in 0..7, not "
                             f"{priority.level}")
        calls.append(PlannedCall(
            "ioprio_set", "", "'realtime' needs CAP_SYS_NICE or CAP_SYS_ADMIN",
            system.set_io_priority, (priority.io_class, priority.level)))
    score = setup.oom_score_adj
    if score is not None:
        if not -1000 <= score <= 1000:
            raise BadRequest("'setup.oom_score_adj' must be in -1000..1000, "
                             f"not {score}")
        calls.append(PlannedCall(
            "oom_score_adj", str(score), "to lower it needs CAP_SYS_RESOURCE",
            system.set_oom_score_adj, (score,)))
    if setup.no_new_privs:
        calls.append(PlannedCall("no_new_privs", "", "",
                                 system.set_no_new_privs, ()))
    if calls and not system.LINUX:
        raise Unsupported(f"{calls[0].step}: this system has no such thing, "
                          "only Linux has")
    return calls


def _plan_descriptors(setup: Setup,
                      received: Sequence[int]) -> Dict[int, int]:
    """{target: source}, every source one of `received`."""
    moves: Dict[int, int] = {}
    named = set()
    for target, index in setup.fds:
        if not 0 <= target <= MAX_CHILD_FD:
            raise BadDescriptor(f"child descriptor {target} is out of range "
                                f"0..{MAX_CHILD_FD}")
        if target in moves:
            raise BadDescriptor(f"child descriptor {target} is named twice "
                                "in 'setup.fds'")
        moves[target] = _borrow(index, received)
        named.add(index)
    if setup.result is not None:
        _borrow(setup.result, received)
        named.add(setup.result)
    for index in range(len(received)):
        if index not in named:
            raise BadDescriptor(f"descriptor {index} was sent and is not "
                                "announced in 'setup.fds'")
    return moves


def _borrow(index: int, received: Sequence[int]) -> int:
    if not 0 <= index < len(received):
        raise BadDescriptor(f"descriptor index {index} is out of range: "
                            f"{len(received)} descriptors came with the "
                            "request")
    return received[index]


def _plan_limits(wanted: Limits, base: Limits
                ) -> List[Tuple[str, int, Tuple[int, int]]]:
    planned = []
    for name, (soft, hard) in {**base, **wanted}.items():
        if name not in _RESOURCES:
            raise BadRequest(f"there is no limit '{name}', known are: " +
                             " ".join(sorted(_RESOURCES)))
        if _order(soft) > _order(hard):
            raise BadRequest(f"limit '{name}': soft is above hard")
        planned.append((name, _RESOURCES[name], (_value(soft), _value(hard))))
    return planned


def _value(limit: int) -> int:
    return resource.RLIM_INFINITY if limit < 0 else limit


def _order(limit: int) -> float:
    return float("inf") if limit < 0 else limit


def _move_descriptors(moves: Dict[int, int],
                      kept: Sequence[int]) -> List[int]:
    # Everything that must survive goes above the targets first, so that no
    # dup2 below can overwrite a source that is still needed.
    above = max(moves) + 1
    target = -1
    try:
        moved_kept = [_above(fd, above) for fd in kept]
        for target, source in moves.items():
            if source != target:
                moves[target] = _above(source, above)
        for target, source in moves.items():
            if source == target:
                os.set_inheritable(target, True)
            else:
                os.dup2(source, target)
    except OSError as error:
        hint = ("the number is above the daemon's limit of descriptors"
                if target >= 0 else "")
        raise LaunchFailed(f"dup2(to {target}): {error.strerror}",
                           step="dup2", errno=error.errno or 0,
                           hint=hint) from None
    return moved_kept


def _above(fd: int, lowest: int) -> int:
    if fd >= lowest:
        return fd
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
