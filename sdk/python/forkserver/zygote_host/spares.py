"""Workers that a zygote has forked in advance, each waiting for a request that
the daemon sends it: which there are, and when the next one is due."""

from typing import List, Optional

from forkserver.originals import time

_QUIET = 0.003  # seconds
_POSTPONED = 1.0


class Spares:
    """Passive: the zygote's loop asks when to fork one, and forks it."""

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._parked: List[int] = []
        self._last_started: Optional[float] = None
        self._not_before = 0.0

    def next_in(self) -> Optional[float]:
        """Seconds until the next one is to be forked, or None. Below the least
        that is now; above, it waits until no worker has been started for a few
        milliseconds, so as not to compete with it. None before the first
        worker, the canary: the zygote may still be audited."""
        if len(self._parked) >= self._most or self._last_started is None:
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
        """One could not be forked, or was of no use: not again for a while."""
        self._not_before = time.monotonic() + _POSTPONED

    def add(self, pid: int) -> None:
        self._parked.append(pid)

    def remove(self, pid: int) -> None:
        """It has ended or is a worker. Nothing happens if it is none of
        these."""
        if pid in self._parked:
            self._parked.remove(pid)

    def take_all(self) -> List[int]:
        """Removes all."""
        taken, self._parked = self._parked, []
        return taken

    def stop(self) -> None:
        """They are not wanted any more."""
        self._most = 0
        self._parked.clear()
