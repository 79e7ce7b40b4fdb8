"""What becomes of forked workers between their fork and their entry.

The preload step holds_children keeps every child of the zygote there until
the test opens a gate, a FIFO.
"""

import os
import signal
import unittest

from wire import WireError, alive, children_of, wait_for
from zygote_fixture import ZygoteTestCase


class StartingWorkersTestCase(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.gate = os.path.join(self.folder, "gate")
        os.mkfifo(self.gate)
        self.addCleanup(self.open_gate)
        self.c = self.client()
        self.zygote = self.start(self.c, "z", ["holds_children"],
                                 [f"GATE={self.gate}"])

    def open_gate(self):
        """From now on nobody is held."""
        if self.gate:
            # A reader of our own, so that opening it for writing never waits.
            read_end = os.open(self.gate, os.O_RDONLY | os.O_NONBLOCK)
            write_end = os.open(self.gate, os.O_WRONLY)
            self.addCleanup(os.close, read_end)
            self.addCleanup(os.close, write_end)
            self.gate = None

    def tearDown(self):
        self.open_gate()
        super().tearDown()

    def held_fork(self, entry, args=b"", **options):
        """The request and the pid of a worker that is held."""
        request = self.send_fork(self.c, entry, args, **options)
        (pid,) = wait_for(self.held, "a held child")
        return request, pid

    def held(self):
        """The children of the zygote that have left its group. The canary may
        not have been reaped yet."""
        return [pid for pid in children_of(self.zygote["pid"])
                if alive(pid) and os.getpgid(pid) == pid]

    def worker(self):
        (worker,) = self.client().workers()
        return worker

    def kill_zygote(self):
        os.kill(self.zygote["pid"], signal.SIGKILL)
        wait_for(lambda: not self.zygotes(self.c), "the zygote is gone")


class OrphansTest(StartingWorkersTestCase):
    """The zygote of a detached worker dies first."""

    def held_orphan(self, entry, args=b"", **options):
        request, pid = self.held_fork(
            entry, args, policy={"detach": True, "watch": True}, **options)
        self.kill_zygote()
        worker = self.worker()
        self.assertEqual((worker["state"], worker["pid"]), ("launching", 0))
        return request, worker, pid

    def test_it_runs_on_and_its_record_counts_once(self):
        request, worker, pid = self.held_orphan("exit_code", b"7")
        waiting = self.c.send("wait", {"worker": worker["id"]})
        self.assert_serves()
        self.open_gate()
        self.assertEqual(self.c.answer(request)["worker"]["pid"], pid)
        record = self.c.exit_message(request)
        self.assertEqual((record["id"], record["code"], record["reason"]),
                         (worker["id"], 7, "exited"))
        self.assertEqual(self.c.answer(waiting)["exit"], record)
        self.assertEqual(self.c.wait(worker), record)
        self.c.status()
        self.assertFalse(self.c.frames)

    def test_it_lives_on_and_can_be_stopped(self):
        request, worker, pid = self.held_orphan("sleep_forever")
        self.open_gate()
        self.assertEqual(self.c.answer(request)["worker"]["pid"], pid)
        self.assertTrue(alive(pid))
        record = self.c.stop(worker)
        self.assertEqual((record["reason"], record["signal"]),
                         ("stopped", signal.SIGTERM))

    def test_one_that_dies_there_is_told_to_have_failed(self):
        request, worker, pid = self.held_orphan("echo")
        waiting = self.c.send("wait", {"worker": worker["id"]})
        os.kill(pid, signal.SIGKILL)
        self.assert_error("zygote_failed", self.c.answer, request)
        self.assert_error("zygote_failed", self.c.answer, waiting)
        self.assertEqual(self.c.workers(), [])

    def test_one_whose_set_up_fails_names_the_step(self):
        request, _, pid = self.held_orphan("echo", cwd="/no/such/folder")
        self.open_gate()
        error = self.assert_error("launch_failed", self.c.answer, request)
        self.assertEqual(error.step, "chdir")
        wait_for(lambda: not alive(pid), "it ended")

    def test_a_stop_reaches_it_when_it_starts(self):
        request, worker, _ = self.held_orphan("sleep_forever")
        stop = self.c.send("stop", {"worker": worker["id"],
                                    "grace_ms": 3600_000})
        self.c.status()  # the daemon has it
        self.open_gate()
        record = self.c.answer(stop)["exit"]
        self.assertEqual((record["reason"], record["signal"]),
                         ("stopped", signal.SIGTERM))
        self.assertEqual(self.c.answer(request)["worker"]["id"], worker["id"])
        self.assertEqual(self.c.exit_message(request), record)

    def test_one_that_cannot_be_killed_yet_is_killed_when_it_starts(self):
        request, worker, pid = self.held_orphan("sleep_forever")
        record = self.c.stop(worker, grace_ms=0)
        self.assertEqual((record["reason"], record["code"], record["signal"],
                          record["pid"]), ("stopped", None, None, 0))
        self.assertEqual(self.c.answer(request)["worker"]["id"], worker["id"])
        self.assertEqual(self.c.exit_message(request), record)
        self.assertTrue(alive(pid))
        self.open_gate()
        wait_for(lambda: not alive(pid), "it is killed")
        self.assertEqual(self.c.wait(worker), record)

    def test_of_many_each_is_answered_once(self):
        policy = {"detach": True, "watch": True}
        requests = [self.send_fork(self.c, "exit_code", b"5", policy=policy)
                    for _ in range(25)]
        wait_for(lambda: len(self.held()) > 5, "forks")
        self.kill_zygote()
        self.open_gate()
        for request in requests:
            try:
                worker = self.c.answer(request)["worker"]
            except WireError as error:
                self.assertEqual(error.code, "zygote_failed")
                continue
            record = self.c.exit_message(request)
            self.assertEqual((record["id"], record["code"], record["reason"]),
                             (worker["id"], 5, "exited"))
        self.c.status()
        self.assertFalse(self.c.frames)


class StoppedTest(StartingWorkersTestCase):
    """It counts as launched, and its record says why it ended."""

    def check(self, request, reason, **status):
        worker = self.c.answer(request)["worker"]
        record = self.c.exit_message(request)
        self.assertEqual((record["id"], record["reason"]),
                         (worker["id"], reason))
        for key, value in status.items():
            self.assertEqual(record[key], value)
        self.assertEqual(record["journey"]["started_ns"], 0)
        self.assertGreater(record["wall_us"], 0)
        self.assertLess(record["wall_us"], 3600 * 1000_000)
        self.assertEqual(self.c.wait(worker), record)
        self.c.status()
        self.assertFalse(self.c.frames)

    def test_by_its_timeout(self):
        request = self.send_fork(self.c, "echo", policy={
            "watch": True, "timeout_ms": 1, "grace_ms": 0})
        self.check(request, "timeout", signal=signal.SIGKILL)

    def test_by_its_timeout_with_one_answer(self):
        request = self.send_fork(self.c, "echo", policy={
            "exit_only": True, "timeout_ms": 1, "grace_ms": 0})
        self.assertEqual(self.c.exit_message(request)["reason"], "timeout")

    def test_by_a_stop(self):
        request, pid = self.held_fork("echo", policy={"watch": True})
        worker = self.worker()
        record = self.client().stop(worker, grace_ms=0)
        self.assertEqual(record["reason"], "stopped")
        self.check(request, "stopped", pid=pid, signal=signal.SIGKILL)

    def test_by_the_end_of_its_client(self):
        client = self.client()
        self.send_fork(client, "echo", policy={"grace_ms": 0})
        waiting = self.c.send("wait", {"worker": wait_for(
            self.c.workers, "a worker")[0]["id"]})
        client.close()
        self.assertEqual(self.c.answer(waiting)["exit"]["reason"],
                         "client_gone")

    def test_by_its_timeout_while_the_zygote_hangs(self):
        os.kill(self.zygote["pid"], signal.SIGSTOP)
        request = self.send_fork(self.c, "echo", policy={
            "watch": True, "timeout_ms": 1, "grace_ms": 0})
        self.check(request, "timeout", pid=0, code=None, signal=None)

    def test_one_that_somebody_else_killed_failed_to_launch(self):
        request, pid = self.held_fork("echo", policy={"watch": True})
        os.kill(pid, signal.SIGKILL)
        error = self.assert_error("launch_failed", self.c.answer, request)
        self.assertIn("signal 9", error.message)


if __name__ == "__main__":
    unittest.main()
