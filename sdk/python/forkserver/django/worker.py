"""A process that runs Django's tests, as the entry of a zygote's worker.

It is made what a process that was forked from the test runner would be, step
by step; then it runs one suite of tests after the other, as they come.
"""

import atexit
import contextlib
import faulthandler
import multiprocessing
import multiprocessing.context
import sys
import threading
import traceback
from multiprocessing import process, spawn, util
from typing import Any, Optional

import django
import django.test.runner
from django.conf import settings

from forkserver import inherited_process
from forkserver.django import databases, inheritance, recording, start_method
from forkserver.django.channel import Channel
from forkserver.django.inheritance import WorkerSetup
from forkserver.django.measuring import measured
from forkserver.originals import os, pickle, signal, socket
from forkserver.zygote_host.channels import move_up
from forkserver.zygote_host.context import WorkerContext

ENTRY = __name__ + ":run"
CHANNEL_FD = 3

# In a worker, while its main module is imported and later: a command that
# runs tests again is a mistake.
active = False


class Stopped(KeyboardInterrupt):
    """SIGTERM: the run is over. Of this class, because unittest lets it pass,
    and because exit functions and coverage.py shall see an end."""


def run(context: WorkerContext) -> int:
    """Its exit code."""
    global active
    active = True
    inherited_process.thaw()
    channel = Channel(socket.socket(fileno=move_up(CHANNEL_FD)))
    number, setup = channel.receive()
    signal.signal(signal.SIGTERM, _stop)
    os.register_at_fork(before=_hold_stop, after_in_parent=_release_stop,
                        after_in_child=_forget_stop)
    method = _prepare(setup)
    worker = _WorkerProcess(number, setup, channel, method)
    code: int = worker._bootstrap()  # coverage.py replaces this
    return code


def _stop(*_: Any) -> None:
    raise Stopped()


# A process that a test forks is not the worker: SIGTERM ends it, however soon
# it comes.
_mask = threading.local()


def _hold_stop() -> None:
    _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _release_stop() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


def _forget_stop() -> None:
    if signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release_stop()


def _prepare(setup: WorkerSetup) -> Optional[str]:
    """Returns the name of the start method of the test runner."""
    if setup.faulthandler:
        faulthandler.enable()
    # Loading it lets coverage.py patch multiprocessing.
    data = pickle.loads(setup.preparation)
    method = data.pop("start_method", None)
    spawn.prepare(data)  # type: ignore[attr-defined]
    if method == "forkserverd":
        import forkserver.multiprocessing  # registers it
    start_method.pretend_fork()
    return method


class _WorkerProcess(process.BaseProcess):
    """What multiprocessing.current_process() is in a worker; its identity is
    the number of the worker, as in a pool."""

    _start_method = None

    def __init__(self, number: int, setup: WorkerSetup,
                 channel: Channel, method: Optional[str]) -> None:
        super().__init__(name=f"ForkserverWorker-{number}")
        own: Any = self
        own._identity = (number,)
        own._parent_pid = setup.parent_pid
        self._number = number
        self._setup = setup
        self._channel = channel
        self._method = method

    def run(self) -> None:
        try:
            with measured(self._setup.measuring):
                self._run()
        except Stopped:
            pass
        except (BrokenPipeError, EOFError):
            pass  # the test runner is gone

    def _run(self) -> None:
        try:
            note = set_up(self._setup, self._number, self._method)
        except Exception:
            self._channel.send(("failed", traceback.format_exc()))
            return
        # As with "fork": exit functions of the project are those of the process
        # that runs the command, and may remove what all of them use.
        atexit._clear()
        atexit.register(util._exit_function)
        self._channel.send(("ready", note))
        runner_class = recording.recording_runner(
            pickle.loads(self._setup.runner_class), self._send_event,
            self._setup.buffer)
        run_subsuite = pickle.loads(self._setup.run_subsuite)
        while True:
            message = self._channel.receive()
            if message is None:
                return
            index, pickled = message
            try:
                suite = pickle.loads(pickled)
            except Exception as error:  # pickle raises anything
                self._channel.send(("unloadable",
                                    f"{type(error).__name__}: {error}"))
                continue
            run_subsuite(inheritance.subsuite_arguments(
                runner_class, index, suite, self._setup.failfast))
            self._channel.send(("done", index))

    def _send_event(self, event: recording.Event) -> None:
        try:
            self._channel.send(("event", event))
        except BrokenPipeError:
            raise Stopped() from None
        except OSError as error:
            print("forkserver: a test closed the descriptors of its worker: "
                  f"{error}", file=sys.__stderr__, flush=True)
            os._exit(1)


def set_up(setup: WorkerSetup, number: int,
           method: Optional[str]) -> Optional[str]:
    """Everything up to the databases. Returns what went wrong with the main
    module, which is not needed as a rule."""
    note = _load_main(setup.main)
    if method is not None:
        multiprocessing.set_start_method(method, force=True)
    if setup.process_setup is not None:
        function, args = pickle.loads(setup.process_setup)
        function(*args)
    if setup.configured is not None and not settings.configured:
        settings.configure(**pickle.loads(setup.configured))
    if not django.apps.apps.ready:
        django.setup()
    inheritance.set_up_test_environment(setup.debug)
    inheritance.take_over_settings(setup.settings)
    databases.restore(setup.databases)
    init_worker, args = pickle.loads(setup.initializer)
    init_worker(_Counter(number), *args)
    return note


class _Counter:
    """What init_worker() counts up to its number, which is known here."""

    def __init__(self, number: int) -> None:
        self.value = number - 1

    def get_lock(self) -> Any:
        return contextlib.nullcontext()


def _load_main(main: Any) -> Optional[str]:
    """As multiprocessing does it, except that a main module which sets a
    start method, or cannot be imported, does not end the worker."""
    default: Any = multiprocessing.context._default_context  # type: ignore
    default._actual_context = None
    try:
        if "init_main_from_name" in main:
            spawn._fixup_main_from_name(  # type: ignore[attr-defined]
                main["init_main_from_name"])
        elif "init_main_from_path" in main:
            spawn._fixup_main_from_path(  # type: ignore[attr-defined]
                main["init_main_from_path"])
    except (Exception, SystemExit):
        return traceback.format_exc()
    return None
