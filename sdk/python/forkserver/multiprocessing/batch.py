"""Requests of a thread that are sent together."""

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional

if TYPE_CHECKING:
    from forkserver.multiprocessing.launch import Launch

# What is not sent has copies of its descriptors.
_MOST_HELD = 8


class Copy:
    """Of a descriptor, open as long as this object."""

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        fd: Optional[int] = self.__dict__.pop("_fd", None)
        if fd is not None:
            os.close(fd)


class Batch:
    """What a thread asks for together."""

    def __init__(self) -> None:
        self._queued: "List[Launch]" = []
        self._sent: "List[Launch]" = []
        # Which the workers of a pool share, by what they are copies of.
        self._copies: Dict[int, Copy] = {}

    def add(self, queued: "Launch") -> None:
        self._queued.append(queued)
        if len(self._queued) == _MOST_HELD:
            self.flush()

    def flush(self) -> None:
        for connection in {each.connection for each in self._queued}:
            connection.flush()
        self._sent += self._queued
        self._queued.clear()

    def settle(self) -> bool:
        """Blocks until all are answered, and have no descriptors any more.
        False: they had none."""
        self.flush()
        some = bool(self._sent)
        for each in self._sent:
            each.wait()
        self._sent.clear()
        return some

    def copy(self, fd: int) -> Copy:
        copy = self._copies.get(fd)
        if copy is None:
            copy = self._copies[fd] = Copy(fd)
        return copy


class _Thread(threading.local):
    batch: Optional[Batch] = None


_thread = _Thread()


def current() -> Optional[Batch]:
    """That of this thread."""
    return _thread.batch


@contextlib.contextmanager
def sent_together() -> Iterator[None]:
    """What this thread asks of proven zygotes meanwhile is sent in the end,
    or when it waits for one of the answers, or when it is much. Other threads
    that do wait until then. The descriptors that are passed stay open."""
    if _thread.batch is not None:
        yield
        return
    batch = _thread.batch = Batch()
    try:
        yield
    finally:
        _thread.batch = None
        batch.flush()
