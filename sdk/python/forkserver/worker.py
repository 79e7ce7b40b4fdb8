"""A worker, as the blocking client sees it."""

import os
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Type

from forkserver.errors import Error, Timeout
from forkserver.records import ExitRecord, WorkerInfo
from forkserver.sentinel import ended_sentinel, open_sentinel
from forkserver.session import Promise

if TYPE_CHECKING:
    from forkserver.client import Client


class WorkerView:
    """What every kind of worker handle tells without asking anybody."""

    def __init__(self, info: WorkerInfo) -> None:
        self._info = info
        self._record = info.exit
        self._sentinel = -1

    @property
    def id(self) -> str:
        """Never repeats, not across restarts of the daemon either."""
        return self._info.id

    @property
    def pid(self) -> int:
        return self._info.pid

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def kind(self) -> str:
        """"exec" or "forked"."""
        return self._info.kind

    @property
    def zygote(self) -> str:
        """The name of its zygote, "" for an exec worker."""
        return self._info.zygote

    @property
    def sentinel(self) -> int:
        """A descriptor that becomes readable when it has ended, for select,
        poll and multiprocessing.connection.wait; wait() then returns at once.
        Closed with this object. Raises SystemCallFailed."""
        if self._sentinel < 0:
            self._sentinel = (ended_sentinel() if self._record is not None
                              else open_sentinel(self.pid))
        return self._sentinel

    def __del__(self) -> None:
        if getattr(self, "_sentinel", -1) >= 0:
            os.close(self._sentinel)
            self._sentinel = -1

    def __repr__(self) -> str:
        how = "" if self._record is None else f" {self._record.reason}"
        return f"<forkserver.{type(self).__name__} {self.id} pid {self.pid}{how}>"


class Worker(WorkerView):
    """A process that was asked for, or attached to.

        with client.spawn(["sleep", "60"]) as worker:
            print(worker.id, worker.pid)
            worker.signal(signal.SIGUSR1)
            record = worker.stop()

    Leaving the `with` block stops it. Methods may be called from any thread.
    """

    def __init__(self, client: "Client", info: WorkerInfo,
                 end: "Optional[Promise[ExitRecord]]" = None) -> None:
        super().__init__(info)
        self._client = client
        self._end = end

    def wait(self, timeout: Optional[float] = None) -> ExitRecord:
        """Blocks until it has ended; may be called again.

        Raises TimeoutError after `timeout` seconds, after which nothing has
        changed; ConnectionLost; RecordExpired.
        """
        if self._record is None:
            self._record = self._client._await_end(self.id, self._end, timeout)
        return self._record

    def poll(self) -> Optional[ExitRecord]:
        """Its record if it has ended, else None. Does not block."""
        try:
            return self.wait(0)
        except Timeout:
            return None

    def signal(self, signal: int, group: bool = False) -> None:
        """Sends a signal to it, or to its whole process group.

        Raises WorkerEnded if it has ended. Blocks until the daemon answers.
        """
        self._client.signal(self, signal, group)

    def stop(self, grace: Optional[float] = None) -> ExitRecord:
        """Its stop signal to it and all that descends from it, SIGKILL after
        `grace` seconds (default: the worker's own; 0: SIGKILL at once). Blocks
        until nothing of it is left."""
        if self._record is None:
            self._record = self._client._stop(self.id, self._end, grace)
        return self._record

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]],
                 error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        try:
            self.stop()
        except Error:
            # Else it would hide what went wrong in the block.
            if error is None:
                raise
