"""coverage.py measures what runs in every worker, preloaded or not."""

import glob
import os
import re
import subprocess
import sys
import unittest

from django_case import DjangoTestCase

COVERAGE = (sys.executable, "-m", "coverage")
PARALLEL = ("--parallel", "2")
# Only workers run the views.
MEASURED = "shop/views.py"


class CoverageTest(DjangoTestCase):

    def check(self, settings, *options):
        """The views are measured as if the tests had run in one process."""
        with open(self.project + "/.coveragerc", "w", encoding="utf-8") as rc:
            rc.write(settings)
        outcome = self.run_tests(*PARALLEL, "-v", "3", "--failfast", *options,
                                 python=(*COVERAGE, "run", "-p"))
        self.assert_ok(outcome)
        files = glob.glob(self.project + "/.coverage.*")
        self.assertEqual(len(files), 3, files)
        self.coverage("combine")
        self.assertRegex(self.coverage("report", "--include", MEASURED),
                         re.escape(MEASURED) + r" +\d+ +0 .*100%")

    def coverage(self, *arguments):
        return subprocess.run([*COVERAGE, *arguments], cwd=self.project,
                              env=self.environment(), text=True, check=True,
                              stdout=subprocess.PIPE).stdout

    def test_concurrency_multiprocessing(self):
        self.check("[run]\nconcurrency = multiprocessing\n")

    def test_concurrency_multiprocessing_without_preload(self):
        self.check("[run]\nconcurrency = multiprocessing\nbranch = True\n",
                   "--no-preload")

    def test_parallel_alone(self):
        self.check("[run]\nbranch = True\nsource = .\n")

    def test_worker_that_is_stopped_saves_its_data(self):
        with open(self.project + "/.coveragerc", "w", encoding="utf-8") as rc:
            rc.write("[run]\nconcurrency = multiprocessing\n")
        outcome = self.run_tests(
            *PARALLEL, "--failfast", "trouble.checks.HangingTest",
            "trouble.checks.FailsWhenOtherHangsTest",
            python=(*COVERAGE, "run", "-p"))
        self.assert_failed(outcome, failures=1)
        files = os.listdir(self.project)
        self.assertEqual(
            len([each for each in files if each.startswith(".coverage.")]), 3,
            files)


if __name__ == "__main__":
    unittest.main()
