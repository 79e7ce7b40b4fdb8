"""The daemon does not grow with the workers that have ended, and little with
those that live. SOAK_WORKERS: how many end."""

import os
import signal
import unittest

from daemon_fixture import is_sanitized
from wire import (FORKSERVERD, child_program, children_of, make_setup,
                  read_file, wait_for)
from zygote_fixture import ZygoteTestCase

SOAK_WORKERS = int(os.environ.get("SOAK_WORKERS", "30000"))
# The daemon keeps so many exit records.
RING = 10_000
IN_FLIGHT = 32


@unittest.skipUnless(os.path.exists("/proc/self/smaps_rollup"),
                     "os: no /proc/PID/smaps_rollup")
class GrowthTest(ZygoteTestCase):

    def written_kb(self, pid):
        """The memory that is this process's alone."""
        for line in read_file(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Private_Dirty:"):
                return int(line.split()[1])
        raise AssertionError("no Private_Dirty")

    def run_to_the_end(self, client, count, send):
        """`count` workers, of which IN_FLIGHT are under way."""
        begun = ended = 0
        while ended < count:
            while begun < count and begun - ended < IN_FLIGHT:
                send()
                begun += 1
            frame = client.receive()
            self.assertEqual(frame["type"], "exit", frame)
            self.assertEqual(frame["body"]["code"], 0)
            ended += 1

    def check_soak(self, client, send, pids):
        # Until the ring is full and every table has its size.
        self.run_to_the_end(client, RING + 2 * IN_FLIGHT, send)
        tables = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in pids}
        written = {pid: self.written_kb(pid) for pid in pids}
        self.run_to_the_end(client, max(0, SOAK_WORKERS - RING), send)
        for pid in pids:
            wait_for(lambda pid=pid: len(os.listdir(f"/proc/{pid}/fd")) ==
                     tables[pid], "its descriptors are as many as before")
        if not is_sanitized(FORKSERVERD):  # what is freed stays its own
            for pid in pids:
                self.assertLess(self.written_kb(pid), written[pid] + 512)

    def test_exec_workers_that_ended_leave_nothing(self):
        client = self.client()
        keeper = set(children_of(self.daemon.process.pid))
        body = {"setup": make_setup([child_program("tiny_exit")], env=client.env), "exit_only": True}
        self.check_soak(client, lambda: client.send("spawn", body),
                        [self.daemon.process.pid])
        wait_for(lambda: set(children_of(self.daemon.process.pid)) == keeper,
                 "the last one is reaped")

    def test_forked_workers_that_ended_leave_nothing(self):
        client = self.client()
        zygote = self.start(client)["pid"]
        self.check_soak(
            client, lambda: self.send_fork(client, "echo",
                                           policy={"exit_only": True}),
            [self.daemon.process.pid, zygote])
        wait_for(lambda: not children_of(zygote), "the last one is reaped")

    def test_a_live_worker_costs_less_than_a_kilobyte(self):
        if is_sanitized(FORKSERVERD):
            self.skipTest("os: a sanitizer's memory is not the daemon's")
        client = self.client()
        self.start(client)
        pid = self.daemon.process.pid
        # Of the 4 MB that it may take it needs less than one.
        self.assertLess(self.written_kb(pid), 1024)
        count = 1000
        workers = [client.spawn(["sleep", "1000"]) for _ in range(count)]
        workers += [self.fork(client, "sleep_forever") for _ in range(count)]
        self.assertLess(self.written_kb(pid), 1024 + 2 * count)
        for worker in workers:
            client.signal(worker, signal.SIGKILL)
        for worker in workers:
            client.wait(worker)


if __name__ == "__main__":
    unittest.main()
