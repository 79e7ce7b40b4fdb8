"""Exec workers without a daemon: what FORKSERVER_DISABLE=1 makes of connect().

The workers are children of this process, which must leave them to this module
to reap; a status that was taken is "lost". Timeouts are noticed while somebody
waits or stops. What needs a daemon raises Disabled.
"""

import errno
import fcntl
import os
import resource
import signal
import termios
import threading
import time
from typing import Any, Dict, List, NoReturn, Optional, Tuple, cast

from forkserver.client import Client
from forkserver.connection import Connection
from forkserver.durations import deadline_of, milliseconds
from forkserver.errors import (Disabled, Error, LaunchFailed, Timeout,
                               UnknownWorker, WorkerEnded, system_error)
from forkserver.fork_guard import check_owner
from forkserver.launch_request import prepare_spawn
from forkserver.protocol.messages import Setup, Spawn
from forkserver.protocol.text import to_bytes
from forkserver.records import ExitRecord, Journey, WorkerInfo
from forkserver.worker import Worker
from forkserver.zygote_host.child_setup import PlannedCall, plan_scheduling


class _NoDaemon:
    """In place of a connection."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Disabled("this needs a daemon, and FORKSERVER_DISABLE is set",
                       hint="unset FORKSERVER_DISABLE")


class DirectClient(Client):
    """A client of nobody."""

    def __init__(self) -> None:
        super().__init__(cast(Connection, _NoDaemon()))
        self._pid = os.getpid()
        self._children: Dict[str, _Child] = {}

    def run(self, argv: Any, **options: Any) -> ExitRecord:
        return self._launch(prepare_spawn(argv, options, "run")).wait()

    def attach(self, worker: Any) -> Worker:
        return Worker(self, self._child(worker).info)

    def signal(self, worker: Any, signal: int, group: bool = False) -> None:
        child = self._child(getattr(worker, "id", worker))
        child.signal(signal, group)

    @property
    def daemon_version(self) -> str:
        """There is none."""
        return ""

    def fileno(self) -> int:
        """There is nothing to poll."""
        return -1

    def process(self) -> None:
        for child in list(self._children.values()):
            child.service()

    def close(self) -> None:
        if self._pid != os.getpid():
            return
        children = [each for each in self._children.values()
                    if not each.info.detach]
        for child in children:
            child.begin_stop("client_gone", child.grace_s)
        for child in children:
            child.wait(None)
        self._children.clear()

    def _launch(self, prepared: Any) -> Worker:
        check_owner(self._pid)
        if not isinstance(prepared.body, Spawn):
            return super()._launch(prepared)
        body = prepared.body
        if body.memory_max_bytes or body.tasks_max or body.cpu_max_percent:
            prepared.close()
            raise Disabled("limits by cgroups need a daemon, and "
                           "FORKSERVER_DISABLE is set",
                           hint="unset FORKSERVER_DISABLE")
        child = _Child(prepared.body, prepared.take_fds(),
                       f"direct-{self._pid}-{len(self._children) + 1}")
        self._children[child.info.id] = child
        return Worker(self, child.info)

    def _child(self, worker_id: str) -> "_Child":
        check_owner(self._pid)
        child = self._children.get(worker_id)
        if child is None:
            raise UnknownWorker(
                f"this client has no worker {worker_id}",
                hint="without a daemon (FORKSERVER_DISABLE) there are no "
                "workers of others")
        return child

    def _await_end(self, worker_id: str, end: Any,
                   timeout: Optional[float]) -> ExitRecord:
        record = self._child(worker_id).wait(deadline_of(timeout))
        if record is None:
            raise Timeout(
                f"worker {worker_id} has not ended within {timeout} s")
        return record

    def _stop(self, worker_id: str, end: Any,
              grace: Optional[float]) -> ExitRecord:
        child = self._child(worker_id)
        if grace is not None:
            milliseconds(grace, "grace")
        child.begin_stop("stopped", child.grace_s if grace is None else grace)
        record = child.wait(None)
        assert record is not None
        return record


class _Child:
    """One worker, which is a child of this process."""

    def __init__(self, body: Spawn, fds: List[int], worker_id: str) -> None:
        begun = time.monotonic_ns()
        self._lock = threading.Lock()
        self._record: Optional[ExitRecord] = None
        self._reason = ""
        self._kill_at: Optional[float] = None
        self.grace_s = body.grace_ms / 1000
        self._stop_signal = body.stop_signal
        pid = _fork_and_exec(Setup.decode(body.setup), fds)
        started = time.monotonic_ns()
        self._journey = Journey(begun, begun, started, started)
        self._stop_at = None
        if body.timeout_ms:
            self._stop_at = time.monotonic() + body.timeout_ms / 1000
        self.info = WorkerInfo(id=worker_id, name=body.name, pid=pid,
                               state="running", detach=body.detach)

    def wait(self, limit: Optional[float]) -> Optional[ExitRecord]:
        """None: the limit, of time.monotonic(), has passed."""
        pause = 0.001
        while True:
            due = self.service()
            if self._record is not None:
                return self._record
            now = time.monotonic()
            if limit is not None and now >= limit:
                return None
            for each in (due, limit):
                if each is not None:
                    pause = min(pause, max(each - now, 0))
            time.sleep(pause)
            pause = min(max(pause, 0.0005) * 2, 0.02)

    def service(self) -> Optional[float]:
        """Does what is due; returns when something is next."""
        with self._lock:
            if self._record is not None:
                return None
            try:
                ended = os.waitid(os.P_PID, self.info.pid,
                                  os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self._finish(None)
                return None
            if ended is not None:
                if self._reason:
                    # The whole tree of a stopped worker ends. While its
                    # leader is a zombie the group's number is its own.
                    self._signal_group(signal.SIGKILL)
                self._finish(os.wait4(self.info.pid, 0))
                return None
            now = time.monotonic()
            if self._stop_at is not None and now >= self._stop_at:
                self._begin_stop("timeout", self.grace_s)
            if self._kill_at is not None and now >= self._kill_at:
                self._kill_at = None
                self._signal_group(signal.SIGKILL)
            return self._kill_at or self._stop_at

    def begin_stop(self, reason: str, grace_s: float) -> None:
        self.service()
        with self._lock:
            if self._record is None:
                self._begin_stop(reason, grace_s)

    def signal(self, number: int, group: bool) -> None:
        self.service()
        with self._lock:
            if self._record is not None:
                raise WorkerEnded(f"worker {self.info.id} has ended already")
            pid = self.info.pid
            try:
                (os.killpg if group else os.kill)(pid, number)
            except (OSError, ValueError, OverflowError) as error:
                raise system_error(f"kill({pid}, {number})",
                                   OSError(*error.args)) from None

    def _begin_stop(self, reason: str, grace_s: float) -> None:
        kill_at = time.monotonic() + grace_s
        if not self._reason:
            self._reason = reason
            self._stop_at = None
            self._signal_group(self._stop_signal)
        self._kill_at = min(self._kill_at or kill_at, kill_at)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.info.pid, number)
        except OSError:
            pass

    def _finish(self, reaped: Optional[Tuple[int, int, Any]]) -> None:
        info, journey = self.info, self._journey
        journey.ended_ns = time.monotonic_ns()
        record = ExitRecord(
            id=info.id, name=info.name, pid=info.pid, journey=journey,
            wall_us=(journey.ended_ns - journey.launched_ns) // 1000,
            direct=True)
        if reaped is not None:
            _, status, usage = reaped
            if os.WIFEXITED(status):
                record.code = os.WEXITSTATUS(status)
                record.reason = self._reason or "exited"
            else:
                record.signal = os.WTERMSIG(status)
                record.core = os.WCOREDUMP(status)
                record.reason = self._reason or "signaled"
            record.max_rss_bytes = usage.ru_maxrss * _RSS_UNIT
            record.user_us = int(usage.ru_utime * 1e6)
            record.system_us = int(usage.ru_stime * 1e6)
        info.state = "ended"
        self._record = record


_RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024


def _fork_and_exec(setup: Setup, fds: List[int]) -> int:
    """Returns its pid when the program runs. Raises LaunchFailed, BadRequest,
    Unsupported. Takes over the descriptors."""
    try:
        scheduling = plan_scheduling(setup)
    except Error:
        for each in fds:
            os.close(each)
        raise
    read_end, write_end = os.pipe()
    try:
        # Above every target: a later dup2 must not close an earlier source.
        floor = max([2] + [target for target, _ in setup.fds]) + 1
        channel = _above(write_end, floor)
        null = _above(os.open(os.devnull, os.O_RDWR), floor)
        sources = [_above(each, floor) for each in fds]
        pid = os.fork()
        if pid == 0:
            _become(setup, scheduling, sources, null, channel)
        for each in [null, channel, *sources]:
            os.close(each)
        with open(read_end, "rb", closefd=False) as pipe:
            failure = pipe.read().decode()
    except OSError as error:
        raise system_error("fork()", error, "launch_failed") from None
    finally:
        os.close(read_end)
    if not failure:
        return pid
    os.waitpid(pid, 0)
    step, _, number = failure.partition(" ")
    what = {"execve": setup.argv[0], "chdir": setup.cwd}.get(step, "")
    raise LaunchFailed(f"{step}({what}): {os.strerror(int(number))}",
                       step=step, errno=int(number))


def _above(fd: int, floor: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor)
    finally:
        os.close(fd)


def _become(setup: Setup, scheduling: List[PlannedCall], sources: List[int],
            null: int, channel: int) -> NoReturn:
    """In the child. Only what needs no lock of the parent's other threads."""
    step = "setpgid"
    try:
        if setup.group == "process_group":
            os.setpgid(0, 0)
        else:
            os.setsid()
        for number in signal.valid_signals():
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        step = "dup2"
        targets = [target for target, _ in setup.fds]
        for stream in range(3):
            if stream not in targets:
                os.dup2(null, stream)
        for target, index in setup.fds:
            os.dup2(sources[index], target)
        step = "close_range"
        for name in os.listdir("/dev/fd"):
            fd = int(name)
            if fd > 2 and fd not in targets and fd != channel:
                try:
                    os.close(fd)
                except OSError:
                    pass  # the folder's own
        if setup.group == "terminal":
            step = "ioctl"
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        step = "umask"
        os.umask(setup.umask)
        step = "setpriority"
        if setup.nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, setup.nice)
        step = "setrlimit"
        for name, limit in setup.limits.items():
            number = getattr(resource, "RLIMIT_" + name.upper())
            resource.setrlimit(number, limit)
        for call in scheduling:
            step = call.step
            call.function(*call.values)
        step = "chdir"
        os.chdir(to_bytes(setup.cwd))
        step = "execve"
        env = {}
        for each in setup.env:
            variable, _, value = to_bytes(each).partition(b"=")
            env[variable] = value
        argv = [to_bytes(each) for each in setup.argv]
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(channel, f"{step} {error.errno or 0}".encode())
    except BaseException:
        os.write(channel, f"{step} {errno.EINVAL}".encode())
    finally:
        os._exit(127)
