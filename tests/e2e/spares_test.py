"""Workers that a C++ zygote has forked in advance."""

import os
import signal
import unittest

from daemon_fixture import is_sanitized
from wire import ZYGOTE_PROGRAM, alive, wait_for
from zygote_fixture import ZygoteTestCase


class SparesTest(ZygoteTestCase):

    def start_with(self, client, least, most, **options):
        """The zygote, when it has its spares."""
        zygote = self.start(client, spares_min=least, spares_max=most,
                            **options)
        self.await_spares(zygote, most)
        return zygote

    def test_a_request_is_handed_to_one_and_another_takes_its_place(self):
        client = self.client()
        zygote = self.start_with(client, 1, 3)
        spares = self.parked(zygote)
        self.assertEqual(client.workers(), [])
        worker = self.fork(client, "sleep_forever")
        self.assertIn(worker["pid"], spares)
        self.await_spares(zygote, 4)
        client.signal(worker, signal.SIGKILL)
        self.assertEqual(client.wait(worker)["signal"], 9)
        self.await_spares(zygote, 3)

    def test_it_is_the_worker_that_was_asked_for(self):
        client = self.client()
        self.start(client, "plain")
        zygote = self.start_with(client, 1, 2)
        for entry, setup in (
                ("print_env", {"env": client.env + ["A=1", "B=2"]}),
                ("print_cwd", {"cwd": "/usr"}),
                ("print_signals", {}),
                ("print_context", {"args": b"\0bytes", "argv": ["a", "b"]})):
            with self.subTest(entry):
                self.await_spares(zygote, 2)
                spares = self.parked(zygote)
                args = setup.pop("args", b"")
                expected, other = self.call(client, entry, args,
                                            zygote="plain", **setup)
                found, record = self.call(client, entry, args, **setup)
                self.assertIn(record["pid"], spares)
                if entry == "print_context":  # "id|entry|argument..."
                    expected = expected.partition(b"|")[2]
                    found = found.partition(b"|")[2]
                elif entry == "print_env":
                    expected = expected.replace(other["id"].encode(),
                                                record["id"].encode())
                    self.assertIn(b"FORKSERVER_WORKER=" +
                                  record["id"].encode() + b"\n", found)
                self.assertEqual(found, expected)
        self.await_spares(zygote, 2)
        # The streams, and what the result is written to.
        found, _ = self.call(client, "print_fds")
        self.assertRegex(found, rb"^0 1 2 \d+\*$")

    def test_a_session_of_its_own(self):
        client = self.client()
        self.start_with(client, 1, 1)
        worker = self.fork(client, "sleep_forever", group="session")
        self.assertEqual(os.getsid(worker["pid"]), worker["pid"])
        client.stop(worker)

    def test_more_requests_than_spares(self):
        client = self.client()
        zygote = self.start_with(client, 1, 4)
        requests = [self.send_fork(client, "exit_code", b"%d" % (i % 100))
                    for i in range(200)]
        codes = [client.wait(client.answer(each)["worker"])["code"]
                 for each in requests]
        self.assertEqual(codes, [i % 100 for i in range(200)])
        self.await_spares(zygote, 4)

    def test_a_request_that_no_channel_takes_at_once(self):
        client = self.client()
        zygote = self.start_with(client, 1, 2)
        spares = self.parked(zygote)
        large = os.urandom(500_000)
        echoed, record = self.call(client, "echo", large)
        self.assertEqual(echoed, large)
        self.assertNotIn(record["pid"], spares)

    def test_spares_that_die_are_not_noticed(self):
        client = self.client()
        zygote = self.start_with(client, 2, 2)
        for pid in self.parked(zygote):
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not alive(pid), "it is dead")
        echoed, record = self.call(client, "echo", b"x")
        self.assertEqual((echoed, record["code"]), (b"x", 0))
        self.await_spares(zygote, 2)
        client.status()

    def test_a_spare_that_does_not_run_is_stopped_as_any_worker(self):
        client = self.client()
        zygote = self.start_with(client, 1, 1, entry_deadline_ms=300)
        (spare,) = self.parked(zygote)
        os.kill(spare, signal.SIGSTOP)
        record = client.wait(self.fork(client, "echo"))
        self.assertEqual(record["reason"], "fork_deadlock")
        wait_for(lambda: not alive(spare), "it is killed")
        self.assertEqual(self.call(client, "echo", b"x")[0], b"x")

    def test_a_detached_worker_is_none_of_them(self):
        client = self.client()
        zygote = self.start_with(client, 1, 1)
        spares = self.parked(zygote)
        worker = self.fork(client, "sleep_forever", policy={"detach": True})
        self.assertNotIn(worker["pid"], spares)
        os.kill(zygote["pid"], signal.SIGKILL)
        wait_for(lambda: not alive(spares[0]), "spares end with their zygote")
        self.assertTrue(alive(worker["pid"]))
        client.stop(worker)

    def test_they_end_with_their_zygote(self):
        client = self.client()
        for end in (lambda zygote: os.kill(zygote["pid"], signal.SIGKILL),
                    lambda zygote: client.request("zygote_stop",
                                                  {"name": "z"})):
            zygote = self.start_with(client, 1, 3)
            spares = self.parked(zygote)
            end(zygote)
            for pid in [zygote["pid"], *spares]:
                wait_for(lambda pid=pid: not alive(pid), "it ends")

    def test_requests_that_are_wrong_get_the_errors_of_a_fork(self):
        client = self.client()
        zygote = self.start_with(client, 1, 2)
        self.assert_error("unknown_entry", self.fork, client, "nothing")
        self.await_spares(zygote, 2)
        self.assert_error("stale_environment", self.fork, client, "echo",
                          env=client.env + ["LD_PRELOAD=/nothing"])
        self.await_spares(zygote, 2)
        self.assert_error("launch_failed", self.fork, client, "echo",
                          cwd="/does/not/exist")
        self.await_spares(zygote, 2)
        self.assertEqual(self.call(client, "echo", b"x")[0], b"x")

    def test_a_nested_zygote_has_its_own(self):
        client = self.client()
        zygote = self.start_with(client, 1, 2)
        nested = self.start(client, "z/n", parent="z", spares_min=1,
                            spares_max=1)
        self.await_spares(nested, 1)
        (spare,) = self.parked(nested)
        worker = self.fork(client, "sleep_forever", zygote="z/n")
        self.assertEqual(worker["pid"], spare)
        self.await_spares(zygote, 3)  # and the nested one
        client.stop(worker)

    def test_what_crashes_says_where(self):
        client = self.client()
        self.start_with(client, 1, 1)
        record = client.wait(self.fork(client, "write_to_null"))
        self.assertEqual(record["signal"], signal.SIGSEGV)
        self.assertEqual(record["crash"]["signal_name"], "SIGSEGV")
        if not is_sanitized(ZYGOTE_PROGRAM):
            self.assertEqual(record["crash"]["frames"][0]["module"],
                             os.path.realpath(ZYGOTE_PROGRAM))

    def test_a_zygote_with_spares_is_as_safe_as_without(self):
        client = self.client()
        zygote = self.start_with(client, 1, 4)
        self.assertEqual((zygote["spares_min"], zygote["spares_max"]), (1, 4))
        self.assertEqual(zygote["audit"]["verdict"], "safe")

    def test_how_many_there_can_be(self):
        client = self.client()
        for least, most in ((-1, 1), (2, 1), (0, 65)):
            with self.subTest((least, most)):
                self.assert_error("bad_request", self.start, client,
                                  spares_min=least, spares_max=most)


if __name__ == "__main__":
    unittest.main()
