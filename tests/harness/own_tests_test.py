"""`forkserver test` on the project's own test programs: as many verdicts as
doctest counts tests, warm and cold."""

import json
import os
import re
import subprocess
import unittest

from daemon_fixture import ROOT
from harness_fixture import HarnessTestCase, Outcome

PROGRAMS = os.environ["PROGRAMS"].split()


class OwnTestsTest(HarnessTestCase):

    def count(self, program):
        """What doctest itself says, of all tests that are in the program."""
        output = subprocess.run(
            [program, "--count", "--no-skip"], cwd=ROOT, text=True,
            env=self.sandbox.environment, stdout=subprocess.PIPE, timeout=60,
            check=True).stdout
        return int(re.search(r"passing the current filters: (\d+)",
                             output).group(1))

    def check(self, *options):
        counts = {}
        for program in PROGRAMS:
            with self.subTest(program):
                path = os.path.join(ROOT, program)
                counts[program] = self.count(path)
                listed = self.cli("test", "--list", "--json", *options, path,
                                  cwd=ROOT)
                self.assertEqual(listed.returncode, 0, listed.stderr)
                self.assertEqual(len(json.loads(listed.stdout)),
                                 counts[program])
                result = self.cli("test", "--json", *options, path, cwd=ROOT)
                outcome = Outcome(result.returncode, result.stdout,
                                  result.stderr)
                self.assertEqual(outcome.code, 0, outcome.stderr)
                ended = [each["id"] for each in outcome.of("test_ended")]
                self.assertEqual(len(set(ended)), len(ended))
                self.assertEqual(len(ended), counts[program])
                summary = outcome.summary
                self.assertEqual(
                    (summary["planned"], summary["not_run"]),
                    (counts[program], 0))
                self.assertEqual(
                    outcome.of("target_ready")[0]["warm"], not options)
        self.assertGreater(sum(counts.values()), 50)

    def test_warm(self):
        self.check()

    def test_cold(self):
        self.check("--cold")


if __name__ == "__main__":
    unittest.main()
