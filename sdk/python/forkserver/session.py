"""The state of one connection to the daemon, without any I/O.

A client gives it the bytes that arrived, sends what it has queued, and waits
for promises in its own way: the blocking client and the asyncio one share it.
Not thread-safe.
"""

import copy
from typing import (Callable, Dict, Generic, List, Optional, Sequence, Type,
                    TypeVar, Union, cast)

from forkserver.errors import ConnectionLost, Error, VersionMismatch
from forkserver.protocol import MAX_PROTOCOL, MAX_REPLY_BYTES, MIN_PROTOCOL
from forkserver.protocol.fields import M, Message
from forkserver.protocol.framing import (Frame, FrameReader, close_all,
                                         encode_request)
from forkserver.protocol.messages import (DaemonUpgrade, ErrorBody, Event,
                                          ExitRecord, ExitReply, Fork, Hello,
                                          HelloReply, Snapshot, Spawn,
                                          Subscribe, Upgrade, Wait, WorkerInfo,
                                          WorkerReply)

T = TypeVar("T")


class Promise(Generic[T]):
    """What will be there once an answer has arrived."""

    def __init__(self) -> None:
        self.done = False
        self._value: Optional[T] = None
        self._error: Optional[Error] = None
        self._callbacks: List[Callable[[], None]] = []

    def resolve(self, value: T) -> None:
        if not self.done:
            self._value = value
            self._finish()

    def fail(self, error: Error) -> None:
        if not self.done:
            self._error = error
            self._finish()

    def _finish(self) -> None:
        self.done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_done(self, callback: Callable[[], None]) -> None:
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    @property
    def failed(self) -> bool:
        return self._error is not None

    def result(self) -> T:
        """The value; raises the error, a new copy each time."""
        if self._error is not None:
            raise copy.copy(self._error)
        return cast(T, self._value)


class _Pending:
    """A request. Its descriptors are kept until the first answer, if whoever
    sends them does not take them out of the list."""

    def __init__(self, awaited: str, fds: Sequence[int]) -> None:
        self.awaited = awaited
        self.fds = fds

    def release_fds(self) -> None:
        fds, self.fds = self.fds, ()
        close_all(fds)

    def answer(self, frame: Frame) -> bool:
        """True: it was the last answer. Raises Error if it makes no sense."""
        raise NotImplementedError

    def fail(self, error: Error) -> None:
        raise NotImplementedError


class _Ask(_Pending, Generic[M]):
    """One reply."""

    def __init__(self, awaited: str, fds: Sequence[int],
                 cls: Type[M]) -> None:
        super().__init__(awaited, fds)
        self.promise: Promise[M] = Promise()
        self._cls = cls

    def answer(self, frame: Frame) -> bool:
        self.promise.resolve(frame.decode(self._cls))
        return True

    def fail(self, error: Error) -> None:
        self.promise.fail(error)


class Launched:
    """A worker that runs, and the promise of its record if it is watched."""

    def __init__(self, info: WorkerInfo,
                 end: "Optional[Promise[ExitRecord]]") -> None:
        self.info = info
        self.end = end


class _Launch(_Pending):
    """A reply, then with `watch` an exit."""

    def __init__(self, awaited: str, fds: Sequence[int], watch: bool,
                 ends: Dict[str, "Promise[ExitRecord]"]) -> None:
        super().__init__(awaited, fds)
        self.launched: Promise[Launched] = Promise()
        self._watch = watch
        self._ends = ends
        self._id = ""

    def answer(self, frame: Frame) -> bool:
        if self._id:
            self._ends.pop(self._id).resolve(frame.decode(ExitRecord))
            return True
        info = frame.decode(WorkerReply).worker
        if self._watch:
            self._id = info.id
            self.awaited = f"the end of worker {info.id}"
            self._ends[info.id] = Promise()
        self.launched.resolve(Launched(info, self._ends.get(info.id)))
        return not self._watch

    def fail(self, error: Error) -> None:
        self.launched.fail(error)
        if self._id:
            self._ends.pop(self._id).fail(error)


class _Stream(_Pending):
    """A snapshot, then events without end."""

    def __init__(self, awaited: str,
                 on_event: Callable[[Union[Event, Error]], None]) -> None:
        super().__init__(awaited, ())
        self.snapshot: Promise[Snapshot] = Promise()
        self._on_event = on_event

    def answer(self, frame: Frame) -> bool:
        if self.snapshot.done:
            self._on_event(frame.decode(Event))
        else:
            self.awaited = "an event"
            self.snapshot.resolve(frame.decode(Snapshot))
        return False

    def fail(self, error: Error) -> None:
        if self.snapshot.done:
            self._on_event(error)
        else:
            self.snapshot.fail(error)


class Session:

    def __init__(self, socket_path: str,
                 outbox: Callable[[bytes, Sequence[int]], None]) -> None:
        """`outbox` is called with each frame to send and its descriptors."""
        self.socket_path = socket_path
        self.lost = False
        # When the connection was made, or at the last upgrade() over it.
        self.daemon_version = ""
        # The last error that was about the connection itself.
        self.farewell: Optional[Error] = None
        self._cause = ""
        self._outbox = outbox
        self._reader = FrameReader(MAX_REPLY_BYTES)
        self._pending: Dict[int, _Pending] = {}
        self._last_id = 0
        # Workers of this client that are watched, and others' that are waited
        # for, until their record is here.
        self._ends: Dict[str, Promise[ExitRecord]] = {}

    # --- requests: each raises Error if it cannot be sent ---

    def hello(self, client_name: str) -> "Promise[HelloReply]":
        return self.ask(Hello(client=client_name), HelloReply)

    def check_hello(self, promise: "Promise[HelloReply]") -> HelloReply:
        """Its result. What a daemon says before it closes the connection is
        a better error than that it was closed."""
        if promise.failed and self.farewell is not None:
            raise self.farewell
        reply = promise.result()
        if not MIN_PROTOCOL <= reply.protocol <= MAX_PROTOCOL:
            raise VersionMismatch(f"the daemon chose protocol {reply.protocol}"
                                  ", which was not offered")
        self.daemon_version = reply.version
        return reply

    def ask(self, body: Message, cls: Type[M], fds: Sequence[int] = (),
            awaited: str = "") -> "Promise[M]":
        """One request, one reply. Takes over the descriptors."""
        pending = _Ask(awaited or f"an answer to {body.TYPE}", fds, cls)
        self._send(body, pending)
        return pending.promise

    def launch(self, body: Union[Spawn, Fork],
               fds: Sequence[int]) -> "Promise[Launched]":
        pending = _Launch(f"an answer to {body.TYPE}", fds, body.watch,
                          self._ends)
        self._send(body, pending)
        return pending.launched

    def run(self, body: Union[Spawn, Fork],
            fds: Sequence[int]) -> "Promise[ExitRecord]":
        """A worker that has ended; `body.exit_only` is set here."""
        body.exit_only = True
        pending = _Ask("the end of a worker", fds, ExitRecord)
        self._send(body, pending)
        return pending.promise

    def upgrade(self, body: Upgrade) -> "Promise[DaemonUpgrade]":
        promise = self.ask(body, DaemonUpgrade)

        def note_version() -> None:
            if not promise.failed:
                self.daemon_version = promise.result().version

        promise.when_done(note_version)
        return promise

    def subscribe(
        self, on_event: Callable[[Union[Event, Error]], None]
    ) -> "Promise[Snapshot]":
        """`on_event` is called with each event, and once with an Error."""
        pending = _Stream("an answer to subscribe", on_event)
        self._send(Subscribe(), pending)
        return pending.snapshot

    def end_of(self, worker_id: str) -> "Promise[ExitRecord]":
        """The record of any worker. One request, however often it is asked."""
        end = self._ends.get(worker_id)
        if end is not None:
            return end
        reply = self.ask(Wait(worker=worker_id), ExitReply,
                         awaited=f"the end of worker {worker_id}")
        promise: Promise[ExitRecord] = Promise()

        def finish() -> None:
            self._ends.pop(worker_id, None)
            try:
                promise.resolve(reply.result().exit)
            except Error as error:
                promise.fail(error)

        self._ends[worker_id] = promise
        reply.when_done(finish)
        return promise

    def _send(self, body: Message, pending: _Pending) -> None:
        try:
            if self.lost:
                raise self.loss(pending.awaited)
            frame_id = self._last_id + 1
            frame = encode_request(body, frame_id, len(pending.fds))
        except Error:
            pending.release_fds()
            raise
        self._last_id = frame_id
        self._pending[frame_id] = pending
        self._outbox(frame, pending.fds)

    # --- answers ---

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """What one receive brought; no bytes: the end of the connection."""
        # No message of protocol 1 brings descriptors to a client.
        close_all(fds)
        if not data:
            self.lose("the daemon closed it or ended")
            return
        self._reader.feed(data)
        try:
            for frame in self._reader:
                self._dispatch(frame)
        except Error as error:
            self.lose(str(error))

    def _dispatch(self, frame: Frame) -> None:
        pending = self._pending.get(frame.id)
        if frame.type == ErrorBody.TYPE:
            error = frame.decode(ErrorBody).to_exception()
            if pending is not None:
                del self._pending[frame.id]
                pending.release_fds()
                pending.fail(error)
            elif frame.id == 0:
                self.farewell = error
        elif pending is not None:
            pending.release_fds()
            if pending.answer(frame):
                self._pending.pop(frame.id, None)

    def fail_unsent(self, fds: Sequence[int], error: Error) -> None:
        """The request with these descriptors could not be sent."""
        for frame_id, pending in list(self._pending.items()):
            if pending.fds is fds:
                del self._pending[frame_id]
                pending.release_fds()
                pending.fail(error)

    def lose(self, cause: str) -> None:
        """The connection is over: everything that is waited for fails."""
        if self.lost:
            return
        self.lost = True
        if self.farewell is not None:
            cause = str(self.farewell)
        self._cause = cause
        pending, self._pending = self._pending, {}
        for each in pending.values():
            each.release_fds()
            each.fail(self.loss(each.awaited))

    def loss(self, awaited: str) -> Error:
        return ConnectionLost(
            f"the connection to forkserverd at {self.socket_path} was lost "
            f"while waiting for {awaited}: {self._cause}",
            hint="connect again; the daemon's log may say more")

    def abandon(self) -> None:
        """In a forked child: the parent's descriptors are not for it."""
        for each in self._pending.values():
            each.release_fds()
        self._pending = {}
        self.lost = True
        self._cause = "it belongs to the process that this one was forked from"
