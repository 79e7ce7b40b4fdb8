"""How zygotes begin and end, and what becomes of their workers."""

import os
import signal
import unittest

from wire import WireError, ZYGOTE_PROGRAM, alive, wait_for
from zygote_fixture import ZygoteTestCase


class ZygoteDeathTest(ZygoteTestCase):

    def test_its_workers_end_with_records_of_their_own(self):
        client = self.client()
        zygote = self.start(client)
        workers = [self.fork(client, "sleep_forever") for _ in range(10)]
        done = self.fork(client, "exit_code", b"3")
        self.assertEqual(client.wait(done)["code"], 3)
        os.kill(zygote["pid"], signal.SIGKILL)
        for worker in workers:
            record = client.wait(worker)
            self.assertEqual((record["reason"], record["signal"]),
                             ("zygote_died", signal.SIGKILL))
            self.assertFalse(alive(worker["pid"]))
        self.assertEqual(client.wait(done)["code"], 3)
        wait_for(lambda: not self.zygotes(client), "it is gone")
        self.assert_error("unknown_zygote", self.fork, client, "echo")
        self.start(client)
        self.assertEqual(self.call(client, "echo", b"again")[0], b"again")

    def test_a_nested_zygote_ends_with_its_parent(self):
        client = self.client()
        zygote = self.start(client)
        nested = self.start(client, "z/n", ["ok"], parent="z")
        deep = self.start(client, "z/n/d", parent="z/n")
        self.assertEqual((nested["parent"], deep["parent"]), ("z", "z/n"))
        self.assertEqual(self.call(client, "echo", b"x", zygote="z/n/d")[0],
                         b"x")
        worker = self.fork(client, "sleep_forever", zygote="z/n/d")
        os.kill(zygote["pid"], signal.SIGKILL)
        self.assertEqual(client.wait(worker)["reason"], "zygote_died")
        wait_for(lambda: not self.zygotes(client), "all are gone")
        for one in (zygote, nested, deep):
            wait_for(lambda pid=one["pid"]: not alive(pid), "it ended")

    def test_killed_in_the_middle_of_200_forks(self):
        client = self.client()
        zygote = self.start(client)
        requests = {self.send_fork(client, "sleep_forever",
                                   policy={"watch": True})
                    for _ in range(200)}
        first = client.receive()
        os.kill(zygote["pid"], signal.SIGKILL)
        answers, ends = {}, {}
        started = set()
        frame = first
        while True:
            if frame["type"] in ("reply", "error"):
                self.assertNotIn(frame["id"], answers)
                answers[frame["id"]] = frame
                if frame["type"] == "reply":
                    started.add(frame["id"])
            else:
                self.assertNotIn(frame["id"], ends)
                ends[frame["id"]] = frame["body"]
            if len(answers) == 200 and started == set(ends):
                break
            frame = client.receive()
        self.assertEqual(set(answers), requests)
        self.assertTrue(started)
        for record in ends.values():
            self.assertIn(record["reason"], ("zygote_died", "lost"))
            self.assertEqual(client.wait(record["id"]), record)
        self.assertEqual(client.workers(), [])
        client.status()
        self.assertFalse(client.frames)

    def test_a_stopped_zygote_stalls_nobody_and_its_workers_can_be_killed(
            self):
        client = self.client()
        zygote = self.start(client)
        worker = self.fork(client, "sleep_forever",
                           policy={"grace_ms": 0})
        os.kill(zygote["pid"], signal.SIGSTOP)
        request = self.send_fork(client, "echo")
        self.assert_serves()
        # It does not answer: it is given up, and what is left is reaped.
        record = client.stop(worker)
        self.assertEqual(record["reason"], "stopped")
        with self.assertRaises(WireError):
            client.answer(request)


class LifeTest(ZygoteTestCase):

    daemon_arguments = ("--zygote-idle", "1")

    def test_the_same_again_joins_and_another_is_a_conflict(self):
        client, other = self.client(), self.client()
        zygote = self.start(client)
        self.assertEqual(self.start(other)["id"], zygote["id"])
        for change in ({"preload": ["ok"]}, {"env": ["LC_ALL=C"]},
                       {"argv": [ZYGOTE_PROGRAM, "x"]}, {"binary": "other"}):
            self.assert_error("zygote_conflict", self.start, other, **change)
        self.assertEqual(self.start(other, env=["FREE=1"])["id"],
                         zygote["id"])
        replaced = self.start(other, preload=["ok"], replace=True)
        self.assertNotEqual(replaced["id"], zygote["id"])
        wait_for(lambda: not alive(zygote["pid"]), "the old one retires")

    def test_two_that_start_it_at_once_get_the_same(self):
        clients = [self.client() for _ in range(5)]
        requests = [client.send("zygote_start", self.start_body(client, "z"))
                    for client in clients]
        self.assertEqual(len({client.answer(request)["zygote"]["pid"]
                              for client, request in zip(clients,
                                                         requests)}), 1)

    def test_it_ends_with_the_last_connection_that_wanted_it(self):
        client, other = self.client(), self.client()
        zygote = self.start(client)
        self.start(other)
        client.close()
        self.assertEqual(self.call(other, "echo", b"x")[0], b"x")
        other.close()
        wait_for(lambda: not alive(zygote["pid"]), "it ends")

    def test_one_that_is_kept_outlives_its_client_until_it_is_idle(self):
        client = self.client()
        zygote = self.start(client, keep=True)
        self.assertTrue(zygote["keep"])
        client.close()
        other = self.client()
        self.assertEqual(self.call(other, "echo", b"x")[0], b"x")
        worker = self.fork(other, "sleep_forever")
        wait_for(lambda: other.status()["uptime_ms"] > 2500, "2.5 s")
        self.assertIn("z", self.zygotes(other))  # in use: not idle
        other.stop(worker)
        wait_for(lambda: not self.zygotes(other), "it retires when idle")

    def test_a_retired_one_lives_until_its_last_worker_ends(self):
        client = self.client()
        zygote = self.start(client)
        worker = self.fork(client, "sleep_forever")
        client.request("zygote_stop", {"name": "z"})
        self.assert_error("unknown_zygote", self.fork, client, "echo")
        second = self.start(client)
        self.assertNotEqual(second["id"], zygote["id"])
        self.assertTrue(alive(worker["pid"]))
        self.assertEqual(client.stop(worker)["reason"], "stopped")
        wait_for(lambda: not alive(zygote["pid"]), "now it ends")
        self.assertTrue(alive(second["pid"]))

    def test_a_retired_one_that_does_not_end_is_killed(self):
        client = self.client()
        # Its exit function never ends.
        zygote = self.start(client, "z", ["ends_slowly"], grace_ms=100)
        worker = self.fork(client, "sleep_forever")
        client.request("zygote_stop", {"name": "z"})
        status = client.status()
        wait_for(lambda: client.status()["uptime_ms"] >
                 status["uptime_ms"] + 500, "0.5 s")
        self.assertTrue(alive(zygote["pid"]))  # its worker lives off it
        client.stop(worker)
        wait_for(lambda: not alive(zygote["pid"]), "now it is killed")

    def test_a_retired_one_has_its_grace_to_end(self):
        client = self.client()
        zygotes = [self.start(client, name, grace_ms=60_000)
                   for name in ("z", "y")]
        for zygote in zygotes:
            os.kill(zygote["pid"], signal.SIGSTOP)
            client.request("zygote_stop", {"name": zygote["name"]})
        status = client.status()
        wait_for(lambda: client.status()["uptime_ms"] >
                 status["uptime_ms"] + 6000, "6 s")
        for zygote in zygotes:
            self.assertTrue(alive(zygote["pid"]))
            os.kill(zygote["pid"], signal.SIGCONT)
            wait_for(lambda pid=zygote["pid"]: not alive(pid), "it ends")

    def test_its_exit_functions_run_within_the_grace(self):
        client = self.client()
        ended = os.path.join(self.folder, "ended")
        zygote = self.start(client, "z", ["ends_slowly"],
                            env=["ENDED=" + ended], grace_ms=60_000)
        client.request("zygote_stop", {"name": "z"})
        wait_for(lambda: not alive(zygote["pid"]), "it ends")
        self.assertTrue(os.path.exists(ended))

    def test_the_grace_must_be_one(self):
        client = self.client()
        for bad in (-1, 1 << 60):
            self.assert_error("bad_request", self.start, client, grace_ms=bad)

    def test_one_that_ends_before_it_is_ready_is_told_with_its_words(self):
        client = self.client()
        cases = [(["sh", "-c", "echo some last words >&2; exit 9"],
                  ("code 9", "some last words")),
                 (["sh", "-c", "kill -KILL $$"], ("signal 9",)),
                 (["true"], ("code 0",))]
        for argv, words in cases:
            error = self.assert_error("zygote_failed", self.start, client,
                                      argv=argv)
            for word in words:
                self.assertIn(word, error.message)
        error = self.assert_error("launch_failed", self.start, client,
                                  argv=["/no/such/program"])
        self.assertEqual(error.step, "execve")
        for preload, words in (("exits", "code 9"), ("nope", "nope"),
                               ("fails", "model file is missing"),
                               ("throws", "out of luck")):
            with self.assertRaises(WireError) as caught:
                self.start(client, preload=["ok", preload])
            self.assertIn(words, str(caught.exception))
        self.assertEqual(self.zygotes(client), {})

    def test_a_thread_is_named_with_the_step_that_started_it(self):
        client = self.client()
        error = self.assert_error("zygote_unsafe", self.start, client,
                                  preload=["ok", "starts_thread"])
        self.assertIn("stray worker", error.message)
        self.assertIn("starts_thread", error.message)

    def test_bad_starts(self):
        client = self.client()
        for name in ("", "x" * 129):
            self.assert_error("bad_request", self.start, client, name)
        self.assert_error("bad_request", self.start, client, argv=[])
        self.start(client)
        self.assert_error("bad_request", self.start, client, "n", parent="z",
                          argv=[ZYGOTE_PROGRAM])
        self.assert_error("stale_environment", self.start, client, "n",
                          parent="z", env=["LC_ALL=C"])

    @unittest.skipUnless(os.path.isdir("/proc/self"), "os: no /proc")
    def test_it_is_started_with_its_symbols_bound_and_nobody_sees_how(self):
        client = self.client()
        client.env = [variable for variable in client.env
                      if not variable.startswith("LD_BIND_NOW=")]

        def given(zygote):
            with open(f"/proc/{zygote['pid']}/environ", "rb") as file:
                return [variable for variable in file.read().split(b"\0")
                        if variable.startswith(b"LD_BIND_NOW=")]
        self.assertEqual(given(self.start(client)),
                         [b"LD_BIND_NOW=forkserver"])
        # A frozen variable, which the worker's request does not have.
        self.assertEqual(self.call(client, "echo", b"x")[0], b"x")
        own = self.start(client, "own", env=["LD_BIND_NOW=1"])
        self.assertEqual(given(own), [b"LD_BIND_NOW=1"])
        error = self.assert_error("stale_environment", self.fork, client,
                                  "echo", zygote="own")
        self.assertIn("LD_BIND_NOW", error.message)

    def test_a_killed_daemon_takes_zygotes_and_workers_with_it(self):
        client = self.client()
        pids = [self.start(client, keep=True)["pid"],
                self.start(client, "n", parent="z")["pid"],
                self.fork(client, "sleep_forever")["pid"],
                self.fork(client, "sleep_forever", zygote="n")["pid"]]
        self.daemon.kill()
        wait_for(lambda: not any(alive(pid) for pid in pids), "all end")
        self.assert_nothing_left()

    def test_sigterm_tells_the_waiters_of_forked_workers(self):
        client = self.client()
        self.start(client)
        workers = [self.fork(client, "sleep_forever") for _ in range(5)]
        requests = [client.send("wait", {"worker": worker["id"]})
                    for worker in workers]
        client.status()  # the daemon has them
        self.daemon.process.terminate()
        for request in requests:
            self.assertEqual(client.answer(request)["exit"]["reason"],
                             "daemon_stopping")
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
