"""The plugin of the main process: in place of collecting and running tests it
has zygotes and workers do so, and replays what they tell."""

import functools
import pickle
import signal
import threading
from typing import Any, Dict, Iterator, List

import pytest

import forkserver
from forkserver import event_pipe
from forkserver.errors import Error
from forkserver.lanes import InOrder, Lanes, Post, Task
from forkserver.pytest_session import worker
from forkserver.pytest_session.relay import Replay
from forkserver.pytest_session.units import Plan, Unit
from forkserver.pytest_session.zygotes import Zygotes

# What tests are given to clean up when the run ends before they do.
_INTERRUPT_SECONDS = 5.0


class Controller:
    """`count`: workers at a time."""

    def __init__(self, config: Any, count: int) -> None:
        self._config = config
        self._count = count
        self._client: Any = None
        self._zygotes: Any = None
        self._replay = Replay(config)
        self._plan = Plan([], [], [])
        self._lanes = Lanes(1)
        self._interrupted = False
        self._by_user = False
        self._workers: Dict[int, Any] = {}
        # Numbers from 1; True: no worker of it has ended well.
        self._free: Dict[int, bool] = dict.fromkeys(range(1, count + 1), True)
        self._lock = threading.Lock()
        self._notes: List[str] = []
        self._started_item = ""

    def pytest_report_header(self) -> str:
        scope = self._config.getoption("forkserver_scope")
        return f"forkserver: {self._count} workers, one for each {scope}"

    # --- collection ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: Any) -> bool:
        """The zygote's."""
        session.items = []
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.pytest_collection()
        try:
            self._client = forkserver.connect(client_name="pytest")
            self._zygotes = Zygotes(self._client, self._config, self._count)
            events = self._zygotes.start()
        except pytest.UsageError:
            if reporter is not None:
                reporter.pytest_collection_finish(session)
            raise
        except Error as error:
            raise pytest.UsageError(f"forkserver: {error}") from error
        for event in events:
            if self._replay.handles(event[0]):
                self._replay.replay(*event)
            elif event[0] == "plan":
                items, units, files = event[1]
                self._plan = Plan(items, [Unit(*each) for each in units],
                                  files)
            elif event[0] == "status":
                plugin = self._config.pluginmanager.getplugin(event[1])
                if hasattr(plugin, event[2]):
                    setattr(plugin, event[2], event[3])
        self._zygotes.set_plan(self._plan)
        session.testscollected = len(self._plan.items)
        new_first = self._config.pluginmanager.getplugin("nfplugin")
        if hasattr(new_first, "cached_nodeids"):
            new_first.cached_nodeids.update(
                nodeid for nodeid, _ in self._plan.items)
        if reporter is not None:
            reporter._numcollected = (len(self._plan.items) +
                                      self._replay.deselected)
            reporter.pytest_collection_finish(session)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        return True

    # --- the run ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        """As pytest's own, and with its exceptions."""
        if (session.testsfailed and
                not self._config.option.continue_on_collection_errors):
            raise session.Interrupted(
                "%d error%s during collection"
                % (session.testsfailed, "s" if session.testsfailed != 1 else
                   ""))
        self._lanes = Lanes(max(1, min(self._count, len(self._plan.units))))
        order = InOrder()
        try:
            for number, event in self._lanes.run(self._tasks()):
                for each in order.add(number, event):
                    self._take(session, each)
        except session.Interrupted:  # a KeyboardInterrupt too
            raise
        except KeyboardInterrupt:
            self._by_user = True
            raise
        except Error as error:
            raise session.Interrupted(f"forkserver: {error}") from error
        finally:
            self._end_workers()
            self._end_zygotes()
        return True

    def _take(self, session: Any, event: Any) -> None:
        """One event of a worker, when its turn has come."""
        if event is None or event[0] == "logfinish":
            if event is not None:
                self._replay.replay(*event)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        elif event[0] == "logstart":
            self._started_item = event[1]
            self._replay.replay(*event)
        elif event[0] == "crash":
            self._replay_crash(*event[1:])
        elif event[0] == "exit":
            raise pytest.exit.Exception(*event[1:])
        elif event[0] == "interrupted":  # by a test, not by this process
            self._notes.append(_describe_interrupt(event))
            raise KeyboardInterrupt
        elif event[0] == "shouldstop":
            session.shouldstop = event[1]
        elif self._replay.handles(event[0]):
            self._replay.replay(*event)

    def _replay_crash(self, index: int, text: str) -> None:
        nodeid, location = self._plan.items[index]
        if self._started_item != nodeid:
            self._replay.replay("logstart", nodeid, location)
        report = pytest.TestReport(nodeid, tuple(location), {}, "failed", text,
                                   "call")
        self._config.hook.pytest_runtest_logreport(report=report)
        self._replay.replay("logfinish", nodeid, location)

    # --- in the threads of the lanes ---

    def _tasks(self) -> Iterator[Task]:
        for number, unit in enumerate(self._plan.units):
            yield functools.partial(self._run_unit, number, unit)

    def _run_unit(self, number: int, unit: Unit, post: Post) -> None:
        """Until each item has run, however often a worker dies."""
        left = list(unit.items)
        while left and not self._interrupted:
            progress = _Progress()
            end = self._run_worker(number, unit, left, progress, post)
            for index in progress.silent:
                post((number, ("crash", index, "forkserver: the worker told "
                               "nothing of this test")))
            if progress.done or self._interrupted:
                break
            index = left[0] if progress.item is None else progress.item
            report = "\n\n" + end.crash_report if end.crash_report else ""
            post((number, ("crash", index,
                           f"forkserver: the worker {end.describe()} while it "
                           f"ran this test{report}")))
            left = left[left.index(index) + 1:]
        self._zygotes.unit_done(unit.file)
        post((number, None))

    def _run_worker(self, number: int, unit: Unit, items: List[int],
                    progress: "_Progress", post: Post) -> event_pipe.End:

        def on_event(event: Any) -> None:
            progress.note(event)
            if event[0] not in ("item", "done"):
                post((number, event))

        def on_start(its_worker: Any) -> None:
            with self._lock:
                self._workers[number] = its_worker
                late = self._interrupted
            if late:  # it was being forked then
                _send_interrupt(its_worker)

        with self._lock:
            lane, fresh = self._free.popitem()
        request = worker.Request(items, lane, fresh)
        try:
            return event_pipe.forward_events(
                lambda entry, **options: self._zygotes.fork(
                    unit.file, entry, **options),
                worker.ENTRY, on_event, on_start,
                args=pickle.dumps(tuple(request)))
        finally:
            with self._lock:
                self._workers.pop(number, None)
                self._free[lane] = not progress.done

    # --- the end ---

    def _end_workers(self) -> None:
        """Those that still run: their tests see KeyboardInterrupt."""
        self._lanes.stop()
        with self._lock:
            self._interrupted = True
            workers = list(self._workers.values())
        for each in workers:
            _send_interrupt(each)
        for _, event in self._lanes.join(_INTERRUPT_SECONDS):
            if self._by_user and event is not None and (
                    event[0] == "interrupted"):
                self._notes.append(_describe_interrupt(event))
        with self._lock:
            workers = list(self._workers.values())
        for each in workers:
            try:
                each.stop(0)
            except Error:
                pass

    def _end_zygotes(self) -> None:
        try:
            events: List[Any] = self._zygotes.stop()
        except Error:
            return  # the daemon is gone
        for event in events:
            if event[0] in ("report", "warning"):
                self._replay.replay(*event)
            elif event[0] == "lost":
                self._config.hook.pytest_runtest_logreport(
                    report=_report_lost(event[1]))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        unsafe = self._zygotes.notes if self._zygotes is not None else []
        missing = self._zygotes.missing if self._zygotes is not None else []
        if not (unsafe or missing or self._notes):
            return
        terminalreporter.section("forkserver")
        for note in self._notes:
            terminalreporter.line(note)
        for note in unsafe:
            terminalreporter.line(note)
        if unsafe:
            terminalreporter.line(
                "These do not survive a fork, so each worker sets the fixture "
                "up for itself. To have it once, start such things in a "
                "process of their own, or leave them to narrower fixtures.")
        for note in missing:
            terminalreporter.line(note)
        if missing:
            terminalreporter.line(
                "Workers do not have these: tests that use them fail. Open "
                "them in a fixture.")

    def pytest_unconfigure(self) -> None:
        if self._zygotes is not None:
            try:
                self._zygotes.stop()
            except Error:
                pass
        if self._client is not None:
            self._client.close()


def _report_lost(what: str) -> Any:
    return pytest.TestReport(
        nodeid=what, location=(what, None, what), keywords={},
        outcome="failed", when="teardown",
        longrepr=f"the zygote of {what} ended before its fixtures were torn "
                 "down")


def _describe_interrupt(event: Any) -> str:
    return f"interrupted: {event[1]}\n{event[2]}"


def _send_interrupt(its_worker: Any) -> None:
    try:
        its_worker.signal(signal.SIGINT, group=True)
    except Error:
        pass  # it has ended, or the daemon


class _Progress:
    """Of one worker."""

    def __init__(self) -> None:
        self.item: Any = None
        self.done = False
        self.silent: List[int] = []  # begun, and nothing was said of them
        self._begun = False

    def note(self, event: Any) -> None:
        name = event[0]
        if name in ("item", "done") and self._begun:
            self.silent.append(self.item)
        if name == "item":
            self.item = event[1]
        elif name == "done":
            self.done = True
        if name == "logstart":
            self._begun = True
        elif name in ("item", "done", "report", "interrupted", "exit"):
            self._begun = False
