"""Frames over a Unix stream socket, with the descriptors that ride on them.

    reader = FrameReader()
    while reader.receive(sock) is not Received.CLOSED:
        for frame in reader:
            if frame.type == ForkWorker.TYPE:
                body = frame.decode(ForkWorker)  # and frame.fds

    FrameWriter(sock).send(encode_request(ZygoteHello(pid=os.getpid())))
"""

import array
import collections
import enum
import errno
import struct
from typing import (Any, Callable, Deque, Dict, Iterable, Iterator, List,
                    Optional, Sequence, Tuple, Type, Union)

from forkserver.errors import (BadRequest, FrameTooLarge, MissingKey,
                               TooManyDescriptors, system_error)
from forkserver.originals import os, select, socket
from forkserver.protocol import (MAX_FDS, MAX_FRAME_BYTES, MAX_REPORT_BYTES)
from forkserver.protocol.fields import INTEGER, TEXT, M, Message, pack, unpack

HEADER_BYTES = 4
_READ_BYTES = 64 * 1024
_ANCILLARY_BYTES = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
# macOS has neither: there the descriptors are marked afterwards.
_RECEIVE_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)


def encode_frame(frame_type: str, body: Message, frame_id: int = 0,
                 fds: int = 0) -> bytes:
    """A whole frame. `fds`: how many descriptors ride with it.

    Raises BadRequest, FrameTooLarge, TooManyDescriptors.
    """
    if fds > MAX_FDS:
        raise TooManyDescriptors(
            f"one request can carry {MAX_FDS} descriptors, not {fds}",
            hint="pass a Unix socket, and send the others over it")
    envelope: Dict[str, Any] = {"type": frame_type}
    if frame_id:
        envelope["id"] = frame_id
    if fds:
        envelope["fds"] = fds
    envelope["body"] = body.to_wire()
    payload = pack(envelope)
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameTooLarge(
            f"the message {frame_type} has {len(payload)} bytes, the limit is "
            f"{MAX_FRAME_BYTES}", hint="pass large data through a descriptor")
    return struct.pack(">I", len(payload)) + payload


def encode_request(body: Message, frame_id: int = 0, fds: int = 0) -> bytes:
    """A frame whose type is that of its body: a request or a notice."""
    return encode_frame(body.TYPE, body, frame_id, fds)


class Frame:
    """One received frame. `fds` belong to whoever has it.

    `complete` is false when fewer descriptors came than were announced.
    """

    __slots__ = ("type", "id", "announced", "body", "fds", "complete",
                 "payload")

    def __init__(self, payload: bytes) -> None:
        """Raises Malformed, MissingKey, BadRequest."""
        self.payload = payload
        envelope = unpack(payload)
        if not isinstance(envelope, dict):
            raise BadRequest("the payload must be a map")
        if "type" not in envelope:
            raise MissingKey("the key 'type' is missing in the frame")
        self.type: str = TEXT.decode(envelope["type"], "type")
        self.id = _count(envelope, "id")
        self.announced = _count(envelope, "fds")
        self.body: Any = envelope.get("body", {})
        self.fds: List[int] = []
        self.complete = True

    def decode(self, cls: Type[M]) -> M:
        """The body as a message. Raises MissingKey and BadRequest."""
        return cls.from_wire(self.body)

    def close_fds(self) -> None:
        close_all(self.fds)
        self.fds = []


def _count(envelope: Dict[str, Any], key: str) -> int:
    if key not in envelope:
        return 0
    value = INTEGER.decode(envelope[key], key)
    if value < 0:
        raise BadRequest(f"'{key}' must not be negative: {value}")
    return int(value)


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class Received(enum.Enum):
    PROGRESS = "something was read"
    WOULD_BLOCK = "nothing is there now"
    CLOSED = "end of file"


class FrameReader:
    """Cuts a stream into frames. After an error the stream is broken, except
    that of one frame: Malformed, MissingKey, BadRequest."""

    def __init__(self, max_payload_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_payload_bytes
        self._buffer = bytearray()
        self._fds: Deque[int] = collections.deque()
        # The kernel dropped descriptors for want of room.
        self._fds_lost = False
        self._next_fds_lost = False

    def feed(self, data: bytes, fds: Iterable[int] = (),
             fds_lost: bool = False) -> None:
        """Bytes and descriptors of one recvmsg(2). Takes over the fds."""
        self._buffer += data
        self._fds.extend(fds)
        self._fds_lost = self._fds_lost or fds_lost

    def receive(self, sock: socket.socket) -> Received:
        """One recvmsg(2); blocks if the socket does. Raises Error."""
        try:
            data, fds, lost = receive_with_fds(sock)
        except BlockingIOError:
            return Received.WOULD_BLOCK
        except ConnectionResetError:
            # The peer died and left something unread.
            return Received.CLOSED
        except OSError as error:
            raise system_error("recvmsg()", error) from None
        self.feed(data, fds, lost)
        return Received.PROGRESS if data else Received.CLOSED

    def __iter__(self) -> Iterator[Frame]:
        """The whole frames that are there."""
        while True:
            frame = self.next()
            if frame is None:
                return
            yield frame

    def next(self) -> Optional[Frame]:
        """The next whole frame, or None. Raises Error."""
        size = -1
        if len(self._buffer) >= HEADER_BYTES:
            size = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
            if size > self._max:
                raise FrameTooLarge(f"a frame announces {size} bytes, the "
                                    f"limit is {self._max}")
        end = HEADER_BYTES + size
        if size < 0 or len(self._buffer) < end:
            self._settle_lost_fds()
            return None
        payload = bytes(memoryview(self._buffer)[HEADER_BYTES:end])
        del self._buffer[:end]
        frame = Frame(payload)
        self._give_fds(frame)
        return frame

    def at_boundary(self) -> bool:
        """No byte of a further frame has arrived."""
        return not self._buffer

    def close(self) -> None:
        """Closes the descriptors that no frame took."""
        close_all(self._fds)
        self._fds.clear()

    # One recvmsg(2) ends with the first byte that carries descriptors: of the
    # whole frames only the last can lack some, or the one after it, whose
    # rest is still on its way.
    def _give_fds(self, frame: Frame) -> None:
        if self._next_fds_lost:
            self._next_fds_lost = False
            frame.complete = frame.announced == 0
            return
        frame.complete = frame.announced <= len(self._fds)
        if not frame.complete:
            self._fds_lost = False
        for _ in range(min(frame.announced, len(self._fds))):
            frame.fds.append(self._fds.popleft())

    def _settle_lost_fds(self) -> None:
        if self._fds_lost:
            self._fds_lost = False
            self._next_fds_lost = not self.at_boundary()
            self.close()


def receive_with_fds(sock: socket.socket) -> Tuple[bytes, List[int], bool]:
    """Bytes (none at end of file), close-on-exec descriptors, and whether the
    kernel dropped some. Raises OSError."""
    data, ancillary, flags, _ = sock.recvmsg(_READ_BYTES, _ANCILLARY_BYTES,
                                             _RECEIVE_FLAGS)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[:len(content) -
                                  len(content) % fds.itemsize])
    if not _RECEIVE_FLAGS:
        for fd in fds:
            os.set_inheritable(fd, False)
    return data, list(fds), bool(flags & socket.MSG_CTRUNC)


class FrameWriter:
    """Sends frames whole, in order. Borrows the socket and the descriptors,
    which must stay open until flush() has said True."""

    def __init__(self, sock: socket.socket,
                 on_sent: Optional[Callable[[List[int]], None]] = None
                 ) -> None:
        """`on_sent` is called with the descriptors that have been sent, as
        the list that push() was given."""
        self._socket = sock
        self._on_sent = on_sent
        self._queue: Deque[Tuple[memoryview, Any]] = (
            collections.deque())
        self._head_is_cut = False

    def push(self, frame: bytes, fds: Sequence[int] = ()) -> None:
        self._queue.append((memoryview(frame), fds))

    def flush(self) -> bool:
        """Sends what is queued. False: the socket is full, come back when it
        is writable. A blocking socket blocks. Raises OSError."""
        while self._queue:
            data, fds = self._queue[0]
            try:
                sent = self._send(data, fds)
            except BlockingIOError:
                return False
            if fds and self._on_sent is not None:
                self._on_sent(fds)
            self._head_is_cut = sent < len(data)
            if self._head_is_cut:
                self._queue[0] = (data[sent:], ())
            else:
                self._queue.popleft()
        return True

    def discard_unsent(self) -> Optional[Sequence[int]]:
        """After an error of flush(): drops the frame that it was about and
        returns its descriptors; None if a part of it has been sent."""
        _, fds = self._queue[0]
        if self._head_is_cut:
            return None
        self._queue.popleft()
        return fds

    def send(self, frame: bytes, fds: Sequence[int] = ()) -> None:
        """Blocks until it is sent, whatever the socket is. Raises OSError."""
        self.push(frame, fds)
        while not self.flush():
            wait_until_writable(self._socket.fileno())

    def _send(self, data: memoryview, fds: Sequence[int]) -> int:
        return send_with_fds(self._socket, data, fds)


def send_with_fds(sock: socket.socket, data: Union[bytes, memoryview],
                  fds: Sequence[int]) -> int:
    """One sendmsg(2): the bytes sent. Raises OSError."""
    if not fds:
        return sock.send(data, _SEND_FLAGS)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    return sock.sendmsg([data], [rights], _SEND_FLAGS)


def wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def write_report(fd: int, frame: bytes) -> bool:
    """One frame on the report pipe, by one write(2). False: nobody reads.

    Blocks until there is room. Raises ValueError above 512 bytes.
    """
    if len(frame) > MAX_REPORT_BYTES:
        raise ValueError(f"a report of {len(frame)} bytes is not atomic")
    while True:
        try:
            os.write(fd, frame)
            return True
        except BlockingIOError:
            wait_until_writable(fd)
        except OSError as error:
            if error.errno == errno.EPIPE:
                return False
            raise
