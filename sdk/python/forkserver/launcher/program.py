"""The main function of forkserver-python: stands for its worker."""

import os
import pickle
import resource
import select
import signal
import sys
from typing import Any, Dict, NoReturn, Optional, Set

import forkserver
from forkserver import daemon
from forkserver.errors import Error
from forkserver.launcher import command_line, entry, warm

# Python ignores these in every process.
_IGNORED_BY_PYTHON = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", None)}
# What a terminal sends to all processes of its foreground group.
_FROM_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP,
                  signal.SIGWINCH}
_FORWARDED = _FROM_TERMINAL | {signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
                               signal.SIGALRM, signal.SIGCONT}


def main() -> NoReturn:
    """Ends as the worker ends. What no worker can do, interactive use say, and
    everything if there is no daemon, is done by python itself."""
    command = command_line.parse(sys.argv[1:])
    if (command is None or daemon.is_disabled()
            or os.environ.get("PYTHONINSPECT")):
        _exec_python()
    inherited = _inherited_fds()
    ignored = [number for number in signal.valid_signals()
               if signal.getsignal(number) is signal.SIG_IGN
               and number not in _IGNORED_BY_PYTHON]
    forwarded = _FORWARDED.union({signal.SIGTSTP}).difference(ignored)
    # Until there is a worker to hand them on to.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, forwarded)
    request = entry.Request(
        command.kind, command.target, command.argv,
        [sys.executable, *sys.argv[1:]], warm.PACKAGE,
        [int(number) for number in ignored],
        [int(number) for number in blocked])
    try:
        client = forkserver.connect(client_name="forkserver-python")
        worker = warm.start_zygote(client, command).fork(
            entry.ENTRY, args=pickle.dumps(tuple(request)), fds=inherited,
            grace=0.0)
    except Error as error:
        print(f"forkserver-python: {error}; running {sys.executable} itself",
              file=sys.stderr, flush=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _exec_python()
    for fd in inherited:
        os.close(fd)
    try:
        _leave_as(_wait(client, worker, forwarded))
    except Error as error:
        print(f"forkserver-python: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _exec_python() -> NoReturn:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


def _inherited_fds() -> Dict[int, int]:
    fds = {}
    for name in os.listdir("/dev/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                fds[int(name)] = int(name)
        except OSError:
            pass
    return fds


def _wait(client: Any, worker: Any, forwarded: Set[Any]) -> Any:
    """Until the worker has ended; signals go to it meanwhile."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in forwarded:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, forwarded)
    poll = select.poll()
    for fd in (read_end, client.fileno(), worker.sentinel):
        poll.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if worker.sentinel in ready:
            return worker.wait()
        if client.fileno() in ready:
            client.process()
        if read_end in ready:
            for byte in os.read(read_end, 4096):
                _forward(worker, byte)


def _forward(worker: Any, number: int) -> None:
    try:
        if number == signal.SIGTSTP:
            # The worker is in no terminal's session: there SIGTSTP does
            # nothing.
            worker.signal(signal.SIGSTOP, group=True)
            os.kill(os.getpid(), signal.SIGSTOP)
            worker.signal(signal.SIGCONT, group=True)
        elif number == signal.SIGCONT:
            worker.signal(number, group=True)
        else:
            worker.signal(number, group=number in _FROM_TERMINAL)
    except forkserver.WorkerEnded:
        pass


def _leave_as(record: Any) -> NoReturn:
    number: Optional[int] = record.signal
    if number is None:
        os._exit(1 if record.code is None else record.code)
    # The worker has left the core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    os._exit(128 + number)
