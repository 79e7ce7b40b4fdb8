"""Forked workers, as any client on the wire sees them."""

import errno
import os
import signal
import unittest

from daemon_fixture import read_file
from wire import ZYGOTE_PROGRAM, alive, threads_of, wait_for
from zygote_fixture import ZygoteTestCase


class ForkTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.c = self.client()
        self.zygote = self.start(self.c, "z", ["ok"])

    def test_a_zygote_tells_what_it_is(self):
        self.assertEqual((self.zygote["name"], self.zygote["state"],
                          self.zygote["parent"], self.zygote["argv"]),
                         ("z", "ready", "", [ZYGOTE_PROGRAM]))
        self.assertEqual(len(self.zygote["identity"]), 16)
        self.assertIn("echo", self.zygote["entries"])
        (preload,) = self.zygote["preloads"]
        self.assertEqual((preload["name"], preload["threads"]), ("ok", 1))
        self.assertEqual(len(threads_of(self.zygote["pid"])), 1)

    def test_an_entry_gets_its_arguments_and_returns_a_result(self):
        result, record = self.call(self.c, "echo", b"\0any bytes\xff")
        self.assertEqual(result, b"\0any bytes\xff")
        self.assertEqual((record["code"], record["kind"], record["zygote"],
                          record["reason"]), (0, "forked", "z", "exited"))
        times = [record["journey"][step] for step in (
            "received_ns", "launch_begun_ns", "launched_ns", "started_ns",
            "ended_ns")]
        self.assertEqual(times, sorted(times))
        self.assertGreater(record["max_rss_bytes"], 100_000)

    def test_the_request_replaces_what_the_zygote_had(self):
        result, record = self.call(self.c, "print_env", env=["ONLY=this"])
        self.assertEqual(result.decode().splitlines(),
                         ["ONLY=this", "FORKSERVER_WORKER=" + record["id"]])
        result, _ = self.call(self.c, "print_cwd", cwd=self.folder,
                              umask=0o123)
        self.assertEqual(result.decode(), f"{self.folder} 123")

    def test_local_time_is_that_of_the_environment(self):
        self.start(self.c, "clock", env=["TZ=AAA-9"], preload=["reads_clock"])
        self.start(self.c, "nested", parent="clock", env=["TZ=BBB-3"])
        for zygote, env, expected in (
                ("clock", ["TZ=AAA-9"], b"09 AAA"),
                ("clock", ["TZ=CCC-4"], b"04 CCC"),
                ("nested", ["TZ=BBB-3"], b"03 BBB"),
                ("nested", ["TZ=CCC-4"], b"04 CCC"),
                ("clock", ["TZ="], b"00 UTC")):
            with self.subTest(zygote=zygote, env=env):
                result, _ = self.call(self.c, "print_time", zygote=zygote,
                                      env=env)
                self.assertEqual(result, expected)

    def test_a_zygote_is_not_taken_for_a_process_of_its_client(self):
        # A client that is a worker itself.
        zygote = self.start(self.c, "other", env=["FORKSERVER_WORKER=client"])
        names = {variable.partition(b"=")[0] for variable in read_file(
            f"/proc/{zygote['pid']}/environ").split(b"\0")}
        self.assertIn(b"FORKSERVER_TEST_MARKER", names)
        self.assertNotIn(b"FORKSERVER_WORKER", names)

    def test_descriptors_arrive_under_their_numbers_and_no_others(self):
        null = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, null)
        read_end, write_end = os.pipe()
        worker = self.fork(self.c, "print_fds", b"",
                           [write_end, null, null], result=0,
                           fds=[[7, 1], [100, 2]])
        os.close(write_end)
        with open(read_end, "rb") as result:
            numbers = result.read().decode().split()
        self.c.wait(worker)
        self.assertEqual([number for number in numbers
                          if not number.endswith("*")],
                         ["0", "1", "2", "7", "100"])

    def test_253_descriptors(self):
        null = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, null)
        worker = self.fork(self.c, "echo", b"", [null] * 253,
                           fds=[[3 + index, index] for index in range(253)])
        self.assertEqual(self.c.wait(worker)["code"], 0)

    def test_exit_codes_signals_and_exceptions(self):
        _, record = self.call(self.c, "exit_code", b"37")
        self.assertEqual((record["code"], record["reason"]), (37, "exited"))
        _, record = self.call(self.c, "crash")
        self.assertEqual((record["signal"], record["reason"]),
                         (signal.SIGSEGV, "signaled"))
        _, record = self.call(self.c, "throw")
        self.assertNotEqual(record["code"], 0)
        self.assertEqual(self.call(self.c, "echo", b"x")[0], b"x")

    def test_errors_name_their_step(self):
        for setup, step in (({"cwd": "/no/such"}, "chdir"),
                            ({"limits": {"nofile": [-1, -1]}}, "setrlimit")):
            error = self.assert_error("launch_failed", self.fork, self.c,
                                      "echo", **setup)
            self.assertEqual(error.step, step)
        self.assertEqual(
            self.assert_error("launch_failed", self.fork, self.c, "echo",
                              cwd="/no/such").errno, errno.ENOENT)
        error = self.assert_error("unknown_entry", self.fork, self.c, "nope")
        self.assertIn("nope", error.message)
        for setup in ({"cwd": "tmp"}, {"umask": 0o7777}, {"nice": 99},
                      {"limits": {"x": [1, 1]}}, {"env": ["A=\0"]}):
            self.assert_error("bad_request", self.fork, self.c, "echo",
                              **setup)
        self.assert_error("bad_descriptor", self.fork, self.c, "echo",
                          fds=[[1, 0]])
        self.assertEqual(self.c.workers(), [])
        self.assertEqual(self.zygotes(self.c)["z"]["workers"], 0)
        self.assertEqual(self.call(self.c, "echo", b"x")[0], b"x")

    def test_other_frozen_variables_are_refused_by_name(self):
        error = self.assert_error("stale_environment", self.fork, self.c,
                                  "echo",
                                  env=self.c.env + ["OMP_NUM_THREADS=4"])
        self.assertIn("OMP_NUM_THREADS", error.message)

    def test_stop_timeout_and_signal(self):
        worker = self.fork(self.c, "sleep_forever")
        self.assertEqual(self.c.stop(worker)["reason"], "stopped")
        worker = self.fork(self.c, "sleep_forever",
                           policy={"timeout_ms": 500})
        self.assertEqual(self.c.wait(worker)["reason"], "timeout")
        worker = self.fork(self.c, "sleep_forever")
        self.c.signal(worker, signal.SIGKILL)
        self.assertEqual(self.c.wait(worker)["reason"], "signaled")
        self.assert_error("worker_ended", self.c.signal, worker, 9)

    def test_300_pipelined_forks_are_answered_once_each(self):
        requests = {self.send_fork(self.c, "exit_code", b"6",
                                   policy={"watch": True})
                    for _ in range(300)}
        answered, ended = [], []
        while len(answered) < 300 or len(ended) < 300:
            frame = self.c.receive()
            self.assertIn(frame["type"], ("reply", "exit"), frame)
            (answered if frame["type"] == "reply" else ended).append(
                frame["id"])
            if frame["type"] == "exit":
                self.assertEqual(frame["body"]["code"], 6)
        self.assertEqual(set(answered), requests)
        self.assertEqual(set(ended), requests)
        self.assertEqual(self.zygotes(self.c)["z"]["forks"], 300)

    def test_the_ends_that_one_signal_tells_of_are_all_found(self):
        workers = [self.fork(self.c, "sleep_forever") for _ in range(150)]
        # Old ones and new ones, of which a stopped zygote sees one SIGCHLD.
        os.kill(self.zygote["pid"], signal.SIGSTOP)
        for worker in workers[::2]:
            os.kill(worker["pid"], signal.SIGKILL)
        wait_for(lambda: not any(alive(worker["pid"])
                                 for worker in workers[::2]), "half end")
        os.kill(self.zygote["pid"], signal.SIGCONT)
        for worker in workers[::2]:
            self.assertEqual(self.c.wait(worker)["signal"], 9)
        self.assertEqual(self.zygotes(self.c)["z"]["workers"], 75)
        for worker in workers[1::2]:
            self.c.signal(worker, signal.SIGKILL)
        for worker in workers[1::2]:
            self.assertEqual(self.c.wait(worker)["signal"], 9)

    def test_a_client_that_goes_takes_its_forked_workers(self):
        keeper = self.client()
        self.start(keeper, "z", ["ok"])  # joins
        worker = self.fork(self.c, "sleep_forever")
        detached = self.fork(self.c, "sleep_forever",
                             policy={"detach": True})
        self.c.close()
        self.assertEqual(keeper.wait(worker)["reason"], "client_gone")
        self.assertTrue(alive(detached["pid"]))
        self.assertEqual(keeper.stop(detached)["reason"], "stopped")


if __name__ == "__main__":
    unittest.main()
