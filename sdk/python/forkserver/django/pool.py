"""The workers of one run: tasks go out, events come in, the dead are replaced.

Not multiprocessing.Pool, which never fails the task of a worker that died.
"""

import pickle
import selectors
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from forkserver.calls import describe_end
from forkserver.django import channel
from forkserver.django.inheritance import WorkerSetup
from forkserver.django.replay import Replay, TestWorkerDied
from forkserver.django.worker import CHANNEL_FD
from forkserver.django.zygotes import Zygotes
from forkserver.errors import Error, LaunchFailed

if TYPE_CHECKING:
    from forkserver.worker import Worker

# How often it is looked whether Ctrl-C was pressed.
_TICK_SECONDS = 0.1
# For a worker whose tests are over: to save what coverage.py has measured, to
# join threads.
_END_SECONDS = 10.0
_GRACE_SECONDS = 2.0
# What a library does to a child that was forked from the wrong process.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL,
            signal.SIGTRAP, signal.SIGFPE, signal.SIGSYS}


class Task:
    """A suite of tests for one worker."""

    def __init__(self, index: int, suite: Any, pickled: bytes) -> None:
        self.index = index
        self.suite = suite
        self.pickled = pickled
        # It runs in a worker that is not preloaded: it crashed in one that is.
        self.suspicious = False

    def of(self, tests: List[Any]) -> "Task":
        """The same with some of the tests."""
        suite = type(self.suite)(tests)
        return Task(self.index, suite, pickle.dumps(suite, channel.PROTOCOL))


class Slot:
    """The worker of one number, and the ones that take its place."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: "Optional[Worker]" = None
        self.channel: Optional[channel.Channel] = None
        self.task: Optional[Task] = None
        self.replay: Optional[Replay] = None
        self.bare = False
        self.ready = False


class Pool:
    """Runs tasks until there are none, or until the result wants to stop."""

    def __init__(self, zygotes: Zygotes, setup: WorkerSetup, processes: int,
                 result: Any, replace: Callable[[int], None]) -> None:
        """`replace` is told the number of a worker before another one takes
        it."""
        self._zygotes = zygotes
        self._setup = setup
        self._result = result
        self._replace = replace
        self._slots = [Slot(number + 1) for number in range(processes)]
        self._selector = selectors.DefaultSelector()
        self._tasks: List[Task] = []
        # Tasks whose tests cannot be sent to a worker.
        self.left: List[Task] = []
        self.why_left = ""
        # Whether preloading is what makes workers crash: not known at first.
        self._guilty: Optional[bool] = None
        self._noted = False

    def run(self, tasks: List[Task]) -> None:
        """Blocks until all is done. Raises Error: there are no workers."""
        self._tasks = list(reversed(tasks))
        try:
            for slot in self._slots:
                if self._tasks:
                    self._start(slot)
                    self._give(slot)
            while self._busy() and not self._result.shouldStop:
                for key, _ in self._selector.select(_TICK_SECONDS):
                    slot, worker, ended = key.data
                    if slot.worker is not worker or self._result.shouldStop:
                        continue
                    self._take_messages(slot)
                    if ended or slot.channel.closed:
                        self._died(slot)
            if not self._result.shouldStop:
                self._finish()
        finally:
            self._stop()
            self._selector.close()

    def _busy(self) -> bool:
        return bool(self._tasks) or any(slot.task for slot in self._slots)

    # --- one worker ---

    def _start(self, slot: Slot, bare: bool = False) -> None:
        slot.bare = bare or bool(self._guilty) or \
            not self._zygotes.is_preloaded
        slot.ready = False
        slot.channel, theirs = channel.pair()
        try:
            with theirs:
                slot.worker = self._zygotes.fork(
                    slot.bare, fds={CHANNEL_FD: theirs},
                    stdin=subprocess.DEVNULL,
                    name=f"Django test worker {slot.number}")
            self._selector.register(slot.channel, selectors.EVENT_READ,
                                    (slot, slot.worker, False))
            self._selector.register(slot.worker.sentinel,
                                    selectors.EVENT_READ,
                                    (slot, slot.worker, True))
            self._send(slot, (slot.number, self._setup))
        except BaseException:
            self._drop(slot)
            raise

    def _give(self, slot: Slot) -> None:
        """Its next task, if there is one. A worker that is gone already is
        seen by its sentinel."""
        if not self._tasks:
            slot.task = slot.replay = None
            return
        task = slot.task = self._tasks.pop()
        slot.replay = Replay(self._result, list(task.suite))
        self._send(slot, (task.index, task.pickled))

    def _send(self, slot: Slot, message: Any) -> None:
        assert slot.channel is not None
        try:
            slot.channel.send(message)
        except OSError:
            pass

    def _take_messages(self, slot: Slot) -> None:
        assert slot.channel is not None
        for kind, content in slot.channel.take():
            if self._result.shouldStop:
                return
            if kind == "event" and slot.replay is not None:
                slot.replay.take(content)
            elif kind == "ready":
                slot.ready = True
                self._note(content)
            elif kind == "failed":
                raise LaunchFailed(
                    f"worker {slot.number} cannot be set up:\n{content}",
                    step="setup")
            elif kind == "unloadable":
                assert slot.task is not None
                self.left.append(slot.task)
                self.why_left = self.why_left or content
                self._give(slot)
            elif kind == "done":
                self._done(slot)

    def _done(self, slot: Slot) -> None:
        task = slot.task
        if task is not None and task.suspicious and self._guilty is None:
            self._guilty = True
            print(f"forkserver: {_name(task.suite)} crashed in a worker with "
                  "the project preloaded, not in one without: loading the "
                  "project starts something that does not survive a fork. "
                  "The run goes on without preloading (see --no-preload).",
                  file=sys.stderr, flush=True)
        self._give(slot)

    # --- the end of a worker ---

    def _died(self, slot: Slot) -> None:
        """Its task goes on in another worker of the same number."""
        worker, task, replay = slot.worker, slot.task, slot.replay
        assert worker is not None
        try:
            record = worker.wait(_GRACE_SECONDS)
        except TimeoutError:
            # A test closed the channel: nobody will hear of the others.
            record = worker.stop(0)
        was_bare, was_ready = slot.bare, slot.ready
        self._drop(slot)
        crashed = record.signal in _CRASHES
        if record.reason == "lost" or record.reason == "daemon_stopped":
            raise Error(f"worker {slot.number} {describe_end(record)}: "
                        "forkserverd is gone")
        what = f"worker {slot.number} (pid {record.pid}) " + \
            describe_end(record)
        if task is None or replay is None:
            return
        again = crashed and not was_bare and self._guilty is not False
        if not was_ready and not again:
            raise LaunchFailed(f"{what} while it was set up", step="setup")
        if again:
            # Is it the test, or what was loaded before the worker was forked?
            if replay.running:
                replay.forget_running()
            rest = replay.rest()
            task = task.of(rest) if rest else None
            if task is not None:
                task.suspicious = True
        else:
            if task.suspicious and self._guilty is None and crashed:
                self._guilty = False
            replay.died(TestWorkerDied(f"{what} while it ran "
                                       f"{replay.name_of_running()}"))
            rest = replay.rest() if replay.begun else []
            task = task.of(rest) if rest else None
        slot.task = slot.replay = None
        if task is not None:
            self._tasks.append(task)
        if self._result.shouldStop or not self._tasks:
            return
        self._replace(slot.number)
        self._start(slot, bare=self._tasks[-1].suspicious)
        self._give(slot)

    def _drop(self, slot: Slot) -> None:
        for each in (slot.channel, slot.worker and slot.worker.sentinel):
            if each is not None:
                try:
                    self._selector.unregister(each)
                except (KeyError, ValueError):
                    pass
        if slot.channel is not None:
            slot.channel.close()
        slot.channel = slot.worker = None

    # --- the end of the run ---

    def _finish(self) -> None:
        """Lets workers end by themselves, for some seconds."""
        for slot in self._slots:
            if slot.worker is not None:
                self._send(slot, None)
        deadline = time.monotonic() + _END_SECONDS
        for slot in self._slots:
            if slot.worker is None:
                continue
            try:
                slot.worker.wait(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                print(f"forkserver: worker {slot.number} does not end after "
                      "its last test, a thread may be left: it is stopped",
                      file=sys.stderr, flush=True)
                continue
            self._drop(slot)

    def _stop(self) -> None:
        """Ends those that still run, all at the same time."""
        running = [slot for slot in self._slots if slot.worker is not None]
        for slot in running:
            assert slot.worker is not None
            try:
                slot.worker.signal(signal.SIGTERM)
            except Error:
                pass
        deadline = time.monotonic() + _GRACE_SECONDS
        for slot in running:
            assert slot.worker is not None
            try:
                slot.worker.wait(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                try:
                    slot.worker.stop(0)
                except Error:
                    pass
            except Error:
                pass
            self._drop(slot)

    def _note(self, text: Optional[str]) -> None:
        if text and not self._noted:
            self._noted = True
            print("forkserver: workers could not import the main module, and "
                  f"go on without it:\n{text}", file=sys.stderr, flush=True)


def _name(suite: Any) -> str:
    for test in suite:
        return f"{type(test).__module__}.{type(test).__qualname__}"
    return "a suite"
