"""Tasks that block, a few at a time, and their events in the main thread.

    lanes = Lanes(4)
    for event in lanes.run(iter(tasks)):
        ...                      # in this thread: print, count, lanes.stop()

A task is a function that is called with a function `post` in a thread of its
own. What it posts comes out of the loop, in no order between tasks.
"""

import collections
import queue
import threading
import time
from typing import Any, Callable, Deque, Dict, Iterator, List

Post = Callable[[Any], None]
Task = Callable[[Post], None]


class _LaneEnded:
    """What a lane posts last."""

    def __init__(self, error: Any = None) -> None:
        self.error = error


class InOrder:
    """Events of numbered tasks, in the order of the tasks.

        for event in order.add(number, event):
            ...              # all that its turn has come for

    None is the last event of a task.
    """

    def __init__(self) -> None:
        self._held: Dict[int, Deque[Any]] = collections.defaultdict(
            collections.deque)
        self._head = 0

    def add(self, number: int, event: Any) -> Iterator[Any]:
        """None comes out too, when the turn of the next task comes."""
        self._held[number].append(event)
        while self._held[self._head]:
            event = self._held[self._head].popleft()
            if event is None:
                del self._held[self._head]
                self._head += 1
            yield event


class Lanes:
    """At most `count` tasks at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        # Of all queues the one that a signal handler may put something into.
        self._queue: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stopped = False
        self._running = 0

    def run(self, tasks: Iterator[Task]) -> Iterator[Any]:
        """Until every task has ended. Raises what a task raises, after which
        no further one begins."""
        for _ in range(self._count):
            self._running += 1
            threading.Thread(target=self._run_lane, args=(tasks,),
                             daemon=True).start()
        while self._running:
            event = self._queue.get()
            if not isinstance(event, _LaneEnded):
                yield event
                continue
            self._running -= 1
            if event.error is not None:
                self.stop()
                raise event.error

    def join(self, timeout: float) -> List[Any]:
        """After run() was left: waits for the tasks under way, for `timeout`
        seconds at most. Returns what they have posted."""
        self.stop()
        events: List[Any] = []
        deadline = time.monotonic() + timeout
        while self._running:
            left = deadline - time.monotonic()
            try:
                event = self._queue.get(timeout=max(left, 0))
            except queue.Empty:
                break
            if isinstance(event, _LaneEnded):
                self._running -= 1
            else:
                events.append(event)
        return events

    def post(self, event: Any) -> None:
        """As a task does; also from a signal handler."""
        self._queue.put(event)

    def stop(self) -> None:
        """No further task begins."""
        self._stopped = True

    def _run_lane(self, tasks: Iterator[Task]) -> None:
        try:
            while True:
                with self._lock:
                    task = None if self._stopped else next(tasks, None)
                if task is None:
                    break
                task(self.post)
        except BaseException as error:  # pylint: disable=broad-except
            self.post(_LaneEnded(error))
        else:
            self.post(_LaneEnded())
