"""Workers that a zygote has forked in advance.

Each is parked, waiting for a request on a channel of its own; handing one over
costs no fork.
"""

import os
import signal
import socket
import struct
import time
from typing import List, NamedTuple, Optional

from forkserver.protocol.framing import Frame, send_with_fds
from forkserver.zygote_host.channels import move_up
from forkserver.zygote_host.child_ends import peek_ended_child

_QUIET = 0.003  # seconds
_POSTPONED = 1.0
# What a channel takes at once, whatever the system's defaults: a zygote does
# not wait for a spare. A larger request is forked for.
_MOST_BYTES = 64 * 1024


class _Parked(NamedTuple):
    pid: int
    number: int


class Spares:
    """Passive: the zygote's loop asks when to fork the next one, and forks it.

    Our end of each channel has one of the descriptor numbers that are set
    apart here, before the zygote looks at its descriptors. `null_fd` is
    borrowed.
    """

    def __init__(self, least: int, most: int, null_fd: int) -> None:
        self._least = least
        self._null_fd = null_fd
        self.fds: List[int] = []
        try:
            while len(self.fds) < most:
                self.fds.append(move_up(os.dup(null_fd)))
        except OSError:
            pass  # there are no more descriptors
        self._free = list(self.fds)
        self._parked: List[_Parked] = []
        self._last_started: Optional[float] = None
        self._not_before = 0.0

    def next_in(self) -> Optional[float]:
        """Seconds until the next one is to be forked, or None. Below the least
        that is now; above, it waits until no worker has been started for a few
        milliseconds, so as not to compete with it. None before the first
        worker, the canary: the zygote may still be audited."""
        if not self._free or self._last_started is None:
            return None
        now = time.monotonic()
        if now < self._not_before:
            return self._not_before - now
        if len(self._parked) < self._least:
            return 0.0
        return max(0.0, self._last_started + _QUIET - now)

    def note_worker_started(self) -> None:
        self._last_started = time.monotonic()

    def postpone(self) -> None:
        """One could not be forked, or died: not again for a while."""
        self._not_before = time.monotonic() + _POSTPONED

    def add(self, pid: int, channel: socket.socket) -> None:
        """Takes over our end of the channel of a spare just forked."""
        number = self._free.pop()
        with channel:
            os.dup2(channel.fileno(), number, inheritable=False)
        self._parked.append(_Parked(pid, number))

    def hand_over(self, frame: Frame) -> int:
        """Sends a request to one, which is a spare no more; its pid, or 0 if
        there is none that can take it. What does not take it is killed."""
        if not self._parked or len(frame.payload) > _MOST_BYTES:
            return 0
        data = struct.pack(">I", len(frame.payload)) + frame.payload
        while self._parked:
            spare = self._parked.pop()
            # One that is killed in this moment takes the request with it,
            # which then has failed to launch.
            if peek_ended_child(spare.pid) is not None:
                self._release(spare)
                continue
            channel = socket.socket(fileno=spare.number)
            try:
                sent = send_with_fds(channel, data, frame.fds)
            except OSError:
                sent = -1
            channel.detach()
            self._release(spare)
            if sent == len(data):
                return spare.pid
            os.kill(spare.pid, signal.SIGKILL)
        return 0

    def forget(self, pid: int) -> bool:
        """One has ended. False: it was none, or not any more."""
        for spare in self._parked:
            if spare.pid == pid:
                self._parked.remove(spare)
                self._release(spare)
                return True
        return False

    def stop(self) -> None:
        """They are not wanted any more: kills them."""
        for spare in self._parked:
            os.kill(spare.pid, signal.SIGKILL)
        self._parked.clear()
        self._free.clear()

    def _release(self, spare: _Parked) -> None:
        # What was sent stays in the channel until the spare has read it.
        os.dup2(self._null_fd, spare.number, inheritable=False)
        self._free.append(spare.number)
