"""The suite of the main process: runs each group in a worker of its own."""

import functools
import pickle
import signal
import sys
import threading
from typing import Any, Dict, Iterator, List, Tuple

from forkserver import event_pipe
from forkserver.errors import Error
from forkserver.lanes import InOrder, Lanes, Post, Task
from forkserver.unittest import worker
from forkserver.unittest.progress import Progress
from forkserver.unittest.replay import ReplayResult

# What tests are given to clean up after Ctrl-C.
_INTERRUPT_SECONDS = 3.0


class WorkerSuite:
    """Called with a ReplayResult, as a suite is. Blocks until all groups have
    run; what they tell is replayed in the order of the suite.

    Raises KeyboardInterrupt, and forkserver.Error: the daemon is gone.
    """

    def __init__(self, zygote: Any, request: worker.Request,
                 groups: List[Tuple[str, int]], jobs: int) -> None:
        self._zygote = zygote
        self._request = request
        self._groups = groups
        self._lanes = Lanes(max(min(jobs, len(groups)), 1))
        # Of the groups that are running.
        self._workers: Dict[int, Any] = {}
        self._progress: Dict[int, Progress] = {}
        self._lock = threading.Lock()
        self._order = InOrder()
        self._interrupted = False
        self._signalled = False

    def countTestCases(self) -> int:
        """As a suite does."""
        return sum(count for _, count in self._groups)

    def __call__(self, result: ReplayResult) -> None:
        result.buffer = False  # output is captured where it is made
        result.on_stop = lambda: self._lanes.post(None)
        try:
            for event in self._lanes.run(self._tasks()):
                if event is None:
                    self._stop(result)
                    continue
                for each in self._order.add(*event):
                    if each is not None:
                        method, _, description, *details = each
                        result.replay(method, description, *details)
                    elif _has_failed_fast(result):
                        return
        except KeyboardInterrupt:
            self._interrupt()
            raise
        finally:
            self._lanes.stop()
            result.on_stop = lambda: None

    def _stop(self, result: ReplayResult) -> None:
        """The result wants no more: after a failure (its worker stops by
        itself), or because of Ctrl-C with --catch."""
        self._lanes.stop()
        if not _has_failed_fast(result):
            self._signal_workers()

    def _interrupt(self) -> None:
        """Tests see KeyboardInterrupt, as they would without workers."""
        self._interrupted = True
        self._lanes.stop()
        running = [each.running for each in list(self._progress.values())
                   if each.running is not None]
        if running:
            print("\nInterrupted:", *(each[0] for each in running),
                  sep="\n  ", file=sys.stderr, flush=True)
        self._signal_workers()
        self._lanes.join(_INTERRUPT_SECONDS)

    def _signal_workers(self) -> None:
        with self._lock:
            self._signalled = True
            workers = list(self._workers.values())
        for each in workers:
            _send_interrupt(each)

    # --- in the threads of the lanes ---

    def _tasks(self) -> Iterator[Task]:
        for group in range(len(self._groups)):
            yield functools.partial(self._run, group)

    def _run(self, group: int, post: Post) -> None:
        """Until every test of it has run, however often its worker dies."""
        name, count = self._groups[group]
        first = 0
        while first < count:
            progress = self._progress[group] = Progress(name, first)
            end = self._run_worker(group, progress, post)
            if progress.done or self._interrupted:
                break
            for event in progress.death(end):
                post((group, event))
            if progress.next == first:
                break  # the next worker would die there too
            first = progress.next
        self._progress.pop(group, None)
        post((group, None))

    def _run_worker(self, group: int, progress: Progress, post: Post
                   ) -> event_pipe.End:
        request = self._request._replace(group=group, first=progress.first)

        def on_start(worker_of_group: Any) -> None:
            with self._lock:
                self._workers[group] = worker_of_group
                late = self._signalled
            if late:  # it was being forked then
                _send_interrupt(worker_of_group)

        def on_event(event: Any) -> None:
            progress.note(event)
            if not progress.done:
                post((group, event))

        try:
            return event_pipe.forward_events(
                self._zygote.fork, worker.ENTRY, on_event, on_start,
                args=pickle.dumps(tuple(request)), argv=request.argv)
        finally:
            with self._lock:
                self._workers.pop(group, None)


def _send_interrupt(worker_of_group: Any) -> None:
    try:
        worker_of_group.signal(signal.SIGINT, group=True)
    except Error:
        pass  # it has ended


def _has_failed_fast(result: ReplayResult) -> bool:
    return (result.shouldStop and result.failfast
            and not result.wasSuccessful())
