"""billiard's context for a pool of forkserverd's workers.

A pool shares three things with its processes besides pipes: a counter, a flag
and locks. billiard's own are in memory that a fork inherits. These are files
and pipes, whose descriptors travel.
"""

import os
import struct
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Dict

from billiard import context, process, reduction

if TYPE_CHECKING:
    from forkserver.celery.origin import Origin

_INTEGER = struct.Struct("q")


class PoolProcess(process.BaseProcess):  # type: ignore[misc]
    """A process of the pool: in the main process, and in itself."""

    # Of what a task starts with billiard: as in a process of prefork.
    _start_method = "fork"
    _origin: "Origin"

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from forkserver.celery.popen import Popen
        return Popen(process_obj, process_obj._origin)

    def __reduce__(self) -> Any:
        # Not all of it: what the pool hangs on it is of the main process. The
        # index is in the name of a log file with %i.
        kept = ("_identity", "_name", "_config", "_parent_pid", "_target",
                "index")
        return _rebuild_process, ({each: getattr(self, each)
                                   for each in kept},)


def _rebuild_process(attributes: Dict[str, Any]) -> PoolProcess:
    rebuilt = PoolProcess()
    rebuilt.__dict__.update(attributes)
    return rebuilt


class PoolContext(context.BaseContext):  # type: ignore[misc]

    _name = "fork"

    def __init__(self, origin: "Origin") -> None:
        # The pool calls it ForkserverPoolWorker-1 from this.
        self.Process = type("ForkserverProcess", (PoolProcess,),
                            {"_origin": origin})

    def Value(self, typecode: Any, *args: Any, **kwargs: Any) -> "Counter":
        """The only one that a pool makes: how many results have been read."""
        return Counter()

    def Event(self) -> "Flag":
        return Flag()

    def Lock(self) -> "TokenLock":
        return TokenLock()


class Counter:
    """An integer in a file. The main process counts, a worker reads."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._fd = os.dup(file.fileno())
        self._lock = threading.Lock()
        self.value = 0

    @property
    def value(self) -> int:
        number, = _INTEGER.unpack(os.pread(self._fd, _INTEGER.size, 0))
        return int(number)

    @value.setter
    def value(self, number: int) -> None:
        os.pwrite(self._fd, _INTEGER.pack(number), 0)

    def get_lock(self) -> threading.Lock:
        """Of the process that counts."""
        return self._lock

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), reduction.DupFd(self._fd))

    def take(self, fd: int) -> None:
        """In a worker."""
        self._fd = fd
        self._lock = threading.Lock()


class Flag(Counter):
    """An event that is only asked for, not waited for."""

    def set(self) -> None:
        self.value = 1

    def is_set(self) -> bool:
        return self.value != 0


class TokenLock:
    """A lock between processes: whoever has read the byte out of the pipe has
    it. Not recursive; a process that dies with it keeps it for ever."""

    def __init__(self) -> None:
        self._fds = os.pipe()
        self.release()

    def acquire(self) -> bool:
        os.read(self._fds[0], 1)
        return True

    def release(self) -> None:
        os.write(self._fds[1], b"\0")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: Any) -> None:
        self.release()

    def __del__(self) -> None:
        for fd in getattr(self, "_fds", ()):
            os.close(fd)

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), *map(reduction.DupFd, self._fds))

    def take(self, *fds: int) -> None:
        """In a worker."""
        self._fds = fds  # type: ignore[assignment]


def _rebuild(cls: Any, *fds: Any) -> Any:
    rebuilt = cls.__new__(cls)
    rebuilt.take(*(each.detach() for each in fds))
    return rebuilt
