"""A forked worker from its fork to its exit."""

import atexit
import faulthandler
import struct
import sys
import threading
from typing import (Any, Callable, List, NamedTuple, NoReturn, Optional,
                    Sequence)

from forkserver.errors import Error, LaunchFailed, UnknownEntry
from forkserver.originals import os, signal, time
from forkserver.protocol import WORKER_VARIABLE
from forkserver.protocol.framing import encode_request, write_report
from forkserver.protocol.messages import ForkWorker, Setup, Started
from forkserver.protocol.reports import encode_failed
from forkserver.zygote_host import crash_reports, entries, system
from forkserver.zygote_host.child_setup import (ChildPlan, apply_plan,
                                                plan_setup)
from forkserver.zygote_host.context import WorkerContext
from forkserver.zygote_host.crash_reports import CrashReports
from forkserver.zygote_host.entries import Entry
from forkserver.zygote_host.environment import (EnvironmentPlan,
                                                EnvironmentReplacer,
                                                FrozenEnvironment,
                                                parse_environment,
                                                replace_environment)
from forkserver.zygote_host.preload import find_function
from forkserver.zygote_host.signals import ZygoteSignals
from forkserver.zygote_host.streams import StreamSettings, flush_streams
from forkserver.zygote_host.tracebacks import user_frames

SETUP_FAILED_EXIT_CODE = 125

_INTEGER = struct.Struct(">Q")


class ForkParent(NamedTuple):
    """What a child needs of its zygote."""
    pid: int
    report_fd: int
    null_fd: int
    frozen: FrozenEnvironment
    environment: EnvironmentReplacer
    streams: StreamSettings
    refresh: List[Callable[[], Any]]  # what needs nothing of a request
    after_fork: List[Callable[[], Any]]
    signals: ZygoteSignals
    crashes: CrashReports


class WorkerPlan(NamedTuple):
    """A request that was found right."""
    worker: str
    detach: bool
    setup: ChildPlan
    environment: EnvironmentPlan
    entry: Optional[Entry]  # None: its module is not loaded yet
    context: WorkerContext
    kept: List[int]  # the report pipe, and what the result is written to
    started: bytearray
    canary: bool


class Worker(NamedTuple):
    """A child whose set-up is done: its entry is next."""
    entry: Entry
    context: WorkerContext
    result_fd: int


def plan_worker(parent: ForkParent, request: ForkWorker,
                fds: Sequence[int]) -> WorkerPlan:
    """In the zygote. Raises Error."""
    setup = Setup.decode(request.setup)
    environment = parse_environment(setup.env)
    entry: Optional[Entry] = None
    if not request.canary:
        entry = _check_entry(setup.entry)
        parent.frozen.check(environment)
    environment[WORKER_VARIABLE] = request.worker
    cgroup_fd = -1
    if request.cgroup and fds:
        fds, cgroup_fd = fds[:-1], fds[-1]
    plan = plan_setup(setup, fds, request.limits, parent.null_fd, cgroup_fd)
    kept = [parent.report_fd]
    if setup.result is not None:
        kept.append(fds[setup.result])
    return WorkerPlan(
        request.worker, request.detach, plan,
        parent.environment.plan(environment), entry,
        WorkerContext(request.worker, setup.entry, setup.args, setup.argv),
        kept, bytearray(encode_request(Started(request.worker, *_BLANKS))),
        request.canary)


def become_worker(parent: ForkParent, plan: WorkerPlan,
                  forked_ns: int, crash_slot: int) -> Worker:
    """In a child that was forked for this request. Does not return if a step
    fails: that is reported."""
    if not plan.detach and not system.set_parent_death_signal(
            signal.SIGKILL, parent.pid):
        os._exit(SETUP_FAILED_EXIT_CODE)
    try:
        crash_fds = leave_zygote(parent, crash_slot)
        if not plan.canary:
            refresh(parent)
    except BaseException as error:
        _leave_failed(plan.kept[0], plan, error)
    return fulfil(parent, plan, forked_ns, crash_fds)


def leave_zygote(parent: ForkParent, crash_slot: int) -> List[int]:
    """In the child: it has the zygote's signals no more. Returns a descriptor
    to keep, if any, for crashes."""
    # Before the numbers of its descriptors may be somebody else's.
    parent.signals.restore_in_child()
    return parent.crashes.open_in_child(crash_slot)


def refresh(parent: ForkParent) -> None:
    for hook in parent.refresh:
        _run_hook(hook)


def fulfil(parent: ForkParent, plan: WorkerPlan, forked_ns: int,
           crash_fds: List[int]) -> Worker:
    """In the child: what is left to be done for the request. Does not return
    if a step fails: that is reported."""
    kept = plan.kept
    context = plan.context
    entry = plan.entry
    try:
        kept = set_up(parent, plan, crash_fds)
        if not plan.canary:
            for hook in parent.after_fork:
                _run_hook(hook)
            if entry is None:
                entry = _load_entry(context.entry)
        report_started(kept[0], plan, forked_ns)
    except BaseException as error:
        _leave_failed(kept[0], plan, error)
    os.close(kept[0])
    if entry is None:
        os._exit(0)
    return Worker(entry, context, kept[1] if len(kept) > 1 else -1)


def set_up(parent: ForkParent, plan: WorkerPlan,
           crash_fds: List[int]) -> List[int]:
    """In the child: the process is what was asked for. Returns the new numbers
    of `plan.kept`. Raises Error."""
    moved = apply_plan(plan.setup, [*plan.kept, *crash_fds])
    kept = moved[:len(plan.kept)]
    become_process(parent, plan.environment, plan.context.argv,
                   plan.setup.null_streams)
    crash_fds[:] = moved[len(kept):]
    parent.crashes.become_child(crash_fds)
    return kept


def report_started(report_fd: int, plan: WorkerPlan, forked_ns: int) -> None:
    write_report(report_fd, _fill_in(
        plan.started, os.getpid(), forked_ns,
        time.clock_gettime_ns(time.CLOCK_MONOTONIC)))


def _leave_failed(report_fd: int, plan: WorkerPlan,
                  error: BaseException) -> NoReturn:
    failure = error if isinstance(error, Error) else LaunchFailed(
        f"{type(error).__name__}: {error}", step="setup")
    write_report(report_fd, encode_failed(plan.worker, os.getpid(), failure))
    os._exit(SETUP_FAILED_EXIT_CODE)


# Stand in a frame that the zygote encodes for what only the child knows: each
# as long as an integer can be.
_BLANKS = tuple((1 << 62) + index for index in range(3))


def _fill_in(frame: bytearray, *values: int) -> bytearray:
    for blank, value in zip(_BLANKS, values):
        at = frame.rindex(_INTEGER.pack(blank))
        _INTEGER.pack_into(frame, at, value)
    return frame


def become_process(parent: ForkParent, environment: EnvironmentPlan,
                   argv: Sequence[str],
                   null_streams: Sequence[int] = ()) -> None:
    """What is Python's in the process: all that the zygote had for itself is
    replaced."""
    # Those of the zygote are its own: they remove its temporary files.
    atexit._clear()
    replace_environment(environment)
    parent.streams.reopen(null_streams)
    if faulthandler.is_enabled() and not crash_reports.writes_here:
        faulthandler.enable()
    if argv:
        sys.argv = list(argv)


def _run_hook(hook: Callable[[], Any]) -> None:
    try:
        hook()
    except BaseException as error:
        _show(error)
        flush_streams()
        name = (f"{getattr(hook, '__module__', '?')}:"
                f"{getattr(hook, '__qualname__', '?')}")
        raise LaunchFailed(
            f"hook {name}: {type(error).__name__}: {error}",
            step="after_fork",
            hint="the worker's standard error has the traceback") from None


def _check_entry(name: str) -> Optional[Entry]:
    """The entry, if it is there already: what has to be imported is imported
    when the process is what was asked for. Raises UnknownEntry."""
    named = entries.find(name)
    if named is not None:
        return named
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise UnknownEntry(
            f"there is no entry '{name}'",
            hint="an entry is 'module:function', or one of: " +
            ", ".join(entries.names()))
    found = sys.modules.get(module)
    for part in path.split("."):
        # Not by getattr: a module may import more for what it lacks.
        found = getattr(found, "__dict__", {}).get(part)
    return found if callable(found) else None


def _load_entry(name: str) -> Entry:
    try:
        entry = find_function(name)
    except Exception as error:
        _show(error)
        flush_streams()
        raise UnknownEntry(f"entry '{name}': {type(error).__name__}: {error}",
                           hint="an entry is 'module:function'; the worker's "
                           "standard error has the traceback") from None
    if not callable(entry):
        raise UnknownEntry(f"entry '{name}' is not callable")
    return entry  # type: ignore[no-any-return]


def run_worker(worker: Worker) -> NoReturn:
    """Runs the entry and leaves, as multiprocessing's children do: exit
    functions run, objects are not destroyed."""
    code = _run_guarded(lambda: _run_entry(worker))
    # Threads that are no daemons are waited for, as at any end of Python.
    _run_guarded(threading._shutdown)
    _run_guarded(atexit._run_exitfuncs)
    flush_streams()
    os._exit(code & 0xFF)


def _run_entry(worker: Worker) -> int:
    code = worker.entry(worker.context)
    if code is not None and not isinstance(code, int):
        raise TypeError(f"entry '{worker.context.entry}' returned "
                        f"{code!r}, which is no exit code")
    if worker.result_fd >= 0:
        _write_result(worker.result_fd, worker.context.result)
    return code or 0


def _write_result(fd: int, result: Optional[bytes]) -> None:
    """Whoever reads may be gone."""
    try:
        view = memoryview(result or b"")
        while view:
            view = view[os.write(fd, view):]
    except BrokenPipeError:
        pass
    os.close(fd)


def _run_guarded(function: Callable[[], Any]) -> int:
    """The exit code that Python would have after `function`."""
    try:
        return function() or 0
    except SystemExit as error:
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code
        print(error.code, file=sys.stderr)
        return 1
    except BaseException as error:
        _show(error)
        return 1


def _show(error: BaseException) -> None:
    error.__traceback__ = user_frames(error)
    sys.excepthook(type(error), error, error.__traceback__)
