"""The same project on Debian 13: Django 4.2, Python 3.13, tblib 3.

In a folder of Debian 13, with forkserverd inside. Each run has a PID namespace
of its own, and leaves nothing behind.
"""

import os
import re
import shutil
import unittest

from daemon_fixture import FORKSERVERD
from django_case import PROJECT, RUNNER, SDK, TESTS, Outcome
from trixie_folder import TrixieFolder

PACKAGES = ("python3-django", "python3-msgpack", "python3-requests",
            "python3-coverage", "python3-tblib", "libuv1t64")
PARALLEL = ("--parallel", "2")
RUN_SECONDS = 120


class TrixieTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.trixie = TrixieFolder(cls, PACKAGES)
        cls.path = cls.trixie.path
        os.makedirs(cls.path("opt/forkserver"))
        shutil.copy(FORKSERVERD, cls.path("opt/forkserver/forkserverd"))
        shutil.copytree(os.path.join(SDK, "forkserver"),
                        cls.path("opt/sdk/forkserver"))

    def setUp(self):
        os.makedirs(self.path("run/user"), mode=0o700)
        self.addCleanup(shutil.rmtree, self.path("run/user"))
        shutil.copytree(PROJECT, self.path("project"))
        self.addCleanup(shutil.rmtree, self.path("project"))

    def run_inside(self, *command, **variables):
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PYTHONPATH": "/opt/sdk",
            "PYTHONDONTWRITEBYTECODE": "1",
            "FORKSERVER_BIN": "/opt/forkserver",
            "FORKSERVER_SOCKET": "/run/user/d.sock",
            "TEST_FOLDER": "/project",
            **variables,
        }
        result = self.trixie.run(*command, cwd="/project", env=environment,
                                 check=False, timeout=RUN_SECONDS)
        return Outcome(result.returncode, result.stdout)

    def run_tests(self, *arguments, python=("python3",), **variables):
        return self.run_inside(*python, "manage.py", "test", "--testrunner",
                               RUNNER, *PARALLEL, *arguments, **variables)

    def assert_ok(self, outcome, tests=TESTS):
        self.assertEqual(outcome.code, 0, outcome.text)
        self.assertIn(f"Ran {tests} test", outcome.text)
        self.assertNotIn("not preloaded", outcome.text)

    def test_versions(self):
        outcome = self.run_inside("python3", "-c", "import django, sys; "
                                  "print(django.VERSION, sys.version_info)")
        self.assertRegex(outcome.text, r"^\(4, 2,.*major=3, minor=13")

    def test_whole_project_passes(self):
        self.assert_ok(self.run_tests("-v", "3"))

    def test_sqlite_file(self):
        self.assert_ok(self.run_tests("-v", "2", TEST_DATABASE="file"))

    def test_shuffle(self):
        outcome = self.run_tests("--shuffle", "7", "-v", "2", "blog",
                                 "shop.tests.test_models")
        self.assert_ok(outcome, 16)
        self.assertIn("Used shuffle seed: 7", outcome.text)

    def test_parallel_auto(self):
        self.assert_ok(self.run_tests("--parallel", "auto",
                                      DJANGO_TEST_PROCESSES="2"))

    def test_buffer_and_traceback(self):
        outcome = self.run_tests(
            "--buffer", "trouble.checks.FailureTest",
            "trouble.checks.ErrorInHelperTest", "trouble.checks.GoodTest")
        self.assertEqual(outcome.code, 1, outcome.text)
        self.assertIn("Stdout:\nprinted by the failing test", outcome.text)
        self.assertNotIn("printed by the good test", outcome.text)
        self.assertRegex(outcome.text, r"line \d+, in raise_deeply")

    def test_crash_is_an_error_of_its_test(self):
        outcome = self.run_tests("trouble.checks.SegfaultTest",
                                 "trouble.checks.GoodTest")
        self.assertEqual(outcome.code, 1, outcome.text)
        self.assertIn("Ran 4 tests", outcome.text)
        self.assertEqual(outcome.count("errors"), 1)
        self.assertIn("was killed by SIGSEGV", outcome.text)

    def test_error_of_a_class(self):
        outcome = self.run_tests("--buffer", "trouble.checks.ClassErrorTest",
                                 "trouble.checks.GoodTest")
        self.assertEqual(outcome.count("errors"), 1, outcome.text)
        self.assertRegex(outcome.text, r"ERROR: setUpClass \(.*ClassErrorTest")

    def test_coverage(self):
        with open(self.path("project/.coveragerc"), "w",
                  encoding="utf-8") as file:
            file.write("[run]\nconcurrency = multiprocessing\n")
        coverage = ("python3", "-m", "coverage")
        self.assert_ok(self.run_tests(python=(*coverage, "run", "-p")))
        self.run_inside(*coverage, "combine")
        report = self.run_inside(*coverage, "report", "--include",
                                 "shop/views.py")
        self.assertTrue(re.search(r"shop/views\.py +\d+ +0 +100%",
                                  report.text), report.text)


if __name__ == "__main__":
    unittest.main()
