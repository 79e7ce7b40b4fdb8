"""Messages between the test runner and one of its workers: pickles over a
socket pair, each behind its length."""

import struct
from typing import Any, Iterator, Tuple

from forkserver.originals import os, pickle, socket

_LENGTH = struct.Struct(">Q")
_CHUNK_BYTES = 1 << 16
PROTOCOL = 4  # Python 3.8 and later


def pair() -> Tuple["Channel", socket.socket]:
    """This process's end, and a worker's, which is the caller's to close."""
    own, theirs = socket.socketpair()
    return Channel(own), theirs


class Channel:
    """One end. Messages are sent whole, with blocking; they are received
    either by receive(), with blocking, or by take(), without."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._pid = os.getpid()
        # Nothing more will come.
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Any) -> None:
        """Raises OSError if nobody is at the other end, and what pickle
        raises. In a forked child of its process it does nothing: what a test
        forks is not the worker."""
        if os.getpid() != self._pid:
            return
        data = pickle.dumps(message, PROTOCOL)
        self._socket.setblocking(True)
        self._socket.sendall(_LENGTH.pack(len(data)))
        self._socket.sendall(data)

    def receive(self) -> Any:
        """The next message. Raises EOFError if there is none."""
        self._socket.setblocking(True)
        while True:
            for message in self._complete():
                return message
            if not self._fill():
                raise EOFError("the other end is closed")

    def take(self) -> Iterator[Any]:
        """The messages that are there. Sets `closed` at the end of all."""
        self._socket.setblocking(False)
        while not self.closed:
            try:
                if not self._fill():
                    self.closed = True
            except BlockingIOError:
                break
        yield from self._complete()

    def close(self) -> None:
        self._socket.close()

    def _fill(self) -> bool:
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)

    def _complete(self) -> Iterator[Any]:
        while len(self._buffer) >= _LENGTH.size:
            size, = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            data = bytes(self._buffer[_LENGTH.size:end])
            del self._buffer[:end]
            yield pickle.loads(data)
