"""tally.py counts what the test programs say, and never loses a failure."""

import json
import os
import tempfile
import unittest

from tools.build import tally

DOCTEST_LOG = """\
[doctest] doctest version is "2.4.9"

SKIPPED: it kills: a cgroup: kernel: no cgroup.kill
SKIPPED: it sings: no voice
===============================================================================
tests/unit/x_test.cc:7:
TEST CASE:  it adds

tests/unit/x_test.cc:8: ERROR: CHECK( 1 == 2 ) is NOT correct!
===============================================================================
[doctest] test cases:  7 |  6 passed | 1 failed | 1 skipped
[doctest] assertions: 12 | 11 passed | 1 failed |
"""

UNITTEST_LOG = """\
test_a (x.T.test_a) ... ok
test_b (x.T.test_b) ... skipped 'os: no pidfd'
test_c (x.T.test_c)
Says what it does ... skipped "it's off"
setUpClass (x.U) ... skipped 'kernel: too old'
test_d (x.T.test_d) ... FAIL

======================================================================
FAIL: test_d (x.T.test_d)
----------------------------------------------------------------------
AssertionError

----------------------------------------------------------------------
Ran 4 tests in 0.003s

FAILED (failures=1, skipped=3)
"""


class CountLog(unittest.TestCase):

    def test_doctest_cases_that_skip_themselves_did_not_pass(self):
        count = tally.count_log(DOCTEST_LOG, "FAILED")
        self.assertEqual(count.passed, 4)
        self.assertEqual(count.failures, ["it adds"])
        self.assertEqual(count.skips, [
            ("it kills: a cgroup", "kernel: no cgroup.kill"),
            ("it sings", "no voice"),
            ("a test case", "switched off in its source"),
        ])

    def test_unittest_skips_come_with_their_reasons(self):
        count = tally.count_log(UNITTEST_LOG, "FAILED")
        self.assertEqual(count.passed, 1)
        self.assertEqual(count.failures, ["test_d (x.T.test_d)"])
        self.assertEqual([reason for _, reason in count.skips],
                         ["os: no pidfd", "it's off", "kernel: too old"])

    def test_runs_of_the_harness_are_counted(self):
        log = ("FAIL  x::it adds\n\n"
               "FAILED  1,004 passed (1 flaky), 2 failed, 1 leaked, 3 skipped"
               "  of 1,010 tests in 2.5s  (stopped: --fail-fast)\n")
        count = tally.count_log(log, "FAILED")
        self.assertEqual((count.passed, len(count.failures), len(count.skips)),
                         (1004, 3, 3))
        good = tally.count_log("PASSED  1 passed  of 1 test in 0.1s\n",
                               "PASSED")
        self.assertEqual((good.passed, good.failures), (1, []))

    def test_the_last_summary_is_the_targets_own(self):
        log = DOCTEST_LOG + "Ran 2 tests in 0.1s\n\nOK\n"
        self.assertEqual(tally.count_log(log, "PASSED"), tally.Count(2))

    def test_a_log_without_a_summary_is_one_test_case(self):
        self.assertEqual(tally.count_log("hello", "PASSED"), tally.Count(1))
        for status in ("FAILED", "TIMEOUT", "NO_STATUS"):
            count = tally.count_log("Segmentation fault", status)
            self.assertEqual(count.failures, [f"({status})"])

    def test_a_target_that_fails_after_its_last_case_is_a_failure(self):
        count = tally.count_log("Ran 2 tests in 0.1s\n\nOK\n", "FAILED")
        self.assertEqual((count.passed, len(count.failures)), (2, 1))

    def test_a_target_that_ran_nothing_is_a_failure(self):
        count = tally.count_log("Ran 0 tests in 0.0s\n\nOK\n", "PASSED")
        self.assertEqual(len(count.failures), 1)


class CountEvents(unittest.TestCase):

    def run_event(self, label, status, log, attempt=1):
        folder = self.folder.name
        path = os.path.join(folder, f"log{len(os.listdir(folder))}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(log)
        return {
            "id": {"testResult": {"label": label, "run": 1, "shard": 1,
                                  "attempt": attempt}},
            "testResult": {
                "status": status,
                "testActionOutput": [{"name": "test.log",
                                      "uri": "file://" + path}],
            },
        }

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def test_only_the_last_attempt_counts(self):
        count = tally.count_events([
            self.run_event("//a:a", "FAILED", "crash", attempt=1),
            self.run_event("//a:a", "PASSED", "Ran 3 tests in 1s\n\nOK\n", 2),
        ])
        self.assertEqual(count, tally.Count(3))

    def test_what_does_not_build_is_one_failure_each(self):
        completed = {"id": {"targetCompleted": {"label": "//a:b"}},
                     "completed": {}}
        pattern = {"id": {"pattern": {"pattern": ["//nowhere:x"]}},
                   "aborted": {"description": "no such package\n - /x"}}
        message = {"id": {"progress": {}}, "progress": {
            "stderr": "ERROR: package contains errors: a/c\n"}}
        count = tally.count_events([completed, pattern, message])
        self.assertEqual(count.failures, [
            "//a:b (did not build)",
            "//nowhere:x (no such package)",
            "//a/c (its BUILD file cannot be read)",
        ])

    def test_an_event_file_that_was_cut_off_is_read_as_far_as_it_goes(self):
        path = os.path.join(self.folder.name, "events")
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps({"id": {}}) + '\n{"id": {"tes')
        self.assertEqual(list(tally.parse_events(path)), [{"id": {}}])


class Skips(unittest.TestCase):

    def test_ci_accepts_only_what_the_machine_cannot_do(self):
        count = tally.Count(1, [], [("a", "kernel: old"), ("b", "os: none"),
                                    ("c", "npm is not installed")])
        tally.refuse_avoidable_skips(count)
        self.assertEqual([name for name, _ in count.skips], ["a", "b"])
        self.assertEqual(len(count.failures), 1)


if __name__ == "__main__":
    unittest.main()
