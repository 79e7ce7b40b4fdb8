"""The children of a zygote that are alive, and the reports of their ends."""

from typing import Dict, List, NamedTuple

from forkserver.originals import os, signal, time
from forkserver.protocol.framing import encode_request, write_report
from forkserver.protocol.messages import Exited
from forkserver.protocol.reports import encode_crash
from forkserver.zygote_host.child_ends import (ChildEnd, peek_ended_child,
                                               reap)
from forkserver.zygote_host.crash_reports import CrashReports
from forkserver.zygote_host.leftovers import find_leftovers


class _Child(NamedTuple):
    worker: str  # empty: a spare
    detach: bool
    crash_slot: int
    heir: int  # not 0: see ForkWorker
    dismissed: bool = False
    ended: bool = False  # and waits for what it is


class Children:
    """Passive. Borrows the report pipe, and what knows of crashes."""

    def __init__(self, report_fd: int, crashes: CrashReports) -> None:
        self._report_fd = report_fd
        self._crashes = crashes
        self._by_pid: Dict[int, _Child] = {}
        self._by_worker: Dict[str, int] = {}
        self._ended_spares: List[int] = []

    def __bool__(self) -> bool:
        return bool(self._by_pid)

    def add(self, pid: int, worker: str, detach: bool,
            crash_slot: int = -1, heir: int = 0) -> None:
        """`crash_slot` is given back when it has ended."""
        self._by_worker[worker] = pid
        self._by_pid[pid] = _Child(worker, detach, crash_slot, heir)

    def add_spare(self, pid: int, crash_slot: int) -> None:
        """One that may be somebody's worker by now, which its zygote has not
        been told. If it ends before one of the next two is called it stays a
        zombie until then, so that its pid can mean nothing else."""
        self._by_pid[pid] = _Child("", False, crash_slot, 0)

    def become_worker(self, pid: int, worker: str, heir: int) -> None:
        """A spare is a worker. Nothing happens if there is no such spare."""
        spare = self._by_pid.get(pid)
        if spare is None or spare.worker:
            return
        self.add(pid, worker, False, spare.crash_slot, heir)
        if spare.ended:
            self._collect(pid)

    def dismiss(self, pid: int) -> None:
        """A spare is not to become one: kills it, and reports nothing. The
        same."""
        spare = self._by_pid.get(pid)
        if spare is None or spare.worker:
            return
        self._by_pid[pid] = spare._replace(dismissed=True)
        if spare.ended:
            self._collect(pid)
        else:
            _kill(pid, signal.SIGKILL)

    def dismiss_all(self) -> None:
        for pid in [pid for pid, child in self._by_pid.items()
                    if not child.worker]:
            self.dismiss(pid)

    def take_ended_spares(self) -> List[int]:
        """Those that have ended since the last call."""
        taken, self._ended_spares = self._ended_spares, []
        return taken

    def send_signal(self, worker: str, number: int, group: bool) -> None:
        """Nothing happens if it has been reaped: the pid is another's."""
        pid = self._by_worker.get(worker)
        if pid is not None:
            _send_signal_to(pid, number, group)

    def collect_all(self) -> None:
        """Reports and reaps those that have ended. Does not block."""
        while True:
            end = peek_ended_child()
            if end is None:
                return
            if not self._finish(end):
                # What is not reaped is what the kernel would tell of again.
                for pid in list(self._by_pid):
                    self._collect(pid)
                return

    def _collect(self, pid: int) -> None:
        end = peek_ended_child(pid)
        if end is not None:
            self._finish(end)

    def kill_and_collect(self) -> None:
        """Kills the groups of those that are not detached, and waits."""
        self.dismiss_all()
        killed = [pid for pid, child in self._by_pid.items()
                  if not child.detach]
        for pid in killed:
            _send_signal_to(pid, signal.SIGKILL, True)
            # It may have moved to another group.
            _kill(pid, signal.SIGKILL)
        for pid in killed:
            end = peek_ended_child(pid, block=True)
            if end is not None:
                self._finish(end)

    def _finish(self, end: ChildEnd) -> bool:
        """False if it is a spare that is not reaped yet."""
        child = self._by_pid.get(end.pid)
        if child is not None and not child.worker and not child.dismissed:
            if not child.ended:
                self._ended_spares.append(end.pid)
                self._by_pid[end.pid] = child._replace(ended=True)
            return False
        self._by_pid.pop(end.pid, None)
        if child is not None and not child.worker:
            self._crashes.give(child.crash_slot)
        elif child is not None:
            del self._by_worker[child.worker]
            if end.signal is not None:
                self._report_crash(child)
            self._crashes.give(child.crash_slot)
            report = Exited(child.worker, end.pid, end.code, end.signal,
                            end.core, end.max_rss_bytes, end.user_us,
                            end.system_us,
                            time.clock_gettime_ns(time.CLOCK_MONOTONIC),
                            find_leftovers(end.pid, child.heir))
            # If nobody reads it, the daemon is gone and so is whoever asked.
            write_report(self._report_fd, encode_request(report))
            # What is left of its group, while the number is still its own.
            if not child.detach:
                _kill_group(end.pid, signal.SIGKILL)
        reap(end.pid)
        return True

    def _report_crash(self, child: _Child) -> None:
        for part, text in self._crashes.collect(child.crash_slot):
            for frame in encode_crash(child.worker, part, text):
                write_report(self._report_fd, frame)


def _send_signal_to(pid: int, number: int, group: bool) -> None:
    # A child that was forked just now may not lead its group yet.
    if group and _kill_group(pid, number):
        # It may have left its group; nothing survives a kill by that.
        if number == signal.SIGKILL:
            _kill(pid, number)
        return
    _kill(pid, number)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (OSError, ValueError):
        pass


def _kill_group(pid: int, number: int) -> bool:
    """False if there is no such group."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        pass
    return True
