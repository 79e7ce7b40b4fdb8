"""A request for a process, from its sending to the worker."""

import os
import threading
from typing import Any, Callable, Dict, Optional

from forkserver.errors import (BadRequest, ConnectionLost, StaleEnvironment,
                               UnknownZygote, ZygoteFailed, ZygoteRetired)
from forkserver.launch_request import prepare_fork
from forkserver.multiprocessing import origin
from forkserver.worker import Worker

_ATTEMPTS = 3


class Launch:
    """Sends the request when it is made; worker() waits for the answer.

    `options`: of the context. make_args() is given what a context in the
    worker has for options. close() it in the end.
    """

    def __init__(self, options: Dict[str, Any],
                 make_args: Callable[[Dict[str, Any]], bytes],
                 fork_options: Dict[str, Any]) -> None:
        self._copies: Dict[int, int] = {}
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
        prepared = prepare_fork(
            self._origin.zygote, origin.ENTRY,
            dict(self._fork_options,
                 args=self._make_args(self._origin.inherited)))
        self._promise = self._origin.client._connection.start(
            lambda session: session.launch(prepared.body,
                                           prepared.take_fds()))

    def is_likely(self) -> bool:
        """Whether its zygote has made workers before."""
        return origin.is_proven(self._origin)

    def keep_descriptors(self) -> None:
        """Another attempt has copies, as the caller's own may be closed
        then."""
        self._copies = {
            target: os.dup(fd if isinstance(fd, int) else fd.fileno())
            for target, fd in self._fork_options["fds"].items()}
        self._fork_options = dict(self._fork_options, fds=self._copies)

    def close(self) -> None:
        copies, self._copies = self._copies, {}
        for fd in copies.values():
            os.close(fd)

    __del__ = close

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
        with self._lock:
            while self._worker is None:
                try:
                    client = self._origin.client
                    launched = client._connection.wait(self._promise)
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
