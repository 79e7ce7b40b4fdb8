"""The Popen of the start method: one worker of forkserverd."""

import errno
import io
import os
import pickle
import select
import signal
import subprocess
import tempfile
import warnings
from multiprocessing import popen_fork, reduction, resource_tracker, spawn
from multiprocessing.context import set_spawning_popen
from typing import Any, Dict, List, Optional

from forkserver.errors import BadRequest, ConnectionLost, Error, WorkerEnded
from forkserver.multiprocessing import interrupts, lifeline, worker
from forkserver.multiprocessing.launch import Launch
from forkserver.records import ExitRecord
from forkserver.sentinel import ended_sentinel
from forkserver.worker import Worker

# What is longer travels in a file: a request is at most 4 MiB long, and the
# environment is in it too.
_MAX_INLINE_BYTES = 1 << 20
_MAX_NAME_BYTES = 128
# Of a process whose end nobody has seen, as with "forkserver".
_UNKNOWN_EXIT_CODE = 255
_MAX_POLL_MS = (1 << 31) - 1
_POOL_WORKER = ("multiprocessing.pool", "worker")

_lifeline = lifeline.Lifeline()


class Popen(popen_fork.Popen):  # type: ignore[misc,name-defined]
    """Starts the process object when it is made. Raises Error, and what
    pickle raises.

    The workers of a Pool are not waited for, but for a zygote's first: what is
    wrong with the start of one is a warning then, and its exit code is 255.
    """

    method = "forkserverd"
    DupFd = worker.DupFd
    returncode: Optional[int]

    def __init__(self, process_obj: Any, context: Any) -> None:
        self._context = context
        self._owner_pid = os.getpid()
        self._fds: List[int] = []
        self._launched: Optional[Launch] = None
        self._worker: Optional[Worker] = None
        self._ended_fd = -1
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """Its number in the worker."""
        self._fds.append(fd)
        return worker.FIRST_FD + len(self._fds) - 1

    # --- the start ---

    def _launch(self, process_obj: Any) -> None:
        pickles = self._pickle(process_obj)
        nested = worker.active
        fds: Dict[int, Any] = {
            worker.TRACKER_FD: _tracker_fd(),
            worker.LIFELINE_FD: (worker.lifeline_fd if nested
                                 else _lifeline.reading_end()),
            **dict(enumerate(self._fds, worker.FIRST_FD)),
        }
        payload_fd = -1
        if len(pickles) > _MAX_INLINE_BYTES:
            payload_fd = worker.FIRST_FD + len(self._fds)
            fds[payload_fd] = tempfile.TemporaryFile()
            fds[payload_fd].write(pickles)
            fds[payload_fd].flush()
            pickles = b""

        def args(options: Dict[str, Any]) -> bytes:
            header = worker.Header(len(self._fds), payload_fd, options, nested)
            return pickle.dumps(tuple(header)) + pickles

        try:
            self._launched = Launch(
                self._context.effective_options(), args,
                dict(fds=fds, stdin=subprocess.DEVNULL,
                     name=_short(process_obj.name),
                     detach=nested and lifeline.SUPPORTED))
            if _is_of_pool(process_obj) and self._launched.is_likely():
                self._launched.keep_descriptors()
            else:
                self._worker = self._launched.worker()
                self._launched = None  # and with it the pickles
        finally:
            if payload_fd >= 0:
                fds[payload_fd].close()
        interrupts.forward_to(self)

    def _pickle(self, process_obj: Any) -> bytes:
        # By the module: tools that measure coverage replace it there.
        data = spawn.get_preparation_data(process_obj._name)
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(data, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        return buffer.getvalue()

    def _started(self) -> Optional[Worker]:
        """Blocks until its entry begins. None: it could not be started, or
        has been closed."""
        launched = self._launched
        if self._worker is None and launched is not None and self._is_own():
            try:
                self._worker = launched.worker()
            except Error as error:
                if self.returncode is None:
                    self._end_unknown(f"a process was not started: {error}")
            self._launched = None
        return self._worker

    def _is_own(self) -> bool:
        """False in a forked child, which can neither ask nor wait, as ever."""
        return self._owner_pid == os.getpid()

    # --- what BaseProcess and others look at ---

    @property
    def pid(self) -> Optional[int]:
        started = self._started()
        return None if started is None else started.pid

    @property
    def sentinel(self) -> int:
        """-1 while it is not known; does not block."""
        return -1 if self._worker is None else self._worker.sentinel

    def open_sentinel(self) -> int:
        """A descriptor that becomes readable when it has ended."""
        started = self._started()
        if started is not None:
            return started.sentinel
        if self._ended_fd < 0:
            self._ended_fd = ended_sentinel()
        return self._ended_fd

    def wait(self, timeout: Optional[float] = None) -> Optional[int]:
        """The exit code, or None after `timeout` seconds."""
        if self.returncode is None:
            if timeout is not None and not _is_readable(self.open_sentinel(),
                                                        timeout):
                return None
            return self.poll(os.WNOHANG if timeout == 0.0 else 0)
        return self.returncode

    def poll(self, flag: int = os.WNOHANG) -> Optional[int]:
        """The exit code, or None if it runs; any other flag: blocks until it
        has ended."""
        blocking = flag != os.WNOHANG
        if self.returncode is None and self._is_own():
            launched = self._launched
            if not blocking and launched is not None and \
                    not launched.is_answered():
                return None
            started = self._started()
            if started is not None and _is_readable(
                    started.sentinel, None if blocking else 0.0):
                self._read_exit_code(started, blocking)
        return self.returncode

    def _read_exit_code(self, ended: Worker, blocking: bool) -> None:
        """Its record is under way."""
        try:
            self.returncode = _code_of(ended.wait(None if blocking else 1.0))
        except TimeoutError:
            pass  # the daemon is stopped, or very busy
        except BadRequest:
            # A signal handler, which has interrupted a call of the client.
            if blocking:
                raise
        except Error as error:
            self._end_unknown(
                f"the exit code of process {ended.pid} is not known: {error}")

    def _end_unknown(self, message: str) -> None:
        self.returncode = _UNKNOWN_EXIT_CODE
        warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _send_signal(self, sig: int) -> None:
        if self.returncode is None:
            started = self._started()
            if started is not None:
                _send_signal_to(started, sig)

    def interrupt_if_started(self, number: int) -> None:
        """In a signal handler."""
        if self.returncode is None and self._worker is not None:
            _send_signal_to(self._worker, number)

    def close(self) -> None:
        """Lets go of it: it may go on to run."""
        self._launched = self._worker = None
        self.__del__()

    def __del__(self) -> None:
        ended_fd, self._ended_fd = self._ended_fd, -1
        if ended_fd >= 0:
            os.close(ended_fd)


def _tracker_fd() -> int:
    """That of this program's resource tracker."""
    tracker: Any = resource_tracker._resource_tracker  # type: ignore
    # getfd() would wake it each time to see that it lives.
    fd: int = tracker.getfd() if tracker._fd is None else tracker._fd
    return fd


def _is_of_pool(process_obj: Any) -> bool:
    target = process_obj._target
    return (getattr(target, "__module__", None),
            getattr(target, "__qualname__", None)) == _POOL_WORKER


def _is_readable(fd: int, timeout: Optional[float]) -> bool:
    """`timeout` is in seconds, None is without end, less than 0 is 0."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if timeout is None:
        return bool(poll.poll())
    return bool(poll.poll(min(max(timeout * 1000, 0), _MAX_POLL_MS)))


def _send_signal_to(process: Worker, number: int) -> None:
    """Nothing happens if it has ended."""
    try:
        if hasattr(signal, "pidfd_send_signal"):
            # Needs no answer, nor a daemon, and no lock: a signal handler may
            # do it.
            signal.pidfd_send_signal(process.sentinel, number)
        else:
            process.signal(number)
    except (ProcessLookupError, WorkerEnded, ConnectionLost):
        pass
    except OSError as error:
        # Its sentinel is a pipe: it had ended before that was opened.
        if error.errno != errno.EBADF:
            raise


def _code_of(record: ExitRecord) -> int:
    if record.signal is not None:
        return -record.signal
    return _UNKNOWN_EXIT_CODE if record.code is None else record.code


def _short(name: str) -> str:
    data = name.replace("\0", "").encode("utf-8", "replace")
    return data[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
