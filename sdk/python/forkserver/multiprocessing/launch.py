"""A request for a process, from its sending to the worker."""

import errno
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

from forkserver.errors import (BadRequest, ConnectionLost, Error,
                               StaleEnvironment, UnknownZygote, ZygoteFailed,
                               ZygoteRetired)
from forkserver.launch_request import Prepared, prepare_fork
from forkserver.multiprocessing import batch, origin
from forkserver.worker import Worker

if TYPE_CHECKING:
    from forkserver.connection import Connection
    from forkserver.protocol.messages import Fork

_ATTEMPTS = 3


class Launch:
    """Sends the request when it is made, but for batch.sent_together();
    worker() waits for the answer.

    `options`: of the context. make_args() is given what a context in the
    worker has for options.
    """

    def __init__(self, options: Dict[str, Any],
                 make_args: Callable[[Dict[str, Any]], bytes],
                 fork_options: Dict[str, Any]) -> None:
        self._options = options
        self._make_args = make_args
        self._fork_options = fork_options
        self._attempts = _ATTEMPTS
        # A signal handler may ask while the same thread does.
        self._lock = threading.RLock()
        self._worker: Optional[Worker] = None
        self._send()

    def _send(self) -> None:
        self._origin = origin.find(self._options)
        prepared = self._prepare()
        self._promise = self.connection.queue(
            lambda session: session.launch(prepared.body,
                                           prepared.take_fds()))
        held = batch.current()
        if held is not None and self.is_likely():
            held.add(self)
        else:
            self.connection.flush()

    def _prepare(self) -> "Prepared[Fork]":
        options = dict(self._fork_options,
                       args=self._make_args(self._origin.inherited))
        while True:
            try:
                return prepare_fork(self._origin.zygote, origin.ENTRY, options)
            except Error as error:
                held = batch.current()
                if error.errno != errno.EMFILE or held is None or \
                        not held.settle():
                    raise

    @property
    def connection(self) -> "Connection":
        return self._origin.client._connection

    def wait(self) -> None:
        """Until it is answered."""
        self.connection.wait_for(lambda: self._promise.done)

    def is_likely(self) -> bool:
        """Whether its zygote has made workers before."""
        return origin.is_proven(self._origin)

    def keep_descriptors(self) -> None:
        """Another attempt has copies, as the caller's own may be closed
        then."""
        held = batch.current()
        fds = {target: (batch.Copy(fd.fileno()) if not isinstance(fd, int) else
                        batch.Copy(fd) if held is None else held.copy(fd))
               for target, fd in self._fork_options["fds"].items()}
        self._fork_options = dict(self._fork_options, fds=fds)

    def is_answered(self) -> bool:
        """Does not block."""
        if not self._promise.done:
            try:
                self._origin.client.process()
            except (BadRequest, ConnectionLost):
                pass  # by a signal handler: later; lost: it is done now
        return self._promise.done

    def worker(self) -> Worker:
        """Blocks until its entry begins. Raises Error."""
        held = batch.current()
        if held is not None:
            held.flush()
        with self._lock:
            while self._worker is None:
                try:
                    client = self._origin.client
                    launched = self.connection.wait(self._promise)
                    self._worker = Worker(client, launched.info, launched.end)
                    origin.prove(self._origin)
                except (UnknownZygote, ZygoteRetired, ZygoteFailed,
                        StaleEnvironment):
                    # It was idle for too long, it crashed (with nothing begun,
                    # if only now), it ended with the process that started it,
                    # or a frozen variable has changed since.
                    self._attempts -= 1
                    if not self._attempts or not origin.forget(self._options,
                                                               self._origin):
                        raise
                    self._send()
            return self._worker
