"""`forkserver test` of Python tests in a folder of the test's own.

  class MyTest(PythonTargetCase):
      def test_it_passes(self):
          self.write("test_one.py", "...")
          run = self.harness("test_one.py")
          self.assertEqual((run.code, run.verdicts), (0, {...}))
"""

import json
import os
import sys
import textwrap
import unittest

import forkserver
from daemon_fixture import DaemonTestCase

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(
    forkserver.__file__)))

try:
    import pytest as _pytest_is_there  # noqa: F401
except ImportError:
    _pytest_is_there = None

FRAMEWORKS = ["unittest"] if _pytest_is_there is None else ["unittest",
                                                            "pytest"]
needs_pytest = unittest.skipIf(_pytest_is_there is None,
                               "os: there is no pytest")


class Run:
    """What `forkserver test --json` said."""

    def __init__(self, result):
        self.code = result.returncode
        self.stderr = result.stderr
        self.events = [json.loads(line)
                       for line in result.stdout.splitlines()]

    def of(self, event):
        return [each for each in self.events if each["event"] == event]

    @property
    def verdicts(self):
        return {each["id"].partition("::")[2]: each["verdict"]
                for each in self.of("test_ended")}

    def attempt(self, name):
        """The last attempt of the test whose id ends so."""
        found = [each for each in self.of("attempt_ended")
                 if each["id"].endswith(name) and each["last"]]
        return found[-1]

    @property
    def ready(self):
        return self.of("target_ready")[0]

    @property
    def errors(self):
        return "\n".join(self.of("run_ended")[0]["errors"])


class PythonTargetCase(DaemonTestCase):

    def setUp(self):
        super().setUp()
        self.suite = os.path.join(self.folder, "suite")
        os.mkdir(self.suite)
        environment = self.sandbox.environment
        for name in list(environment):
            # Bazel's are for whoever runs this test.
            if name.startswith(("PYTEST", "COV", "TEST_", "TESTBRIDGE_",
                                "XML_OUTPUT")):
                del environment[name]
        environment["PYTHONPATH"] = PACKAGE
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.flags = os.path.join(self.folder, "flags")
        os.mkdir(self.flags)
        environment["FLAGS"] = self.flags

    def write(self, name, content):
        path = os.path.join(self.suite, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(content))
        return path

    def harness(self, *arguments, python=sys.executable, **options):
        """Runs `forkserver test --json` in the suite's folder."""
        options.setdefault("timeout", 240)
        return Run(self.cli("test", "--json", "--python", python,
                            *arguments, cwd=self.suite, **options))
