"""A session over a socket, for any number of threads that wait.

There is no thread of its own, which would poison every fork of the process:
of the threads that wait for an answer one reads the socket for all of them.

An exception of a signal handler may strike between any two instructions. So
the lock is only held by `with`, which is atomic; what is half done is marked
before it is begun; and the role of the reader can be found to be vacant.
"""

import select
import socket
import sys
import threading
import time
from typing import Callable, List, Optional, TypeVar

from forkserver.channel import Channel
from forkserver.errors import BadRequest, Timeout
from forkserver.fork_guard import guard
from forkserver.session import Promise, Session

T = TypeVar("T")

# How soon a reader that left without a word is missed.
_RECHECK_S = 1.0


class Connection:
    """Blocks its callers until their promises are kept."""

    def __init__(self, sock: socket.socket, socket_path: str) -> None:
        self._channel = Channel(sock, socket_path)
        self.session = self._channel.session
        self._lock = threading.RLock()
        # The thread that reads, what the other ones wait at, and how many
        # wait for the socket.
        self._reader: Optional[int] = None
        self._gates: List[threading.Lock] = []
        self._polling = 0
        # Bytes are on their way between the socket and the session.
        self._half_done = False
        guard(self)

    def call(self, start: "Callable[[Session], Promise[T]]",
             deadline: Optional[float] = None) -> T:
        """Makes a request and waits for what it promises."""
        return self.wait(self.start(start), deadline)

    def start(self, start: Callable[[Session], T]) -> T:
        """Makes a request; returns when it has been sent."""
        outcome = self.queue(start)
        self.flush()
        return outcome

    def queue(self, start: Callable[[Session], T]) -> T:
        """Makes a request that the next start() or flush() of any thread
        sends."""
        self._check_caller()
        with self._lock:
            return start(self.session)

    def flush(self) -> None:
        """Sends what is queued."""
        self._check_caller()
        sent = False
        while not sent:
            with self._lock:
                sent = self._flush()
            if not sent:
                self._wait_until_writable()

    def wait(self, promise: "Promise[T]",
             deadline: Optional[float] = None) -> T:
        """Raises the promise's error, or Timeout when the deadline, of
        time.monotonic(), has passed."""
        if not self.wait_for(lambda: promise.done, deadline):
            raise Timeout("there was no answer in time")
        return promise.result()

    def wait_for(self, done: Callable[[], bool],
                 deadline: Optional[float] = None) -> bool:
        """Until done(), which is called with the lock held and must be true
        when the connection is lost. False: the deadline passed first."""
        self._check_caller()
        while True:
            outcome = self._wait_once(done, deadline)
            if outcome is not None:
                return outcome

    def process(self) -> None:
        """Takes in what has arrived; does not block. Raises ConnectionLost."""
        self._check_caller()
        with self._lock:
            if self._reader is None:
                self._receive()
            if self.session.lost:
                raise self.session.loss("an answer")

    def fileno(self) -> int:
        self._channel.check_owner()
        return self._channel.fileno()

    def close(self) -> None:
        """Ends the connection. What other threads wait for fails."""
        if self._channel.is_inherited():
            return
        self._check_caller()
        with self._lock:
            self._lose("this client closed it")
            # The last of those who wait for the socket closes it.
            if not self._polling:
                self._channel.close()

    def abandon(self) -> None:
        """In a forked child: closes its copies."""
        self._channel.abandon()

    def __del__(self) -> None:
        channel = getattr(self, "_channel", None)
        if channel is not None:
            channel.abandon()

    def _check_caller(self) -> None:
        self._channel.check_owner()
        me = threading.get_ident()
        if self._reader == me and not self._is_in_call(me):
            self._reader = None
        if self._reader == me or self._lock._is_owned():  # type: ignore
            raise BadRequest(
                "this client was called from a signal handler or a finalizer "
                "while a call of the same thread was under way",
                hint="raise an exception there, or use another client")

    # --- with the lock held ---

    def _flush(self) -> bool:
        """True: there is nothing more to send, or nobody to send it to."""
        self._begin()
        sent = self._channel.flush()
        self._half_done = False
        if self.session.lost:
            self._wake()
        return sent

    def _receive(self) -> None:
        self._begin()
        self._channel.receive()
        self._half_done = False
        self._wake()

    def _begin(self) -> None:
        if self._half_done:
            # Nobody can tell where in the stream it is.
            self._lose("interrupted by a signal handler in the middle of a "
                       "message")
        self._half_done = True

    def _lose(self, cause: str) -> None:
        self.session.lose(cause)
        self._channel.shut_down()
        self._wake()

    def _new_gate(self) -> threading.Lock:
        gate = threading.Lock()
        gate.acquire()
        self._gates.append(gate)
        return gate

    def _wake(self) -> None:
        gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()

    # --- without it ---

    def _wait_once(self, done: Callable[[], bool],
                   deadline: Optional[float]) -> Optional[bool]:
        """What wait_for() returns, or None: something has changed."""
        gate = None
        left = None
        try:
            with self._lock:
                if done():
                    return True
                if deadline is not None:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        # What has arrived counts, however late one looks.
                        if self._reader is None:
                            self._receive()
                        return done()
                # In one step with done(): who reads has nothing yet.
                if self._reader is None:
                    self._reader = threading.get_ident()
                else:
                    gate = self._new_gate()
            if gate is None:
                self._poll(select.POLLIN, left)
            elif not gate.acquire(timeout=_RECHECK_S if left is None else
                                  min(left, _RECHECK_S)):
                self._miss_reader()
        finally:
            self._leave_role()
        return None

    def _wait_until_writable(self) -> None:
        events = select.POLLOUT
        try:
            with self._lock:
                if self._reader is None:
                    # The daemon may be waiting for that.
                    self._reader = threading.get_ident()
                    events |= select.POLLIN
            self._poll(events, None)
        finally:
            self._leave_role()

    def _leave_role(self) -> None:
        if self._reader == threading.get_ident():
            with self._lock:
                self._reader = None
                # If this thread has what it wants, another is to read.
                self._receive()

    def _poll(self, events: int, timeout: Optional[float]) -> None:
        with self._lock:
            if self.session.lost:
                return
            poll = select.poll()
            poll.register(self._channel.fileno(), events)
            self._polling += 1
        try:
            poll.poll(None if timeout is None else timeout * 1000)
        finally:
            with self._lock:
                self._polling -= 1
                if self.session.lost and not self._polling:
                    self._channel.close()

    def _miss_reader(self) -> None:
        with self._lock:
            if self._reader is not None and not self._is_in_call(self._reader):
                self._reader = None

    def _is_in_call(self, thread: int) -> bool:
        """Whether a thread is in a call that may read."""
        frame = sys._current_frames().get(thread)
        while frame is not None:
            if (frame.f_code in _READING and
                    frame.f_locals.get("self") is self):
                return True
            frame = frame.f_back
        return False


# The calls in which a thread is the reader.
_READING = (Connection._wait_once.__code__,
            Connection._wait_until_writable.__code__)
