"""What forkserver_cc_test makes, run as `bazel test` runs it: a test that is red
is red for Bazel."""

import os
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

from daemon_fixture import ROOT
from harness_fixture import HarnessTestCase

FRAMEWORKS = {
    "verdicts_doctest": ["good", "red", "crashes", "left out"],
    "verdicts_gtest": ["Shop.Good", "Shop.Red", "Shop.Crashes",
                       "Shop.DISABLED_LeftOut"],
}
KINDS = ["pass", "failure", "error", "skipped"]


class BazelRuleTest(HarnessTestCase):

    def bazel_test(self, name, **variables):
        """(exit code, {test: what its element has}, output) of a test."""
        environment = {
            key: value for key, value in self.sandbox.environment.items()
            if not key.startswith("FORKSERVER_BIN")
        }
        report = self.path("test.xml")
        if os.path.exists(report):
            os.remove(report)
        environment.update({
            "TEST_SRCDIR": os.path.dirname(ROOT),
            "TEST_WORKSPACE": os.path.basename(ROOT),
            "TEST_TARGET": f"//tests/harness/programs:{name}",
            "TEST_TMPDIR": self.temporary,
            "TEST_TIMEOUT": "60",
            "TEST_PREMATURE_EXIT_FILE": self.path("premature"),
            "XML_OUTPUT_FILE": report,
            **variables,
        })
        result = subprocess.run(
            [os.path.join(ROOT, "tests/harness/programs", name)],
            env=environment, cwd=self.project, text=True, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False)
        # That Bazel does not take it for a test that has ended too early.
        self.assertFalse(os.path.exists(self.path("premature")),
                         result.stdout)
        found = {}
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = [kind for kind in KINDS if case.find(kind) is not None]
            self.assertNotIn(case.get("name"), found)
            found[case.get("name")] = ", ".join(kinds) or "pass"
        return result.returncode, found, result.stdout

    def test_a_red_test_is_red_and_every_test_is_in_the_report(self):
        for name, tests in FRAMEWORKS.items():
            with self.subTest(name):
                code, found, output = self.bazel_test(name)
                self.assertEqual(code, 1, output)
                self.assertEqual(found, dict(zip(tests, KINDS)))

    def test_one_that_is_good_alone_is_green(self):
        for name, tests in FRAMEWORKS.items():
            with self.subTest(name):
                for test, code in zip(tests, (0, 1, 1)):
                    result = self.bazel_test(name, TESTBRIDGE_TEST_ONLY=test)
                    self.assertEqual((result[0], list(result[1])),
                                     (code, [test]), result[2])

    def test_the_shards_together_have_every_test_once(self):
        # More shards than tests: one that has none is no failure.
        shards = 7
        for name, tests in FRAMEWORKS.items():
            with self.subTest(name):
                seen, codes = [], {}
                for index in range(shards):
                    status = self.path("shards")
                    code, found, output = self.bazel_test(
                        name, TEST_TOTAL_SHARDS=str(shards),
                        TEST_SHARD_INDEX=str(index),
                        TEST_SHARD_STATUS_FILE=status)
                    # The way in which Bazel is told that shards are heeded.
                    self.assertTrue(os.path.exists(status), output)
                    os.remove(status)
                    seen += found
                    red = {"failure", "error"} & set(found.values())
                    self.assertEqual(code, 1 if red else 0, output)
                self.assertEqual(sorted(seen), sorted(tests))


if __name__ == "__main__":
    unittest.main()
