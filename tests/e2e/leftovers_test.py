"""Requests with `report_leftovers`: what a worker leaves in its group."""

import os
import unittest

from wire import wait_for
from zygote_fixture import ZygoteTestCase

REPORT = {"report_leftovers": True}
# Until what was started last is that program.
UNTIL_SLEEP = "until grep -q sleep /proc/$!/comm; do :; done; "


class LeftoversTest(ZygoteTestCase):

    def run_exec(self, script, policy=None, client=None):
        client = client or self.client()
        worker = client.spawn(["sh", "-c", script], policy=policy or REPORT)
        return client.wait(worker)

    def run_forked(self, script, policy=None):
        client = self.client()
        self.start(client)
        _, record = self.call(client, "run_shell", script.encode(),
                              policy=policy or REPORT)
        return record

    def assert_one(self, record, command):
        self.assertEqual(record["code"], 0)
        (one,) = record["leftovers"]
        pid, _, left = one.partition(" ")
        self.assertEqual(left, command)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"),
                      "what was left is killed and reaped")

    def test_an_exec_worker_that_leaves_a_process(self):
        self.assert_one(self.run_exec("sleep 1000 & " + UNTIL_SLEEP), "sleep 1000")

    def test_a_forked_worker_that_leaves_a_process(self):
        self.assert_one(self.run_forked("sleep 1001 & " + UNTIL_SLEEP),
                        "sleep 1001")

    def test_a_worker_that_waits_for_its_children_leaves_nothing(self):
        script = "for i in 1 2 3; do true & done; wait"
        self.assertNotIn("leftovers", self.run_exec(script))
        self.assertNotIn("leftovers", self.run_forked(script))

    def test_what_has_ended_or_was_killed_is_not_left(self):
        # Not waited for: a zombie, or on its way to be one.
        for _ in range(5):
            self.assertNotIn("leftovers", self.run_exec(
                "sleep 1000 & kill -KILL $!; exit 0"))

    def test_only_a_few_are_named(self):
        record = self.run_exec("for i in 1 2 3 4 5 6; do sleep 1002 & " + UNTIL_SLEEP + "done")
        self.assertEqual([one.split(" ", 1)[1] for one in record["leftovers"]],
                         ["sleep 1002"] * 3)

    def test_a_long_command_is_cut(self):
        # Until it is another command than its parent.
        record = self.run_exec(
            "sh -c 'sleep 1003; :' " + "x" * 5000 + " & until [ \"$(tr '\\0' ' '"
            " </proc/$!/cmdline | head -c 9)\" = 'sh -c sle' ]; do :; done")
        (one,) = record["leftovers"]
        self.assertEqual(len(one), 64)
        self.assertRegex(one, r"^\d+ sh -c ")

    def test_who_does_not_ask_is_not_told(self):
        record = self.run_exec("sleep 1000 & exit 0", {"name": "quiet"})
        self.assertNotIn("leftovers", record)

    def test_a_worker_that_crashes_leaves_what_it_started(self):
        record = self.run_exec("sleep 1004 & " + UNTIL_SLEEP +
                               "kill -SEGV $$")
        self.assertEqual(record["signal"], 11)
        self.assertEqual([one.split(" ", 1)[1] for one in record["leftovers"]],
                         ["sleep 1004"])

    def test_not_of_detached_workers(self):
        self.assert_error("bad_request", self.client().spawn, ["true"],
                          policy=dict(REPORT, detach=True))


if __name__ == "__main__":
    unittest.main()
