"""The events of a daemon, for the blocking client."""

import collections
from typing import Any, Deque, Iterator, Optional, Union

from forkserver.connection import Connection
from forkserver.durations import deadline_of
from forkserver.errors import Error, Timeout
from forkserver.records import Event, Snapshot


class Subscription:
    """Every change in the daemon: an endless iterator of events.

        with client.subscribe() as events:
            print(len(events.snapshot.workers))
            for event in events:
                print(event.event)

    `snapshot` is what was alive at first. Iterating blocks until there is an
    event; events wait in memory for it. Raises ConnectionLost. After an event
    "overrun" go on from its snapshot.
    """

    snapshot: Snapshot

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: "Deque[Union[Event, Error]]" = collections.deque()
        self._closed = False
        self.snapshot = connection.call(
            lambda session: session.subscribe(self._on_event))

    def _on_event(self, event: Union[Event, Error]) -> None:
        if not self._closed:
            self._queue.append(event)

    def next(self, timeout: Optional[float] = None) -> Event:
        """The next event. Raises TimeoutError after `timeout` seconds."""
        deadline = deadline_of(timeout)
        session = self._connection.session
        self._connection.wait_for(lambda: bool(self._queue) or session.lost,
                                  deadline)
        try:
            event = self._queue.popleft()
        except IndexError:
            if session.lost:
                raise session.loss("an event") from None
            raise Timeout(f"there was no event within {timeout} s") from None
        if isinstance(event, Error):
            raise event
        return event

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._closed:
            raise StopIteration
        return self.next()

    def close(self) -> None:
        """Ends the iteration. Until the client is closed the daemon goes on
        to send events, which are dropped."""
        self._closed = True
        self._queue.clear()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
