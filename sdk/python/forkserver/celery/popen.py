"""billiard's handle of a process: a worker of forkserverd."""

import io
import os
import pickle
import select
from typing import TYPE_CHECKING, Any, Dict, Optional

from billiard import context, popen_fork, reduction
from billiard.common import TERM_SIGNAL
from celery.utils.log import get_logger

from forkserver.celery import worker
from forkserver.errors import (ConnectionLost, Timeout, UnknownWorker,
                               WorkerEnded)

if TYPE_CHECKING:
    from forkserver.celery.origin import Origin
    from forkserver.worker import Worker

# The record of a process is there a moment after its end can be seen.
_RECORD_SECONDS = 10.0
# What nobody has seen, as billiard's own "forkserver" has it.
_UNKNOWN_EXIT_CODE = 255

_log = get_logger(__name__)


class Popen(popen_fork.Popen):  # type: ignore[misc]
    """Starts the process object when it is made. Blocks until it runs."""

    DupFd = worker.OwnNumber
    sentinel: Optional[int]

    def __init__(self, process_obj: Any, origin: "Origin") -> None:
        self._origin = origin
        self._fds: Dict[int, int] = {}
        self._worker: "Worker"
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """The same number there: results name the pipe that they belong to
        by the number that it has in the main process."""
        self._fds[fd] = fd
        return fd

    def _launch(self, process_obj: Any) -> None:
        args = self._pickle(process_obj)
        self._worker = self._origin.fork(args=args, fds=self._fds,
                                         name=process_obj.name)
        self.pid = self._worker.pid
        # A copy: close() is called while it may still run.
        self.sentinel = os.dup(self._worker.sentinel)

    def _pickle(self, process_obj: Any) -> bytes:
        app = self._origin.app
        header = worker.Header.of(app)
        stream = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            pickle.dump(tuple(header), stream)
            pickler = _Pickler(stream, app if header.app else None)
            pool_worker = type(process_obj._target)
            pickler.dispatch_table[pool_worker] = _reduce_pool_worker
            pickler.dump(process_obj)
        finally:
            context.set_spawning_popen(None)
        return stream.getvalue()

    def poll(self, flag: int = os.WNOHANG) -> Optional[int]:
        """Its exit code, or minus the signal that killed it; None if it runs.
        Blocks if `flag` is 0."""
        if self.returncode is None:
            if flag == os.WNOHANG and not self._has_ended():
                return None
            self.returncode = self._wait_for_record(flag)
        code: Optional[int] = self.returncode
        return code

    def _has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._worker.sentinel, select.POLLIN)
        return bool(poll.poll(0))

    def _wait_for_record(self, flag: int) -> Optional[int]:
        try:
            record = self._worker.wait(
                _RECORD_SECONDS if flag == os.WNOHANG else None)
        except Timeout:
            return None
        except ConnectionLost as error:
            # Its workers end with the daemon; nobody knows how.
            select.select([self._worker.sentinel], [], [])
            _log.error("process %s: %s", self.pid, error)
            return _UNKNOWN_EXIT_CODE
        if record.signal is not None:
            return -record.signal
        return _UNKNOWN_EXIT_CODE if record.code is None else record.code

    def terminate(self) -> None:
        if self.returncode is None:
            try:
                self._worker.signal(TERM_SIGNAL)
            except (WorkerEnded, UnknownWorker, ConnectionLost):
                pass


class _Pickler(reduction.ForkingPickler):  # type: ignore[misc]
    """Names the app, where it has a name, instead of copying it."""

    def __init__(self, stream: Any, app: Any) -> None:
        super().__init__(stream)
        self._app = app

    def persistent_id(self, value: Any) -> Optional[str]:
        if self._app is not None and value is self._app:
            return worker.APP_ID
        return None


def _reduce_pool_worker(pool_worker: Any) -> Any:
    # billiard leaves the counter out: without it a process does not wait until
    # its last result has been read.
    cls, args = pool_worker.__reduce__()
    return cls, args, {"on_ready_counter": pool_worker.on_ready_counter}
