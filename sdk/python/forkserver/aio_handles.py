"""What the asyncio client gives: workers, zygotes, events."""

import asyncio
import collections
import time
from typing import (TYPE_CHECKING, Any, AsyncIterator, Deque, Optional, Set,
                    Union)

from forkserver.durations import deadline_of
from forkserver.errors import Error, Timeout, UnknownZygote
from forkserver.records import (Event, ExitRecord, Snapshot, WorkerInfo,
                                ZygoteInfo)
from forkserver.session import Promise
from forkserver.worker import WorkerView

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.aio import AsyncClient
    from forkserver.launch_request import ForkOptions


class AsyncWorker(WorkerView):
    """As Worker. Leaving an `async with` block stops it."""

    def __init__(self, client: "AsyncClient", info: WorkerInfo,
                 end: "Optional[Promise[ExitRecord]]" = None) -> None:
        super().__init__(info)
        self._client = client
        self._end = end

    async def wait(self, timeout: Optional[float] = None) -> ExitRecord:
        """As Worker.wait(); any number of tasks may wait."""
        if self._record is None:
            self._record = await self._client._await_end(
                self.id, self._end, timeout)
        return self._record

    async def poll(self) -> Optional[ExitRecord]:
        """As Worker.poll()."""
        try:
            return await self.wait(0)
        except Timeout:
            return None

    async def signal(self, signal: int, group: bool = False) -> None:
        """As Worker.signal()."""
        await self._client.signal(self, signal, group)

    async def stop(self, grace: Optional[float] = None) -> ExitRecord:
        """As Worker.stop()."""
        if self._record is None:
            self._record = await self._client._stop(self.id, self._end, grace)
        return self._record

    async def __aenter__(self) -> "AsyncWorker":
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            await self.stop()
        except Error:
            if error is None:
                raise


class AsyncZygote:
    """As Zygote. Leaving an `async with` block retires it."""

    def __init__(self, client: "AsyncClient", info: ZygoteInfo) -> None:
        self._client = client
        self.info = info

    @property
    def name(self) -> str:
        return self.info.name

    def __repr__(self) -> str:
        return f"<forkserver.AsyncZygote {self.name!r} pid {self.info.pid}>"

    async def fork(self, entry: str,
                   **options: "Unpack[ForkOptions]") -> AsyncWorker:
        """As Zygote.fork()."""
        return await self._client.fork(self.name, entry, **options)

    async def run(self, entry: str,
                  **options: "Unpack[ForkOptions]") -> ExitRecord:
        """As Zygote.run()."""
        return await self._client.run_fork(self.name, entry, **options)

    async def stop(self) -> None:
        """As Zygote.stop()."""
        await self._client.stop_zygote(self.name)

    async def __aenter__(self) -> "AsyncZygote":
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            await self.stop()
        except UnknownZygote:
            pass
        except Error:
            if error is None:
                raise


class AsyncSubscription:
    """As Subscription, with `async for` and `async with`."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client
        self._queue: "Deque[Union[Event, Error]]" = collections.deque()
        self._waiting: "Set[asyncio.Future[None]]" = set()
        self._closed = False
        self.snapshot = Snapshot()

    def _on_event(self, event: Union[Event, Error]) -> None:
        if self._closed:
            return
        self._queue.append(event)
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def next(self, timeout: Optional[float] = None) -> Event:
        """As Subscription.next()."""
        deadline = deadline_of(timeout)
        while not self._queue:
            if self._client._session.lost:
                raise self._client._session.loss("an event")
            if deadline is not None and time.monotonic() >= deadline:
                raise Timeout(f"there was no event within {timeout} s")
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await until(future, deadline)
            finally:
                self._waiting.discard(future)
        event = self._queue.popleft()
        if isinstance(event, Error):
            raise event
        return event

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._closed:
            raise StopAsyncIteration
        return await self.next()

    def close(self) -> None:
        """As Subscription.close()."""
        self._closed = True
        self._queue.clear()

    async def __aenter__(self) -> "AsyncSubscription":
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()


async def until(future: "asyncio.Future[None]",
                 deadline: Optional[float]) -> None:
    """Returns when it is done or the deadline has passed."""
    if deadline is None:
        await future
    else:
        left = max(0.0, deadline - time.monotonic())
        await asyncio.wait([future], timeout=left)
