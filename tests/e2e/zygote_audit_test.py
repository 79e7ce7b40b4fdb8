"""A zygote is audited before it is used, tried with a canary, and watched."""

import os
import signal
import socket
import unittest

import msgpack

from daemon_fixture import wait_for
from zygote_fixture import ZygoteTestCase


class AuditTest(ZygoteTestCase):

    def test_a_clean_one_is_safe_and_says_so(self):
        zygote = self.start(self.client())
        self.assertEqual(zygote["audit"]["verdict"], "safe")
        self.assertEqual(zygote["audit"]["reasons"], [])
        self.assertEqual(zygote["state"], "ready")

    def test_a_connection_is_refused_with_its_ends_and_its_step(self):
        client = self.client()
        error = self.assert_error("zygote_unsafe", self.start, client,
                                  preload=["ok", "makes_connection"])
        self.assertRegex(error.message, r"TCP 127\.0\.0\.1:\d+ -> "
                         r"127\.0\.0\.1:\d+, in preload makes_connection")
        self.assertEqual(error.step, "preload makes_connection")
        self.assertEqual(self.zygotes(client), {})

    def test_a_policy_puts_an_unsafe_one_in_service(self):
        client = self.client()
        for policy in ("warn", "allow"):
            zygote = self.start(client, policy, preload=["starts_thread"],
                                audit_policy=policy)
            self.assertEqual(zygote["audit_policy"], policy)
            self.assertEqual(zygote["audit"]["verdict"], "unsafe")
            reason = zygote["audit"]["reasons"][0]
            self.assertEqual(reason["kind"], "thread")
            self.assertIn("stray worker", reason["what"])
            self.assertEqual(reason["step"], "preload starts_thread")
            result, record = self.call(client, "echo", b"x", zygote=policy)
            self.assertEqual((result, record["code"]), (b"x", 0))
        self.assert_error("bad_request", self.start, client, "other",
                          audit_policy="hope")

    def test_a_thread_that_is_allowed_does_not_hide_the_end_of_a_worker(self):
        client = self.client()
        self.start(client, preload=["starts_thread"], audit_policy="allow")
        # The signal goes to that thread when it comes just before the zygote
        # waits again: now and then.
        for _ in range(200):
            record = client.wait(self.fork(client, "echo"))
            self.assertEqual(record["code"], 0)

    def test_a_nested_one_is_audited_again(self):
        client = self.client()
        self.start(client)
        error = self.assert_error("zygote_unsafe", self.start, client, "n",
                                  parent="z", preload=["makes_connection"])
        self.assertEqual(error.step, "preload makes_connection")
        nested = self.start(client, "n", parent="z", preload=["ok"])
        self.assertEqual(nested["audit"]["verdict"], "safe")

    def test_descriptors_that_it_was_given_are_no_reason(self):
        client = self.client()
        given, kept = socket.socketpair()
        self.addCleanup(given.close)
        self.addCleanup(kept.close)
        body = self.start_body(client, "z")
        body["setup"] = self.with_fd(body["setup"], 9)
        answer = client.answer(client.send("zygote_start", body,
                                           [given.fileno()]))
        self.assertEqual(answer["zygote"]["audit"]["verdict"], "safe")

    @staticmethod
    def with_fd(setup, child_fd):

        fields = msgpack.unpackb(setup, raw=False)
        fields["fds"] = [[child_fd, 0]]
        return msgpack.packb(fields, use_bin_type=True)


class CanaryTest(ZygoteTestCase):

    def test_one_whose_workers_hang_is_never_used(self):
        client = self.client()
        error = self.assert_error("fork_deadlock", self.start, client,
                                  preload=["hangs_children"],
                                  entry_deadline_ms=200)
        self.assertIn("200 ms", error.message)
        # Where it hangs: the frames name the program.
        self.assertIn("zygote_program+0x", error.message)
        self.assertEqual(self.zygotes(client), {})

    def test_one_whose_workers_crash_is_never_used(self):
        client = self.client()
        error = self.assert_error("zygote_failed", self.start, client,
                                  preload=["crashes_children"])
        self.assertIn("signal 6", error.message)
        self.assertEqual(self.zygotes(client), {})

    def test_a_deadline_must_be_one(self):
        client = self.client()
        for bad in (0, -1, 3_600_001):
            self.assert_error("bad_request", self.start, client,
                              entry_deadline_ms=bad)


class DeadlockTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.gate = os.path.join(self.folder, "gate")

    def hang(self, hangs):
        if hangs:
            with open(self.gate, "w", encoding="ascii"):
                pass
        else:
            os.unlink(self.gate)

    def start_hanging(self, client, **options):
        return self.start(client, preload=["hangs_workers"],
                          env=["GATE=" + self.gate], entry_deadline_ms=200,
                          **options)

    def deadlocked(self, client):
        """A worker that did not reach its entry: its record."""
        record = client.wait(self.fork(client, "echo"))
        self.assertEqual(record["reason"], "fork_deadlock")
        self.assertEqual(record["signal"], 9)
        return record

    def test_a_worker_that_does_not_reach_its_entry_is_killed_with_stacks(
            self):
        client = self.client()
        self.start_hanging(client)
        self.hang(True)
        record = self.deadlocked(client)
        text = "\n".join(record["stacks"])
        self.assertIn("zygote_program", text)
        self.assertIn("thread ", text)
        self.hang(False)
        result, record = self.call(client, "echo", b"again")
        self.assertEqual((result, record["code"]), (b"again", 0))

    def test_three_in_a_row_quarantine_the_zygote(self):
        client = self.client()
        first = self.start_hanging(client)
        self.hang(True)
        self.deadlocked(client)
        self.deadlocked(client)
        # One that works in between begins the count anew.
        self.hang(False)
        self.call(client, "echo", b"x")
        self.hang(True)
        for _ in range(3):
            self.assertEqual(self.zygotes(client)["z"]["state"], "ready")
            self.deadlocked(client)
        zygote = self.zygotes(client)["z"]
        self.assertEqual(zygote["state"], "quarantined")
        self.assertIn("3 workers in a row", zygote["quarantine"])
        error = self.assert_error("zygote_quarantined", self.fork, client,
                                  "echo")
        self.assertIn("3 workers in a row", error.message)
        # Starting it again replaces it.
        self.hang(False)
        second = self.start_hanging(client)
        self.assertNotEqual(second["id"], first["id"])
        result, _ = self.call(client, "echo", b"new")
        self.assertEqual(result, b"new")
        wait_for(lambda: list(self.zygotes(client)) == ["z"],
                 "the old one ends")

    def test_a_zygote_that_hangs_itself_is_shown(self):
        client = self.client()
        zygote = self.start_hanging(client)
        os.kill(zygote["pid"], signal.SIGSTOP)
        record = client.wait(self.fork(client, "echo"))
        self.assertEqual(record["reason"], "fork_deadlock")
        self.assertIn("no worker was forked", record["stacks"][0])


if __name__ == "__main__":
    unittest.main()
