"""`forkserver doctor -- CMD`: what a program's forks are worth."""

import os
import subprocess
import unittest

from guard_fixture import FORKING_PROGRAM, TINY_EXIT, GuardTestCase


class DoctorOfACommand(GuardTestCase):

    def test_a_program_without_an_unsafe_fork_is_safe(self):
        for words in (("fork", "wait"), ("thread", "spawn", "wait"), ()):
            result = self.cli("doctor", "--", FORKING_PROGRAM, *words)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("no fork of it was unsafe", result.stderr)

    def test_an_unsafe_fork_is_told_after_the_programs_end(self):
        result = self.cli("doctor", "--", FORKING_PROGRAM, "thread", "fork",
                          "wait")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout,
                         "waited 1, signalled, No child processes\n")
        self.assertIn("'counter'", result.stderr)
        self.assertIn("ForkAChild", result.stderr)
        self.assertIn("it exited with 0; see the reports above",
                      result.stderr)

    def test_a_report_that_comes_after_the_programs_end_is_waited_for(self):
        report = self.cli_json("doctor", "--", FORKING_PROGRAM, "thread",
                               "fork", "exit-now", code=1)
        self.assertEqual(len(report["forks"]), 1)

    def test_json_is_alone_on_standard_output(self):
        report = self.cli_json("doctor", "--", FORKING_PROGRAM, "thread",
                               "fork", "wait", code=1)
        self.assertEqual((report["verdict"], report["exit_code"]),
                         ("unsafe", 0))
        self.assertEqual(report["argv"][0], FORKING_PROGRAM)
        fork, = report["forks"]
        self.assertEqual(fork["verdict"], "unsafe")
        self.assertEqual(fork["audit"]["reasons"][0]["kind"], "thread")
        self.assertIn("ForkAChild", fork["text"])

    def test_the_programs_input_and_exit_code(self):
        report = self.cli_json("doctor", "--", "sh", "-c", "read x; exit $x",
                               input="7\n")
        self.assertEqual((report["exit_code"], report["forks"]), (7, []))
        report = self.cli_json("doctor", "--", "sh", "-c", "kill -9 $$")
        self.assertEqual(report["exit_code"], 128 + 9)

    def test_125_when_it_could_not_work(self):
        for words in ((TINY_EXIT,), ("no-such-program",),
                      (self.folder + "/nothing",)):
            result = self.cli("doctor", "--", *words)
            self.assertEqual((result.returncode, result.stdout), (125, ""))
            self.assertRegex(result.stderr, r"^forkserver: .*\n$")
        result = self.cli("doctor", str(os.getpid()), "--", "true")
        self.assertEqual(result.returncode, 125)

    def test_a_guarded_process_seen_from_outside(self):
        process = self.start_cli("guard", "--", FORKING_PROGRAM, "thread",
                                 "report", "input", stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), "signals 0\n")
        reason, = self.cli_json("doctor", str(process.pid), code=1)["reasons"]
        process.communicate()
        self.assertIn("'counter'", reason["what"])
        self.assertIn("forking_program", reason["where"])
        self.assertNotIn("libforkguard", reason["where"])

    def test_no_file_is_left(self):
        self.sandbox.environment["TMPDIR"] = self.folder
        self.cli("doctor", "--", FORKING_PROGRAM, "thread", "fork", "wait")
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
