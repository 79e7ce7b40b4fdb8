"""A program under `forkserver guard`, and its reports."""

import json
import os
import subprocess
import tempfile

from daemon_fixture import FORKSERVER, ROOT, SandboxTestCase, read_file

FORKING_PROGRAM = os.path.join(ROOT, "tests/child_programs/forking_program")
TINY_EXIT = os.path.join(ROOT, "tests/child_programs/tiny_exit")
PYTHON = "/usr/bin/python3"

# No exec is late in it, on however slow a machine.
LONG = ("--exec-window", "60s")
SHORT = ("--exec-window", "1ms")


class GuardTestCase(SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.report_file = os.path.join(self.folder, "reports")

    def tearDown(self):
        self.assert_nothing_left()
        super().tearDown()

    def guard(self, *words, options=SHORT, **more):
        """Runs words guarded; reports go to the file."""
        return self.cli("guard", *options, "--report", self.report_file, "--",
                        *words, **more)

    def program(self, *words, **more):
        return self.guard(FORKING_PROGRAM, *words, **more)

    def python(self, code, **more):
        return self.guard(PYTHON, "-c", code, **more)

    def reports(self):
        # The last one may be under way.
        lines = read_file(self.report_file).split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def the_report(self):
        reports = self.reports()
        self.assertEqual(len(reports), 1, reports)
        return reports[0]
