"""The blocking client. May be used from several threads."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Sequence, Type, Union

from forkserver import daemon
from forkserver.client_services import ServiceCalls
from forkserver.connection import Connection
from forkserver.daemon_version import warn_of_other_version
from forkserver.durations import deadline_of
from forkserver.errors import ConnectionLost, DaemonStopping, Timeout
from forkserver.launch_request import (Prepared, prepare_fork, prepare_spawn,
                                       prepare_zygote, stop_request,
                                       upgrade_request)
from forkserver.process_setup import StrOrPath
from forkserver.protocol.messages import (DaemonStatus, DaemonUpgrade, Done,
                                          ExitReply, List_, Shutdown, Signal,
                                          Status, ZygoteReply, ZygoteStop)
from forkserver.protocol.text import to_text
from forkserver.records import ExitRecord, Snapshot, WorkerInfo
from forkserver.session import Promise
from forkserver.subscription import Subscription
from forkserver.worker import Worker
from forkserver.zygote import Zygote

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.launch_request import (ForkOptions, WorkerOptions,
                                           ZygoteOptions)
    from forkserver.python_zygote import PythonZygote


def connect(path: Optional[StrOrPath] = None, autostart: bool = True, *,
            daemon_program: Optional[str] = None, start_timeout: float = 10.0,
            client_name: str = "python") -> "Client":
    """Connects to the daemon, and starts one if none serves the socket.

        with forkserver.connect() as client:
            record = client.run(["/bin/echo", "hello"])

    `path` is the socket; the default is that of the user's session
    (default_socket_path). A daemon that is started this way ends after 600 s
    without use. `daemon_program` is the forkserverd to start, by default the
    first in the folder FORKSERVER_BIN, PATH, the package's own prefix and
    ~/.local/bin. Blocks for `start_timeout` seconds at most. `client_name` is
    for the daemon's log.

    With FORKSERVER_DISABLE=1 in the environment it connects to nobody: spawn()
    and run() launch from this process, and what needs a daemon raises Disabled.

    A daemon of another version is a DaemonVersionWarning, once in a process.

    Raises ConnectFailed, BadSocketPath, PeerRefused, PeerConfined,
    VersionMismatch, Timeout.
    """
    if daemon.is_disabled():
        from forkserver.direct import DirectClient
        return DirectClient()
    socket_path = daemon.socket_path(path)
    name = to_text(client_name, "client_name")
    deadline = time.monotonic() + start_timeout
    pause = 0.01
    while True:
        steps = daemon.connect_steps(socket_path, autostart, deadline,
                                     daemon_program)
        connection = Connection(_take_steps(steps), socket_path)
        try:
            _say_hello(connection, name, deadline)
            warn_of_other_version(connection.session.daemon_version, 2)
            return Client(connection)
        except (ConnectionLost, DaemonStopping):
            # A daemon that is stopping may still have accepted us.
            connection.close()
            if not autostart or time.monotonic() >= deadline:
                raise
        except BaseException:
            connection.close()
            raise
        time.sleep(pause)
        pause = min(pause * 2, 1.0)


def _take_steps(steps: "daemon.Steps[Any]") -> Any:
    while True:
        try:
            pause = next(steps)
        except StopIteration as end:
            return end.value
        time.sleep(pause)


def _say_hello(connection: Connection, name: str, deadline: float) -> None:
    session = connection.session
    promise = connection.start(lambda session: session.hello(name))
    if not connection.wait_for(lambda: promise.done, deadline):
        raise Timeout(
            f"the daemon at {session.socket_path} does not answer: it is "
            "stopped or very busy",
            hint="look at it with `ps`; end it to have a new one")
    session.check_hello(promise)


class Client(ServiceCalls):
    """One connection to the daemon, made by connect().

    Every call blocks until the daemon has answered, and may be made from any
    thread. Closing the client stops its workers that are not detached; so does
    the end of the process. In a forked child every call raises UseAfterFork.

    Whatever names a worker takes a Worker, or its id.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- workers ---

    def spawn(self, argv: Sequence[StrOrPath],
              **options: "Unpack[WorkerOptions]") -> Worker:
        """An exec worker. Returns when its program runs.

            worker = client.spawn(["make", "-j2"], cwd="src", timeout=600)
            print(worker.wait().code)

        What is not given is the caller's own at the time of the call.

        argv      the program and its arguments; argv[0] is looked up in the
                  PATH of `env` unless it has a slash
        env       a mapping; complete: it replaces the environment
        cwd       a folder, absolute or relative to the caller's
        fds       {child_fd: fd}: the worker gets a copy of `fd` (a number, or
                  an object with fileno()) as child_fd. At most 253, with the
                  streams
        stdin, stdout, stderr
                  the same for 0, 1 and 2; subprocess.DEVNULL is /dev/null, and
                  stderr may be subprocess.STDOUT
        umask     0..0o777
        limits    {"nofile": 1024, "core": (0, 0)}: the limit, or a pair of
                  soft and hard; -1 is unlimited
        nice      the niceness itself, -20..19
        cpus      numbers of CPUs: it runs on exactly these. Linux only, as the
                  next three
        io_priority
                  "idle", "best_effort" or "realtime", or a pair of that and a
                  level, 0 (first) to 7
        oom_score_adj
                  how soon the kernel kills it when memory runs out: -1000
                  (never) to 1000 (first)
        no_new_privs
                  it can gain no rights, by setuid programs for example
        group     "process_group"; "session": it leads one of its own; or
                  "terminal": a session, and descriptor 0 is its terminal
        name      for people, up to 128 bytes
        timeout   seconds of wall clock, after which it is stopped; None: none
        stop_signal
                  what asks it to stop: signal.SIGTERM
        grace     seconds from that to SIGKILL
        detach    it outlives this client
        memory_max_bytes, tasks_max, cpu_max_percent
                  limits of it and all that descends from it: memory (the
                  kernel kills what wants more, and `oom_kills` of the record
                  says so), processes and threads, processor time (100 is one
                  CPU). They need a daemon that has a cgroup of its own:
                  Unsupported where it has not
        crash_report
                  its record is to say more if it crashes or fails; not with
                  detach
        report_leftovers
                  its record is to name the processes that it leaves behind in
                  its process group, which are killed; not with detach

        Raises LaunchFailed (`step` and `errno` say what failed: "execve" and
        ENOENT is "not found"), BadRequest, BadDescriptor, TooManyDescriptors,
        FrameTooLarge, LimitReached, Unsupported, DaemonStopping,
        ConnectionLost.
        """
        return self._launch(prepare_spawn(argv, options))

    def run(self, argv: Sequence[StrOrPath],
            **options: "Unpack[WorkerOptions]") -> ExitRecord:
        """spawn() and wait() in one request with one answer, which is the
        fastest way when only the end matters."""
        prepared = prepare_spawn(argv, options, "run")
        return self._connection.call(
            lambda session: session.run(prepared.body, prepared.take_fds()))

    def fork(self, zygote: str, entry: str,
             **options: "Unpack[ForkOptions]") -> Worker:
        """A worker forked from a zygote. Returns when its entry begins.

        Options are those of spawn(), and:

        args      bytes for the entry
        argv      texts for the entry
        result    a descriptor that the entry's result is written to, as raw
                  bytes that end at its end of file: one end of a pipe, to be
                  closed here when the call has returned

        Raises UnknownZygote, ZygoteRetired, UnknownEntry, StaleEnvironment,
        ZygoteUnsafe, and what spawn() does.
        """
        return self._launch(prepare_fork(zygote, entry, options))

    def run_fork(self, zygote: str, entry: str,
                 **options: "Unpack[ForkOptions]") -> ExitRecord:
        """fork() and wait() in one request with one answer."""
        prepared = prepare_fork(zygote, entry, options, "run_fork")
        return self._connection.call(
            lambda session: session.run(prepared.body, prepared.take_fds()))

    def attach(self, worker: str) -> Worker:
        """A worker of this session by its id, whoever asked for it, alive or
        ended. Raises UnknownWorker, RecordExpired."""
        worker_id = _id_of(worker)
        for info in self.list().workers:
            if info.id == worker_id:
                return Worker(self, info)
        record = self.wait(worker_id)
        return Worker(self, WorkerInfo.of_ended(record))

    def wait(self, worker: Union[Worker, str],
             timeout: Optional[float] = None) -> ExitRecord:
        """The exit record of any worker of this session. The daemon keeps the
        last 10,000.

        Raises TimeoutError after `timeout` seconds, UnknownWorker,
        RecordExpired, ConnectionLost.
        """
        if isinstance(worker, Worker):
            return worker.wait(timeout)
        return self._await_end(_id_of(worker), None, timeout)

    def signal(self, worker: Union[Worker, str], signal: int,
               group: bool = False) -> None:
        """Sends a signal to a worker, or to its whole process group.

        Raises WorkerEnded, UnknownWorker.
        """
        body = Signal(worker=_id_of(worker), signal=signal, group=group)
        self._connection.call(lambda session: session.ask(body, Done))

    def stop(self, worker: Union[Worker, str],
             grace: Optional[float] = None) -> ExitRecord:
        """Its stop signal to a worker and all that descends from it, SIGKILL
        after `grace` seconds (default: the worker's own; 0: at once). Returns
        when nothing of it is left.

        Raises UnknownWorker, RecordExpired.
        """
        if isinstance(worker, Worker):
            return worker.stop(grace)
        return self._stop(_id_of(worker), None, grace)

    # --- zygotes ---

    def start_zygote(self, name: str, argv: Sequence[StrOrPath] = (),
                     **options: "Unpack[ZygoteOptions]") -> Zygote:
        """Starts a program as a zygote, or joins the one of that name and
        identity. Returns when it is ready. For a zygote of this Python see
        zygote().

        env, cwd, fds, umask, limits, nice, cpus, io_priority, oom_score_adj,
        no_new_privs and group are as in spawn(); streams that `fds` does not
        name are /dev/null. Further:

        preload   the preload steps to run, in order
        parent    the zygote to fork it from, instead of `argv`
        freeze    patterns of further frozen variables, "FOO_*"
        keep      it outlives this client
        replace   retire one of the same name and another identity
        audit_policy
                  what becomes of it if it is not known to be safe to fork:
                  "refuse", "warn" or "allow"
        entry_deadline
                  seconds that a worker of it may take to reach its entry;
                  then it is killed, with the reason "fork_deadlock"
        grace     seconds that it may take to end, once it is retired and
                  nothing lives off it; then it is killed
        spares    (least, most): so many workers are forked in advance; a
                  request that meets one costs no fork
        binary    a text that stands for the program's version; by default its
                  path, size and time

        Raises ZygoteConflict, ZygoteFailed, ZygoteUnsafe, UnknownPreload,
        UnknownZygote and ZygoteRetired (the parent), LaunchFailed.
        """
        prepared = prepare_zygote(name, argv, options)
        reply = self._connection.call(lambda session: session.ask(
            prepared.body, ZygoteReply, prepared.take_fds()))
        return Zygote(self, reply.zygote)

    def zygote(self, name: str, preload: Sequence[str] = (),
               **options: Any) -> "PythonZygote":
        """Starts a zygote of this Python that has imported `preload`, or joins
        it: see forkserver.python_zygote.start()."""
        from forkserver import python_zygote
        return python_zygote.start(self, name, preload, **options)

    def stop_zygote(self, name: str) -> None:
        """Retires a zygote: it makes no more workers, and ends with its last.

        Raises UnknownZygote.
        """
        body = ZygoteStop(name=to_text(name, "the zygote's name"))
        self._connection.call(lambda session: session.ask(body, Done))

    # --- the daemon ---

    def list(self) -> Snapshot:
        """What is alive now."""
        return self._connection.call(
            lambda session: session.ask(List_(), Snapshot))

    def status(self) -> DaemonStatus:
        """The daemon's figures."""
        return self._connection.call(
            lambda session: session.ask(Status(), DaemonStatus))

    def subscribe(self) -> Subscription:
        """What is alive now, and every change after it."""
        return Subscription(self._connection)

    def shutdown(self) -> None:
        """Asks the daemon to stop in order; returns at once."""
        self._connection.call(lambda session: session.ask(Shutdown(), Done))

    def upgrade(self, program: Optional[StrOrPath] = None) -> DaemonUpgrade:
        """Replaces the running daemon by `program`; without it by the file that
        it was started from, as it is now. The process stays, and with it
        workers, zygotes, services, connections and exit records.

            print(client.upgrade("/usr/local/bin/forkserverd").version)

        `program` is absolute or relative to the caller's working directory.
        Returns when the new one has answered.

        Raises UpgradeFailed (the message says why; the old one goes on and has
        lost nothing), DaemonStopping, UnknownRequest (the daemon is too old for
        it), and ConnectionLost if the new one died after it had taken over.
        """
        body = upgrade_request(program)
        return self._connection.call(lambda session: session.upgrade(body))

    @property
    def daemon_version(self) -> str:
        """The daemon's, when this client connected to it or last upgraded it;
        others may have upgraded it since (see status())."""
        return self._connection.session.daemon_version

    # --- in an event loop, and the end ---

    def fileno(self) -> int:
        """To be polled for reading; call process() when it is readable."""
        return self._connection.fileno()

    def process(self) -> None:
        """Takes in what has arrived, without blocking: Worker.poll() and
        Subscription.next(0) then see it. Raises ConnectionLost."""
        self._connection.process()

    def close(self) -> None:
        """Ends the connection: workers that are not detached are stopped.
        What other threads wait for fails with ConnectionLost."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]],
                 error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    # --- of this package ---

    def _launch(self, prepared: "Prepared[Any]") -> Worker:
        launched = self._connection.call(
            lambda session: session.launch(prepared.body, prepared.take_fds()))
        return Worker(self, launched.info, launched.end)

    def _await_end(self, worker_id: str,
                   end: "Optional[Promise[ExitRecord]]",
                   timeout: Optional[float]) -> ExitRecord:
        deadline = deadline_of(timeout)
        if end is None:
            end = self._connection.start(
                lambda session: session.end_of(worker_id))
        promise = end
        if self._connection.wait_for(lambda: promise.done, deadline):
            return promise.result()
        raise Timeout(f"worker {worker_id} has not ended within {timeout} s")

    def _stop(self, worker_id: str, end: "Optional[Promise[ExitRecord]]",
              grace: Optional[float]) -> ExitRecord:
        body = stop_request(worker_id, grace)
        if end is not None and end.done and not end.failed:
            return end.result()
        reply = self._connection.call(
            lambda session: session.ask(body, ExitReply))
        return reply.exit


def _id_of(worker: Union[Worker, str]) -> str:
    if isinstance(worker, Worker):
        return worker.id
    return to_text(worker, "the worker's id")
