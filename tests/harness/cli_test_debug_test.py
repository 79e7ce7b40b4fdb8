"""`forkserver test --debug`: one test, with the streams of the caller."""

import os
import shutil
import unittest

import forkserver
from daemon_fixture import ROOT
from harness_fixture import HarnessTestCase


class DebugTest(HarnessTestCase):

    def debug(self, *arguments, **options):
        return self.run_text("--debug", *arguments, **options)

    def test_a_test_reads_and_writes_as_in_a_shell(self):
        self.script("t", "read word; echo got $word; echo err >&2")
        result = self.debug("./t", "./t", input="hello\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "got hello\n")
        self.assertIn("err\n", result.stderr)
        self.assertIn("pass: ./t", result.stderr)

    def test_its_verdict_is_the_exit_code(self):
        self.script("bad", "exit 3")
        self.script("crash", "kill -SEGV $$")
        result = self.debug("bad", "./bad", "./crash")
        self.assertEqual(result.returncode, 1)
        self.assertIn("fail: ./bad", result.stderr)
        result = self.debug("crash", "./bad", "./crash")
        self.assertEqual(result.returncode, 1)
        self.assertIn("SIGSEGV", result.stderr)

    def test_the_test_must_be_one(self):
        self.script("t1", "exit 0")
        self.script("t2", "exit 0")
        result = self.debug("t", "./t1", "./t2")
        self.assertEqual(result.returncode, 2)
        self.assertIn("./t1", result.stderr)
        self.assertIn("./t2", result.stderr)
        result = self.debug("x", "./t1", "./t2")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--list", result.stderr)

    def test_signals_reach_the_test(self):
        self.script("t", "trap 'echo int; exit 0' INT; echo begun\n"
                    "while :; do sleep 0.05; done")
        process = self.start_cli("test", "--debug", "t", "./t",
                                 cwd=self.project)
        self.assertEqual(process.stdout.readline(), "begun\n")
        process.send_signal(2)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(stdout, "int\n")
        self.assertEqual(process.returncode, 0, stderr)

    def test_a_warm_test_speaks_as_its_framework_does(self):
        for name, test, said in (
                ("warm_doctest", "passes", "test cases: 1 | 1 passed"),
                ("warm_gtest", "Plain.Passes", "[       OK ] Plain.Passes")):
            with self.subTest(name):
                result = self.debug(
                    test, os.path.join(ROOT, "tests/harness/programs", name))
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout.count(said), 1, result.stdout)

    @unittest.skipUnless(shutil.which("gdb"), "os: there is no gdb")
    def test_a_program_is_started_under_gdb(self):
        self.script("t", "echo ran $FORKSERVER_TEST_SLOT")
        result = self.debug("t", "--debugger", "gdb", "./t",
                            input="run\nquit\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("(gdb)", result.stdout)

    @unittest.skipUnless(shutil.which("gdb"), "os: there is no gdb")
    def test_a_forked_test_stops_before_it_begins_and_gdb_attaches(self):
        with open(self.path("test_one.py"), "w", encoding="utf-8") as file:
            file.write("import unittest\nclass T(unittest.TestCase):\n"
                       "    def test_a(self): print('the test ran')\n")
        self.sandbox.environment["PYTHONPATH"] = os.path.dirname(
            os.path.dirname(os.path.abspath(forkserver.__file__)))
        program = os.path.join(ROOT, "tests/harness/programs/warm_doctest")
        for test, target in (("passes", program),
                             ("test_a", "test_one.py")):
            with self.subTest(target):
                result = self.debug(
                    test, "--debugger", "gdb", target,
                    input="info inferiors\nset confirm off\nkill\nquit\n")
                # It had not passed when gdb had it.
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("SIGKILL", result.stderr)
                self.assertRegex(result.stdout, r"process \d+")
                self.assertNotIn("the test ran", result.stdout)
                for words in ("continue\nquit\n", "quit\n"):
                    result = self.debug(test, "--debugger", "gdb", target,
                                        input=words)
                    self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main()
