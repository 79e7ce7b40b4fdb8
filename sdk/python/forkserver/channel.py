"""A session and its non-blocking socket: what both clients do with it."""

import errno
import os
import socket
import sys
from typing import List

from forkserver.errors import system_error
from forkserver.fork_guard import check_owner
from forkserver.protocol.framing import (FrameWriter, close_all,
                                         receive_with_fds)
from forkserver.session import Session


class Channel:
    """Failures of the socket are the end of the session, not exceptions."""

    def __init__(self, sock: socket.socket, socket_path: str) -> None:
        self._pid = os.getpid()
        self._socket = sock
        self._writer = FrameWriter(
            sock, None if sys.platform == "darwin" else _let_go)
        self.session = Session(socket_path, self._writer.push)

    def check_owner(self) -> None:
        """Raises UseAfterFork in a forked child."""
        check_owner(self._pid)

    def is_inherited(self) -> bool:
        return self._pid != os.getpid()

    def fileno(self) -> int:
        """-1 when it has been closed."""
        return self._socket.fileno()

    def flush(self) -> bool:
        """Sends what is queued. True: there is nothing more to send, or
        nobody to send it to."""
        while not self.session.lost:
            try:
                return self._writer.flush()
            except OSError as error:
                self._give_up(error)
        return True

    def _give_up(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET):
            # Such as ETOOMANYREFS: of this request alone, if it is whole.
            fds = self._writer.discard_unsent()
            if fds is not None:
                self.session.fail_unsent(fds, system_error("sendmsg()", error))
                return
        # What the daemon said before it closed is a better error.
        while self.receive():
            pass
        self.session.lose(f"sendmsg(): {error.strerror}")

    def receive(self) -> bool:
        """One receive. True: there was something."""
        if self.session.lost:
            return False
        try:
            data, fds, _ = receive_with_fds(self._socket)
        except BlockingIOError:
            return False
        except OSError as error:
            # A daemon that died with something unread resets the connection.
            if error.errno != errno.ECONNRESET:
                self.session.lose(f"recvmsg(): {error.strerror}")
            data, fds = b"", []
        self.session.feed(data, fds)
        return bool(data)

    def shut_down(self) -> None:
        """Wakes whoever waits for the socket."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()

    def abandon(self) -> None:
        """In a forked child: closes the copies of its parent's."""
        self._socket.close()
        self.session.abandon()


def _let_go(fds: List[int]) -> None:
    """They have been sent. On macOS they are kept until there is an answer:
    it may collect a socket in flight that nobody holds."""
    sent = fds[:]
    fds.clear()
    close_all(sent)
