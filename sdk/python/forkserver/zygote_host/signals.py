"""The signals of a zygote: the end of a child wakes it up."""

import math
from typing import Any, Optional

from forkserver.originals import os, select, signal
from forkserver.zygote_host.channels import high_pipe

_WAKE_UP_BYTES = 4096
# The function of C itself, which has no enumerations: three quarters of the
# time that the other one takes in a child that was forked just now.
_set_handler = getattr(signal.signal, "__wrapped__", signal.signal)
_CHILD, _INTERRUPT = int(signal.SIGCHLD), int(signal.SIGINT)
_DEFAULT = int(signal.SIG_DFL)


def _note(_number: int, _frame: Any) -> None:
    """Python writes to the wake-up descriptor only for signals that have a
    handler."""


class ZygoteSignals:
    """SIGCHLD as a readable descriptor, SIGINT at its default: a zygote has
    nobody to raise KeyboardInterrupt for. Active from its construction on."""

    def __init__(self, control_fd: int) -> None:
        self._control_fd = control_fd
        self._read_fd, self._write_fd = high_pipe()
        self._old_child = _set_handler(_CHILD, _note)
        self._old_interrupt = _set_handler(_INTERRUPT, _DEFAULT)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(control_fd, select.POLLIN)
        self._poll.register(self._read_fd, select.POLLIN)
        self.child_ended = True  # there may be one from before

    def wait(self, timeout: Optional[float]) -> bool:
        """Blocks until there is something to do, or for `timeout` seconds.
        True: the control socket is readable. Sets `child_ended`."""
        readable = False
        # In whole milliseconds, and not before the time.
        wait_ms = None if timeout is None else math.ceil(timeout * 1000)
        for fd, _ in self._poll.poll(wait_ms):
            if fd == self._control_fd:
                readable = True
            else:
                self.child_ended = True
                try:
                    os.read(self._read_fd, _WAKE_UP_BYTES)
                except BlockingIOError:
                    pass
        return readable

    def restore_in_child(self) -> None:
        """As the preload steps left them. The pipe is closed with all other
        descriptors."""
        signal.set_wakeup_fd(-1)
        # None: a handler that C set, which is lost.
        _set_handler(_CHILD, self._old_child or _DEFAULT)
        _set_handler(_INTERRUPT, self._old_interrupt or _DEFAULT)

    def close(self) -> None:
        """In the zygote, when it ends."""
        self.restore_in_child()
        os.close(self._read_fd)
        os.close(self._write_fd)
