"""Runs the Django project of the tests: `manage.py test` in a copy of it.

  class MyTest(DjangoTestCase):
      def test_all_pass(self):
          self.assert_ok(self.run_tests("--parallel", "2"))
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import forkserver
from daemon_fixture import DaemonTestCase

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../e2e/django_project")
SDK = os.path.dirname(os.path.dirname(os.path.abspath(forkserver.__file__)))
RUNNER = "forkserver.django.ForkserverDiscoverRunner"
STOCK = "django.test.runner.DiscoverRunner"
TIMEOUT_SECONDS = 100
TESTS = 34
ALL_GOOD = f"Ran {TESTS} tests"


class Outcome:
    """What a run printed, and its exit code. `code` None: it hung."""

    def __init__(self, code, text):
        self.code = code
        self.text = text

    def count(self, what):
        """errors, failures, skipped ... of the last line."""
        found = re.search(rf"\b{what}=(\d+)", self.text)
        return int(found.group(1)) if found else 0


class Run(subprocess.Popen):
    """A run in the background, with what it has printed so far."""

    def __init__(self, command, folder, environment):
        self._output = tempfile.TemporaryFile()
        super().__init__(command, cwd=folder, env=environment,
                         stdin=subprocess.DEVNULL, stdout=self._output,
                         stderr=subprocess.STDOUT, start_new_session=True)

    def text(self):
        with open(f"/proc/self/fd/{self._output.fileno()}",
                  encoding="utf-8", errors="replace") as file:
            return file.read()

    def end(self):
        """With the children that it has forked."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.wait()

    def close(self):
        self._output.close()


class DjangoTestCase(DaemonTestCase):
    database = "memory"

    def setUp(self):
        super().setUp()
        self.project = os.path.join(self.folder, "p")
        shutil.copytree(PROJECT, self.project, symlinks=False)

    def environment(self, **variables):
        return {
            **self.sandbox.environment,
            "PYTHONPATH": SDK,
            "PYTHONDONTWRITEBYTECODE": "1",
            "TEST_DATABASE": self.database,
            "TEST_FOLDER": self.folder,
            **variables,
        }

    def start_tests(self, *arguments, runner=RUNNER, manage="manage.py",
                    python=(sys.executable,), **variables):
        """A Run. Capital names are environment variables."""
        run = Run([*python, manage, "test", "--testrunner", runner,
                   "--no-input", *arguments], self.project,
                  self.environment(**variables))
        self.addCleanup(run.end)
        return run

    def run_tests(self, *arguments, **options):
        """An Outcome. What hangs is killed after 100 s, and fails the
        test."""
        run = self.start_tests(*arguments, **options)
        try:
            code = run.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        run.end()
        outcome = Outcome(code, run.text())
        run.close()
        return outcome

    def notes(self):
        """What the tests of the project wrote down."""
        try:
            with open(os.path.join(self.folder, "notes"),
                      encoding="utf-8") as file:
                return file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []

    def assert_ok(self, outcome, tests=TESTS):
        self.assertEqual(outcome.code, 0, outcome.text)
        self.assertIn(f"Ran {tests} test", outcome.text)
        self.assertIn("\nOK", outcome.text)

    def assert_failed(self, outcome, errors=0, failures=0, tests=None):
        """It ended, with so many errors and failures."""
        self.assertEqual(outcome.code, 1, outcome.text)
        self.assertEqual((outcome.count("errors"), outcome.count("failures")),
                         (errors, failures), outcome.text)
        if tests is not None:
            self.assertIn(f"Ran {tests} test", outcome.text)
