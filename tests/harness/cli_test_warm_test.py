"""Warm tests that do whatever a test can do; the run goes on."""

import os
import shutil
import unittest

from daemon_fixture import ROOT, is_sanitized
from harness_fixture import HarnessTestCase

PROGRAM = os.path.join(ROOT, "tests/harness/programs/hostile_doctest")
STATE_PROGRAM = os.path.join(ROOT, "tests/harness/programs/state_doctest")
SANITIZED = is_sanitized(PROGRAM)


class StateTest(HarnessTestCase):
    """What the program did before it had tests to run."""

    def setUp(self):
        super().setUp()
        shutil.copy(STATE_PROGRAM, self.path("tests"))
        with open(self.path("words.txt"), "w", encoding="utf-8") as file:
            file.write("one two three\n")

    def test_it_is_there_in_tests(self):
        self.run_tests("-j", "3", "./tests", code=0)
        with open(self.path("log.txt"), encoding="utf-8") as file:
            self.assertEqual(sorted(file),
                             [f"test {number}\n" for number in (1, 2, 3)])

    def test_runs_that_begin_together_start_one_zygote(self):
        _, end = self.start_session_daemon()
        try:
            for runs in ([self.start_tests("./tests") for _ in range(4)]
                         for _ in range(3)):
                for run in runs:
                    outcome = self.finish(run)
                    self.assertEqual(outcome.code, 0, outcome.stderr)
            self.assertEqual(len(self.cli_json("zygote", "ls")), 1)
        finally:
            end()

    def test_runs_with_other_variables_do_not_share_a_zygote(self):
        _, end = self.start_session_daemon()
        try:
            runs = []
            for variant in "abc":
                self.sandbox.environment["VARIANT"] = variant
                runs.append(self.start_tests("--repeat", "3", "./tests", "--",
                                             "=the variant of this run"))
            for run in runs:
                outcome = self.finish(run)
                self.assertEqual(outcome.code, 0, outcome.stderr)
        finally:
            end()


class WarmTest(HarnessTestCase):

    def run_cases(self, *names, arguments=(), code=None):
        """The verdict and the reason of each, beside two good ones."""
        program = self.path("tests")
        shutil.copy(PROGRAM, program)
        filters = ["=" + name for name in names]
        outcome = self.run_tests("-j", "2", *arguments, "./tests", "--",
                                 "=a good one", *filters, code=code)
        verdicts = {
            each["id"].partition("::")[2]: each["verdict"]
            for each in outcome.of("test_ended")
        }
        self.assertEqual(verdicts.pop("a good one"), "pass", outcome.stderr)
        self.assertEqual(set(verdicts), set(names))
        self.outcome = outcome
        self.reasons = {
            each["id"].partition("::")[2]: each["reason"]
            for each in outcome.of("attempt_ended")
        }
        return verdicts

    def check(self, name, verdict, reason, arguments=()):
        verdicts = self.run_cases(name, arguments=arguments)
        self.assertEqual(verdicts, {name: verdict}, self.reasons)
        self.assertRegex(self.reasons[name], reason)

    def attempt(self, name):
        return [each for each in self.outcome.of("attempt_ended")
                if each["id"].endswith("::" + name)][-1]

    # --- what is above it ---

    def test_one_that_kills_its_zygote(self):
        self.check("kills its zygote", "crash",
                   "its zygote died, each time that this test ran")
        self.assertEqual(self.outcome.code, 1)

    def test_one_that_kills_its_zygote_once(self):
        self.check("kills its zygote once", "pass", "^$")
        self.assertEqual(self.outcome.code, 0)

    def test_one_that_stops_its_zygote(self):
        self.check("stops its zygote for a while", "pass", "^$")

    def test_one_that_kills_its_group(self):
        self.check("kills its group", "crash", "^SIGKILL")

    def test_one_that_leaves_its_group(self):
        self.check("leaves its group", "pass", "^$")

    # --- exits that are none of the framework ---

    def test_exits_with_0_are_no_passes(self):
        verdicts = self.run_cases("exits with 0 in the middle",
                                  "exits with 0 by way of exit")
        self.assertEqual(set(verdicts.values()), {"crash"}, self.reasons)
        for name in verdicts:
            self.assertIn("exited early with code 0", self.reasons[name])

    # --- crashes ---

    @unittest.skipIf(SANITIZED, "a sanitizer says where it was")
    def test_crashes_are_named_with_where_they_were(self):
        verdicts = self.run_cases("reads a null pointer", "recurses for ever",
                                  "takes all memory that it may")
        self.assertEqual(verdicts["reads a null pointer"], "crash")
        self.assertEqual(self.reasons["reads a null pointer"],
                         "SIGSEGV at address 0x0")
        self.assertTrue(self.attempt("reads a null pointer")["backtrace"])
        self.assertEqual(verdicts["recurses for ever"], "crash")
        self.assertIn("SIGSEGV", self.reasons["recurses for ever"])
        # bad_alloc is an exception that doctest catches, if it still can.
        self.assertIn(verdicts["takes all memory that it may"],
                      ("fail", "crash"))

    def test_a_killed_test_that_blocks_everything(self):
        self.check("kills itself with a signal that is blocked", "crash",
                   "^SIGKILL")

    # --- what it has and what it leaves ---

    def test_one_that_closes_all_descriptors(self):
        self.check("closes all descriptors", "pass", "^$")

    def test_one_that_writes_much(self):
        self.check("writes 200 MB", "pass", "^$")
        text = self.attempt("writes 200 MB")["stdout"]
        self.assertGreater(text["dropped_bytes"], 90_000_000)

    def test_one_that_leaves_processes_without_an_exec(self):
        verdicts = self.run_cases(
            "leaves a child in its group", "leaves a daemon",
            "leaves a daemon that holds its streams", code=1)
        self.assertEqual(set(verdicts.values()), {"leak"}, self.reasons)
        for name in ("daemon", "holder"):
            pid = self.pid_in(name)
            self.assert_ends(pid)
            self.assertIn(str(pid), " ".join(
                self.attempt("leaves a daemon")["leaked"] + self.attempt(
                    "leaves a daemon that holds its streams")["leaked"]))

    def test_one_that_deletes_its_working_directory(self):
        self.check("deletes its working directory", "pass", "^$")

    # --- those that do not end ---

    def test_those_that_do_not_end(self):
        names = ("stops itself", "blocks all signals and hangs",
                 "hangs")
        verdicts = self.run_cases(
            *names, arguments=("--timeout", "1s", "--grace", "200ms"))
        self.assertEqual(set(verdicts.values()), {"timeout"}, self.reasons)

    @unittest.skipIf(SANITIZED, "a sanitizer's handler is there")
    def test_where_a_test_hangs_is_told(self):
        self.check("hangs", "timeout", "exceeded 500ms",
                   arguments=("--timeout", "500ms"))
        self.assertIn("SleepForEver", str(self.attempt("hangs")["backtrace"]))

    # --- lies ---

    def test_one_that_destroys_its_report(self):
        self.check("scribbles over the report", "crash",
                   "what it reported cannot be read")

    def test_a_child_does_not_speak_for_its_parent(self):
        self.check("says in the child of a fork that it passed, and crashes",
                   "crash", "^SIGABRT")

    def test_all_of_them_at_once(self):
        program = self.path("tests")
        shutil.copy(PROGRAM, program)
        outcome = self.run_tests("-j", "4", "--timeout", "2s", "--grace",
                                 "200ms", "./tests", code=1)
        self.assertEqual(outcome.summary["not_run"], 0)
        self.assertEqual(len(outcome.of("test_ended")),
                         outcome.summary["planned"])
        verdicts = {each["id"].partition("::")[2]: each["verdict"]
                    for each in outcome.of("test_ended")}
        self.assertEqual(verdicts["a good one"], "pass")
        self.assertEqual(verdicts["kills its zygote"], "crash")

    def test_those_that_share_a_worker_go_on_after_a_crash(self):
        verdicts = self.run_cases("reads a null pointer",
                                  "exits with 0 in the middle",
                                  "kills its group",
                                  arguments=("--isolate", "file"))
        self.assertEqual(set(verdicts.values()), {"crash"}, self.reasons)


if __name__ == "__main__":
    unittest.main()
